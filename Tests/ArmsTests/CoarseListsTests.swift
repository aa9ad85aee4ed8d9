import Bytes
import PlatformTesting
import Testing

@testable import Arms

/// A search that looks at the nearest lists finds nearly all that comparing all finds, whatever is left out, comes and goes.
@Suite struct CoarseListsTests {
    /// Everything smaller than in earnest.
    static let settings = CoarseSettings(
        vectorsMin: 2_000, passingMin: 600, samplesPerCentre: 16, rounds: 3, trials: 24, margin: 2.5)
    /// So many are compared that what is missed is not the codes' fault.
    static let effort = VectorArm.Effort(weighed: 1_500, compared: 600, allBelow: 100, listedShare: 1, listed: 600)
    static let dimensions = 96

    /// Vectors around centres, as those of texts are.
    struct Themes {
        private let centres: [[Float]]
        private var random: SeededGenerator

        init(seed: UInt64, count: Int = 60) {
            var random = SeededGenerator(seed: seed)
            centres = (0..<count).map { _ in
                (0..<CoarseListsTests.dimensions).map { _ in Float.random(in: -1...1, using: &random) }
            }
            self.random = random
        }

        /// A vector between two themes.
        ///
        /// - Parameter some: which themes; nil for all.
        mutating func next(_ some: Range<Int>? = nil) -> [Float] {
            let some = some ?? centres.indices
            let (one, other) = (Int.random(in: some, using: &random), Int.random(in: some, using: &random))
            let share = Float.random(in: 0...0.5, using: &random)
            return (0..<CoarseListsTests.dimensions).map { place in
                centres[one][place] + share * centres[other][place] + Float.random(in: -0.5...0.5, using: &random)
            }
        }
    }

    static func add(_ count: Int, of themes: inout Themes, to arm: VectorArm) {
        for _ in 0..<count { arm.mark(arm.add(themes.next().map(HalfFloat.bits)), isUsed: true) }
    }

    static func learn(_ arm: VectorArm) {
        let lists = CoarseLearning(table: arm.table, used: arm.used, settings: arm.coarseSettings).lists { true }
        _ = arm.install(lists)
    }

    static func filled(_ count: Int, seed: UInt64) -> (arm: VectorArm, themes: Themes) {
        var themes = Themes(seed: seed)
        let arm = VectorArm(dimensions: dimensions, coarse: settings)
        add(count, of: &themes, to: arm)
        learn(arm)
        return (arm, themes)
    }

    /// Of the ten nearest among some vectors, how many a search finds.
    static func recall(
        of arm: VectorArm, among allowed: SlotSet, _ themes: inout Themes, queries: Int = 40, of some: Range<Int>? = nil
    ) -> Double {
        var (found, wanted) = (0, 0)
        for _ in 0..<queries {
            let query = VectorArm.Query(themes.next(some))
            let exact = arm.nearest(to: query, among: allowed, limit: 10, effort: effort, isExact: true)
            let near = arm.nearest(to: query, among: allowed, limit: 10, effort: effort, isExact: false)
            #expect(exact.isExact && near.found.allSatisfy { allowed.contains(Int($0.slot)) })
            #expect(near.found.count == exact.found.count)
            wanted += exact.found.count
            // Of equal ones each is as good as another.
            let least = exact.found.last?.score ?? 0
            found += near.found.count { $0.score >= least }
        }
        return Double(found) / Double(max(1, wanted))
    }

    static func every(_ step: Int, of arm: VectorArm) -> SlotSet {
        var set = SlotSet(count: arm.count)
        for slot in stride(from: step / 2, to: arm.count, by: step) where arm.used.contains(slot) { set.insert(slot) }
        return set
    }

    @Test(arguments: LongTests.seeds(1...2)) func fewListsHoldTheNearest(seed: UInt64) throws {
        var (arm, themes) = Self.filled(6_000, seed: seed)
        let lists = try #require(arm.coarse)
        #expect(lists.count == 6_000 && lists.centres.count > 60)
        let seen = lists.codes(near: VectorArm.Query(themes.next()), among: nil, passing: 6_000, kept: 600)
        #expect(seen.count < 5_500, "it looked at \(seen.count)")
        #expect(Self.recall(of: arm, among: arm.used, &themes) >= 0.97, "seed \(seed)")
        for step in [2, 5, 9, 30, 100, 6_000] {
            let recall = Self.recall(of: arm, among: Self.every(step, of: arm), &themes, queries: 25)
            #expect(recall >= 0.97, "one in \(step), seed \(seed)")
        }
    }

    /// All that count are of other themes than the queries, as where one asks in English among German texts.
    @Test(arguments: LongTests.seeds(1...2)) func aFilterMayGoAgainstTheQuery(seed: UInt64) {
        var themes = Themes(seed: seed)
        let arm = VectorArm(dimensions: Self.dimensions, coarse: Self.settings)
        var others = SlotSet(count: 6_000)
        for slot in 0..<6_000 {
            let isOther = slot % 3 == 0
            let vector = themes.next(isOther ? 30..<60 : 0..<30)
            arm.mark(arm.add(vector.map(HalfFloat.bits)), isUsed: true)
            if isOther { others.insert(slot) }
        }
        Self.learn(arm)
        #expect(arm.coarse != nil)
        #expect(Self.recall(of: arm, among: others, &themes, queries: 40, of: 0..<30) >= 0.97, "seed \(seed)")
    }

