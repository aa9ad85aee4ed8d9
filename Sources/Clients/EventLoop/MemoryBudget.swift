import Synchronization

/// Bytes that the connections of all loops of a server may hold together, of one kind.
///
/// A loop is asked to give bytes back when all loops together hold more than two thirds of the bound and it holds more
/// than its own share; the shares of all loops are together the last third. So the whole stays within the bound, and a
/// loop that hostile clients fill takes nothing from the share of another.
package final class MemoryBudget: Sendable {
    /// What is held together stays below, but for what one read or one reply adds.
    package let bytesMax: Int
    fileprivate let softMax: Int
    fileprivate let ownShare: Int
    fileprivate let total = Atomic<Int>(0)

    /// - Parameter loops: how many ledgers will be made.
    package init(bytesMax: Int, loops: Int) {
        self.bytesMax = bytesMax
        softMax = bytesMax / 3 * 2
        ownShare = bytesMax / 3 / max(1, loops)
    }

    /// Bytes held now by all loops. Any thread.
    package var heldBytes: Int { total.load(ordering: .relaxed) }

    /// The book of one more loop.
    package func ledger() -> MemoryLedger { MemoryLedger(self) }
}

/// What one loop holds of a ``MemoryBudget``. Confined to that loop's thread.
package final class MemoryLedger {
    private let budget: MemoryBudget
    /// Bytes that this loop holds.
    package private(set) var heldBytes = 0
    /// Called when bytes were added and the loop must give some back.
    package var onOver: (() -> Void)?

    fileprivate init(_ budget: MemoryBudget) {
        self.budget = budget
    }

    /// Notes that so many bytes more (or less, below 0) are held.
    package func adjust(by difference: Int) {
        guard difference != 0 else { return }
        heldBytes += difference
        budget.total.add(difference, ordering: .relaxed)
        if difference > 0, isOver { onOver?() }
    }

    /// Whether the loop must give bytes back.
    package var isOver: Bool { heldBytes > budget.ownShare && budget.heldBytes > budget.softMax }

    /// Whether the loop may stop giving back: an eighth below the bound, so that the next byte does not start it again.
    package var isRelieved: Bool {
        heldBytes <= budget.ownShare / 8 * 7 || budget.heldBytes <= budget.softMax / 8 * 7
    }
}
