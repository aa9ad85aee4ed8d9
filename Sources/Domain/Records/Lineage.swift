package import Bytes

/// The Bronze record that a Silver or Gold line was made from.
package struct ParentReference: Sendable, Equatable {
    package var topic: String
    package var partition: Int32
    package var offset: Int64
    package var eventID: String
    /// SHA-256 of the raw value, 64 hexadecimal digits; empty for a tombstone.
    package var bronzeSHA256: String

    package init(topic: String, partition: Int32, offset: Int64, eventID: String, bronzeSHA256: String) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.eventID = eventID
        self.bronzeSHA256 = bronzeSHA256
    }

    /// The record's topic partition.
    package var topicPartition: TopicPartition { TopicPartition(topic: topic, partition: partition) }
}

/// Where a line comes from and which logic made it: the last member of Silver and Gold lines.
///
/// It is kept as the JSON that the line holds, since on its way to the index and to a hit nobody needs more of it; the
/// parents are read when they are asked for.
package struct Lineage: Sendable, Equatable {
    /// The member's own members, in their order.
    package static let fields = ["logic_version", "parents"]
    /// The members of each parent, in their order.
    package static let parentFields = ["topic", "partition", "offset", "event_id", "bronze_sha256"]

    /// Fingerprint of the transform's code version and its settings.
    package let logicVersion: String
    /// One complete JSON object.
    package let json: [UInt8]

    package init(logicVersion: String, parents: [ParentReference]) {
        self.logicVersion = logicVersion
        let texts = parents.reduce(logicVersion.utf8.count) {
            $0 + $1.topic.utf8.count + $1.eventID.utf8.count + $1.bronzeSHA256.utf8.count
        }
        var json: [UInt8] = []
        json.appendLine(upTo: 64 + 128 * parents.count + JSONText.bytesPerByteMax * texts) { writer in
            writer.string("{\"logic_version\":", logicVersion)
            writer.literal(",\"parents\":[")
            for (number, parent) in parents.enumerated() {
                writer.string(number == 0 ? "{\"topic\":" : ",{\"topic\":", parent.topic)
                writer.integer(",\"partition\":", Int64(parent.partition))
                writer.integer(",\"offset\":", parent.offset)
                writer.string(",\"event_id\":", parent.eventID)
                writer.string(",\"bronze_sha256\":", parent.bronzeSHA256)
                writer.literal("}")
            }
            writer.literal("]}")
        }
        self.json = json
    }

    /// Reads the member of a line.
    ///
    /// - Throws: ``RecordFormatError`` naming what it lacks.
    package init(_ value: JSONSlice, of record: String) throws(RecordFormatError) {
        var version = JSONSlice.absent
        var parents = JSONSlice.absent
        value.forEachMember { name, value in
            if name.equals("logic_version") {
                version = value
            } else if name.equals("parents") {
                parents = value
            }
        }
        guard parents.kind == .array else {
            throw RecordFormatError(record, field: "lineage", reason: "is absent or has no parents")
        }
        var fault: RecordFormatError?
        parents.forEachElement { element in
            let parent = ParentFields(element)
            if fault == nil { fault = parent.fault(record) }
        }
        if let fault { throw fault }
        guard let logicVersion = version.string else {
            throw RecordFormatError(record, field: "logic_version", reason: "is not a string")
        }
        self.logicVersion = logicVersion
        json = Array(value.bytes)
    }

    /// Reads the JSON that ``json`` gave, such as from an index.
    ///
    /// - Throws: ``RecordFormatError`` naming what it lacks.
    package init(json: [UInt8]) throws(RecordFormatError) {
        var found: Result<Lineage, RecordFormatError>?
        let line = Array("{\"lineage\":".utf8) + json + [UInt8(ascii: "}")]
        let fault = line.withUnsafeBytes { bytes -> JSONLineError? in
            do throws(JSONLineError) {
                try JSONLine.forEachMember(of: bytes) { name, value in
                    guard name.equals("lineage") else { return }
                    found = Result { () throws(RecordFormatError) in try Lineage(value, of: "lineage") }
                }
                return nil
            } catch { return error }
        }
        guard fault == nil, let found else {
            throw RecordFormatError("lineage", field: "line", reason: "is not JSON: \(fault?.description ?? "empty")")
        }
        self = try found.get()
    }

    /// The Bronze records, the line's own first; a redriven one names behind it the record that it stands for.
    package var parents: [ParentReference] {
        get {
            var parents: [ParentReference] = []
            json.withUnsafeBytes { bytes in
                // The value was checked when it was made, so this cannot fail.
                try? JSONLine.forEachMember(of: bytes) { name, value in
                    guard name.equals("parents") else { return }
                    parents.removeAll()
                    value.forEachElement { if let parent = ParentFields($0).reference { parents.append(parent) } }
                }
            }
            return parents
        }
        set { self = Lineage(logicVersion: logicVersion, parents: newValue) }
    }

    /// Appends the member, as the last of a Silver line, and the line's end.
    ///
    /// - Parameters:
    ///   - eventID: where the id stands in the line, with its quotes.
    ///   - origin: the quarantined record that this one stands for, where the logic follows redrives.
    /// - Returns: where it stands, with the comma before it.
    static func append(
        _ record: borrowing SourceRecord, eventID: Range<Int>, logicVersion: String, bronzeSHA256: [UInt8],
        origin: RedriveOrigin?, to writer: inout LineWriter
    ) -> Range<Int> {
        let start = writer.count
        writer.string(",\"lineage\":{\"logic_version\":", logicVersion)
        writer.string(",\"parents\":[{\"topic\":", record.topic)
        writer.integer(",\"partition\":", Int64(record.partition))
        writer.integer(",\"offset\":", record.offset)
        writer.bytes(",\"event_id\":", UnsafeRawBufferPointer(rebasing: writer.written[eventID]))
        writer.string(",\"bronze_sha256\":", bronzeSHA256)
        if let origin {
            // The record's own event id: that of the quarantined one may be what was wrong with it.
            writer.string("},{\"topic\":", origin.topic)
            writer.integer(",\"partition\":", Int64(origin.partition))
            writer.integer(",\"offset\":", origin.offset)
            writer.bytes(",\"event_id\":", UnsafeRawBufferPointer(rebasing: writer.written[eventID]))
            writer.string(",\"bronze_sha256\":", origin.bronzeSHA256)
        }
        writer.literal("}]}}\n")
        return start..<writer.count
    }
}

