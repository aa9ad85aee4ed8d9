import Bytes

/// One Bronze record, read back: what the broker delivered.
package struct BronzeRecord: Sendable {
    package let offset: Int64
    /// The record's time as the broker delivered it; see ``SourceRecord/timestampMilliseconds``.
    package let timestampMilliseconds: Int64
    package let key: [UInt8]?
    /// The quarantined record that this one stands for, by its headers; nil for the ordinary record.
    package let origin: RedriveOrigin?
    /// Whether its headers say that it may be a copy of an earlier record; see ``RepeatMark``.
    package let mayRepeat: Bool
    /// The id that a connector gave to the event; empty where its headers have none. See ``EventIDHeader``.
    package let eventID: [UInt8]
    /// The value as the broker delivered it, byte for byte; nil for a tombstone.
    package let value: [UInt8]?
    /// The erasure that took key, headers and value; nil where they are as they came. Nothing is derived from such a record.
    package let erasure: String?

    package init(
        offset: Int64, timestampMilliseconds: Int64, key: [UInt8]? = nil, origin: RedriveOrigin? = nil,
        mayRepeat: Bool = false, eventID: [UInt8] = [], value: [UInt8]?, erasure: String? = nil
    ) {
        self.offset = offset
        self.timestampMilliseconds = timestampMilliseconds
        self.key = key
        self.origin = origin
        self.mayRepeat = mayRepeat
        self.eventID = eventID
        self.value = value
        self.erasure = erasure
    }
}

/// Bronze lines (`schemas/bronze.schema.json`): one record each, as the broker delivered it.
package enum BronzeLine {
    /// The line's members, in their order. Of `key` and `key_base64`, and of `value` and `value_base64`, a line has one or
    /// none; one that was erased has none of these, and `erased` names the erasure.
    package static let fields = [
        "topic", "partition", "offset", "timestamp_ms", "key", "key_base64", "headers", "value", "value_base64",
        "erased",
    ]

    /// What is left of a line, given without its line feed, once its record was erased: the place and the time.
    ///
    /// - Parameter erasure: the erasure's id.
    /// - Returns: a line without its line feed; nil where `line` is not a Bronze line, or was erased before.
    package static func erased(
        _ line: ArraySlice<UInt8>, topic: String, partition: Int32, by erasure: String
    ) -> [UInt8]? {
        guard let record = read(line), record.erasure == nil else { return nil }
        var left: [UInt8] = []
        let texts = topic.utf8.count + erasure.utf8.count
        left.appendLine(upTo: RawMembers.frameBytes + JSONText.bytesPerByteMax * texts) { writer in
            writer.string("{\"topic\":", topic)
            writer.integer(",\"partition\":", Int64(partition))
            writer.integer(",\"offset\":", record.offset)
            writer.integer(",\"timestamp_ms\":", record.timestampMilliseconds)
            writer.string(",\"headers\":[],\"erased\":", erasure)
            writer.literal("}")
        }
        return left
    }

    /// Appends the line of `record` with its line feed.
    ///
    /// - Parameter embedsValue: the value is one JSON object on one line and goes in byte for byte; else as base64.
    package static func append(_ record: borrowing SourceRecord, embedsValue: Bool, to output: inout [UInt8]) {
        let room =
            RawMembers.frameBytes + JSONText.bytesPerByteMax * record.topic.utf8.count + (record.headers?.count ?? 0)
            + RawMembers.room(record, embedsValue: embedsValue)
        output.appendLine(upTo: room) { writer in
            writer.string("{\"topic\":", record.topic)
            RawMembers.appendPlace(record, to: &writer)
            if let headers = record.headers {
                writer.bytes(",\"headers\":", headers)
            } else {
                writer.literal(",\"headers\":[]")
            }
            RawMembers.appendValue(record.value, embedded: embedsValue, to: &writer)
            writer.literal("}\n")
        }
    }

    /// Reads one line given without its line feed; nil where it is not a Bronze line.
    package static func read(_ line: ArraySlice<UInt8>) -> BronzeRecord? {
        line.withUnsafeBytes { Fields($0)?.record }
    }

    /// The same for a line of a frame whose checksum was right: its value, which the format has last, is not looked at, since whatever
    /// reads it does that. One that is no JSON after all is taken.
    package static func readSealed(_ line: ArraySlice<UInt8>) -> BronzeRecord? {
        line.withUnsafeBytes { line in
            guard let raw = RawMembers(sealed: line), raw.isWhole else { return nil }
            return raw.record
        }
    }

    /// The record's headers in their order; a header without a value has nil. None where the line is not a Bronze line.
    package static func headers(of line: ArraySlice<UInt8>) -> [(name: String, value: [UInt8]?)] {
        line.withUnsafeBytes { Fields($0)?.headers ?? [] }
    }

    /// The members of one line, lent: valid as long as its bytes are.
    package struct Fields {
        private let raw: RawMembers

        /// Walks a line, given without its line feed; nil where it is not a Bronze line.
        package init?(_ line: UnsafeRawBufferPointer) {
            guard let raw = RawMembers(line, { _, _ in }), raw.isWhole else { return nil }
            self.raw = raw
        }

        /// A copy of the record; nil where a member in base64 is none.
        package var record: BronzeRecord? { raw.record }

        /// The headers in their order; a header without a value has nil.
        package var headers: [(name: String, value: [UInt8]?)] {
            var headers: [(name: String, value: [UInt8]?)] = []
            raw.forEachHeader { name, value in
                guard let name = name.string else { return }
                headers.append((name, RawMembers.base64(value)))
            }
            return headers
        }
    }
}

