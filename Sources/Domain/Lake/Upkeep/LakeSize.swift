import Files
import Glibc
import Records

/// Bytes of a lake's files, by what they hold.
package struct LakeSize: Sendable, Equatable {
    /// What a folder of the lake holds.
    package enum Part: String, Sendable, CaseIterable {
        case bronze, silver, gold, quarantine
        /// The commit logs.
        case commits
        /// The small logs: of generations, tiers, retention and quarantine.
        case other

        /// - Parameter name: of an entry of the lake's root.
        init(entry name: String) {
            self = name == "_commits" ? .commits : Part(rawValue: name) ?? .other
        }

        init(_ layer: Layer) {
            switch layer {
            case .bronze: self = .bronze
            case .silver: self = .silver
            case .gold: self = .gold
            case .quarantine: self = .quarantine
            }
        }
    }

    /// Bytes on this file system.
    package var local: [Part: Int] = [:]
    /// Bytes in the object storage, as the tier logs tell, without what retention gave up.
    package var tiered: [Part: Int] = [:]
}

/// Adds a lake's files up, some hundred at a time, so that a lake of any size costs little and never holds anybody up.
///
/// It looks at files and not at commit logs: so what a crash, a pruned generation or a copy left is counted, too. What
/// changes while it is at work is counted as it was when its folder was read.
package struct LakeSizeWalk {
    private let layout: LakeLayout
    /// Folders that are not done, the deepest last.
    private var folders: [Pending] = []
    private var size = LakeSize()
    /// Sums of tier logs, which seldom change; of this round and of the one before.
    private var known: [String: KnownTier] = [:]
    private var formerly: [String: KnownTier] = [:]

    private struct Pending {
        let path: String
        let part: LakeSize.Part?
        var names: ArraySlice<String>
    }

    private struct KnownTier {
        let log: FileStamp
        let retention: FileStamp?
        let sums: [LakeSize.Part: Int]
    }

    package init(layout: LakeLayout) { self.layout = layout }

    /// Takes the next step of a round, or of a new one.
    ///
    /// - Parameter entriesMax: how many names are looked at; the entries of a tier log count, too.
    /// - Returns: the size when the round is done; nil while it is not.
    /// - Throws: where a folder or a tier log cannot be read; the next call begins anew.
    package mutating func step(entriesMax: Int) throws(LakeError) -> LakeSize? {
        do throws(LakeError) { return try advance(entriesMax) } catch {
            folders = []
            throw error
        }
    }

    private mutating func advance(_ entriesMax: Int) throws(LakeError) -> LakeSize? {
        if folders.isEmpty {
            size = LakeSize()
            (formerly, known) = (known, [:])
            guard try enter(layout.root, part: nil) else { return size }
        }
        var left = entriesMax
        while left > 0, let name = nextName() {
            left -= 1 + (try take(name))
        }
        return folders.isEmpty ? size : nil
    }

    /// The next name of the deepest folder that has one; folders that are done are left.
    private mutating func nextName() -> String? {
        while let last = folders.indices.last {
            if let name = folders[last].names.popFirst() { return name }
            folders.removeLast()
        }
        return nil
    }

    /// - Returns: false where the folder is gone, or was never there.
    private mutating func enter(_ path: String, part: LakeSize.Part?) throws(LakeError) -> Bool {
        do throws(FileError) {
            folders.append(Pending(path: path, part: part, names: try Folder.list(path)[...]))
            return true
        } catch {
            guard error.isNotFound else { throw .file(error) }
            return false
        }
    }

    /// Counts a file, or goes into a folder. Links are neither followed nor counted.
    ///
    /// - Returns: entries that were read beside the name.
    private mutating func take(_ name: String) throws(LakeError) -> Int {
        guard let folder = folders.last else { return 0 }
        let path = folder.path + "/" + name
        let part = folder.part ?? LakeSize.Part(entry: name)
        var status = stat()
        // What is gone meanwhile counts nothing.
        guard lstat(path, &status) == 0 else { return 0 }
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            _ = try enter(path, part: part)
            return 0
        case S_IFREG:
            size.local[part, default: 0] += Int(status.st_size)
            return part == .other ? try takeTierLog(path) : 0
        default: return 0
        }
    }

    /// Adds what a tier log tells, if the file is one: `_tiers/topic=…/partition=N/date=….log`.
    ///
    /// - Returns: its entries, where they had to be read.
    private mutating func takeTierLog(_ path: String) throws(LakeError) -> Int {
        let parts = path.dropFirst(layout.root.count + 1).split(separator: "/")
        guard parts.count == 4, parts[0] == "_tiers", parts[1].hasPrefix("topic="), parts[3].hasPrefix("date="),
            parts[3].hasSuffix(".log"), parts[2].hasPrefix("partition="), let number = Int32(parts[2].dropFirst(10)),
            let stamp = FileStamp(path)
        else { return 0 }
        let source = TopicPartition(topic: String(parts[1].dropFirst(6)), partition: number)
        let retention = FileStamp(layout.retentionLog(source))
        var tier = formerly[path]
        var read = 0
        if tier?.log != stamp || tier?.retention != retention {
            let entries = try TierLog(layout: layout, source: source).held(path)
            read = entries.count
            var sums: [LakeSize.Part: Int] = [:]
            for entry in entries { sums[LakeSize.Part(entry.name.layer), default: 0] += entry.bytes }
            tier = KnownTier(log: stamp, retention: retention, sums: sums)
        }
        if let tier {
            known[path] = tier
            size.tiered.merge(tier.sums, uniquingKeysWith: +)
        }
        return read
    }
}

extension TierLog {
    /// The last entry of each file that the log at `path` names, without those that retention gave up.
    fileprivate func held(_ path: String) throws(LakeError) -> [TierEntry] {
        let expiries = try RetentionLog(layout: layout, source: source).read()
        var last: [DataFileName: TierEntry] = [:]
        for value in try RecordLog(path: path).read() {
            guard let entry = TierEntry(value, source: source) else {
                throw .damaged(path: path, reason: "an entry lacks a field")
            }
            last[entry.name] = entry
        }
        return last.values.filter { entry in !expiries.contains { $0.covers(entry.name) } }
    }
}
