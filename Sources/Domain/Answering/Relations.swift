/// Two names and what is said of them.
struct NamePair {
    /// Keys of who does or is something, and of the other one.
    var subject: Set<String>
    var object: Set<String>
    /// Keys of the words between them, or of what the one is to the other.
    var relation: Set<String>
}

/// Names that a preposition ties to a word: `rises above Oulu`.
struct NameTie {
    /// Keys of the word before the preposition.
    var governor: Set<String>
    var preposition: String
    var names: Set<String>
}

/// Who is what to whom, and what a passage says with a reservation.
extension Comparison {
    /// Whether the names of a sentence stand the other way round here, around the same words, or around words that are not here.
    func swapFault() -> SupportFault? {
        for place in said.words.indices {
            if hasAnotherObject(place) { return .direction }
            if isOtherVerb(place) { return .words }
        }
        if isTiedToAnother { return .direction }
        let theirs = piece.pairs
        for pair in said.pairs {
            if pair.relation.isDisjoint(with: keys), !isEditing(pair.relation) { return .words }
            let alike = theirs.filter { !$0.relation.isDisjoint(with: pair.relation) }
            func stands(_ first: Set<String>, _ second: Set<String>) -> Bool {
                alike.contains { !$0.subject.isDisjoint(with: first) && !$0.object.isDisjoint(with: second) }
            }
            if stands(pair.object, pair.subject), !stands(pair.subject, pair.object) { return .direction }
        }
        return nil
    }

    /// Whether the verb is not here, though who does it or what it is done to is: who repainted the towers has not sold them.
    private func isOtherVerb(_ place: Int) -> Bool {
        let verb = said.words[place]
        guard verb.isContent, !verb.isCapital, WordLists.isPastVerb(verb.exact), !isKnown(verb),
            !WordLists.lightVerbs.contains(verb.exact), !isEditing(verb.keys), !isSigned(verb)
        else { return false }
        let isAgentHere = said.agent(of: place).map { !$0.keys.isDisjoint(with: keys) } ?? false
        return isAgentHere || said.object(of: place).map { !$0.isDisjoint(with: keys) } ?? false
    }

    /// Whether the verb is here, and done to something else wherever it is: the ferry struck the pier, and not the pier the
    /// ferry.
    private func hasAnotherObject(_ place: Int) -> Bool {
        let verb = said.words[place]
        guard let object = said.object(of: place), !object.isDisjoint(with: keys) else { return false }
        let verbs = piece.words.indices.filter {
            WordLists.isPastVerb(piece.words[$0].exact) && !piece.words[$0].keys.isDisjoint(with: verb.keys)
        }
        guard !verbs.isEmpty else { return false }
        return verbs.allSatisfy { piece.object(of: $0)?.isDisjoint(with: object) == true }
    }

    /// Whether a name follows a word and its preposition in the sentence, and another one wherever they stand here.
    private var isTiedToAnother: Bool {
        let theirs = piece.ties
        return said.ties.contains { tie in
            guard !tie.names.isDisjoint(with: piece.keys) else { return false }
            let same = theirs.filter {
                $0.preposition == tie.preposition && !$0.governor.isDisjoint(with: tie.governor)
            }
            return !same.isEmpty && same.allSatisfy { $0.names.isDisjoint(with: tie.names) }
        }
    }

    /// Who edited a page has changed and updated it.
    private func isEditing(_ relation: Set<String>) -> Bool {
        !relation.isDisjoint(with: WordLists.editing) && !keys.isDisjoint(with: WordLists.editing)
    }

    /// What may be, is alleged, was once, or depends on something is not what is.
    func restrictionFault() -> SupportFault? {
        let kept = Set(said.words.compactMap { WordLists.restrictions[$0.exact] })
        var needed: Set<Int>?
        for place in piece.words.indices {
            let word = piece.words[place]
            guard let kind = WordLists.restrictions[word.exact], !kept.contains(kind) else { continue }
            // The month, and the name.
            if word.isCapital, !word.isFirst || ["may", "will"].contains(word.exact) { continue }
            switch kind {
            case .condition: return .restriction
            case .former, .vice, .second, .almost, .only, .except, .rarely, .barely:
                if isSaidOfWhatFollows(place) { return .restriction }
            // What is scheduled is planned.
            case .future where kept.contains(.plan): break
            case .possible, .would, .plan, .future, .claim:
                let clauses =
                    needed ?? Set(clauses(with: said.content.map(\.keys), piece.clauses).map(\.place))
                needed = clauses
                if clauses.contains(word.clause) { return .restriction }
            }
        }
        return nil
    }

    /// Whether the sentence speaks of the word or number behind the one at `place`.
    private func isSaidOfWhatFollows(_ place: Int) -> Bool {
        let word = piece.words[place]
        let isUnit = piece.numbers.contains { (0...1).contains(word.range.lowerBound - $0.range.upperBound) }
        if isUnit { return false }
        if let number = piece.numbers.first(where: { (0...2).contains($0.range.lowerBound - word.range.upperBound) }) {
            return said.numbers.contains { $0.equals(number) }
        }
        guard let next = piece.words[(place + 1)...].first(where: \.isContent) else { return false }
        return !next.keys.isDisjoint(with: said.keys)
    }
}

