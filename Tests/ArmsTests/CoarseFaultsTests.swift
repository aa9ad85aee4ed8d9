import Bytes
import Dispatch
import Files
import PlatformTesting
import Testing

@testable import Arms

/// What is odd among vectors, or in a file, spoils no search; and nobody learns for an index that is not there any more.
@Suite struct CoarseFaultsTests {
    private static let dimensions = CoarseListsTests.dimensions

    // MARK: Numbers of a file

    /// Lists out of the bytes of their pieces.
    private static func lists(_ centres: [UInt8], of arm: VectorArm) -> CoarseLists? {
        var pieces = CoarsePieces()
        var content = PieceContent(centres, count: centres.count)
        pieces.take(.centres, &content, dimensions: dimensions)
        return pieces.lists(vectors: arm.count)
    }

    private static func littleEndian(_ number: some BitwiseCopyable) -> [UInt8] {
        withUnsafeBytes(of: number) { Array($0) }
    }

    @Test func numbersThatMakeNoSenseAreRefused() throws {
        let arm = CoarseListsTests.filled(2_000, seed: 21).arm
        let lists = try #require(arm.coarse)
        var piece = PieceBytes()
        CoarsePieces.write(lists, to: &piece)
        let bytes = piece.bytes
        let same = try #require(Self.lists(bytes, of: arm))
        #expect(same.centres == lists.centres && same.reach == lists.reach && same.learnt == 2_000)
        func changed(_ place: Int, _ numbers: [UInt8]) -> CoarseLists? {
            Self.lists(bytes[..<place] + numbers + bytes[(place + numbers.count)...], of: arm)
        }
        let (learnt, distance, vectors, codes, power, ends) = (4, 8, 16, 24, 32, 40)
        for number in [Double.nan, .infinity, -.infinity, -1, -0.0, 1e300] {
            for place in [distance, vectors, codes, power] where place != distance || number != 0 {
                #expect(changed(place, Self.littleEndian(number)) == nil, "\(number) at \(place)")
            }
        }
        for number in [1e-300, 0.19, 1.01, 20] {
            #expect(changed(power, Self.littleEndian(number)) == nil, "a power of \(number)")
        }
        #expect(changed(power, Self.littleEndian(0.5)) != nil)
        #expect(changed(vectors, Self.littleEndian(1_999.0)) == nil && changed(vectors, Self.littleEndian(1e6)) == nil)
        #expect(changed(codes, Self.littleEndian(2_001.0)) == nil)
        for number in [UInt32(0), 1_999, .max] { #expect(changed(learnt, Self.littleEndian(number)) == nil) }
        // A group that has no centres.
        #expect(changed(ends + 4, Self.littleEndian(UInt32(0))) == nil)
    }

    /// Whatever the numbers are, some codes are looked at, and no more than there are.
    @Test func theReachHasBounds() {
        for codes in [1, 1e300, .infinity, .nan] {
            for power in [-1e300, -3, 0.2, 1, 1e300, .nan] {
                for vectors in [1, 1e9, 1e300] {
                    let reach = CoarseReach(vectors: vectors, codes: codes, power: power)
                    for passing in [0, 1, 1_000] {
                        for isFiltered in [false, true] {
                            let wanted = reach.codes(among: passing, isFiltered: isFiltered)
                            #expect((1...max(1, passing)).contains(wanted), "\(reach) among \(passing)")
                        }
                    }
                }
            }
        }
    }

    @Test func emptyPiecesOfVectorsAreRefused() throws {
        let folder = try TemporaryFolder()
        let (path, other) = (folder.file("a.arms"), folder.file("b.arms"))
        _ = try CoarseIndexTests.written(to: path)
        var reader = try PieceReader.opened(path)
        var writer = PieceWriter(try File(other + ".tmp", .readWrite))
        try writer.begin()
        var isFirst = true
        while let (kind, content) = try reader.next() {
            var piece = PieceBytes()
            if kind == .vectors, isFirst {
                piece.append(UInt32(0))
                try writer.write(kind, piece)
                (piece, isFirst) = (PieceBytes(), false)
            }
            piece.append(content.rest)
            try writer.write(kind, piece)
        }
        _ = try writer.finish(as: other)
        #expect(!isFirst)
        #expect(throws: ArmsFileError.self) { try CoarseIndexTests.read(other) }
        // And no block is made for nothing.
        let arm = VectorArm(dimensions: 4)
        arm.add(0, codes: [], halves: [], scales: [])
        let slot = arm.add([HalfFloat.bits(1), 0, 0, 0])
        #expect(arm.table.blocks.count == 1 && arm.table.halves(of: slot)[0] == HalfFloat.bits(1))
    }

    // MARK: Odd vectors

    /// Equal vectors leave groups without members, which are left out.
    @Test func groupsWithoutMembersAreLeftOut() throws {
        var themes = CoarseListsTests.Themes(seed: 23)
        let arm = VectorArm(dimensions: Self.dimensions, coarse: CoarseListsTests.settings)
        let twin = themes.next().map(HalfFloat.bits)
        for _ in 0..<2_000 { arm.mark(arm.add(twin), isUsed: true) }
        CoarseListsTests.learn(arm)
        let centres = try #require(arm.coarse?.centres)
        #expect(centres.ends[0] > 0 && zip(centres.ends, centres.ends.dropFirst()).allSatisfy { $0 < $1 })
        let halves = [UInt16](repeating: HalfFloat.bits(1), count: 4)
        for ends in [[UInt32(0), 2], [2, 2]] {
            #expect(CoarseCentres(dimensions: 2, groups: halves, ends: ends, halves: halves) == nil)
        }
        #expect(CoarseCentres(dimensions: 2, groups: halves, ends: [1, 2], halves: halves) != nil)
    }

    /// Vectors of numbers that are none have a list, too, and are no measure of how far others lie.
    @Test func vectorsThatAreNotFiniteSpoilNothing() throws {
        var themes = CoarseListsTests.Themes(seed: 25)
        let arm = VectorArm(dimensions: Self.dimensions, coarse: CoarseListsTests.settings)
        func add(_ count: Int, odd: Int) {
            for number in 0..<count {
                var vector = themes.next().map(HalfFloat.bits)
                // Infinity, and what is no number.
                if number % odd == 0 { vector[number % 7] = number % 2 == 0 ? 0x7c00 : 0x7e00 }
                arm.mark(arm.add(vector), isUsed: true)
            }
        }
        add(2_400, odd: 11)
        CoarseListsTests.learn(arm)
        let lists = try #require(arm.coarse)
        #expect((lists.centres.groups + lists.centres.halves).allSatisfy { $0 & 0x7c00 != 0x7c00 })
        #expect(lists.distance.isFinite && lists.distance < 1)
        add(400, odd: 97)
        #expect(lists.come.count == 400 && lists.come.distance.isFinite && !arm.isLearningDue)
        var sound = arm.used
        arm.used.forEach { if arm.table.scale(of: $0) == 0 { sound.remove($0) } }
        #expect(sound.count > 2_500 && sound.count < 2_800)
        #expect(CoarseListsTests.recall(of: arm, among: sound, &themes) >= 0.97)
    }

    // MARK: An index that is dropped

    private static func index() -> ArmsIndex {
        let state = ArmsState(dimensions: dimensions, coarse: CoarseListsTests.settings)
        var themes = CoarseListsTests.Themes(seed: 27)
        CoarseListsTests.add(2_100, of: &themes, to: state.vectors)
        return ArmsIndex(state)
    }

    /// One that waits to be learnt is not held for it.
    @Test func nobodyHoldsAnIndexThatWaits() {
        let queue = DispatchQueue(label: "test")
        queue.suspend()
        let teacher = CoarseTeacher()
        var index: ArmsIndex? = Self.index()
        weak let held = index
        if let index { teacher.begin(index, on: queue) }
        index = nil
        #expect(held == nil)
        queue.resume()
        queue.sync {}
    }

    @Test func anAbandonedIndexIsNotLearnt() {
        let queue = DispatchQueue(label: "test")
        let index = Self.index()
        for isAbandoned in [true, false] {
            let teacher = CoarseTeacher()
            queue.suspend()
            teacher.begin(index, on: queue)
            if isAbandoned { teacher.abandon() }
            queue.resume()
            queue.sync {}
            #expect((index.lists == nil) == isAbandoned)
            // None begins behind it.
            teacher.begin(index, on: queue)
            queue.sync {}
            #expect((index.lists == nil) == isAbandoned)
        }
        let dropped = Self.index()
        dropped.abandon()
        dropped.change { $0.reach(version: 1, stamp: 1) }
        CoarseTeacher.queue.sync {}
        #expect(dropped.lists == nil)
    }

    /// It is asked between every few thousand vectors: that an index is given up is not noticed after a round only.
    @Test func learningAsksWithinARound() {
        var settings = CoarseListsTests.settings
        // All vectors are parted into one group, in one round, of one centre.
        (settings.centresPerRoot, settings.samplesPerCentre, settings.rounds) = (0.01, 10_000, 0)
        var themes = CoarseListsTests.Themes(seed: 29)
        let arm = VectorArm(dimensions: Self.dimensions, coarse: settings)
        CoarseListsTests.add(5_000, of: &themes, to: arm)
        var asked = 0
        let lists = CoarseLearning(table: arm.table, used: arm.used, settings: settings).lists {
            asked += 1
            return asked <= 2
        }
        // The third time is within the first 5,000.
        #expect(lists == nil && asked == 3)
        asked = 0
        _ = CoarseLearning(table: arm.table, used: arm.used, settings: settings).lists {
            asked += 1
            return true
        }
        #expect(asked >= 2 * 3 + 2 + settings.trials)
    }
}
