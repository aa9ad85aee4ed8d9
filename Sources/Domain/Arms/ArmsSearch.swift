import Records
import Retrieval

extension ArmsState {
    func search(_ query: ArmsQuery, _ vector: VectorArm.Query?, _ scratch: inout WordScratch) -> ArmsFound {
        let filtered = filtered(by: query)
        let allowed = meeting(query, filtered)
        var found = ArmsFound(
            places: [], copies: [], rows: nil, version: version, place: place, vectorCount: 0, isVectorExact: true,
            isLexicalBounded: false)
        var arms = (vector: [Placed](), lexical: [Placed]())
        if let vector, query.vectorLimit > 0, vector.numbers.count == vectors.dimensions {
            let near = vectors.nearest(
                to: vector, among: query.isUnrestricted ? nil : vectorSet(of: allowed),
                limit: query.vectorLimit, effort: effort, isExact: query.isExact)
            let known = passages(
                of: near.found.map { Int($0.slot) }, among: allowed, isEverything: query.isUnrestricted)
            arms.vector = near.found.compactMap { near in
                known[Int(near.slot)].map { Placed(slot: $0.newest, score: Double(near.score)) }
            }
            // Of equally near ones the passage that came first, as in the index.
            arms.vector.sort { $0.score > $1.score || $0.score == $1.score && passages[$0.slot] < passages[$1.slot] }
            found.vectorCount = arms.vector.count
            found.isVectorExact = near.isExact
        }
        if query.lexicalLimit > 0 {
            let ranked = lexical(query, allowed, &scratch)
            arms.lexical = ranked.found.map { Placed(slot: Int($0.slot), score: $0.score) }
            found.isLexicalBounded = ranked.isBounded
            if query.wantsStatistics { found.statistics = statistics(query) }
        }
        let fused = fused(arms.vector, arms.lexical, query)
        found.places = fused.map(\.place)
        // Of the filter alone: a copy need not have the query's words.
        let vectors = Set(fused.map { Int(vectorOf[$0.slot]) }).subtracting([Int(Self.none)])
        let known = passages(of: Array(vectors), among: filtered, isEverything: query.isUnfiltered)
        found.copies = fused.map { known[Int(vectorOf[$0.slot])].map { $0.count - 1 } }
        found.rows = candidates(at: fused.prefix(query.rowsMax).map(\.slot), bytesMax: query.rowBytesMax)
        return found
    }

    /// A passage that an arm found, best ones first.
    private struct Placed {
        let slot: Int
        let score: Double
    }

    // MARK: Who counts

    /// The passages that are shown and pass the filter.
    private func filtered(by query: ArmsQuery) -> SlotSet {
        var set = shown
        set.grow(to: passages.count)
        guard !query.isUnfiltered else { return set }
        if let collections = query.filter.scope.collections {
            attributes.keep(&set, passing: .texts(.collection, collections))
        }
        keep(&set, from: query.filter.time.from, to: query.filter.time.to)
        for test in query.filter.must { keep(&set, passing: test, true) }
        for test in query.filter.mustNot { keep(&set, passing: test, false) }
        return set
    }

    /// Those of a set that meet what is demanded, and are not left out.
    private func meeting(_ query: ArmsQuery, _ set: SlotSet) -> SlotSet {
        var set = set
        for demand in query.demands {
            var having = SlotSet(count: passages.count)
            words.insert(demand.forms.compactMap(words.number), into: &having, inTitleOnly: demand.isInTitle)
            if demand.isExcluded { set.subtract(having) } else { set.formIntersection(having) }
        }
        if let document = query.excludedDocument { slots(of: document).forEach { set.remove($0) } }
        return set
    }

    private func keep(_ set: inout SlotSet, from: Int64?, to: Int64?) {
        guard from != nil || to != nil else { return }
        let (from, to) = (from ?? .min, to ?? .max)
        var passing = SlotSet(count: passages.count)
        for slot in times.indices where times[slot] >= from && times[slot] < to { passing.insert(slot) }
        set.formIntersection(passing)
    }

    private func keep(_ set: inout SlotSet, passing test: AttributeTest, _ isPassing: Bool) {
        guard test.attribute == .eventTime else { return attributes.keep(&set, passing: test, isPassing) }
        var passing = SlotSet(count: passages.count)
        for slot in times.indices where test.holds(.time(times[slot])) { passing.insert(slot) }
        if isPassing { set.formIntersection(passing) } else { set.subtract(passing) }
    }

    // MARK: Words

