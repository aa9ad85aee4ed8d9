import Bytes
package import Files
import JSONScan
package import Records

/// One step of an erasure, as the lake's log has it (`schemas/erasure.schema.json`).
package enum ErasureEntry: Sendable, Equatable {
    /// It was asked for, over these topic partitions. Steps of each follow.
    case erase(Erasure, parts: [TopicPartition])
    /// The records in these ranges are its; below `nextOffset` everything was looked through.
    case found(id: String, TopicPartition, [OffsetRange], nextOffset: Int64)
    /// No file of the lake's folder holds them any more.
    case rewritten(id: String, TopicPartition, files: Int, lines: Int)
    /// Nor does the object storage. `remaining` names what is kept there all the same, and why.
    case done(id: String, TopicPartition, remaining: [String], atMilliseconds: Int64)
}

/// How far an erasure is in the lake.
package struct ErasureState: Sendable, Equatable {
    /// How far it is in one topic partition.
    package struct Part: Sendable, Equatable {
        /// The records that are erased, in order and apart from one another.
        package internal(set) var records: [OffsetRange] = []
        /// Below this everything was looked through; nil while nothing was.
        package internal(set) var lookedTo: Int64?
        package internal(set) var files = 0
        package internal(set) var lines = 0
        package internal(set) var isRewritten = false
        package internal(set) var isDone = false
        /// What the object storage keeps all the same, and why.
        package internal(set) var remaining: [String] = []
        /// When it was done, in milliseconds since 1970; nil while it is not.
        package internal(set) var doneAtMilliseconds: Int64?

        /// Records that are erased.
        package var count: Int64 { records.reduce(0) { $0 + $1.count } }

        /// Whether a record is one of those.
        package func contains(_ offset: Int64) -> Bool {
            guard let range = records[..<firstIndex(beyond: offset)].last else { return false }
            return range.contains(offset)
        }

        /// Whether one of those lies in a range.
        package func meets(_ range: OffsetRange) -> Bool {
            let next = firstIndex(beyond: range.start)
            return next > 0 && records[next - 1].end > range.start
                || next < records.count && records[next].start < range.end
        }

        /// How many of those lie in a range.
        func count(in range: OffsetRange) -> Int64 {
            var count: Int64 = 0
            var next = max(firstIndex(beyond: range.start) - 1, 0)
            while next < records.count, records[next].start < range.end {
                count += max(min(records[next].end, range.end) - max(records[next].start, range.start), 0)
                next += 1
            }
            return count
        }

        /// The first range that begins behind an offset.
        private func firstIndex(beyond offset: Int64) -> Int {
            var (low, high) = (0, records.count)
            while low < high {
                let middle = (low + high) / 2
                if records[middle].start <= offset { low = middle + 1 } else { high = middle }
            }
            return low
        }

        /// Takes ranges in, which may come in any order and more than once.
        mutating func add(_ ranges: [OffsetRange]) { records = OffsetRange.joined(records + ranges) }
    }

    /// What was asked for.
    package let erasure: Erasure
    /// How far it is in each of its topic partitions.
    package internal(set) var parts: [TopicPartition: Part]

    /// Whether it is done in all of the lake.
    package var isDone: Bool { parts.values.allSatisfy(\.isDone) }
    /// Its records, in order.
    package var records: [(source: TopicPartition, range: OffsetRange)] {
        parts.sorted { $0.key < $1.key }.flatMap { part in part.value.records.map { (part.key, $0) } }
    }
    /// Of each of its topic partitions the offset below which everything was looked through.
    package var lookedTo: [TopicPartition: Int64] { parts.compactMapValues(\.lookedTo) }
    /// Whether all of its records are known.
    package var isFound: Bool { parts.values.allSatisfy(\.isRewritten) }
}

/// What was erased from the lake, and how far that is: `_erasures.log`, only appended to. It names no one: of a page or a user it
/// has the SHA-256. A restored database learns from it what is erased.
package struct ErasureLog: Sendable {
    /// Where it lies.
    package let path: String
    private let layout: LakeLayout
    /// Some four million ranges of offsets; read as a whole.
    private static let bytesMax = 64 << 20
    /// Ranges of one entry.
    private static let rangesMax = 2_000
    private static let lockSecondsMax: Int64 = 30

    package init(layout: LakeLayout) {
        self.layout = layout
        path = layout.erasureLog
    }

    private var log: RecordLog { RecordLog(path: path, bytesMax: Self.bytesMax) }

    /// What stands for the log as it is; nil where there is none.
    package func stamp() -> FileStamp? { FileStamp(path) }

    /// What is erased from every file of the lake's folder, in order: what an index has to apply.
    package func erased() throws(LakeError) -> [ErasureState] { try read().filter(\.isFound) }

    /// Every erasure, in order; none where nothing was ever erased.
    package func read() throws(LakeError) -> [ErasureState] {
        var states: [ErasureState] = []
        var places: [String: Int] = [:]
        for value in try log.read() {
            guard let entry = ErasureEntry(value) else {
                throw .damaged(path: path, reason: "an entry lacks a member")
            }
            if case .erase(let erasure, let parts) = entry {
                guard places[erasure.id] == nil else { continue }
                places[erasure.id] = states.count
                states.append(
                    ErasureState(
                        erasure: erasure,
                        parts: Dictionary(parts.map { ($0, ErasureState.Part()) }, uniquingKeysWith: { $1 })))
            } else if let place = places[entry.id] {
                states[place].take(entry)
            }
        }
        return states
    }

    /// Those that are not done in a topic partition, the oldest first.
    package func unfinished(_ source: TopicPartition) throws(LakeError) -> [ErasureState] {
        try read().filter { $0.parts[source].map { !$0.isDone } ?? false }
    }

    /// Appends an entry and makes it durable.
    ///
    /// - Throws: ``LakeError/erasure(_:)`` where others have held the log for half a minute.
    package func append(_ entry: ErasureEntry) throws(LakeError) {
        let lock = try HeldLock(
            path + ".lock", secondsMax: Self.lockSecondsMax,
            refusal: .erasure(
                "\(path).lock has been held for \(Self.lockSecondsMax) seconds: look who does, and try again"))
        defer { withExtendedLifetime(lock) {} }
        guard case .found(let id, let source, let ranges, let next) = entry, ranges.count > Self.rangesMax else {
            return try log.append(entry.json, in: layout)
        }
        // The last one alone says that all was looked through.
        var start = 0
        while start < ranges.count {
            let end = min(start + Self.rangesMax, ranges.count)
            let piece = ErasureEntry.found(
                id: id, source, Array(ranges[start..<end]), nextOffset: end == ranges.count ? next : 0)
            try log.append(piece.json, in: layout)
            start = end
        }
    }
}

