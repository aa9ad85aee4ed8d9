import Bytes
import Retrieval
import Testing

@Suite struct FusionTests {
    @Test func scoresAreTheSumOfReciprocalRanks() {
        let fused = ReciprocalRankFusion.fuse([
            candidate("both", vector: (2, 0.5), lexical: (1, 0.9)),
            candidate("vector", vector: (1, 0.6)),
            candidate("lexical", lexical: (2, 0.1)),
            candidate("none"),
        ])
        #expect(fused.map(\.candidate.docID) == ["both", "vector", "lexical"])
        #expect(fused[0].fusedScore == 1.0 / 62 + 1.0 / 61)
        #expect(fused[1].fusedScore == 1.0 / 61)
        #expect(fused[2].fusedScore == 1.0 / 62)
        #expect(fused[0].candidate.vector == ArmPlace(rank: 2, score: 0.5))
    }

    /// The order is a function of the set: shuffling the input changes nothing, and scores never rise.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func orderIsIndependentOfInputOrder(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var candidates: [Candidate] = []
        let ranks = Array(1...60).shuffled(using: &generator)
        for index in 0..<60 {
            candidates.append(
                candidate(
                    "d\(index % 40)", passage: Int32(index / 40),
                    vector: Bool.random(using: &generator) ? (ranks[index], 0.5) : nil,
                    lexical: Bool.random(using: &generator) ? (61 - ranks[index], 0.5) : nil))
        }
        let first = ReciprocalRankFusion.fuse(candidates)
        let second = ReciprocalRankFusion.fuse(candidates.shuffled(using: &generator))
        #expect(first == second)
        #expect(zip(first, first.dropFirst()).allSatisfy { $0.fusedScore >= $1.fusedScore })
        #expect(first.count == candidates.filter { $0.vector != nil || $0.lexical != nil }.count)
    }

    @Test func weightsSayWhatAnArmCounts() {
        let found = [
            candidate("both", vector: (2, 0.5), lexical: (3, 0.9)), candidate("vector", vector: (1, 0.6)),
            candidate("lexical", lexical: (1, 0.1)),
        ]
        func order(_ vector: Double, _ lexical: Double, _ constant: Double = 60) -> [String] {
            ReciprocalRankFusion.fuse(
                found, weights: FusionWeights(vector: vector, lexical: lexical, rankConstant: constant)
            ).map(\.candidate.docID)
        }
        #expect(order(1, 1) == ["both", "vector", "lexical"] && order(1, 1.1) == ["both", "lexical", "vector"])
        #expect(
            order(0.1, 10) == ["lexical", "both", "vector"] && order(1, 0.001, 1) == ["vector", "both", "lexical"])
        // What counts nothing is found all the same.
        #expect(order(0, 1) == ["lexical", "both", "vector"])
        let weights = FusionWeights(vector: 3, lexical: 0.7, rankConstant: 7)
        let hit = Ranking(weights: weights).hit(found[0])
        #expect(hit.fusedScore == 3.0 / 9 + 0.7 / 10)
        let changed = weights.changed(by: ArmWeights(lexical: 2))
        #expect(changed == FusionWeights(vector: 3, lexical: 2, rankConstant: 7) && weights.changed(by: nil) == weights)
    }

    @Test func documentsAppearOnce() {
        let fused = ReciprocalRankFusion.fuse([
            candidate("a", passage: 0, vector: (2, 0.5)), candidate("a", passage: 1, vector: (1, 0.6)),
            candidate("b", vector: (3, 0.4)),
        ])
        let documents = ReciprocalRankFusion.bestPassagePerDocument(fused)
        #expect(documents.map { "\($0.candidate.docID)\($0.candidate.passage)" } == ["a1", "b0"])
    }
}

