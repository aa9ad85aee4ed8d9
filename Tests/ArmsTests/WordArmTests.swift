import Bytes
import Glibc
import PlatformTesting
import Testing

@testable import Arms

/// The best passages by words are those that adding up every posting gives, whatever is read and whatever is only looked up.
@Suite struct WordArmTests {
    private static let totals = WordArm.Totals(passages: 3_000, length: 12, k1: 1.2, b: 0.75)

    /// Words by rank, as languages have them: the first ones in most passages.
    private static func filled(_ random: inout SeededGenerator) -> (arm: WordArm, weights: [[Int: Int32]]) {
        let arm = WordArm()
        var weights: [[Int: Int32]] = []
        for word in 0..<200 {
            arm.add(word: "w\(word)", id: Int32(word))
            var entries: [Int: Int32] = [:]
            for slot in 0..<3_000 where Int.random(in: 0..<(word / 3 + 1), using: &random) == 0 {
                let (text, title) = (Int32.random(in: 0...4, using: &random), Int32.random(in: 0...1, using: &random))
                entries[slot] = text | title << 8 | Int32(slot % 25 + 2) << 16
            }
            weights.append(entries)
            arm.add(entries.sorted { $0.key < $1.key }.map { (UInt32($0.key), $0.value) }, of: Int32(word))
        }
        return (arm, weights)
    }

    private static func naive(
        _ groups: [WordArm.Group], _ weights: [[Int: Int32]], _ allowed: SlotSet
    ) -> [(slot: Int, score: Double)] {
        var scores: [Int: Double] = [:]
        for group in groups {
            let n = Double(group.forms.map { weights[$0.word].count }.max() ?? 0)
            let idf = log(1 + max(totals.passages - n + 0.5, 0.5) / (n + 0.5))
            var best: [Int: Double] = [:]
            for form in group.forms {
                for (slot, weight) in weights[form.word] where allowed.contains(slot) {
                    let f = Double(weight & 255) + Double(weight >> 8 & 255)
                    let length = Double(weight >> 16)
                    let share =
                        form.weight * f * (totals.k1 + 1)
                        / (f + totals.k1 * (1 - totals.b + totals.b * length / totals.length))
                    best[slot] = max(best[slot] ?? 0, share * idf)
                }
            }
            for (slot, share) in best where share > 0 { scores[slot, default: 0] += share }
        }
        return scores.map { ($0.key, $0.value) }.sorted { $0.1 > $1.1 || $0.1 == $1.1 && $0.0 > $1.0 }
    }

    @Test func theBestAreTheBest() {
        var random = SeededGenerator(seed: 4)
        let (arm, weights) = Self.filled(&random)
        var scratch = WordScratch()
        for trial in 0..<200 {
            let groups = (0..<Int.random(in: 1...6, using: &random)).map { _ in
                WordArm.Group(
                    forms: (0..<Int.random(in: 1...3, using: &random)).map { _ in
                        (Int.random(in: 0..<200, using: &random), Double.random(in: 0.2...1, using: &random))
                    })
            }
            var allowed = SlotSet(count: 3_000)
            for slot in 0..<3_000 where trial % 3 > 0 || slot % 7 == 0 { allowed.insert(slot) }
            let found = arm.best(
                of: groups, among: allowed, counted: nil, totals: Self.totals, limit: 20, scratch: &scratch,
                isBefore: { $0 > $1 })
            let wanted = Self.naive(groups, weights, allowed).prefix(20)
            #expect(!found.isBounded && found.found.count == wanted.count)
            for (one, other) in zip(found.found, wanted) {
                #expect(abs(one.score - other.score) < 1e-9, "trial \(trial)")
            }
        }
    }

