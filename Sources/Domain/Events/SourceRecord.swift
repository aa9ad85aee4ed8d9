import Bytes

/// The headers of a record as the JSON array of its Bronze line. Filled again and again, it keeps its storage.
package struct RecordHeaderText: Sendable {
    /// `[["name","base64"],["other",null]]`
    package private(set) var json = Self.empty
    private static let empty = Array("[]".utf8)
    private var originText: [UInt8] = []
    private var originSHA256: [UInt8] = []

    package init() {}

    /// Where the record was redriven from; nil for the ordinary record, at the price of one comparison.
    package var origin: RedriveOrigin? {
        originText.isEmpty ? nil : RedriveOrigin(text: originText, sha256: originSHA256)
    }

    /// Forgets the headers and keeps the storage.
    package mutating func removeAll() {
        json.removeAll(keepingCapacity: true)
        LineWriter.literal("[]", to: &json)
        if !originText.isEmpty { originText.removeAll(keepingCapacity: true) }
        if !originSHA256.isEmpty { originSHA256.removeAll(keepingCapacity: true) }
    }

    /// Adds one header behind the others; a value may be null. A name that is not valid UTF-8 is repaired.
    package mutating func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeRawBufferPointer?) {
        json.removeLast()
        LineWriter.literal(json.count == 1 ? "[" : ",[", to: &json)
        if RawLines.isValidUTF8(name) {
            JSONText.appendQuoted(name, to: &json)
        } else {
            LineWriter.string("", String(decoding: name, as: UTF8.self), to: &json)
        }
        if let value {
            LineWriter.literal(",\"", to: &json)
            Base64.append(value, to: &json)
            LineWriter.literal("\"]]", to: &json)
            noteOrigin(name, value)
        } else {
            LineWriter.literal(",null]]", to: &json)
        }
    }

    /// A later header of the same name wins.
    private mutating func noteOrigin(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeRawBufferPointer) {
        if name.count == RedriveOrigin.headerBytes.count, name.elementsEqual(RedriveOrigin.headerBytes) {
            originText = Array(value)
        } else if name.count == RedriveOrigin.hashHeaderBytes.count, name.elementsEqual(RedriveOrigin.hashHeaderBytes) {
            originSHA256 = Array(value)
        }
    }
}

/// One record as it came from the broker. All bytes are lent for the time of the call.
package struct SourceRecord {
    package let topic: String
    package let partition: Int32
    package let offset: Int64
    /// The broker's time in milliseconds since 1970.
    package let timestampMilliseconds: Int64
    package let key: UnsafeRawBufferPointer?
    package let headers: RecordHeaderText
    /// The quarantined record that this one stands for; nil for the ordinary record.
    package let origin: RedriveOrigin?
    /// nil for a tombstone.
    package let value: UnsafeRawBufferPointer?

    package init(
        topic: String, partition: Int32, offset: Int64, timestampMilliseconds: Int64, key: UnsafeRawBufferPointer?,
        headers: RecordHeaderText = RecordHeaderText(), origin: RedriveOrigin? = nil, value: UnsafeRawBufferPointer?
    ) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestampMilliseconds = timestampMilliseconds
        self.key = key
        self.headers = headers
        self.origin = origin
        self.value = value
    }
}

/// Writes Bronze and quarantine lines (`schemas/bronze.schema.json`, `schemas/quarantine.schema.json`).
package enum RawLines {
    /// Appends the Bronze line of `record` with its line feed.
    ///
    /// - Parameter embedsValue: the value is one JSON object on one line and goes in byte for byte; else as base64.
    package static func appendBronze(_ record: borrowing SourceRecord, embedsValue: Bool, to output: inout [UInt8]) {
        LineWriter.string("{\"topic\":", record.topic, to: &output)
        LineWriter.integer(",\"partition\":", Int64(record.partition), to: &output)
        LineWriter.integer(",\"offset\":", record.offset, to: &output)
        LineWriter.integer(",\"timestamp_ms\":", record.timestampMilliseconds, to: &output)
        if let key = record.key { appendKey(key, to: &output) }
        LineWriter.literal(",\"headers\":", to: &output)
        output.append(contentsOf: record.headers.json)
        appendValue(record.value, embedded: embedsValue, to: &output)
        LineWriter.literal("}\n", to: &output)
    }

    /// Appends the quarantine line of a record that broke a rule, with its line feed.
    ///
    /// - Parameters:
    ///   - rule: name of the broken rule, with its reason and the field or other detail it is about.
    ///   - eventID: UTF-8 of the event's id; nil where it has none.
    ///   - bronzeSHA256: hexadecimal digest of the raw value; nil for a tombstone.
    package static func appendQuarantine(
        _ record: borrowing SourceRecord, rule: String, reason: String, detail: String,
        eventID: UnsafeBufferPointer<UInt8>?,
        bronzeSHA256: [UInt8]?, logicVersion: String, embedsValue: Bool, to output: inout [UInt8]
    ) {
        LineWriter.string("{\"rule\":", rule, to: &output)
        LineWriter.string(",\"reason\":", reason, to: &output)
        LineWriter.string(",\"detail\":", detail, to: &output)
        LineWriter.string(",\"topic\":", record.topic, to: &output)
        LineWriter.integer(",\"partition\":", Int64(record.partition), to: &output)
        LineWriter.integer(",\"offset\":", record.offset, to: &output)
        LineWriter.integer(",\"timestamp_ms\":", record.timestampMilliseconds, to: &output)
        if let key = record.key { appendKey(key, to: &output) }
        if let eventID {
            LineWriter.string(",\"event_id\":", eventID, to: &output)
        } else {
            LineWriter.literal(",\"event_id\":null", to: &output)
        }
        if let bronzeSHA256 {
            LineWriter.string(",\"bronze_sha256\":", bronzeSHA256, to: &output)
        } else {
            LineWriter.literal(",\"bronze_sha256\":null", to: &output)
        }
        LineWriter.string(",\"logic_version\":", logicVersion, to: &output)
        appendValue(record.value, embedded: embedsValue, to: &output)
        LineWriter.literal("}\n", to: &output)
    }

    /// The value comes last, so that a reader can find its bytes from the line's end.
    private static func appendValue(
        _ value: UnsafeRawBufferPointer?, embedded: Bool, to output: inout [UInt8]
    ) {
        guard let value else { return }
        if embedded {
            LineWriter.literal(",\"value\":", to: &output)
            output.append(contentsOf: value)
        } else {
            LineWriter.literal(",\"value_base64\":\"", to: &output)
            Base64.append(value, to: &output)
            LineWriter.literal("\"", to: &output)
        }
    }

    private static func appendKey(_ key: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        let text = key.bindMemory(to: UInt8.self)
        if isValidUTF8(text) {
            LineWriter.string(",\"key\":", text, to: &output)
        } else {
            LineWriter.literal(",\"key_base64\":\"", to: &output)
            Base64.append(key, to: &output)
            LineWriter.literal("\"", to: &output)
        }
    }

    static func isValidUTF8(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        if bytes.allSatisfy({ $0 < 0x80 }) { return true }
        return (try? UTF8Span(validating: bytes.span)) != nil
    }
}