/// The members that Bronze and quarantine lines share: where the record stood, its key, and its value.
struct RawMembers {
    private var offset = JSONSlice.absent
    private var timestamp = JSONSlice.absent
    private var key = JSONSlice.absent
    private var keyBase64 = JSONSlice.absent
    private var headers = JSONSlice.absent
    private var value = JSONSlice.absent
    private var valueBase64 = JSONSlice.absent
    private var erased = JSONSlice.absent

    /// A payload has 64 levels at most, and a line nests it one deeper.
    private static let depthMax = 65
    /// Room for the names and numbers of any line here, that is for all but texts and values.
    static let frameBytes = 512

    /// Walks a line; nil where it is no JSON object.
    ///
    /// - Parameter other: called with each member that is none of these.
    init?(_ line: UnsafeRawBufferPointer, _ other: (_ name: JSONSlice, _ value: JSONSlice) -> Void) {
        var found = Self()
        do throws(JSONLineError) {
            try JSONLine.forEachMember(of: line, depthMax: Self.depthMax) { name, value in
                if !found.take(name, value) { other(name, value) }
            }
        } catch {
            return nil
        }
        self = found
    }

    /// See ``BronzeLine/readSealed(_:)``.
    init?(sealed line: UnsafeRawBufferPointer) {
        var found = Self()
        do throws(JSONLineError) {
            try JSONLine.forEachMember(of: line, last: "value") { name, value in _ = found.take(name, value) }
        } catch {
            return nil
        }
        self = found
    }

    private init() {}

    private mutating func take(_ name: JSONSlice, _ member: JSONSlice) -> Bool {
        if name.equals("offset") {
            offset = member
        } else if name.equals("timestamp_ms") {
            timestamp = member
        } else if name.equals("key") {
            key = member
        } else if name.equals("headers") {
            headers = member
        } else if name.equals("value") {
            value = member
        } else if name.equals("key_base64") {
            keyBase64 = member
        } else if name.equals("value_base64") {
            valueBase64 = member
        } else if name.equals("erased") {
            erased = member
        } else {
            return false
        }
        return true
    }

