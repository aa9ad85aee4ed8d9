import Bytes
import PlatformTesting
import Testing

@testable import Arms

/// Words are found by what they begin with, in the order of their bytes, whenever they came.
@Suite struct WordPrefixTests {
    @Test(arguments: LongTests.seeds(1...2)) func theFirstOnesAreFound(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let letters = ["a", "b", "z", "é", "e\u{301}", "東", "\u{10FFFF}"]
        var table = WordTable(isOrdered: true)
        var words: Set<[UInt8]> = []
        for _ in 0..<12_000 {
            let word = (0..<Int.random(in: 1...7, using: &random)).map { _ in
                letters[Int.random(in: 0..<letters.count, using: &random)]
            }.joined()
            _ = table.add(word)
            words.insert(Array(word.utf8))
        }
        #expect(table.count == words.count)
        let ordered = words.sorted { $0.lexicographicallyPrecedes($1) }
        for prefix in ["", "a", "ab", "é", "e", "東z", "zzz", "q", "\u{10FFFF}"] {
            for limit in [0, 1, 33, 500] {
                let found = table.numbers(beginningWith: prefix, limit: limit) { $0 % 3 > 0 }.map { table.text(of: $0) }
                let wanted = ordered.filter { word in
                    word.starts(with: prefix.utf8)
                        && (table.number(of: String(decoding: word, as: UTF8.self)) ?? 0) % 3 > 0
                }
                #expect(
                    found.map { Array($0.utf8) } == Array(wanted.prefix(limit)), "\(prefix), \(limit), seed \(seed)")
            }
        }
    }

    @Test func thoseOfMostPassagesComeFirst() {
        let arm = WordArm()
        for (id, word) in ["harbour", "harp", "hard", "haze", "harm"].enumerated() {
            arm.add(word: word, id: Int32(id))
            let count = [2, 0, 3, 9, 2][id]
            arm.add((0..<count).map { (UInt32($0), 1) }, of: Int32(id))
        }
        #expect(arm.words(beginningWith: "har", among: 500, limit: 33) == ["hard", "harbour", "harm"])
        #expect(arm.words(beginningWith: "har", among: 2, limit: 1) == ["hard"])
    }
}
