import Files
import Lake
import Records
import Store
import Testing

@testable import Replay

/// Each change of generations is two steps, the database's and the list's. A kill or a fault at any point of either leaves
/// one active generation, and the next start brings both together.
@Suite(.serialized) struct GenerationStepsTests {
    private static let source = TopicPartition(topic: "t", partition: 0)
    /// What a making leaves that was killed behind its first step, until somebody makes a generation.
    private static let notBegun = "generation 2 is created in the index and not in the lake"

    /// What an operator or a replay does.
    enum Operation: CaseIterable {
        case create, finish, promote, rollBack, prune, giveUp, end

        /// Brings the generations to where it can be done.
        func prepare(_ place: Place) throws {
            _ = try place.log.createFirst(.former(logicVersion: "v1-1", settings: "{}"))
            if self == .create { return }
            let child = try place.steps().create(note: "") { _ in .former(logicVersion: "v1-2", settings: "{}") }
            try place.steps().record(child.number, replayed: [:], handovers: [source: 0])
            if self == .finish || self == .giveUp || self == .end { return }
            try place.steps().finish(child.number)
            if self == .rollBack { try place.steps().promote(child.number) }
        }

        func run(_ steps: GenerationSteps) throws {
            switch self {
            case .create: _ = try steps.create(note: "") { _ in .former(logicVersion: "v1-2", settings: "{}") }
            case .finish: try steps.finish(2)
            case .promote: try steps.promote(2)
            case .rollBack: try steps.promote(1)
            case .prune: try steps.prune(2)
            case .giveUp: try steps.giveUp(2)
            case .end: try steps.endReplay(2)
            }
        }

        /// The states before, after, and after a kill that left nothing but the database's first step of a making.
        var outcomes: [[Int64: GenerationState]] {
            switch self {
            case .create: [[1: .active], [1: .active, 2: .created], [1: .active, 2: .pruned]]
            // A finish of which the list's step failed is taken back.
            case .finish: [[1: .active, 2: .created], [1: .active, 2: .candidate], [1: .active, 2: .pruned]]
            case .promote: [[1: .active, 2: .candidate], [1: .previous, 2: .active]]
            case .rollBack: [[1: .previous, 2: .active], [1: .active, 2: .previous]]
            case .prune: [[1: .active, 2: .candidate], [1: .active, 2: .pruned]]
            case .giveUp, .end: [[1: .active, 2: .created], [1: .active, 2: .pruned]]
            }
        }
    }

    @Test(arguments: Operation.allCases) func anyInterruptionHeals(operation: Operation) throws {
        let place = try Place(try Place.database())
        var interrupted = 0
        for kill in [true, false] {
            for step in stride(from: 0, to: 100, by: kill ? 1 : 2) {
                try place.beginAnew()
                try operation.prepare(place)
                let fate = Fate(kill ? .dies(at: step) : .fails(at: step))
                let outcome = Result { try place.under(fate) { try operation.run($0) } }
                let lake = try place.log.read().filter { $0.state == .active }
                #expect(lake.count == 1, "\(operation), interrupted at \(step)")
                let left = try place.steps().heal()
                if operation == .create {
                    #expect(left.allSatisfy { $0 == Self.notBegun }, "interrupted at \(step): \(left)")
                    #expect(try place.steps().healBeforeMaking() == [], "interrupted at \(step)")
                } else {
                    #expect(left == [], "\(operation), interrupted at \(step)")
                }
                let (inLake, inIndex) = try place.states()
                let known = inIndex.filter { inLake[$0.key] != nil || $0.value != .pruned }
                #expect(known == inLake)
                #expect(operation.outcomes.contains(inIndex), "\(operation), interrupted at \(step): \(inIndex)")
                #expect(inIndex[try place.served()] == .active)
                if case .success = outcome { #expect(inIndex == operation.outcomes[1]) } else { interrupted += 1 }
                // Done again, or refused for what it has become, it leaves both together.
                _ = try? operation.run(place.steps())
                #expect(try place.steps().differences() == [])
                if fate.count <= step { break }
            }
        }
        #expect(interrupted > 5)
    }

    // MARK: - What is refused

    private func expectRefusal(
        _ place: Place, _ text: String, sourceLocation: SourceLocation = #_sourceLocation,
        _ body: (GenerationSteps) throws -> Void
    ) throws {
        let before = try place.states()
        let error = #expect(throws: (any Error).self, sourceLocation: sourceLocation) { try body(place.steps()) }
        #expect(
            "\(error.map { "\($0)" } ?? "")".contains(text), "\(error.map { "\($0)" } ?? "")",
            sourceLocation: sourceLocation)
        #expect(try place.states() == before, sourceLocation: sourceLocation)
    }