extension ErasureState {
    fileprivate mutating func take(_ entry: ErasureEntry) {
        switch entry {
        case .erase: break
        case .found(_, let source, let ranges, let next):
            parts[source]?.add(ranges)
            let before = parts[source]?.lookedTo ?? 0
            if next > 0 { parts[source]?.lookedTo = max(next, before) }
        case .rewritten(_, let source, let files, let lines):
            parts[source]?.isRewritten = true
            parts[source]?.files = files
            parts[source]?.lines = lines
        case .done(_, let source, let remaining, let at):
            parts[source]?.isDone = true
            parts[source]?.remaining = remaining
            parts[source]?.doneAtMilliseconds = at
        }
    }
}

extension ErasureEntry {
    /// The erasure's id.
    package var id: String {
        switch self {
        case .erase(let erasure, _): erasure.id
        case .found(let id, _, _, _), .rewritten(let id, _, _, _), .done(let id, _, _, _): id
        }
    }

    /// One JSON object with fixed order.
    var json: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        func place(_ kind: String, _ id: String, _ source: TopicPartition) {
            json.string("kind", kind)
            json.string("id", id)
            json.string("topic", source.topic)
            json.integer("partition", source.partition)
        }
        switch self {
        case .erase(let erasure, let parts):
            json.string("kind", "erase")
            erasure.append(to: &json)
            json.key("parts")
            json.beginArray()
            for part in parts {
                json.beginArray()
                json.string(part.topic)
                json.integer(part.partition)
                json.endArray()
            }
            json.endArray()
        case .found(let id, let source, let ranges, let next):
            place("found", id, source)
            json.key("ranges")
            json.beginArray()
            for range in ranges {
                json.beginArray()
                json.integer(range.start)
                json.integer(range.end)
                json.endArray()
            }
            json.endArray()
            json.integer("next_offset", next)
        case .rewritten(let id, let source, let files, let lines):
            place("rewritten", id, source)
            json.integer("files", files)
            json.integer("lines", lines)
        case .done(let id, let source, let remaining, let at):
            place("done", id, source)
            json.key("remaining")
            json.beginArray()
            for text in remaining { json.string(text) }
            json.endArray()
            json.integer("at_ms", at)
        }
        json.endObject()
        return json.bytes
    }

    /// Nil where a member is missing or of another type.
    init?(_ value: JSONValue) {
        guard let kind = value["kind"]?.string, let id = value["id"]?.string else { return nil }
        if kind == "erase" {
            guard let erasure = Self.erasure(value, id), let list = value["parts"]?.array else { return nil }
            var parts: [TopicPartition] = []
            for pair in list {
                guard let pair = pair.array, pair.count == 2, let topic = pair[0].string,
                    let number = pair[1].integer.flatMap({ Int32(exactly: $0) })
                else { return nil }
                parts.append(TopicPartition(topic: topic, partition: number))
            }
            self = .erase(erasure, parts: parts)
            return
        }
        guard let topic = value["topic"]?.string,
            let number = value["partition"]?.integer.flatMap({ Int32(exactly: $0) })
        else { return nil }
        let source = TopicPartition(topic: topic, partition: number)
        switch kind {
        case "found":
            guard let next = value["next_offset"]?.integer, let list = value["ranges"]?.array else { return nil }
            var ranges: [OffsetRange] = []
            for pair in list {
                guard let pair = pair.array, pair.count == 2, let start = pair[0].integer, let end = pair[1].integer,
                    let range = OffsetRange(start: start, end: end)
                else { return nil }
                ranges.append(range)
            }
            self = .found(id: id, source, ranges, nextOffset: next)
        case "rewritten":
            guard let files = value["files"]?.integer, let lines = value["lines"]?.integer else { return nil }
            self = .rewritten(id: id, source, files: Int(files), lines: Int(lines))
        case "done":
            guard let list = value["remaining"]?.array, let at = value["at_ms"]?.integer else { return nil }
            self = .done(id: id, source, remaining: list.compactMap(\.string), atMilliseconds: at)
        default: return nil
        }
    }

    private static func erasure(_ value: JSONValue, _ id: String) -> Erasure? {
        guard let tenant = value["tenant"]?.string.flatMap({ TenantID($0) }),
            let kind = value["target"]?.string.flatMap({ ErasureTarget.Kind(rawValue: $0) }),
            let name = value["name_sha256"]?.string, let collection = value["collection"]?.string,
            let target = ErasureTarget(
                kind: kind, collection: collection, nameSHA256: name, wiki: value["wiki"]?.string),
            let reason = value["reason"]?.string, let by = value["by"]?.string, let at = value["at_ms"]?.integer
        else { return nil }
        return Erasure(id: id, tenant: tenant, target: target, reason: reason, by: by, atMilliseconds: at)
    }
}
