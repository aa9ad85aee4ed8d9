import Bytes
import Files
import JSONScan
package import Records

/// A run of sealed files of one layer and generation that were given up by retention.
package struct Expiry: Equatable, Sendable {
    package let layer: Layer
    /// nil for Bronze.
    package let generation: Int64?
    /// From the first offset that names a file of the run to the end of its last. Of Bronze it is always the oldest that
    /// goes.
    package let range: OffsetRange
    /// The rule, such as `older than 30d`.
    package let reason: String
    /// When it was recorded, in milliseconds since 1970, by the machine's clock.
    package let atMilliseconds: Int64
    /// Whether the files are gone, too.
    package let isRemoved: Bool
}

extension Expiry: CustomStringConvertible {
    /// Whether a file is one of those.
    func covers(_ name: DataFileName) -> Bool {
        layer == name.layer && generation == name.generation && range.contains(name.firstOffset)
    }

    package var description: String {
        "\(layer.rawValue)\(generation.map { " of generation \($0)" } ?? "") offsets \(range) expired by "
            + "retention at \(CivilTime.rfc3339(atMilliseconds)) (\(reason))"
    }

    /// The entry as one JSON object with fixed order (`schemas/retention.schema.json`).
    var json: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("kind")
        json.string(isRemoved ? "removed" : "expired")
        json.key("layer")
        json.string(layer.rawValue)
        json.key("generation")
        if let generation { json.integer(generation) } else { json.null() }
        json.key("start_offset")
        json.integer(range.start)
        json.key("next_offset")
        json.integer(range.end)
        json.key("reason")
        json.string(reason)
        json.key("at_ms")
        json.integer(atMilliseconds)
        json.endObject()
        return json.bytes
    }

    /// Nil where a field is missing or of another type.
    init?(_ value: JSONValue) {
        guard let kind = value["kind"]?.string, ["expired", "removed"].contains(kind),
            let layer = value["layer"]?.string.flatMap(Layer.init), let start = value["start_offset"]?.integer,
            let next = value["next_offset"]?.integer, let range = OffsetRange(start: start, end: next),
            let reason = value["reason"]?.string, let at = value["at_ms"]?.integer
        else { return nil }
        self.init(
            layer: layer, generation: value["generation"]?.integer, range: range, reason: reason,
            atMilliseconds: at, isRemoved: kind == "removed")
    }
}

/// What retention gave up of a topic partition. One entry before the first file goes and one after the last, so that
/// what is missing is told from what was given up, and a half done removal is finished by the next.
struct RetentionLog {
    private let layout: LakeLayout
    private let log: RecordLog

    init(layout: LakeLayout, source: TopicPartition) {
        self.layout = layout
        log = RecordLog(path: layout.retentionLog(source))
    }

    /// Every entry, in order.
    func read() throws(LakeError) -> [Expiry] {
        var expiries: [Expiry] = []
        for value in try log.read() {
            guard let expiry = Expiry(value) else {
                throw .damaged(path: log.path, reason: "an entry lacks a field")
            }
            expiries.append(expiry)
        }
        return expiries
    }

    /// What gave a file up; nil where nothing did.
    func expiry(of name: DataFileName) throws(LakeError) -> Expiry? {
        try read().last { $0.covers(name) }
    }

    /// Makes the entries durable: those of a process that was killed may not be.
    func makeDurable() throws(LakeError) { try log.makeDurable(in: layout) }

    func append(_ expiry: Expiry) throws(LakeError) {
        try log.append(expiry.json, in: layout)
    }
}

extension LakeReader {
    /// The last Bronze that was given up by retention; nil where none was. All before is gone, too.
    package func bronzeExpiry(_ source: TopicPartition) throws(LakeError) -> Expiry? {
        try RetentionLog(layout: layout, source: source).read().filter { $0.layer == .bronze }
            .max { $0.range.end < $1.range.end }
    }

    /// The offsets whose Bronze the lake still holds; nil where there is no commit log.
    package func heldRange(_ source: TopicPartition) throws(LakeError) -> OffsetRange? {
        guard let committed = try committedRange(source) else { return nil }
        let expired = try bronzeExpiry(source)?.range.end ?? committed.start
        return OffsetRange(start: min(max(committed.start, expired), committed.end), end: committed.end)
    }

    /// From where on a replay decides as the stream job did: the first offset whose whole duplicate window is held.
    ///
    /// - Parameters:
    ///   - windowOffsets: how many offsets before a record its copies are looked for.
    ///   - windowMilliseconds: how far back in broker time, in milliseconds. The narrower of the two bounds counts.
    package func replayableStart(
        _ source: TopicPartition, windowOffsets: Int64, windowMilliseconds: Int64
    ) throws(LakeError) -> Int64 {
        guard let expiry = try bronzeExpiry(source) else {
            return try committedRange(source)?.start ?? 0
        }
        let log = try CommitLog(reading: layout.commitLog(source))
        var start = expiry.range.end + windowOffsets
        if let last = try log.firstEntry(beyond: expiry.range.end - 1),
            let later = try log.firstEntry(atBrokerTime: last.record.brokerTimeMax + windowMilliseconds + 1)
        {
            start = min(start, later.range.end)
        }
        return max(expiry.range.end, start)
    }
}
