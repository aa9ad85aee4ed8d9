import Bytes

/// A query with the documents that somebody judged for it.
package struct JudgedQuery: Sendable, Equatable {
    package var id: String
    package var text: String
    /// Grades by the documents' ids; above 0 is relevant.
    package var grades: [String: Int]
    /// `filters` of `POST /search` as one JSON object; nil for none.
    package var filters: [UInt8]?

    package init(id: String, text: String, grades: [String: Int], filters: [UInt8]? = nil) {
        self.id = id
        self.text = text
        self.grades = grades
        self.filters = filters
    }
}

/// A set of judged queries.
package struct JudgedSet: Sendable, Equatable {
    /// Those with a relevant document, in the order of the file.
    package private(set) var queries: [JudgedQuery] = []
    /// Ids of queries that were left out because nothing is relevant to them.
    package private(set) var withoutRelevant: [String] = []
    /// Ids that judgements name and no query has.
    package private(set) var withoutText: [String] = []

    /// - Throws: ``JudgedSetError`` where two queries have one id, or none has a relevant document.
    package init(_ queries: [JudgedQuery], judgedWithoutText: [String] = []) throws(JudgedSetError) {
        var seen: Set<String> = []
        for query in queries {
            guard seen.insert(query.id).inserted else { throw JudgedSetError("two queries have the id \(query.id)") }
            if query.grades.values.contains(where: { $0 > 0 }) {
                self.queries.append(query)
            } else {
                withoutRelevant.append(query.id)
            }
        }
        withoutText = judgedWithoutText
        guard queries.isEmpty || !self.queries.isEmpty else {
            throw JudgedSetError(
                "none of the \(queries.count) queries has a relevant document: do the ids of queries and judgements agree?"
            )
        }
        guard !self.queries.isEmpty else { throw JudgedSetError("there is no query") }
    }

    /// Every document that is relevant to a query, each once, in the order of its bytes.
    package var relevantDocuments: [String] {
        Set(queries.flatMap { $0.grades.filter { $0.value > 0 }.keys }).sorted()
    }

    /// Tells sets apart: equal for equal queries, filters and judgements, whatever their order.
    package var fingerprint: String {
        var writer = JSONWriter()
        writer.beginArray()
        for query in queries.sorted(by: { $0.id < $1.id }) {
            writer.string(query.id)
            writer.string(query.text)
            writer.string(String(decoding: query.filters ?? [], as: UTF8.self))
            for (document, grade) in query.grades.sorted(by: { $0.key < $1.key }) {
                writer.string(document)
                writer.integer(grade)
            }
        }
        writer.endArray()
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in writer.bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return Hex.string((0..<8).map { UInt8(truncatingIfNeeded: hash >> (56 - $0 * 8)) })
    }
}

/// A judged set or a saved run that cannot be used, and why.
package struct JudgedSetError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}
