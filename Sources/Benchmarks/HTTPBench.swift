import Bytes
import Concurrency
import Console
import EventLoop
import Glibc
import HTTPClient
import HTTPServer
import JSONScan
import Processes

/// The typed router beside FastAPI on uvicorn: the same validated POST with the same reply, the same load in turns. And a
/// plain reply beside an event loop that answers without reading.
struct HTTPBench {
    /// Event loops, and workers of uvicorn.
    let loops: Int
    let seconds: Int
    let rounds: Int

    private static let connections = 64
    private static let body =
        #"{"query":"who repainted the golden gate bridge?","top_k":5,"mode":"hybrid","filters":{"wiki":["enwiki"],"is_bot":false}}"#
    private static let wrongBody = #"{"query":"","top_k":101,"mode":"all","more":1}"#

    func run() async throws -> BenchReport {
        try await Lane(name: "bench").run { try measure() }
    }

    private func measure() throws -> BenchReport {
        let folder = try ScratchFolder()
        defer { folder.remove() }
        let wrk = try WrkLoad(folder: folder.path, connections: Self.connections, seconds: seconds)
        var configuration = HTTPServerConfiguration()
        configuration.loops = loops
        let server = HTTPServer(configuration: configuration, router: BenchQuery.router())
        let ours = "http://127.0.0.1:\(try server.start())"
        defer { server.stop(drainSeconds: 0) }
        let bare = try BareLoops(count: loops)
        defer { bare.stop() }
        let fastAPI = try FastAPIServer(workers: loops)
        defer { fastAPI.stop() }
        try fastAPI.waitUntilReady(body: Self.body)
        try compare(ours, fastAPI.url)

        var (typed, foreign) = (Side(), Side())
        var (plain, bound) = (Side(), Side())
        for _ in 0..<rounds {
            try foreign.add(wrk, fastAPI.url + "/search", body: Self.body, processes: fastAPI.processes())
            try typed.add(wrk, ours + "/search", body: Self.body)
            try plain.add(wrk, ours + "/plain")
            try bound.add(wrk, bare.url)
        }
        return report(typed, foreign, plain, bound)
    }

    /// One side's rounds.
    private struct Side {
        var rates = Sample()
        var p50 = Sample()
        var p99 = Sample()
        var microseconds = Sample()

        /// - Parameter processes: whose processor time counts; this process' where empty.
        mutating func add(_ wrk: WrkLoad, _ url: String, body: String? = nil, processes: [Int32] = []) throws {
            func spent() -> Double {
                processes.isEmpty ? ProcessorTime.seconds() : ProcessTable.processorSeconds(of: processes)
            }
            let before = spent()
            let result = try wrk.run(url, body: body)
            guard result.failures == 0 else { throw Failure("\(url): \(result.failures) requests failed") }
            microseconds.add((spent() - before) * 1e6 / (result.requestsPerSecond * Double(wrk.seconds)))
            rates.add(result.requestsPerSecond)
            p50.add(result.p50Milliseconds)
            p99.add(result.p99Milliseconds)
        }

        func figures(_ name: String) -> [BenchFigure] {
            [
                BenchFigure(name, rates.quantile(0.5), "requests/s"),
                BenchFigure("\(name), p50", p50.quantile(0.5), "ms"),
                BenchFigure("\(name), p99", p99.quantile(0.5), "ms"),
                BenchFigure("\(name), processor time", microseconds.quantile(0.5), "µs/request"),
            ]
        }
    }

    private func report(_ typed: Side, _ foreign: Side, _ plain: Side, _ bound: Side) -> BenchReport {
        func ratio(_ left: Sample, _ right: Sample) -> Double { left.quantile(0.5) / max(right.quantile(0.5), 1e-9) }
        var report = BenchReport(
            title: "http: event loops and uvicorn workers: \(loops) each, wrk with \(Self.connections) connections, "
                + "median of \(rounds) rounds of \(seconds) s in turns")
        report.figures += typed.figures("validated POST, typed router")
        report.figures += foreign.figures("validated POST, FastAPI on uvicorn")
        report.figures += [
            BenchFigure(
                "requests/s, typed router to FastAPI", ratio(typed.rates, foreign.rates), "times", target: "at least 8"),
            BenchFigure("p99, typed router to FastAPI", ratio(typed.p99, foreign.p99), "times", target: "below 1"),
            BenchFigure(
                "processor time, FastAPI to typed router", ratio(foreign.microseconds, typed.microseconds), "times"),
        ]
        report.figures += plain.figures("plain reply")
        report.figures += bound.figures("bound: an event loop that only looks for the head's end")
        report.figures += [
            BenchFigure("plain reply to the bound", ratio(plain.rates, bound.rates), "times", target: "at least 0.8"),
            BenchFigure("load average of the machine", ProcessorTime.loadAverage(), ""),
        ]
        return report
    }

