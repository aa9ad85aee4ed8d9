import HTTPClient

/// When a server may be asked next, by what its replies say of its limits: `Retry-After`, and OpenAI's `x-ratelimit-…`
/// headers, which others send as well. A value: who holds it asks it under a lock.
struct RateGate: Sendable {
    /// One kind of limit: requests, or tokens.
    struct Allowance: Sendable, Equatable {
        /// Left as of the last reply, less what was asked since; nil while nothing is known.
        private(set) var left: Int?
        private var limit = 0
        /// When there is as much again as at the beginning, monotonic.
        private(set) var fullNanoseconds: Int64 = 0
        /// Where it comes back bit by bit: the time for one.
        private(set) var unitNanoseconds: Int64?
        /// The earliest of the moments ``fullNanoseconds`` since the last one that passed.
        private var earliestNanoseconds: Int64 = 0

        /// - Parameters:
        ///   - sent: when what was replied to was asked.
        ///   - inFlight: asked and not answered, which the reply may not know of.
        mutating func note(
            limit: Int?, left now: Int, resetNanoseconds: Int64, sent: Int64, at moment: Int64, inFlight: Int
        ) {
            let (limit, now) = (limit.map(RateGate.clamped), RateGate.clamped(now))
            let reset = min(max(0, resetNanoseconds), RateGate.resetMax)
            let full = moment + reset
            let isSame = earliestNanoseconds > moment
            if let before = left, let limit, limit > now {
                // What comes back at once, at the end of a window, does so at the same moment whoever asked meanwhile; where it
                // comes back bit by bit, what was asked since puts that moment off by as many bits. A reply on its way for long
                // does not: the server counted from some moment after the request was sent. Some count whole seconds.
                let unit = reset / Int64(limit - now)
                let slack = unit / 2 + (reset % 1_000_000_000 == 0 ? 1_000_000_000 : 0)
                if isSame, sent + reset - earliestNanoseconds > slack, before >= now { unitNanoseconds = unit }
            }
            earliestNanoseconds = isSame ? min(earliestNanoseconds, full) : full
            // Replies may come in another order than their requests.
            let own = max(0, now - inFlight)
            left = fullNanoseconds > moment ? min(left ?? own, own) : own
            self.limit = limit ?? 0
            fullNanoseconds = full + RateGate.span(unitNanoseconds ?? 0, inFlight)
        }

        mutating func take(_ count: Int, _ now: Int64) {
            left = left.map { max(0, $0 - count) }
            if let unitNanoseconds {
                let full = max(fullNanoseconds, now) + RateGate.span(unitNanoseconds, count)
                fullNanoseconds = min(full, now + RateGate.spanMax)
            }
        }

        /// How long it takes until so much is there; 0 where it is, or nothing is known.
        mutating func pause(_ wanted: Int, _ now: Int64) -> Int64 {
            guard let left else { return 0 }
            if let unitNanoseconds {
                return max(0, fullNanoseconds - RateGate.span(unitNanoseconds, limit - wanted) - now)
            }
            if now >= fullNanoseconds {
                // The next replies say when this window ends; until then no more is asked for than it has.
                self.left = limit > 0 ? limit : nil
                fullNanoseconds = now + RateGate.resetDefault
                return 0
            }
            return left >= wanted ? 0 : fullNanoseconds - now
        }

        /// The server refused in spite of it: it comes back at the end of a window.
        mutating func distrust() { (left, unitNanoseconds) = (nil, nil) }
    }

    /// Requests at once where the server says nothing of limits.
    static let atOnceMax = 4

    private(set) var requests = Allowance()
    private(set) var tokens = Allowance()
    /// Nothing is asked before.
    private(set) var notBeforeNanoseconds: Int64 = 0
    private(set) var inFlight = 0
    /// At first one, until a reply says more.
    private var atOnce = 1
    /// Between requests, where the settings say so.
    let spacingNanoseconds: Int64

    init(requestsPerMinute: Int = 0) {
        spacingNanoseconds = requestsPerMinute > 0 ? 60_000_000_000 / Int64(requestsPerMinute) : 0
    }

    /// How long to wait before a request of so many tokens; 0: none. A request that is under way ends first where only one may
    /// be, which wakes who waits.
    mutating func pause(tokens wanted: Int, _ now: Int64) -> Int64 {
        if inFlight >= atOnce { return Self.untilReply }
        let own = max(0, notBeforeNanoseconds - now)
        return max(own, requests.pause(1, now), tokens.pause(wanted, now))
    }

