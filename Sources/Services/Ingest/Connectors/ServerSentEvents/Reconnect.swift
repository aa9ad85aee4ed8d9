import Bytes
import ServiceLifecycle

/// Why a connection to the source ended or did not come about.
package enum ReconnectCause: String, Sendable, CaseIterable {
    /// The server ended the stream, as Wikimedia does every quarter of an hour.
    case ended
    /// Nothing came for too long.
    case stalled
    /// Refused, reset, unresolved, a TLS fault, a cut.
    case connection
    /// 429
    case tooManyRequests = "too_many_requests"
    /// 5xx
    case serverError = "server_error"
    /// 401, 403
    case forbidden
    /// Any other status, or a reply that is not an event stream.
    case notAStream = "not_a_stream"
    /// A Content-Encoding that nobody asked for and that is not undone here.
    case contentEncoding = "content_encoding"
}

/// How long to wait before the next attempt.
package struct ReconnectPolicy {
    /// A connection without events that lasted so long was a good one: the source had nothing to tell.
    private static let quietConnectionMilliseconds = 4_000
    private var backoff: Backoff
    private let configuration: ProducerConfiguration

    /// - Parameter seed: fixes the jitter for tests.
    package init(_ configuration: ProducerConfiguration, seed: UInt64? = nil) {
        self.configuration = configuration
        backoff = Backoff(
            baseMilliseconds: configuration.reconnectMilliseconds,
            capMilliseconds: configuration.reconnectMaxMilliseconds,
            floorMilliseconds: configuration.reconnectMilliseconds / 2, seed: seed)
    }

    /// To be called when a connection ended.
    ///
    /// - Parameters:
    ///   - connectedMilliseconds: how long the stream was open; 0 where it never was.
    ///   - hadEvents: whether it brought any.
    ///   - retryAfterMilliseconds: what the reply's Retry-After asked for.
    ///   - serverRetryMilliseconds: the stream's `retry:` field.
    /// - Returns: milliseconds to wait.
    package mutating func wait(
        after cause: ReconnectCause, connectedMilliseconds: Int64, hadEvents: Bool, retryAfterMilliseconds: Int?,
        serverRetryMilliseconds: Int?
    ) -> Int {
        // A server that accepts and cuts at once is failing too, so that only a connection of some length counts; more
        // of it where nothing came.
        let length = max(2 * configuration.reconnectMilliseconds, hadEvents ? 0 : Self.quietConnectionMilliseconds)
        if connectedMilliseconds >= Int64(length) { backoff.reset() }
        var wait = backoff.next()
        if let wish = serverRetryMilliseconds { wait = max(wait, min(wish, configuration.reconnectMaxMilliseconds)) }
        if [.forbidden, .notAStream, .contentEncoding].contains(cause) {
            wait = max(wait, configuration.refusedMilliseconds)
        }
        if let asked = retryAfterMilliseconds {
            // Never before the time that was asked for; the jitter of `wait` goes on top.
            let bounded = min(max(asked, 0), configuration.retryAfterMaxMilliseconds)
            wait = bounded + min(wait, max(bounded / 10, configuration.reconnectMilliseconds))
        }
        return wait
    }
}

/// The header Retry-After: seconds or an HTTP date (RFC 9110, sections 10.2.3 and 5.6.7).
package enum RetryAfter {
    private static let months = [
        "Jan": "01", "Feb": "02", "Mar": "03", "Apr": "04", "May": "05", "Jun": "06", "Jul": "07", "Aug": "08",
        "Sep": "09", "Oct": "10", "Nov": "11", "Dec": "12",
    ]

    /// Milliseconds to wait from `now` (milliseconds since 1970); nil where the text is neither form.
    package static func milliseconds(_ text: String, now: Int64) -> Int? {
        let text = text.drop { $0 == " " }
        if !text.isEmpty, text.allSatisfy({ $0.isASCII && $0.isNumber }) {
            guard let seconds = Int(text.prefix(10)) else { return nil }
            return seconds * 1_000
        }
        // Sun, 06 Nov 1994 08:49:37 GMT
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let month = months[String(parts[2])],
            let time = CivilTime.epochMilliseconds("\(parts[3])-\(month)-\(parts[1])T\(parts[4])Z")
        else { return nil }
        return Int(max(0, time - now))
    }
}

/// Lets through so many events a minute, evenly, with bursts of at most a second's worth.
package struct RateLimit {
    private let perMillisecond: Double
    private let capacity: Double
    private var tokens: Double
    private var last: Int64

    /// - Parameters:
    ///   - perMinute: nil is returned for 0, which means no limit.
    ///   - now: monotonic milliseconds.
    package init?(perMinute: Int, now: Int64) {
        guard perMinute > 0 else { return nil }
        perMillisecond = Double(perMinute) / 60_000
        capacity = max(1, Double(perMinute) / 60)
        tokens = capacity
        last = now
    }

    /// Takes a place for one event. 0 means go on; else nothing was taken, and asking again is worth it only after so
    /// many milliseconds.
    package mutating func take(now: Int64) -> Int {
        tokens = min(capacity, tokens + Double(max(0, now - last)) * perMillisecond)
        last = now
        if tokens >= 1 {
            tokens -= 1
            return 0
        }
        return max(1, Int(((1 - tokens) / perMillisecond).rounded(.up)))
    }
}