    /// Whether what every such line has is there.
    var isWhole: Bool { offset.integer != nil && timestamp.integer != nil }

    /// The record; nil where a number is missing, or where a member in base64 is none.
    var record: BronzeRecord? {
        guard let offset = offset.integer, let timestamp = timestamp.integer else { return nil }
        var key = key.utf8
        if keyBase64.kind == .string {
            guard let bytes = Self.base64(keyBase64) else { return nil }
            key = bytes
        }
        var payload: [UInt8]?
        if value.kind == .object {
            payload = Array(value.bytes)
        } else if valueBase64.kind == .string {
            guard let bytes = Self.base64(valueBase64) else { return nil }
            payload = bytes
        }
        let marks = marks
        return BronzeRecord(
            offset: offset, timestampMilliseconds: timestamp, key: key, origin: marks.origin,
            mayRepeat: marks.mayRepeat, eventID: marks.eventID, value: payload, erasure: erased.string)
    }

    /// The bytes of a string in base64; nil where it is none.
    static func base64(_ value: JSONSlice) -> [UInt8]? {
        value.kind == .string ? value.withText { Base64.bytes($0) } : nil
    }

    func forEachHeader(_ body: (_ name: JSONSlice, _ value: JSONSlice) -> Void) {
        headers.forEachElement { pair in
            var parts = (JSONSlice.absent, JSONSlice.absent)
            var count = 0
            pair.forEachElement { part in
                if count == 0 { parts.0 = part } else { parts.1 = part }
                count += 1
            }
            if count == 2 { body(parts.0, parts.1) }
        }
    }

    /// What the headers say about the record's place among others. A later header of the same name wins.
    private var marks: (origin: RedriveOrigin?, mayRepeat: Bool, eventID: [UInt8]) {
        var (text, digest, eventID) = ([UInt8](), [UInt8](), [UInt8]())
        var mayRepeat = false
        forEachHeader { name, value in
            if name.equals(RedriveOrigin.headerBytes) {
                if let bytes = Self.base64(value) { text = bytes }
            } else if name.equals(RedriveOrigin.hashHeaderBytes) {
                if let bytes = Self.base64(value) { digest = bytes }
            } else if name.equals(RepeatMark.headerBytes), value.kind == .string {
                mayRepeat = true
            } else if name.equals(EventIDHeader.headerBytes), let bytes = Self.base64(value) {
                eventID = bytes.withUnsafeBytes { EventIDHeader.accepts($0) } ? bytes : []
            }
        }
        return (text.isEmpty ? nil : RedriveOrigin(text: text, sha256: digest), mayRepeat, eventID)
    }

    // MARK: - Writing

    /// Room for key and value.
    static func room(_ record: borrowing SourceRecord, embedsValue: Bool) -> Int {
        let value = record.value?.count ?? 0
        return JSONText.bytesPerByteMax * (record.key?.count ?? 0) + (embedsValue ? value : Base64.count(value))
    }

    static func appendPlace(_ record: borrowing SourceRecord, to writer: inout LineWriter) {
        writer.integer(",\"partition\":", Int64(record.partition))
        writer.integer(",\"offset\":", record.offset)
        writer.integer(",\"timestamp_ms\":", record.timestampMilliseconds)
        guard let key = record.key else { return }
        if UTF8Text.isValid(key) {
            writer.string(",\"key\":", key.bindMemory(to: UInt8.self))
        } else {
            writer.literal(",\"key_base64\":\"")
            writer.base64(key)
            writer.literal("\"")
        }
    }

    /// The value comes last, so that a reader can find its bytes from the line's end.
    static func appendValue(_ value: UnsafeRawBufferPointer?, embedded: Bool, to writer: inout LineWriter) {
        guard let value else { return }
        if embedded {
            writer.bytes(",\"value\":", value)
        } else {
            writer.literal(",\"value_base64\":\"")
            writer.base64(value)
            writer.literal("\"")
        }
    }
}
