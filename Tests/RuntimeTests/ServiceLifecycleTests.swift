import Bytes
import Concurrency
import Glibc
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

private struct Failure: Error {}

/// What happened, in order.
private final class Journal: Sendable {
    private let state = Mutex<[String]>([])
    func note(_ entry: String) { state.withLock { $0.append(entry) } }
    var entries: [String] { state.withLock { $0 } }
}

private let quiet = Logger("test", sink: LogSink(format: .text, output: { _ in }))

@Suite(.timeLimit(.minutes(1))) struct ServiceGroupTests {
    private func recorder(_ name: String, _ journal: Journal) -> ClosureService {
        ClosureService(name: name) { _ in
            journal.note("prepare \(name)")
        } run: { stop in
            await stop.wait()
            journal.note("drained \(name)")
        }
    }

    @Test func startsInOrderAndStopsInReverse() async throws {
        let journal = Journal()
        let stop = StopSignal()
        let ender = ClosureService(name: "ender") { _ in stop.request() }
        let group = ServiceGroup(
            services: [recorder("a", journal), recorder("b", journal), ender], logger: quiet, handlesSignals: false,
            stop: stop)
        try await group.run()
        #expect(journal.entries == ["prepare a", "prepare b", "drained b", "drained a"])
    }

    @Test func aFailingServiceStopsTheOthers() async {
        let journal = Journal()
        let failing = ClosureService(name: "failing") { _ in throw Failure() }
        let group = ServiceGroup(services: [recorder("a", journal), failing], logger: quiet, handlesSignals: false)
        await #expect(throws: Failure.self) { try await group.run() }
        #expect(journal.entries == ["prepare a", "drained a"])
    }

    @Test func aServiceThatCannotPrepareStopsTheStart() async {
        let journal = Journal()
        let failing = ClosureService(name: "failing", prepare: { _ in throw Failure() }, run: { _ in })
        let group = ServiceGroup(
            services: [recorder("a", journal), failing, recorder("b", journal)], logger: quiet, handlesSignals: false)
        await #expect(throws: Failure.self) { try await group.run() }
        #expect(journal.entries == ["prepare a", "drained a"])
    }

    @Test func aServiceThatNeverDrainsIsLeftBehind() async {
        let stop = StopSignal()
        let never = StopSignal()
        defer { never.request() }
        let stuck = ClosureService(name: "stuck") { _ in
            stop.request()
            await never.wait()
        }
        let group = ServiceGroup(
            services: [stuck], logger: quiet, drainLimitSeconds: 0, handlesSignals: false, stop: stop)
        let error = await #expect(throws: ServiceGroupError.self) { try await group.run() }
        #expect(error?.service == "stuck")
    }

    @Test func theEndOfAnEndingServiceEndsTheGroup() async throws {
        let journal = Journal()
        let ending = ClosureService(name: "demo", endsGroup: true) { _ in }
        try await ServiceGroup(services: [recorder("a", journal), ending], logger: quiet, handlesSignals: false).run()
        #expect(journal.entries == ["prepare a", "drained a"])
    }
}

@Suite(.timeLimit(.minutes(1))) struct LaneTests {
    @Test func runsInOrderOnOneThread() async throws {
        let lane = Lane(name: "test-lane")
        let journal = Journal()
        for index in 0..<100 { try lane.post { journal.note("\(index)") } }
        let count = try await lane.run { journal.entries.count }
        #expect(count == 100)
        #expect(journal.entries == (0..<100).map { "\($0)" })
        await #expect(throws: Failure.self) { try await lane.run { throw Failure() } }
    }

    @Test func refusesMoreThanItsInboxHolds() async throws {
        let lane = Lane(name: "test-lane", inboxMax: 2)
        let entered = StopSignal()
        let release = StopSignal()
        try lane.post {
            entered.request()
            _ = release.sleep(milliseconds: 60_000)
        }
        await entered.wait()
        try lane.post {}
        try lane.post {}
        let error = #expect(throws: LaneError.self) { try lane.post {} }
        #expect(error?.isRetriable == true)
        release.request()
    }

    /// A thread has the priority of the one that makes it, and resuming a task may make one.
    @Test func whoStandsBackLeavesResumingToOthers() async throws {
        @Sendable func standing() -> [Int32] {
            [sched_getscheduler(0), getpriority(Int32(bitPattern: PRIO_PROCESS.rawValue), 0)]
        }
        let ordinary = try await Lane(name: "test-ordinary").run { standing() }
        let lane = Lane(name: "test-idle", priority: .idle)
        let (own, relay) = try await lane.run { () -> ([Int32], [Int32]) in
            let done = StopSignal()
            let seen = Journal()
            Relay.perform {
                for number in standing() { seen.note("\(number)") }
                done.request()
            }
            _ = done.sleep(milliseconds: 60_000)
            return (standing(), seen.entries.compactMap { Int32($0) })
        }
        #expect(own != ordinary && relay == ordinary)
    }

    @Test func finishesItsInboxAfterItsRelease() async throws {
        let done = StopSignal()
        do {
            let lane = Lane(name: "test-lane")
            for _ in 0..<10 { try lane.post {} }
            try lane.post { done.request() }
        }
        await done.wait()
        #expect(done.isRequested)
    }
}

