import Records
import Retrieval
import Text

extension SearchRequest {
    /// The request with tests that its query names, such as `user:Alice` or `-lang:de`, made a part of its filter.
    ///
    /// A name counts where it is an attribute that may be asked for and is a text, and in lower case alone: `User:Alice` is a page of
    /// a wiki. Else all of it stays text. Several values of one attribute are alternatives. Where nothing else is left, the values are
    /// searched for as well.
    func takingFields(_ declared: DeclaredAttributes) -> SearchRequest {
        guard query.contains(":") else { return self }
        let names = declared.filterableTexts(in: filter.scope.collections).filter {
            !CandidateQuery.fields.contains($0.text)
        }
        let syntax = QuerySyntax(query, fields: CandidateQuery.fields.union(names.map(\.text)))
        let tests = syntax.clauses.compactMap { clause -> NamedTest? in
            guard clause.kind != .prefix, let field = clause.field, let name = AttributeName(field),
                names.contains(name), clause.text.unicodeScalars.count <= FilterLimits.charactersMax,
                query.utf8.dropFirst(clause.range.lowerBound + (clause.isExcluded ? 1 : 0)).starts(with: field.utf8)
            else { return nil }
            return NamedTest(name: name, clause: clause)
        }
        guard !tests.isEmpty else { return self }
        let rest = Self.text(query, without: tests.map(\.clause.range))
        let wanted = tests.filter { !$0.clause.isExcluded }
        guard
            let narrowed = try? filter.adding(
                must: NamedTest.alternatives(wanted), mustNot: NamedTest.alternatives(tests.filter(\.clause.isExcluded))
            )
        else { return self }
        var request = self
        request.typed = query
        request.filter = narrowed
        request.query =
            rest.contains { !$0.isWhitespace } ? rest : wanted.map(\.clause.text).joined(separator: " ")
        return request
    }

    /// - Parameter ranges: of UTF-8 bytes, in order.
    private static func text(_ text: String, without ranges: [Range<Int>]) -> String {
        let bytes = Array(text.utf8)
        var parts: [String] = []
        var start = 0
        for range in ranges + [bytes.count..<bytes.count] {
            let part = String(decoding: bytes[start..<range.lowerBound], as: UTF8.self)
            parts.append(String(part.trimmingPrefix(while: \.isWhitespace)))
            start = range.upperBound
        }
        return parts.filter { $0.contains { !$0.isWhitespace } }.joined(separator: " ")
    }
}

/// A part of a query that tests an attribute.
private struct NamedTest {
    let name: AttributeName
    let clause: QuerySyntax.Clause

    /// One test for each attribute, of all its values.
    static func alternatives(_ tests: [NamedTest]) -> [AttributeTest] {
        Dictionary(grouping: tests, by: \.name).map { name, tests in .texts(name, tests.map(\.clause.text)) }
    }
}
