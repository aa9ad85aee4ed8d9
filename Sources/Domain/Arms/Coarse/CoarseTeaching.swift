import Dispatch
import Synchronization

/// Sees to it that one thread at a time learns ``CoarseLists`` of an index, and none that searches or changes it.
final class CoarseTeacher: Sendable {
    private static let queue = DispatchQueue(label: "arms-lists", qos: .utility)
    private let isTeaching = Atomic(false)

    /// Lets a thread of its own learn, where none does yet. It holds the index for as long: less than a minute for some
    /// million vectors.
    func begin(_ index: ArmsIndex) {
        guard !isTeaching.exchange(true, ordering: .acquiringAndReleasing) else { return }
        Self.queue.async { [self] in
            index.learn()
            isTeaching.store(false, ordering: .releasing)
        }
    }
}

extension ArmsIndex {
    /// Learns where a search looks first, from the vectors that are there, and puts it to use. Blocking, for about ten
    /// seconds a million vectors; searches and changes go on beside it.
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
