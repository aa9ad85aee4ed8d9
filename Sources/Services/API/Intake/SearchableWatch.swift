import Bytes
import Concurrency
import Records
import Synchronization

/// Lets requests wait until the index has come to what they wrote. However many wait, the database is looked at by one
/// of them at a time, and what one sees counts for all.
final class SearchableWatch: Sendable {
    private let desk: IntakeDesk
    private let lane = Lane(name: "searchable")
    private let seen = Mutex<(atNanoseconds: Int64, reach: IntakeDesk.IndexReach)?>(nil)
    private static let pauseMilliseconds = 15
    private static let lookMillisecondsMax = 2_000

    init(_ desk: IntakeDesk) { self.desk = desk }

    /// - Parameter places: the next offsets that the index is to have reached.
    /// - Returns: how far the index is then; nil where it did not get there in time, or could not be asked.
    func wait(for places: [TopicPartition: Int64], deadline: Deadline) async throws -> IntakeDesk.IndexReach? {
        while !deadline.hasPassed {
            if let reach = try? await look(deadline),
                places.allSatisfy({ place, next in reach.nextOffsets[place] ?? 0 >= next })
            {
                return reach
            }
            try await Task.sleep(for: .milliseconds(Self.pauseMilliseconds))
        }
        return nil
    }

    private func look(_ deadline: Deadline) async throws -> IntakeDesk.IndexReach {
        let asked = SystemClock.monotonicNanoseconds()
        return try await lane.run { [self] in
            // Somebody before us in the line may have looked meanwhile.
            if let seen = seen.withLock({ $0 }), seen.atNanoseconds >= asked { return seen.reach }
            let now = SystemClock.monotonicNanoseconds()
            let reach = try desk.reached(max(1, min(Self.lookMillisecondsMax, deadline.leftMilliseconds)))
            seen.withLock { $0 = (now, reach) }
            return reach
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
