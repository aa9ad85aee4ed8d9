import Bytes
import HTTPClient
import JSONScan
import Synchronization

/// Clients that ask as they should, at a fixed pace: what the hostile ones must not get in the way of.
///
/// A request is due at its time, however long the one before it takes, and its latency counts from then: a client that
/// waited for the last reply first would leave out the slowest moments.
final class OrdinaryClients: Sendable {
    /// What is asked.
    enum Kind: String, CaseIterable, Sendable {
        case keyed = "searches with a key"
        case anonymous = "searches without a key"
        case recent = "/events/recent"
        case probes = "/live and /ready"
    }

    /// What came of it.
    struct Results: Sendable {
        /// Milliseconds from when a request was due to its reply.
        var latencies: [Kind: Sample] = [:]
        /// Replies other than 200, and requests without any.
        var failures: [Kind: [String: Int]] = [:]

        func count(_ kind: Kind) -> Int { latencies[kind]?.values.count ?? 0 }

        func failureCount(_ kinds: [Kind]) -> Int {
            kinds.reduce(0) { $0 + (failures[$1] ?? [:]).values.reduce(0, +) }
        }

        /// `503: 4, 429: 1`
        func failureText(_ kinds: [Kind]) -> String {
            var all: [String: Int] = [:]
            for kind in kinds { all.merge(failures[kind] ?? [:]) { $0 + $1 } }
            return all.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
        }

        func sample(_ kinds: [Kind]) -> Sample {
            var all = Sample()
            for kind in kinds { for value in latencies[kind]?.values ?? [] { all.add(value) } }
            return all
        }
    }

    /// Each of the two kinds of searches.
    static let searchesPerSecond = 10
    /// Connections, each with a request every so often. Few, since they all come from one address, as those of a page do.
    private static let searchersOfAKind = 6
    private static let timeoutMilliseconds = 10_000
    private let api: String
    private let key: String
    private let results = Mutex(Results())
    private let crew = Crew()
    private let seconds: Int

    /// Starts them all; they end by themselves after so long.
    init(api: String, key: String, seconds: Int, seed: UInt64) throws {
        self.api = api
        self.key = key
        self.seconds = seconds
        let start = SystemClock.monotonicNanoseconds() + 50_000_000
        let every = Self.searchersOfAKind * 1_000 / Self.searchesPerSecond
        for number in 0..<2 * Self.searchersOfAKind {
            let kind = number.isMultiple(of: 2) ? Kind.keyed : .anonymous
            let offset = number * every / (2 * Self.searchersOfAKind)
            try crew.add("search-\(number)") { [self] in
                var random = SeededGenerator(seed: seed &+ UInt64(number))
                follow(kind, from: start, everyMilliseconds: every, offset: offset) { _ in
                    search(&random, isKeyed: kind == .keyed)
                }
            }
        }
        for place in 0..<2 {
            try crew.add("recent-\(place)") { [self] in
                // As the page does it, which asks for what is newer than its newest.
                follow(.recent, from: start, everyMilliseconds: 1_000, offset: 500 * place) { newest in
                    request("GET", "/events/recent?limit=100" + newest, isKeyed: place == 0)
                }
            }
        }
        try crew.add("probes") { [self] in
            var isLive = false
            follow(.probes, from: start, everyMilliseconds: 500, offset: 250) { _ in
                isLive.toggle()
                return request("GET", isLive ? "/live" : "/ready", isKeyed: false)
            }
        }
    }

    /// Blocks until they have ended.
    func wait() throws -> Results {
        try crew.wait(seconds: seconds + 4 * Self.timeoutMilliseconds / 1_000)
        return results.withLock { $0 }
    }

    // MARK: Asking

    /// - Parameter next: makes the next request; gets `&after=` with the version of the reply before, or nothing.
    private func follow(
        _ kind: Kind, from start: Int64, everyMilliseconds: Int, offset: Int, _ next: (String) -> HTTPClientRequest
    ) {
        let client = HTTPClient()
        var due = start + Int64(offset) * 1_000_000
        let end = start + Int64(seconds) * 1_000_000_000
        var newest = ""
        while due < end {
            // Rounded up: a request that goes out early would have a latency that is too good.
            Pause.milliseconds(Int(max(0, due - SystemClock.monotonicNanoseconds() + 999_999) / 1_000_000))
            let (fault, body) = ask(client, next(newest))
            let milliseconds = Double(SystemClock.monotonicNanoseconds() - due) / 1e6
            if kind == .recent, let version = (try? JSONValue.parse(body))?["index_version"]?.integer {
                newest = "&after=\(version)"
            }
            results.withLock { results in
                if let fault {
                    results.failures[kind, default: [:]][fault, default: 0] += 1
                } else {
                    results.latencies[kind, default: Sample()].add(milliseconds)
                }
            }
            due += Int64(everyMilliseconds) * 1_000_000
        }
    }

    /// - Returns: what was wrong, nil where nothing was; and the reply's body.
    private func ask(_ client: HTTPClient, _ request: HTTPClientRequest) -> (fault: String?, body: [UInt8]) {
        do {
            let reply = try client.request(request, timeoutMilliseconds: Self.timeoutMilliseconds)
            return (reply.status == 200 ? nil : "\(reply.status)", reply.body)
        } catch {
            return ("\(error.kind)", [])
        }
    }

    private func search(_ random: inout SeededGenerator, isKeyed: Bool) -> HTTPClientRequest {
        request("POST", "/search", isKeyed: isKeyed, body: #"{"query":"\#(BenchEdit.words(3, &random))"}"#)
    }

    private func request(_ method: String, _ path: String, isKeyed: Bool, body: String? = nil) -> HTTPClientRequest {
        var headers: [(name: String, value: String)] = []
        if body != nil { headers.append(("Content-Type", "application/json")) }
        if isKeyed { headers.append(("Authorization", "Bearer \(key)")) }
        return HTTPClientRequest(method: method, url: api + path, headers: headers, body: body.map { Array($0.utf8) })
    }
}
