import Bytes
import Console
import Logic
import Quarantine
import Records
import Telemetry

/// Quarantined records for a terminal or as JSON lines. Everything in them may come from anywhere, so it is escaped.
enum DlqRendering {
    static func rules(asJSON: Bool) {
        for rule in Rule.allCases {
            guard asJSON else {
                let name = rule.rawValue + String(repeating: " ", count: max(1, 20 - rule.rawValue.count))
                Output.line("\(name)\(rule.severity.rawValue)  \(rule.reason)")
                continue
            }
            var json = JSONWriter()
            json.beginObject()
            for (name, value) in [
                ("rule", rule.rawValue), ("severity", rule.severity.rawValue), ("reason", rule.reason),
            ] {
                json.key(dynamic: name)
                json.string(value)
            }
            json.endObject()
            Output.write(json.bytes + [0x0A])
        }
    }

    static func summary(_ summary: QuarantineSummary, asJSON: Bool) {
        guard asJSON else {
            let counts = QuarantineState.allCases.compactMap { state in
                summary.counts[state].map { "\($0) \(state.rawValue)" }
            }
            let samples = summary.samples.map { "\($0.source) \($0.offset)" }.joined(separator: ", ")
            let last = summary.last.map { "; last \($0.source) \($0.offset)" } ?? ""
            Output.line("\(summary.rule)  \(counts.joined(separator: ", "))  such as \(samples)\(last)")
            return
        }
        var json = JSONWriter()
        json.beginObject()
        json.string("rule", summary.rule)
        for state in QuarantineState.allCases {
            json.key(dynamic: state.rawValue)
            json.integer(summary.counts[state] ?? 0)
        }
        json.key("samples")
        json.beginArray()
        for sample in summary.samples { place(sample.source, sample.offset, to: &json) }
        json.endArray()
        json.key("last")
        if let last = summary.last { place(last.source, last.offset, to: &json) } else { json.null() }
        json.endObject()
        Output.write(json.bytes + [0x0A])
    }

    private static func place(_ source: TopicPartition, _ offset: Int64, to json: inout JSONWriter) {
        json.beginObject()
        json.string("topic", source.topic)
        json.integer("partition", source.partition)
        json.integer("offset", offset)
        json.endObject()
    }

    /// One line of a list.
    static func line(_ record: QuarantinedRecord, asJSON: Bool) {
        guard !asJSON else { return Output.write(json(record, valueBytesMax: nil) + [0x0A]) }
        let detail = record.detail.isEmpty ? "" : " (\(LogText.escaped(record.detail)))"
        Output.line(
            "\(record.source) \(record.offset)  \(CivilTime.rfc3339(record.timestampMilliseconds))  \(record.rule)\(detail)"
                + "  \(record.valueBytes) bytes  \(state(record))")
    }

    /// All about one record.
    static func record(_ record: QuarantinedRecord, asJSON: Bool) {
        guard !asJSON else { return Output.write(json(record, valueBytesMax: .max) + [0x0A]) }
        Output.line("\(record.source) offset \(record.offset), \(state(record))")
        Output.line("rule: \(record.rule): \(record.reason)")
        if !record.detail.isEmpty { Output.line("detail: \(LogText.escaped(record.detail))") }
        Output.line("broker time: \(CivilTime.rfc3339(record.timestampMilliseconds))")
        Output.line("event id: \(record.eventID.map { LogText.escaped($0) } ?? "none that can be read")")
        Output.line("logic: \(record.logicVersion)")
        guard let value = record.value else { return Output.line("value: none (a tombstone)") }
        Output.line("value: \(value.count) bytes, SHA-256 \(record.bronzeSHA256)")
        let shown = value.prefix(4_096)
        Output.line(LogText.escaped(String(decoding: shown, as: UTF8.self)) + (shown.count < value.count ? " …" : ""))
    }

    static func entry(_ entry: QuarantineReport.Entry, asJSON: Bool) {
        guard !asJSON else { return Output.write(json(entry) + [0x0A]) }
        let (word, detail) = words(entry.outcome)
        let addition =
            switch entry.outcome {
            case .redriven: " to offset \(detail)"
            case .refused, .failed: ": \(LogText.escaped(detail))"
            default: ""
            }
        Output.line("\(entry.source) \(entry.offset)  \(entry.rule)  \(word)\(addition)")
    }

    private static func words(_ outcome: QuarantineReport.Outcome) -> (word: String, detail: String) {
        switch outcome {
        case .redriven(let offset): ("redriven", "\(offset)")
        case .discarded: ("discarded", "")
        case .planned: ("planned", "")
        case .refused(let state): ("refused", state.rawValue)
        case .failed(let reason): ("failed", reason)
        }
    }

    /// What became of a record, as a JSON object.
    static func json(_ entry: QuarantineReport.Entry) -> [UInt8] {
        let (word, detail) = words(entry.outcome)
        var json = JSONWriter()
        json.beginObject()
        json.string("topic", entry.source.topic)
        json.integer("partition", entry.source.partition)
        json.integer("offset", entry.offset)
        json.string("rule", entry.rule)
        json.string("outcome", word)
        if case .redriven(let offset) = entry.outcome {
            json.integer("redriven_to", offset)
        } else if !detail.isEmpty {
            json.string("detail", detail)
        }
        json.endObject()
        return json.bytes
    }

    static func report(_ report: QuarantineReport) {
        let parts = [
            (report.redriven, "redriven"), (report.discarded, "discarded"), (report.planned, "would be taken"),
            (report.refused, "refused"), (report.failed, "failed"),
        ].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        Output.line(parts.isEmpty ? "no such records" : parts.joined(separator: ", "))
    }

    private static func state(_ record: QuarantinedRecord) -> String {
        switch record.state {
        case .redriven: "redriven to \(record.redrivenTo ?? -1)"
        case .discarded where !record.discardReason.isEmpty: "discarded: \(LogText.escaped(record.discardReason))"
        default: record.state.rawValue
        }
    }

    /// A record as a JSON object.
    ///
    /// - Parameter valueBytesMax: of the value at most; nil leaves it out.
    static func json(_ record: QuarantinedRecord, valueBytesMax: Int?) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.string("topic", record.source.topic)
        json.integer("partition", record.source.partition)
        json.integer("offset", record.offset)
        json.string("time", CivilTime.rfc3339(record.timestampMilliseconds))
        for (name, value) in [("rule", record.rule), ("reason", record.reason), ("detail", record.detail)] {
            json.key(dynamic: name)
            json.string(value)
        }
        json.key("event_id")
        if let id = record.eventID { json.string(id) } else { json.null() }
        json.string("bronze_sha256", record.bronzeSHA256)
        json.integer("value_bytes", record.valueBytes)
        json.string("state", record.state.rawValue)
        json.key("redriven_to")
        if let offset = record.redrivenTo { json.integer(offset) } else { json.null() }
        if let valueBytesMax {
            json.string("discard_reason", record.discardReason)
            json.string("logic_version", record.logicVersion)
            json.key("value_base64")
            if let value = record.value {
                var text: [UInt8] = []
                value.prefix(valueBytesMax).withUnsafeBytes { Base64.append($0, to: &text) }
                json.string(String(decoding: text, as: UTF8.self))
            } else {
                json.null()
            }
            json.bool("value_is_cut", record.valueBytes > valueBytesMax)
        }
        json.endObject()
        return json.bytes
    }
}
