/// The first name of one with the surname of another.
extension Comparison {
    /// Whether two words that stand together as a name are both here, and not together: Ann Ray is neither Ann Lee nor Bob Ray.
    var hasMixedName: Bool {
        let (theirs, titles) = (groups(of: piece), groups(of: title))
        return said.nameGroups.contains { group in
            zip(group, group.dropFirst()).contains { first, second in
                let (first, second) = (said.words[first], said.words[second])
                guard isName(first), isName(second), !areTogether(first, second) else { return false }
                func has(_ group: Set<String>, _ word: ReadWord) -> Bool { !group.isDisjoint(with: word.keys) }
                let all = theirs + titles
                if all.contains(where: { has($0, first) && has($0, second) }) { return false }
                // The title may have more of the name, or the text a rank: President Reed under Ann Reed.
                let isJoined = theirs.contains { group in
                    titles.contains { title in
                        !group.isDisjoint(with: title)
                            && (has(group, first) && has(title, second) || has(group, second) && has(title, first))
                    }
                }
                if isJoined { return false }
                guard hasCapitalNouns else { return true }
                // Words that are no names stand side by side there; such a one belongs to no other name.
                return isInLongName(first) && isInLongName(second)
            }
        }
    }

    private func groups(of reading: Reading) -> [Set<String>] {
        reading.nameGroups.map { group in
            reading.words[group].reduce(into: Set<String>()) { $0.formUnion($1.keys) }
        }
    }

    /// Whether the word has a capital here too.
    private func isName(_ word: ReadWord) -> Bool {
        (piece.words + title.words).contains { $0.isCapital && !$0.keys.isDisjoint(with: word.keys) }
    }

    /// Whether the words follow one another here, whatever their capitals, or as in a list of names: Lee, Ann.
    private func areTogether(_ first: ReadWord, _ second: ReadWord) -> Bool {
        [piece, title].contains { reading in
            let groups = reading.nameGroups
            return zip(reading.words.indices, reading.words.indices.dropFirst()).contains { place, next in
                func at(_ place: Int, _ word: ReadWord) -> Bool {
                    !reading.words[place].keys.isDisjoint(with: word.keys)
                }
                let isOneClause = reading.words[place].clause == reading.words[next].clause
                if isOneClause { return at(place, first) && at(next, second) }
                return at(place, second) && at(next, first) && groups.contains(place..<(place + 1))
                    && !reading.words[next].isFirst
            }
        }
    }

    private func isInLongName(_ word: ReadWord) -> Bool {
        [piece, title].contains { reading in
            reading.nameGroups.contains { group in
                group.count > 1 && reading.words[group].contains { !$0.keys.isDisjoint(with: word.keys) }
            }
        }
    }
}
