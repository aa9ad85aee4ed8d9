import Bytes
import Console
import JSONScan
import Lake
import Records

/// What `lake cat` shows when it shows more than one record.
struct LakeRangeOptions {
    private let from: Int64?
    private let to: Int64?
    private let since: Int64?
    private let until: Int64?
    /// Member names from the outside in, and the value as text.
    private let condition: (path: [String], value: String)?
    private let limit: Int

    var isRange: Bool { from != nil || to != nil || since != nil || until != nil }

    init(_ arguments: ParsedArguments) throws {
        from = try arguments.integer("--from", in: 0...Int.max).map(Int64.init)
        to = try arguments.integer("--to", in: 0...Int.max).map(Int64.init)
        since = try arguments.time("--since")
        until = try arguments.time("--until")
        limit = try arguments.integer("--limit", in: 1...Int.max) ?? Int.max
        condition = try arguments.value("--where").map { text in
            guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
                throw UsageError("--where is FIELD=VALUE, such as wiki=enwiki or value.type=edit")
            }
            return (text[..<equals].split(separator: ".").map(String.init), String(text[text.index(after: equals)...]))
        }
    }

    /// Writes the lines that lie in the range and fulfil the condition.
    ///
    /// Times are those of the broker, which the Bronze line has; of a derived line it is that of its record.
    func cat(_ reader: LakeReader, _ layer: Layer, generation: Int64?, _ source: TopicPartition, isRaw: Bool) throws {
        guard let held = try reader.committedRange(source) else { throw Failure("the lake holds no \(source)") }
        var start = max(held.start, from ?? held.start)
        var end = min(held.end, to ?? held.end)
        let log = try CommitLog(reading: reader.layout.commitLog(source))
        // The commit in which a time lies is found by bisection; within it each record tells.
        if let since, let first = try log.firstEntry(atBrokerTime: since) { start = max(start, first.range.start) }
        if let since, try log.firstEntry(atBrokerTime: since) == nil, since > 0 { start = held.end }
        if let until, let last = try log.firstEntry(atBrokerTime: until) { end = min(end, last.range.end) }
        guard let range = OffsetRange(start: start, end: max(start, end)) else { return }
        let times = since == nil && until == nil ? nil : try timesInRange(reader, source, range)
        var count = 0
        var failure: (any Error)?
        try reader.forEachLine(layer, generation: generation, source: source, range: range) { offset, line in
            if let times, !times.contains(offset) { return true }
            do { if try !fulfils(line) { return true } } catch { failure = error }
            if isRaw {
                Output.write((BronzeLine.read(line)?.value ?? []) + [0x0A])
            } else {
                Output.write(Array(line) + [0x0A])
            }
            count += 1
            return count < limit && failure == nil
        }
        if let failure { throw failure }
    }

    /// The offsets whose records have a time within the limits.
    private func timesInRange(
        _ reader: LakeReader, _ source: TopicPartition, _ range: OffsetRange
    ) throws -> Set<Int64> {
        var offsets: Set<Int64> = []
        try reader.forEachLine(.bronze, generation: nil, source: source, range: range) { offset, line in
            guard let time = BronzeLine.read(line)?.timestampMilliseconds else { return true }
            if time >= since ?? .min && time < until ?? .max { offsets.insert(offset) }
            return true
        }
        return offsets
    }

    private func fulfils(_ line: ArraySlice<UInt8>) throws -> Bool {
        guard let condition else { return true }
        // A Bronze line nests its payload of up to 64 levels one deeper.
        var value: JSONValue? = try line.withUnsafeBytes { try JSONValue.parse($0, maxDepth: 65) }
        for name in condition.path { value = value?[name] }
        guard let value else { return false }
        if let text = value.string { return text == condition.value }
        if let number = value.integer { return String(number) == condition.value }
        if let bool = value.bool { return String(bool) == condition.value }
        return value.isNull && condition.value == "null"
    }
}
