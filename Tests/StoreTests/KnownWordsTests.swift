import Bytes
import IndexTesting
import Postgres
import Records
import Testing
import Text

@testable import Store

/// Writers remember the numbers of words, and never use one that holds no more.
@Suite struct KnownWordsTests {
    private let limit = IndexFixture.limit

    private func document(_ number: Int, _ text: String, version: Int64 = 1) -> IndexedDocument {
        IndexFixture.document(number, text: text, version: version, embedding: nil, model: "")
    }

    private func expectFound(_ word: String, _ wanted: Set<String>, _ fixture: IndexFixture) throws {
        try fixture.countWords()
        let found = try fixture.store.candidates(for: IndexFixture.query(word), timeoutMilliseconds: limit)
        #expect(Set(found.candidates.map(\.docID)) == wanted, "\(word)")
        #expect(try IndexRows(connection: fixture.connect()).faults() == [:])
    }

    /// What a person would ask for after the last copy of a word has gone and it comes back.
    @Test func wordsThatHaveGoneGetNewNumbers() throws {
        let fixture = try IndexFixture()
        let writer = fixture.writer
        _ = try writer.write([document(0, "moss of the north")], timeoutMilliseconds: limit)
        _ = try writer.write([document(0, "fern of the north", version: 2)], timeoutMilliseconds: limit)
        let upkeep = IndexUpkeep(configuration: fixture.configuration)
        try fixture.connect().script(
            "UPDATE index_versions SET created_at = created_at - interval '2 hours'", timeoutMilliseconds: limit)
        _ = try writer.write([document(1, "north")], timeoutMilliseconds: limit)
        while try upkeep.removeRetired(IndexRetention(historyHours: 1), timeoutMilliseconds: limit) > 0 {}
        let left = try fixture.connect().script(
            "SELECT 1 FROM words WHERE text = 'moss'", timeoutMilliseconds: limit)
        #expect(left.isEmpty)
        _ = try writer.write([document(2, "moss and fern")], timeoutMilliseconds: limit)
        try expectFound("moss", ["doc-2"], fixture)
        try expectFound("fern", ["doc-0", "doc-2"], fixture)
    }

    /// A server that is brought back to an earlier state behind a pooler looks like the one before.
    @Test func aDatabaseOfAnEarlierStateIsNoticed() throws {
        let fixture = try IndexFixture()
        let writer = fixture.writer
        _ = try writer.write([document(0, "moss")], timeoutMilliseconds: limit)
        let connection = try fixture.connect()
        let last = try connection.script("SELECT max(id) FROM words", timeoutMilliseconds: limit)[0][0] ?? ""
        _ = try writer.write([document(1, "fern")], timeoutMilliseconds: limit)
        try connection.script(
            """
            SET session_replication_role = replica;
            DELETE FROM words WHERE id > \(last);
            DELETE FROM visibility g USING documents d WHERE d.id = g.document_id AND d.doc_id = 'doc-1';
            DELETE FROM postings p USING documents d WHERE d.id = ANY (p.documents) AND d.doc_id = 'doc-1';
            DELETE FROM passage_terms p USING documents d WHERE d.id = p.document_id AND d.doc_id = 'doc-1';
            DELETE FROM passages p USING documents d WHERE d.id = p.document_id AND d.doc_id = 'doc-1';
            DELETE FROM documents WHERE doc_id = 'doc-1';
            DELETE FROM uncounted_documents u WHERE NOT EXISTS (SELECT FROM documents d WHERE d.id = u.document_id)
            """, timeoutMilliseconds: limit)
        _ = try writer.write([document(2, "fern moss")], timeoutMilliseconds: limit)
        try expectFound("fern", ["doc-2"], fixture)
        try expectFound("moss", ["doc-0", "doc-2"], fixture)
    }

    /// The number that a word has by now is what is sent; another tenant's is not.
    @Test func numbersAreSentOnceTheyAreKnown() throws {
        let fixture = try IndexFixture()
        let known = KnownWords()
        let connection = try fixture.connect()
        _ = try fixture.writer.write([document(0, "moss")], timeoutMilliseconds: limit)
        let analyzer = try WordCutter.made()
        func put(_ number: Int, _ text: String, version: Int64 = 1) throws -> (PassageWords, PutDocuments.Row) {
            let document = document(number, text, version: version)
            let words = PassageWords(analyzer.terms(of: document), known: known.of(.standard))
            var batch = PostgresBatch()
            batch.add(BeginIndexTransaction(origin: .live, generations: [1]))
            let slot = batch.add(PutDocuments(model: 0, documents: [document], words: words))
            let row = try #require(try connection.run(batch, timeoutMilliseconds: limit).rows(slot).first)
            known.learn(words, row.wordNumbers, of: .standard, removals: row.removals)
            return (words, row)
        }
        let (first, row) = try put(1, "fern")
        #expect(first.knownNumbers.allSatisfy { $0 == 0 } && first.removals == 0)
        #expect(row.wordNumbers.count == first.words.count && row.wordNumbers.allSatisfy { $0 > 0 })
        #expect(row.passages == 1 && row.removals > 0)
        let (second, again) = try put(2, "fern and moss")
        #expect(second.removals == row.removals && again.removals == row.removals)
        let place = try #require(second.words.firstIndex(of: "fern"))
        #expect(second.knownNumbers[place] > 0 && second.knownNumbers[place] == again.wordNumbers[place])
        #expect(known.of(IndexStep.acme)["fern"] == 0)
        // What was there already writes no words.
        #expect(try put(2, "fern and moss").1.wordNumbers.isEmpty)
        try connection.script("DELETE FROM words WHERE text = 'nowhere'", timeoutMilliseconds: limit)
        #expect(try put(3, "fern").1.removals == row.removals, "nothing was removed")
        try connection.script(
            "INSERT INTO words (tenant, text) VALUES ('default', 'nowhere'); DELETE FROM words WHERE text = 'nowhere'",
            timeoutMilliseconds: limit)
        let later = try put(4, "fern")
        #expect(later.1.removals > row.removals && later.0.removals == row.removals)
        #expect(known.of(.standard)["moss"] == 0 && known.of(.standard)["fern"] > 0)
        try expectFound("fern", ["doc-1", "doc-2", "doc-3", "doc-4"], fixture)
    }

