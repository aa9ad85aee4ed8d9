import Bytes
package import Events
import Files
import Hashing
import JSONScan

/// One full result of one logic, as the lake knows it.
package struct LakeGeneration: Sendable, Equatable {
    package enum State: String, Sendable {
        /// Made, perhaps with a replay going on.
        case created
        /// Complete; may become the active one.
        case candidate
        case active
        /// Was active before.
        case previous
        /// Given up: no longer fed.
        case pruned
    }

    /// From 1; part of paths, headers and rows.
    package var number: Int64
    /// Whose files and rows it refers to outside what it replayed; nil for the first.
    package var parent: Int64?
    package var logicVersion: String
    /// The transform's settings as JSON text.
    package var settings: String
    package var state: State
    /// What was replayed, below the handover.
    package var replayed: [TopicPartition: OffsetRange] = [:]
    /// From which offset the stream job writes it. A topic partition that is missing is written by it from its start.
    package var handovers: [TopicPartition: Int64] = [:]

    package init(number: Int64, parent: Int64?, logicVersion: String, settings: String, state: State) {
        self.number = number
        self.parent = parent
        self.logicVersion = logicVersion
        self.settings = settings
        self.state = state
    }

    /// The stream job writes it.
    package var isFed: Bool { state != .pruned }
}

