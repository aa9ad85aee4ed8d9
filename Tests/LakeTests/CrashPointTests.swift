import Bytes
import Files
import Foundation
import PlatformTesting
import Records
import Synchronization
import Testing

@testable import Lake

/// Every change that a run makes to the file system is the place of a fault, a kill and a power loss.
@Suite struct CrashPointTests {
    /// What was changed in one run, and what was acknowledged after how many changes.
    private struct Trace {
        var changes: [FileChange]
        var acknowledged: [(changes: Int, state: LakeRun.Acknowledged)]

        func acknowledged(after count: Int) -> LakeRun.Acknowledged {
            acknowledged.last { $0.changes <= count }?.state ?? LakeRun.Acknowledged()
        }
    }

    private let fixture: LakeFixture
    private let isLong = ProcessInfo.processInfo.environment["MEDALLION_LONG_TESTS"] != nil

    /// Every third change, which over all of them meets each code and each loss; the long trial takes every one.
    private var step: Int { isLong ? 1 : 3 }

    init() throws { fixture = try LakeFixture(in: Folder.exists("/dev/shm") ? "/dev/shm" : "/tmp") }

    private func clear() throws {
        for name in try Folder.list(fixture.folder.path) { try Folder.removeTree(fixture.folder.file(name)) }
    }

    /// Runs to the end on whatever is there.
    private func trace(step: Int64) throws -> Trace {
        let witness = RecordingWitness()
        let acknowledged = Mutex<[(changes: Int, state: LakeRun.Acknowledged)]>([])
        try FileWatch.$witness.withValue(witness) {
            var run = LakeRun(layout: fixture.layout, step: step, logBytesMin: 0)
            run.acknowledged = { state in
                acknowledged.withLock { $0.append((changes: witness.changes.count, state: state)) }
            }
            try run.run()
        }
        return Trace(changes: witness.changes, acknowledged: acknowledged.withLock { $0 })
    }

    private func undisturbed() throws -> (trace: Trace, files: [String: [UInt8]]) {
        try clear()
        let trace = try trace(step: 4)
        try LakeRun.check(fixture, against: try LakeRun.dataFiles(fixture))
        return (trace, try LakeRun.dataFiles(fixture))
    }

    /// Puts onto the real disk what a crash left.
    private func materialise(_ model: DiskModel, _ loss: DiskModel.Loss) throws {
        try clear()
        let left = model.crashed(loss)
        for folder in left.folders where !Folder.exists(folder) { try Folder.create(folder) }
        for (path, bytes) in left.files {
            let file = try File(path, .create)
            try bytes.withUnsafeBytes { try file.write($0, at: 0) }
        }
    }

    /// Nobody has repaired anything yet.
    private func checkByPattern(_ kept: LakeRun.Acknowledged) throws {
        guard Folder.exists(fixture.layout.root) else { return }
        try LakeRun.checkByPattern(fixture, committed: kept.nextOffset)
    }

    /// Ends the traced run after `count` changes, loses what `loss` says, and lets another run finish.
    ///
    /// - Throws: where that is not as if nothing had happened.
    private func crash(
        _ trace: Trace, after count: Int, _ loss: DiskModel.Loss, ignoring sites: Set<String> = [],
        files: [String: [UInt8]]
    ) throws {
        var model = DiskModel(ignoring: sites)
        for change in trace.changes.prefix(count) { model.apply(change) }
        try materialise(model, loss)
        try checkByPattern(trace.acknowledged(after: count))
        let run = LakeRun(layout: fixture.layout, step: 3, logBytesMin: 0)
        try run.checkKept(trace.acknowledged(after: count))
        try run.run()
        try LakeRun.check(fixture, against: files)
    }

    @Test func aFaultAtAnyChangeIsSurvived() throws {
        let (trace, files) = try undisturbed()
        #expect(trace.changes.count > 100)
        for place in stride(from: 0, to: trace.changes.count, by: step) {
            for code in isLong ? [ENOSPC, EIO] : [place % 2 == 0 ? ENOSPC : EIO] {
                try clear()
                var run = LakeRun(layout: fixture.layout, step: 4, logBytesMin: 0)
                run.failed = { [fixture] in try LakeRun.checkByPattern(fixture, committed: $0.nextOffset) }
                do {
                    try FileWatch.$witness.withValue(RecordingWitness(.fails(at: place, code: code))) {
                        do { try run.run() } catch { try run.run() }
                    }
                    try LakeRun.check(fixture, against: files)
                } catch {
                    Issue.record("a fault at change \(place), \(trace.changes[place]): \(error)")
                }
            }
        }
    }

