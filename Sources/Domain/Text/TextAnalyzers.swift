import Synchronization

/// Analyzers for tasks that come and go, which have no thread of their own to keep one on.
///
/// Analysis takes microseconds and does not wait, so a task holds a thread for no longer than its own work would.
package final class TextAnalyzers: Sendable {
    private final class Slot: Sendable {
        let analyzer: Mutex<TextAnalyzer>

        init() throws(TextError) { analyzer = Mutex(try TextAnalyzer()) }
    }

    private let slots: [Slot]
    private let turn = Atomic(0)

    /// - Parameter count: how many may be at work at once: as many as there are threads that run tasks.
    package init(count: Int) throws(TextError) {
        var slots: [Slot] = []
        for _ in 0..<max(count, 1) { slots.append(try Slot()) }
        self.slots = slots
    }

    /// Lends an analyzer; waits for the next one in turn where all are in use.
    package func withAnalyzer<R: Sendable>(_ body: (TextAnalyzer) -> R) -> R {
        for slot in slots {
            if let result = slot.analyzer.withLockIfAvailable({ body($0) }) { return result }
        }
        let next = turn.wrappingAdd(1, ordering: .relaxed).newValue
        return slots[Int(next.magnitude % UInt(slots.count))].analyzer.withLock { body($0) }
    }
}