@Suite struct CursorTests {
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func textReadsBack(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let cursor = SearchCursor(
            generation: .random(in: 0...Int64.max, using: &generator),
            indexVersion: .random(in: 0...Int64.max, using: &generator),
            offset: .random(in: 0...1_000, using: &generator),
            fingerprint: .random(in: 0...UInt64.max, using: &generator),
            notes: RankingNotes(rawValue: .random(in: 0...31, using: &generator)),
            referenceMilliseconds: Bool.random(using: &generator)
                ? .random(in: 1...(1 << 48 - 1), using: &generator) : nil,
            rest: (0..<Int.random(in: 0...SearchLimits.rankedMax, using: &generator)).map { _ in
                RankedPassage(
                    passageID: .random(in: 0...Int64.max, using: &generator),
                    vector: Bool.random(using: &generator)
                        ? ArmPlace(
                            rank: .random(in: 1...100, using: &generator),
                            score: Double(Float.random(in: -1...1, using: &generator))) : nil,
                    lexical: Bool.random(using: &generator)
                        ? ArmPlace(
                            rank: .random(in: 1...100, using: &generator),
                            score: Double(Float.random(in: 0...40, using: &generator))) : nil,
                    others: .random(in: 0...255, using: &generator))
            })
        #expect(cursor.text.utf8.count <= SearchCursor.charactersMax)
        #expect(SearchCursor(text: cursor.text) == cursor)
        #expect(cursor.text.utf8.allSatisfy { $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "/") })
        // Any changed character is noticed.
        var bytes = Array(cursor.text.utf8)
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        bytes[place] = bytes[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
        #expect(SearchCursor(text: String(decoding: bytes, as: UTF8.self)) == nil)
    }

    @Test(arguments: [
        "", "x", "AAAA", "=", "%", "é", String(repeating: "A", count: 44), String(repeating: "A", count: 999),
    ])
    func othersAreRefused(text: String) {
        #expect(SearchCursor(text: text) == nil)
    }

    @Test func fingerprintNamesTheRanking() throws {
        var first = SearchRequest(query: "a", topK: 3)
        first.filter = try Filter(must: [.texts(.wiki, ["enwiki", "dewiki"])])
        var second = SearchRequest(query: "a", topK: 50)
        second.filter = try Filter(must: [.texts(.wiki, ["dewiki", "enwiki"])])
        #expect(first.fingerprint == second.fingerprint)
        second.filter = try second.filter.adding(must: [.equals(.isBot, .bool(false))])
        #expect(first.fingerprint != second.fingerprint)
        #expect(SearchRequest(query: "a").fingerprint != SearchRequest(query: "a", mode: .vector).fingerprint)
        var weighed = first
        weighed.weights = ArmWeights(vector: 2)
        #expect(weighed.fingerprint != first.fingerprint)
    }
}

@Suite struct DocumentFusionTests {
    /// Both arms find the document first, each by another passage.
    @Test func passagesOfOneDocumentAreOnePlaceInEachArm() {
        let passages = [
            candidate("split", passage: 0, vector: (1, 0.9)), candidate("split", passage: 3, lexical: (2, 4)),
            candidate("split", passage: 4, vector: (3, 0.5), lexical: (9, 1)),
            candidate("whole", vector: (2, 0.8), lexical: (4, 3)), candidate("none"),
        ]
        #expect(ReciprocalRankFusion.fuse(passages).first?.candidate.docID == "whole")
        let documents = ReciprocalRankFusion.fuse(ReciprocalRankFusion.documents(of: passages))
        #expect(documents.map(\.candidate.docID) == ["split", "whole"])
        #expect(documents[0].candidate.passage == 0)
        #expect(documents[0].candidate.vector == ArmPlace(rank: 1, score: 0.9))
        #expect(documents[0].candidate.lexical == ArmPlace(rank: 2, score: 4))
        let byWords = ReciprocalRankFusion.documents(of: passages, weights: FusionWeights(lexical: 2))
        #expect(byWords.first?.passage == 3)
    }
}
