import Bytes
import JSONScan
package import Records

/// What was decided about one quarantined record (`schemas/quarantine_log.schema.json`).
package struct QuarantineDecision: Sendable, Equatable {
    /// The steps of a record's way out of quarantine.
    package enum Kind: String, Sendable, CaseIterable {
        /// It is about to be published again. If nothing follows, a crash came between, and it may have been.
        case redrive
        /// The broker has acknowledged it at `redrivenTo`.
        case redriven
        /// The broker has not taken it: it is open as before.
        case failed
        /// It is given up.
        case discard
    }

    /// Which step.
    package var kind: Kind
    /// Offset of the quarantined record.
    package var offset: Int64
    /// When that was decided, in milliseconds since 1970.
    package var timeMilliseconds: Int64
    /// The rule that it broke then.
    package var rule: String
    /// SHA-256 of its value in hexadecimal; empty for a tombstone.
    package var bronzeSHA256: String
    /// Of a redrive: whether another value than the quarantined one is published.
    package var isCorrected: Bool
    /// Of `redriven`: the offset that it has now, in the same topic partition.
    package var redrivenTo: Int64?
    /// Of a discard what the operator gave as reason, of a failure the broker's; else empty.
    package var reason: String

    package init(
        kind: Kind, offset: Int64, timeMilliseconds: Int64, rule: String, bronzeSHA256: String,
        isCorrected: Bool = false, redrivenTo: Int64? = nil, reason: String = ""
    ) {
        self.kind = kind
        self.offset = offset
        self.timeMilliseconds = timeMilliseconds
        self.rule = rule
        self.bronzeSHA256 = bronzeSHA256
        self.isCorrected = isCorrected
        self.redrivenTo = redrivenTo
        self.reason = reason
    }
}

/// The decisions about one topic partition's quarantined records: an append-only log whose last word on an offset holds.
///
/// It belongs to no generation: a record was redriven or not, whatever each logic thinks of it.
package struct QuarantineLog: Sendable {
    package let path: String
    private let above: String
    /// Some two million decisions; read as a whole.
    private static let bytesMax = 512 << 20
    private static let lockSecondsMax: Int64 = 10

    package init(layout: LakeLayout, source: TopicPartition) {
        path = layout.quarantineLog(source)
        above = layout.above
    }

    private var log: RecordLog { RecordLog(path: path, bytesMax: Self.bytesMax) }

    /// The last decision on each offset.
    package func read() throws(LakeError) -> [Int64: QuarantineDecision] {
        try Self.decisions(log.read(), path: path)
    }

    /// Lets `body` read and decide while no other process does; its appends are durable when they return.
    ///
    /// - Throws: ``LakeError/quarantine(_:)`` where another process has held the log for ten seconds; what `body` throws.
    package func update<Result>(_ body: (inout Session) throws -> Result) throws -> Result {
        let lock = try HeldLock(
            path + ".lock", secondsMax: Self.lockSecondsMax,
            refusal: .quarantine(
                "\(path).lock has been held for \(Self.lockSecondsMax) seconds by another `medallion dlq`; wait for it to end"
            ))
        defer { withExtendedLifetime(lock) {} }
        var session = try Session(try RecordAppender.open(log, upTo: above), path: path)
        return try body(&session)
    }

    /// The log while it is held.
    package struct Session: ~Copyable {
        /// The last decision on each offset, this session's appends included.
        package private(set) var decisions: [Int64: QuarantineDecision]
        private var appender: RecordAppender

        fileprivate init(_ appender: consuming RecordAppender, path: String) throws(LakeError) {
            decisions = try QuarantineLog.decisions(appender.records, path: path)
            self.appender = appender
        }

        /// Appends decisions and makes them durable, one by one. Where that fails, none of them was taken.
        package mutating func append(_ new: [QuarantineDecision]) throws(LakeError) {
            try appender.append(new.map(\.json))
            for decision in new { decisions[decision.offset] = decision }
        }
    }

    private static func decisions(
        _ records: [JSONValue], path: String
    ) throws(LakeError) -> [Int64: QuarantineDecision] {
        var decisions: [Int64: QuarantineDecision] = [:]
        for record in records {
            guard let decision = QuarantineDecision(record) else {
                throw .damaged(path: path, reason: "an entry lacks a field")
            }
            decisions[decision.offset] = decision
        }
        return decisions
    }
}

extension QuarantineDecision {
    var json: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("kind")
        json.string(kind.rawValue)
        json.key("offset")
        json.integer(offset)
        json.key("time_ms")
        json.integer(timeMilliseconds)
        json.key("rule")
        json.string(rule)
        json.key("bronze_sha256")
        json.string(bronzeSHA256)
        switch kind {
        case .redrive, .redriven:
            json.key("corrected")
            json.bool(isCorrected)
            if let redrivenTo {
                json.key("redriven_to")
                json.integer(redrivenTo)
            }
        case .failed, .discard:
            json.key("reason")
            json.string(reason)
        }
        json.endObject()
        return json.bytes
    }

    /// Reads an entry; nil where a field is missing or of another type.
    init?(_ value: JSONValue) {
        guard let kind = value["kind"]?.string.flatMap(Kind.init), let offset = value["offset"]?.integer,
            let time = value["time_ms"]?.integer, let rule = value["rule"]?.string,
            let sha = value["bronze_sha256"]?.string
        else { return nil }
        self.init(
            kind: kind, offset: offset, timeMilliseconds: time, rule: rule, bronzeSHA256: sha,
            isCorrected: value["corrected"]?.bool ?? false, redrivenTo: value["redriven_to"]?.integer,
            reason: value["reason"]?.string ?? "")
    }
}
