import Synchronization

/// How many of something (connections, streams, requests at once) each address or key has. Any thread.
///
/// Only those who hold a share are remembered, so there are never more entries than shares, and what is shared has a bound
/// of its own.
package final class ConnectionShares<Who: Hashable & Sendable>: Sendable {
    /// Shares that one may have at once; 0 for any number, and then nothing is counted.
    package let limit: Int
    private let held = Mutex<[Who: Int]>([:])

    package init(limit: Int) {
        self.limit = limit
    }

    /// Takes one share.
    ///
    /// - Returns: false where `who` has as many as it may; nothing is to be given back then.
    package func take(_ who: Who) -> Bool {
        guard limit > 0 else { return true }
        return held.withLock { held in
            let count = held[who] ?? 0
            guard count < limit else { return false }
            held[who] = count + 1
            return true
        }
    }

    /// Gives one share back that ``take(_:)`` gave out.
    package func give(_ who: Who) {
        guard limit > 0 else { return }
        held.withLock { held in
            guard let count = held[who] else { return }
            held[who] = count > 1 ? count - 1 : nil
        }
    }

    /// Shares that `who` has now.
    package func count(of who: Who) -> Int { held.withLock { $0[who] ?? 0 } }

    /// How many have any now.
    package var holders: Int { held.withLock { $0.count } }

    /// As ``take(_:)``, with a value that gives the share back when it is dropped; nil where there is none left.
    package func hold(_ who: Who) -> HTTPHold? {
        guard take(who) else { return nil }
        return HTTPHold { self.give(who) }
    }
}

/// Something set aside for a request; given back when the last reference goes, which is when the request is answered.
package final class HTTPHold: Sendable {
    private let release: @Sendable () -> Void

    package init(_ release: @escaping @Sendable () -> Void) {
        self.release = release
    }

    deinit { release() }
}
