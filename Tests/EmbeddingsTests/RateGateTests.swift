import HTTPClient
import Testing

@testable import Embeddings

/// A server's limits are kept, and used up.
@Suite struct RateGateTests {
    private static let second: Int64 = 1_000_000_000

    /// A server of three requests a minute, as servers count them.
    enum Kind: CaseIterable, Sendable {
        /// Three from the beginning of a window on.
        case window
        /// One comes back every twenty seconds.
        case bucket
    }

    struct Server {
        let kind: Kind
        var began: Int64 = 0
        var count = 0
        /// Of the bucket: when it is full again.
        var full: Int64 = 0

        /// Nil where it refuses.
        mutating func ask(_ now: Int64) -> HTTPClientHeaders? {
            var (left, reset): (Int64, Int64)
            switch kind {
            case .window:
                if count == 0 || now - began >= 60 * second { (began, count) = (now, 0) }
                count += 1
                (left, reset) = (3 - Int64(count), began + 60 * second - now)
            case .bucket:
                full = max(full, now) + 20 * second
                (left, reset) = ((60 * second - (full - now)) / (20 * second), full - now)
                if full - now > 60 * second { left = -1 }
            }
            guard left >= 0 else { return nil }
            return HTTPClientHeaders([
                ("x-ratelimit-limit-requests", "3"), ("X-RateLimit-Remaining-Requests", "\(left)"),
                ("x-ratelimit-reset-requests", "\(Double(reset) / 1e9)s"),
            ])
        }
    }

    @Test(arguments: Kind.allCases, [1, 4, 9, 20]) func aBacklogTakesNoLongerThanItMust(kind: Kind, requests: Int) {
        var server = Server(kind: kind)
        var gate = RateGate()
        var now: Int64 = 5 * Self.second
        let began = now
        for number in 0..<requests {
            while case let pause = gate.pause(tokens: 10, now), pause > 0 { now += pause }
            gate.begin(tokens: 10, now)
            guard let headers = server.ask(now) else {
                Issue.record("request \(number) came too early")
                return
            }
            now += Self.second / 5
            gate.end(headers, status: 200, now)
        }
        // Three at once, then three a minute: with a bucket one each twenty seconds.
        let rounds = kind == .window ? Double((requests - 1) / 3) * 60 : Double(max(0, requests - 3)) * 20
        #expect(Double(now - began) / 1e9 <= 1.2 * rounds + 1, "\(Double(now - began) / 1e9) s for \(rounds)")
    }

    @Test func timesAreReadAsServersWriteThem() {
        let times: [(String, Double?)] = [
            ("20s", 20), ("1m30.5s", 90.5), ("6ms", 0.006), ("2h", 3_600), ("12", 12), ("0", 0), ("", nil),
            ("soon", nil), ("-1s", nil), ("1e400", nil), ("999999999999h", 3_600),
        ]
        for (text, seconds) in times {
            #expect(RateGate.nanoseconds(text) == seconds.map { Int64($0 * 1e9) }, "\(text)")
        }
    }

    @Test func oneRequestAtFirst() {
        var gate = RateGate()
        #expect(gate.pause(tokens: 1, 0) == 0)
        gate.begin(tokens: 1, 0)
        #expect(gate.pause(tokens: 1, 0) > 0)
        gate.end(HTTPClientHeaders(), status: 200, 1)
        gate.begin(tokens: 1, 1)
        #expect(gate.pause(tokens: 1, 1) == 0)
        gate.rest(5, 1)
        #expect(gate.pause(tokens: 1, 1) == 5)
    }

    @Test func tokensAreWaitedForToo() {
        var gate = RateGate()
        gate.begin(tokens: 900, 0)
        gate.end(
            HTTPClientHeaders([
                ("x-ratelimit-limit-tokens", "1000"), ("x-ratelimit-remaining-tokens", "100"),
                ("x-ratelimit-reset-tokens", "54s"),
            ]), status: 200, 0)
        #expect(gate.pause(tokens: 100, 0) == 0 && gate.pause(tokens: 200, 0) == 54 * Self.second)
        #expect(gate.pause(tokens: 200, 54 * Self.second) == 0)
    }

    /// Any number may stand in a header.
    @Test(arguments: ["0", "1", "\(Int.max)", "\(Int.max - 1)"], ["0s", "1ns", "999999h", "1us"])
    func numbersOfAnySizeAreCountedWith(number: String, reset: String) {
        var gate = RateGate()
        for limit in ["\(Int.max)", "1", number, "\(Int.min)"] {
            for left in [number, "0", "1"] {
                for now in [0, 1, Self.second] {
                    gate.begin(tokens: 1_000_000, now)
                    gate.end(
                        HTTPClientHeaders(
                            ["requests", "tokens"].flatMap { what in
                                [
                                    (name: "x-ratelimit-limit-\(what)", value: limit),
                                    (name: "x-ratelimit-remaining-\(what)", value: left),
                                    (name: "x-ratelimit-reset-\(what)", value: reset),
                                ]
                            }), status: 200, now)
                    let pause = gate.pause(tokens: 1_000_000, now)
                    #expect((0...86_400 * Self.second).contains(pause))
                }
            }
        }
        let hour = RateGate.asked(by: HTTPClientHeaders([("Retry-After", "86400")]))
        #expect(hour == 3_600 * Self.second)
    }

    /// A reply that was on its way for long looks like one by which the window ends later.
    @Test func aLateReplyIsNoBucket() {
        func headers(_ left: Int, _ reset: String) -> HTTPClientHeaders {
            HTTPClientHeaders([
                ("x-ratelimit-limit-requests", "3"), ("x-ratelimit-remaining-requests", "\(left)"),
                ("x-ratelimit-reset-requests", reset),
            ])
        }
        var gate = RateGate()
        gate.begin(tokens: 1, 0)
        gate.end(headers(2, "60s"), status: 200, sent: 0, 0)
        for _ in 0..<2 { gate.begin(tokens: 1, 0) }
        for left in [1, 0] { gate.end(headers(left, "59.9s"), status: 200, sent: 0, 30 * Self.second) }
        #expect(gate.requests.unitNanoseconds == nil)
        #expect(gate.pause(tokens: 1, 59 * Self.second) > 0)
    }

    @Test func settingsMaySpaceRequests() {
        var gate = RateGate(requestsPerMinute: 3)
        gate.begin(tokens: 1, 0)
        gate.end(HTTPClientHeaders(), status: 200, 0)
        #expect(gate.pause(tokens: 1, 0) == 20 * Self.second)
    }
}