    /// Both sides must do the same, or the comparison says nothing.
    private func compare(_ ours: String, _ theirs: String) throws {
        let client = HTTPClient()
        func ask(_ url: String, _ body: String) throws -> (status: Int, json: JSONValue) {
            let reply = try client.request(
                HTTPClientRequest(
                    method: "POST", url: url + "/search", headers: [("Content-Type", "application/json")],
                    body: Array(body.utf8)), timeoutMilliseconds: 10_000)
            return (reply.status, try JSONValue.parse(reply.body))
        }
        let (left, right) = (try ask(ours, Self.body), try ask(theirs, Self.body))
        guard left.status == 200, right.status == 200, left.json == right.json else {
            throw Failure("the two sides reply differently: \(left.json.text) and \(right.json.text)")
        }
        let (refused, alsoRefused) = (try ask(ours, Self.wrongBody), try ask(theirs, Self.wrongBody))
        guard refused.status == 422, alsoRefused.status == 422,
            refused.json["error"]?["detail"]?.array?.count == alsoRefused.json["detail"]?.array?.count
        else { throw Failure("the two sides refuse differently: \(refused.json.text) and \(alsoRefused.json.text)") }
    }
}

/// Event loops that answer each request with the same bytes, without parsing: what a server on this loop cannot exceed.
private final class BareLoops {
    let url: String
    private var loops: [EventLoop] = []
    private var listeners: [TCPListener] = []

    private static let reply = Array(
        """
        HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n\
        Content-Length: 53\r\n\r\n{"status":"ok","generation":1,"index_version":123456}
        """.utf8)

    init(count: Int) throws {
        var port: UInt16 = 0
        for number in 0..<count {
            let loop = try EventLoop(name: "bare-\(number)")
            let listener = try TCPListener(loop: loop, host: "127.0.0.1", port: port, reusePort: count > 1) {
                connection in
                connection.onRead = { bytes in
                    var (used, scanned) = (0, 0)
                    while let start = bytes.baseAddress, scanned < bytes.count,
                        let feed = memchr(start + scanned, 0x0A, bytes.count - scanned)
                    {
                        scanned = start.distance(to: UnsafeRawPointer(feed)) + 1
                        // The feed of an empty line.
                        guard scanned - used >= 4, bytes[scanned - 3] == 0x0A else { continue }
                        used = scanned
                        Self.reply.withUnsafeBytes { connection.write(copying: $0) }
                    }
                    return used
                }
            }
            port = listener.port
            listeners.append(listener)
            loops.append(loop)
            try loop.start()
        }
        url = "http://127.0.0.1:\(port)/plain"
    }

    func stop() {
        for loop in loops { loop.stop() }
    }
}

/// tools/bench/fastapi_endpoint.py under uvicorn, with its fastest parts (uvloop, httptools) and no log.
private final class FastAPIServer {
    let url: String
    private let child: Int32

    init(workers: Int) throws {
        guard let python = Installation.path(".deps/venv/bin/python"),
            let script = Installation.path("tools/bench/fastapi_endpoint.py")
        else {
            throw Failure(
                "the Python of the tests is not there: run `make setup-tests`", code: .dependencyUnavailable)
        }
        let port = try FreePorts.take(1)[0]
        url = "http://127.0.0.1:\(port)"
        let folder = String(script.dropLast("/fastapi_endpoint.py".count))
        child = try ChildProcess.spawn(
            [
                "/usr/bin/setpriv", "--pdeathsig=TERM", "--", python, "-m", "uvicorn", "--app-dir", folder, "--host",
                "127.0.0.1", "--port", "\(port)", "--workers", "\(workers)", "--loop", "uvloop", "--http", "httptools",
                "--log-level", "warning", "--no-access-log", "fastapi_endpoint:app",
            ], environment: ["PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"], output: STDERR_FILENO)
    }

    /// The server and its workers.
    func processes() -> [Int32] { [child] + ProcessTable.children(of: child) }

    func waitUntilReady(body: String) throws {
        let client = HTTPClient()
        let request = HTTPClientRequest(
            method: "POST", url: url + "/search", headers: [("Content-Type", "application/json")],
            body: Array(body.utf8))
        for _ in 0..<300 {
            if let reply = try? client.request(request, timeoutMilliseconds: 1_000), reply.status == 200 { return }
            guard !ProcessTable.isZombie(child) else { break }
            Pause.milliseconds(100)
        }
        throw Failure(
            "uvicorn with FastAPI does not start; run `make setup-tests`", code: .dependencyUnavailable)
    }

    func stop() {
        kill(child, SIGTERM)
        for _ in 0..<100 where !ProcessTable.isZombie(child) { Pause.milliseconds(100) }
        if !ProcessTable.isZombie(child) { kill(child, SIGKILL) }
        _ = ChildProcess.reap(child)
    }
}
