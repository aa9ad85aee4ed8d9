#if canImport(Glibc)
    import Glibc
#endif

/// Blocks the calling thread; for lanes and tests, never for a task on the cooperative pool.
package enum Pause {
    package static func milliseconds(_ count: Int) {
        var time = timespec(tv_sec: count / 1_000, tv_nsec: count % 1_000 * 1_000_000)
        // A signal may cut the pause short; callers poll, so a shorter pause does no harm.
        nanosleep(&time, nil)
    }
}
