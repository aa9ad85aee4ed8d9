import Records

/// Numbers that the index has given to words, as a writer remembers them, so that it need not look up what it wrote before.
///
/// They are valid until a word is removed. The index counts removals, and a writer sends the count at which its numbers were
/// valid.
/// One thread's; a class, so that no write copies it.
final class KnownWords {
    /// Words remembered, of some 100 bytes each. At so many the older half goes: what is common is soon back.
    static let wordsMax = 200_000

    private let wordsMax: Int
    /// How many removals had been counted; 0, which the index never says, before it has said anything.
    private(set) var removals: Int64 = 0
    private var recent: [TenantID: [String: Int32]] = [:]
    private var former: [TenantID: [String: Int32]] = [:]
    private var recentCount = 0

    init(wordsMax: Int = KnownWords.wordsMax) { self.wordsMax = wordsMax }

    /// Those of one tenant; of no use once more have been learnt, and to be let go before.
    struct OfTenant {
        fileprivate(set) var removals: Int64 = 0
        fileprivate var recent: [String: Int32] = [:]
        fileprivate var former: [String: Int32] = [:]

        /// 0 where it is unknown.
        subscript(word: String) -> Int32 { recent[word] ?? former[word] ?? 0 }
    }

    func of(_ tenant: TenantID) -> OfTenant {
        OfTenant(removals: removals, recent: recent[tenant] ?? [:], former: former[tenant] ?? [:])
    }

    /// Takes in what a transaction that has been committed says of the words it wrote.
    ///
    /// - Parameters:
    ///   - numbers: of all the words, 0 for those that were not needed; none at all where no words were.
    ///   - removals: the count at which they hold.
    func learn(_ words: PassageWords, _ numbers: [Int32], of tenant: TenantID, removals: Int64) {
        if removals != self.removals {
            (recent, former, recentCount) = ([:], [:], 0)
            self.removals = removals
        }
        for (index, number) in zip(words.words.indices, numbers) where number > 0 {
            guard number != words.knownNumbers[index] || words.removals != removals else { continue }
            if recent[tenant, default: [:]].updateValue(number, forKey: words.words[index]) == nil { recentCount += 1 }
        }
        guard recentCount > wordsMax / 2 else { return }
        former = recent
        recent = [:]
        recentCount = 0
    }
}