    private static let untilReply: Int64 = 1_000_000_000

    mutating func begin(tokens count: Int, _ now: Int64) {
        inFlight += 1
        requests.take(1, now)
        tokens.take(count, now)
        if spacingNanoseconds > 0 { notBeforeNanoseconds = max(notBeforeNanoseconds, now + spacingNanoseconds) }
    }

    /// A request ended without a reply.
    mutating func end() { inFlight = max(0, inFlight - 1) }

    /// A request ended with a reply.
    ///
    /// - Parameter sent: when it began; nil: now.
    mutating func end(_ headers: HTTPClientHeaders, status: Int, sent: Int64? = nil, _ now: Int64) {
        end()
        note(headers, "requests", sent ?? now, now, \.requests, inFlight)
        note(headers, "tokens", sent ?? now, now, \.tokens, 0)
        if (200..<300).contains(status) {
            atOnce = min(Self.atOnceMax, atOnce * 2)
        } else if status == 429 {
            atOnce = 1
            // Its headers say what there would be, were it not for the refusal.
            requests.distrust()
            tokens.distrust()
        }
    }

    /// The server asked to wait, or it is left alone for a while.
    mutating func rest(_ nanoseconds: Int64, _ now: Int64) {
        notBeforeNanoseconds = max(notBeforeNanoseconds, now + max(0, nanoseconds))
    }

    private mutating func note(
        _ headers: HTTPClientHeaders, _ what: String, _ sent: Int64, _ now: Int64,
        _ path: WritableKeyPath<Self, Allowance>, _ inFlight: Int
    ) {
        guard let left = headers["x-ratelimit-remaining-\(what)"].flatMap({ Int($0) }), left >= 0 else { return }
        let reset = headers["x-ratelimit-reset-\(what)"].flatMap(Self.nanoseconds) ?? Self.resetDefault
        self[keyPath: path].note(
            limit: headers["x-ratelimit-limit-\(what)"].flatMap { Int($0) }, left: left, resetNanoseconds: reset,
            sent: sent, at: now, inFlight: inFlight)
    }

    /// What a refusal asks to wait; nil where it says nothing.
    static func asked(by headers: HTTPClientHeaders) -> Int64? {
        if let text = headers["retry-after-ms"], let milliseconds = Double(text), milliseconds >= 0 {
            return Int64(min(milliseconds * 1e6, Double(resetMax)))
        }
        if let seconds = headers.retryAfterSeconds { return min(Int64(seconds) * 1_000_000_000, resetMax) }
        return ["requests", "tokens"].compactMap { what in
            headers["x-ratelimit-remaining-\(what)"] == "0"
                ? headers["x-ratelimit-reset-\(what)"].flatMap(nanoseconds) : nil
        }.max()
    }

    /// Where it is not said when there is more: limits are by the minute as a rule.
    static let resetDefault: Int64 = 60_000_000_000
    private static let resetMax: Int64 = 3_600_000_000_000
    /// No span of time is counted as longer: a server may name any number.
    private static let spanMax: Int64 = 86_400_000_000_000

    private static func clamped(_ count: Int) -> Int { min(max(0, count), 1 << 40) }

    /// The time for so many.
    private static func span(_ unit: Int64, _ count: Int) -> Int64 {
        let (product, isTooMuch) = unit.multipliedReportingOverflow(by: Int64(max(0, count)))
        return isTooMuch ? spanMax : min(product, spanMax)
    }

    /// A time such as `1m30.5s`, `20ms`, or a bare number of seconds; an hour at most. Nil for anything else.
    static func nanoseconds(_ text: String) -> Int64? {
        var rest = Substring(text.lowercased().filter { $0 != " " })
        guard !rest.isEmpty else { return nil }
        var sum = 0.0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
            guard let number = Double(digits) else { return nil }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            guard let factor = ["d": 86_400, "h": 3_600, "m": 60, "s": 1, "": 1, "ms": 1e-3, "us": 1e-6][unit] else {
                return nil
            }
            sum += number * factor
        }
        return sum.isFinite ? Int64(min(sum * 1e9, Double(resetMax))) : nil
    }
}
