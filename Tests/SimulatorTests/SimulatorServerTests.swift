import Bytes
import Concurrency
import Files
import HTTPClient
import JSONScan
import PlatformTesting
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

@testable import Simulator

private let quiet = Logger("test", level: .error)

/// A simulator over a small recording, on a free port.
private final class Stage: Sendable {
    let folder: TemporaryFolder
    let simulator: Simulator
    let base: String

    init(lines: [String], tail: String = "", change: (inout SimulatorConfiguration) -> Void = { _ in }) throws {
        folder = try TemporaryFolder()
        let text = lines.map { "event: message\nid: 1\ndata: \($0)\n\n" }.joined() + tail
        try File.replace(folder.file("r.sse"), with: Array(text.utf8))
        var configuration = SimulatorConfiguration(pace: .unlimited)
        change(&configuration)
        simulator = Simulator(
            configuration: configuration, source: try Recording(path: folder.file("r.sse")), metrics: MetricsRegistry(),
            logger: quiet)
        base = "http://127.0.0.1:\(try simulator.start())"
    }

    deinit { simulator.stop() }

    var url: String { base + Simulator.path }

    func record(_ name: String, change: (inout RecorderOptions) -> Void = { _ in }) throws -> RecordingSummary {
        var options = RecorderOptions(url: url, userAgent: "test (https://example.org)", output: folder.file(name))
        change(&options)
        return try Recorder(options: options, logger: quiet).record(stop: StopSignal())
    }

    func text(_ name: String) throws -> String {
        String(decoding: try File.contents(of: folder.file(name)), as: UTF8.self)
    }
}

private let three = (1...3).map { #"{"meta":{"dt":"2025-05-03T10:00:0\#($0)Z"},"n":\#($0)}"# }

@Suite(.timeLimit(.minutes(2))) struct SimulatorServerTests {
    @Test func aRecordingOfTheSimulatorHoldsTheSameEvents() async throws {
        let stage = try Stage(lines: three) { $0.closesAtEnd = true }
        let lane = Lane(name: "test")
        try await lane.run { () throws -> Void in
            #expect(try stage.record("a.jsonl").events == 3)
            #expect(try stage.text("a.jsonl") == three.joined(separator: "\n") + "\n")
            #expect(try stage.record("b.jsonl.zst") { $0.eventsMax = 2 }.events == 2)
            #expect(try Recording(path: stage.folder.file("b.jsonl.zst")).eventCount == 2)
            #expect(try stage.record("c.sse") { $0.eventsMax = 1 }.events == 1)
            #expect(try stage.text("c.sse").hasPrefix(":ok\n\nevent: message\nid: [{\"topic\":\"eqiad"))
            #expect(try stage.text("c.sse").hasSuffix("data: \(three[0])\n\n"))
            #expect(throws: FileError.self) { try stage.record("a.jsonl") }
            #expect(throws: SimulatorError.self) { try stage.record("a.txt") }
        }
    }

    @Test func aCutFrameBreaksTheConnectionAndTheNextOneGoesOn() async throws {
        let stage = try Stage(lines: three, tail: "event: message\nid: [") { $0.closesAtEnd = true }
        try await Lane(name: "test").run { () throws -> Void in
            let summary = try stage.record("a.jsonl")
            #expect(summary.events == 3)
            #expect(summary.reconnects == 1)
        }
    }

    @Test func injectedEventsReachTheStreamAtOnce() async throws {
        let stage = try Stage(lines: three)
        async let recorded = Lane(name: "record").run { try stage.record("a.jsonl") { $0.eventsMax = 4 } }
        let lane = Lane(name: "inject")
        let request = HTTPClientRequest(
            method: "POST", url: stage.base + "/inject", body: Array(#"{"injected":true}"#.utf8))
        var reply: HTTPClientResponse
        repeat {
            // An event that comes before the first client is answered with 503.
            reply = try await lane.run {
                try HTTPClient().request(request, timeoutMilliseconds: 20_000, shouldStop: { false })
            }
        } while reply.status == 503
        #expect(reply.status == 200)
        #expect(try JSONValue.parse(reply.body)["written_ms"]?.integer ?? 0 > 1_700_000_000_000)
        #expect(try await recorded.events == 4)
        #expect(try stage.text("a.jsonl").contains(#"{"injected":true}"#))
    }

    /// Each stream is served at its own address, with ids of its own, and a client resumes there.
    @Test func severalStreamsAreServedBesideEachOther() async throws {
        let folder = try TemporaryFolder()
        var sources: [SimulatedStream: any PlayableSource] = [:]
        for stream in [SimulatedStream.recentChange, .pageCreate] {
            sources[stream] = GeneratedSource(
                generator: EventGenerator(seed: 5, startMilliseconds: 0, eventsPerSecond: 100, stream: stream))
        }
        let simulator = Simulator(
            configuration: SimulatorConfiguration(pace: .unlimited), sources: sources, metrics: MetricsRegistry(),
            logger: quiet)
        let base = "http://127.0.0.1:\(try simulator.start())"
        defer { simulator.stop() }
        #expect(simulator.streams == [.recentChange, .pageCreate])
        try await Lane(name: "test").run { () throws -> Void in
            for stream in simulator.streams {
                var options = RecorderOptions(
                    url: base + stream.path, userAgent: "test (https://example.org)",
                    output: folder.file("\(stream.rawValue).sse"))
                options.eventsMax = 20
                #expect(try Recorder(options: options, logger: quiet).record(stop: StopSignal()).events == 20)
                let text = String(
                    decoding: try File.contents(of: folder.file("\(stream.rawValue).sse")), as: UTF8.self)
                #expect(text.contains(#"id: [{"topic":"eqiad.mediawiki.\#(stream.rawValue)""#))
                #expect(text.contains(#""stream":"mediawiki.\#(stream.rawValue)""#))
                // A recording of any stream can be played.
                #expect(try Recording(path: folder.file("\(stream.rawValue).sse")).eventCount == 20)
            }
            let missing = try HTTPClient().request(
                HTTPClientRequest(url: base + SimulatedStream.revisionCreate.path), timeoutMilliseconds: 20_000,
                shouldStop: { false })
            #expect(missing.status == 404)
        }
    }

    @Test(arguments: [("/inject", "[1]", 422), ("/inject", "{", 422), ("/nowhere", "{}", 404)])
    func wrongRequestsAreRefused(path: String, body: String, status: Int) async throws {
        let stage = try Stage(lines: three)
        let reply = try await Lane(name: "test").run {
            try HTTPClient().request(
                HTTPClientRequest(method: "POST", url: stage.base + path, body: Array(body.utf8)),
                timeoutMilliseconds: 20_000, shouldStop: { false })
        }
        #expect(reply.status == status)
    }

    @Test func refusesClientsThatDoNotSayWhoTheyAre() async throws {
        let stage = try Stage(lines: three) {
            $0.requiresUserAgent = true
            $0.closesAtEnd = true
        }
        try await Lane(name: "test").run { () throws -> Void in
            let error = #expect(throws: SimulatorError.self) { try stage.record("a.jsonl") { $0.userAgent = "curl/8" } }
            #expect(error?.description.contains("403") == true)
            #expect(try stage.record("b.jsonl").events == 3)
        }
    }
}
