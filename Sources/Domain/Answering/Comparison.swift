import Retrieval

/// A sentence beside one piece of a passage.
struct Comparison {
    let said: Reading
    let piece: Reading
    let title: Reading
    /// The record's day, where piece and title have no day or year of their own.
    private let recorded: ReadDate?
    private let raw: String
    private let opposites: Opposites
    /// Of the words of piece and title.
    let keys: Set<String>
    /// Whether its language gives every noun a capital.
    let hasCapitalNouns: Bool

    init(
        said: Reading, piece: Reading, title: Reading, recorded: ReadDate?, raw: String, hasCapitalNouns: Bool,
        _ opposites: Opposites
    ) {
        self.hasCapitalNouns = hasCapitalNouns
        let isDated = [piece, title].contains {
            !$0.dates.isEmpty || $0.numbers.contains { Reading.year(of: $0) != nil }
        }
        self.recorded = isDated ? nil : recorded
        self.said = said
        self.piece = piece
        self.title = title
        self.raw = raw
        self.opposites = opposites
        keys = piece.keys.union(title.keys)
    }

    func isKnown(_ word: ReadWord) -> Bool { !word.keys.isDisjoint(with: keys) }

    /// Share of the sentence's content words that are here.
    var coverage: Double {
        let content = said.content
        guard !content.isEmpty else { return said.numbers.isEmpty && said.dates.isEmpty ? 0 : 1 }
        return Double(content.count(where: isKnown)) / Double(content.count)
    }

    /// The first hard rule that the sentence breaks here.
    func fault() -> SupportFault? {
        for link in said.links where !raw.contains(link) { return .name }
        return numberFault() ?? dateFault() ?? nameFault() ?? negationFault() ?? directionFault() ?? swapFault()
            ?? restrictionFault()
    }

    // MARK: Numbers and dates

    private var numbersHere: [ReadNumber] { piece.numbers + title.numbers }
    private var datesHere: [ReadDate] { (piece.dates + title.dates).joined() + [recorded].compactMap { $0 } }

    private func numberFault() -> SupportFault? {
        for number in said.numbers {
            let equal = numbersHere.filter(number.equals)
            if isBoundToAnother(number) { return .number }
            if equal.isEmpty {
                let year = Reading.year(of: number)
                if year != nil, datesHere.contains(where: { $0.year == year }) { continue }
                return .number
            }
            let isMinusLost = number.sign == nil && equal.allSatisfy { $0.sign == -1 }
            if isMinusLost, !said.words.contains(where: { Self.decreasing.contains($0.exact) }) { return .number }
            if isLimitLost(number, equal) { return .number }
            if let fault = unitFault(number, equal) { return fault }
            if isOfAnother(number, equal) { return .number }
            if isTurned(number) { return .direction }
        }
        return nil
    }

    private func unitFault(_ number: ReadNumber, _ equal: [ReadNumber]) -> SupportFault? {
        guard let unit = number.unit else {
            let units = equal.compactMap(\.unit)
            guard units.count == equal.count else { return nil }
            return said.noun(after: number) != nil || units.allSatisfy(Numbers.isSymbol) ? .unit : nil
        }
        if equal.contains(where: { $0.unit == unit }) { return nil }
        // Another number has it, so that this one does not.
        if numbersHere.contains(where: { $0.unit == unit }) { return .number }
        // It may stand somewhere else, such as in a table's head; what stands directly behind the number is a unit, known or not.
        let isNamed = (piece.words + title.words).contains { Numbers.unit(of: $0.exact) == unit }
        let isBare = equal.contains { $0.unit == nil && piece.noun(after: $0) == nil }
        return isNamed && isBare ? nil : .unit
    }

    /// `< 5` is neither 5 nor `> 5`.
    private func isLimitLost(_ number: ReadNumber, _ equal: [ReadNumber]) -> Bool {
        guard number.limit != nil || equal.contains(where: { $0.limit != nil }) else { return false }
        let wanted = said.limit(of: number)
        return !equal.contains { piece.limit(of: $0) == wanted }
    }

    /// Whether the number counts one thing in the sentence and another one here, though both are here.
    private func isOfAnother(_ number: ReadNumber, _ equal: [ReadNumber]) -> Bool {
        if let noun = said.noun(after: number), number.unit == nil {
            let others = piece.numbers.filter { !number.equals($0) }
            let isOthers = others.contains {
                piece.noun(after: $0).map { !$0.keys.isDisjoint(with: noun.keys) } ?? false
            }
            let isOwn = equal.contains { other in
                piece.noun(after: other).map { !$0.keys.isDisjoint(with: noun.keys) } ?? false
            }
            if isOthers && !isOwn { return true }
        }
        guard let name = said.name(near: number) else { return false }
        let own = equal.compactMap { piece.name(near: $0) }
        guard !own.isEmpty, own.allSatisfy({ $0.keys.isDisjoint(with: name.keys) }) else { return false }
        return piece.numbers.contains { other in
            !number.equals(other) && piece.name(near: other).map { !$0.keys.isDisjoint(with: name.keys) } ?? false
        }
    }

