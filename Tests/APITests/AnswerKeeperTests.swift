import Bytes
import IndexTesting
import Retrieval
import Synchronization
import Telemetry
import Testing

@testable import API

/// Looks at kept answers that come to nothing are made up for.
@Suite struct AnswerKeeperTests {
    private let index = FakeIndex()

    private func keeper(rowsMax: Int64, clock: @escaping @Sendable () -> Int64 = { 1 }) -> AnswerKeeper {
        let index = self.index
        return AnswerKeeper(
            bounds: AnswerBounds(rowsMax: rowsMax), makeStore: { index.makeStore() },
            logger: Logger("api", level: .error), clock: clock)
    }

    private func fill(_ count: Int) {
        let answers = (0..<count).map { number in
            StoredAnswer(
                id: "a-\(number)", question: "q", createdAtMilliseconds: 1, generation: 1, indexVersion: 1,
                isRefused: true, requestJSON: [], replyJSON: [], retrievedJSON: [], isAnonymous: true)
        }
        index.state.withLock { $0.answers = answers }
    }

    private var count: Int { index.state.withLock { $0.answers.count } }

    @Test func aClientThatLeavesTakesNoLookWithIt() async {
        fill(100)
        let keeper = keeper(rowsMax: 4)
        let leaving = Task {
            while !Task.isCancelled { await Task.yield() }
            await keeper.kept(bytes: 1)
        }
        leaving.cancel()
        await leaving.value
        #expect(count == 4)
    }

    @Test func whatAFailedLookMissedCountsAgain() async {
        fill(2_000)
        let time = Clock(now: 1)
        let keeper = keeper(rowsMax: 1_024, clock: { time.value.withLock { $0 } })
        index.state.withLock { $0.failures = 1 }
        // The fourth makes a look due, which fails.
        for _ in 0..<4 { await keeper.kept(bytes: 1) }
        #expect(count == 2_000 && index.state.withLock { $0.failures } == 0)
        // While that is fresh nobody else waits for another one.
        await keeper.kept(bytes: 1)
        #expect(count == 2_000)
        time.value.withLock { $0 += 2_000_000_000 }
        await keeper.kept(bytes: 1)
        #expect(count == 960, "down to fifteen sixteenths")
    }

    private final class Clock: Sendable {
        let value: Mutex<Int64>
        init(now: Int64) { value = Mutex(now) }
    }
}
