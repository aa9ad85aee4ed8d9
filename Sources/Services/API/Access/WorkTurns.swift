import Bytes
import Concurrency
import HTTPServer
import Synchronization
import Telemetry

/// The kinds of work that requests cause, each with a part of what callers without a key may cause together.
enum WorkKind: String, CaseIterable, Sendable {
    /// Searches without filters.
    case search
    /// Searches with filters, which may have to look at many rows.
    case filtered
    /// `/events/recent`
    case feed
    /// `/trace/{doc_id}`
    case trace
    /// `/answer`
    case answer

    /// Per cent of the whole.
    var percent: Int {
        switch self {
        case .search: 60
        case .filtered: 8
        case .feed: 14
        case .trace: 6
        case .answer: 12
        }
    }
}

/// Gives callers without a key turns to work (``WorkShares``), so that what they cause together leaves room for the indexer
/// and for callers with a key, and so that one of them who asks for much waits rather than the others.
final class WorkTurns: Sendable {
    /// Behind a lock of its own.
    private final class Ledger: Sendable {
        let shares: Mutex<WorkShares<StreamSeats.Caller>>

        init(_ shares: WorkShares<StreamSeats.Caller>) {
            self.shares = Mutex(shares)
        }
    }

    private let ledgers: [WorkKind: Ledger]
    private let waiting = Mutex(Waiting())
    private let waitMillisecondsMax: Int
    private let waited: @Sendable (WorkKind) -> Void

    private struct Waiting {
        var count = 0
        var byCaller: [StreamSeats.Caller: Int] = [:]
    }

    private static let waitersMax = 256
    private static let waitersPerCallerMax = 8

    /// - Parameters:
    ///   - millisecondsPerSecond: of all kinds together; 0 for any.
    ///   - heavyAtOnceMax: see ``WorkShares``.
    ///   - waitMillisecondsMax: how long a request waits for its turn.
    init(
        millisecondsPerSecond: Int, heavyAtOnceMax: (WorkKind) -> Int, waitMillisecondsMax: Int,
        metrics: MetricsRegistry
    ) {
        self.waitMillisecondsMax = waitMillisecondsMax
        var ledgers: [WorkKind: Ledger] = [:]
        if millisecondsPerSecond > 0 {
            let now = SystemClock.monotonicNanoseconds()
            for kind in WorkKind.allCases {
                let seconds = Double(millisecondsPerSecond * kind.percent) / 100_000
                ledgers[kind] = Ledger(
                    WorkShares(secondsPerSecond: seconds, heavyAtOnceMax: heavyAtOnceMax(kind), now: now))
            }
        }
        self.ledgers = ledgers
        let counters = Dictionary(
            uniqueKeysWithValues: WorkKind.allCases.map { kind in
                (
                    kind,
                    metrics.counter(
                        "medallion_api_waited_turns_total",
                        help:
                            "Requests without a key that waited for a turn, since their callers had caused much work.",
                        labels: [("kind", kind.rawValue)])
                )
            })
        waited = { counters[$0]?.increment() }
    }

    /// As the API is configured.
    convenience init(_ configuration: SearchAPIConfiguration, metrics: MetricsRegistry) {
        self.init(
            millisecondsPerSecond: configuration.access.anonymousWorkMilliseconds,
            heavyAtOnceMax: configuration.lanesForHeavyCallers,
            waitMillisecondsMax: configuration.laneWaitMillisecondsMax, metrics: metrics)
    }

    /// Runs `body` when it is the caller's turn.
    ///
    /// - Throws: ``APIError`` with 429 where the turn does not come in time or too many wait for theirs; what `body` throws.
    func run<T>(
        _ kind: WorkKind, for caller: StreamSeats.Caller, deadline: Deadline, _ body: () async throws -> T
    ) async throws -> T {
        guard let ledger = ledgers[kind] else { return try await body() }
        let turn = try await turn(kind, ledger, caller, deadline)
        let meter = WorkMeter()
        defer {
            let now = SystemClock.monotonicNanoseconds()
            ledger.shares.withLock { $0.end(turn, of: caller, nanoseconds: meter.nanoseconds, now: now) }
        }
        return try await WorkMeter.$current.withValue(meter) { try await body() }
    }

