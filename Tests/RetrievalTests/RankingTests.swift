import Bytes
import Records
import Retrieval
import Testing

/// What requests may ask of a ranking besides relevance.
@Suite struct RankingTests {
    private static let now: Int64 = 1_700_000_000_000
    private static let hour: Int64 = 3_600_000

    private func found(
        _ docID: String, vector: Int? = nil, lexical: Int? = nil, hoursAgo: Int64 = 0, title: String = "",
        collection: String = "a"
    ) -> Candidate {
        var candidate = candidate(
            docID, title: title, vector: vector.map { ($0, 0.5) }, lexical: lexical.map { ($0, 1) })
        candidate.eventTimeMilliseconds = Self.now - hoursAgo * Self.hour
        candidate.collection = collection
        return candidate
    }

    private func ranking(_ change: (inout RankingOptions) -> Void) -> Ranking {
        var options = RankingOptions()
        change(&options)
        return Ranking(options: options, referenceMilliseconds: Self.now)
    }

    private func ids(_ hits: [Hit]) -> [String] { hits.map(\.candidate.docID) }

    @Test func newDocumentsGetAsMuchAsAFirstPlaceAndHalfOfItAfterTheHalfLife() {
        let ranking = ranking { $0.recency = RecencyPrior(weight: 2, halfLifeMilliseconds: 6 * Self.hour) }
        func recency(_ hoursAgo: Int64) -> Double {
            ranking.hit(found("d", vector: 9, hoursAgo: hoursAgo)).parts.recency
        }
        #expect(recency(0) == 2.0 / 61 && recency(6) == 1.0 / 61 && recency(12) == 0.5 / 61)
        // An event ahead of the clock is of now, and the oldest is no error.
        #expect(recency(-5) == recency(0) && recency(20_000_000) > 0 && recency(20_000_000) < 1e-200)
        let hits = ranking.hits([
            found("best", vector: 1, lexical: 1, hoursAgo: 48), found("new", vector: 50, hoursAgo: 0),
            found("middle", lexical: 2, hoursAgo: 3),
        ])
        #expect(ids(hits) == ["new", "middle", "best"])
    }

    @Test func aCollectionsWeightMultipliesItsScores() {
        let ranking = ranking { options in
            options.sourceWeights = ["a": 0.5, "c": 0]
            options.recency = RecencyPrior(weight: 1, halfLifeMilliseconds: Self.hour)
        }
        let plain = Ranking(
            options: self.ranking { $0.recency = RecencyPrior(weight: 1, halfLifeMilliseconds: Self.hour) }.options,
            referenceMilliseconds: Self.now)
        for (collection, weight) in [("a", 0.5), ("b", 1), ("c", 0)] {
            let one = found("d", vector: 3, lexical: 8, hoursAgo: 2, collection: collection)
            #expect(abs(ranking.hit(one).fusedScore - weight * plain.hit(one).fusedScore) < 1e-15)
        }
        let hits = ranking.hits([
            found("a", vector: 1, collection: "a"), found("b", vector: 2, collection: "b"),
            found("c", vector: 3, collection: "c"),
        ])
        #expect(ids(hits) == ["b", "a", "c"])
    }