@Suite(.timeLimit(.minutes(1))) struct StopSignalTests {
    @Test func wakesThreadsAndTasks() async throws {
        let stop = StopSignal()
        let lane = Lane(name: "sleeper")
        async let slept = lane.run { stop.sleep(milliseconds: 600_000) }
        async let waited: Void = stop.wait()
        #expect(!stop.isRequested)
        stop.request()
        #expect(try await slept)
        await waited
        #expect(await stop.pause(milliseconds: 600_000))
        #expect(stop.sleep(milliseconds: 600_000))
    }

    @Test func waitingEndsWithTheTask() async {
        let stop = StopSignal()
        let task = Task { await stop.wait() }
        task.cancel()
        await task.value
        #expect(!stop.isRequested)
    }

    @Test func timesOut() async {
        let stop = StopSignal()
        #expect(!stop.sleep(milliseconds: 1))
        #expect(await stop.pause(milliseconds: 1) == false)
    }
}

@Suite struct BackoffTests {
    @Test(arguments: [1, 17, 99] as [UInt64])
    func staysInItsBounds(seed: UInt64) {
        var backoff = Backoff(baseMilliseconds: 10, capMilliseconds: 1_000, floorMilliseconds: 5, seed: seed)
        for attempt in 0..<100 {
            let wait = backoff.next()
            #expect(wait >= 5 && wait <= max(5, min(1_000, 10 << min(attempt, 20))))
        }
        backoff.reset()
        #expect(backoff.next() <= 10)
    }
}

@Suite struct LaneNicenessTests {
    /// Linux keeps a niceness per thread: a lane that stands back takes nobody along.
    @Test func aLaneStandsBackAlone() async throws {
        @Sendable func niceness() -> Int32 { getpriority(Int32(bitPattern: PRIO_PROCESS.rawValue), 0) }
        let base = try await Lane(name: "plain").run { niceness() }
        let back = try await Lane(name: "back", priority: .nice(7)).run { niceness() }
        // The process may be nice already, and 19 is the most there is.
        #expect(back == max(base, 7))
        #expect(try await Lane(name: "after").run { niceness() } == base)
        // SCHED_IDLE is 5 (sched(7)); a kernel without it keeps the thread at the largest niceness.
        let idle = try await Lane(name: "idle", priority: .idle).run { (sched_getscheduler(0), niceness()) }
        #expect(idle.0 == 5 || idle.1 == 19)
        #expect(try await Lane(name: "after").run { sched_getscheduler(0) } == 0)
    }

    /// What a thread that stands back has done for it, tasks that it resumes among them, is done by one that does not.
    @Test func whatIsRelayedDoesNotStandBack() async throws {
        let lane = Lane(name: "idle", priority: .idle)
        let found = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<(Int32, Int32), any Error>) in
            do {
                try lane.post {
                    Relay.perform {
                        continuation.resume(
                            returning: (sched_getscheduler(0), getpriority(Int32(bitPattern: PRIO_PROCESS.rawValue), 0))
                        )
                    }
                }
            } catch { continuation.resume(throwing: error) }
        }
        let plain = try await Lane(name: "plain").run { getpriority(Int32(bitPattern: PRIO_PROCESS.rawValue), 0) }
        #expect(found == (0, plain))
    }
}
