import Records
import Retrieval

/// What an ``ArmsIndex`` holds. Passages have slots, in the order in which they were shown; a hidden one leaves its slot empty.
final class ArmsState {
    static let none = UInt32.max

    let vectors: VectorArm
    let effort: VectorArm.Effort
    let words = WordArm()
    let attributes = AttributeArm()
    var version: Int64 = 0
    /// When the version came to be, as the index says; nil where that is not known.
    var stamp: Int64?
    /// Documents that were shown or hidden so far.
    var changes = 0
    /// Documents that were hidden so far, those that were shown anew among them.
    var hides = 0
    /// What hits show; nil where there was no room for it.
    var rows: RowTable? = RowTable()
    /// Documents that were shown and are to get rows.
    var rowless: Set<Int64> = []
    /// What was shown and hidden last, and what is just being.
    let log = ChangeLog()
    private var draft = ChangeDraft()
    /// Whether it reached a version, which may be 0: until then nobody has searched it.
    var isReached = false
    private var isLogged: Bool { isReached || version > 0 }

    var vectorSlots: [Int64: UInt32] = [:]
    /// Of each vector: its number in the index.
    var vectorIDs: [Int64] = []
    /// Of each vector: the passage that was shown last, and how many show it.
    var newest: [UInt32] = []
    var users: [UInt32] = []

    var documents: [Int64: Range<UInt32>] = [:]
    /// Slots by the numbers of passages that are shown.
    var passageSlots: [Int64: UInt32] = [:]

    // A row for each slot.
    var passages: [Int64] = []
    var documentOf: [Int64] = []
    var vectorOf: [UInt32] = []
    /// The passage of the same vector that was shown before.
    var older: [UInt32] = []
    var times: [Int64] = []
    var lengths: [Int32] = []
    var collectionOf: [UInt32] = []
    var shown = SlotSet(count: 0)

    var collections: [String: UInt32] = [:]
    var totals: [(passages: Int, words: Int)] = []

    init(
        dimensions: Int, coarse: CoarseSettings = CoarseSettings(), effort: VectorArm.Effort = VectorArm.Effort()
    ) {
        vectors = VectorArm(dimensions: dimensions, coarse: coarse)
        self.effort = effort
    }

    /// Whether it is to be learnt where a search looks first: not while all is being loaded, which would be learnt many times.
    var isLearningDue: Bool { version > 0 && vectors.isLearningDue }

    var size: ArmsSize {
        ArmsSize(
            version: version, documents: documents.count, passages: passageSlots.count,
            hidden: passages.count - passageSlots.count, vectors: vectors.count,
            vectorBytes: vectors.memoryBytes + 40 * vectorSlots.count, wordBytes: words.memoryBytes,
            tableBytes: attributes.memoryBytes + 44 * passages.count + 32 * (documents.count + passageSlots.count)
                + log.bytes,
            rowBytes: rows?.memoryBytes ?? 0, rows: rows?.count ?? 0)
    }

    // MARK: Changes

    func knows(vector id: Int64) -> Bool { vectorSlots[id] != nil }

    func add(vector id: Int64, _ halves: [UInt16]) {
        guard vectorSlots[id] == nil else { return }
        vectorSlots[id] = UInt32(vectors.add(halves))
        vectorIDs.append(id)
        newest.append(Self.none)
        users.append(0)
    }

    func show(_ document: ArmsDocument) {
        hide(document: document.id)
        changes += 1
        let first = passages.count
        let collection = number(of: document.collection)
        for passage in document.passages {
            let slot = UInt32(passages.count)
            let vector = passage.vector.flatMap { vectorSlots[$0] } ?? Self.none
            passages.append(passage.id)
            documentOf.append(document.id)
            vectorOf.append(vector)
            times.append(document.eventTimeMilliseconds)
            lengths.append(0)
            collectionOf.append(collection)
            passageSlots[passage.id] = slot
            guard vector != Self.none else {
                older.append(Self.none)
                continue
            }
            older.append(newest[Int(vector)])
            newest[Int(vector)] = slot
            users[Int(vector)] += 1
            vectors.mark(Int(vector), isUsed: true)
        }
        let slots = first..<passages.count
        shown.grow(to: passages.count)
        for slot in slots { shown.insert(slot) }
        documents[document.id] = UInt32(slots.lowerBound)..<UInt32(slots.upperBound)
        totals[Int(collection)].passages += slots.count
        attributes.add(.collection, .string(document.collection), to: slots)
        attributes.add(.lang, .string(document.language), to: slots)
        document.attributes.forEach { attributes.add($0, $1, to: slots) }
        if isLogged { draft.show(document, at: slots) }
    }

    /// Notes what was changed since it was called last.
    func noteChanges() {
        if !draft.isEmpty {
            log.note(draft.changes(of: self))
            draft = ChangeDraft()
        }
        if let stamp, stamp != log.stamp(of: version) { log.reach(version, stamp: stamp) }
    }

