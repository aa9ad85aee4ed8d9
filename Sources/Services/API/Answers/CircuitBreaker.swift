/// Keeps a server that fails from being asked for a while: after some failures in a row it rests, then one request may try.
struct CircuitBreaker: Sendable {
    /// Failures in a row after which it rests.
    static let failuresMax = 5
    /// The first rest; each further one is twice as long.
    static let restMillisecondsFirst: Int64 = 5_000
    static let restMillisecondsMax: Int64 = 120_000

    enum State: String, Sendable { case closed, open, halfOpen = "half_open" }

    private(set) var failures = 0
    private var rests = 0
    /// Monotonic.
    private var openUntilNanoseconds: Int64?
    private var isTrying = false

    func state(_ nowNanoseconds: Int64) -> State {
        guard let until = openUntilNanoseconds else { return .closed }
        return nowNanoseconds < until ? .open : .halfOpen
    }

    /// Whether a request may be made now; it is then followed by one of the three calls below.
    mutating func begin(_ nowNanoseconds: Int64) -> Bool {
        switch state(nowNanoseconds) {
        case .closed: return true
        case .open: return false
        case .halfOpen:
            guard !isTrying else { return false }
            isTrying = true
            return true
        }
    }

    mutating func succeeded() { self = CircuitBreaker() }

    mutating func failed(_ nowNanoseconds: Int64) {
        failures += 1
        guard isTrying || failures >= Self.failuresMax else { return }
        isTrying = false
        let rest = min(Self.restMillisecondsMax, Self.restMillisecondsFirst << Int64(min(rests, 10)))
        rests += 1
        openUntilNanoseconds = nowNanoseconds + rest * 1_000_000
    }

    /// Nobody waited for how it ended.
    mutating func abandoned() { isTrying = false }
}
