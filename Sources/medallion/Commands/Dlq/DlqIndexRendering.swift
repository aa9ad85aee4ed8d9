import Bytes
import Console
import Store
import Telemetry

/// Documents that the index lacks, for a terminal or as JSON lines.
extension DlqRendering {
    /// One line of a list.
    static func line(_ row: RefusedDocumentRow, asJSON: Bool) {
        guard !asJSON else { return Output.write(json(row, withLine: false) + [0x0A]) }
        let document = row.document
        Output.line(
            "\(document.source) \(document.sourceOffset)  generation \(document.generation)  "
                + "\(CivilTime.rfc3339(row.refusedAtMilliseconds))  \(document.code) "
                + "(\(LogText.escaped(document.reason)))  \(LogText.escaped(document.docID))")
    }

    /// All about one document.
    static func refused(_ row: RefusedDocumentRow, asJSON: Bool) {
        guard !asJSON else { return Output.write(json(row, withLine: true) + [0x0A]) }
        let document = row.document
        Output.line("\(document.source) offset \(document.sourceOffset), generation \(document.generation)")
        Output.line("document: \(LogText.escaped(document.docID))")
        Output.line("refused: \(CivilTime.rfc3339(row.refusedAtMilliseconds)), \(document.code)")
        Output.line("reason: \(LogText.escaped(document.reason))")
        guard let line = document.line else {
            return Output.line("Gold line: only in the lake; see medallion lake cat --help")
        }
        Output.line("Gold line: \(line.count) bytes")
        let shown = line.prefix(4_096)
        Output.line(LogText.escaped(String(decoding: shown, as: UTF8.self)) + (shown.count < line.count ? " …" : ""))
    }

    private static func json(_ row: RefusedDocumentRow, withLine: Bool) -> [UInt8] {
        let document = row.document
        var json = JSONWriter()
        json.beginObject()
        json.integer("generation", document.generation)
        json.string("topic", document.source.topic)
        json.integer("partition", document.source.partition)
        json.integer("offset", document.sourceOffset)
        json.string("doc_id", document.docID)
        json.string("code", document.code)
        json.string("reason", document.reason)
        json.key("line_bytes")
        if let bytes = row.lineBytes { json.integer(bytes) } else { json.null() }
        json.string("refused_at", CivilTime.rfc3339(row.refusedAtMilliseconds))
        if withLine {
            json.key("gold_line")
            if let line = document.line { json.string(String(decoding: line, as: UTF8.self)) } else { json.null() }
        }
        json.endObject()
        return json.bytes
    }
}
