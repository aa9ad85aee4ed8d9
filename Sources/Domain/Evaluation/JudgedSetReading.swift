import Bytes
import JSONScan

extension JudgedSet {
    /// Bounds of a set, so that a wrong file does not make a long run.
    package static let queriesMax = 100_000
    private static let gradeRange = -1_000...1_000

    /// Reads a set: topics of TREC with their judgements, or JSON lines that hold both.
    ///
    /// - Parameters:
    ///   - file: the queries' bytes.
    ///   - judgements: the bytes of a file of TREC judgements (qrels); nil where the queries bring theirs.
    package init(_ file: [UInt8], judgements: [UInt8]?) throws(JudgedSetError) {
        let first = file.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
        guard let first else { throw JudgedSetError("the set is empty") }
        let isJSON = first == UInt8(ascii: "{")
        var queries = try isJSON ? Self.jsonLines(file) : Self.topics(file)
        guard queries.count <= Self.queriesMax else {
            throw JudgedSetError("the set has \(queries.count) queries, and may have \(Self.queriesMax)")
        }
        guard let judgements else {
            guard isJSON else {
                throw JudgedSetError("topics of TREC have no judgements: --qrels FILE names them")
            }
            try self.init(queries)
            return
        }
        var grades = try Self.qrels(judgements)
        for place in queries.indices {
            guard let judged = grades.removeValue(forKey: queries[place].id) else { continue }
            queries[place].grades.merge(judged) { _, given in given }
        }
        try self.init(queries, judgedWithoutText: grades.keys.sorted())
    }

    // MARK: TREC

    /// `<top> <num> Number: 301 <title> words … </top>`, as TREC's tracks have written them since 1992: tags that are opened and
    /// not closed, labels (`Number:`, `Topic:`) that may be there. The title is the query; `<desc>` and `<narr>` are not.
    static func topics(_ bytes: [UInt8]) throws(JudgedSetError) -> [JudgedQuery] {
        let text = String(decoding: bytes, as: UTF8.self)
        var queries: [JudgedQuery] = []
        var rest = text[...]
        while let start = rest.firstRange(of: "<top>") {
            rest = rest[start.upperBound...]
            guard let end = rest.firstRange(of: "</top>") else {
                throw JudgedSetError("topic \(queries.count + 1) has no </top>")
            }
            let topic = rest[..<end.lowerBound]
            rest = rest[end.upperBound...]
            let place = "topic \(queries.count + 1)"
            guard let number = field("num", of: topic, labels: ["Number:"]) else {
                throw JudgedSetError("\(place) has no <num>")
            }
            guard let title = field("title", of: topic, labels: ["Topic:"]) else {
                throw JudgedSetError("\(place) (\(number)) has no <title>")
            }
            queries.append(JudgedQuery(id: number, text: title, grades: [:]))
        }
        guard !queries.isEmpty else {
            throw JudgedSetError("the set has neither JSON lines nor a <top> of TREC topics")
        }
        return queries
    }

    /// What stands between a tag and the next, without its label, on one line; nil where that is nothing.
    private static func field(_ name: String, of topic: Substring, labels: [String]) -> String? {
        guard let start = topic.firstRange(of: "<\(name)>") else { return nil }
        let content = topic[start.upperBound...].prefix { $0 != "<" }
        var words = content.split(whereSeparator: \.isWhitespace).map(String.init)
        if let first = words.first, labels.contains(first) { words.removeFirst() }
        // Some write "Number:301".
        for label in labels where words.first?.hasPrefix(label) == true { words[0].removeFirst(label.count) }
        let text = words.joined(separator: " ")
        return text.isEmpty ? nil : text
    }

    /// `topic iteration document grade`, a line each.
    static func qrels(_ bytes: [UInt8]) throws(JudgedSetError) -> [String: [String: Int]] {
        var grades: [String: [String: Int]] = [:]
        for (index, line) in lines(of: bytes) {
            let fields = line.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }.map {
                String(decoding: $0, as: UTF8.self)
            }
            if fields.isEmpty { continue }
            guard fields.count == 4, let grade = Int(fields[3]), gradeRange.contains(grade) else {
                throw JudgedSetError(
                    "line \(index) of the judgements is not “topic iteration document grade”, with a whole number at its end"
                )
            }
            grades[fields[0], default: [:]][fields[2]] = grade
        }
        guard !grades.isEmpty else { throw JudgedSetError("the judgements are empty") }
        return grades
    }

    private static func lines(of bytes: [UInt8]) -> [(number: Int, bytes: ArraySlice<UInt8>)] {
        bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated().map { ($0.offset + 1, $0.element) }
    }

    // MARK: JSON lines

    /// `{"id": "1", "query": "…", "relevant": {"doc": 1}, "filters": {…}}`, a line each.
    static func jsonLines(_ bytes: [UInt8]) throws(JudgedSetError) -> [JudgedQuery] {
        var queries: [JudgedQuery] = []
        for (number, line) in lines(of: bytes) where line.contains(where: { $0 > 0x20 }) {
            queries.append(try jsonLine(Array(line), number))
        }
        return queries
    }

    private static func jsonLine(_ bytes: [UInt8], _ number: Int) throws(JudgedSetError) -> JudgedQuery {
        let place = "line \(number) of the set"
        let line: JSONValue
        do throws(JSONError) {
            line = try JSONValue.parse(bytes)
        } catch {
            throw JudgedSetError("\(place) is no JSON: \(error)")
        }
        guard let members = line.object else { throw JudgedSetError("\(place) is no JSON object") }
        for (name, _) in members where !["id", "query", "relevant", "filters"].contains(name) {
            throw JudgedSetError("\(place) has a member “\(name)”, which nobody reads")
        }
        guard let id = line["id"].flatMap({ $0.string ?? $0.integer.map(String.init) }), !id.isEmpty else {
            throw JudgedSetError("\(place) has no id, a text or a whole number")
        }
        guard let text = line["query"]?.string, text.contains(where: { !$0.isWhitespace }) else {
            throw JudgedSetError("\(place) (\(id)) has no query")
        }
        var grades: [String: Int] = [:]
        for (document, value) in line["relevant"]?.object ?? [] {
            guard let grade = value.integer.flatMap({ Int(exactly: $0) }), gradeRange.contains(grade) else {
                throw JudgedSetError("\(place) (\(id)): the grade of \(document) is no whole number")
            }
            grades[document] = grade
        }
        if let relevant = line["relevant"], relevant.object == nil {
            throw JudgedSetError("\(place) (\(id)): relevant is no object of grades by doc_id")
        }
        var filters: [UInt8]?
        if let given = line["filters"], !given.isNull {
            guard given.object != nil else { throw JudgedSetError("\(place) (\(id)): filters is no object") }
            var writer = JSONWriter()
            writer.value(given)
            filters = writer.bytes
        }
        return JudgedQuery(id: id, text: text, grades: grades, filters: filters)
    }
}
