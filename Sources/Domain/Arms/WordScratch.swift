/// Scores of passages while a query's words are read: a place for each slot, of which those that were touched are cleared
/// again.
struct WordScratch {
    private var scores: [Double] = []
    private var touched: [UInt32] = []
    private var proposed: [Double] = []
    private var proposedSlots: [UInt32] = []

    /// Clears it, and makes room.
    mutating func begin(slots: Int) {
        for slot in touched { scores[Int(slot)] = 0 }
        touched.removeAll(keepingCapacity: true)
        if scores.count < slots {
            scores.append(contentsOf: repeatElement(0, count: slots - scores.count))
            proposed.append(contentsOf: repeatElement(0, count: slots - proposed.count))
        }
    }

    mutating func add(_ share: Double, to slot: Int) {
        guard share > 0 else { return }
        if scores[slot] == 0 { touched.append(UInt32(truncatingIfNeeded: slot)) }
        scores[slot] += share
    }

    /// Of several shares of one word the largest counts.
    mutating func propose(_ share: Double, for slot: Int) {
        guard share > 0 else { return }
        if proposed[slot] == 0 { proposedSlots.append(UInt32(truncatingIfNeeded: slot)) }
        if share > proposed[slot] { proposed[slot] = share }
    }

    /// Adds what was proposed.
    mutating func addProposed() {
        for slot in proposedSlots {
            add(proposed[Int(slot)], to: Int(slot))
            proposed[Int(slot)] = 0
        }
        proposedSlots.removeAll(keepingCapacity: true)
    }

    /// The score of the passage at a place of the ranking, from 1; nil where there are not so many yet, or looking would
    /// cost more than it could save.
    func score(ofPlace place: Int, ifShorterThan postings: Int) -> Double? {
        guard touched.count >= place, touched.count < postings else { return nil }
        return largest(place, of: touched.map { scores[Int($0)] })
    }

    /// The passages with at least a score.
    func slots(above score: Double) -> [UInt32] { touched.filter { scores[Int($0)] >= score } }

    /// The best, best first.
    func best(_ limit: Int, _ isBefore: (UInt32, UInt32) -> Bool) -> [WordArm.Found] {
        let least = largest(limit, of: touched.map { scores[Int($0)] }) ?? 0
        var found: [WordArm.Found] = []
        for slot in touched where scores[Int(slot)] >= least {
            found.append(WordArm.Found(slot: slot, score: scores[Int(slot)]))
        }
        found.sort { $0.score > $1.score || $0.score == $1.score && isBefore($0.slot, $1.slot) }
        return Array(found.prefix(limit))
    }
}
