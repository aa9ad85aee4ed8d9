import Bytes
import Retrieval
import Testing

@Suite struct AnswererTests {
    private func answer(_ question: String, _ hits: [Hit], maxTokens: Int = 200) -> Answer {
        ExtractiveAnswerer.answer(
            question: question, hits: hits, sentences: ExtractiveAnswerer.sentences(of: hits), maxTokens: maxTokens)
    }

    private let bridge = "Golden Gate Bridge: repainted towers section (edit by Ann on en.wikipedia.org, +120 bytes)"
    private let other = "Lake Tahoe: new depth figure from survey (edit by Bob on en.wikipedia.org, +9 bytes)"

    @Test func quotesTheSupportingSentenceWithItsCitation() {
        let result = answer(
            "Who changed the Golden Gate Bridge?",
            hits([("Golden Gate Bridge", bridge, 0.71), ("Lake Tahoe", other, 0.12)]))
        #expect(!result.isRefused)
        #expect(result.sentences == [AnswerSentence(text: bridge, citations: [1])])
        #expect(result.citations.map(\.hit.candidate.docID) == ["d0"])
    }

    @Test(arguments: [
        "What is the boiling point of mercury?", "asdfgh qwertz", "", "???", "What is it about?",
    ]) func refusesWithoutSupport(question: String) {
        let result = answer(question, hits([("Golden Gate Bridge", bridge, 0.2), ("Lake Tahoe", other, 0.12)]))
        #expect(result.isRefused)
        #expect(result.sentences == [AnswerSentence(text: "I don't have enough information.", citations: [])])
        #expect(result.citations.isEmpty)
    }

    /// Half of what is read stays as fused.
    @Test func theFirstHitsOfEachArmAreRead() {
        var candidates = (3...20).map { candidate("both\($0)", vector: ($0, 0.5), lexical: ($0, 2)) }
        candidates += [
            candidate("words", lexical: (1, 9)), candidate("words2", lexical: (2, 8)),
            candidate("near", vector: (1, 0.9)),
        ]
        let ranking = ReciprocalRankFusion.fuse(candidates)
        #expect(ranking.prefix(6).allSatisfy { $0.candidate.docID.hasPrefix("both") })
        func read(_ count: Int) -> [String] {
            ExtractiveAnswerer.order(ranking, question: "what is new?", count: count).hits.map(\.candidate.docID)
        }
        #expect(read(6).prefix(6) == ["both3", "both4", "both5", "near", "words", "words2"])
        #expect(read(6).count == ranking.count && Set(read(6)).count == ranking.count)
        #expect(read(3).prefix(3) == ["both3", "both4", "near"])
        #expect(read(1).first == "both3" && read(100) == ranking.map(\.candidate.docID))
        #expect(ExtractiveAnswerer.order([], question: "", count: 10).hits.isEmpty)
    }

    /// Everything but the place, or but the year, is another page's.
    @Test(arguments: [
        "What was changed in the article Football stadium of Yucatán (1979)?",
        "Who edited Football stadium of Kyushu (1985)?", "What is new on Football stadium of Yucatán?",
    ]) func aPageOfNearlyTheSameNameIsNoAnswer(question: String) {
        let kyushu = "Football stadium of Kyushu (1979): updated the score. edit by Ann on en.wikipedia.org."
        let other = "Glacier of Iceland (1979): updated the survey. edit by Bob on en.wikipedia.org."
        let found = hits([
            ("Football stadium of Kyushu (1979)", kyushu, 0.58), ("Glacier of Iceland (1979)", other, 0.3),
        ])
        #expect(answer(question, found).isRefused)
        #expect(!answer("What was changed in the article Football stadium of Kyushu (1979)?", found).isRefused)
    }

    /// Nor is one quoted beside the page itself.
    @Test func onlyTheNamedPageIsQuoted() {
        let bridge = "Bridge of Kyushu (1979): updated the span. edit by Ann on en.wikipedia.org (+31 bytes)."
        let near = "Bridge of Kyushu (1982): updated the piers. edit by Bob on en.wikipedia.org (+9 bytes)."
        let found = hits([("Bridge of Kyushu (1979)", bridge, 0.7), ("Bridge of Kyushu (1982)", near, 0.69)])
        let result = answer("What happened to Bridge of Kyushu (1979)?", found)
        #expect(result.citations.map(\.hit.candidate.docID) == ["d0"])
        #expect(answer("What happened to the bridge of Kyushu?", found).citations.count == 2)
    }

    @Test func refusesWithoutHits() {
        #expect(answer("anything", []).isRefused)
    }

    @Test func equalSentencesAreMergedWithAllTheirCitations() {
        let result = answer(
            "golden gate bridge towers",
            hits([("Golden Gate Bridge", bridge, 0.8), ("Golden Gate Bridge", bridge.uppercased(), 0.79)]))
        #expect(result.sentences.count == 1)
        #expect(result.sentences.first?.citations == [1, 2])
    }

