import Dispatch
import Synchronization

/// Sees to it that one thread at a time learns ``CoarseLists`` of an index, and none that searches or changes it.
final class CoarseTeacher: Sendable {
    static let queue = DispatchQueue(label: "arms-lists", qos: .utility)
    private let isTeaching = Atomic(false)
    private let isAbandoned = Atomic(false)

    /// Lets a thread of its own learn, where none does yet: for a minute or so where there are some million vectors. An index
    /// that waits for others to be learnt is not held meanwhile, and one that is learnt until it is abandoned.
    ///
    /// - Parameter queue: on which it is learnt; one index at a time.
    func begin(_ index: ArmsIndex, on queue: DispatchQueue = CoarseTeacher.queue) {
        guard !isAbandoned.load(ordering: .acquiring),
            !isTeaching.exchange(true, ordering: .acquiringAndReleasing)
        else { return }
        queue.async { [self, weak index] in
            index?.learn { !isAbandoned.load(ordering: .acquiring) }
            isTeaching.store(false, ordering: .releasing)
        }
    }

    /// Ends the learning, and lets none begin.
    func abandon() { isAbandoned.store(true, ordering: .releasing) }
}

extension ArmsIndex {
    /// Learns where a search looks first, from the vectors that are there, and puts it to use. Blocking: 13 s for 200,000
    /// vectors and 71 s for two million were measured, on a busy machine. Searches and changes go on beside it.
    ///
    /// - Parameter goesOn: asked now and then; false gives it up.
    package func learn(goesOn: () -> Bool = { true }) {
        func now() -> (table: VectorTable, used: SlotSet) {
            lock.reading { (state.vectors.table, state.vectors.used) }
        }
        let first = now()
        let lists = CoarseLearning(
            table: first.table, used: first.used, settings: state.vectors.coarseSettings
        ).lists(goesOn: goesOn)
        guard goesOn() else { return }
        if let lists {
            // What changed meanwhile is brought in before others have to wait, and what changed during that is little.
            for _ in 0..<2 {
                let next = now()
                guard lists.follow(next.table, next.used, goesOn: goesOn) else { return }
            }
        }
        // Freed outside the lock.
        _ = lock.writing { state.vectors.install(lists) }
    }

    /// How many lists there are, and of how many vectors a search without a filter compares the codes; nil where there are no
    /// lists, and it compares all.
    package var lists: (count: Int, codes: Int)? {
        lock.reading {
            let arm = state.vectors
            return arm.coarse.map { ($0.centres.count, $0.reach.codes(among: arm.usedCount, isFiltered: false)) }
        }
    }
}
