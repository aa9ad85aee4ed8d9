import Files
import Foundation
import Records
import Testing

@testable import Lake

/// Generations change by compare-and-set, and what was given up stays so.
@Suite struct GenerationLogTests {
    private let fixture: LakeFixture
    private let log: GenerationLog
    private let source = LakeFixture.source

    /// An active generation and a child that is being made.
    init() throws {
        fixture = try LakeFixture(in: Folder.exists("/dev/shm") ? "/dev/shm" : "/tmp")
        log = GenerationLog(layout: fixture.layout)
        _ = try log.createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        _ = try log.createChild(of: 1, logic: .former(logicVersion: "v1-2", settings: "{}"))
    }

    private var states: [GenerationState] { get throws { try log.read().map(\.state) } }

    private func expectRefusal(
        _ text: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
    ) throws {
        let before = try File.contents(of: log.path)
        let error = #expect(throws: LakeError.self, sourceLocation: sourceLocation) { try body() }
        #expect(
            error?.description.contains(text) == true, "\(error?.description ?? "")", sourceLocation: sourceLocation)
        #expect(try File.contents(of: log.path) == before, sourceLocation: sourceLocation)
    }

    @Test func aChangeExpectsAState() throws {
        try expectRefusal("generation 2 is created in the lake, not candidate or previous") {
            try log.update(2, expecting: [.candidate, .previous]) { $0.state = .pruned }
        }
        try expectRefusal("has no generation 7") { try log.update(7, expecting: [.created]) { _ in } }
        try expectRefusal("does not become previous") {
            try log.update(2, expecting: [.created]) { $0.state = .previous }
        }
        try expectRefusal("does not become active") { try log.update(2, expecting: [.created]) { $0.state = .active } }
        let changed = try log.update(2, expecting: [.created]) { $0.state = .candidate }
        #expect(changed.state == .candidate)
        try expectRefusal("does not become active") {
            try log.update(2, expecting: [.candidate]) { $0.state = .active }
        }
        try expectRefusal("does not become created") {
            try log.update(2, expecting: [.candidate]) { $0.state = .created }
        }
        #expect(try states == [.active, .candidate])
    }

    /// The replay's last word comes too late.
    @Test func whatIsPrunedStaysSo() throws {
        try log.prune(2)
        try expectRefusal("is pruned in the lake, not created") {
            try log.update(2, expecting: [.created]) { $0.state = .candidate }
        }
        try expectRefusal("does not become candidate") {
            try log.update(2, expecting: GenerationState.allCases) { $0.state = .candidate }
        }
        try expectRefusal("only a complete one") { try log.promote(2) }
        let before = try File.contents(of: log.path)
        try log.prune(2)
        #expect(try File.contents(of: log.path) == before)
        try expectRefusal("has no generation 2 that is complete") {
            _ = try log.createChild(of: 2, logic: .former(logicVersion: "v1-3", settings: "{}"))
        }
        #expect(try log.createChild(of: 1, logic: .former(logicVersion: "v1-3", settings: "{}")).number == 3)
    }

    /// The replay's last word does not take the mark away from what was promoted meanwhile.
    @Test func oneGenerationIsActiveAtAllTimes() throws {
        try expectRefusal("only a complete one") { try log.promote(2) }
        try log.update(2, expecting: [.created]) { $0.state = .candidate }
        try log.promote(2)
        #expect(try states == [.previous, .active])
        try expectRefusal("is active in the lake, not created") {
            try log.update(2, expecting: [.created]) { $0.state = .candidate }
        }
        try expectRefusal("does not become pruned") { try log.update(2, expecting: [.active]) { $0.state = .pruned } }
        try expectRefusal("is active; promote another one first") { try log.prune(2) }
        try expectRefusal("is active and does not become candidate") {
            try log.update(2, expecting: GenerationState.allCases) { $0.state = .candidate }
        }
        try log.promote(1)
        #expect(try states == [.active, .previous])
        try log.prune(2)
        #expect(try states == [.active, .pruned])
    }

    @Test func aHandoverIsRecordedOnce() throws {
        try log.update(2, expecting: [.created]) { $0.handovers = [source: 5] }
        try log.update(2, expecting: [.created]) { $0.handovers = [source: 5] }
        try expectRefusal("there is one handover") {
            try log.update(2, expecting: [.created]) { $0.handovers = [source: 9] }
        }
        try expectRefusal("there is one handover") { try log.update(2, expecting: [.created]) { $0.handovers = [:] } }
    }

    // MARK: - The first one

    @Test func thereIsOneFirstGeneration() throws {
        let again = try log.createFirst(.former(logicVersion: "other", settings: "{}"))
        #expect(again.logicVersion == "v1-1")
        // As a version of before could leave it: no generation is active.
        try File.replace(
            log.path,
            with: LogLine.encode(
                LakeGeneration(
                    number: 1, parent: nil, logic: .former(logicVersion: "v1-1", settings: "{}"), state: .previous
                ).json)
                + LogLine.encode(
                    LakeGeneration(
                        number: 2, parent: 1, logic: .former(logicVersion: "v1-2", settings: "{}"), state: .candidate
                    ).json))
        try expectRefusal("no generation of the lake") {
            _ = try log.createFirst(.former(logicVersion: "other", settings: "{}"))
        }
        try log.promote(2)
        #expect(try log.createFirst(.former(logicVersion: "other", settings: "{}")).number == 2)
    }

    @Test func aLakeWhoseListIsGoneGetsNoOther() throws {
        do {
            var writer = try fixture.open()
            try writer.handOver(to: 1, at: 0)
            try writer.commit(try LakeFixture.batch(0, 5, time: 1, writer: writer))
        }
        for lost in [[UInt8](), [UInt8](repeating: 0, count: 40) + [0x0A]] {
            try File.replace(log.path, with: lost)
            try expectRefusal("a commit log of") {
                _ = try log.createFirst(.former(logicVersion: "v1-1", settings: "{}"))
            }
        }
        try Folder.removeTree(fixture.layout.root + "/_commits")
        try expectRefusal("a folder of generation 1") {
            _ = try log.createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        }
        for layer in Layer.derived where Folder.exists(fixture.layout.root + "/" + layer.rawValue) {
            try Folder.removeTree(fixture.layout.root + "/" + layer.rawValue)
        }
        #expect(try log.createFirst(.former(logicVersion: "v1-9", settings: "{}")).logicVersion == "v1-9")
    }

    /// Files of a generation that the list lost are never taken for those of a new one.
    @Test func aNumberWithFilesIsNotFree() throws {
        try Folder.create(fixture.layout.root + "/gold/generation=6/topic=t")
        #expect(try log.nextNumber() == 7)
        try expectRefusal("or files of it") {
            _ = try log.createChild(of: 1, number: 6, logic: .former(logicVersion: "v1-3", settings: "{}"))
        }
        try expectRefusal("already has a generation 2") {
            _ = try log.createChild(of: 1, number: 2, logic: .former(logicVersion: "v1-3", settings: "{}"))
        }
        #expect(try log.createChild(of: 1, logic: .former(logicVersion: "v1-3", settings: "{}")).number == 7)
    }

    @Test func newsShowInTheStamp() throws {
        let stamps = [
            log.stamp(),
            try {
                try log.prune(2)
                return log.stamp()
            }(),
            try {
                _ = try log.createChild(of: 1, logic: .former(logicVersion: "v", settings: "{}"))
                return log.stamp()
            }(),
        ]
        #expect(stamps.allSatisfy { $0 != nil } && stamps[0] != stamps[1] && stamps[1] != stamps[2])
        #expect(log.stamp() == stamps[2])
    }

    // MARK: - What a writer does about it

    private func changes(
        handovers: [Int64: Int64], feeding: [Int64], next: Int64?
    ) throws -> GenerationChanges {
        GenerationChanges(
            known: try log.read(), source: source, handovers: handovers, feeding: feeding, nextOffset: next)
    }

    @Test func aWriterFollowsTheList() throws {
        #expect(try changes(handovers: [1: 0], feeding: [1], next: 9).fed.map(\.number) == [1, 2])
        #expect(try changes(handovers: [:], feeding: [], next: nil).fed.map(\.number) == [1, 2])
        // An entry that was taken back, after the writer had read it.
        let gone = try changes(handovers: [1: 0, 3: 4], feeding: [1, 3], next: 9)
        #expect(gone.stopped == [3] && gone.fed.map(\.number) == [1, 2])
        try log.prune(2)
        let pruned = try changes(handovers: [1: 0, 2: 4], feeding: [1, 2], next: 9)
        #expect(pruned.stopped == [2] && pruned.fed.map(\.number) == [1])
    }

    /// A generation that was left out for a while would have a hole.
    @Test func nothingIsHandedOverTwice() throws {
        try log.update(2, expecting: [.created]) { child in
            child.handovers = [source: 4]
            child.state = .candidate
        }
        #expect(try changes(handovers: [1: 0, 2: 4], feeding: [1, 2], next: 9).complaints == [])
        #expect(try changes(handovers: [1: 0], feeding: [1, 2], next: 9).complaints == [])
        #expect(try changes(handovers: [1: 0], feeding: [1], next: 4).complaints == [])
        let again = try changes(handovers: [1: 0], feeding: [1], next: 9)
        #expect(again.fed.map(\.number) == [1] && again.complaints.count == 1)
        #expect(again.complaints[0].contains("offset 4 on"))
        // What is served goes on as well as it can.
        try log.promote(2)
        #expect(try changes(handovers: [1: 0], feeding: [1], next: 9).fed.map(\.number) == [1, 2])
    }

    // MARK: - What verify does about it

    private func problems() throws -> [String] {
        var problems: [String] = []
        _ = try LakeVerifier(layout: fixture.layout) { problems.append("\($0.place): \($0.problem)") }.run()
        return problems
    }

    @Test(arguments: [false, true]) func aFedGenerationThatLacksAPartIsReported(isSealed: Bool) throws {
        var writer = try fixture.open()
        try writer.handOver(to: 1, at: 0)
        try writer.commit(try LakeFixture.batch(0, 5, time: 1, writer: writer))
        try writer.handOver(to: 2, at: 5)
        try writer.commit(try LakeFixture.batch(5, 10, time: 1, writer: writer, generations: [1, 2]))
        // Pruned for a moment, as a version of before let it be.
        try writer.commit(try LakeFixture.batch(10, 15, time: 1, writer: writer))
        try writer.commit(try LakeFixture.batch(15, 20, time: 1, writer: writer))
        try writer.commit(try LakeFixture.batch(20, 25, time: 1, writer: writer, generations: [1, 2]))
        if isSealed { try writer.seal() }
        // While nobody knows where its handover is nothing is missing.
        #expect(try problems() == [])
        try log.update(2, expecting: [.created]) { $0.handovers[source] = 5 }
        let found = try problems()
        #expect(found.count == 1)
        #expect(found.first?.contains("offsets [10, 20): no part of generation 2") == true, "\(found)")
        try log.update(2, expecting: [.created]) { $0.state = .candidate }
        #expect(try problems().count == 1)
        try log.prune(2)
        #expect(try problems() == [])
    }

    @Test func aTornListIsReported() throws {
        #expect(try problems() == [])
        let bytes = try File.contents(of: log.path)
        try File.replace(log.path, with: bytes + Array("{\"crc32c\":\"00".utf8))
        #expect(try problems().count == 1)
    }

    // MARK: - Somebody else holds it for a moment

    @Test func anOpeningWriterWaitsForAMoment() throws {
        var held: PartitionWriter? = try fixture.open()
        let error = #expect(throws: LakeError.self) {
            _ = try PartitionWriter.open(layout: fixture.layout, source: source, lockWaitMilliseconds: 60)
        }
        guard case .locked = error else {
            Issue.record("\(error.map { "\($0)" } ?? "nothing was thrown")")
            return
        }
        held = nil
        _ = try PartitionWriter.open(layout: fixture.layout, source: source, lockWaitMilliseconds: 60)
        _ = consume held
    }
}