/// The members of one parent, lent.
private struct ParentFields {
    private var topic = JSONSlice.absent
    private var partition = JSONSlice.absent
    private var offset = JSONSlice.absent
    private var eventID = JSONSlice.absent
    private var bronzeSHA256 = JSONSlice.absent

    init(_ parent: JSONSlice) {
        var fields = (topic, partition, offset, eventID, bronzeSHA256)
        parent.forEachMember { name, value in
            if name.equals("topic") {
                fields.0 = value
            } else if name.equals("partition") {
                fields.1 = value
            } else if name.equals("offset") {
                fields.2 = value
            } else if name.equals("event_id") {
                fields.3 = value
            } else if name.equals("bronze_sha256") {
                fields.4 = value
            }
        }
        (topic, partition, offset, eventID, bronzeSHA256) = fields
    }

    /// What the parent lacks; nil where it lacks nothing.
    func fault(_ record: String) -> RecordFormatError? {
        for (name, value) in [("topic", topic), ("event_id", eventID), ("bronze_sha256", bronzeSHA256)]
        where value.kind != .string {
            return RecordFormatError(record, field: name, reason: "is not a string")
        }
        guard offset.integer != nil else {
            return RecordFormatError(record, field: "offset", reason: "is not an integer")
        }
        guard let number = partition.integer else {
            return RecordFormatError(record, field: "partition", reason: "is not an integer")
        }
        guard Int32(exactly: number) != nil else {
            return RecordFormatError(record, field: "partition", reason: "is out of range")
        }
        return nil
    }

    var reference: ParentReference? {
        guard let topic = topic.string, let partition = partition.integer.flatMap({ Int32(exactly: $0) }),
            let offset = offset.integer, let eventID = eventID.string, let digest = bronzeSHA256.string
        else { return nil }
        return ParentReference(
            topic: topic, partition: partition, offset: offset, eventID: eventID, bronzeSHA256: digest)
    }
}
