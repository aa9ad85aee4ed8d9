import Bytes
import Console
import HTTPClient
import JSONScan
import Synchronization

/// Edits that are written into the source and looked for by a search until it finds them.
final class EditProbes: Sendable {
    /// What came of them.
    struct Results: Sendable {
        /// Milliseconds from the simulator's write to the reply that had it.
        var found = Sample()
        var injected = 0
        var lost = 0
    }

    private static let everyMilliseconds: Int64 = 2_000
    private static let probes = 5
    private static let patienceMilliseconds: Int64 = 10_000
    private let simulator: String
    private let api: String
    private let key: String
    private let results = Mutex(Results())
    private let crew = Crew()
    private let seconds: Int

    /// Starts; ends by itself after so long, and when the last edit was found or given up.
    init(_ deployment: BenchDeployment, key: String, seconds: Int, first: Int) throws {
        simulator = deployment.simulator
        api = deployment.api
        self.key = key
        self.seconds = seconds
        let start = Self.now()
        for probe in 0..<Self.probes {
            try crew.add("edits-\(probe)") { [self] in
                let client = HTTPClient()
                var number = probe
                while Int64(number) * Self.everyMilliseconds < Int64(seconds) * 1_000 {
                    Pause.milliseconds(Int(max(0, start + Int64(number) * Self.everyMilliseconds - Self.now())))
                    try follow(BenchEdit(number: first + number), client)
                    number += Self.probes
                }
            }
        }
    }

    func wait() throws -> Results {
        try crew.wait(seconds: seconds + 4 * Int(Self.patienceMilliseconds) / 1_000)
        return results.withLock { $0 }
    }

    private func follow(_ edit: BenchEdit, _ client: HTTPClient) throws {
        let written = try Self.inject(edit, client, simulator)
        results.withLock { $0.injected += 1 }
        while true {
            let isFound = asked(edit, client)
            let elapsed = SystemClock.epochMilliseconds() - written
            if isFound { return results.withLock { $0.found.add(Double(elapsed)) } }
            guard elapsed < Self.patienceMilliseconds else { return results.withLock { $0.lost += 1 } }
            Pause.milliseconds(Int(max(40, elapsed / 8)))
        }
    }

    private func asked(_ edit: BenchEdit, _ client: HTTPClient) -> Bool {
        let request = HTTPClientRequest(
            method: "POST", url: api + "/search",
            headers: [("Content-Type", "application/json"), ("Authorization", "Bearer \(key)")],
            body: Array(#"{"query":"\#(edit.query)"}"#.utf8))
        guard let reply = try? client.request(request, timeoutMilliseconds: 5_000), reply.status == 200 else {
            return false
        }
        return String(decoding: reply.body, as: UTF8.self).contains(edit.id)
    }

    /// Puts an edit into the source.
    ///
    /// - Returns: when the simulator wrote it, milliseconds since 1970.
    @discardableResult
    static func inject(_ edit: BenchEdit, _ client: HTTPClient, _ simulator: String) throws -> Int64 {
        let reply = try client.request(
            HTTPClientRequest(method: "POST", url: simulator + "/inject", body: edit.payload),
            timeoutMilliseconds: 20_000)
        guard reply.status == 200, let written = try JSONValue.parse(reply.body)["written_ms"]?.integer else {
            throw Failure("the simulator did not take an edit: status \(reply.status)")
        }
        return written
    }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }
}