    /// Some go, none is wrong, and the last ones are there.
    @Test func theMemoryIsBounded() throws {
        let wordsMax = 2_000
        let known = KnownWords(wordsMax: wordsMax)
        let title = PassageTerms(title: [], text: [], attributes: ["a:always=1"])
        for start in stride(from: 0, to: 2 * wordsMax, by: 100) {
            let passages = (start..<start + 100).map {
                PassageTerms(title: [], text: [], attributes: ["a:number=\($0)"])
            }
            let words = PassageWords(passages + [title], known: known.of(.standard))
            let numbers = words.words.map { Int32($0.split(separator: "=")[1]) ?? 0 }.map { $0 + 1 }
            known.learn(words, numbers, of: .standard, removals: 7)
        }
        let numbers = known.of(.standard)
        let found = (0..<2 * wordsMax).filter { numbers["a:number=\($0)"] != 0 }
        #expect(found.count <= wordsMax + 200 && found.count >= wordsMax / 2)
        #expect(found.allSatisfy { numbers["a:number=\($0)"] == Int32($0 + 1) })
        #expect(found.last == 2 * wordsMax - 1)
    }

    /// The two orders of the arrays say the same, rows come in the order of numbers, and each has few postings, the last one first.
    @Test func postingsAndTermsAgree() throws {
        var generator = SeededGenerator(seed: 5)
        let known = KnownWords()
        for round in 0..<20 {
            // In some rounds so many that a word has several rows.
            let passages = (0..<Int.random(in: 0...(round % 4 == 3 ? 300 : 30), using: &generator)).map { _ in
                PassageTerms(
                    title: [], text: [],
                    attributes: (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                        "a:w=\(Int.random(in: 0...60, using: &generator))"
                    })
            }
            let words = PassageWords(passages, known: known.of(.standard))
            var wanted: Set<String> = []
            for (place, passage) in passages.enumerated() {
                for (form, weight) in zip(passage.forms, passage.weights) {
                    wanted.insert("\(place) \(form) \(weight)")
                }
            }
            var start = 0
            var posted: [String] = []
            for (word, end) in zip(words.rowWords, words.rowEnds) {
                let row = start..<Int(end)
                #expect((1...PassageWords.rowMax).contains(row.count), "round \(round)")
                let places = Array(words.postingPlaces[row])
                #expect(places == places.sorted(by: >) && Set(places).count == places.count, "round \(round)")
                for index in row {
                    let form = words.words[Int(word) - 1]
                    posted.append("\(words.postingPlaces[index] - 1) \(form) \(words.postingWeights[index])")
                }
                start = Int(end)
            }
            #expect(posted.count == wanted.count && Set(posted) == wanted)
            start = 0
            var listed: Set<String> = []
            for (place, end) in words.termEnds.enumerated() {
                for index in start..<Int(end) {
                    let form = words.words[Int(words.terms[index]) - 1]
                    listed.insert("\(place) \(form) \(words.termWeights[index])")
                }
                start = Int(end)
            }
            #expect(listed == wanted && words.termEnds.count == passages.count)
            let numbers = words.rowWords.map { words.knownNumbers[Int($0) - 1] }
            #expect(numbers == numbers.sorted(), "round \(round)")
            known.learn(
                words, words.words.map { Int32(abs($0.hashValue % 1_000_000)) + 1 }, of: .standard, removals: 1)
        }
    }

    /// Cutting beside the write leaves what the writer's own cutting does.
    @Test func wordsCutBesideTheWriteAreTheSame() throws {
        let documents = (0..<8).map { document($0, "Straße state-of-the-art HTTPServer 東京都 \($0) moss moss") }
        let rows = try [false, true].map { isCut in
            let fixture = try IndexFixture()
            var documents = documents
            if isCut {
                try fixture.writer.cut(&documents)
                #expect(documents.allSatisfy { $0.terms?.count == 1 })
            }
            _ = try fixture.writer.write(documents, timeoutMilliseconds: limit)
            return try fixture.connect().script(
                """
                SELECT d.doc_id, w.text, p.weight, x.length, x.analyzer FROM passage_terms x
                CROSS JOIN unnest(x.words, x.weights) AS p(word_id, weight) JOIN words w ON w.id = p.word_id
                JOIN documents d ON d.id = x.document_id ORDER BY 1, 2
                """, timeoutMilliseconds: limit)
        }
        #expect(rows[0] == rows[1] && rows[0].count > 8 * 10)
        // One that is changed behind the cutting is cut anew.
        let fixture = try IndexFixture()
        var one = [documents[0]]
        try fixture.writer.cut(&one)
        one[0].passages.append(IndexedPassage(number: 1, text: "fern", embedding: nil))
        _ = try fixture.writer.write(one, timeoutMilliseconds: limit)
        try expectFound("fern", ["doc-0"], fixture)
    }
}

extension WordCutter {
    fileprivate static func made() throws -> TextAnalyzer {
        var cutter = WordCutter()
        return try cutter.get()
    }
}
