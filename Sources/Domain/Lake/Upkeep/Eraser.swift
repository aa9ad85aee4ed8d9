import Bytes
import Files
import JSONScan
import ObjectStorage
package import Records
import Zstd

/// Tells whether a record, or a line that was made of one, is what an erasure is about.
package struct ErasureMatch {
    /// Of a Bronze record, and of a quarantined one, which has no headers.
    package let record: (BronzeRecord) -> Bool
    /// Of a line of Silver or Gold, without its line feed.
    package let derived: (ArraySlice<UInt8>) -> Bool

    package init(record: @escaping (BronzeRecord) -> Bool, derived: @escaping (ArraySlice<UInt8>) -> Bool) {
        self.record = record
        self.derived = derived
    }
}

/// Takes records out of one topic partition's files: of Bronze place and time stay, of every other layer and generation nothing.
///
/// A file is written anew beside the old one (``begin(_:_:)``, any process, while others read and write), then the commit logs say so and
/// the new file takes the old one's name (``PartitionWriter/erase(_:)``, who writes the topic partition), at last the object storage gets the new
/// one and gives up all versions of the old one (``finish(_:now:)``). Each step finds what an earlier one left, so that the next
/// process resumes where one that was killed ended.
package struct Eraser {
    let layout: LakeLayout
    let source: TopicPartition
    private let reader: LakeReader
    /// Where its steps are noted.
    package let log: ErasureLog
    /// Of its topic partition.
    package var topic: String { source.topic }

    package init(layout: LakeLayout, source: TopicPartition) {
        self.layout = layout
        self.source = source
        reader = LakeReader(layout: layout)
        log = ErasureLog(layout: layout)
    }

    /// Keeps others from moving, removing and rewriting a topic partition's sealed files while it lives.
    package final class Hold {
        private let lock: UpkeepLock

        fileprivate init(_ source: TopicPartition, in layout: LakeLayout) throws(LakeError) {
            lock = try UpkeepLock(source, in: layout)
        }
    }

    /// Takes hold of the sealed files.
    ///
    /// - Throws: ``LakeError/locked(source:path:holder:)`` while another process moves or removes files.
    package func hold() throws(LakeError) -> Hold { try Hold(source, in: layout) }

    /// Finds what it can and prepares its files; what grows is left to who writes it.
    ///
    /// - Parameter hold: of this topic partition.
    package func begin(_ erasure: Erasure, _ match: ErasureMatch, _ hold: Hold) throws(LakeError) {
        defer { withExtendedLifetime(hold) {} }
        guard let state = try state(erasure.id), !state.isRewritten else { return }
        try prepare(erasure.id, try find(erasure.id, state, match))
    }

    /// How far an erasure is here; nil where it is not about this topic partition.
    package func state(_ id: String) throws(LakeError) -> ErasureState.Part? {
        try log.read().first { $0.erasure.id == id }?.parts[source]
    }

    // MARK: - Finding

    /// Looks through the sealed files that nobody has looked through, and notes the records that it finds.
    ///
    /// - Throws: ``LakeError/erasure(_:)`` where it was stopped between two files.
    func find(
        _ id: String, _ known: ErasureState.Part, _ match: ErasureMatch, isStopped: () -> Bool = { false }
    ) throws(LakeError) -> ErasureState.Part {
        var part = known
        let live = layout.commitLog(source)
        var end: Int64 = 0
        var places: [OffsetRange] = []
        try reader.forEachSealedFile(source) { listed throws(LakeError) in
            if listed.log == live { end = max(end, listed.range.end) }
            // A replay that began since has read the same Bronze: what it made of these records is known by their offsets.
            if let done = known.lookedTo, listed.log != live || listed.range.end <= done { return true }
            if isStopped() { throw .erasure("the erasure \(id) was stopped while it looked through \(self.source)") }
            places += try self.places(in: listed, match, of: id)
            return true
        }
        part.add(places)
        guard end > known.lookedTo ?? 0 else { return part }
        try log.append(.found(id: id, source, part.records, nextOffset: end))
        part.lookedTo = end
        return part
    }

    /// What an erasure would find: nothing is changed, and no lock taken.
    ///
    /// - Parameters:
    ///   - mention: whether something of what is erased stands in a line that is not its own.
    ///   - report: called for each line that would go, and for each that only mentions it.
    package func look(
        _ match: ErasureMatch, mention: (ArraySlice<UInt8>) -> Bool,
        _ report: (Layer, _ generation: Int64?, _ offset: Int64, _ isMention: Bool) -> Void
    ) throws(LakeError) {
        var part = ErasureState.Part()
        var sealedEnd: Int64 = 0
        let live = layout.commitLog(source)
        try reader.forEachSealedFile(source) { listed throws(LakeError) in
            if listed.log == live { sealedEnd = max(sealedEnd, listed.range.end) }
            part.add(try self.places(in: listed, match, of: nil))
            return true
        }
        let growing = try growingRange(from: sealedEnd)
        let generations = try GenerationLog(layout: layout).read().filter(\.isFed).map(\.number)
        var places: [OffsetRange] = []
        try reader.forEachLine(.bronze, generation: nil, source: source, range: growing) { offset, line in
            if let record = BronzeLine.read(line), record.erasure == nil, match.record(record),
                let range = OffsetRange(start: offset, end: offset + 1)
            {
                places.append(range)
            }
            return true
        }
        part.add(places)
        let records = part
        func tell(_ layer: Layer, _ generation: Int64?, _ offset: Int64, _ line: ArraySlice<UInt8>) {
            if records.contains(offset) {
                report(layer, generation, offset, false)
            } else if mention(line) {
                report(layer, generation, offset, true)
            }
        }
        try reader.forEachSealedFile(source) { listed throws(LakeError) in
            try self.forEachLine(of: listed) { tell(listed.name.layer, listed.name.generation, $0, $1) }
            return true
        }
        for layer in Layer.allCases {
            for generation in layer == .bronze ? [nil] : generations.map(Optional.some) {
                try reader.forEachLine(layer, generation: generation, source: source, range: growing) { offset, line in
                    tell(layer, generation, offset, line)
                    return true
                }
            }
        }
    }

    /// Offsets of the hour that grows.
    private func growingRange(from sealedEnd: Int64) throws(LakeError) -> OffsetRange {
        guard let committed = try reader.committedRange(source) else { return .empty(at: sealedEnd) }
        return OffsetRange(start: max(sealedEnd, committed.start), end: committed.end) ?? .empty(at: committed.end)
    }

    /// - Parameter id: the erasure's; what is left of its records is of it, too, should the log have lost them with the machine's power.
    private func places(
        in listed: ListedFile, _ match: ErasureMatch, of id: String?
    ) throws(LakeError) -> [OffsetRange] {
        var part = ErasureState.Part()
        var found: [OffsetRange] = []
        try forEachLine(of: listed) { offset, line throws(LakeError) in
            let isOne: Bool
            switch listed.name.layer {
            case .bronze, .quarantine:
                isOne =
                    BronzeLine.read(line).map { record in
                        record.erasure.map { $0 == id } ?? match.record(record)
                    } ?? false
            case .silver, .gold: isOne = match.derived(line)
            }
            guard isOne, let range = OffsetRange(start: offset, end: offset + 1) else { return }
            if found.last?.end == offset { found[found.count - 1].end = range.end } else { found.append(range) }
        }
        part.add(found)
        return part.records
    }

    /// Lends every line of a sealed file, wherever that is; none of one that retention gave up.
    private func forEachLine(
        of listed: ListedFile, _ body: (Int64, ArraySlice<UInt8>) throws(LakeError) -> Void
    ) throws(LakeError) {
        let file = listed.file
        let bytes: DataFileBytes
        do throws(LakeError) {
            bytes = try SealedFileSource(layout: layout).open(listed.name, contentSHA256: file.contentSHA256)
        } catch {
            guard case .expired = error else { throw error }
            return
        }
        guard try bytes.size() == file.bytes else {
            throw .damaged(path: bytes.place, reason: "it has another length than the \(file.bytes) bytes of its log")
        }
        for (index, frame) in file.frames.enumerated() {
            let end = index + 1 < file.frames.count ? file.frames[index + 1].start : file.bytes
            let text = try FrameReader.text(of: bytes, start: frame.start, end: end)
            try LineScan.forEachLine(text) { line throws(LakeError) in
                guard let offset = LineScan.offset(of: line, layer: listed.name.layer) else {
                    throw .damaged(path: bytes.place, reason: "a line tells no source offset")
                }
                try body(offset, line)
                return true
            }
        }
    }

    // MARK: - Preparing

    /// Writes the new files beside the old ones, and notes each in the plan.
    ///
    /// - Parameter isOver: asked before each file; what is prepared is kept, and the next call prepares the rest.
    /// - Throws: ``LakeError/erasure(_:)`` where it was over before all were prepared.
    func prepare(
        _ id: String, _ part: ErasureState.Part, isOver: () -> Bool = { false }
    ) throws(LakeError) {
        guard !part.records.isEmpty else { return }
        let planned = Dictionary(
            try ErasurePlan(layout: layout, source: source).entries(of: id).map { ($0.name, $0) },
            uniquingKeysWith: { $1 })
        try reader.forEachSealedFile(source) { listed throws(LakeError) in
            guard part.meets(listed.range) else { return true }
            let former = planned[listed.name]
            // One that was prepared before more records of its range were found is prepared again.
            if let former, former.records == part.count(in: listed.range),
                [former.rewrite.oldContentSHA256, former.rewrite.file.contentSHA256].contains(
                    listed.file.contentSHA256)
            {
                return true
            }
            if isOver() {
                throw .erasure("the erasure \(id) has prepared some files of \(self.source); it resumes with the next")
            }
            try self.prepare(id, part, listed, instead: former)
            return true
        }
    }

    private func prepare(
        _ id: String, _ part: ErasureState.Part, _ listed: ListedFile, instead former: ErasurePlan.Entry?
    ) throws(LakeError) {
        var gone = 0
        let isBronze = listed.name.layer == .bronze
        try forEachLine(of: listed) { offset, line throws(LakeError) in
            guard part.contains(offset) else { return }
            if !isBronze || BronzeLine.read(line)?.erasure == nil { gone += 1 }
        }
        guard gone > 0, let seal = try CommitLog(reading: listed.log).seal(ofFiles: listed.range.start) else { return }
        var writer = try SealedFileWriter(layout: layout, name: listed.name, at: layout.rewritingFile(listed.name))
        try forEachLine(of: listed) { offset, line throws(LakeError) in
            guard part.contains(offset) else { return try writer.append(line: line) }
            guard isBronze else { return }
            let left = BronzeLine.erased(line, topic: source.topic, partition: source.partition, by: id)
            try writer.append(line: left.map { $0[...] } ?? line)
        }
        let file = try writer.prepareRewrite()
        var record = CommitRecord(
            kind: .rewrite, range: .empty(at: seal.range.end), hour: seal.hour, brokerTimeMax: seal.brokerTimeMax,
            firstOffset: seal.firstOffset)
        record.timeReset = seal.timeReset
        record.rewrite = FileRewrite(
            reason: "erasure", request: id, oldContentSHA256: listed.file.contentSHA256, file: file)
        let replay = listed.log == layout.commitLog(source) ? nil : listed.name.generation
        try ErasurePlan(layout: layout, source: source).append(
            id, replay: replay, lines: gone, records: part.count(in: listed.range), record)
        // One that it replaces holds records that were found since. Where a log names that already it is the sealed file, and stays for
        // now.
        guard let old = former?.rewrite.file.contentSHA256,
            ![file.contentSHA256, listed.file.contentSHA256].contains(old),
            try !plannedByOthers(id).contains(old)
        else { return }
        let path = layout.rewrittenFile(listed.name, contentSHA256: old)
        try LakeError.placed(path) { try Folder.removeIfPresent(path) }
    }

    /// What other erasures have prepared, by SHA-256.
    private func plannedByOthers(_ id: String) throws(LakeError) -> Set<String> {
        let plan = ErasurePlan(layout: layout, source: source)
        var contents: Set<String> = []
        for state in try log.unfinished(source) where state.erasure.id != id {
            contents.formUnion(try plan.entries(of: state.erasure.id).map(\.rewrite.file.contentSHA256))
        }
        return contents
    }

    // MARK: - Installing

    /// Says in the commit logs what was prepared, and puts the new files in the old ones' place.
    ///
    /// - Parameters:
    ///   - live: the topic partition's own log, open for writing.
    ///   - stamp: of the list of generations, from before the files were prepared: a replay that began since has read the old ones.
    func install(_ id: String, live: inout CommitLog, since stamp: FileStamp?) throws(LakeError) {
        let generations = GenerationLog(layout: layout)
        if let making = try generations.read().first(where: { $0.state == .created }) {
            throw .erasure(
                "a replay makes generation \(making.number) of records that are to be erased; once it is done, or pruned, the "
                    + "erasure \(id) goes on")
        }
        let plan = ErasurePlan(layout: layout, source: source)
        // Its writer may have been killed before it was durable, and the next steps depend on it.
        try plan.makeDurable()
        let entries = try plan.entries(of: id)
        try generations.unchanged(since: stamp) { () throws(LakeError) in
            try install(id, entries, live: &live)
        }
    }

    private func install(
        _ id: String, _ entries: [ErasurePlan.Entry], live: inout CommitLog
    ) throws(LakeError) {
        // The live log comes last: its Bronze says which lines of others must not be there.
        for (replay, planned) in Dictionary(grouping: entries, by: \.replay).sorted(by: { $0.key ?? 0 > $1.key ?? 0 }) {
            guard let replay else { continue }
            var log = try CommitLog.writing(layout.commitLog(source, replay: replay), in: layout)
            try say(planned, in: &log)
            try replace(planned)
        }
        let own = entries.filter { $0.replay == nil }
        try say(own, in: &live)
        try replace(own)
        let lines = entries.reduce(0) { $0 + ($1.name.layer == .bronze ? $1.lines : 0) }
        try log.append(.rewritten(id: id, source, files: entries.count, lines: lines))
    }

    private func say(_ planned: [ErasurePlan.Entry], in log: inout CommitLog) throws(LakeError) {
        var missing: [CommitRecord] = []
        for entry in planned {
            let sealed = try log.seal(ofFiles: entry.record.firstOffset)?.sealed.first {
                $0.layer == entry.name.layer && $0.generation == entry.name.generation
            }
            switch sealed?.contentSHA256 {
            case entry.rewrite.file.contentSHA256: break
            case entry.rewrite.oldContentSHA256: missing.append(entry.record)
            default:
                throw .damaged(
                    path: log.path,
                    reason: "it names another file for offsets from \(entry.record.firstOffset) than was "
                        + "prepared for an erasure")
            }
        }
        try log.insert(missing)
    }

    private func replace(_ planned: [ErasurePlan.Entry]) throws(LakeError) {
        var folders: Set<String> = []
        let expiries = try RetentionLog(layout: layout, source: source).read()
        for entry in planned {
            let path = layout.rewrittenFile(entry.name, contentSHA256: entry.rewrite.file.contentSHA256)
            folders.insert(layout.folder(of: entry.name))
            do throws(FileError) {
                // What retention gave up since it was prepared stays away.
                if expiries.contains(where: { $0.covers(entry.name) }) {
                    try Folder.removeIfPresent(path)
                } else if Folder.exists(path) {
                    try Folder.rename(path, to: layout.dataFile(entry.name))
                }
            } catch {
                throw .file(error)
            }
        }
        do throws(FileError) { try HourFiles.sync(folders) } catch { throw .file(error) }
    }

    // MARK: - The object storage

    /// Takes the old files out of the object storage where some were moved there, and closes the erasure here.
    ///
    /// - Parameter now: the machine's clock, in milliseconds since 1970.
    /// - Throws: ``LakeError/locked(source:path:holder:)`` while another process moves or removes files;
    ///   ``LakeError/storage(_:)``.
    package func finish(_ id: String, now: Int64) throws(LakeError) {
        let lock = try UpkeepLock(source, in: layout)
        defer { withExtendedLifetime(lock) {} }
        guard let state = try state(id), state.isRewritten, !state.isDone else { return }
        let plan = ErasurePlan(layout: layout, source: source)
        var remaining: [String] = []
        let needed = try plannedByOthers(id)
        for entry in try plan.entries(of: id) {
            try PreparedFiles(layout: layout).remove(of: entry.name, except: needed)
            remaining += try ErasedObject(layout: layout, entry: entry).replace()
        }
        try log.append(.done(id: id, source, remaining: remaining, atMilliseconds: now))
        try plan.remove(id)
    }
}
