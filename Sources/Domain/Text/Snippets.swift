/// Makes the snippets of one reply, by an analyzer that it borrows for each.
package struct Snippets: Sendable {
    private let analyzers: TextAnalyzers
    private let wanted: SnippetWords

    /// - Parameter languages: those whose stems count as the query's words.
    package init(query: QuerySyntax, languages: [String], analyzers: TextAnalyzers) throws(TextError) {
        self.analyzers = analyzers
        wanted = try analyzers.withAnalyzer { analyzer in
            SnippetWords(analyzer.query(query, languages: languages), languages: languages)
        }
    }

    /// The part of `text` that shows most of the query, see ``TextAnalyzer/snippet(of:showing:charactersMax:)``.
    package func snippet(of text: String) throws(TextError) -> String {
        try analyzers.withAnalyzer { $0.snippet(of: text, showing: wanted) }
    }
}
