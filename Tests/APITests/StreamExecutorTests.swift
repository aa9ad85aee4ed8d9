import Dispatch
import Synchronization
import Testing

@testable import API

/// Clients of the stream do their work apart from requests.
@Suite struct StreamExecutorTests {
    /// Where requests are handled, in these tests.
    private final class Requests: TaskExecutor {
        private let queue = DispatchQueue(label: "requests")
        let jobs = Atomic(0)

        func enqueue(_ job: consuming ExecutorJob) {
            jobs.add(1, ordering: .relaxed)
            let job = UnownedJob(job)
            queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        }
    }

    /// However many clients there are, and whatever their filters cost, events put no work in front of requests.
    @Test func eventsGiveTheExecutorOfRequestsNoWork() async throws {
        let scene = StreamScene(heartbeatMilliseconds: 20)
        let requests = Requests()
        for offset in 0..<1_500 as Range<Int64> { scene.topic.add(0, offset) }
        scene.topic.index([0: 1_500])
        _ = try await scene.follow([], frames: []) {
            scene.topic.state.withLock { $0.isHeld = true }
            let readers = try (0..<16).map { number in
                // Half of them catch up meanwhile.
                try StreamReader(
                    StreamScene.request(
                        after: number < 8 ? nil : "0:0", [("text", "some TEXT"), ("type", "edit,new")]),
                    scene.fixture.api, on: requests)
            }
            try await eventually { scene.clients == 16 }
            let before = requests.jobs.load(ordering: .relaxed)
            #expect(before >= 16)
            scene.topic.state.withLock { $0.isHeld = false }
            for offset in 1_500..<1_530 as Range<Int64> {
                scene.topic.add(0, offset, text: "Some text \(offset)")
                scene.topic.index([0: offset + 1])
                try await scene.given(Int(offset) - 1_499)
            }
            for reader in readers { try await eventually { reader.frameCount == 30 && reader.heartbeatCount >= 3 } }
            #expect(requests.jobs.load(ordering: .relaxed) == before)
            for reader in readers {
                reader.leave()
                await reader.end()
            }
        }
    }

    /// How many jobs run at the same time.
    private final class Running: Sendable {
        let counts = Mutex((now: 0, most: 0, all: 0))

        func enter() {
            counts.withLock { counts in
                counts.now += 1
                counts.most = max(counts.most, counts.now)
            }
        }

        func leave() {
            counts.withLock { counts in
                counts.now -= 1
                counts.all += 1
            }
        }
    }

    /// Its jobs run one at a time and all of them, from wherever they come.
    @Test func jobsRunOneAtATime() async throws {
        let executor = StreamExecutor()
        let running = Running()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<60 {
                group.addTask(executorPreference: executor) {
                    for _ in 0..<3 {
                        running.enter()
                        sleepMilliseconds(1)
                        running.leave()
                        await Task.yield()
                    }
                }
            }
        }
        let (most, all) = running.counts.withLock { ($0.most, $0.all) }
        #expect(most == 1 && all == 180)
    }
}
