package import Retrieval

/// What was found and is shown, so that another process that follows the same index can check the result, too.
package struct ResultSeed: Sendable, Equatable {
    package var vector: [Float]?
    /// All that the arms found.
    package var places: [RankedPassage]
    package var shown: ResultProbe.Shown
    /// Passages that have each word of the query, all passages, and their words on average; nil where that is not known.
    package var counts: Counts?
    /// The index version that was searched, and when it came to be, as the index says.
    package var version: Int64
    package var stamp: Int64

    /// See ``WordCounts``.
    package struct Counts: Sendable, Equatable {
        package var words: [Double]
        package var passages: Double
        package var length: Double

        package init(words: [Double], passages: Double, length: Double) {
            self.words = words
            self.passages = passages
            self.length = length
        }
    }

    package init(
        vector: [Float]?, places: [RankedPassage], shown: ResultProbe.Shown, counts: Counts?, version: Int64,
        stamp: Int64
    ) {
        self.vector = vector
        self.places = places
        self.shown = shown
        self.counts = counts
        self.version = version
        self.stamp = stamp
    }

    /// Of what was just found; nil where it is not known when the version came to be.
    package init?(
        _ query: ArmsQuery, _ places: [RankedPassage], _ shown: ResultProbe.Shown, _ counts: WordCounts?,
        version: Int64, of log: ChangeLog
    ) {
        guard let stamp = log.stamp(of: version) else { return nil }
        self.init(
            vector: query.vector, places: places, shown: shown,
            counts: counts.map { Counts(words: $0.words, passages: $0.passages, length: $0.length) }, version: version,
            stamp: stamp)
    }
}

extension ResultProbe {
    /// The probe of what another process found; nil where it does not fit the query.
    ///
    /// - Parameter query: with the seed's vector.
    package init?(_ query: ArmsQuery, _ seed: ResultSeed, at place: ChangePlace, isPlain: Bool, isOpen: Bool) {
        if let counts = seed.counts {
            let all = counts.words + [counts.passages, counts.length]
            guard counts.words.count == query.words.count, all.allSatisfy({ $0.isFinite && $0 >= 0 }),
                counts.passages >= 1, counts.length >= 1
            else { return nil }
        }
        self.init(
            query, found: seed.places, shown: seed.shown,
            counts: seed.counts.map {
                WordCounts(words: $0.words, passages: $0.passages, length: $0.length, place: place)
            }, isPlain: isPlain, isOpen: isOpen)
    }
}

extension ArmsIndex {
    /// Whether all of some passages are shown; nil where that would have to wait for a change.
    package func showsAtOnce(_ passages: Set<Int64>) -> Bool? {
        lock.tryReading { passages.allSatisfy { state.passageSlots[$0] != nil } }
    }
}
