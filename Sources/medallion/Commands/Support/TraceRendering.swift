import Console
import JSONScan
import Telemetry

/// Traces for people.
extension Rendering {
    /// From a document to its events.
    static func trace(_ reply: JSONValue) -> String {
        var lines = [
            "document \(text(reply, "doc_id")) of \(text(reply, "collection")), generation \(number(reply, "generation"))"
        ]
        for passage in reply["passages"]?.array ?? [] {
            lines.append("passage \(number(passage, "passage")): \(text(passage, "text"))")
        }
        lines += steps(of: reply)
        for answer in reply["answers"]?.array ?? [] {
            let isCited = answer["cited"]?.bool == true
            lines.append(
                "answer: \(text(answer, "answer_id")) of \(text(answer, "created_at")) "
                    + (isCited ? "cites it" : "looked at it"))
        }
        lines += problems(of: reply)
        lines.append(reply["complete"]?.bool == true ? "complete" : "incomplete")
        return lines.joined(separator: "\n") + "\n"
    }

    /// From an answer's sentences to their events.
    static func answerTrace(_ reply: JSONValue) -> String {
        var lines = [
            "answer \(text(reply, "answer_id")) of \(text(reply, "created_at")), generation \(number(reply, "generation")), "
                + "index version \(number(reply, "index_version"))",
            "question: \(text(reply, "question"))",
        ]
        for sentence in reply["sentences"]?.array ?? [] {
            let marks = (sentence["citations"]?.array ?? []).map { "[\($0.integer ?? 0)]" }.joined()
            lines.append("sentence: \(text(sentence, "text")) \(marks)")
        }
        for citation in reply["citations"]?.array ?? [] {
            lines.append("")
            lines.append(
                "[\(number(citation, "n"))] document \(text(citation, "doc_id")) of \(text(citation, "collection")), version "
                    + "\(number(citation, "version")): \(text(citation, "title"))")
            let words = citation["text"]?.string == nil ? text(citation, "snippet") : text(citation, "text")
            lines.append("passage \(number(citation, "passage")): \(words)")
            lines += steps(of: citation)
            lines += problems(of: citation)
        }
        if reply["citations"]?.array?.isEmpty == false { lines.append("") }
        lines += problems(of: reply)
        lines.append(reply["complete"]?.bool == true ? "complete" : "incomplete")
        return lines.joined(separator: "\n") + "\n"
    }

    /// What came of an event.
    static func impact(_ reply: JSONValue) -> String {
        var lines: [String] = []
        for generation in reply["generations"]?.array ?? [] {
            lines.append(
                "generation \(number(generation, "generation")): \(number(generation, "documents")) documents "
                    + "(\(number(generation, "shown")) shown), \(number(generation, "passages")) passages")
        }
        for document in reply["documents"]?.array ?? [] {
            let isShown = document["to_version"]?.isNull == true
            lines.append(
                "document \(text(document, "doc_id")) of \(text(document, "collection")), generation "
                    + "\(number(document, "generation")), version \(number(document, "version")), "
                    + (document["suppressed"]?.bool == true ? "suppressed" : isShown ? "shown" : "shown no more")
                    + ", from \(text(document, "topic"))[\(number(document, "partition"))] offset "
                    + "\(number(document, "offset")): \(text(document, "title"))")
        }
        for answer in reply["answers"]?.array ?? [] {
            let word = answer["cited"]?.bool == true ? "cites" : "looked at"
            lines.append(
                "answer \(text(answer, "answer_id")) of \(text(answer, "created_at")) \(word) \(text(answer, "doc_id")), given "
                    + "again \(number(answer, "hits")) times: \(text(answer, "question"))")
        }
        if let cached = reply["cached"] {
            lines.append(
                "kept by this server: \(number(cached, "searches")) searches, \(number(cached, "answers")) answers")
            if let shared = cached["shared"], !shared.isNull {
                lines.append(
                    "shared in Redis: \(number(shared, "searches")) searches, \(number(shared, "answers")) answers")
            }
        }
        if reply["truncated"]?.bool == true { lines.append("there may be more: --limit") }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func steps(of reply: JSONValue) -> [String] {
        var lines: [String] = []
        for layer in ["gold", "silver"] {
            guard let line = reply[layer], !line.isNull else {
                lines.append("\(layer): not found")
                continue
            }
            lines.append("\(layer): \(place(line))")
        }
        lines.append("logic version \(text(reply, "logic_version"))")
        for bronze in reply["bronze"]?.array ?? [] {
            let isRight = bronze["hash_ok"]?.bool == true
            lines.append(
                "bronze: topic \(text(bronze, "topic")), topic partition \(number(bronze, "partition")), offset "
                    + "\(number(bronze, "offset")), at \(text(bronze, "timestamp"))")
            lines.append("  \(place(bronze))")
            lines.append("  sha256 \(text(bronze, "sha256")) \(isRight ? "= as in the lineage" : "≠ lineage!")")
            lines.append("  \(text(bronze, "value"))")
        }
        let steps = (reply["times"]?["steps"]?.array ?? []).map {
            "\(text($0, "from")) +\(number($0, "ms")) ms \(text($0, "to"))"
        }
        if !steps.isEmpty { lines.append("times: " + steps.joined(separator: ", ")) }
        for command in reply["commands"]?.array ?? [] { lines.append("  $ \(text(command, "command"))") }
        return lines
    }

    private static func problems(of reply: JSONValue) -> [String] {
        (reply["problems"]?.array ?? []).map { "problem: \(LogText.escaped($0.string ?? ""))" }
    }

    private static func place(_ line: JSONValue) -> String {
        if line["derived_again"]?.bool == true {
            return "derived anew from the event by its logic"
        }
        if line["read_from"]?.string == "broker" { return "read from the broker" }
        return
            "\(text(line, "file")), frame at byte \(number(line, "frame_offset")) (\(number(line, "frame_length")) bytes)"
    }
}
