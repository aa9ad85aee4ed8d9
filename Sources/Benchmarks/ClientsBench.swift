import Bytes
import Concurrency
import Console
import Files
import Glibc
import HTTPClient
import Processes
import Telemetry

/// Many clients at the whole platform: every event at every client of `GET /stream`, some of them curl and httpx; then slow
/// senders who hold connections while others are served.
struct ClientsBench {
    let seconds: Int
    let logger: Logger

    private static let clients = 990
    /// Each of curl and of httpx.
    private static let foreignClients = 5
    /// About three events in five become documents, so that 50 a second come to the stream.
    private static let eventsPerSecond = 84.0
    private static let slowSenders = 500
    /// Requests a second beside them.
    private static let requestsPerSecond = 100

    func run() async throws -> BenchReport {
        let work = self
        return try await Lane(name: "bench").run { try work.measure() }
    }

    private func measure() throws -> BenchReport {
        let deployment = try BenchDeployment(rate: Self.eventsPerSecond, recording: nil, logger: logger)
        defer { deployment.stop() }
        try deployment.waitUntilIndexing()
        var report = BenchReport(
            title:
                "clients: \(Self.clients + 2 * Self.foreignClients) readers of /stream, then \(Self.slowSenders) slow "
                + "senders, \(seconds) s each")
        report.figures += try streamFigures(deployment)
        report.figures += try slowFigures(deployment)
        report.figures.append(BenchFigure("load average of the machine", ProcessorTime.loadAverage(), ""))
        return report
    }

    // MARK: Streams

    private func streamFigures(_ deployment: BenchDeployment) throws -> [BenchFigure] {
        let folder = try ScratchFolder()
        defer { folder.remove() }
        let foreign = try ForeignReaders(
            url: deployment.api + "/stream", folder: folder.path, countOfEach: Self.foreignClients)
        defer { foreign.stop() }
        let readers = StreamReaders()
        for _ in 0..<Self.clients / 90 {
            try readers.add(90, port: deployment.apiPort)
            readers.read(milliseconds: 50)
        }
        // All are there when each has its first heartbeat, and the others their files.
        for _ in 0..<100 where readers.startedCount < Self.clients || !foreign.haveStarted {
            readers.read(milliseconds: 100)
        }
        guard readers.startedCount == Self.clients, foreign.haveStarted else {
            throw Failure("\(readers.startedCount) of \(Self.clients) clients were served; is `ulimit -n` above 2500?")
        }
        let before = (deployment.processorSeconds(), readers.bytes, SystemClock.monotonicNanoseconds())
        let events = readers.read(milliseconds: seconds * 1_000)
        let elapsed = Double(SystemClock.monotonicNanoseconds() - before.2) / 1e9
        let spent = deployment.processorSeconds() - before.0
        let megabytes = Double(readers.bytes - before.1) / 1e6
        deployment.stopSource()
        var isQuiet = false
        for _ in 0..<60 where !isQuiet { isQuiet = readers.read(milliseconds: 1_000) == 0 }
        Pause.milliseconds(1_000)
        let sequences = readers.sequences + (try foreign.sequences())
        let complete = Self.countComplete(sequences)
        return [
            BenchFigure("clients with every event in order", Double(complete), "", target: "\(sequences.count)"),
            BenchFigure("clients cut", Double(readers.overCount), "", target: "0"),
            BenchFigure(
                "events at each client", Double(events) / Double(Self.clients) / elapsed, "events/s", target: "50"),
            BenchFigure("sent", megabytes / elapsed, "MB/s"),
            BenchFigure("from the first client to another, p50", readers.spread.quantile(0.5), "ms"),
            BenchFigure("from the first client to another, p99", readers.spread.quantile(0.99), "ms"),
            BenchFigure("processor time of all roles", spent / elapsed * 100, "% of a core"),
            BenchFigure(
                "resident memory of all roles", ProcessMemory.residentMegabytes(of: deployment.upProcess), "MB"),
        ]
    }

