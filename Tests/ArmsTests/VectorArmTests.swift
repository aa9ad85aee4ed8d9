import Bytes
import CVectorScan
import Testing

@testable import Arms

/// Vectors in memory are compared as they are, and a search through codes finds nearly all that comparing all finds.
@Suite struct VectorArmTests {
    private static let dimensions = 384

    private static func vector(_ random: inout SeededGenerator, near other: [Float]? = nil) -> [Float] {
        (0..<dimensions).map { place in
            (other?[place] ?? 0) * 1.2 + Float.random(in: -1...1, using: &random)
        }
    }

    private static func halves(_ vector: [Float]) -> [UInt16] { vector.map(HalfFloat.bits) }

    /// Vectors around centres, as those of texts are.
    private static func filled(_ count: Int, _ random: inout SeededGenerator) -> (arm: VectorArm, vectors: [[Float]]) {
        let centres = (0..<40).map { _ in vector(&random) }
        let arm = VectorArm(dimensions: dimensions)
        var vectors: [[Float]] = []
        for number in 0..<count {
            let made = vector(&random, near: centres[number % centres.count])
            vectors.append(made)
            arm.mark(arm.add(halves(made)), isUsed: true)
        }
        return (arm, vectors)
    }

    private static func cosine(_ left: [Float], _ right: [Float]) -> Double {
        var (dot, a, b) = (0.0, 0.0, 0.0)
        for (x, y) in zip(left, right) {
            dot += Double(x) * Double(y)
            a += Double(x) * Double(x)
            b += Double(y) * Double(y)
        }
        return dot / (a * b).squareRoot()
    }

    /// The processor's form of the product and the plain one are the same number, whatever the count.
    @Test(arguments: [1, 7, 16, 33, 384, 768]) func productsAreThoseOfTheNumbers(count: Int) {
        var random = SeededGenerator(seed: UInt64(count))
        let (left, right) = (
            (0..<count).map { _ in Float.random(in: -1...1, using: &random) },
            (0..<count).map { _ in Float.random(in: -1...1, using: &random) }
        )
        let halves = Self.halves(left)
        let wanted = zip(halves.map(HalfFloat.value), right).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        #expect(abs(Double(cvs_dot(halves, right, count)) - wanted) < 1e-4)
    }

    /// The processor's form and the sums as they are said to be, for lists that fill no block and masks that leave out many.
    @Test(arguments: [1, 31, 32, 33, 200], [1, 48, 96, 257]) func distancesAreSums(count: Int, bytes: Int) {
        var random = SeededGenerator(seed: UInt64(count * 1_000 + bytes))
        let blocks = (count + 31) / 32
        let codes = (0..<(blocks * 32 * bytes)).map { _ in UInt8.random(in: 0...255, using: &random) }
        let costs = (0..<(bytes * 32)).map { _ in UInt8.random(in: 0...127, using: &random) }
        let numbers = (0..<count).map { _ in UInt32.random(in: 0..<1_000, using: &random) }
        var mask = SlotSet(count: 1_000)
        for slot in 0..<1_000 where slot % 3 == 0 { mask.insert(slot) }
        let sums = (0..<count).map { number in
            (0..<bytes).reduce(0) { sum, byte in
                let value = Int(codes[number / 32 * 32 * bytes + byte * 32 + number % 32])
                return sum + Int(costs[byte * 32 + value & 15]) + Int(costs[byte * 32 + 16 + value >> 4])
            }
        }
        for (bound, isMasked) in [(UInt16.max, false), (UInt16(bytes * 127), true), (UInt16(bytes * 120), false)] {
            var (distances, slots) = ([UInt16](repeating: 0, count: count), [UInt32](repeating: 0, count: count))
            var passing = 0
            let found = mask.words.withUnsafeBufferPointer { mask in
                cvs_weighed(
                    codes, numbers, count, bytes, costs, isMasked ? mask.baseAddress : nil, bound, &distances, &slots,
                    &passing)
            }
            let counting = (0..<count).filter { !isMasked || numbers[$0] % 3 == 0 }
            let wanted = counting.filter { sums[$0] <= Int(bound) }
            #expect(passing == counting.count && found == wanted.count)
            #expect(distances.prefix(found).map { Int($0) } == wanted.map { sums[$0] })
            #expect(slots.prefix(found).elementsEqual(wanted.map { numbers[$0] }))
        }
    }

