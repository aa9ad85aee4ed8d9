import Bytes
import Concurrency
import Files
import HTTPServer
import JSONScan
import PlatformTesting
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

@testable import OpenLineage

/// Events reach files and servers as OpenLineage's own client reads them, in their order, and nobody waits for them.
struct LineageEmitterTests {
    private let names = LineageNames(jobNamespace: "medallion", broker: "broker:9092")

    private static let hasClient = Folder.exists(PackageRoot.path + "/.deps/venv/bin/python")

    private func event(_ number: Int64, _ state: RunEvent.State = .running) -> RunEvent {
        RunEvent(
            state: state, timeMilliseconds: number, runID: "00000000-0000-4000-8000-000000000000",
            job: RunEvent.Job(name: "stream.test", processing: .streaming))
    }

    private func emitter(_ target: LineageTarget, _ registry: MetricsRegistry = MetricsRegistry()) -> LineageEmitter {
        LineageEmitter(target, names: { names }, metrics: registry, logger: Logger("test", level: .error))
    }

    @Test(.enabled(if: hasClient, "needs openlineage-python in .deps/venv"))
    func itsOwnClientReadsWhatIsWritten() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("events.jsonl")
        let emitter = emitter(.file(path))
        let offsets = RunDataset.Offsets(topic: "t", partition: 3, start: 10, end: 25)
        let reporter = RunReporter(
            RunEvent.Job(name: "replay", processing: .batch), inputs: [.topic("t")], outputs: [.folder("/lake/gold")],
            to: emitter)
        reporter.start()
        reporter.note(RunDataset(.topic("t"), offsets: [offsets]), isInput: true)
        reporter.note(RunDataset(.folder("/lake/gold"), offsets: [offsets], rows: 15, bytes: 4_711), isInput: false)
        reporter.report()
        reporter.note(
            RunDataset(.objects(bucket: "b", prefix: "lake/gold"), offsets: [offsets], rows: 1), isInput: false)
        reporter.end("the disk is full: \u{202E}\u{0} \"quoted\" 漢字")
        emitter.drain()

        let output = try PythonTool.run([PackageRoot.path + "/Tests/OpenLineageTests/read_events.py", path])
        let events = try #require(try JSONValue.parse(output).array)
        #expect(events.map { $0["eventType"]?.string } == ["START", "RUNNING", "FAIL"])
        #expect(Set(events.map { $0["run"]?["runId"]?.string }) == [reporter.runID])
        let running = events[1]
        let range = running["inputs"]?.array?.first?["facets"]?["medallionOffsets"]?["ranges"]?.array?.first
        #expect(range?["partition"]?.integer == 3 && range?["start"]?.integer == 10 && range?["end"]?.integer == 25)
        #expect(running["inputs"]?.array?.first?["namespace"]?.string == "kafka://broker:9092")
        let statistics = running["outputs"]?.array?.first?["outputFacets"]?["outputStatistics"]
        #expect(statistics?["rowCount"]?.integer == 15 && statistics?["size"]?.integer == 4_711)
        let failed = events[2]
        #expect(failed["run"]?["facets"]?["errorMessage"]?["message"]?.string?.contains("漢字") == true)
        // What was told once is not told again.
        #expect(failed["inputs"]?.array?.first?["facets"]?["medallionOffsets"] == nil)
        #expect(failed["outputs"]?.array?.last?["namespace"]?.string == "s3://b")
    }

    /// A server that fails at first, and refuses one event for good.
    @Test func whatFailsIsTriedAgainAndWhatIsRefusedIsNot() async throws {
        struct Seen: Sendable {
            var times: [String] = []
            var keys: Set<String> = []
            var failures = 3
        }
        let seen = SharedValue(Seen())
        var router = HTTPRouter()
        router.on(
            .post, "/api/v1/lineage",
            sync: { request in
                let time = (try? JSONValue.parse(request.body))?["eventTime"]?.string ?? "?"
                return seen.change { seen in
                    seen.keys.insert(request.headers["Authorization"] ?? "")
                    if seen.failures > 0 {
                        seen.failures -= 1
                        return HTTPResponse(status: 503)
                    }
                    if time.hasSuffix("00.002Z") { return HTTPResponse(status: 422) }
                    seen.times.append(time)
                    return HTTPResponse(status: 201)
                }
            })
        let server = HTTPServer(configuration: HTTPServerConfiguration(), router: router)
        let port = try server.start()
        defer { server.stop(drainSeconds: 1) }
        let registry = MetricsRegistry()
        let address = SecretURL("http://127.0.0.1:\(port)/api/v1/lineage")
        let emitter = emitter(.server(url: address, key: "secret"), registry)
        for number in 1...4 { emitter.send(event(Int64(number))) }
        try await Lane(name: "drain").run { emitter.drain() }
        let found = seen.value
        #expect(found.times.map { $0.suffix(7) } == ["00.001Z", "00.003Z", "00.004Z"])
        #expect(found.keys == ["Bearer secret"])
        let text = String(decoding: registry.render(), as: UTF8.self)
        #expect(text.contains("medallion_openlineage_events_total{target=\"server\",outcome=\"refused\"} 1"))
        #expect(text.contains("medallion_openlineage_events_total{target=\"server\",outcome=\"sent\"} 3"))
    }

    /// Nothing listens there: the newest events wait, and nobody waits for them.
    @Test func aTargetThatIsAwayCostsTheOldestEvents() throws {
        let folder = try TemporaryFolder()
        let registry = MetricsRegistry()
        let away = emitter(.file(folder.file("absent/events.jsonl")), registry)
        for number in 0..<Int64(LineageEmitter.waitingMax) + 500 { away.send(event(number)) }
        let text = String(decoding: registry.render(), as: UTF8.self)
        #expect(text.contains("medallion_openlineage_events_total{target=\"file\",outcome=\"dropped\"} 500"))
        #expect(text.contains("medallion_openlineage_waiting_events{target=\"file\"} \(LineageEmitter.waitingMax)"))
        try Folder.create(folder.file("absent"), mode: 0o755)
        away.drain()
        let lines = try File.contents(of: folder.file("absent/events.jsonl")).split(separator: 0x0A)
        #expect(lines.count == LineageEmitter.waitingMax)
        let last = try JSONValue.parse(Array(try #require(lines.last)))
        #expect(last["eventTime"]?.string == CivilTime.rfc3339(Int64(LineageEmitter.waitingMax) + 499))
    }

    /// As a service it sends while it runs, and what is told at the last moment, too.
    @Test func aStopSendsWhatWaits() async throws {
        let folder = try TemporaryFolder()
        let emitter = emitter(.file(folder.file("events.jsonl")))
        let stop = StopSignal()
        async let running: Void = emitter.run(stop: stop)
        emitter.send(event(1, .start))
        stop.request()
        emitter.send(event(2, .complete))
        try await running
        let lines = try File.contents(of: folder.file("events.jsonl")).split(separator: 0x0A)
        #expect(lines.count == 2)
    }
}

/// A value that a server's threads and a test share.
private final class SharedValue<Value: Sendable>: Sendable {
    private let state: Mutex<Value>

    init(_ value: Value) { state = Mutex(value) }

    var value: Value { state.withLock { $0 } }

    func change<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        state.withLock { value in body(&value) }
    }
}
