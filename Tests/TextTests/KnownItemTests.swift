import PlatformTesting
import Testing
import Text

/// Every title of the recordings that is looked up is among the first three, in every script.
@Suite struct KnownItemTests {
    /// A debug build takes its time for 60,000 texts.
    private static let step = LongTests.areWanted ? 1 : 3

    @Test(
        .enabled(if: Recordings.folder != nil, Comment(rawValue: Recordings.absence)), arguments: LongTests.seeds(1...1)
    )
    func titlesAreFoundByThemselves(seed: UInt64) throws {
        let analyzer = try TextAnalyzer()
        var (index, titleIndex) = (WordIndex(), WordIndex())
        let documents = try KnownItems.documents(step: Self.step)
        var seen: Set<String> = []
        for document in documents where seen.insert(document.title + "\n" + document.comment).inserted {
            let text = document.title + " — " + document.comment
            let language = document.wiki.hasSuffix("wiki") ? String(document.wiki.dropLast(4)) : ""
            let languages = StemLanguages.ofDocument(language)
            index.add(analyzer.words(of: text, languages: languages), title: document.title)
            titleIndex.add(analyzer.words(of: document.title, languages: languages), title: document.title)
        }
        var asked: [String: Int] = [:]
        var missed: [String: [String]] = [:]
        let items = KnownItems.sample(of: documents.map(\.title), seed: seed)
        try #require(items.count >= 200)
        for item in items {
            asked[item.script, default: 0] += 1
            let query = analyzer.query(QuerySyntax(item.title, fields: ["title"]), languages: ["en"])
            let found = index.search(query, titleIndex: titleIndex, limit: 3).map(KnownItems.key)
            if !found.contains(KnownItems.key(of: item.title)) { missed[item.script, default: []].append(item.title) }
        }
        for (script, count) in asked {
            let titles = missed[script] ?? []
            #expect(
                50 * titles.count <= count, "\(script): \(titles.count) of \(count): \(titles.joined(separator: " | "))"
            )
        }
    }
}