extension Reading {
    /// Keys of what a verb in the past is done to: the words behind it up to a preposition or the clause's end; nil in the
    /// passive, and where a number or nothing follows.
    func object(of place: Int) -> Set<String>? {
        let verb = words[place]
        guard WordLists.isPastVerb(verb.exact), !isPassive(place) else { return nil }
        let end = verb.range.upperBound
        if numbers.contains(where: { (0...2).contains($0.range.lowerBound - end) }) { return nil }
        var keys: Set<String> = []
        for word in words[(place + 1)...].prefix(Self.objectMax) {
            guard word.clause == verb.clause, WordLists.roles[word.exact] == nil, !word.isNegator,
                !WordLists.conjunctions.contains(word.exact)
            else { break }
            if word.isContent { keys.formUnion(word.keys) }
        }
        return keys.isEmpty ? nil : keys
    }

    private static let objectMax = 6

    /// Words of a list of names.
    private static let listMax = 32

    /// Whether the word stands before a further name of a list: in Paris and in Rome, or in sunny Rome.
    private func isInList(_ place: Int, _ preposition: String) -> Bool {
        let (last, word) = (words[place - 1], words[place])
        let isJoined = WordLists.conjunctions.contains(last.exact) || last.isCapital && last.clause != word.clause
        guard isJoined else { return false }
        return word.exact == preposition
            || WordLists.roles[word.exact] == nil && !word.isNegator && !WordLists.isPastVerb(word.exact)
    }

    /// What prepositions tie to names, lists of them included.
    var ties: [NameTie] {
        words.indices.compactMap { place in
            let preposition = words[place]
            guard WordLists.roles[preposition.exact] != nil,
                let governor = words[..<place].suffix(2).last(where: { $0.isContent && $0.clause == preposition.clause }
                )
            else { return nil }
            var names: Set<String> = []
            for next in words.indices[(place + 1)...].prefix(Self.listMax) {
                let word = words[next]
                if word.isContent, word.isCapital {
                    names.formUnion(word.keys)
                } else if names.isEmpty {
                    if next - place > Self.objectMax || WordLists.roles[word.exact] != nil
                        || word.clause != preposition.clause
                    {
                        break
                    }
                } else if !WordLists.conjunctions.contains(word.exact), !isInList(next, preposition.exact) {
                    break
                }
            }
            return names.isEmpty
                ? nil : NameTie(governor: governor.keys, preposition: preposition.exact, names: names)
        }
    }

    /// Pairs of names that stand near one another, with words between them that are in the active voice.
    var pairs: [NamePair] {
        let names = nameGroups
        var result: [NamePair] = []
        for (number, first) in names.enumerated() {
            for second in names[(number + 1)...].prefix(3) {
                guard result.count < Self.pairsMax else { return result }
                if let pair = pair(first, second) { result.append(pair) }
            }
        }
        return result
    }

    private static let pairsMax = 64
    private static let betweenMax = 8

    /// Runs of words with a capital, by their places; a topic names what all is about, and has no part in it.
    var nameGroups: [Range<Int>] {
        var groups: [Range<Int>] = []
        for place in words.indices where words[place].isCapital && words[place].isContent && !words[place].isTopic {
            if let last = groups.last, last.upperBound == place, words[place - 1].clause == words[place].clause,
                !isPossessive(last)
            {
                groups[groups.count - 1] = last.lowerBound..<(place + 1)
            } else {
                groups.append(place..<(place + 1))
            }
        }
        return groups
    }

    private func pair(_ first: Range<Int>, _ second: Range<Int>) -> NamePair? {
        let between = words[first.upperBound..<second.lowerBound]
        guard between.count <= Self.betweenMax, words[second.lowerBound].role != .agent else { return nil }
        let isOther = between.indices.contains { place in
            let word = words[place]
            return WordLists.conjunctions.contains(word.exact) || WordLists.roles[word.exact] == .agent
                || WordLists.isPastVerb(word.exact) && isPassive(place)
        }
        guard !isOther else { return nil }
        var relation = between.filter { $0.isContent && !$0.isCapital }.reduce(into: Set<String>()) {
            $0.formUnion($1.keys)
        }
        // Ann is Bob's mother.
        if isPossessive(second) {
            for word in words[second.upperBound...].prefix(3) where word.isContent && !word.isCapital {
                relation.formUnion(word.keys)
            }
        }
        // The mother of Bob is Ann.
        // A number may stand between: in the election of 1998 Ann …
        let isGenitive =
            first.lowerBound > 1 && Self.genitives.contains(words[first.lowerBound - 1].exact)
            && words[first.lowerBound].range.lowerBound - words[first.lowerBound - 1].range.upperBound <= 1
        if isGenitive { relation.formUnion(words[first.lowerBound - 2].keys) }
        guard !relation.isEmpty else { return nil }
        let (one, other) = (keys(of: first), keys(of: second))
        return isGenitive != isPossessive(first)
            ? NamePair(subject: other, object: one, relation: relation)
            : NamePair(subject: one, object: other, relation: relation)
    }

    private func keys(of group: Range<Int>) -> Set<String> {
        words[group].reduce(into: Set<String>()) { $0.formUnion($1.keys) }
    }

    private func isPossessive(_ group: Range<Int>) -> Bool {
        let last = words[group.upperBound - 1].exact
        if last.hasSuffix("'s") || last.hasSuffix("’s") { return true }
        guard group.upperBound < words.count else { return false }
        let next = words[group.upperBound]
        return next.exact == "s" && next.isFunction
    }

    private static let genitives: Set<String> = ["of", "von", "de", "du", "di", "da", "do", "del"]
}
