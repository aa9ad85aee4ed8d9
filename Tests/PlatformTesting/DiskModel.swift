import Bytes
package import Files
import Synchronization

/// What a disk may hold after a power loss: everything that was synced, and any part of what was not.
///
/// The model follows the changes of one run. Per file it knows the durable content and the writes and cuts since; per
/// folder the durable names and the changes since. A crash keeps any subset of either; the last write that is kept may be
/// torn. A rename is kept or lost as a whole (rename(2) is atomic); what lies in a folder whose name is lost is lost.
package struct DiskModel {
    /// What a crash keeps of what was not synced.
    package enum Loss: CustomStringConvertible, Sendable {
        /// A killed process: the page cache survives.
        case nothing
        case everything
        /// Names survive, bytes do not; and the other way round.
        case bytes, names
        /// Any subset.
        case some(seed: UInt64)
        /// Names and sizes survive, and of each write all but a stretch somewhere: a page that had not come to the disk.
        case holes(seed: UInt64)

        package var description: String {
            switch self {
            case .nothing: "nothing is lost"
            case .everything: "all that was not synced is lost"
            case .bytes: "bytes that were not synced are lost"
            case .names: "names that were not synced are lost"
            case .some(let seed): "seed \(seed)"
            case .holes(let seed): "holes, seed \(seed)"
            }
        }
    }

    private enum ContentChange {
        case write(bytes: [UInt8], offset: Int)
        case truncate(Int)

        func apply(to content: inout [UInt8]) {
            switch self {
            case .write(let bytes, let offset):
                if content.count < offset + bytes.count {
                    content += [UInt8](repeating: 0, count: offset + bytes.count - content.count)
                }
                content.replaceSubrange(offset..<offset + bytes.count, with: bytes)
            case .truncate(let size):
                if size < content.count { content.removeLast(content.count - size) }
                if size > content.count { content += [UInt8](repeating: 0, count: size - content.count) }
            }
        }
    }

    private struct Content {
        var durable: [UInt8] = []
        var pending: [ContentChange] = []
        /// What a failed sync left: later syncs do not make it durable, and yet it may be on the disk.
        var doubtful: [ContentChange] = []
        /// What processes see.
        var cached: [UInt8] = []

        func after(_ changes: [ContentChange]) -> [UInt8] {
            var content = durable
            for change in changes { change.apply(to: &content) }
            return content
        }
    }

    private enum Entry: Equatable {
        case folder
        case file(Int)
    }

    /// One change of names: what each path is from then on; nil where it is gone.
    private typealias NameChange = [(path: String, entry: Entry?)]

    private var contents: [Content] = []
    private var live: [String: Entry] = [:]
    private var durable: [String: Entry] = [:]
    private var pending: [NameChange] = []
    /// All folders that were ever made.
    private var folders: Set<String> = []
    /// The callers whose syncs do nothing, for the proof that each is needed.
    package let ignoredSites: Set<String>

    /// - Parameter ignoredSites: see ``ignoredSites``.
    package init(ignoring ignoredSites: Set<String> = []) { self.ignoredSites = ignoredSites }

    /// Follows a change that was made.
    package mutating func apply(_ change: FileChange) {
        switch change {
        case .create(let path):
            contents.append(Content())
            name([(path, .file(contents.count - 1))])
        case .write(let path, let bytes, let offset): append(.write(bytes: bytes, offset: offset), path)
        case .truncate(let path, let size): append(.truncate(size), path)
        case .sync(let path, let site):
            guard !ignoredSites.contains(site), case .file(let number) = live[path] else { return }
            contents[number].durable = contents[number].after(contents[number].pending)
            contents[number].pending = []
        case .makeFolder(let path):
            folders.insert(path)
            name([(path, .folder)])
        case .syncFolder(let path, let site):
            guard !ignoredSites.contains(site) else { return }
            var left: [NameChange] = []
            for change in pending {
                // A rename across folders is durable with the first of the two that is synced.
                if change.prefix(2).contains(where: { Folder.parent(of: $0.path) == path }) {
                    for (path, entry) in change { durable[path] = entry }
                } else {
                    left.append(change)
                }
            }
            pending = left
        case .rename(let path, let target):
            if live[path] == .folder { folders.insert(target) }
            var change: NameChange = [(path, nil), (target, live[path])]
            // What lies in a folder goes with it.
            for (child, entry) in live where child.hasPrefix(path + "/") {
                change.append((child, nil))
                change.append((target + child.dropFirst(path.count), entry))
            }
            name(change)
        case .remove(let path), .removeFolder(let path): name([(path, nil)])
        }
    }

    /// A sync that failed: the system takes what it could not write for written.
    package mutating func failSync(_ path: String) {
        guard case .file(let number) = live[path] else { return }
        contents[number].doubtful += contents[number].pending
        contents[number].pending = []
    }

    private mutating func name(_ change: NameChange) {
        for (path, entry) in change { live[path] = entry }
        pending.append(change)
    }

    private mutating func append(_ change: ContentChange, _ path: String) {
        guard case .file(let number) = live[path] else { return }
        contents[number].pending.append(change)
        change.apply(to: &contents[number].cached)
    }

    /// What a crash now leaves: the content of every file, by path, and the folders.
    package func crashed(_ loss: Loss) -> (files: [String: [UInt8]], folders: [String]) {
        var random = SeededGenerator(seed: 0)
        switch loss {
        case .some(let seed), .holes(let seed): random = SeededGenerator(seed: seed)
        case .nothing, .everything, .bytes, .names: break
        }
        var names = durable
        for change in pending where keepsName(loss, &random) {
            for (path, entry) in change { names[path] = entry }
        }
        var files: [String: [UInt8]] = [:]
        var folders: [String] = []
        // In order, so that a seed means the same loss each time.
        for (path, entry) in names.sorted(by: { $0.key < $1.key }) where isReachable(path, names) {
            switch entry {
            case .folder: folders.append(path)
            case .file(let number): files[path] = content(contents[number], loss, &random)
            }
        }
        return (files, folders.sorted())
    }

    /// The model of a disk that holds what a crash left.
    package func rebooted(_ loss: Loss) -> DiskModel {
        let left = crashed(loss)
        var model = DiskModel(ignoring: ignoredSites)
        model.folders = folders
        if case .nothing = loss {
            // A killed process loses nothing, but gains no durability either.
            model.contents = contents
            (model.live, model.durable, model.pending) = (live, durable, pending)
            return model
        }
        for folder in left.folders { model.live[folder] = .folder }
        for (path, bytes) in left.files {
            model.contents.append(Content(durable: bytes, cached: bytes))
            model.live[path] = .file(model.contents.count - 1)
        }
        model.durable = model.live
        return model
    }

    private func isReachable(_ path: String, _ names: [String: Entry]) -> Bool {
        let parent = Folder.parent(of: path)
        // Folders above the first one that the run made are not in the model: they were there.
        guard folders.contains(parent) else { return true }
        return names[parent] == .folder && isReachable(parent, names)
    }

    private func keepsName(_ loss: Loss, _ random: inout SeededGenerator) -> Bool {
        switch loss {
        case .nothing, .bytes, .holes: true
        case .everything, .names: false
        case .some: Bool.random(using: &random)
        }
    }

    private func content(_ content: Content, _ loss: Loss, _ random: inout SeededGenerator) -> [UInt8] {
        switch loss {
        case .nothing, .names: return content.cached
        case .everything, .bytes: return content.durable
        case .some:
            var kept: [ContentChange] = []
            for change in content.doubtful + content.pending where Bool.random(using: &random) {
                if case .write(let bytes, let offset) = change, Int.random(in: 0..<3, using: &random) == 0 {
                    let torn = Int.random(in: 0...bytes.count, using: &random)
                    kept.append(.write(bytes: Array(bytes[..<torn]), offset: offset))
                } else {
                    kept.append(change)
                }
            }
            return content.after(kept)
        case .holes:
            let changes = content.doubtful + content.pending
            return content.after(changes.flatMap { Self.withHole($0, &random) })
        }
    }

    /// A write without a stretch in it, where what was there before stays: nothing of a file that grew.
    private static func withHole(_ change: ContentChange, _ random: inout SeededGenerator) -> [ContentChange] {
        guard case .write(let bytes, let offset) = change, !bytes.isEmpty else { return [change] }
        let start = Int.random(in: 0..<bytes.count, using: &random)
        let end = Int.random(in: start + 1...bytes.count, using: &random)
        return [
            .write(bytes: Array(bytes[..<start]), offset: offset),
            .write(bytes: Array(bytes[end...]), offset: offset + end),
        ]
    }
}