    @Test func exactMeansAll() {
        var (arm, themes) = Self.filled(3_000, seed: 3)
        let bare = VectorArm(dimensions: Self.dimensions)
        for slot in 0..<3_000 {
            bare.mark(
                bare.add(UnsafeBufferPointer(start: arm.table.halves(of: slot), count: Self.dimensions)), isUsed: true)
        }
        for _ in 0..<10 {
            let query = VectorArm.Query(themes.next())
            let one = arm.nearest(to: query, among: arm.used, limit: 30, effort: Self.effort, isExact: true)
            let other = bare.nearest(to: query, among: bare.used, limit: 30, effort: Self.effort, isExact: true)
            #expect(one.isExact && one.found.map(\.slot) == other.found.map(\.slot))
        }
    }

    /// The same vectors give the same lists.
    @Test func learningIsDeterministic() throws {
        let (one, other) = (Self.filled(2_500, seed: 5).arm, Self.filled(2_500, seed: 5).arm)
        let (a, b) = (try #require(one.coarse), try #require(other.coarse))
        #expect(a.centres == b.centres && a.listOf == b.listOf && a.reach == b.reach)
    }

    @Test func whatGoesIsFoundNoMore() throws {
        var (arm, themes) = Self.filled(4_000, seed: 7)
        for slot in stride(from: 0, to: 4_000, by: 3) { arm.mark(slot, isUsed: false) }
        // Those that come take the places of others in their lists.
        Self.add(700, of: &themes, to: arm)
        let lists = try #require(arm.coarse)
        #expect(lists.count == arm.used.count && lists.held.words == arm.used.words)
        #expect((0..<lists.centres.count).reduce(0) { $0 + lists.count(of: $1, among: arm.used) } == lists.count)
        #expect(Self.recall(of: arm, among: arm.used, &themes) >= 0.97)
        // And come back.
        let listOf = lists.listOf
        for slot in stride(from: 0, to: 4_000, by: 3) { arm.mark(slot, isUsed: true) }
        #expect(lists.count == 4_700 && lists.listOf == listOf)
        for slot in [0, 3_000] {
            let query = VectorArm.Query(CoarseVector(slot, of: arm.table).numbers)
            let found = arm.nearest(to: query, among: arm.used, limit: 1, effort: Self.effort, isExact: false).found
            #expect(found.first?.slot == UInt32(slot))
        }
        for slot in 0..<4_700 { arm.mark(slot, isUsed: false) }
        #expect(lists.count == 0)
        #expect(lists.codes(near: VectorArm.Query(themes.next()), among: nil, passing: 0, kept: 10).count == 0)
    }

    /// Many equal vectors lie in one list, which is read as a whole, and others are looked at beside them.
    @Test func equalVectorsDoNotHideOthers() throws {
        var (arm, themes) = Self.filled(3_000, seed: 11)
        let twin = themes.next()
        for _ in 0..<2_500 { arm.mark(arm.add(twin.map(HalfFloat.bits)), isUsed: true) }
        for isLearntAgain in [false, true] {
            if isLearntAgain { Self.learn(arm) }
            #expect(arm.coarse != nil)
            let found = arm.nearest(
                to: VectorArm.Query(twin), among: arm.used, limit: 50, effort: Self.effort, isExact: false)
            #expect(found.found.count == 50 && found.found.allSatisfy { $0.slot >= 3_000 })
            // Queries beside them, among the others and some of them.
            var few = Self.every(1, of: arm)
            for slot in 3_010..<5_500 { few.remove(slot) }
            #expect(Self.recall(of: arm, among: few, &themes, queries: 20) >= 0.97)
        }
        // And all alike.
        let same = VectorArm(dimensions: Self.dimensions, coarse: Self.settings)
        for _ in 0..<2_200 { same.mark(same.add(twin.map(HalfFloat.bits)), isUsed: true) }
        Self.learn(same)
        #expect(same.coarse?.count == 2_200)
        let found = same.nearest(
            to: VectorArm.Query(twin), among: same.used, limit: 10, effort: Self.effort, isExact: false)
        #expect(found.found.count == 10)
    }

    @Test func itIsLearntAgainWhereVectorsBecomeMoreOrOthers() throws {
        var (arm, themes) = Self.filled(2_000, seed: 13)
        #expect(arm.coarse != nil && !arm.isLearningDue)
        // Of the same kind: until there are twice as many.
        Self.add(1_900, of: &themes, to: arm)
        #expect(!arm.isLearningDue)
        #expect(Self.recall(of: arm, among: arm.used, &themes) >= 0.97, "lists of 2,000 with 3,900")
        Self.add(200, of: &themes, to: arm)
        #expect(arm.isLearningDue)
        Self.learn(arm)
        #expect(!arm.isLearningDue && arm.coarse?.learnt == 4_100)
        // Of another kind: sooner.
        var random = SeededGenerator(seed: 17)
        for _ in 0..<600 {
            arm.mark(
                arm.add((0..<Self.dimensions).map { _ in HalfFloat.bits(Float.random(in: -1...1, using: &random)) }),
                isUsed: true)
        }
        #expect(arm.isLearningDue)
        // Too few are looked at one by one again.
        for slot in 0..<3_800 { arm.mark(slot, isUsed: false) }
        #expect(arm.isLearningDue)
        Self.learn(arm)
        #expect(arm.coarse == nil && !arm.isLearningDue)
        let bare = VectorArm(dimensions: Self.dimensions, coarse: Self.settings)
        var others = Themes(seed: 1)
        Self.add(1_999, of: &others, to: bare)
        #expect(!bare.isLearningDue)
        Self.add(1, of: &others, to: bare)
        #expect(bare.isLearningDue)
    }
}
