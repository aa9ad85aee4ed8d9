import Bytes
import CVectorScan
import Glibc

/// Learns ``CoarseLists`` from vectors: centres by spherical k-means (Dhillon and Modha: "Concept Decompositions for Large
/// Sparse Text Data using Clustering", 2001) in two levels, groups and the centres of each, so that its time grows with the
/// number of centres to the power 1.5. The same vectors give the same lists.
///
/// It reads a table's copy and holds no lock.
struct CoarseLearning {
    let table: VectorTable
    let used: SlotSet
    let settings: CoarseSettings

    /// A group has at most so many times as many centres as there are groups.
    private static let shareMax = 8
    /// Nearest vectors that a trial asks for.
    private static let top = 10
    /// A trial under a filter leaves one vector in so many.
    private static let filterStep = 16
    /// Vectors between two checks whether to continue; each is compared with a few hundred centres.
    private static let stepMax = 2_048

    /// - Parameter goesOn: asked now and then; false gives it up.
    /// - Returns: nil where there are too few vectors, or it was given up.
    func lists(goesOn: () -> Bool) -> CoarseLists? {
        var random = SeededGenerator(seed: settings.seed)
        var slots: [UInt32] = []
        slots.reserveCapacity(used.count)
        used.forEach { slots.append(UInt32($0)) }
        let count = slots.count
        guard count >= settings.vectorsMin, table.dimensions > 0 else { return nil }
        let centresWanted = max(1, Int(settings.centresPerRoot * Double(count).squareRoot()))
        let sample = Self.sample(min(count, centresWanted * settings.samplesPerCentre), of: slots, &random)
        guard let centres = centres(centresWanted, sample, &random, goesOn) else { return nil }
        let lists = CoarseLists(
            centres, learnt: count, distance: distance(of: sample, from: centres),
            reach: CoarseReach(vectors: 0, codes: 0, power: 0))
        guard lists.follow(table, used, goesOn: goesOn), let reach = reach(of: lists, slots, &random, goesOn) else {
            return nil
        }
        lists.reach = reach
        lists.beginWatching()
        return lists
    }

    /// So many of some slots, as a shuffle puts them first.
    private static func sample(
        _ count: Int, of slots: [UInt32], _ random: inout SeededGenerator
    ) -> ArraySlice<UInt32> {
        var slots = slots
        for place in 0..<count { slots.swapAt(place, Int.random(in: place..<slots.count, using: &random)) }
        return slots[..<count]
    }

    private func distance(of sample: ArraySlice<UInt32>, from centres: CoarseCentres) -> Double {
        let some = sample.prefix(4_096)
        return some.reduce(0.0) {
            $0 + 1 - Double(centres.nearest(to: CoarseVector(Int($1), of: table)).cosine)
        } / Double(max(1, some.count))
    }

    // MARK: Centres

    private func centres(
        _ wanted: Int, _ sample: ArraySlice<UInt32>, _ random: inout SeededGenerator, _ goesOn: () -> Bool
    ) -> CoarseCentres? {
        let groupsWanted = max(1, Int(Double(wanted).squareRoot()))
        guard let groups = clusters(groupsWanted, of: Array(sample), &random, goesOn) else { return nil }
        var ends: [UInt32] = []
        var halves: [UInt16] = []
        let dimensions = table.dimensions
        var groupHalves: [UInt16] = []
        // A group without members would be looked into, and lead to no centre.
        for (number, members) in groups.members.enumerated() where !members.isEmpty {
            // Where most are equal, or nearly, more centres among them would take long and be of no use.
            let share = min(max(1, wanted * members.count / sample.count), Self.shareMax * groupsWanted)
            guard let found = clusters(share, of: members, &random, goesOn) else { return nil }
            halves += found.halves
            groupHalves += groups.halves[(number * dimensions)..<((number + 1) * dimensions)]
            ends.append(UInt32(halves.count / dimensions))
        }
        return CoarseCentres(dimensions: dimensions, groups: groupHalves, ends: ends, halves: halves)
    }

