import Synchronization

/// The last documents that an index in memory showed and hid, so that what was found before can be checked against what changed
/// since. Bounded in bytes: what is older is forgotten, and with it what it would tell.
///
/// Who follows the index writes it; anybody may read it, on any thread, and waits for next to nothing.
package final class ChangeLog: Sendable {
    private struct State {
        var changes: [LoggedChange] = []
        /// The number of the first of them.
        var first = 0
        var bytes = 0
        /// The last versions that were reached, each with when it came to be and how many changes there were.
        var versions: [(version: Int64, stamp: Int64, number: Int)] = []
    }

    private static let versionsMax = 1_024

    /// Tells it from other indexes' logs.
    package let id: UInt64
    private let bytesMax: Int
    private let state = Mutex(State())
    private let count = Atomic<Int>(0)
    private static let ids = Atomic<UInt64>(0)

    /// - Parameter bytesMax: of the changes that are kept.
    init(bytesMax: Int = 8 << 20) {
        self.bytesMax = bytesMax
        id = Self.ids.add(1, ordering: .relaxed).newValue
    }

    /// Changes so far.
    package var number: Int { count.load(ordering: .acquiring) }

    /// Bytes that it takes in memory.
    var bytes: Int { state.withLock { $0.bytes } }

    /// What changed behind a number of changes, in order; nil where some of it is forgotten, or there never were so many.
    package func changes(since number: Int) -> [LoggedChange]? {
        state.withLock { state in
            guard number >= state.first, number <= state.first + state.changes.count else { return nil }
            return Array(state.changes[(number - state.first)...])
        }
    }

    /// How many changes there were at an index version at most, so that those behind it tell what came later; nil where that is
    /// forgotten, not reached yet, or versions around it came to be at other times, so that it is one of another history.
    package func number(at version: Int64, stamp: Int64) -> Int? {
        state.withLock { state in
            guard let last = state.versions.last, version <= last.version,
                let place = state.versions.lastIndex(where: { $0.version <= version })
            else { return nil }
            let known = state.versions[place]
            guard known.version == version ? known.stamp == stamp : known.stamp <= stamp else { return nil }
            if place + 1 < state.versions.count, known.version < version {
                guard state.versions[place + 1].stamp >= stamp else { return nil }
            }
            return known.number
        }
    }

    /// When a version came to be that was reached; nil where that is not known.
    package func stamp(of version: Int64) -> Int64? {
        state.withLock { $0.versions.last { $0.version == version }?.stamp }
    }

    /// Notes that a version was reached.
    func reach(_ version: Int64, stamp: Int64) {
        state.withLock { state in
            if state.versions.count >= Self.versionsMax { state.versions.removeFirst(Self.versionsMax / 2) }
            state.versions.append((version, stamp, state.first + state.changes.count))
        }
    }

    /// Notes changes that are made at once.
    func note(_ changes: [LoggedChange]) {
        guard !changes.isEmpty else { return }
        state.withLock { state in
            state.changes += changes
            state.bytes += changes.reduce(0) { $0 + $1.bytes }
            if state.bytes > bytesMax {
                // Down to the half at once, so that it is not due again with the next change.
                var dropped = 0
                while dropped < state.changes.count, state.bytes > bytesMax / 2 {
                    state.bytes -= state.changes[dropped].bytes
                    dropped += 1
                }
                state.changes.removeFirst(dropped)
                state.first += dropped
            }
            count.store(state.first + state.changes.count, ordering: .releasing)
        }
    }
}
