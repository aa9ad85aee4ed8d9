import Glibc
import Synchronization

/// Analyzers for tasks that come and go, which have no thread of their own to keep one on.
///
/// Analysis takes microseconds and does not wait, so a task holds a thread for no longer than its own work would.
package final class TextAnalyzers: Sendable {
    private final class Slot: Sendable {
        /// Opened when it is first used.
        let analyzer = Mutex<TextAnalyzer?>(nil)
    }

    private let slots: [Slot]
    private let turn = Atomic(0)

    /// - Parameter count: how many may be at work at once; as many as there are threads that run tasks are enough.
    package init(count: Int = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))) {
        slots = (0..<max(count, 1)).map { _ in Slot() }
    }

    /// Lends an analyzer; waits for the next one in turn where all are in use.
    package func withAnalyzer<R: Sendable>(_ body: (TextAnalyzer) -> R) throws(TextError) -> R {
        for slot in slots {
            if let result = slot.analyzer.withLockIfAvailable({ Self.use(&$0, body) }) { return try result.get() }
        }
        let next = turn.wrappingAdd(1, ordering: .relaxed).newValue
        return try slots[Int(next.magnitude % UInt(slots.count))].analyzer.withLock { Self.use(&$0, body) }.get()
    }

    private static func use<R: Sendable>(
        _ analyzer: inout sending TextAnalyzer?, _ body: (TextAnalyzer) -> R
    ) -> Result<R, TextError> {
        do throws(TextError) {
            let open: TextAnalyzer
            if let kept = analyzer { open = kept } else { open = try TextAnalyzer() }
            analyzer = open
            return .success(body(open))
        } catch {
            return .failure(error)
        }
    }
}