    @Test func aCrashAtAnyChangeLeavesWhatWasAcknowledged() throws {
        let (trace, files) = try undisturbed()
        for count in stride(from: 0, through: trace.changes.count, by: step) {
            let seeds = (0..<(isLong ? 50 : 1)).map { DiskModel.Loss.some(seed: UInt64(count * 1_000 + $0)) }
            let losses = [DiskModel.Loss.nothing, .everything, .bytes, .names] + seeds
            for loss in isLong ? losses : [losses[count % losses.count]] {
                do {
                    try crash(trace, after: count, loss, files: files)
                } catch {
                    Issue.record("a crash after \(count) changes, \(loss): \(error)")
                }
            }
        }
    }

    /// A power loss may take the middle of the last append to the commit log, and leave its end.
    @Test func aHoleInTheLastAppendHeals() throws {
        let (trace, files) = try undisturbed()
        let commitLog = fixture.layout.commitLog(LakeFixture.source)
        let places = trace.changes.indices.filter { place in
            if case .write(let path, _, _) = trace.changes[place] { return path == commitLog }
            return false
        }
        #expect(places.count > 10)
        for place in places {
            for seed in 0..<UInt64(isLong ? 50 : 2) {
                let loss = DiskModel.Loss.holes(seed: UInt64(place) * 1_000 + seed)
                do {
                    try crash(trace, after: place + 1, loss, files: files)
                } catch {
                    Issue.record("a crash after \(place + 1) changes, \(loss): \(error)")
                }
            }
        }
    }

    /// A killed process leaves in the page cache what the next one takes for durable.
    @Test func aPowerLossAfterAKillLeavesWhatWasAcknowledged() throws {
        let (first, files) = try undisturbed()
        var random = SeededGenerator(seed: 71)
        for count in stride(from: isLong ? 0 : 1, through: first.changes.count, by: isLong ? 1 : 5) {
            let (model, second) = try kill(first, after: count)
            let all = Array(0...second.changes.count)
            for place in isLong ? all.shuffled(using: &random).prefix(20) : [all.randomElement(using: &random) ?? 0] {
                do {
                    let loss = Bool.random(using: &random) ? DiskModel.Loss.everything : .some(seed: random.next())
                    try losePower(model, second, after: place, loss, files: files)
                } catch {
                    Issue.record("a kill after \(count) changes, a power loss after \(place): \(error)")
                }
            }
        }
    }

    /// Kills the traced run after `count` changes and traces one that goes on from there.
    private func kill(_ first: Trace, after count: Int, ignoring sites: Set<String> = []) throws -> (DiskModel, Trace) {
        var model = DiskModel(ignoring: sites)
        for change in first.changes.prefix(count) { model.apply(change) }
        try materialise(model, .nothing)
        return (model, try trace(step: 5))
    }

    private func losePower(
        _ model: DiskModel, _ second: Trace, after place: Int, _ loss: DiskModel.Loss, files: [String: [UInt8]]
    ) throws {
        var model = model
        for change in second.changes.prefix(place) { model.apply(change) }
        try materialise(model, loss)
        try checkByPattern(second.acknowledged(after: place))
        let run = LakeRun(layout: fixture.layout, step: 3, logBytesMin: 0)
        try run.checkKept(second.acknowledged(after: place))
        try run.run()
        try LakeRun.check(fixture, against: files)
    }

    /// No sync is there for nothing: without any one of them some crash loses something.
    @Test func everySyncIsNeeded() throws {
        let (trace, files) = try undisturbed()
        let sites = Set(trace.changes.compactMap(\.syncSite)).sorted()
        #expect(sites.count >= 5)
        for site in sites {
            let isMissed =
                try losesSomething(without: site, trace, files) || losesAfterAKill(without: site, trace, files)
            #expect(isMissed, "nothing is lost without the sync at \(site)")
        }
    }

    private func losesSomething(without site: String, _ trace: Trace, _ files: [String: [UInt8]]) -> Bool {
        // Soon after one that was left out.
        let places = trace.changes.indices.filter { trace.changes[$0].syncSite == site }
        for loss in [DiskModel.Loss.everything, .names, .bytes] {
            for place in Set(places.flatMap { [$0 + 1, $0 + 4, $0 + 12, trace.changes.count] }).sorted() {
                do {
                    try crash(trace, after: min(place, trace.changes.count), loss, ignoring: [site], files: files)
                } catch {
                    return true
                }
            }
        }
        return false
    }

    private func losesAfterAKill(without site: String, _ first: Trace, _ files: [String: [UInt8]]) throws -> Bool {
        // Just before a sync there is something to lose, and soon after the next start nothing has covered it up.
        for count in first.changes.indices where first.changes[count].syncSite != nil {
            let (model, second) = try kill(first, after: count, ignoring: [site])
            for place in second.acknowledged.prefix(3).map(\.changes) {
                do {
                    try losePower(model, second, after: place, .everything, files: files)
                } catch {
                    return true
                }
            }
        }
        return false
    }
}

extension FileChange {
    /// The place in the code of a sync; nil for other changes.
    var syncSite: String? {
        switch self {
        case .sync(_, let site), .syncFolder(_, let site): site
        default: nil
        }
    }
}