    /// Of words in many windows and blocks, most of which are left unread: the best are those of adding up all, with the
    /// same order among equal ones, also where most are gone or left out.
    @Test(arguments: LongTests.seeds(1...2)) func whatIsLeftUnreadIsNoneOfTheBest(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let (arm, slots) = (WordArm(), 20_000)
        let lengths = (0..<slots).map { _ in Int32.random(in: 3...300, using: &random) }
        var weights: [[Int: Int32]] = []
        for word in 0..<12 {
            arm.add(word: "w\(word)", id: Int32(word))
            var entries: [Int: Int32] = [:]
            for slot in 0..<slots where Int.random(in: 0..<(1 << (word / 2)), using: &random) == 0 {
                let often = Int32.random(in: 0..<40, using: &random) == 0 ? Int32.random(in: 2...30, using: &random) : 1
                entries[slot] = often | lengths[slot] << 16
            }
            weights.append(entries)
            // In pieces, the last of which is out of order.
            let all = entries.sorted { $0.key < $1.key }.map { (slot: UInt32($0.key), weight: $0.value) }
            arm.add(Array(all[(all.count / 3)...]), of: Int32(word))
            arm.add(Array(all[..<(all.count / 3)]), of: Int32(word))
        }
        var scratch = WordScratch()
        for trial in 0..<12 {
            let groups = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                WordArm.Group(
                    forms: (0..<Int.random(in: 1...2, using: &random)).map { _ in
                        (Int.random(in: 0..<12, using: &random), Double.random(in: 0.2...1, using: &random))
                    })
            }
            var allowed = SlotSet(count: slots)
            for slot in 0..<slots where trial % 3 > 0 || slot % 9 == 0 { allowed.insert(slot) }
            let found = arm.best(
                of: groups, among: allowed, counted: nil, totals: Self.totals, limit: 30, scratch: &scratch,
                isBefore: { $0 > $1 })
            let wanted = Self.naive(groups, weights, allowed).prefix(30)
            #expect(!found.isBounded && found.found.count == wanted.count)
            for (one, other) in zip(found.found, wanted) {
                #expect(abs(one.score - other.score) < 1e-9, "trial \(trial)")
            }
            // Of equal ones the newest first.
            #expect(
                zip(found.found, found.found.dropFirst()).allSatisfy {
                    $0.score > $1.score || $0.score == $1.score && $0.slot > $1.slot
                }, "trial \(trial)")
        }
    }

    /// Of words that are all common the newest passages are read, and of a rare one all.
    @Test func aBoundLeavesOutOldPassagesOfCommonWords() {
        let (arm, slots) = (WordArm(), 40_000)
        var random = SeededGenerator(seed: 9)
        for (word, step) in [1, 2, 9_000].enumerated() {
            arm.add(word: "w\(word)", id: Int32(word))
            let entries = stride(from: 7, to: slots, by: step).map { slot in
                (slot: UInt32(slot), weight: Int32(1) | Int32.random(in: 20...90, using: &random) << 16)
            }
            arm.add(entries, of: Int32(word))
        }
        var allowed = SlotSet(count: slots)
        for slot in 0..<slots { allowed.insert(slot) }
        var scratch = WordScratch()
        func best(_ words: [Int], postingsMax: Int) -> (found: [WordArm.Found], isBounded: Bool) {
            arm.best(
                of: words.map { WordArm.Group(forms: [($0, 1)]) }, among: allowed, counted: nil, totals: Self.totals,
                limit: 20, scratch: &scratch, postingsMax: postingsMax, isBefore: { $0 > $1 })
        }
        let some = best([0, 1], postingsMax: 8_000)
        #expect(some.isBounded && some.found.count == 20 && some.found.allSatisfy { $0.slot >= 20_000 })
        let all = best([0, 1, 2], postingsMax: 8_000)
        let (every, rare) = (best([0, 1, 2], postingsMax: .max / 2), stride(from: 7, to: slots, by: 9_000))
        #expect(all.isBounded && !every.isBounded)
        #expect(rare.allSatisfy { slot in all.found.contains { Int($0.slot) == slot } })
        #expect(all.found.prefix(5).map(\.slot) == every.found.prefix(5).map(\.slot))
    }

    /// Slots of passages that are read late come behind, and lists stay in order.
    @Test func postingsMayComeInAnyOrder() {
        let arm = WordArm()
        arm.add(word: "w", id: 7)
        let weight: Int32 = 1 | 5 << 16
        arm.add([(9, weight), (3, weight)], of: 7)
        arm.add([(5, weight)], of: 7)
        arm.add([(1, weight)], of: 99)
        var scratch = WordScratch()
        var allowed = SlotSet(count: 10)
        (0..<10).forEach { allowed.insert($0) }
        let found = arm.best(
            of: [WordArm.Group(forms: [(0, 1)])], among: allowed, counted: nil, totals: Self.totals, limit: 5,
            scratch: &scratch, isBefore: { $0 > $1 })
        #expect(found.found.map(\.slot) == [9, 5, 3])
        #expect(arm.number(of: "w") == 0 && arm.number(of: "x") == nil && arm.count(of: 0) == 3)
        arm.forget(7)
        #expect(arm.count(of: 0) == 2)
    }

    @Test func textsAreComparedByTheirBytes() {
        var table = WordTable()
        let texts = ["\u{E9}", "e\u{301}", "", "a", "aa"] + (0..<5_000).map { "word \($0)" }
        for (number, text) in texts.enumerated() { #expect(table.add(text) == number) }
        for (number, text) in texts.enumerated() {
            #expect(table.number(of: text) == number && table.add(text) == number)
        }
        #expect(table.number(of: "word 5000") == nil && table.count == texts.count)
    }
}
