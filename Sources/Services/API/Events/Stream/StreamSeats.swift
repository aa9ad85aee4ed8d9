import Bytes
import Synchronization

/// How many streams each caller has open. Bounded by the open streams themselves.
final class StreamSeats: Sendable {
    /// Whose streams count together.
    enum Caller: Hashable, Sendable {
        /// A key, wherever it is used.
        case key(String)
        /// An address without a valid key; IPv6: one /64.
        case address(IPAddress)
    }

    private let perKeyMax: Int
    private let perAddressMax: Int
    /// Streams that are open, whosever they are.
    let open = Atomic(0)
    private let taken = Mutex<[Caller: Int]>([:])

    /// - Parameters: streams of one key and of one address; 0 for any number.
    init(perKeyMax: Int, perAddressMax: Int) {
        self.perKeyMax = perKeyMax
        self.perAddressMax = perAddressMax
    }

    /// How many streams a caller may have; 0 for any number.
    func limit(of caller: Caller) -> Int {
        switch caller {
        case .key: perKeyMax
        case .address: perAddressMax
        }
    }

    /// - Returns: false where the caller has as many as it may.
    func take(_ caller: Caller) -> Bool {
        let limit = limit(of: caller)
        return taken.withLock { taken in
            let count = taken[caller] ?? 0
            guard limit == 0 || count < limit else { return false }
            taken[caller] = count + 1
            return true
        }
    }

    func leave(_ caller: Caller) {
        taken.withLock { taken in
            let left = (taken[caller] ?? 0) - 1
            taken[caller] = left > 0 ? left : nil
        }
    }
}
