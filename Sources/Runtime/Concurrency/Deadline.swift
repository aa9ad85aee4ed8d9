import Bytes

/// Until when something must be done.
package struct Deadline: Sendable {
    private let nanoseconds: Int64
    /// The whole time that was given.
    package let limitMilliseconds: Int

    package init(milliseconds: Int) {
        limitMilliseconds = milliseconds
        nanoseconds = SystemClock.monotonicNanoseconds() + Int64(milliseconds) * 1_000_000
    }

    /// Milliseconds left; 0 when it has passed.
    package var leftMilliseconds: Int {
        Int(max(0, (nanoseconds - SystemClock.monotonicNanoseconds()) / 1_000_000))
    }

    /// Whether no time is left.
    package var hasPassed: Bool { leftMilliseconds == 0 }
}

/// Runs `body`, but does not wait for it longer than the deadline; it is then cancelled and what it returns is dropped.
///
/// - Parameter isLight: see ``withTimeLimit(milliseconds:timeout:isLight:_:)``.
/// - Throws: ``WaitError`` when the deadline has passed; what `body` throws; `CancellationError` at once when the task is
///   cancelled.
package func withDeadline<T: Sendable>(
    _ deadline: Deadline, what: String, isLight: Bool = false, _ body: @escaping @Sendable () async throws -> T
) async throws -> T {
    try await withTimeLimit(
        milliseconds: deadline.leftMilliseconds,
        timeout: { WaitError.timeout(what, milliseconds: deadline.limitMilliseconds) }, isLight: isLight, body)
}
