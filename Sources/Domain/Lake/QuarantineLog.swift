import Bytes
package import Events
import Files
import JSONScan

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
    /// Some two million decisions; read as a whole.
    private static let bytesMax = 512 << 20
    private static let lockSecondsMax: Int64 = 10

    package init(layout: LakeLayout, source: TopicPartition) { path = layout.quarantineLog(source) }

    /// The last decision on each offset.
    package func read() throws(LakeError) -> [Int64: QuarantineDecision] {
        guard Folder.exists(path) else { return [:] }
        let bytes = try LakeError.placed(path) { [path] in try File.contents(of: path, bytesMax: Self.bytesMax) }
        return try parse(bytes)
    }

    /// Lets `body` read and decide while no other process does; its appends are durable when they return.
    ///
    /// - Throws: ``LakeError/quarantine(_:)`` where another process has held the log for ten seconds; what `body` throws.
    package func update<Result>(_ body: (inout Session) throws -> Result) throws -> Result {
        try LakeError.placed(path) { [path] in try Folder.create(Folder.parent(of: path)) }
        var lock = try LakeError.placed(path) { [path] in try File(path + ".lock", .readWrite) }
        let deadline = SystemClock.monotonicNanoseconds() + Self.lockSecondsMax * 1_000_000_000
        while try !LakeError.placed(path, { try lock.tryLock() }) {
            guard SystemClock.monotonicNanoseconds() < deadline else {
                throw LakeError.quarantine(
                    "\(path).lock has been held for \(Self.lockSecondsMax) seconds by another `medallion dlq`; wait for "
                        + "it to end")
            }
            Pause.milliseconds(10)
        }
        var session = try Session(self)
        return try body(&session)
    }

    /// The log while it is held.
    package struct Session: ~Copyable {
        /// The last decision on each offset, this session's appends included.
        package private(set) var decisions: [Int64: QuarantineDecision]
        private let path: String
        private let file: File
        private var size: Int

        fileprivate init(_ log: QuarantineLog) throws(LakeError) {
            let path = log.path
            let isNew = !Folder.exists(path)
            let file = try LakeError.placed(path) { try File(path, .readWrite) }
            let bytes = try LakeError.placed(path) {
                if isNew { try Folder.sync(Folder.parent(of: path)) }
                return try file.read(at: 0, count: try file.size())
            }
            // A torn last line was never acknowledged.
            let whole = bytes.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
            if whole < bytes.count {
                try LakeError.placed(path) {
                    try file.truncate(to: whole)
                    try file.sync()
                }
            }
            let decisions = try log.parse(Array(bytes[..<whole]))
            self.path = path
            self.file = file
            self.decisions = decisions
            size = whole
        }

        /// Appends decisions and makes them durable, all with one flush.
        package mutating func append(_ new: [QuarantineDecision]) throws(LakeError) {
            guard !new.isEmpty else { return }
            var lines: [UInt8] = []
            for decision in new { lines.append(contentsOf: LogLine.encode(decision.json)) }
            var failure: FileError?
            lines.withUnsafeBytes { bytes in
                do throws(FileError) {
                    try file.write(bytes, at: size)
                    try file.sync()
                } catch { failure = error }
            }
            if let failure {
                try? file.truncate(to: size)
                throw .file(failure)
            }
            size += lines.count
            for decision in new { decisions[decision.offset] = decision }
        }
    }

    fileprivate func parse(_ bytes: [UInt8]) throws(LakeError) -> [Int64: QuarantineDecision] {
        var decisions: [Int64: QuarantineDecision] = [:]
        var start = 0
        while let end = bytes[start...].firstIndex(of: 0x0A) {
            guard let value = LogLine.decode(bytes[start..<end]), let decision = QuarantineDecision(value) else {
                throw .damaged(path: path, reason: "the entry at byte \(start) does not match its checksum")
            }
            decisions[decision.offset] = decision
            start = end + 1
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
