import JSONScan
import Telemetry

/// Replies of the API as text for a terminal. Everything in them may come from the stream, so all of it is escaped.
enum Rendering {
    static func hits(_ reply: JSONValue) -> String {
        let hits = reply["hits"]?.array ?? []
        var lines = interpreted(reply)
        if hits.isEmpty {
            return (lines + ["no hits"] + counts(reply) + [footer(reply)]).joined(separator: "\n") + "\n"
        }
        for (index, hit) in hits.enumerated() {
            let place = text(hit, hit["wiki"] == nil ? "collection" : "wiki")
            lines += ["\(index + 1). \(text(hit, "title"))  [\(place) \(text(hit, "event_time"))]"]
            let snippet = text(hit, "snippet")
            if !snippet.isEmpty { lines.append("   \(snippet)") }
            // Not every collection has addresses.
            if hit["url"]?.string?.isEmpty == false { lines.append("   \(text(hit, "url"))") }
            let others = hit["group"]?["others"]?.integer.map { $0 > 0 ? "  and \($0) others" : "" } ?? ""
            lines.append("   \(scores(hit))  doc_id \(text(hit, "doc_id"))\(others)")
            if let explained = explained(hit) { lines.append("   \(explained)") }
        }
        lines += counts(reply)
        lines.append(footer(reply))
        return lines.joined(separator: "\n") + "\n"
    }

    static func answer(_ reply: JSONValue) -> String {
        var lines = interpreted(reply)
        for sentence in reply["sentences"]?.array ?? [] {
            let numbers = (sentence["citations"]?.array ?? []).compactMap(\.integer).map { "[\($0)]" }
            lines.append("\(text(sentence, "text")) \(numbers.joined())")
        }
        for citation in reply["citations"]?.array ?? [] {
            let number = citation["n"]?.integer.map { "\($0)" } ?? "?"
            let url = citation["url"]?.string?.isEmpty == false ? " — \(text(citation, "url"))" : ""
            lines.append("[\(number)] \(text(citation, "title"))\(url)")
            lines.append("    doc_id \(text(citation, "doc_id"))")
        }
        lines.append(footer(reply) + "  answer \(text(reply, "answer_id"))")
        return lines.joined(separator: "\n") + "\n"
    }

    /// What was understood of the question, so that nobody wonders what was left out.
    private static func interpreted(_ reply: JSONValue) -> [String] {
        let parts = reply["interpreted"]?["parts"]?.array ?? []
        guard let interpreted = reply["interpreted"], !parts.isEmpty else { return [] }
        let words = parts.map { "\(text($0, "kind")) “\(text($0, "text"))”" }.joined(separator: ", ")
        return ["understood: \(words); searched for “\(text(interpreted, "query"))” (--no-interpret switches this off)"]
    }

    static func text(_ value: JSONValue, _ name: String) -> String {
        LogText.escaped(value[name]?.string ?? "")
    }

    static func number(_ value: JSONValue, _ name: String) -> String {
        value[name]?.integer.map { "\($0)" } ?? "?"
    }

    private static func scores(_ hit: JSONValue) -> String {
        ["vector", "lexical", "fused"].map { "\($0) \(rounded(hit["scores"]?[$0]))" }.joined(separator: "  ")
    }

    private static func rounded(_ number: JSONValue?) -> String {
        number?.double.map { "\(($0 * 10_000).rounded() / 10_000)" } ?? "–"
    }

    /// The parts that add up to a score; nil where they were not asked for.
    private static func explained(_ hit: JSONValue) -> String? {
        guard let parts = hit["explain"]?["parts"]?.array else { return nil }
        let texts = parts.map { part in
            let rank = part["rank"]?.integer.map { " (place \($0))" } ?? ""
            return "\(text(part, "name")) \(rounded(part["value"]))\(rank)"
        }
        return "= " + texts.joined(separator: " + ")
    }

    /// How many there are, and the values that they have, as far as that was asked for.
    private static func counts(_ reply: JSONValue) -> [String] {
        func count(_ value: JSONValue, _ name: String, of relation: JSONValue?) -> String {
            number(value, name) + (relation?["relation"]?.string == "gte" ? " or more" : "")
        }
        var lines: [String] = []
        if let total = reply["total"] { lines.append("documents: \(count(total, "value", of: total))") }
        guard case .object(let facets)? = reply["facets"] else { return lines }
        for (name, facet) in facets {
            let values = (facet["values"]?.array ?? []).map { one in
                "\(plain(one["value"])) \(count(one, "count", of: facet))"
            }
            let more = facet["has_more"]?.bool == true ? ", …" : ""
            lines.append("\(LogText.escaped(name)): \(values.joined(separator: ", "))\(more)")
        }
        return lines
    }

    /// A text, number or truth value of an attribute.
    private static func plain(_ value: JSONValue?) -> String {
        switch value {
        case .string(let text)?: LogText.escaped(text)
        case .integer(let number)?: "\(number)"
        case .double(let number)?: "\(number)"
        case .bool(let flag)?: "\(flag)"
        default: "?"
        }
    }

    private static func footer(_ reply: JSONValue) -> String {
        let latency = reply["latency_ms"]?.double.map { "\(($0 * 10).rounded() / 10) ms, " } ?? ""
        return "(\(latency)generation \(number(reply, "generation")), index version \(number(reply, "index_version"))"
            + freshness(reply) + ")"
    }

    /// How fresh the index is; in words where it is not.
    private static func freshness(_ reply: JSONValue) -> String {
        guard let state = reply["freshness"]?.string else { return "" }
        let reason = text(reply, "freshness_reason")
        return ", \(LogText.escaped(state))" + (reason.isEmpty ? "" : ": \(reason)")
    }
}
