import IndexTesting
import Synchronization
import Testing

@testable import API

/// Of equal requests one works, and what goes wrong with it is no matter of the others.
@Suite struct SingleFlightTests {
    private let flight = SingleFlight()
    private let limit = 600_000

    private final class Firsts: Sendable {
        let count = Mutex(0)
    }

    private func waiting(_ count: Int) async throws {
        try await eventually { flight.load.waiting == count }
    }

    @Test func theOthersWaitForTheFirst() async throws {
        guard case .first = try await flight.enter("a", milliseconds: limit) else { throw FakeFailure() }
        let others = (0..<99).map { _ in Task { try await flight.enter("a", milliseconds: limit) } }
        try await waiting(99)
        // Another key has a flight of its own.
        guard case .first = try await flight.enter("b", milliseconds: limit) else { throw FakeFailure() }
        flight.leave("a", .kept)
        for other in others {
            guard case .done = try await other.value else { throw FakeFailure() }
        }
        flight.leave("b", .kept)
        #expect(flight.load.flights == 0 && flight.load.waiting == 0)
    }

    @Test func whereTheFirstFailsTheNextOneWorks() async throws {
        guard case .first = try await flight.enter("a", milliseconds: limit) else { throw FakeFailure() }
        let firsts = Firsts()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<10 {
                group.addTask { [flight, limit, firsts] in
                    guard case .first = try await flight.enter("a", milliseconds: limit) else { return }
                    let number = firsts.count.withLock { firsts in
                        firsts += 1
                        return firsts
                    }
                    flight.leave("a", number == 3 ? .kept : .failed)
                }
            }
            try await waiting(10)
            flight.leave("a", .failed)
            try await group.waitForAll()
        }
        #expect(firsts.count.withLock { $0 } == 3)
        #expect(flight.load.flights == 0)
    }

    @Test func whereNothingIsKeptAllWorkAtOnce() async throws {
        guard case .first = try await flight.enter("a", milliseconds: limit) else { throw FakeFailure() }
        let others = (0..<10).map { _ in Task { try await flight.enter("a", milliseconds: limit) } }
        try await waiting(10)
        flight.leave("a", .unkept)
        for other in others {
            guard case .alone = try await other.value else { throw FakeFailure() }
        }
        #expect(flight.load.flights == 0)
    }

    @Test func whoLeavesWaitsNoLonger() async throws {
        guard case .first = try await flight.enter("a", milliseconds: limit) else { throw FakeFailure() }
        let (leaving, staying) = (
            Task { try await flight.enter("a", milliseconds: limit) },
            Task { try await flight.enter("a", milliseconds: limit) }
        )
        try await waiting(2)
        leaving.cancel()
        await #expect(throws: CancellationError.self) { try await leaving.value }
        try await waiting(1)
        flight.leave("a", .kept)
        guard case .done = try await staying.value else { throw FakeFailure() }
    }

    @Test func waitingIsBounded() async throws {
        guard case .first = try await flight.enter("a", milliseconds: limit) else { throw FakeFailure() }
        guard case .alone = try await flight.enter("a", milliseconds: 1) else { throw FakeFailure() }
        #expect(flight.load.waiting == 0)
        flight.leave("a", .kept)
    }
}
