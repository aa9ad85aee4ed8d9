import Bytes
package import Events
package import JSONScan

/// A run of bytes in a data file and the lines it holds.
package struct ByteRange: Equatable, Sendable {
    package var start: Int
    package var end: Int
    package var lines: Int
    /// CRC-32C of the bytes; 0 where there are none, nil in entries of version 1. A frame's own checksum covers its
    /// content only: bits that no decoder looks at would go unnoticed.
    package var checksum: UInt32?

    package init(start: Int, end: Int, lines: Int, checksum: UInt32?) {
        self.start = start
        self.end = end
        self.lines = lines
        self.checksum = checksum
    }

    /// Whether nothing was written.
    package var isEmpty: Bool { start == end }
}

/// What one commit wrote for one generation.
package struct GenerationPart: Equatable, Sendable {
    package var generation: Int64
    package var logicVersion: String
    /// The first Bronze offset of the hour in this generation's files.
    package var firstOffset: Int64
    package var silver: ByteRange
    package var gold: ByteRange
    package var quarantine: ByteRange
    /// Rejected records by rule.
    package var rejects: [String: Int]

    /// The bytes of one derived layer.
    package func range(_ layer: Layer) -> ByteRange {
        switch layer {
        case .silver: silver
        case .gold: gold
        case .bronze, .quarantine: quarantine
        }
    }
}

/// One entry of a commit log, the truth about a topic partition (`schemas/commit.schema.json`).
package struct CommitRecord: Equatable, Sendable {
    /// What the entry is about.
    package enum Kind: String, Sendable {
        /// Offsets were taken in.
        case commit
        /// A generation is fed from `range.end` on.
        case handover
        /// The hour's files were sealed.
        case seal
    }

    /// What the entry is about.
    package var kind: Kind
    /// The offsets taken in; of a seal, those of the hour; of a handover, empty.
    package var range: OffsetRange
    /// Offsets before `range` that the broker never delivered.
    package var gap: OffsetRange?
    /// Why there is a gap, in words for people; nil where nobody knows.
    package var gapReason: String?
    package var hour: LakeHour
    /// The largest broker time so far in the topic partition, in milliseconds.
    package var brokerTimeMax: Int64
    /// The first Bronze offset of the hour, which names the files.
    package var firstOffset: Int64
    package var bronze: ByteRange
    package var duplicates: Int
    package var canaries: Int
    /// SHA-256 of the last record's value; empty for a tombstone. Compared at start to notice a topic made anew.
    package var lastSHA256: String
    package var parts: [GenerationPart]
    /// Of a handover: the generation.
    package var handover: Int64?
    /// Of a seal: what was sealed.
    package var sealed: [SealedFile]

    package init(kind: Kind, range: OffsetRange, hour: LakeHour, brokerTimeMax: Int64, firstOffset: Int64) {
        self.kind = kind
        self.range = range
        self.hour = hour
        self.brokerTimeMax = brokerTimeMax
        self.firstOffset = firstOffset
        bronze = ByteRange(start: 0, end: 0, lines: 0, checksum: 0)
        duplicates = 0
        canaries = 0
        lastSHA256 = ""
        parts = []
        sealed = []
    }
}

/// A sealed file with its frame index.
package struct SealedFile: Equatable, Sendable {
    package var layer: Layer
    package var generation: Int64?
    package var firstOffset: Int64
    package var bytes: Int
    package var lines: Int
    /// SHA-256 of the lines, not of the compressed bytes: it stays when the libzstd version changes.
    package var contentSHA256: String
    /// CRC-32C of the file's bytes; nil in entries of version 1.
    package var checksum: UInt32?
    /// For each frame the source offset of its first line and where it begins in the file.
    package var frames: [(offset: Int64, start: Int)]

    package static func == (left: SealedFile, right: SealedFile) -> Bool {
        left.layer == right.layer && left.generation == right.generation && left.firstOffset == right.firstOffset
            && left.bytes == right.bytes && left.lines == right.lines && left.contentSHA256 == right.contentSHA256
            && left.checksum == right.checksum && left.frames.elementsEqual(right.frames, by: ==)
    }
}

extension CommitRecord {
    /// The record as one JSON object with fixed order.
    package var json: [UInt8] {
        var json = JSONWriter(capacity: 768)
        json.beginObject()
        json.key("kind")
        json.string(kind.rawValue)
        json.key("start_offset")
        json.integer(range.start)
        json.key("next_offset")
        json.integer(range.end)
        if let gap {
            json.key("gap_start")
            json.integer(gap.start)
            if let gapReason {
                json.key("gap_reason")
                json.string(gapReason)
            }
        }
        json.key("hour")
        json.integer(hour.number)
        json.key("broker_time_max_ms")
        json.integer(brokerTimeMax)
        json.key("first_offset")
        json.integer(firstOffset)
        switch kind {
        case .commit: writeCommit(to: &json)
        case .handover:
            json.key("generation")
            json.integer(handover ?? 0)
        case .seal: writeSeal(to: &json)
        }
        json.endObject()
        return json.bytes
    }

    private func writeCommit(to json: inout JSONWriter) {
        json.key("bronze")
        Self.write(bronze, to: &json)
        json.key("duplicates")
        json.integer(duplicates)
        json.key("canaries")
        json.integer(canaries)
        json.key("last_sha256")
        json.string(lastSHA256)
        json.key("generations")
        json.beginArray()
        for part in parts {
            json.beginObject()
            json.key("generation")
            json.integer(part.generation)
            json.key("logic_version")
            json.string(part.logicVersion)
            json.key("first_offset")
            json.integer(part.firstOffset)
            json.key("silver")
            Self.write(part.silver, to: &json)
            json.key("gold")
            Self.write(part.gold, to: &json)
            json.key("quarantine")
            Self.write(part.quarantine, to: &json)
            json.key("rejects")
            json.beginObject()
            for (rule, count) in part.rejects.sorted(by: { $0.key < $1.key }) {
                json.key(dynamic: rule)
                json.integer(count)
            }
            json.endObject()
            json.endObject()
        }
        json.endArray()
    }

