import Glibc

/// When and how ``CoarseLists`` are learnt.
struct CoarseSettings: Sendable {
    /// Below so many vectors all codes are looked at, which takes a search less than choosing would save.
    var vectorsMin = 65_536
    /// Where a filter leaves fewer vectors, all of their codes are looked at.
    var passingMin = 20_000
    /// Centres for the square root of how many vectors there are: so both what is compared with centres and what a list holds
    /// grow slowly. Finer lists leave out more, and cost more to put in order.
    var centresPerRoot = 2.0
    /// Vectors that a centre is learnt from.
    var samplesPerCentre = 32
    /// How often centres are moved among their vectors.
    var rounds = 6
    /// Of the queries that are tried, so many of the nearest vectors are to be found.
    var wantedRecall = 0.99
    /// Queries that are tried.
    var trials = 96
    /// What trials say is stretched so far: words that never stood together lie further off than a point between three texts.
    var margin = 2.0
    /// The same vectors and the same seed give the same lists.
    var seed: UInt64 = 20_240_613
    /// Learnt again when there are so many times as many vectors,
    var growth = 2.0
    /// or when those that came since, an eighth of all at least, lie so many times as far from their centres as those learnt
    /// from.
    var drift = 1.5
}

/// How many codes a search looks at.
struct CoarseReach: Sendable, Equatable {
    /// Vectors that were there when it was measured.
    var vectors: Double
    /// Codes that had to be looked at among all of them.
    var codes: Double
    /// By which power of the share of vectors that a filter leaves that number shrinks: 1 would be in proportion, 0 not at all.
    var power: Double

    /// A filter may go with what a query is about, or against it, unlike the ones that were tried.
    private static let filterMargin = 3.0
    /// Powers that are believed: with a lower one a search under a filter would look at all codes, and more than in proportion is
    /// never needed.
    static let powers = 0.2...1.0

    /// Whether it is what learning from so many vectors may have measured.
    func isSound(learnt: Int) -> Bool {
        learnt >= 1 && vectors == Double(learnt) && codes >= 1 && codes <= vectors && Self.powers.contains(power)
    }

    /// Codes to look at among so many vectors that count.
    ///
    /// - Parameter isFiltered: whether others were left out.
    func codes(among passing: Int, isFiltered: Bool) -> Int {
        guard vectors > 0 else { return passing }
        let wanted = codes * pow(Double(passing) / vectors, power) * (isFiltered ? Self.filterMargin : 1)
        // What is no number, too.
        guard wanted < Double(passing) else { return max(1, passing) }
        return max(1, Int(wanted.rounded(.up)))
    }
}
