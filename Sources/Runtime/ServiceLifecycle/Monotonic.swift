import Bytes

/// Time for deadlines inside this module.
enum Monotonic {
    static func milliseconds() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }
}
