import Bytes
import Ingest
import Kafka
import PlatformTesting
import Testing

/// The waits between connections, without a clock.
struct ReconnectTests {
    private static var configuration: ProducerConfiguration {
        ProducerConfiguration(url: "", userAgent: "", kafka: KafkaConfiguration(brokers: "b:1"), topic: "t")
    }

    private func waits(_ cause: ReconnectCause, count: Int, seed: UInt64, retryAfter: Int? = nil, retry: Int? = nil)
        -> [Int]
    {
        var policy = ReconnectPolicy(Self.configuration, seed: seed)
        return (0..<count).map { _ in
            policy.wait(
                after: cause, connectedMilliseconds: 0, hadEvents: false, retryAfterMilliseconds: retryAfter,
                serverRetryMilliseconds: retry)
        }
    }

    @Test("waits double, with jitter, between half a second and a minute", arguments: 1...20)
    func doubling(seed: UInt64) {
        let waits = waits(.connection, count: 30, seed: seed)
        for (attempt, wait) in waits.enumerated() {
            #expect(wait >= 500 && wait <= min(60_000, 1_000 << attempt), "seed \(seed)")
        }
        #expect(Set(waits.suffix(10)).count > 5, "no jitter, seed \(seed)")
    }

    @Test("a good connection starts over, one that is cut at once does not")
    func healthy() {
        var policy = ReconnectPolicy(Self.configuration, seed: 3)
        for _ in 0..<100 {
            #expect(
                policy.wait(
                    after: .ended, connectedMilliseconds: 5_000, hadEvents: true, retryAfterMilliseconds: nil,
                    serverRetryMilliseconds: nil) <= 1_000)
        }
        for _ in 0..<100 {
            #expect(
                policy.wait(
                    after: .ended, connectedMilliseconds: 5_000, hadEvents: false, retryAfterMilliseconds: nil,
                    serverRetryMilliseconds: nil) <= 1_000, "a quiet stream")
        }
        let cut = (0..<100).map { _ in
            policy.wait(
                after: .ended, connectedMilliseconds: 10, hadEvents: true, retryAfterMilliseconds: nil,
                serverRetryMilliseconds: nil)
        }
        #expect(cut.reduce(0, +) > 100 * 10_000, "a reconnect storm")
    }

    @Test("the server's wishes are honoured, within bounds")
    func wishes() {
        #expect(
            waits(.tooManyRequests, count: 5, seed: 1, retryAfter: 120_000).allSatisfy {
                (120_000...132_000).contains($0)
            })
        #expect(
            waits(.serverError, count: 1, seed: 1, retryAfter: .max).allSatisfy { (3_600_000...4_000_000).contains($0) }
        )
        #expect(waits(.ended, count: 1, seed: 1, retry: 7_000)[0] >= 7_000)
        #expect(waits(.ended, count: 1, seed: 1, retry: 900_000_000)[0] == 60_000)
        #expect(waits(.forbidden, count: 1, seed: 1)[0] >= 30_000)
    }

    @Test("Retry-After is seconds or a date")
    func retryAfter() {
        #expect(RetryAfter.milliseconds("120", now: 0) == 120_000)
        #expect(RetryAfter.milliseconds(" 0", now: 0) == 0)
        #expect(RetryAfter.milliseconds("99999999999999999999", now: 0) == 9_999_999_999_000)
        #expect(RetryAfter.milliseconds("Sun, 06 Nov 1994 08:49:37 GMT", now: 784_111_770_000) == 7_000)
        #expect(RetryAfter.milliseconds("Sun, 06 Nov 1994 08:49:37 GMT", now: 884_111_770_000) == 0)
        for text in ["", "soon", "-1", "1.5", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 36 Nov 1994 08:49:37 GMT"] {
            #expect(RetryAfter.milliseconds(text, now: 0) == nil)
        }
    }

    @Test("the limit holds over any minute, evenly", arguments: [1, 60, 1_000, 100_000])
    func rateLimit(perMinute: Int) throws {
        var limit = try #require(RateLimit(perMinute: perMinute, now: 0))
        var now: Int64 = 0
        var taken = 0
        while now < 120_000 {
            let wait = limit.take(now: now)
            if wait == 0 { taken += 1 } else { now += Int64(wait) }
        }
        let expected = perMinute * 2
        #expect(taken >= expected * 99 / 100 && taken <= expected + max(1, perMinute / 60) + 1)
        #expect(RateLimit(perMinute: 0, now: 0) == nil)
    }
}