    @Test func aPrunedReplayIsNeitherFinishedNorPromoted() throws {
        let place = try Place(try Place.database())
        try Operation.finish.prepare(place)
        var watch = GenerationWatch(log: place.log, number: 2)
        try watch.check()
        try watch.check()
        try place.steps().prune(2)
        let noticed = #expect(throws: ReplayError.self) { try watch.check() }
        #expect(noticed?.description.contains("was pruned while its replay ran") == true)
        try expectRefusal(place, "was pruned while its replay ran") { try $0.finish(2) }
        try expectRefusal(place, "is pruned in the lake, not created") {
            try $0.record(2, replayed: [:], handovers: [Self.source: 7])
        }
        try expectRefusal(place, "was pruned: it is not fed") { try $0.promote(2) }
        try place.steps().giveUp(2)
        try place.steps().prune(2)
        #expect(try place.states().index == [1: .active, 2: .pruned])
    }

    @Test func whatIsBeingMadeIsNotPromoted() throws {
        let place = try Place(try Place.database())
        try Operation.finish.prepare(place)
        try expectRefusal(place, "is not complete") { try $0.promote(2) }
        try expectRefusal(place, "is active; promote another one first") { try $0.prune(1) }
        try expectRefusal(place, "has no generation 9") { try $0.prune(9) }
        try expectRefusal(place, "has no generation 9") { try $0.promote(9) }
        try place.steps().finish(2)
        try expectRefusal(place, "is candidate, not being made") { try $0.finish(2) }
        // A replay that fails late does not give up what is complete, or served.
        try expectRefusal(place, "is candidate in the lake, not created") { try $0.giveUp(2) }
        // Nor does whoever ends a replay that is over.
        try expectRefusal(place, "is candidate, not being made") { try $0.endReplay(2) }
        try place.steps().promote(2)
        try expectRefusal(place, "is active, not being made") { try $0.endReplay(2) }
        try expectRefusal(place, "is previous, not being made") { try $0.endReplay(1) }
        try expectRefusal(place, "is active in the lake, not created") { try $0.giveUp(2) }
        try expectRefusal(place, "is active; promote another one first") { try $0.prune(2) }
    }

    // MARK: - What is left to an operator, and lakes of before

