import Bytes
import Concurrency
import Console
import Glibc
import HTTPClient
import JSONScan

/// The attacks alone, at a server of this machine: what ``HostileBench`` starts as a process of its own, so that its own
/// clients are not held up. Prints a JSON line per attack.
struct AttackBench {
    let options: HostileOptions
    let port: UInt16

    /// Behind everything else that wants to run: whoever attacks has a machine of their own, which the server does not pay for.
    private static let niceness: Int32 = 10

    func run() async throws {
        let attack = self
        try await Lane(name: "attack").run { try attack.work() }
    }

    private func work() throws {
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Self.niceness)
        let target = AttackTarget(port: port, documents: documents())
        var run = AttackRun(options.attacks, target: target, seed: options.seed)
        let tallies = run.run(milliseconds: Int64(options.seconds) * 1_000)
        for tally in tallies { Output.write(tally.json + [0x0A]) }
        var json = JSONWriter()
        json.beginObject()
        json.double("processor_seconds", ProcessorTime.seconds())
        json.endObject()
        Output.write(json.bytes + [0x0A])
        let findings = zip(options.attacks, tallies).flatMap { $1.findings($0, seconds: Double(options.seconds)) }
        for finding in findings { Output.complain("WRONG: \(finding)\n") }
    }

    /// Ids of documents to trace, where the server tells any.
    private func documents() -> [String] {
        let request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/events/recent?limit=20")
        guard let reply = try? HTTPClient().request(request, timeoutMilliseconds: 1_000), reply.status == 200,
            let page = try? JSONValue.parse(reply.body)
        else { return [] }
        return (page["events"]?.array ?? []).compactMap { $0["doc_id"]?.string }
    }
}
