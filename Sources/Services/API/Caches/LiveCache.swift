import Bytes
import Concurrency
import Store
import Synchronization

/// How old what a cache served is, as replies say it.
struct CachedUse: Sendable {
    var ageMilliseconds: Int64
    /// The index version at which it was known to hold.
    var version: Int64
    /// The question that the answer was given to, and how near it is, where that was another one.
    var question: String?
    var similarity: Double?
}

/// Keeps what was found, in bounded memory and for a bounded time, and serves it as long as it is what a search would find.
///
/// What an index in memory follows is checked against what changed since it was checked last. All else is served for as long as
/// replies may be late.
final class LiveCache<Value: Sendable>: Sendable {
    private final class Entry: Sendable {
        let value: Value
        /// Monotonic nanoseconds.
        let madeAt: Int64
        let watched: Mutex<WatchedResult>

        init(_ value: Value, _ watched: WatchedResult, madeAt: Int64) {
            self.value = value
            self.madeAt = madeAt
            self.watched = Mutex(watched)
        }
    }

    private let kept: Mutex<LRUCache<Entry>>
    private let nanosecondsMax: Int64
    private let lateNanoseconds: Int64
    private let check: @Sendable (inout WatchedResult) -> WatchVerdict
    private let clock: @Sendable () -> Int64
    let metrics: CacheMetrics

    /// - Parameters:
    ///   - bytesMax: of all that is kept.
    ///   - millisecondsMax: how long each is kept.
    ///   - lateMilliseconds: how much later than a search it may show what changed, where that cannot be told.
    ///   - check: whether a result still holds.
    ///   - clock: monotonic nanoseconds.
    init(
        bytesMax: Int, millisecondsMax: Int, lateMilliseconds: Int, metrics: CacheMetrics,
        check: @escaping @Sendable (inout WatchedResult) -> WatchVerdict,
        clock: @escaping @Sendable () -> Int64 = SystemClock.monotonicNanoseconds
    ) {
        kept = Mutex(LRUCache(countMax: .max, bytesMax: bytesMax))
        nanosecondsMax = Int64(millisecondsMax) * 1_000_000
        lateNanoseconds = Int64(lateMilliseconds) * 1_000_000
        self.check = check
        self.clock = clock
        self.metrics = metrics
        metrics.show(
            bytes: { [weak self] in self?.kept.withLock { $0.bytes } ?? 0 },
            entries: { [weak self] in self?.kept.withLock { $0.count } ?? 0 },
            evictions: { [weak self] in self?.kept.withLock { $0.evictions } ?? 0 })
    }

    /// What is kept under a key and still holds.
    ///
    /// - Parameter versionMin: the index version that must be visible in it.
    func value(for key: String, versionMin: Int64? = nil) -> (value: Value, use: CachedUse)? {
        guard let entry = kept.withLock({ $0.value(for: key) }) else {
            metrics.misses.increment()
            return nil
        }
        let now = clock()
        var drop = now - entry.madeAt > nanosecondsMax ? CacheMetrics.Drop.expired : nil
        var version: Int64 = -1
        if drop == nil {
            (drop, version) = entry.watched.withLock { watched -> (CacheMetrics.Drop?, Int64) in
                switch check(&watched) {
                case .changed: return (.changed, watched.version)
                // Arms that are late are as unknown as none.
                case .holds, .unknown:
                    return (now - watched.goodAt > lateNanoseconds ? .unknown : nil, watched.version)
                }
            }
        }
        if let drop {
            metrics.count(drop)
            metrics.misses.increment()
            remove(key, entry)
            return nil
        }
        guard version >= versionMin ?? version else {
            metrics.misses.increment()
            return nil
        }
        let use = CachedUse(ageMilliseconds: max(0, now - entry.madeAt) / 1_000_000, version: version)
        metrics.served(ageMilliseconds: use.ageMilliseconds)
        return (entry.value, use)
    }

    /// Keeps what was found.
    ///
    /// - Parameters:
    ///   - bytes: memory that the value takes.
    ///   - milliseconds: how old it is already.
    func keep(
        _ value: Value, for key: String, bytes: Int, _ watched: WatchedResult, ageMilliseconds milliseconds: Int64 = 0
    ) {
        let entry = Entry(value, watched, madeAt: clock() - milliseconds * 1_000_000)
        kept.withLock { $0.insert(entry, for: key, valueBytes: bytes + watched.bytes) }
    }

    /// How much of what is kept, and may still be served, shows something.
    ///
    /// - Parameter shows: asked with a value and the passages that it shows, where they are known.
    func count(where shows: (Value, Set<Int64>?) -> Bool) -> Int {
        let now = clock()
        return kept.withLock { $0.values }.count { entry in
            now - entry.madeAt <= nanosecondsMax && shows(entry.value, entry.watched.withLock { $0.shownPassages })
        }
    }

    /// Gives up what is kept under a key.
    func remove(_ key: String) { kept.withLock { $0.remove(key) } }

    private func remove(_ key: String, _ entry: Entry) {
        kept.withLock { kept in
            // Somebody may have put a newer one in its place.
            if kept.value(for: key) === entry { kept.remove(key) }
        }
    }
}