/// The lake's list of generations: an append-only log whose last word on each generation holds.
///
/// Appends are whole lines under a lock, so the stream job, a replay and a promotion may all write. Entries of another
/// kind say how many topic partitions a source topic has (``TopicSize``).
package struct GenerationLog: Sendable {
    package let path: String
    private static let bytesMax = 64 << 20

    package init(layout: LakeLayout) { path = layout.generationLog }

    /// The log's length in bytes, 0 when absent: a cheap way to notice news.
    package func size() -> Int {
        guard let file = try? File(path, .read), let size = try? file.size() else { return 0 }
        return size
    }

    /// All generations by number.
    package func read() throws(LakeError) -> [LakeGeneration] {
        guard Folder.exists(path) else { return [] }
        let bytes: [UInt8]
        do throws(FileError) { bytes = try File.contents(of: path, bytesMax: Self.bytesMax) } catch {
            throw .file(error)
        }
        return try parse(bytes)
    }

    /// The active generation, or nil in a new lake.
    package func active() throws(LakeError) -> LakeGeneration? {
        try read().last { $0.state == .active }
    }

    /// Makes the first generation, which is active at once, unless there is one.
    ///
    /// - Returns: the active generation.
    package func createFirst(logicVersion: String, settings: String) throws(LakeError) -> LakeGeneration {
        try update { generations throws(LakeError) in
            if let active = generations.last(where: { $0.state == .active }) { return (active, nil) }
            let first = LakeGeneration(
                number: 1, parent: nil, logicVersion: logicVersion, settings: settings, state: .active)
            return (first, first)
        }
    }

    /// Makes a child of `parent`; the stream job hands each topic partition over to it at its next commit.
    ///
    /// - Parameter number: a free one; nil for the next.
    package func createChild(
        of parent: Int64, number: Int64? = nil, logicVersion: String, settings: String
    ) throws(LakeError) -> LakeGeneration {
        try update { generations throws(LakeError) in
            let next = (generations.map(\.number).max() ?? 0) + 1
            if let number, generations.contains(where: { $0.number == number }) {
                throw .generation("the lake already has a generation \(number)")
            }
            let child = LakeGeneration(
                number: number ?? next, parent: parent, logicVersion: logicVersion, settings: settings, state: .created)
            return (child, child)
        }
    }

    /// Replaces what the log says of a generation.
    package func put(_ generation: LakeGeneration) throws(LakeError) {
        try update { _ in ((), generation) }
    }

    /// Makes `number` the active generation and the active one the previous; an older previous one stays fed until pruned.
    ///
    /// One entry says both, so that a crash never leaves the lake without an active generation.
    package func promote(_ number: Int64) throws(LakeError) {
        try update { generations throws(LakeError) in
            guard var promoted = generations.first(where: { $0.number == number }) else {
                throw .generation("there is no generation \(number); `medallion generations` lists them")
            }
            guard promoted.state != .active else { return ((), nil) }
            promoted.state = .active
            return ((), promoted)
        }
    }

    /// Runs `body` while nobody can add to the list, if its length is still the one given.
    ///
    /// - Throws: ``LakeError/generation(_:)`` where it changed.
    func unchanged(since size: Int, _ body: () throws(LakeError) -> Void) throws(LakeError) {
        let lock = try LakeError.placed(path) {
            try Folder.create(Folder.parent(of: path), isDurable: false)
            return try heldLock()
        }
        guard self.size() == size else {
            throw .generation("the list of generations has just changed; look at what would go once more")
        }
        try body()
        withExtendedLifetime(lock) {}
    }

    /// Waits for the lock, ten seconds at most.
    private func heldLock() throws -> File {
        var lock = try File(path + ".lock", .readWrite)
        let deadline = SystemClock.monotonicNanoseconds() + 10_000_000_000
        while try !lock.tryLock() {
            guard SystemClock.monotonicNanoseconds() < deadline else {
                throw LakeError.generation("\(path).lock has been held for 10 seconds; is another process stuck?")
            }
            Pause.milliseconds(5)
        }
        return lock
    }

    private func update<Result>(
        _ body: ([LakeGeneration]) throws(LakeError) -> (Result, LakeGeneration?)
    ) throws(LakeError) -> Result {
        try edit { bytes throws(LakeError) in
            let (result, change) = try body(try parse(bytes))
            return (result, change.map { Self.json($0) })
        }
    }

    /// Lets `body` see the whole log and add an entry, while nobody else does.
    func edit<Result>(
        _ body: ([UInt8]) throws(LakeError) -> (Result, [UInt8]?)
    ) throws(LakeError) -> Result {
        do {
            try Folder.create(Folder.parent(of: path), isDurable: false)
            let lock = try heldLock()
            defer { withExtendedLifetime(lock) {} }
            let file = try File(path, .readWrite)
            var size = try file.size()
            let bytes = try file.read(at: 0, count: size)
            // A torn last line was never acknowledged.
            let whole = bytes.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
            if whole < size {
                try file.truncate(to: whole)
                size = whole
            }
            let (result, change) = try body(Array(bytes[..<whole]))
            if let change {
                try LogLine.encode(change).withUnsafeBytes { line in try file.write(line, at: size) }
            }
            do {
                // Also without a change: what is there may be the work of a process that was killed before it was durable.
                try file.sync()
                try Folder.syncNames(from: Folder.parent(of: path), upTo: Folder.parent(of: Folder.parent(of: path)))
            }
            return result
        } catch {
            throw LakeError(error, path: path)
        }
    }

    private func parse(_ bytes: [UInt8]) throws(LakeError) -> [LakeGeneration] {
        var generations: [Int64: LakeGeneration] = [:]
        var start = 0
        while let end = bytes[start...].firstIndex(of: 0x0A) {
            let value = LogLine.decode(bytes[start..<end])
            if let value, TopicSize.isOne(value) {
                start = end + 1
                continue
            }
            guard let value, let generation = Self.generation(value) else {
                throw .damaged(path: path, reason: "the entry at byte \(start) does not match its checksum")
            }
            // There is one active generation: the last that became it.
            if generation.state == .active {
                for number in generations.keys where generations[number]?.state == .active {
                    generations[number]?.state = .previous
                }
            }
            generations[generation.number] = generation
            start = end + 1
        }
        return generations.values.sorted { $0.number < $1.number }
    }

    private static func json(_ generation: LakeGeneration) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("generation")
        json.integer(generation.number)
        json.key("parent")
        if let parent = generation.parent { json.integer(parent) } else { json.null() }
        json.key("state")
        json.string(generation.state.rawValue)
        json.key("logic_version")
        json.string(generation.logicVersion)
        json.key("settings")
        json.string(generation.settings)
        json.key("replayed")
        json.beginArray()
        for (source, range) in generation.replayed.sorted(by: { $0.key < $1.key }) {
            write(source, [range.start, range.end], to: &json)
        }
        json.endArray()
        json.key("handovers")
        json.beginArray()
        for (source, offset) in generation.handovers.sorted(by: { $0.key < $1.key }) {
            write(source, [offset], to: &json)
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    private static func write(_ source: TopicPartition, _ offsets: [Int64], to json: inout JSONWriter) {
        json.beginArray()
        json.string(source.topic)
        json.integer(source.partition)
        for offset in offsets { json.integer(offset) }
        json.endArray()
    }

    private static func generation(_ value: JSONValue) -> LakeGeneration? {
        guard let number = value["generation"]?.integer, let logicVersion = value["logic_version"]?.string,
            let settings = value["settings"]?.string,
            let state = value["state"]?.string.flatMap(LakeGeneration.State.init)
        else { return nil }
        var generation = LakeGeneration(
            number: number, parent: value["parent"]?.integer, logicVersion: logicVersion, settings: settings,
            state: state)
        for entry in value["replayed"]?.array ?? [] {
            guard let (source, offsets) = sourceAndOffsets(entry), offsets.count == 2,
                let range = OffsetRange(start: offsets[0], end: offsets[1])
            else { return nil }
            generation.replayed[source] = range
        }
        for entry in value["handovers"]?.array ?? [] {
            guard let (source, offsets) = sourceAndOffsets(entry), offsets.count == 1 else { return nil }
            generation.handovers[source] = offsets[0]
        }
        return generation
    }

    private static func sourceAndOffsets(_ value: JSONValue) -> (TopicPartition, [Int64])? {
        guard let parts = value.array, parts.count >= 3, let topic = parts[0].string,
            let partition = parts[1].integer.flatMap({ Int32(exactly: $0) })
        else { return nil }
        let offsets = parts[2...].compactMap(\.integer)
        guard offsets.count == parts.count - 2 else { return nil }
        return (TopicPartition(topic: topic, partition: partition), offsets)
    }
}
