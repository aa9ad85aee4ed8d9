import Bytes
import HTTPEndpoints
import Sources
import Synchronization

/// How many documents a second the sources take, as they are declared.
final class IntakeQuotas: Sendable {
    private let buckets = Mutex<[String: (rate: Int, bucket: TokenBucket)]>([:])
    private let clock: @Sendable () -> Int64
    /// Seconds' worth of documents that may come at once.
    private static let burstSeconds = 2

    /// - Parameter clock: monotonic nanoseconds.
    init(clock: @escaping @Sendable () -> Int64 = SystemClock.monotonicNanoseconds) { self.clock = clock }

    /// Pays for documents. A request goes while anything is left, however many documents it has; what it takes beyond
    /// that has to come back before the next one goes.
    ///
    /// - Throws: 429 with the time to wait.
    func take(_ count: Int, of source: String, rate: Int?) throws(EndpointError) {
        guard let rate else { return }
        let (now, burst) = (clock(), Double(rate * Self.burstSeconds))
        let wait = buckets.withLock { buckets in
            var (known, bucket) = buckets[source] ?? (rate, TokenBucket(burst: burst, nowNanoseconds: now))
            // Another declaration begins anew.
            if known != rate { (known, bucket) = (rate, TokenBucket(burst: burst, nowNanoseconds: now)) }
            let wait = bucket.take(count, rate: Double(rate), burst: burst, nowNanoseconds: now)
            buckets[source] = (known, bucket)
            return wait
        }
        guard let wait else { return }
        let seconds = max(1, (wait + 999_999_999) / 1_000_000_000)
        throw EndpointError(
            status: 429, type: "quota_exceeded",
            message:
                "the source \(source) takes \(rate) documents a second (documents_per_second); none of these was taken, send them "
                + "again in \(seconds) s",
            headers: ["Retry-After": "\(seconds)"])
    }

    /// Gives back what was paid for documents that were not taken.
    func giveBack(_ count: Int, of source: String) {
        buckets.withLock { buckets in
            guard case (let rate, var bucket)? = buckets[source] else { return }
            bucket.giveBack(count, burst: Double(rate * Self.burstSeconds))
            buckets[source] = (rate, bucket)
        }
    }
}
