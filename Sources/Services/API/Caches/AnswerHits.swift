import Concurrency
import Records
import Retrieval
import ServiceLifecycle
import Synchronization
import Telemetry

/// Counts answers that are given again, and writes the counts to the database once a second, since a hit is not to wait for it.
final class AnswerHits: Sendable {
    private struct Name: Hashable {
        let tenant: TenantID
        let id: String
    }

    private struct Count {
        var number: Int64 = 0
        /// Called where the answer is no longer kept.
        var forget: @Sendable () -> Void
    }

    private let stores: StoreLanes
    private let logger: Logger
    private let counts = Mutex<[Name: Count]>([:])
    private let isFailing = Mutex(false)

    private static let pauseMilliseconds = 1_000
    private static let writeMillisecondsMax = 5_000
    /// Answers that are counted between two writes; hits of others are not.
    private static let countedMax = 10_000
    private static let batchMax = 1_000

    /// - Parameter stores: whose lanes the writes take.
    init(stores: StoreLanes, logger: Logger) {
        self.stores = stores
        self.logger = logger
    }

    /// Notes that an answer was given again.
    ///
    /// - Parameter forget: called where it turns out to be no longer kept.
    func note(_ id: String, of tenant: TenantID, forget: @escaping @Sendable () -> Void) {
        let name = Name(tenant: tenant, id: id)
        counts.withLock { counts in
            if counts[name] != nil {
                counts[name]?.number += 1
            } else if counts.count < Self.countedMax {
                counts[name] = Count(number: 1, forget: forget)
            }
        }
    }

    /// Writes until stopped, and once more then.
    func run(stop: StopSignal) async {
        while !(await stop.pause(milliseconds: Self.pauseMilliseconds)) { await write() }
        await write()
    }

    /// Writes what was counted. What cannot be written is counted on.
    func write() async {
        let taken = counts.withLock { counts in
            defer { counts = [:] }
            return counts
        }
        for (tenant, all) in Dictionary(grouping: taken, by: \.key.tenant) {
            // In one order, so that two servers do not wait for each other.
            let sorted = all.sorted { $0.key.id < $1.key.id }
            for start in stride(from: 0, to: sorted.count, by: Self.batchMax) {
                await write(Array(sorted[start..<min(start + Self.batchMax, sorted.count)]), of: tenant)
            }
        }
    }

    private func write(_ batch: [(key: Name, value: Count)], of tenant: TenantID) async {
        let hits = batch.map { AnswerHitCount(id: $0.key.id, number: $0.value.number) }
        do {
            let kept = try await stores.run(deadline: Deadline(milliseconds: Self.writeMillisecondsMax)) {
                store, timeout in try store.count(hits, of: tenant, timeoutMilliseconds: timeout)
            }
            for (name, count) in batch where !kept.contains(name.id) { count.forget() }
            isFailing.withLock { $0 = false }
        } catch {
            let wasFailing = isFailing.withLock { isFailing in
                defer { isFailing = true }
                return isFailing
            }
            if !wasFailing {
                logger.warning("it cannot be noted how often answers were given again", ["error": "\(error)"])
            }
            counts.withLock { counts in
                for (name, count) in batch where counts[name] != nil || counts.count < Self.countedMax {
                    counts[name, default: Count(forget: count.forget)].number += count.number
                }
            }
        }
    }
}