    /// How far its changes are.
    var place: ChangePlace { ChangePlace(log: log.id, number: log.number) }

    /// - Returns: whether it was shown.
    @discardableResult func hide(document id: Int64) -> Bool {
        guard let slots = documents.removeValue(forKey: id) else { return false }
        rows?.remove(Int(slots.lowerBound))
        rowless.remove(id)
        changes += 1
        hides += 1
        if isLogged { draft.hide(slots.map { passages[Int($0)] }) }
        for slot in slots.lazy.map(Int.init) {
            shown.remove(slot)
            passageSlots[passages[slot]] = nil
            totals[Int(collectionOf[slot])].passages -= 1
            totals[Int(collectionOf[slot])].words -= Int(lengths[slot])
            let vector = Int(vectorOf[slot])
            guard vector != Int(Self.none) else { continue }
            users[vector] -= 1
            if users[vector] == 0 { vectors.mark(vector, isUsed: false) }
        }
        return true
    }

    func add(postings: [(passage: Int64, weight: Int32)], of word: Int32) {
        var entries: [(slot: UInt32, weight: Int32)] = []
        entries.reserveCapacity(postings.count)
        for (passage, weight) in postings {
            guard let slot = passageSlots[passage] else { continue }
            entries.append((slot, weight))
            // The same in all of a passage's postings.
            if lengths[Int(slot)] == 0 {
                lengths[Int(slot)] = weight >> 16
                totals[Int(collectionOf[Int(slot)])].words += Int(weight >> 16)
            }
        }
        words.add(entries, of: word)
        draft.add(entries, of: word)
    }

    func number(of collection: String) -> UInt32 {
        if let known = collections[collection] { return known }
        let number = UInt32(totals.count)
        collections[collection] = number
        totals.append((0, 0))
        return number
    }

    /// Passages and words of a collection, or of all.
    func totals(of collection: String?) -> (passages: Int, words: Int) {
        guard let collection else { return totals.reduce((0, 0)) { ($0.0 + $1.passages, $0.1 + $1.words) } }
        return collections[collection].map { totals[Int($0)] } ?? (0, 0)
    }

    var collectionCount: Int { totals.count }

    // MARK: Reading

    /// The slots of a document's passages.
    func slots(of document: Int64) -> Range<Int> {
        documents[document].map { Int($0.lowerBound)..<Int($0.upperBound) } ?? 0..<0
    }

    /// Vectors that some passage of a set has.
    func vectorSet(of passages: SlotSet) -> SlotSet {
        var set = SlotSet(count: vectors.count)
        passages.forEach { slot in
            let vector = vectorOf[slot]
            if vector != Self.none { set.insert(Int(vector)) }
        }
        return set
    }

    /// Passages of one vector that are counted.
    private static let copiesMax = 1_001

    /// Passages of chains that are looked at before a whole set is.
    private static let stepsMax = 20_000

    /// Of some vectors, those that have passages in a set: the newest passage, and how many up to a bound.
    ///
    /// - Parameter isEverything: whether the set is all that is shown, so that a vector's own chain of passages is the
    /// shorter way.
    func passages(
        of vectors: [Int], among set: SlotSet, isEverything: Bool
    ) -> [Int: (newest: Int, count: Int)] {
        var found: [Int: (newest: Int, count: Int)] = [:]
        func take(_ slot: Int, _ vector: Int) {
            guard let known = found[vector] else { return found[vector] = (slot, 1) }
            let newest = passages[known.newest] >= passages[slot] ? known.newest : slot
            found[vector] = (newest, min(known.count + 1, Self.copiesMax))
        }
        if isEverything {
            for vector in vectors {
                var slot = newest[vector]
                while slot != Self.none, found[vector]?.count ?? 0 < Self.copiesMax {
                    if set.contains(Int(slot)) { take(Int(slot), vector) }
                    slot = older[Int(slot)]
                }
            }
            return found
        }
        // Few vectors have few passages: their chains are the shorter way, unless some have very many.
        var steps = 0
        for vector in vectors where steps <= Self.stepsMax {
            var slot = newest[vector]
            while slot != Self.none, steps <= Self.stepsMax {
                if set.contains(Int(slot)) { take(Int(slot), vector) }
                slot = older[Int(slot)]
                steps += 1
            }
        }
        if steps <= Self.stepsMax { return found }
        found = [:]
        var wanted = SlotSet(count: self.vectors.count)
        for vector in vectors { wanted.insert(vector) }
        set.forEach { slot in
            let vector = vectorOf[slot]
            if vector != Self.none, wanted.contains(Int(vector)) { take(slot, Int(vector)) }
        }
        return found
    }

    /// Hides the document of a passage.
    func hide(passage id: Int64) {
        if let slot = passageSlots[id] { hide(document: documentOf[Int(slot)]) }
    }
}