    private func turn(
        _ kind: WorkKind, _ ledger: Ledger, _ caller: StreamSeats.Caller, _ deadline: Deadline
    ) async throws -> WorkTurn {
        var wait: Int64 = 0
        switch ask(ledger, caller) {
        case .begin(let turn): return turn
        case .wait(let nanoseconds): wait = nanoseconds
        }
        guard enter(caller) else { throw Self.tooMuch("as many requests wait for a turn already as may") }
        defer { leave(caller) }
        waited(kind)
        let patience = Deadline(milliseconds: min(waitMillisecondsMax, deadline.leftMilliseconds))
        while !patience.hasPassed {
            try await Task.sleep(for: .nanoseconds(wait))
            switch ask(ledger, caller) {
            case .begin(let turn): return turn
            case .wait(let nanoseconds): wait = nanoseconds
            }
        }
        throw Self.tooMuch("its turn did not come in time")
    }

    private func ask(_ ledger: Ledger, _ caller: StreamSeats.Caller) -> WorkShares<StreamSeats.Caller>.Turn {
        let now = SystemClock.monotonicNanoseconds()
        return ledger.shares.withLock { $0.ask(caller, now: now) }
    }

    private func enter(_ caller: StreamSeats.Caller) -> Bool {
        waiting.withLock { waiting in
            let count = waiting.byCaller[caller] ?? 0
            guard count < Self.waitersPerCallerMax, waiting.count < Self.waitersMax else { return false }
            waiting.byCaller[caller] = count + 1
            waiting.count += 1
            return true
        }
    }

    private func leave(_ caller: StreamSeats.Caller) {
        waiting.withLock { waiting in
            waiting.count -= 1
            let left = (waiting.byCaller[caller] ?? 0) - 1
            waiting.byCaller[caller] = left > 0 ? left : nil
        }
    }

    private static func tooMuch(_ why: String) -> APIError {
        APIError(
            status: 429, type: "too_much_work",
            message:
                "this address has caused more work than its share of what requests without a key may cause "
                + "(API_ANONYMOUS_WORK), and \(why); ask less often, or send a key",
            headers: ["Retry-After": "1"])
    }
}

/// What a handler's work runs in: the time that a request may take, and its caller's turn where it has no key.
struct RequestTurns: Sendable {
    let turns: WorkTurns
    let access: AccessGuard
    /// One request may take so long.
    let limitMilliseconds: Int
    /// Until when a request must be done that holds several: they share its time.
    @TaskLocal static var shared: Deadline?

    /// Until when a request must be done whose work begins now.
    var deadline: Deadline { Self.shared ?? Deadline(milliseconds: limitMilliseconds) }

    /// Runs what a request asks for; its time begins now, or began with the request that it is a part of.
    func run<T>(
        _ kind: WorkKind, _ request: HTTPRequest, _ body: (Deadline) async throws -> T
    ) async throws -> T {
        let deadline = deadline
        return try await run(kind, request, deadline: deadline) { try await body(deadline) }
    }

    /// The same where the time has begun already.
    func run<T>(
        _ kind: WorkKind, _ request: HTTPRequest, deadline: Deadline, _ body: () async throws -> T
    ) async throws -> T {
        try await WorkOwner.$current.withValue(access.origin(of: request)?.hashValue) {
            try await take(kind, request, deadline, body)
        }
    }

    /// Runs what waits for others and is no part of the caller's share; callers still take turns at places.
    func wait<T>(_ request: HTTPRequest, _ body: () async throws -> T) async throws -> T {
        try await WorkOwner.$current.withValue(access.origin(of: request)?.hashValue) { try await body() }
    }

    private func take<T>(
        _ kind: WorkKind, _ request: HTTPRequest, _ deadline: Deadline, _ body: () async throws -> T
    ) async throws -> T {
        guard let caller = access.sharingCaller(request) else { return try await body() }
        do {
            return try await turns.run(kind, for: caller, deadline: deadline) { try await body() }
        } catch let error as APIError where error.type == "too_much_work" {
            access.noteRefusal(error.type)
            throw error
        }
    }
}