    @Test func comparingAllIsExact() {
        var random = SeededGenerator(seed: 5)
        let (arm, vectors) = Self.filled(900, &random)
        let asked = Self.vector(&random)
        let found = arm.nearest(
            to: VectorArm.Query(asked), among: arm.used, limit: 20, effort: VectorArm.Effort(), isExact: true)
        #expect(found.isExact)
        let wanted = vectors.map { Self.cosine($0, asked) }.enumerated().sorted { $0.element > $1.element }.prefix(20)
        for (near, expected) in zip(found.found, wanted) {
            #expect(abs(Double(near.score) - expected.element) < 2e-3, "slot \(near.slot) against \(expected.offset)")
        }
        #expect(Set(found.found.map { Int($0.slot) }).intersection(wanted.map(\.offset)).count >= 19)
    }

    /// As much less than the usual as there are fewer vectors.
    private static let effort = VectorArm.Effort(weighed: 600, compared: 100, allBelow: 500)

    /// Of 4,000 vectors a hundred are compared; at least 0.97 of the ten nearest are among them.
    @Test func codesLeadToTheNearest() {
        var random = SeededGenerator(seed: 11)
        let (arm, vectors) = Self.filled(4_000, &random)
        var hits = 0
        for number in 0..<60 {
            let asked = VectorArm.Query(Self.vector(&random, near: vectors[number * 17]))
            let exact = arm.nearest(to: asked, among: arm.used, limit: 10, effort: Self.effort, isExact: true)
            let found = arm.nearest(to: asked, among: arm.used, limit: 10, effort: Self.effort, isExact: false)
            #expect(!found.isExact && found.found.count == 10)
            hits += Set(exact.found.map(\.slot)).intersection(found.found.map(\.slot)).count
        }
        #expect(hits >= 582, "\(hits) of 600")
    }

    /// What a set leaves out is not found, however near, and does not stand in the way of what it has.
    @Test func onlyWhatCountsIsFound() {
        var random = SeededGenerator(seed: 3)
        let (arm, vectors) = Self.filled(3_000, &random)
        var allowed = SlotSet(count: arm.count)
        for slot in stride(from: 1, to: arm.count, by: 2) { allowed.insert(slot) }
        let asked = VectorArm.Query(vectors[40])
        for isExact in [true, false] {
            let found = arm.nearest(
                to: asked, among: allowed, limit: 50, effort: Self.effort, isExact: isExact)
            #expect(found.found.count == 50 && found.found.allSatisfy { $0.slot % 2 == 1 })
        }
        var few = SlotSet(count: arm.count)
        [5, 40, 2_000].forEach { few.insert($0) }
        let found = arm.nearest(to: asked, among: few, limit: 100, effort: Self.effort, isExact: false)
        #expect(found.isExact && found.found.count == 3 && found.found.first?.slot == 40)
    }

    /// Thousands of codes at one distance: the bound lies within them.
    @Test func equalVectorsDoNotHideOthers() {
        var random = SeededGenerator(seed: 8)
        let (arm, vectors) = Self.filled(1_000, &random)
        let twin = Self.vector(&random, near: vectors[3])
        for _ in 0..<2_000 { arm.mark(arm.add(Self.halves(twin)), isUsed: true) }
        let found = arm.nearest(
            to: VectorArm.Query(twin), among: arm.used, limit: 50, effort: Self.effort, isExact: false)
        #expect(found.found.count == 50 && found.found.allSatisfy { $0.slot >= 1_000 })
    }

    @Test func thereMayBeNone() {
        let arm = VectorArm(dimensions: 8)
        let query = VectorArm.Query([Float](repeating: 0, count: 8))
        for isExact in [true, false] {
            #expect(
                arm.nearest(to: query, among: arm.used, limit: 5, effort: VectorArm.Effort(), isExact: isExact).found
                    .isEmpty)
        }
        arm.mark(arm.add([UInt16](repeating: 0, count: 8)), isUsed: true)
        let found = arm.nearest(to: query, among: arm.used, limit: 5, effort: VectorArm.Effort(), isExact: false)
        #expect(found.found.count == 1 && found.found.first?.score == 0)
    }

    @Test func theLargestIsFoundWhateverTheOrder() {
        var random = SeededGenerator(seed: 1)
        for count in [1, 2, 3, 10, 101, 1_000] {
            for kind in 0..<4 {
                let numbers = (0..<count).map { index in
                    switch kind {
                    case 0: Int.random(in: 0...count, using: &random)
                    case 1: index
                    case 2: count - index
                    default: Int.random(in: 0...2, using: &random)
                    }
                }
                let sorted = numbers.sorted(by: >)
                for place in [1, (count + 1) / 2, count] { #expect(largest(place, of: numbers) == sorted[place - 1]) }
                #expect(largest(count + 1, of: numbers) == nil && largest(0, of: numbers) == nil)
            }
        }
    }
}