/// Records what a run changes, and fails or ends it at a given change.
package final class RecordingWitness: FileWitness {
    /// What happens at the chosen change.
    package enum Fault: Sendable {
        case none
        /// The change fails once, with this error; the ones after it are made.
        case fails(at: Int, code: Int32)
    }

    private let fault: Fault
    private let log = Mutex<[FileChange]>([])
    private let count = Mutex(0)

    /// - Parameter fault: what is to fail.
    package init(_ fault: Fault = .none) { self.fault = fault }

    /// What was made so far.
    package var changes: [FileChange] { log.withLock { $0 } }

    /// See `FileWitness`.
    package func willMake(_ change: FileChange) throws(FileError) {
        let number = count.withLock { count in
            defer { count += 1 }
            return count
        }
        if case .fails(let place, let code) = fault, number == place {
            throw FileError("injected fault in", "\(change)", code: code)
        }
        log.withLock { $0.append(change) }
    }
}

/// What happened to the disk in a run with a fault.
package enum DiskEvent: Sendable {
    case made(FileChange)
    /// The caller was told an error; but for a sync, nothing was done.
    case failed(FileChange)
}

extension DiskModel {
    /// Follows a change that was made or failed.
    package mutating func apply(_ event: DiskEvent) {
        switch event {
        case .made(let change): apply(change)
        case .failed(.sync(let path, _)): failSync(path)
        case .failed: break
        }
    }