    /// Parts some vectors.
    ///
    /// - Returns: half-precision numbers of the centres, and the vectors of each; nil where it was given up.
    private func clusters(
        _ wanted: Int, of slots: [UInt32], _ random: inout SeededGenerator, _ goesOn: () -> Bool
    ) -> (halves: [UInt16], members: [[UInt32]])? {
        let dimensions = table.dimensions
        let wanted = min(wanted, slots.count)
        var halves: [UInt16] = []
        for slot in Self.sample(wanted, of: slots, &random) {
            halves += Self.normalised(CoarseVector(Int(slot), of: table).numbers)
        }
        var members = [[UInt32]](repeating: [], count: wanted)
        for round in 0...settings.rounds {
            for number in members.indices { members[number].removeAll(keepingCapacity: true) }
            for (place, slot) in slots.enumerated() {
                if place % Self.stepMax == 0, !goesOn() { return nil }
                let dots = CoarseVector(Int(slot), of: table).dots(halves, wanted)
                var best = 0
                for number in 1..<max(1, wanted) where dots[number] > dots[best] { best = number }
                members[best].append(slot)
            }
            guard round < settings.rounds else { break }
            for number in members.indices {
                var sums = [Float](repeating: 0, count: dimensions)
                for slot in members[number] where table.scale(of: Int(slot)) > 0 {
                    cvs_add(table.halves(of: Int(slot)), table.scale(of: Int(slot)), dimensions, &sums)
                }
                // One that nothing is near to begins anew elsewhere.
                if members[number].isEmpty, let slot = slots.randomElement(using: &random) {
                    cvs_add(table.halves(of: Int(slot)), 1, dimensions, &sums)
                }
                let mean = Self.normalised(sums)
                halves.replaceSubrange((number * dimensions)..<((number + 1) * dimensions), with: mean)
            }
        }
        return (halves, members)
    }

    private static func normalised(_ numbers: [Float]) -> [UInt16] {
        let squares = numbers.reduce(Float(0)) { $0 + $1 * $1 }
        guard squares > 0, squares.isFinite else { return [UInt16](repeating: 0, count: numbers.count) }
        let scale = 1 / squares.squareRoot()
        return numbers.map { HalfFloat.bits($0 * scale) }
    }

    // MARK: Trials

    /// Tries queries, and counts how many codes lie in the lists up to those of the nearest vectors: among all, and among one in
    /// ``filterStep``, as under a filter. A query lies between three vectors, as words of three texts do: further from all lists
    /// than a text.
    private func reach(
        of lists: CoarseLists, _ slots: [UInt32], _ random: inout SeededGenerator, _ goesOn: () -> Bool
    ) -> CoarseReach? {
        var filtered = SlotSet(count: table.count)
        var passing = 0
        for slot in slots where Int.random(in: 0..<Self.filterStep, using: &random) == 0 {
            filtered.insert(Int(slot))
            passing += 1
        }
        var (ofAll, ofFiltered) = ([Int](), [Int]())
        for _ in 0..<settings.trials {
            guard goesOn() else { return nil }
            var numbers = [Float](repeating: 0, count: table.dimensions)
            for _ in 0..<3 {
                guard let slot = slots.randomElement(using: &random) else { return nil }
                guard table.scale(of: Int(slot)) > 0 else { continue }
                cvs_add(table.halves(of: Int(slot)), table.scale(of: Int(slot)), table.dimensions, &numbers)
            }
            let query = VectorArm.Query(numbers)
            ofAll += codes(up: lists, query, among: nil)
            ofFiltered += codes(up: lists, query, among: filtered)
        }
        let all = quantile(of: &ofAll) * settings.margin
        let some = quantile(of: &ofFiltered) * settings.margin
        guard passing > 0, passing < slots.count, some > 0, all > 0 else {
            return CoarseReach(vectors: Double(slots.count), codes: Double(slots.count), power: 1)
        }
        let power = log(all / some) / log(Double(slots.count) / Double(passing))
        return CoarseReach(
            vectors: Double(slots.count), codes: min(all, Double(slots.count)),
            power: min(CoarseReach.powers.upperBound, max(CoarseReach.powers.lowerBound, power)))
    }

    private func quantile(of codes: inout [Int]) -> Double {
        guard !codes.isEmpty else { return 0 }
        codes.sort()
        return Double(codes[min(codes.count - 1, Int(Double(codes.count) * settings.wantedRecall))])
    }

    /// For each of the nearest vectors: the codes that a search sees until its list was looked at.
    private func codes(up lists: CoarseLists, _ query: VectorArm.Query, among filtered: SlotSet?) -> [Int] {
        let near = table.codes(of: filtered ?? used, query).nearest(VectorArm.Effort().weighed)
        var scored = near.map { (slot: $0, score: table.score(of: Int($0), query)) }
        scored.sort { $0.score > $1.score }
        var wanted: [UInt32: Int] = [:]
        for one in scored.prefix(Self.top) { wanted[lists.listOf[Int(one.slot)], default: 0] += 1 }
        var (seen, found) = (0, [Int]())
        lists.inOrder(query, expected: 256) { number in
            seen += lists.count(of: number, among: filtered)
            if let here = wanted.removeValue(forKey: UInt32(number)) {
                found += [Int](repeating: seen, count: here)
            }
            return !wanted.isEmpty
        }
        return found
    }
}