    /// An index that was made anew knows the first generation only; the list keeps what it says.
    @Test func aNewIndexChangesNoList() throws {
        let place = try Place(try Place.database())
        try Operation.rollBack.prepare(place)
        try place.emptyDatabase()
        let lake = try place.states().lake
        let left = try place.steps().heal()
        #expect(
            left.prefix(2).sorted() == [
                "generation 1 is previous in the lake and active in the index",
                "generation 2 is active in the lake and not in the index",
            ])
        #expect(left.count == 3 && left.last?.contains("check LAKE_DIR and POSTGRES_DSN") == true, "\(left)")
        #expect(try place.states().lake == lake)
        try place.steps().promote(1)
        #expect(try place.states().lake == [1: .active, 2: .previous])
        try place.steps().prune(2)
        #expect(try place.steps().differences() == [])
    }

    // MARK: - A lake of another place

    private static func entry(_ number: Int64, _ state: String, logic: String) -> [UInt8] {
        let parent = number == 1 ? "null" : "1"
        let record =
            #"{"generation":\#(number),"parent":\#(parent),"state":"\#(state)","logic_version":"\#(logic)","#
            + #""settings":"{}","replayed":[],"handovers":[]}"#
        return LogLine.encode(Array(record.utf8))
    }

    /// A list that somebody left in the working folder says nothing about the database of another lake: neither what it
    /// gave up is given up there, nor what it does not know.
    @Test func aListOfAnotherLakeChangesNothing() throws {
        let place = try Place(try Place.database())
        let elsewhere = GenerationLog(layout: LakeLayout(root: place.folder.file("elsewhere")))
        let foreign = GenerationSteps(log: elsewhere, database: place.store)
        try Folder.create(Folder.parent(of: elsewhere.path))
        // (what is done to the database's own lake, the other list, whether it is told from its own)
        let cases: [(Operation, [UInt8], Bool)] = [
            // Another logic's generation was pruned there; here it is a candidate, or is being made.
            (.promote, Self.entry(1, "active", logic: "v1-1") + Self.entry(2, "pruned", logic: "v1-9"), true),
            (.finish, Self.entry(1, "active", logic: "v1-1") + Self.entry(2, "pruned", logic: "v1-9"), true),
            // It knows nothing of the replay that runs here.
            (.finish, Self.entry(1, "active", logic: "v1-1"), false),
            (.promote, Self.entry(1, "active", logic: "v1-1"), true),
            // Another one is active.
            (.rollBack, Self.entry(1, "active", logic: "v1-1") + Self.entry(2, "pruned", logic: "v1-2"), true),
            (.rollBack, Self.entry(1, "active", logic: "v1-1"), true),
        ]
        for (number, (operation, list, isTold)) in cases.enumerated() {
            try place.emptyDatabase()
            if Folder.exists(place.log.path) { try Folder.remove(place.log.path) }
            try operation.prepare(place)
            try File.replace(elsewhere.path, with: list)
            let before = try place.states()
            let left = try foreign.heal()
            #expect(left.isEmpty == false, "case \(number)")
            let isReported = left.contains { $0.contains("do not look like one another's") }
            #expect(isReported == isTold, "case \(number): \(left)")
            #expect(try place.states() == before, "case \(number)")
            #expect(try File.contents(of: elsewhere.path) == list, "case \(number)")
        }
    }

    /// What the version of before could leave when a promotion came between a replay's last two steps.
    @Test func aListWithoutAnActiveGenerationFollowsTheIndex() throws {
        let place = try Place(try Place.database())
        try Operation.rollBack.prepare(place)
        try File.replace(
            place.log.path,
            with: Self.entry(1, "previous", logic: "v1-1") + Self.entry(2, "candidate", logic: "v1-2"))
        #expect(throws: LakeError.self) { _ = try place.log.createFirst(.former(logicVersion: "v1-1", settings: "{}")) }
        #expect(try place.steps().heal() == [])
        #expect(try place.log.active()?.number == 2)
        #expect(try place.log.createFirst(.former(logicVersion: "other", settings: "{}")).number == 2)
    }

    /// A machine without the lake says nothing about the database.
    @Test func anAbsentLakeHealsNothing() throws {
        let place = try Place(try Place.database())
        try Operation.finish.prepare(place)
        let elsewhere = GenerationLog(layout: LakeLayout(root: place.folder.file("elsewhere")))
        let before = try place.states()
        #expect(try GenerationSteps(log: elsewhere, database: place.store).heal() == [])
        #expect(try place.states() == before)
    }

    // MARK: - The writer's lock

    /// A replay leaves the topic partition's lock alone while a stream job may be starting, and after that takes it only
    /// where nobody has it.
    @Test func aReplayWaitsBeforeItTakesTheWritersLock() throws {
        let place = try Place(try Place.database())
        _ = try place.log.createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        do {
            var writer = try PartitionWriter.open(layout: place.layout, source: Self.source)
            try writer.handOver(to: 1, at: 0)
            let range = try #require(OffsetRange(start: 0, end: 4))
            try writer.commit(
                Made.batch(Self.source, range, time: 1, hour: writer.hour(for: 1), generations: [1]))
            #expect(try Replay.handover(to: 2, Self.source, place.layout, mayWrite: true) == nil)
        }
        try Folder.remove(place.layout.lock(Self.source))
        #expect(try Replay.handover(to: 2, Self.source, place.layout, mayWrite: false) == nil)
        #expect(!Folder.exists(place.layout.lock(Self.source)))
        #expect(try Replay.handover(to: 2, Self.source, place.layout, mayWrite: true) == 4)
        #expect(try Replay.handover(to: 2, Self.source, place.layout, mayWrite: false) == 4)
    }
}
