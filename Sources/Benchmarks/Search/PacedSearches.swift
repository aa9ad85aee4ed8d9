import Bytes
import Concurrency
import Console
import HTTPClient
import Synchronization

/// Searches at a fixed rate, however long each takes: an open loop.
///
/// Latency counts from when a search was due, so that one which had to wait for the one before counts as slow.
final class PacedSearches: Sendable {
    /// What came of it.
    struct Results: Sendable {
        /// Milliseconds from when a search was due to its reply.
        var latencies = Sample()
        /// Replies other than 200, and requests without any.
        var failures = 0

        /// Of all searches, those that were answered within so long.
        func share(within milliseconds: Double) -> Double {
            let all = latencies.values.count + failures
            return Double(latencies.values.count { $0 <= milliseconds }) / Double(max(1, all))
        }
    }

    /// Connections, each with a thread of its own: as many searches may be under way at once.
    private static let connections = 50
    private static let timeoutMilliseconds = 10_000

    private let crew = Crew()
    private let results = Mutex(Results())
    private let seconds: Int

    /// Starts them; they end by themselves after so long.
    ///
    /// - Parameter body: makes the next request.
    init(
        url: String, perSecond: Int, seconds: Int, seed: UInt64,
        body: @escaping @Sendable (inout SeededGenerator) -> String = PacedSearches.search
    ) throws {
        self.seconds = seconds
        let start = SystemClock.monotonicNanoseconds() + 200_000_000
        let every = Int64(Self.connections) * 1_000_000_000 / Int64(perSecond)
        let count = seconds * perSecond / Self.connections
        for number in 0..<Self.connections {
            let first = start + every * Int64(number) / Int64(Self.connections)
            try crew.add("paced-\(number)") { [self] in
                var random = SeededGenerator(seed: seed &+ UInt64(number))
                let client = HTTPClient()
                for turn in 0..<count {
                    ask(client, url, body(&random), due: first + Int64(turn) * every)
                }
            }
        }
    }

    /// Blocks until they have ended.
    func wait() throws -> Results {
        try crew.wait(seconds: seconds + 4 * Self.timeoutMilliseconds / 1_000)
        return results.withLock { $0 }
    }

    /// A search that was not made before.
    @Sendable static func search(_ random: inout SeededGenerator) -> String {
        #"{"query":"\#(SearchQueries.next(&random))","top_k":10}"#
    }

    private func ask(_ client: HTTPClient, _ url: String, _ body: String, due: Int64) {
        // Rounded up: a request that goes out early would have a latency that is too good.
        Pause.milliseconds(Int(max(0, due - SystemClock.monotonicNanoseconds() + 999_999) / 1_000_000))
        let request = HTTPClientRequest(
            method: "POST", url: url, headers: [("Content-Type", "application/json")],
            body: Array(body.utf8))
        let reply = try? client.request(request, timeoutMilliseconds: Self.timeoutMilliseconds)
        let milliseconds = Double(SystemClock.monotonicNanoseconds() - due) / 1e6
        results.withLock { results in
            if reply?.status == 200 {
                results.latencies.add(milliseconds)
            } else {
                results.failures += 1
            }
        }
    }
}
