import Bytes

/// Quarantine lines (`schemas/quarantine.schema.json`): a record that broke a rule, with its raw bytes.
package enum QuarantineLine {
    /// The line's members, in their order. Of `key` and `key_base64`, and of `value` and `value_base64`, a line has one or
    /// none.
    package static let fields = [
        "rule", "reason", "detail", "topic", "partition", "offset", "timestamp_ms", "key", "key_base64", "event_id",
        "bronze_sha256", "logic_version", "value", "value_base64",
    ]

    /// One quarantined record, read back.
    package struct Record: Sendable {
        /// Name of the broken rule.
        package var rule = ""
        /// What the rule asks.
        package var reason = ""
        /// The field or other detail that it is about.
        package var detail = ""
        /// nil where the event has none.
        package var eventID: String?
        /// Of the raw value; empty for a tombstone.
        package var bronzeSHA256 = ""
        package var logicVersion = ""
        /// The record itself; a quarantine line has no headers.
        package let raw: BronzeRecord
    }

    /// Appends the line of a record that broke a rule, with its line feed.
    ///
    /// - Parameters:
    ///   - rule: name of the broken rule, with its reason and the field or other detail it is about.
    ///   - eventID: UTF-8 of the event's id; nil where it has none.
    ///   - bronzeSHA256: hexadecimal digest of the raw value; nil for a tombstone.
    package static func append(
        _ record: borrowing SourceRecord, rule: String, reason: String, detail: String,
        eventID: UnsafeBufferPointer<UInt8>?,
        bronzeSHA256: [UInt8]?, logicVersion: String, embedsValue: Bool, to output: inout [UInt8]
    ) {
        let texts =
            rule.utf8.count + reason.utf8.count + detail.utf8.count + record.topic.utf8.count + (eventID?.count ?? 0)
            + (bronzeSHA256?.count ?? 0) + logicVersion.utf8.count
        let room =
            RawMembers.frameBytes + JSONText.bytesPerByteMax * texts
            + RawMembers.room(record, embedsValue: embedsValue)
        output.appendLine(upTo: room) { writer in
            writer.string("{\"rule\":", rule)
            writer.string(",\"reason\":", reason)
            writer.string(",\"detail\":", detail)
            writer.string(",\"topic\":", record.topic)
            RawMembers.appendPlace(record, to: &writer)
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
            RawMembers.appendValue(record.value, embedded: embedsValue, to: &writer)
            writer.literal("}\n")
        }
    }

    /// Reads one line given without its line feed; nil where it is not a quarantine line.
    package static func read(_ line: ArraySlice<UInt8>) -> Record? {
        line.withUnsafeBytes { bytes in
            var texts: (rule: String?, reason: String?, detail: String?) = (nil, nil, nil)
            var (eventID, digest, logicVersion) = (String?.none, String?.none, String?.none)
            let members = RawMembers(bytes) { name, value in
                if name.equals("rule") {
                    texts.rule = value.string
                } else if name.equals("reason") {
                    texts.reason = value.string
                } else if name.equals("detail") {
                    texts.detail = value.string
                } else if name.equals("event_id") {
                    eventID = value.string
                } else if name.equals("bronze_sha256") {
                    digest = value.string
                } else if name.equals("logic_version") {
                    logicVersion = value.string
                }
            }
            guard let raw = members?.record, let rule = texts.rule else { return nil }
            return Record(
                rule: rule, reason: texts.reason ?? "", detail: texts.detail ?? "", eventID: eventID,
                bronzeSHA256: digest ?? "", logicVersion: logicVersion ?? "", raw: raw)
        }
    }
}