    @Test func alikeButNotEqualIsNotCited() {
        let changed = String(bridge.dropLast(11)) + "+99 bytes)"
        let result = answer(
            "golden gate bridge towers", hits([("Bridge", bridge, 0.8), ("Bridge", changed, 0.79)]))
        #expect(result.sentences.count == 1)
        #expect(result.sentences.first?.citations == [1])
    }

    @Test func withoutVectorsCoverageDecides() {
        let candidates = [
            candidate("a", title: "Golden Gate Bridge", text: bridge, lexical: (1, 0.5)),
            candidate("b", title: "Lake Tahoe", text: other, lexical: (2, 0.1)),
        ]
        let ranked = ReciprocalRankFusion.fuse(candidates)
        #expect(!answer("golden gate bridge", ranked).isRefused)
        #expect(answer("bridge over the river Kwai in Thailand", ranked).isRefused)
    }

    @Test func aForeignScriptNeedsItsWordsFound() {
        // The model knows few words of Cyrillic, so that unrelated texts come out close.
        let text = "Москва: исправлена опечатка (edit by А on ru.wikipedia.org, +2 bytes)"
        #expect(answer("Что нового о Байкале сегодня", hits([("Москва", text, 0.68)])).isRefused)
        #expect(!answer("Москва опечатка", hits([("Москва", text, 0.68)])).isRefused)
    }

    @Test func staysWithinMaxTokens() {
        let long = "Golden Gate Bridge: " + String(repeating: "towers and cables ", count: 30)
        let result = answer("golden gate bridge towers", hits([("Golden Gate Bridge", long, 0.8)]), maxTokens: 20)
        let text = result.sentences.first?.text ?? ""
        #expect(text.hasPrefix("Golden Gate Bridge:") && text.hasSuffix("…"))
        #expect(ExtractiveAnswerer.estimatedTokens(text) <= 20)
    }

    /// Whatever the input: bounds hold, numbers are dense and ascending, and each citation says the sentence.
    @Test(arguments: 1...60 as ClosedRange<UInt64>) func everySentenceIsSupportedByEachCitation(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let texts = (0..<Int.random(in: 0...15, using: &generator)).map { _ in
            let text =
                Bool.random(using: &generator)
                ? bridge
                : Bool.random(using: &generator) ? "Word a b. " + bridge : randomText(&generator, lengthMax: 90)
            return (title: "T", text: text, cosine: Double.random(in: -0.1...0.9, using: &generator))
        }
        let ranked = hits(texts)
        let maxTokens = Int.random(in: 1...120, using: &generator)
        let result = answer("word of the golden bridge 日本語", ranked, maxTokens: maxTokens)
        if result.isRefused {
            #expect(result.sentences.map(\.text) == [ExtractiveAnswerer.refusal])
            return
        }
        #expect((1...ExtractiveAnswerer.sentencesMax).contains(result.sentences.count))
        #expect(result.citations.map(\.number) == Array(1...result.citations.count))
        #expect(result.sentences.reduce(0) { $0 + ExtractiveAnswerer.estimatedTokens($1.text) } <= maxTokens)
        for sentence in result.sentences {
            #expect(!sentence.citations.isEmpty && sentence.citations == sentence.citations.sorted())
            guard !sentence.text.hasSuffix("…") else { continue }
            let said = Words.sequence(sentence.text)
            for number in sentence.citations {
                let source = Words.sequence(result.citations[number - 1].hit.candidate.text)
                #expect(source.count >= said.count)
                let isSaid = (0...max(0, source.count - said.count)).contains {
                    source[$0..<min($0 + said.count, source.count)].elementsEqual(said)
                }
                #expect(isSaid, "\(sentence.text) is not in citation \(number)")
            }
        }
    }

    /// A server may refuse a text, whose vector is empty then: nothing is said of it, and the others are compared.
    @Test(arguments: [0, 1, 2]) func textsWithoutVectorsAreNotCompared(missing: Int) async throws {
        let text =
            "Golden Gate Bridge: the towers on both sides of the strait got new paint in the spring of last year. "
            + "Golden Gate Bridge: the cables between them are as old as the deck that hangs from them over the water."
        let found = hits([("Golden Gate Bridge", text, 0.4)])
        var asked: [String] = []
        let compared = try await ExtractiveAnswerer.compared(
            ExtractiveAnswerer.sentences(of: found), question: "Why did the Golden Gate Bridge get a coating?",
            vector: [1, 0], hits: found
        ) { texts in
            asked = texts
            return texts.indices.map { $0 == missing ? [] : $0 == 0 ? [1, 0] : [0.5, 0.5] }
        }
        // What is asked for, and both sentences: the one of them that is nearer by words comes first.
        try #require(asked.count == 3 && compared.count == 2)
        for sentence in compared {
            let place = try #require(asked.dropFirst().firstIndex { sentence.text.hasSuffix($0) })
            #expect(sentence.matterCosine == (missing == 0 || missing == place ? nil : 0.5), "\(sentence)")
            #expect(sentence.cosine == nil)
        }
    }
}
