/// Keeps a server that fails from being asked for a while: after some failures in a row it rests, then one request may try.
package struct CircuitBreaker: Sendable {
    /// Failures in a row after which it rests.
    package static let failuresMax = 5
    /// The first rest; each further one is twice as long.
    package static let restMillisecondsFirst: Int64 = 5_000
    /// No rest is longer.
    package static let restMillisecondsMax: Int64 = 120_000

    /// Whether the server is asked, rests, or is tried by one request.
    package enum State: String, Sendable { case closed, open, halfOpen = "half_open" }

    /// For a server that is well.
    package init() {}

    /// In a row, so far.
    package private(set) var failures = 0
    private var rests = 0
    /// Monotonic.
    private var openUntilNanoseconds: Int64?
    /// The trial that is under way.
    private var trial: Int?
    private var trials = 0

    /// Leave to make a request; it goes with the one call that tells how the request ended.
    package struct Pass: Sendable, Equatable {
        /// Nil for a request of a server that did not rest.
        fileprivate let trial: Int?
    }

    /// - Parameter nowNanoseconds: monotonic, as all times here.
    package func state(_ nowNanoseconds: Int64) -> State {
        guard let until = openUntilNanoseconds else { return .closed }
        return nowNanoseconds < until ? .open : .halfOpen
    }

    /// Whether a request may be made now; nil where not. One that may is followed by one of the three calls below.
    package mutating func begin(_ nowNanoseconds: Int64) -> Pass? {
        switch state(nowNanoseconds) {
        case .closed: return Pass(trial: nil)
        case .open: return nil
        case .halfOpen:
            guard trial == nil else { return nil }
            trials += 1
            trial = trials
            return Pass(trial: trials)
        }
    }

    /// A reply that was asked for before the server began to rest says nothing of how it is now.
    package mutating func succeeded(_ pass: Pass) {
        guard isCurrent(pass) else { return }
        let trials = trials
        self = CircuitBreaker()
        self.trials = trials
    }

    /// Failures of requests that were under way when the rest began do not lengthen it.
    package mutating func failed(_ pass: Pass, _ nowNanoseconds: Int64) {
        guard isCurrent(pass) else { return }
        failures += 1
        guard pass.trial != nil || failures >= Self.failuresMax else { return }
        trial = nil
        let rest = min(Self.restMillisecondsMax, Self.restMillisecondsFirst << Int64(min(rests, 10)))
        rests += 1
        openUntilNanoseconds = nowNanoseconds + rest * 1_000_000
    }

    /// Nobody waited for how it ended, or it says nothing of the server.
    package mutating func abandoned(_ pass: Pass) { if pass.trial != nil, isCurrent(pass) { trial = nil } }

    private func isCurrent(_ pass: Pass) -> Bool {
        pass.trial == nil ? openUntilNanoseconds == nil : pass.trial == trial
    }
}
