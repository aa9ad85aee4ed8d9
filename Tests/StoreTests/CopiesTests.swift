import Embeddings
import Files
import IndexTesting
import Indexer
import PlatformTesting
import Postgres
import Records
import Retrieval
import Store
import Testing

/// Texts that are the same to the model: in a graph with a vector for each of them, they would be linked to each other only,
/// and hide everything else.
@Suite struct CopiesTests {
    private static let model = PackageRoot.path + "/.deps/model"
    private static let isModelHere = Folder.exists(model + "/model.xml")
    private static let absence: Comment = "run `make setup` for the model"

    /// An invented page: what was done to it, and what somebody may ask.
    private struct Page {
        let title: String
        let edit: String
        var question: String?
    }

    private static let pages = [
        Page(
            title: "Gravel Ford Viaduct", edit: "painted the western arches blue",
            question: "colour of the viaduct's arches"),
        Page(
            title: "Hauptpost Köln", edit: "Öffnungszeiten der Schalterhalle ergänzt",
            question: "Köln Hauptpost Schalter"),
        Page(
            title: "Widgeon Lightship", edit: "quoted the log of its last captain",
            question: "Widgeon Lightship captain's log"),
        Page(
            title: "Bonde de Santa Clara", edit: "horários do bonde no domingo", question: "Santa Clara tram on Sundays"
        ),
        Page(
            title: "Copper Lane Arcade", edit: "replaced a link that was broken",
            question: "Copper Lane Arcade broken link"),
        Page(title: "Merriweather Nursery", edit: "listed the sorts of pears it grows", question: "pear varieties"),
        Page(
            title: "Starling Hill Planetarium", edit: "admission is free on Mondays",
            question: "planetarium admission price"),
        Page(
            title: "Hollin Valley Tramway", edit: "fares of the year 1903",
            question: "Hollin Valley Tramway tickets 1903"),
        Page(
            title: "Skerry of Puffins", edit: "counted the burrows of the breeding birds",
            question: "where do puffins breed"),
        Page(
            title: "Badger Hole Cave", edit: "depth corrected after the new survey",
            question: "how deep is Badger Hole Cave"),
        Page(title: "Ines Calloway", edit: "her second novel appeared in spring"),
        Page(title: "Battle of Thorn Bridge", edit: "losses of both armies"),
        Page(title: "Quartz oscillator", edit: "drift with temperature"),
        Page(title: "Lemon marmalade", edit: "how long the peel is boiled"),
        Page(title: "Third Harbour Regatta", edit: "results of the eights"),
        Page(title: "Sonata for two violas", edit: "first performance in Graz"),
    ]

    private static func document(_ id: String, _ text: String, number: Int) -> GoldDocument {
        var document = IndexFixture.document(number, text: text, embedding: nil).document
        document.docID = id
        document.contentHash = "c-\(id)"
        return document
    }

    private static func pending(_ document: GoldDocument, number: Int, generation: Int64 = 1) -> PendingDocument {
        PendingDocument(
            generation: generation, source: IndexFixture.source, sourceOffset: Int64(number), document: document)
    }

    /// 20 texts, a hundred times each (a thousand times in the long trial), in turn, and then the pages.
    private static func documents() -> [PendingDocument] {
        let rivers = ["Alder", "Brook", "Cinder", "Dapple", "Ember", "Fallow", "Glen", "Heron", "Iris", "Jasper"]
        let texts = ["gauge", "embankment"].flatMap { fact in
            rivers.map { "River \($0): updated the \(fact) of the flood" }
        }
        let copies = LongTests.areWanted ? 1_000 : 100
        var documents = (0..<copies * texts.count).map { number in
            pending(
                document("copy-\(number)", texts[number * 7 % texts.count], number: number), number: number)
        }
        for (number, page) in pages.enumerated() {
            let place = documents.count
            documents.append(
                pending(document("page-\(number)", "\(page.title): \(page.edit)", number: place), number: place))
        }
        return documents
    }

    @Test(.enabled(if: isModelHere, absence))
    func copiesHideNoOtherPage() async throws {
        let fixture = try IndexFixture()
        let embedder = try LocalEmbedder(modelDirectory: Self.model)
        let indexer = DocumentIndexer(configuration: fixture.configuration, embedder: embedder)
        let documents = Self.documents()
        var embedded = 0
        for start in stride(from: 0, to: documents.count, by: 500) {
            embedded += try await indexer.index(Array(documents[start..<min(start + 500, documents.count)])).embedded
        }
        #expect(embedded == 20 + Self.pages.count)
        try fixture.connect().script("ANALYZE", timeoutMilliseconds: IndexFixture.limit)
        try fixture.countWords()

        let store = SearchStore(configuration: fixture.configuration, model: embedder.modelName)
        for (number, page) in Self.pages.enumerated() {
            guard let question = page.question else { continue }
            let vector = try await embedder.embed([question], priority: .query).first
            var query = IndexFixture.query(question, vector: vector)
            let nearest = try store.candidates(for: query, timeoutMilliseconds: IndexFixture.limit).nearest
            #expect(nearest.prefix(3).contains("page-\(number)"), "\(question): \(nearest.prefix(3))")
            #expect(nearest.count == 20 + Self.pages.count, "each text once")
            query.documentLimit = 5
            let found = try store.candidates(for: query, timeoutMilliseconds: IndexFixture.limit)
            let best = ReciprocalRankFusion.fuse(found.candidates).first?.candidate
            #expect(best?.docID == "page-\(number)", "\(question)")
            #expect(best?.copies == 0)
        }
        // Who asks for what was copied is told how many say the same.
        let question = "River Heron embankment"
        var query = IndexFixture.query(
            question, vector: try await embedder.embed([question], priority: .query).first, lexicalLimit: 0)
        query.documentLimit = 3
        let hits = try store.candidates(for: query, timeoutMilliseconds: IndexFixture.limit).candidates
        #expect(hits.first?.text == "River Heron: updated the embankment of the flood")
        #expect(hits.first?.copies == (LongTests.areWanted ? 999 : 99))
        #expect(Set(hits.map(\.text)).count == hits.count)
    }