    /// `from 3 to 5` is not `from 5 to 3`.
    private func isTurned(_ number: ReadNumber) -> Bool {
        guard let opposite = said.role(ofNumber: number.range)?.opposite else { return false }
        let roles = piece.numbers.filter(number.equals).map { piece.role(ofNumber: $0.range) }
        return !roles.isEmpty && roles.allSatisfy { $0 == opposite }
    }

    private func dateFault() -> SupportFault? {
        let here = datesHere
        for (readings, range) in zip(said.dates, said.dateRanges) {
            let isSaid = readings.contains { date in
                if here.contains(where: { date.isSaid(by: $0) }) { return true }
                guard date.month == nil, date.day == nil, let year = date.year else { return false }
                return numbersHere.contains { Reading.year(of: $0) == year }
            }
            if !isSaid || isBoundToAnother(readings, range) { return .date }
        }
        return nil
    }

    // MARK: Names

    private func nameFault() -> SupportFault? {
        for place in said.names where !isKnown(said.words[place]) { return .name }
        // A word in a script without capitals may be a name wherever it stands.
        if said.content.contains(where: { $0.isCaseless && !isKnown($0) }) { return .name }
        // Who begins a sentence may be anybody.
        for word in said.words where word.isFirst && word.isCapital && word.isContent && !isKnown(word) {
            if !WordLists.openers.contains(word.exact) { return .name }
        }
        return hasMixedName ? .name : nil
    }

    // MARK: Negation

    private func negationFault() -> SupportFault? {
        for word in said.content where !isKnown(word) && opposites.areOpposed(word, to: piece) { return .negation }
        if signIsTurned { return .negation }
        let here = piece.clauses
        for (_, clause) in said.clauses where !clause.keys.isEmpty || clause.isNegated {
            // Two that cancel out, or do not: only the passage's own words say which.
            if clause.isDoubled { return .negation }
            let needed = clauses(with: clause.keys, here)
            if needed.contains(where: \.isDoubled) { return .negation }
            if clause.isNegated != needed.contains(where: \.isNegated) { return .negation }
        }
        return nil
    }

    private static let decreasing: Set<String> = takingAway.union([
        "minus", "below", "loss", "losses", "less", "fewer", "fell", "fall", "falls", "fallen", "decline", "declined",
        "drop", "drops", "negative", "removal", "removals", "shrunk", "lower", "lowered", "reduced", "reduction",
        "deletion", "deletions", "down", "deficit", "cut", "smaller", "loses", "shrinks", "decreases", "unter", "moins",
        "menos", "минус",
    ])

    /// Whether the verb tells the sign of a number that has one here.
    func isSigned(_ verb: ReadWord) -> Bool {
        guard Self.adding.union(Self.takingAway).contains(verb.exact) else { return false }
        return said.numbers.contains { number in piece.numbers.contains { $0.sign != nil && number.equals($0) } }
    }

    /// `+120` was added.
    private var signIsTurned: Bool {
        let signs = Set(piece.numbers.compactMap(\.sign))
        guard signs.count == 1, let sign = signs.first else { return false }
        let wrong = sign > 0 ? Self.takingAway : Self.adding
        let right = sign > 0 ? Self.adding : Self.takingAway
        let isSignedHere = said.numbers.contains { number in
            number.sign == nil && piece.numbers.contains { $0.sign != nil && number.equals($0) }
        }
        guard isSignedHere, said.content.contains(where: { wrong.contains($0.exact) }) else { return false }
        // Both may be said of different things.
        return !said.content.contains { right.contains($0.exact) }
    }

    private static let adding: Set<String> = [
        "added", "adding", "adds", "gained", "grew", "longer", "increase", "increased",
    ]
    private static let takingAway: Set<String> = [
        "removed", "removing", "removes", "lost", "shrank", "shorter", "decrease", "decreased", "deleted", "dropped",
    ]

    /// The clauses here that are needed to find all of a clause's words.
    func clauses(with wanted: [Set<String>], _ here: [Int: ReadClause]) -> [ReadClause] {
        var left = wanted.filter { !$0.isDisjoint(with: piece.keys) }
        var needed: [ReadClause] = []
        var clauses = here.values.sorted { ($0.keys.count, $0.place) < ($1.keys.count, $1.place) }
        while !left.isEmpty, !clauses.isEmpty {
            func found(_ clause: ReadClause) -> Int {
                left.count { word in clause.keys.contains { !$0.isDisjoint(with: word) } }
            }
            guard let best = clauses.indices.max(by: { found(clauses[$0]) < found(clauses[$1]) }),
                found(clauses[best]) > 0
            else { break }
            let clause = clauses.remove(at: best)
            needed.append(clause)
            left.removeAll { word in clause.keys.contains { !$0.isDisjoint(with: word) } }
        }
        return needed
    }

