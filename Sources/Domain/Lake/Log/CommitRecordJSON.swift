import Bytes
package import JSONScan
import Records

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
        if let timeReset {
            json.key("time_reset_offset")
            json.integer(timeReset)
        }
        json.key("first_offset")
        json.integer(firstOffset)
        switch kind {
        case .commit: writeCommit(to: &json)
        case .handover:
            json.key("generation")
            json.integer(handover ?? 0)
        case .seal:
            json.key("files")
            json.beginArray()
            for file in sealed { Self.write(file, to: &json) }
            json.endArray()
        case .format:
            json.key("format")
            json.integer(format ?? Self.formatVersion)
        case .rewrite: writeRewrite(to: &json)
        // Never written anew: what this version does not know goes over byte for byte.
        case .unknown: break
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
        if timesAhead > 0 {
            json.key("times_ahead")
            json.integer(timesAhead)
        }
        if let committed {
            json.integer("committed_at_ms", committed.at)
            if committed.from != committed.at { json.integer("committed_from_ms", committed.from) }
        }
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

    private func writeRewrite(to json: inout JSONWriter) {
        guard let rewrite else { return }
        json.key("reason")
        json.string(rewrite.reason)
        json.key("request")
        json.string(rewrite.request)
        json.key("old_content_sha256")
        json.string(rewrite.oldContentSHA256)
        json.key("file")
        Self.write(rewrite.file, to: &json)
    }

    private static func write(_ file: SealedFile, to json: inout JSONWriter) {
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

    private static func write(_ range: ByteRange, to json: inout JSONWriter) {
        json.beginArray()
        json.integer(range.start)
        json.integer(range.end)
        json.integer(range.lines)
        if let checksum = range.checksum { json.integer(checksum) }
        json.endArray()
    }

    /// Why this version cannot take an entry, in words that follow "the entry"; nil where it can.
    ///
    /// Kinds are an open set: one that this version does not know is passed over where it says `"optional":true`.
    static func refusal(of value: JSONValue) -> String? {
        guard let name = value["kind"]?.string else { return nil }
        guard let kind = Kind(rawValue: name), kind != .unknown else {
            return value["optional"]?.bool == true ? nil : "is of the kind `\(name)`"
        }
        if kind == .format, let format = value["format"]?.integer, format > formatVersion {
            return "says that the lake has format \(format) from there on"
        }
        return nil
    }

    /// Reads a record; nil where a field is missing or of another type.
    package init?(_ value: JSONValue) {
        guard let kind = value["kind"]?.string, let start = value["start_offset"]?.integer,
            let end = value["next_offset"]?.integer, let range = OffsetRange(start: start, end: end),
            let hour = value["hour"]?.integer, let timeMax = value["broker_time_max_ms"]?.integer,
            let firstOffset = value["first_offset"]?.integer
        else { return nil }
        self.init(
            kind: Kind(rawValue: kind) ?? .unknown, range: range, hour: LakeHour(number: hour), brokerTimeMax: timeMax,
            firstOffset: firstOffset)
        timeReset = value["time_reset_offset"]?.integer
        gap = value["gap_start"]?.integer.flatMap { OffsetRange(start: $0, end: start) }
        gapReason = value["gap_reason"]?.string
        guard readMembers(value) else { return nil }
    }

    /// - Returns: false where a member of the kind is missing or of another type.
    private mutating func readMembers(_ value: JSONValue) -> Bool {
        switch kind {
        case .commit: return readCommit(value)
        case .handover:
            handover = value["generation"]?.integer
            return handover != nil
        case .seal:
            for file in value["files"]?.array ?? [] {
                guard let sealedFile = Self.sealedFile(file) else { return false }
                sealed.append(sealedFile)
            }
            return true
        case .format:
            format = value["format"]?.integer
            return format != nil
        case .rewrite:
            guard let reason = value["reason"]?.string, let request = value["request"]?.string,
                let old = value["old_content_sha256"]?.string, let file = value["file"].flatMap(Self.sealedFile)
            else { return false }
            rewrite = FileRewrite(reason: reason, request: request, oldContentSHA256: old, file: file)
            return true
        case .unknown: return true
        }
    }

    private mutating func readCommit(_ value: JSONValue) -> Bool {
        guard let bronze = Self.byteRange(value["bronze"]), let sha = value["last_sha256"]?.string,
            let generations = value["generations"]?.array
        else { return false }
        self.bronze = bronze
        lastSHA256 = sha
        duplicates = Int(value["duplicates"]?.integer ?? 0)
        canaries = Int(value["canaries"]?.integer ?? 0)
        timesAhead = Int(value["times_ahead"]?.integer ?? 0)
        if let at = value["committed_at_ms"]?.integer {
            committed = CommitTime(from: value["committed_from_ms"]?.integer ?? at, at: at)
        }
        for generation in generations {
            guard let part = Self.part(generation) else { return false }
            parts.append(part)
        }
        return true
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
