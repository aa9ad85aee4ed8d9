import Bytes

/// The headers of a record as the JSON array of its Bronze line. Filled again and again, it keeps its storage.
package struct RecordHeaderText: Sendable {
    /// `[["name","base64"],["other",null]]`
    package private(set) var json = Self.empty
    private static let empty = Array("[]".utf8)
    private var originText: [UInt8] = []
    private var originSHA256: [UInt8] = []
    /// The id that a connector gave to the event; empty where it gave none. See ``EventIDHeader``.
    package private(set) var eventID: [UInt8] = []
    /// Whether the producer says that the record may be a copy of an earlier one; see ``RepeatMark``.
    package private(set) var mayRepeat = false

    package init() {}

    /// Where the record was redriven from; nil for the ordinary record, at the price of one comparison.
    package var origin: RedriveOrigin? {
        originText.isEmpty ? nil : RedriveOrigin(text: originText, sha256: originSHA256)
    }

    /// Forgets the headers and keeps the storage.
    package mutating func removeAll() {
        json.removeAll(keepingCapacity: true)
        json.append(contentsOf: Self.empty)
        if !originText.isEmpty { originText.removeAll(keepingCapacity: true) }
        if !originSHA256.isEmpty { originSHA256.removeAll(keepingCapacity: true) }
        if !eventID.isEmpty { eventID.removeAll(keepingCapacity: true) }
        mayRepeat = false
    }

    /// Adds one header behind the others; a value may be null. A name that is not valid UTF-8 is repaired.
    package mutating func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeRawBufferPointer?) {
        guard RawLines.isValidUTF8(name) else {
            let repaired = Array(String(decoding: name, as: UTF8.self).utf8)
            return repaired.withUnsafeBufferPointer { add(validName: $0, value) }
        }
        add(validName: name, value)
        if let value { note(name, value) }
    }

    private mutating func add(validName name: UnsafeBufferPointer<UInt8>, _ value: UnsafeRawBufferPointer?) {
        json.removeLast()
        let isFirst = json.count == 1
        let room = JSONText.bytesPerByteMax * name.count + Base64.count(value?.count ?? 0) + 16
        json.appendLine(upTo: room) { writer in
            writer.string(isFirst ? "[" : ",[", name)
            if let value {
                writer.literal(",\"")
                writer.base64(value)
                writer.literal("\"]]")
            } else {
                writer.literal(",null]]")
            }
        }
    }

    /// A later header of the same name wins.
    private mutating func note(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeRawBufferPointer) {
        if name.count == RedriveOrigin.headerBytes.count, name.elementsEqual(RedriveOrigin.headerBytes) {
            originText = Array(value)
        } else if name.count == RedriveOrigin.hashHeaderBytes.count, name.elementsEqual(RedriveOrigin.hashHeaderBytes) {
            originSHA256 = Array(value)
        } else if name.count == RepeatMark.headerBytes.count, name.elementsEqual(RepeatMark.headerBytes) {
            mayRepeat = true
        } else if name.count == EventIDHeader.headerBytes.count, name.elementsEqual(EventIDHeader.headerBytes) {
            let isUsable =
                value.count <= EventIDHeader.bytesMax && RawLines.isValidUTF8(value.bindMemory(to: UInt8.self))
            eventID = isUsable ? Array(value) : []
        }
    }
}

/// One record as it came from the broker. All bytes are lent for the time of the call.
package struct SourceRecord {
    package let topic: String
    package let partition: Int32
    package let offset: Int64
    /// The record's time as the broker delivered it, in milliseconds since 1970. On a topic with CreateTime any producer
    /// chooses it: to reckon with, there is ``brokerMilliseconds``.
    package let timestampMilliseconds: Int64
    package let key: UnsafeRawBufferPointer?
    /// The headers as ``RecordHeaderText/json``; nil for none.
    package let headers: UnsafeRawBufferPointer?
    /// The quarantined record that this one stands for; nil for the ordinary record.
    package let origin: RedriveOrigin?
    /// Whether it may be a copy of a record from before an interruption of its producer; see ``RepeatMark``.
    package let mayRepeat: Bool
    /// The id that a connector gave to the event, UTF-8; empty where it gave none. See ``EventIDHeader``.
    package let eventID: [UInt8]
    /// nil for a tombstone.
    package let value: UnsafeRawBufferPointer?

    package init(
        topic: String, partition: Int32, offset: Int64, timestampMilliseconds: Int64, key: UnsafeRawBufferPointer?,
        headers: UnsafeRawBufferPointer? = nil, origin: RedriveOrigin? = nil, mayRepeat: Bool = false,
        eventID: [UInt8] = [], value: UnsafeRawBufferPointer?
    ) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestampMilliseconds = timestampMilliseconds
        self.key = key
        self.headers = headers
        self.origin = origin
        self.mayRepeat = mayRepeat
        self.eventID = eventID
        self.value = value
    }
}

