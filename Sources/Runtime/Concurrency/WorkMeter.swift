import Bytes
import Glibc
import Synchronization

/// Adds up the work that one request causes, on whatever threads it is done; waiting for a turn does not count.
///
/// Work is the time that it would have taken on a machine with nothing else to do. What a database does for a lane cannot be
/// seen from here, but how long threads like it wait for a processor can: Linux counts for each thread how long it ran and
/// how long it could have (`/proc/thread-self/schedstat`, Documentation/scheduler/sched-stats.rst). Without that an overload
/// would make each request look dear, and those who ask for little be taken for those who ask for much.
package final class WorkMeter: Sendable {
    /// That of the request which the current task serves; nil where nobody counts.
    @TaskLocal package static var current: WorkMeter?

    /// How many times longer than on an idle machine things take just now.
    private static let slowness = Mutex(1.0)
    /// No more than that is made good: an overload must be seen as one, or all that causes it would be let in.
    private static let slownessMax = 2.0

    private let sum = Atomic<Int64>(0)

    package init() {}

    /// The work so far.
    package var nanoseconds: Int64 { sum.load(ordering: .relaxed) }

    /// Adds work that was measured elsewhere.
    package func add(nanoseconds: Int64) {
        sum.wrappingAdd(nanoseconds, ordering: .relaxed)
    }

    /// Adds what `body` takes, which must run on one thread.
    func measure<T>(_ body: () throws -> T) rethrows -> T {
        let start = SystemClock.monotonicNanoseconds()
        let before = ThreadTimes.now()
        defer {
            let elapsed = SystemClock.monotonicNanoseconds() - start
            let slowness = Self.note(before, ThreadTimes.now())
            add(nanoseconds: Int64(Double(elapsed) / slowness))
        }
        return try body()
    }

    /// A moving average over all lanes: one request's own times say little.
    private static func note(_ before: ThreadTimes?, _ after: ThreadTimes?) -> Double {
        slowness.withLock { slowness in
            if let before, let after, after.ran > before.ran {
                let ran = Double(after.ran - before.ran)
                let times = (ran + Double(max(0, after.waited - before.waited))) / ran
                slowness += (min(times, slownessMax) - slowness) / 16
            }
            return slowness
        }
    }
}

/// What a thread has had of the processors, nanoseconds.
struct ThreadTimes {
    let ran: Int64
    /// Ready to run, but others did.
    let waited: Int64

    /// `ran waited slices`
    init?(schedstat: some Sequence<UInt8>) {
        var numbers: [Int64] = []
        var isInNumber = false
        for byte in schedstat {
            guard byte >= 0x30, byte <= 0x39 else {
                isInNumber = false
                continue
            }
            if !isInNumber {
                if numbers.count == 2 { break }
                numbers.append(0)
            }
            isInNumber = true
            numbers[numbers.count - 1] = numbers[numbers.count - 1] &* 10 &+ Int64(byte - 0x30)
        }
        guard numbers.count == 2 else { return nil }
        ran = numbers[0]
        waited = numbers[1]
    }

    /// Of the current thread; nil where the kernel does not count.
    static func now() -> ThreadTimes? {
        let descriptor = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return withUnsafeTemporaryAllocation(byteCount: 96, alignment: 1) { buffer in
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            return count > 0 ? ThreadTimes(schedstat: buffer[..<count]) : nil
        }
    }
}
