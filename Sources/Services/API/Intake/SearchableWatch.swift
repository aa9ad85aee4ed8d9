import Bytes
import Concurrency
import Records
import Synchronization

/// Lets requests wait until the index has come to what they wrote. However many wait, the database is looked at 25 times a second
/// at most, by one of them, and what one sees counts for all.
final class SearchableWatch: Sendable {
    private struct State {
        /// What the last look that was answered saw, and when it began.
        var seen: (begunAt: Int64, reach: IntakeDesk.IndexReach)?
        /// When the last look ended, answered or not.
        var lookedAt: Int64?
        var isLooking = false
        var waiting = 0
        var byCaller: [StreamSeats.Caller?: Int] = [:]
    }

    private let desk: IntakeDesk
    private let lane = Lane(name: "searchable")
    private let state = Mutex(State())
    private static let lookNanoseconds: Int64 = 40_000_000
    private static let pauseMilliseconds = 15
    private static let lookMillisecondsMax = 2_000
    /// Requests that wait at once.
    static let waitersMax = 512
    /// The same of one caller.
    static let waitersPerCallerMax = 32

    init(_ desk: IntakeDesk) { self.desk = desk }

    /// - Parameters:
    ///   - places: the next offsets that the index is to have reached.
    ///   - caller: whose requests are counted together.
    /// - Returns: how far the index is then; nil where it did not get there in time or could not be asked, and at once where as many
    ///   wait as may: what is written is written, so that is no error.
    func wait(
        for places: [TopicPartition: Int64], by caller: StreamSeats.Caller?, deadline: Deadline
    ) async throws -> IntakeDesk.IndexReach? {
        guard enter(caller) else { return nil }
        defer { leave(caller) }
        let asked = SystemClock.monotonicNanoseconds()
        while !deadline.hasPassed {
            await look(within: deadline)
            // What was seen before the records were written may be of another topic of this name.
            if let seen = state.withLock({ $0.seen }), seen.begunAt >= asked,
                places.allSatisfy({ place, next in seen.reach.nextOffsets[place] ?? 0 >= next })
            {
                return seen.reach
            }
            try await Task.sleep(for: .milliseconds(Self.pauseMilliseconds))
        }
        return nil
    }

    /// Looks at the database, unless somebody does, or has just done so.
    private func look(within deadline: Deadline) async {
        let begunAt = SystemClock.monotonicNanoseconds()
        let isDue = state.withLock { state -> Bool in
            guard !state.isLooking, state.lookedAt.map({ begunAt - $0 >= Self.lookNanoseconds }) ?? true else {
                return false
            }
            state.isLooking = true
            return true
        }
        guard isDue else { return }
        let timeout = max(1, min(Self.lookMillisecondsMax, deadline.leftMilliseconds))
        let reach = try? await lane.run { [desk] in try desk.reached(timeout) }
        state.withLock { state in
            state.isLooking = false
            state.lookedAt = SystemClock.monotonicNanoseconds()
            if let reach { state.seen = (begunAt, reach) }
        }
    }

    private func enter(_ caller: StreamSeats.Caller?) -> Bool {
        state.withLock { state in
            let count = state.byCaller[caller] ?? 0
            guard state.waiting < Self.waitersMax, count < Self.waitersPerCallerMax else { return false }
            state.byCaller[caller] = count + 1
            state.waiting += 1
            return true
        }
    }

    private func leave(_ caller: StreamSeats.Caller?) {
        state.withLock { state in
            state.waiting -= 1
            let left = (state.byCaller[caller] ?? 0) - 1
            state.byCaller[caller] = left > 0 ? left : nil
        }
    }

    /// How many documents of records the index took, once it has come to all of them.
    func count(
        _ offsets: [TopicPartition: [Int64]], of tenant: TenantID, deadline: Deadline
    ) async throws -> Int {
        try await lane.run { [desk] in
            var count = 0
            for (place, records) in offsets {
                let timeout = max(1, min(Self.lookMillisecondsMax, deadline.leftMilliseconds))
                count += try desk.shown(tenant, place, records, timeout)
            }
            return count
        }
    }
}