extension SourceRecord {
    /// The record's time, as hours, rules and windows take it.
    package var brokerMilliseconds: Int64 { Self.brokerMilliseconds(timestampMilliseconds) }

    /// A record's time between 1970 and the end of the year 9999, so that sums and differences of times have room.
    package static func brokerMilliseconds(_ timestampMilliseconds: Int64) -> Int64 {
        min(max(timestampMilliseconds, 0), 253_402_300_799_999)
    }
}

/// Writes Bronze and quarantine lines (`schemas/bronze.schema.json`, `schemas/quarantine.schema.json`).
package enum RawLines {
    /// Room for the names and numbers of any line here, that is for all but texts and values.
    private static let frameBytes = 512

    /// Appends the Bronze line of `record` with its line feed.
    ///
    /// - Parameter embedsValue: the value is one JSON object on one line and goes in byte for byte; else as base64.
    package static func appendBronze(_ record: borrowing SourceRecord, embedsValue: Bool, to output: inout [UInt8]) {
        let room =
            frameBytes + JSONText.bytesPerByteMax * record.topic.utf8.count + (record.headers?.count ?? 0)
            + sourceRoom(record, embedsValue: embedsValue)
        output.appendLine(upTo: room) { writer in
            writer.string("{\"topic\":", record.topic)
            appendPlace(record, to: &writer)
            if let headers = record.headers {
                writer.bytes(",\"headers\":", headers)
            } else {
                writer.literal(",\"headers\":[]")
            }
            appendValue(record.value, embedded: embedsValue, to: &writer)
            writer.literal("}\n")
        }
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
        let texts =
            rule.utf8.count + reason.utf8.count + detail.utf8.count + record.topic.utf8.count + (eventID?.count ?? 0)
            + (bronzeSHA256?.count ?? 0) + logicVersion.utf8.count
        let room =
            frameBytes + JSONText.bytesPerByteMax * texts + sourceRoom(record, embedsValue: embedsValue)
        output.appendLine(upTo: room) { writer in
            writer.string("{\"rule\":", rule)
            writer.string(",\"reason\":", reason)
            writer.string(",\"detail\":", detail)
            writer.string(",\"topic\":", record.topic)
            appendPlace(record, to: &writer)
            if let eventID {
                writer.string(",\"event_id\":", eventID)
            } else {
                writer.literal(",\"event_id\":null")
            }
            if let bronzeSHA256 {
                writer.string(",\"bronze_sha256\":", bronzeSHA256)
            } else {
                writer.literal(",\"bronze_sha256\":null")
            }
            writer.string(",\"logic_version\":", logicVersion)
            appendValue(record.value, embedded: embedsValue, to: &writer)
            writer.literal("}\n")
        }
    }

    /// Room for key and value.
    private static func sourceRoom(_ record: borrowing SourceRecord, embedsValue: Bool) -> Int {
        let value = record.value?.count ?? 0
        return JSONText.bytesPerByteMax * (record.key?.count ?? 0) + (embedsValue ? value : Base64.count(value))
    }

    private static func appendPlace(_ record: borrowing SourceRecord, to writer: inout LineWriter) {
        writer.integer(",\"partition\":", Int64(record.partition))
        writer.integer(",\"offset\":", record.offset)
        writer.integer(",\"timestamp_ms\":", record.timestampMilliseconds)
        guard let key = record.key else { return }
        let text = key.bindMemory(to: UInt8.self)
        if isValidUTF8(text) {
            writer.string(",\"key\":", text)
        } else {
            writer.literal(",\"key_base64\":\"")
            writer.base64(key)
            writer.literal("\"")
        }
    }

    /// The value comes last, so that a reader can find its bytes from the line's end.
    private static func appendValue(_ value: UnsafeRawBufferPointer?, embedded: Bool, to writer: inout LineWriter) {
        guard let value else { return }
        if embedded {
            writer.bytes(",\"value\":", value)
        } else {
            writer.literal(",\"value_base64\":\"")
            writer.base64(value)
            writer.literal("\"")
        }
    }

    static func isValidUTF8(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        if isASCII(bytes) { return true }
        return (try? UTF8Span(validating: bytes.span)) != nil
    }

    private static func isASCII(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let start = UnsafeRawPointer(bytes.baseAddress) else { return true }
        var index = 0
        while index + 8 <= bytes.count {
            let word = start.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if word & 0x8080_8080_8080_8080 != 0 { return false }
            index += 8
        }
        return bytes[index...].allSatisfy { $0 < 0x80 }
    }
}
