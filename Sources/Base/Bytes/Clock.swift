#if canImport(Glibc)
    import Glibc
#endif

/// The machine's clocks as integers, without Foundation.
package enum SystemClock {
    /// Milliseconds since 1970-01-01T00:00:00Z; may jump when the machine's clock is set.
    package static func epochMilliseconds() -> Int64 {
        let now = read(CLOCK_REALTIME)
        return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
    }

    /// Nanoseconds since an arbitrary moment; never goes back.
    package static func monotonicNanoseconds() -> Int64 {
        let now = read(CLOCK_MONOTONIC)
        return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var now = timespec()
        // Cannot fail: both clocks exist on every Linux and the pointer is valid.
        clock_gettime(clock, &now)
        return now
    }
}
