import Synchronization

/// How fast callers may read what lies behind the newest events: bytes a second of each, over all of its streams. A client
/// that comes back again and again and wants everything from the start then gets it no faster than one that stays.
final class CatchUpPace: Sendable {
    private struct Account {
        var bytes: Double
        var filledAt: Int64
    }

    /// Bytes a second; 0 for any number.
    private let rate: Int
    private let accounts = Mutex<[StreamSeats.Caller: Account]>([:])

    /// Seconds' worth of bytes that come at once.
    private static let burstSeconds = 8.0
    /// Callers with a key may read so many times faster.
    private static let keyFactor = 8.0
    private static let callersMax = 8_192
    private static let waitMillisecondsMax = 250.0

    /// - Parameter bytesPerSecond: of one address without a key; 0 for any number.
    init(bytesPerSecond: Int) {
        rate = bytesPerSecond
    }

    /// Milliseconds that a caller has to wait before it is given more, or asks again; 0 for none.
    func waitMilliseconds(_ caller: StreamSeats.Caller, now: Int64) -> Int {
        guard rate > 0 else { return 0 }
        let rate = rate(of: caller)
        return accounts.withLock { accounts in
            guard let account = accounts[caller] else { return 0 }
            let bytes = filled(account, rate, now)
            guard bytes >= rate * Self.burstSeconds else {
                return bytes > 0 ? 0 : Int(min(Self.waitMillisecondsMax, 1 - bytes / rate * 1_000))
            }
            accounts[caller] = nil
            return 0
        }
    }

    func note(_ count: Int, of caller: StreamSeats.Caller, now: Int64) {
        guard rate > 0 else { return }
        let rate = rate(of: caller)
        accounts.withLock { accounts in
            if accounts[caller] == nil, accounts.count >= Self.callersMax {
                // Those whose account is full again are forgotten; else somebody else's, who then has a full one.
                accounts = accounts.filter {
                    filled($1, self.rate(of: $0), now) < self.rate(of: $0) * Self.burstSeconds
                }
                if accounts.count >= Self.callersMax, let any = accounts.keys.first { accounts[any] = nil }
            }
            let account = accounts[caller] ?? Account(bytes: rate * Self.burstSeconds, filledAt: now)
            accounts[caller] = Account(bytes: filled(account, rate, now) - Double(count), filledAt: now)
        }
    }

    private func rate(of caller: StreamSeats.Caller) -> Double {
        if case .key = caller { Double(rate) * Self.keyFactor } else { Double(rate) }
    }

    private func filled(_ account: Account, _ rate: Double, _ now: Int64) -> Double {
        min(rate * Self.burstSeconds, account.bytes + Double(max(0, now - account.filledAt)) / 1e9 * rate)
    }
}
