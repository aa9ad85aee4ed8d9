/// How a replay's index transactions leave room for those of others: one runs at a time, and each takes processor time of the
/// database.
///
/// A pure value. Others are seen by the versions between two of its own, so nobody has to tell it of them, whatever process they are
/// in. Where nobody else writes, a replay never rests, and its transactions are large.
struct WritePace {
    /// So many times what a transaction took, waiting for its turn included: a fifth of the time is the replay's.
    static let restTimes: Int64 = 4
    static let restNanosecondsMax: Int64 = 1_000_000_000
    /// How long others count that were seen.
    static let memoryNanoseconds: Int64 = 1_000_000_000
    /// What a transaction may take while others write, who wait for its end.
    static let turnNanoseconds: Int64 = 25_000_000
    /// Documents of a transaction as long as it is not known what one takes, and the fewest of any.
    static let (documentsFirst, documentsMin) = (32, 8)

    private var last: Int64?
    private var othersAt: Int64?
    /// What a document took of late.
    private var each: Int64?

    /// How many documents the next transaction is to have.
    ///
    /// - Parameters:
    ///   - most: where nobody else writes.
    ///   - now: in nanoseconds of a monotonic clock.
    func documents(atMost most: Int, at now: Int64) -> Int {
        guard let each else { return min(most, Self.documentsFirst) }
        guard sees(now) else { return most }
        return min(most, max(Self.documentsMin, Int(Self.turnNanoseconds / max(each, 1))))
    }

    /// How long to rest behind one transaction, or some in a row, in nanoseconds.
    ///
    /// - Parameters:
    ///   - version: of the index, the last that the transactions made; 0 where they made none.
    ///   - first: the first of them; nil where there was one at most.
    ///   - nanoseconds: that they took.
    ///   - documents: that they wrote.
    ///   - now: in nanoseconds of a monotonic clock.
    mutating func rest(
        behind version: Int64, first: Int64? = nil, taking nanoseconds: Int64, documents: Int = 1, at now: Int64
    ) -> Int64 {
        guard version > 0 else { return 0 }
        if let last, (first ?? version) > last + 1 { othersAt = now }
        last = version
        let one = max(0, nanoseconds) / Int64(max(1, documents))
        each = each.map { ($0 + one) / 2 } ?? one
        guard sees(now) else { return 0 }
        return min(max(0, nanoseconds) * Self.restTimes, Self.restNanosecondsMax)
    }

    private func sees(_ now: Int64) -> Bool {
        guard let othersAt else { return false }
        return now - othersAt <= Self.memoryNanoseconds
    }
}