    /// Whatever is asked: the parts add up to the score, to the last bit.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func partsAddUp(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var ranking = Ranking(
            weights: FusionWeights(
                vector: .random(in: 0...9, using: &generator), lexical: .random(in: 0...9, using: &generator),
                rankConstant: .random(in: 1...99, using: &generator)), referenceMilliseconds: Self.now)
        ranking.options.recency = RecencyPrior(
            weight: .random(in: 0...9, using: &generator),
            halfLifeMilliseconds: .random(in: 1...Self.hour, using: &generator))
        ranking.options.sourceWeights = ["a": .random(in: 0...9, using: &generator)]
        for _ in 0..<50 {
            let hit = ranking.hit(
                found(
                    "d", vector: Bool.random(using: &generator) ? .random(in: 1...100, using: &generator) : nil,
                    lexical: .random(in: 1...100, using: &generator), hoursAgo: .random(in: -9...99, using: &generator),
                    collection: Bool.random(using: &generator) ? "a" : "b"))
            let parts = hit.parts
            #expect(hit.fusedScore == parts.vector + parts.lexical + parts.recency + parts.source)
            #expect(hit.fusedScore >= 0 && hit.fusedScore.isFinite)
        }
    }

    @Test func lowScoresAreLeftOutAndTheNewestComeFirst() {
        let all = [
            found("old", vector: 1, lexical: 1, hoursAgo: 9), found("new", vector: 70, hoursAgo: 1),
            found("middle", vector: 2, hoursAgo: 5),
        ]
        #expect(ids(ranking { $0.order = .time }.hits(all)) == ["new", "middle", "old"])
        #expect(ids(ranking { $0.scoreMin = 1.0 / 62 }.hits(all)) == ["old", "middle"])
        let both = ranking { options in
            options.order = .time
            options.scoreMin = 1.0 / 62
        }
        #expect(ids(both.hits(all)) == ["middle", "old"])
        #expect(ranking { $0.scoreMin = 1 }.hits(all).isEmpty)
    }

    @Test func theFirstOfAGroupStandsForIt() {
        let all = [
            found("a1", vector: 1, title: "A"), found("a1", vector: 4, title: "A"), found("b1", vector: 2, title: "B"),
            found("a2", vector: 3, title: "A"), found("none1", vector: 5), found("none2", vector: 6),
        ]
        let byTitle = ranking { $0.grouping = .title }
        let hits = byTitle.documents(byTitle.hits(all))
        #expect(ids(hits) == ["a1", "b1", "none1", "none2"] && hits.map(\.others) == [1, 0, 0, 0])
        let byWiki = ranking { $0.grouping = .attribute(.wiki) }
        #expect(byWiki.documents(byWiki.hits(all)).map(\.others) == [4])
        // Counted already, by a store that shows no others.
        var counted = all[0]
        counted.others = 7
        #expect(byTitle.documents(byTitle.hits([counted])).map(\.others) == [7])
        #expect(ranking { _ in }.documents(ranking { _ in }.hits(all)).map(\.others) == [nil, nil, nil, nil, nil])
        // Letters that are the same and are written otherwise are two titles, as in the database.
        let forms = [found("c", vector: 1, title: "\u{E9}"), found("d", vector: 2, title: "e\u{301}")]
        #expect(byTitle.documents(byTitle.hits(forms)).count == 2)
    }

    @Test func eachOptionNamesAnotherRanking() {
        var requests = [SearchRequest(query: "a")]
        func add(_ change: (inout SearchRequest) -> Void) {
            var request = requests[0]
            change(&request)
            requests.append(request)
        }
        add { $0.options.recency = RecencyPrior(weight: 1, halfLifeMilliseconds: 1_000) }
        add { $0.options.recency = RecencyPrior(weight: 1, halfLifeMilliseconds: 2_000) }
        add { $0.options.sourceWeights = ["a": 2] }
        add { $0.options.sourceWeights = ["a": 3] }
        add { $0.options.scoreMin = 0 }
        add { $0.options.order = .time }
        add { $0.options.grouping = .title }
        add { $0.options.grouping = .attribute(.wiki) }
        add { $0.weights = ArmWeights(lexical: 2) }
        add { $0.like = LikeTarget(tenant: .standard, docID: "d") }
        add { $0.like = LikeTarget(tenant: .standard, docID: "d", passage: 0) }
        #expect(Set(requests.map(\.fingerprint)).count == requests.count)
        var same = requests[0]
        (same.isExplained, same.timeoutMilliseconds, same.indexVersionMin) = (true, 100, 3)
        #expect(same.fingerprint == requests[0].fingerprint)
    }
}