    // MARK: Direction

    private func directionFault() -> SupportFault? {
        for place in said.words.indices {
            let word = said.words[place]
            guard word.isContent else { continue }
            if let role = word.role, role != .other, isTurned(word, role) { return .direction }
            if WordLists.isPastVerb(word.exact), hasAnotherAgent(place) { return .direction }
        }
        return nil
    }

    /// Whether the word has the opposite part here, or another word of the sentence has its part.
    private func isTurned(_ word: ReadWord, _ role: WordLists.Role) -> Bool {
        let here = piece.words.filter { !$0.keys.isDisjoint(with: word.keys) }
        guard !here.isEmpty, !here.contains(where: { $0.role == role }) else { return false }
        if let opposite = role.opposite, here.contains(where: { $0.role == opposite }) { return true }
        guard role == .than || role == .agent else { return false }
        let holders = piece.words.filter { $0.role == role && $0.isContent }
        return holders.contains { holder in
            holder.keys.isDisjoint(with: word.keys) && said.words.contains { !$0.keys.isDisjoint(with: holder.keys) }
        }
    }

    private func hasAnotherAgent(_ place: Int) -> Bool {
        guard let agent = said.agent(of: place) else { return false }
        let verbs = piece.words.indices.filter { !piece.words[$0].keys.isDisjoint(with: said.words[place].keys) }
        // Who did what is only said to have been done is not told.
        let isNobodys = verbs.allSatisfy { piece.isPassive($0) && piece.agent(of: $0) == nil }
        let isAgentHere = piece.words.contains { $0.role == .agent && !$0.keys.isDisjoint(with: agent.keys) }
        if !verbs.isEmpty, isNobodys, !isAgentHere { return true }
        let agents = verbs.compactMap { piece.agent(of: $0) }
        guard !agents.isEmpty, agents.count == verbs.count else { return false }
        let isKnownHere = agent.keys.contains { piece.keys.contains($0) }
        return isKnownHere && agents.allSatisfy { $0.keys.isDisjoint(with: agent.keys) }
    }
}

/// Several words that name one thing.
struct ReadName {
    var keys: Set<String>
}

extension Reading {
    /// The word that says what a number counts.
    func noun(after number: ReadNumber) -> ReadWord? {
        guard let word = words.first(where: { $0.range.lowerBound >= number.range.upperBound }), word.isContent,
            word.range.lowerBound - number.range.upperBound <= 2, !word.isCapital
        else { return nil }
        return word
    }

    /// The name nearest to a number in its clause.
    func name(near number: ReadNumber) -> ReadName? {
        let candidates = words.filter { $0.isCapital && $0.isContent && !$0.isTopic }
        let nearest = candidates.min { distance($0, number) < distance($1, number) }
        return nearest.map { ReadName(keys: $0.keys) }
    }

    private func distance(_ word: ReadWord, _ number: ReadNumber) -> Int {
        word.range.upperBound <= number.range.lowerBound
            ? number.range.lowerBound - word.range.upperBound
            : 2 * (word.range.lowerBound - number.range.upperBound) + 1
    }

    /// Who does what the verb at `place` says: the name behind `by`, else the nearest one before it that no preposition and
    /// no passive makes something else of.
    func agent(of place: Int) -> ReadName? {
        for next in words.indices.dropFirst(place + 1).prefix(3)
        where words[next].role == .agent && words[next].isCapital {
            return name(around: next)
        }
        guard !isPassive(place) else { return nil }
        for before in words[..<place].indices.reversed() {
            let word = words[before]
            if word.isTopic || word.clause < words[place].clause - 2 { return nil }
            guard word.isCapital, word.isContent else { continue }
            return word.role == nil ? name(around: before) : nil
        }
        return nil
    }

    /// Whether the verb at `place` tells what is done to somebody.
    func isPassive(_ place: Int) -> Bool {
        words[..<place].suffix(2).contains { Self.passive.contains($0.exact) && $0.clause == words[place].clause }
    }

    private func name(around place: Int) -> ReadName {
        var keys = words[place].keys
        for step in [-1, 1] {
            var next = place + step
            while words.indices.contains(next), words[next].isCapital, words[next].isContent,
                words[next].clause == words[place].clause
            {
                keys.formUnion(words[next].keys)
                next += step
            }
        }
        return ReadName(keys: keys)
    }

    static let passive: Set<String> = [
        "was", "were", "been", "is", "are", "being", "be", "got", "wurde", "wurden",
    ]
}