    /// The model reads letters without case and accents, and its first 256 tokens.
    @Test(.enabled(if: isModelHere, absence))
    func whatTheModelCannotTellApartSharesAVector() async throws {
        let fixture = try IndexFixture()
        let embedder = try LocalEmbedder(modelDirectory: Self.model)
        let indexer = DocumentIndexer(configuration: fixture.configuration, embedder: embedder)
        let long = (0..<400).map { "word\($0 % 7)" }.joined(separator: " ")
        let groups = [
            ["Crème brûlée in Besançon", "CREME BRULEE IN BESANCON", "crème  brulée in\nbesançon"],
            [long + " lantern", long + " harbour", long + " lantern and harbour"],
        ]
        var seen: Set<String> = []
        for (group, texts) in groups.enumerated() {
            var embedded = 0
            for (number, text) in texts.enumerated() {
                var document = Self.document("doc-\(group)-\(number)", text, number: group * 10 + number)
                // All of it is one passage, however long.
                document.passages = [GoldPassage(scalars: 0..<text.unicodeScalars.count, hash: "p-\(text)")]
                embedded += try await indexer.index([Self.pending(document, number: group * 10 + number)]).embedded
            }
            #expect(embedded == 1, "\(texts[0].prefix(30))")
            seen.formUnion(try embedder.inputHashes(of: texts))
        }
        #expect(seen.count == groups.count)
        let counts = try fixture.connect().script(
            "SELECT (SELECT count(*) FROM vectors_1), (SELECT count(*) FROM passages), (SELECT count(*) FROM documents)",
            timeoutMilliseconds: IndexFixture.limit)
        #expect(counts == [["2", "6", "6"]])

        let store = SearchStore(configuration: fixture.configuration, model: embedder.modelName)
        for (group, texts) in groups.enumerated() {
            var query = IndexFixture.query(
                vector: try await embedder.embed([texts[1]], priority: .query).first, lexicalLimit: 0)
            query.documentLimit = 2
            let hit = try store.candidates(for: query, timeoutMilliseconds: IndexFixture.limit).candidates.first
            #expect(hit?.docID == "doc-\(group)-2", "the newest stands for them")
            #expect(hit?.copies == 2)
        }
    }

    private static func chapters(_ words: [String], version: Int64) -> GoldDocument {
        let texts = words.enumerated().map { "Chapter \($0) is about \($1)." }
        var document = document("book", texts.joined(separator: " "), number: 1)
        document.version = version
        document.contentHash = "c-\(version)"
        var start = 0
        for text in texts {
            let end = start + text.unicodeScalars.count
            document.passages.append(GoldPassage(scalars: start..<end, hash: "p-\(text)"))
            start = end + 1
        }
        return document
    }

    @Test func whatDidNotChangeIsNotEmbeddedAgain() async throws {
        let fixture = try IndexFixture()
        let embedder = CountingEmbedder()
        let indexer = DocumentIndexer(configuration: fixture.configuration, embedder: embedder)
        var words = (0..<20).map { "subject \($0)" }
        let first = try await indexer.index([Self.pending(Self.chapters(words, version: 1), number: 1)])
        #expect(first.embedded == 20 && first.passagesAdded == 20)

        words[11] = "something else"
        let changed = Self.pending(Self.chapters(words, version: 2), number: 2)
        let second = try await indexer.index([changed])
        #expect(second.embedded == 1 && second.reused == 19 && second.passagesAdded == 20)
        #expect(embedder.embedded.suffix(1) == ["Chapter 11 is about something else."])

        // For another generation, and for the same once more.
        let child = try fixture.generations.create(
            parent: 1, logicVersion: "logic", note: "", timeoutMilliseconds: IndexFixture.limit)
        var again = changed
        again.generation = child
        let replayed = try await indexer.index([again])
        #expect(replayed.embedded == 0 && replayed.passagesAdded == 20)
        let repeated = try await indexer.index([again, changed])
        #expect(repeated.embedded == 0 && repeated.passagesAdded == 0)
        #expect(embedder.embedded.count == 21)
        let vectors = try fixture.connect().script(
            "SELECT count(*) FROM vectors_1", timeoutMilliseconds: IndexFixture.limit)
        #expect(vectors == [["21"]], "the former chapter is in the history")
    }
}
