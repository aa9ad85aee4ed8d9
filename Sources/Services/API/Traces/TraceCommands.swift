import Bytes
import HTTPServer
import JSONScan
import Records

/// Commands for a shell that show the steps of a trace by other means. Addresses are variables, which whoever asks has or sets; all
/// that comes from events is quoted.
enum TraceCommands {
    struct Line {
        let tool: String
        let shows: String
        let text: String
    }

    static func commands(for trace: Trace) -> [Line] {
        var lines: [Line] = []
        for bronze in trace.bronze {
            let (topic, partition, offset) = (quoted(bronze.topic), bronze.partition, bronze.offset)
            lines.append(
                Line(
                    tool: "kcat", shows: "the event's bytes in the broker, while its topic keeps them",
                    text:
                        "kcat -C -b \"$KAFKA_BROKERS\" -t \(topic) -p \(partition) -o \(offset) -c 1 -e -f '%s' | sha256sum"
                ))
            lines.append(
                Line(
                    tool: "medallion", shows: "the same bytes in the lake",
                    text:
                        "medallion lake cat --topic \(topic) --partition \(partition) --offset \(offset) --raw | sha256sum"
                ))
            if let location = bronze.location, !location.isRemote {
                lines.append(
                    Line(
                        tool: "zstd", shows: "the Bronze line, from its file",
                        text: frame(location) + " | grep -F -- '\"offset\":\(bronze.offset),'"))
            }
        }
        if let location = trace.gold?.location, !location.isRemote {
            lines.append(
                Line(
                    tool: "zstd", shows: "the Gold line, from its file",
                    text: frame(location) + " | grep -F -- \(quoted(JSONValue.string(trace.docID).text))"))
        }
        let document =
            "/trace/\(PercentCoding.segment(trace.docID))?collection=\(PercentCoding.segment(trace.collection))"
        lines.append(
            Line(
                tool: "curl", shows: "the document as the index shows it now",
                text: "curl -sS \"$MEDALLION_URL\"\(quoted(document))"))
        let sql =
            "SELECT d.content_hash, v.* FROM documents d JOIN visibility v ON v.document_id = d.id WHERE d.doc_id = "
            + "\(literal(trace.docID)) ORDER BY v.generation, v.from_version"
        lines.append(
            Line(
                tool: "psql", shows: "what each generation shows or showed of it",
                text: "psql \"$POSTGRES_DSN\" -x -c \(quoted(sql))"))
        return lines
    }

    static func commands(forAnswer id: String) -> [Line] {
        let sql = "SELECT a.reply, s.* FROM answers a JOIN answer_documents s USING (answer_id) WHERE answer_id = "
        return [
            Line(
                tool: "curl", shows: "the answer as it was given",
                text: "curl -sS \"$MEDALLION_URL\"\(quoted("/answers/\(PercentCoding.segment(id))"))"),
            Line(
                tool: "psql", shows: "what is kept of it",
                text: "psql \"$POSTGRES_DSN\" -x -c \(quoted(sql + literal(id)))"),
        ]
    }

    /// The text of the frame that holds a line.
    private static func frame(_ location: LakeLocation) -> String {
        "tail -c +\(location.frameOffset + 1) \"$LAKE_DIR\"/\(quoted(location.file)) | head -c \(location.frameLength) "
            + "| zstd -dc"
    }

    /// One word of a POSIX shell, whatever is in it.
    static func quoted(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }

    /// A string literal of SQL, whatever is in it, under `standard_conforming_strings`.
    static func literal(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
    }
}
