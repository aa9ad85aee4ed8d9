import Bytes
import Files
import Foundation
import PlatformTesting
import Testing

@testable import Broker

/// Every change that the broker's storage makes to the file system is the place of a fault, a kill and a power cut.
@Suite struct BrokerCrashTests {
    /// What happened to the disk in one run, and what was promised after how many of those events.
    private struct Trace {
        var events: [DiskEvent]
        var promised: [(events: Int, promises: BrokerRun.Promises)]

        func promises(after count: Int) -> BrokerRun.Promises {
            promised.last { $0.events <= count }?.promises ?? BrokerRun.Promises()
        }
    }

    private let folder: TemporaryFolder
    private let isLong = ProcessInfo.processInfo.environment["MEDALLION_LONG_TESTS"] != nil
    private var path: String { folder.file("broker") }

    init() throws { folder = try TemporaryFolder(in: Folder.exists("/dev/shm") ? "/dev/shm" : "/tmp") }

    private func clear() throws {
        if Folder.exists(path) { try Folder.removeTree(path) }
    }

    /// Runs a script on what is there, with faults, and checks at its end what clients find.
    private func trace(
        _ number: Int64, _ witness: FaultWitness = FaultWitness(), after promises: BrokerRun.Promises = .init(),
        durability: BrokerConfiguration.Durability = .always, _ script: (BrokerRun) throws -> Void
    ) throws -> Trace {
        var promised: [(events: Int, promises: BrokerRun.Promises)] = [(0, promises)]
        try FileWatch.$witness.withValue(witness) {
            let run = try BrokerRun(path, number: number, durability: durability, promises: promises) { promises in
                promised.append((witness.count, promises))
            }
            try script(run)
            try run.check(run.promises)
        }
        return Trace(events: witness.events, promised: promised)
    }

    private func model(_ trace: Trace, _ count: Int, on start: DiskModel = DiskModel()) -> DiskModel {
        var model = start
        for event in trace.events.prefix(count) { model.apply(event) }
        return model
    }

    /// Starts on what a crash left, checks it, goes on, and starts once more.
    private func restart(_ model: DiskModel, _ loss: DiskModel.Loss, _ promises: BrokerRun.Promises) throws {
        try model.materialise(loss, in: folder.path)
        var later = promises
        do {
            let run = try BrokerRun(path, number: 2, promises: promises)
            try run.check(promises)
            try run.goOn()
            later = run.promises
        }
        try BrokerRun(path, number: 3).check(later)
    }

    @Test("A crash after any change leaves what was acknowledged, and the broker starts")
    func crashes() throws {
        let trace = try trace(1) { try $0.play() }
        #expect(trace.events.count > 150)
        for count in 0...trace.events.count {
            let seeds = (0..<(isLong ? 30 : 1)).map { DiskModel.Loss.some(seed: UInt64(count * 1_000 + $0)) }
            let losses = [DiskModel.Loss.nothing, .everything, .bytes, .names] + seeds
            for loss in isLong ? losses : [losses[count % losses.count]] {
                do {
                    try restart(model(trace, count), loss, trace.promises(after: count))
                } catch {
                    Issue.record("a crash after \(count) events, \(loss): \(error)")
                }
            }
        }
    }

    @Test(
        "A fault at any change is survived, a failed sync too, and a crash some time after it",
        arguments: [1, 5])
    func faults(_ length: Int) throws {
        let undisturbed = try trace(1) { try $0.play() }
        var random = SeededGenerator(seed: UInt64(length))
        for place in stride(from: 0, to: undisturbed.events.count, by: length == 1 || isLong ? 1 : 5) {
            try clear()
            let code = [ENOSPC, EIO, EMFILE][place % 3]
            var context = String("\(length) faults (\(code)) at \(undisturbed.events[place])".prefix(300))
            do {
                let trace = try trace(1, FaultWitness(failing: place..<place + length, code: code)) { try $0.play() }
                let end = trace.events.count
                // Soon after it, when what it left is not covered up yet; at the end; and somewhere.
                let soon = min(end, place + length + Int.random(in: 0..<12, using: &random))
                let somewhere = Int.random(in: min(place, end)...end, using: &random)
                let crashes: [(Int, DiskModel.Loss)] = [
                    (soon, .everything), (soon, .nothing), (end, .everything), (somewhere, .some(seed: random.next())),
                ]
                for (count, loss) in isLong ? crashes : [crashes[place % 2], crashes[2 + place / 2 % 2]] {
                    context += "; a crash after \(count), \(loss)"
                    try restart(model(trace, count), loss, trace.promises(after: count))
                }
            } catch {
                Issue.record("\(context): \(error)")
            }
        }
    }

    /// A killed process leaves in the page cache what the next one takes for durable, also what a failed sync lost.
    @Test("A power cut some time after a fault, a kill and a start leaves what was acknowledged")
    func powerCutAfterAKill() throws {
        let undisturbed = try trace(1) { try $0.play() }
        var random = SeededGenerator(seed: 71)
        for place in stride(from: isLong ? 0 : 2, to: undisturbed.events.count, by: isLong ? 1 : 3) {
            try clear()
            do {
                let hasFault = place % 2 == 0
                let witness = FaultWitness(failing: hasFault ? place..<place + 1 : 0..<0, code: EIO)
                let first = try trace(1, witness) { try $0.play() }
                let killed = min(first.events.count, place + 1 + Int.random(in: 0..<3, using: &random))
                let before = model(first, killed)
                try before.materialise(.nothing, in: folder.path)
                let second = try trace(4, after: first.promises(after: killed)) { try $0.goOn() }
                let cut = Int.random(in: 0...second.events.count, using: &random)
                for cut in [cut, second.events.count] {
                    let after = model(second, cut, on: before.rebooted(.nothing))
                    try restart(after, .everything, second.promises(after: cut))
                }
            } catch {
                Issue.record("a kill soon after event \(place), \(undisturbed.events[place]): \(error)")
            }
        }
    }

    @Test("With an interval between syncs a fault takes nothing that a later sync covered, and a kill nothing at all")
    func interval() throws {
        let durability = BrokerConfiguration.Durability.interval(milliseconds: 1)
        let script: (BrokerRun) throws -> Void = { run in
            try run.play()
            run.idle()
        }
        let undisturbed = try trace(1, durability: durability, script)
        var random = SeededGenerator(seed: 5)
        for place in stride(from: 0, to: undisturbed.events.count, by: isLong ? 1 : 3) {
            try clear()
            do {
                let witness = FaultWitness(failing: place..<place + 1, code: EIO)
                let trace = try trace(1, witness, durability: durability, script)
                let end = trace.events.count
                try restart(model(trace, end), .everything, trace.promises(after: end))
                let killed = Int.random(in: min(place, end)...end, using: &random)
                try restart(model(trace, killed), .nothing, trace.promises(after: killed))
            } catch {
                Issue.record("a fault at event \(place), \(undisturbed.events[place]): \(error)")
            }
        }
    }
}