    private func writeSeal(to json: inout JSONWriter) {
        json.key("files")
        json.beginArray()
        for file in sealed {
            json.beginObject()
            json.key("layer")
            json.string(file.layer.rawValue)
            json.key("generation")
            if let generation = file.generation { json.integer(generation) } else { json.null() }
            json.key("first_offset")
            json.integer(file.firstOffset)
            json.key("bytes")
            json.integer(file.bytes)
            json.key("lines")
            json.integer(file.lines)
            json.key("content_sha256")
            json.string(file.contentSHA256)
            if let checksum = file.checksum {
                json.key("crc32c")
                json.integer(checksum)
            }
            json.key("frames")
            json.beginArray()
            for frame in file.frames {
                json.beginArray()
                json.integer(frame.offset)
                json.integer(frame.start)
                json.endArray()
            }
            json.endArray()
            json.endObject()
        }
        json.endArray()
    }

    private static func write(_ range: ByteRange, to json: inout JSONWriter) {
        json.beginArray()
        json.integer(range.start)
        json.integer(range.end)
        json.integer(range.lines)
        if let checksum = range.checksum { json.integer(checksum) }
        json.endArray()
    }

    /// Reads a record; nil where a field is missing or of another type.
    package init?(_ value: JSONValue) {
        guard let kind = value["kind"]?.string.flatMap(Kind.init), let start = value["start_offset"]?.integer,
            let end = value["next_offset"]?.integer, let range = OffsetRange(start: start, end: end),
            let hour = value["hour"]?.integer, let timeMax = value["broker_time_max_ms"]?.integer,
            let firstOffset = value["first_offset"]?.integer
        else { return nil }
        self.init(
            kind: kind, range: range, hour: LakeHour(number: hour), brokerTimeMax: timeMax, firstOffset: firstOffset)
        gap = value["gap_start"]?.integer.flatMap { OffsetRange(start: $0, end: start) }
        gapReason = value["gap_reason"]?.string
        switch kind {
        case .commit:
            guard let bronze = Self.byteRange(value["bronze"]), let sha = value["last_sha256"]?.string,
                let generations = value["generations"]?.array
            else { return nil }
            self.bronze = bronze
            lastSHA256 = sha
            duplicates = Int(value["duplicates"]?.integer ?? 0)
            canaries = Int(value["canaries"]?.integer ?? 0)
            for generation in generations {
                guard let part = Self.part(generation) else { return nil }
                parts.append(part)
            }
        case .handover:
            guard let generation = value["generation"]?.integer else { return nil }
            handover = generation
        case .seal:
            for file in value["files"]?.array ?? [] {
                guard let sealedFile = Self.sealedFile(file) else { return nil }
                sealed.append(sealedFile)
            }
        }
    }

    private static func part(_ value: JSONValue) -> GenerationPart? {
        guard let generation = value["generation"]?.integer, let logicVersion = value["logic_version"]?.string,
            let firstOffset = value["first_offset"]?.integer, let silver = byteRange(value["silver"]),
            let gold = byteRange(value["gold"]), let quarantine = byteRange(value["quarantine"])
        else { return nil }
        var rejects: [String: Int] = [:]
        for (rule, count) in value["rejects"]?.object ?? [] { rejects[rule] = Int(count.integer ?? 0) }
        return GenerationPart(
            generation: generation, logicVersion: logicVersion, firstOffset: firstOffset, silver: silver, gold: gold,
            quarantine: quarantine, rejects: rejects)
    }

    private static func sealedFile(_ value: JSONValue) -> SealedFile? {
        guard let layer = value["layer"]?.string.flatMap(Layer.init), let firstOffset = value["first_offset"]?.integer,
            let bytes = value["bytes"]?.integer, let lines = value["lines"]?.integer,
            let sha = value["content_sha256"]?.string, let checksum = Self.checksum(value["crc32c"]),
            let frames = value["frames"]?.array
        else { return nil }
        var index: [(offset: Int64, start: Int)] = []
        for frame in frames {
            guard let pair = frame.array, pair.count == 2, let offset = pair[0].integer, let start = pair[1].integer
            else { return nil }
            index.append((offset, Int(start)))
        }
        return SealedFile(
            layer: layer, generation: value["generation"]?.integer, firstOffset: firstOffset, bytes: Int(bytes),
            lines: Int(lines), contentSHA256: sha, checksum: checksum, frames: index)
    }

    private static func byteRange(_ value: JSONValue?) -> ByteRange? {
        guard let parts = value?.array, parts.count == 3 || parts.count == 4, let start = parts[0].integer,
            let end = parts[1].integer, let lines = parts[2].integer,
            let checksum = checksum(parts.count == 4 ? parts[3] : nil)
        else { return nil }
        return ByteRange(start: Int(start), end: Int(end), lines: Int(lines), checksum: checksum)
    }

    /// The sum, or nil within where version 1 has none; nil where it is something else.
    private static func checksum(_ value: JSONValue?) -> UInt32?? {
        guard let value else { return .some(nil) }
        guard let sum = value.integer.flatMap({ UInt32(exactly: $0) }) else { return nil }
        return .some(sum)
    }
}
