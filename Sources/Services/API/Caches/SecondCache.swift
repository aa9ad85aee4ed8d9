import Bytes
import Concurrency
import HTTPClient
import Hashing
import Health
package import Redis
import Synchronization
package import Telemetry

/// Replies that several servers share, in Redis. Where it does not answer within some milliseconds there is no second level: nothing
/// waits for it longer, and after some failures in a row nobody asks it for a while.
///
/// What it says is looked at like any input: a value has a checksum and names its own key, and is checked against the index as
/// every kept reply is.
package final class SecondCache: Sendable {
    private let client: RedisClient
    private let lane = Lane(name: "redis", inboxMax: 64)
    private let breaker = Mutex(CircuitBreaker())
    private let milliseconds: Int
    private let logger: Logger
    private let metrics: CacheMetrics
    private let outcomes: [Outcome: Counter]
    private let isFailing = Mutex(false)

    private enum Outcome: String, CaseIterable {
        case done
        case failed
        /// Too many calls waited before it for it to begin in time.
        case crowded
        /// It rests after failures.
        case resting
        /// A value was not what was written.
        case damaged
    }

    /// Whether a call came to its turn.
    private final class Begun: Sendable {
        let isBegun = Atomic(false)
    }

    /// Of one value; larger replies are not shared.
    static let bytesMax = 1 << 20
    private static let format = Array("medallion-reply-1\n".utf8)

    /// - Parameters:
    ///   - milliseconds: how long a request waits for it.
    package init(_ address: RedisAddress, milliseconds: Int, registry: MetricsRegistry, logger: Logger) {
        client = RedisClient(address)
        self.milliseconds = milliseconds
        self.logger = logger
        metrics = CacheMetrics(registry, .shared)
        outcomes = Dictionary(
            uniqueKeysWithValues: Outcome.allCases.map { outcome in
                (
                    outcome,
                    registry.counter(
                        "medallion_cache_redis_calls_total",
                        help: "Calls of the cache that servers share, by what came of them.",
                        labels: [("outcome", outcome.rawValue)])
                )
            })
    }

    /// What another server kept under a key; nil where there is nothing, or no time to wait for it.
    func value(for key: String) async -> [UInt8]? {
        let found = await call { client, milliseconds in
            try client.value(of: try Self.name(of: key), bytesMax: Self.bytesMax, milliseconds: milliseconds)
        }
        guard let found, let bytes = found else {
            metrics.misses.increment()
            return nil
        }
        guard let value = Self.opened(bytes, key) else {
            outcomes[.damaged]?.increment()
            metrics.misses.increment()
            return nil
        }
        return value
    }

    /// Notes that a value served somebody.
    func served(ageMilliseconds: Int64) { metrics.served(ageMilliseconds: ageMilliseconds) }

    /// Keeps a value for other servers; nobody waits for it.
    ///
    /// - Parameters:
    ///   - uses: by what it is counted later.
    ///   - make: the value; called beside the request.
    func keep(for key: String, keptMilliseconds: Int, _ uses: ReplyUses, _ make: @escaping @Sendable () -> [UInt8]) {
        // Not even made while nobody is asked.
        guard breaker.withLock({ $0.state(SystemClock.monotonicNanoseconds()) }) != .open else { return }
        Task {
            guard let sealed = Self.sealed(make(), key), sealed.count <= Self.bytesMax else { return }
            _ = await call { client, milliseconds in
                let digest = try Self.hash(Array(key.utf8))
                try client.set(
                    sealed, of: Self.name(digest), keptMilliseconds: keptMilliseconds, milliseconds: milliseconds)
                _ = try client.send(
                    try uses.notes(of: digest, keptMilliseconds: keptMilliseconds), bytesMax: 4_096,
                    milliseconds: milliseconds, operation: "APPEND")
            }
        }
    }

    /// How many values are kept that show something.
    ///
    /// - Returns: searches and answers; nil where the server did not say in time.
    func count(_ uses: ReplyUses, keptMilliseconds: Int) async -> (searches: Int, answers: Int)? {
        await call { client, milliseconds in
            let noted = try client.send(
                try uses.questions(keptMilliseconds: keptMilliseconds), bytesMax: ReplyUses.notesBytesMax,
                milliseconds: milliseconds, operation: "GETRANGE")
            var counts: [Int] = []
            for names in ReplyUses.names(in: noted) {
                guard !names.isEmpty else {
                    counts.append(0)
                    continue
                }
                // Some were removed, or went since.
                let exists = [Array("EXISTS".utf8)] + names.map { Array(Self.prefix.utf8) + $0 }
                let reply = try client.send([exists], bytesMax: 4_096, milliseconds: milliseconds, operation: "EXISTS")
                counts.append(reply.first.flatMap { $0 }.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0)
            }
            return (searches: counts[0], answers: counts[1])
        }
    }

    /// Removes what is kept under a key; nobody waits for it.
    func remove(_ key: String) {
        Task {
            _ = await call { client, milliseconds in
                try client.remove(try Self.name(of: key), milliseconds: milliseconds)
            }
        }
    }

    /// Whether the server answers. It is asked, unless it rests after failures.
    func health() async -> HealthReport {
        let hasAnswered = await call { client, milliseconds in
            _ = try client.send([[Array("PING".utf8)]], bytesMax: 64, milliseconds: milliseconds, operation: "PING")
            return true
        }
        // One that was not asked, because others were, is well.
        guard hasAnswered == nil, isFailing.withLock({ $0 }) else { return HealthReport(.ok) }
        return HealthReport(.failed, "the cache that servers share does not answer within \(milliseconds) ms")
    }

    private func call<T: Sendable>(
        _ body: @escaping @Sendable (RedisClient, Int) throws -> T
    ) async -> T? {
        guard let pass = breaker.withLock({ $0.begin(SystemClock.monotonicNanoseconds()) }) else {
            outcomes[.resting]?.increment()
            return nil
        }
        let (client, lane, milliseconds) = (self.client, self.lane, self.milliseconds)
        let begun = Begun()
        do {
            // The call has the same limit; a busy lane may add to that.
            let made = try await withTimeLimit(
                milliseconds: 2 * milliseconds, timeout: { WaitError.timeout("Redis", milliseconds: milliseconds) }
            ) {
                try await lane.run {
                    begun.isBegun.store(true, ordering: .relaxed)
                    return try body(client, milliseconds)
                }
            }
            breaker.withLock { $0.succeeded(pass) }
            outcomes[.done]?.increment()
            isFailing.withLock { $0 = false }
            return made
        } catch is CancellationError {
            breaker.withLock { $0.abandoned(pass) }
            return nil
        } catch  where error is LaneError || !begun.isBegun.load(ordering: .relaxed) {
            // There is more to ask than it has time for here, which says nothing of the server.
            breaker.withLock { $0.abandoned(pass) }
            outcomes[.crowded]?.increment()
            return nil
        } catch {
            breaker.withLock { $0.failed(pass, SystemClock.monotonicNanoseconds()) }
            outcomes[.failed]?.increment()
            let wasFailing = isFailing.withLock { isFailing in
                defer { isFailing = true }
                return isFailing
            }
            if !wasFailing { logger.warning("the cache that servers share is not used", ["error": "\(error)"]) }
            return nil
        }
    }

    // MARK: Values

    /// What all keys begin with.
    package static let prefix = "medallion:reply:"

    /// A key says nothing of what was asked, and is of one length.
    private static func name(of key: String) throws -> [UInt8] { name(try hash(Array(key.utf8))) }

    private static func name(_ digest: Digest256) -> [UInt8] { Array(prefix.utf8) + Array(digest.hex.utf8) }

    static func hash(_ bytes: [UInt8]) throws -> Digest256 {
        var hasher = try SHA256Hasher()
        return try bytes.withUnsafeBytes { bytes throws(HashingError) in try hasher.hash(bytes) }
    }

    /// A value with its format, the key that it belongs to, and a checksum of all.
    static func sealed(_ value: [UInt8], _ key: String) -> [UInt8]? {
        guard let checksum = try? hash(Array(key.utf8) + [10] + value) else { return nil }
        return format + Array(checksum.hex.utf8) + value
    }

    /// The value that was sealed for a key; nil for anything else.
    static func opened(_ bytes: [UInt8], _ key: String) -> [UInt8]? {
        let head = format.count + 64
        guard bytes.count > head, bytes.starts(with: format) else { return nil }
        let value = Array(bytes[head...])
        guard let checksum = try? hash(Array(key.utf8) + [10] + value),
            bytes[format.count..<head].elementsEqual(checksum.hex.utf8)
        else { return nil }
        return value
    }
}