    /// Clients join at different times, so each must have the end of the longest sequence, from its own first event on.
    private static func countComplete(_ sequences: [[UInt64]]) -> Int {
        guard let whole = sequences.max(by: { $0.count < $1.count }), !whole.isEmpty else { return 0 }
        return sequences.count { !$0.isEmpty && whole.suffix($0.count).elementsEqual($0) }
    }

    // MARK: Slow senders

    private func slowFigures(_ deployment: BenchDeployment) throws -> [BenchFigure] {
        let senders = try (0..<Self.slowSenders).map { _ in try LoopbackSocket.connect(port: deployment.apiPort) }
        defer { for sender in senders { close(sender) } }
        for sender in senders { LoopbackSocket.send("GET /live HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", to: sender) }
        let client = HTTPClient()
        var (live, recent) = (Sample(), Sample())
        var held = 0
        for round in 0..<seconds * Self.requestsPerSecond {
            let started = SystemClock.monotonicNanoseconds()
            // A byte a second each, spread over the second.
            for (place, sender) in senders.enumerated()
            where place % Self.requestsPerSecond == round % Self.requestsPerSecond {
                if LoopbackSocket.send("x", to: sender) { held += 1 }
            }
            let isLive = round.isMultiple(of: 2)
            let path = isLive ? "/live" : "/events/recent?limit=10"
            let asked = SystemClock.monotonicNanoseconds()
            let reply = try client.request(HTTPClientRequest(url: deployment.api + path), timeoutMilliseconds: 10_000)
            let took = Double(SystemClock.monotonicNanoseconds() - asked) / 1e6
            guard reply.status == 200 else { throw Failure("\(path) was answered \(reply.status)") }
            if isLive { live.add(took) } else { recent.add(took) }
            let spent = Int((SystemClock.monotonicNanoseconds() - started) / 1_000_000)
            if spent < 1_000 / Self.requestsPerSecond { Pause.milliseconds(1_000 / Self.requestsPerSecond - spent) }
        }
        return [
            BenchFigure("slow senders, bytes taken from them", Double(held), ""),
            BenchFigure("/live beside them, p50", live.quantile(0.5), "ms"),
            BenchFigure("/live beside them, p99", live.quantile(0.99), "ms", target: "below 50"),
            BenchFigure("/events/recent beside them, p50", recent.quantile(0.5), "ms"),
            BenchFigure("/events/recent beside them, p99", recent.quantile(0.99), "ms", target: "below 50"),
        ]
    }
}

/// curl and httpx, each of which writes what it reads into a file.
private final class ForeignReaders {
    private var files: [String] = []
    private var children: [Int32] = []

    init(url: String, folder: String, countOfEach: Int) throws {
        guard let python = Installation.path(".deps/venv/bin/python"),
            let script = Installation.path("tools/bench/httpx_reader.py"), access("/usr/bin/curl", X_OK) == 0
        else {
            throw Failure(
                "curl or the Python of the tests is missing: run `make setup-tests`", code: .dependencyUnavailable)
        }
        for number in 0..<countOfEach {
            for (name, command) in [
                ("curl", ["/usr/bin/curl", "-sN", url, "-o"]), ("httpx", [python, script, url]),
            ] {
                let file = "\(folder)/\(name)-\(number)"
                files.append(file)
                children.append(
                    try ChildProcess.spawn(
                        ["/usr/bin/setpriv", "--pdeathsig=TERM", "--"] + command + [file],
                        environment: ["PATH=/usr/bin:/bin"], output: STDERR_FILENO))
            }
        }
    }

    /// Whether each has read something.
    var haveStarted: Bool { files.allSatisfy { ((try? File.contents(of: $0).count) ?? 0) > 0 } }

    func sequences() throws -> [[UInt64]] {
        try files.map { file in
            var ids = EventIDs()
            ids.read(try File.contents(of: file)[...])
            return ids.hashes
        }
    }

    func stop() {
        for child in children {
            kill(child, SIGTERM)
            ChildProcess.awaitEnd(child)
            _ = ChildProcess.reap(child)
        }
        children = []
    }
}