    private func lexical(
        _ query: ArmsQuery, _ allowed: SlotSet, _ scratch: inout WordScratch
    ) -> (found: [WordArm.Found], isBounded: Bool) {
        let groups = query.words.map { word in
            WordArm.Group(
                forms: word.compactMap { form in words.number(of: form.form).map { (word: $0, weight: form.weight) } })
        }
        return words.best(
            of: groups, among: allowed, counted: counted(query), totals: wordTotals(query), limit: query.lexicalLimit,
            scratch: &scratch,
            isBefore: { [passages] in passages[Int($0)] > passages[Int($1)] })
    }

    /// The collection among whose passages words are rare or common; nil for all.
    private func counting(_ query: ArmsQuery) -> String? {
        query.filter.scope.collections.flatMap { $0.count == 1 ? $0[0] : nil }
    }

    /// Its passages; nil for all.
    private func counted(_ query: ArmsQuery) -> SlotSet? {
        guard let named = counting(query), collectionCount > 1 else { return nil }
        var set = shown
        attributes.keep(&set, passing: .texts(.collection, [named]))
        return set
    }

    private func wordTotals(_ query: ArmsQuery) -> WordArm.Totals {
        let totals = totals(of: counting(query))
        return WordArm.Totals(
            passages: Double(max(totals.passages, 1)),
            length: max(Double(totals.words) / Double(max(totals.passages, 1)), 1), k1: query.k1, b: query.b)
    }

    /// What ``lexical(_:_:_:)`` weighs words by.
    private func statistics(_ query: ArmsQuery) -> WordStatistics {
        let (totals, counted) = (wordTotals(query), counted(query))
        var forms: [String: Int64] = [:]
        for (form, _) in query.words.joined() {
            guard let word = words.number(of: form) else { continue }
            forms[form] = Int64(counted.map { words.count(of: word, among: $0) } ?? words.count(of: word))
        }
        return WordStatistics(passages: totals.passages, length: totals.length, forms: forms)
    }

    // MARK: Fusion

    private struct Fused {
        let slot: Int
        let place: RankedPassage
    }

    /// Where documents are ranked, an arm's place of a document is that of its best passage there, and the passage that
    /// counts more is shown.
    private func fused(_ vector: [Placed], _ lexical: [Placed], _ query: ArmsQuery) -> [Fused] {
        var order: [Int64] = []
        var units: [Int64: Unit] = [:]
        func take(_ arm: [Placed], _ path: WritableKeyPath<Unit, (slot: Int, place: ArmPlace)?>) {
            for (index, placed) in arm.enumerated() {
                let unit = query.isOfDocuments ? documentOf[placed.slot] : passages[placed.slot]
                if units[unit] == nil { order.append(unit) }
                // The first is the best.
                guard units[unit]?[keyPath: path] == nil else { continue }
                units[unit, default: Unit()][keyPath: path] = (
                    placed.slot, ArmPlace(rank: index + 1, score: placed.score)
                )
            }
        }
        take(vector, \.vector)
        take(lexical, \.lexical)
        var ranked: [(fused: Fused, score: Double)] = []
        for name in order {
            guard let unit = units[name] else { continue }
            let (near, worded) = (unit.vector?.place, unit.lexical?.place)
            let (vectorShare, lexicalShare) = (
                query.fusion.vectorShare(of: near), query.fusion.lexicalShare(of: worded)
            )
            let shown = unit.vector == nil || lexicalShare > vectorShare ? unit.lexical : unit.vector
            guard let shown else { continue }
            ranked.append(
                (
                    Fused(
                        slot: shown.slot,
                        place: RankedPassage(passageID: passages[shown.slot], vector: near, lexical: worded)),
                    vectorShare + lexicalShare
                ))
        }
        ranked.sort { left, right in
            if left.score != right.score { return left.score > right.score }
            let (a, b) = (left.fused.place, right.fused.place)
            if a.vector?.rank != b.vector?.rank { return a.vector?.rank ?? .max < b.vector?.rank ?? .max }
            return a.lexical?.rank ?? .max < b.lexical?.rank ?? .max
        }
        return ranked.map(\.fused)
    }

    private struct Unit {
        var vector: (slot: Int, place: ArmPlace)?
        var lexical: (slot: Int, place: ArmPlace)?
    }
}

extension ArmsQuery {
    /// Whether all that is shown passes the filter.
    fileprivate var isUnfiltered: Bool {
        filter.scope.collections == nil && filter.time.from == nil && filter.time.to == nil && filter.must.isEmpty
            && filter.mustNot.isEmpty
    }

    /// Whether all that is shown counts.
    fileprivate var isUnrestricted: Bool { isUnfiltered && demands.isEmpty && excludedDocument == nil }
}