    /// Puts onto the real disk what a crash leaves, into a folder that is emptied first.
    package func materialise(_ loss: Loss, in folder: String) throws {
        for name in try Folder.list(folder) {
            let path = folder + "/" + name
            if Folder.isFolder(path) { try Folder.removeTree(path) } else { try Folder.remove(path) }
        }
        let left = crashed(loss)
        for path in left.folders where !Folder.exists(path) { try Folder.create(path) }
        for (path, bytes) in left.files {
            let file = try File(path, .create)
            try bytes.withUnsafeBytes { try file.write($0, at: 0) }
        }
    }
}

/// Records what a run does to the disk, and fails some changes in a row.
package final class FaultWitness: FileWitness {
    private let places: Range<Int>
    private let code: Int32
    private let log = Mutex<[DiskEvent]>([])

    /// - Parameters:
    ///   - places: the changes that fail, counted from 0.
    ///   - code: the error that they fail with.
    package init(failing places: Range<Int> = 0..<0, code: Int32 = 0) {
        self.places = places
        self.code = code
    }

    /// What happened so far.
    package var events: [DiskEvent] { log.withLock { $0 } }
    /// The number of changes so far.
    package var count: Int { log.withLock { $0.count } }

    /// See `FileWitness`.
    package func willMake(_ change: FileChange) throws(FileError) {
        let fails = log.withLock { log -> Bool in
            let fails = places.contains(log.count)
            log.append(fails ? .failed(change) : .made(change))
            return fails
        }
        if fails { throw FileError("injected fault in", "\(change)".prefix(200).description, code: code) }
    }
}
