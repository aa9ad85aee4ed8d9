import Bytes
import Foundation
import HTTPServer
import JSONScan
import Retrieval
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

@testable import API

/// A frame as a client sees it that follows the WHATWG's rules.
struct SeenFrame: Equatable {
    var id = ""
    var name = "message"
    var text = ""

    var data: JSONValue { (try? JSONValue.parse(Array(text.utf8))) ?? .null }
    var document: String { data["doc_id"]?.string ?? "?" }

    /// All frames of a stream, by the rules of section 9.2.6: lines end with LF, CR, or both; several data lines are joined.
    static func parse(_ body: [UInt8]) -> [SeenFrame] {
        var lines: [[UInt8]] = [[]]
        var last: UInt8 = 0
        for byte in body {
            defer { last = byte }
            if byte == 0x0A, last == 0x0D { continue }
            if byte == 0x0A || byte == 0x0D { lines.append([]) } else { lines[lines.count - 1].append(byte) }
        }
        var frames: [SeenFrame] = []
        var (frame, data, hasData) = (SeenFrame(), [String](), false)
        for line in lines.map({ String(decoding: $0, as: UTF8.self) }) {
            if line.isEmpty {
                frame.text = data.joined(separator: "\n")
                if hasData { frames.append(frame) }
                (frame, data, hasData) = (SeenFrame(), [], false)
                continue
            }
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            var value = parts.count > 1 ? String(parts[1]) : ""
            if value.hasPrefix(" ") { value.removeFirst() }
            switch parts[0] {
            case "id": frame.id = value
            case "event": frame.name = value
            case "data":
                data.append(value)
                hasData = true
            default: break
            }
        }
        return frames
    }
}

/// A hub over a topic in memory, with clients.
final class StreamScene: Sendable {
    let topic: FakeTopic
    let metrics = MetricsRegistry()
    let hub: EventHub
    let fixture: APIFixture

    /// - Parameter watched: what is in front of its topic, if anything is.
    init(
        heartbeatMilliseconds: Int = 15_000, logMilliseconds: Int = 5_000, catchUpIdleMilliseconds: Int = 30_000,
        watched: WatchedTopic? = nil, catchUpBytesPerSecond: Int = 0, sources: [StreamSource] = [FakeTopic.source],
        collections: CollectionCatalog = .recentChanges()
    ) {
        let topic = watched?.inner ?? FakeTopic()
        self.topic = topic
        hub = EventHub(
            topics: watched ?? topic, sources: sources, indexed: { topic.state.withLock { $0.indexed } },
            metrics: metrics,
            logger: Logger("stream", level: .error), heartbeatMilliseconds: heartbeatMilliseconds,
            logMilliseconds: logMilliseconds, catchUpIdleMilliseconds: catchUpIdleMilliseconds)
        fixture = APIFixture(
            events: hub,
            configure: {
                $0.catchUpBytesPerSecond = catchUpBytesPerSecond
                $0.collections = collections
            })
    }

    /// Runs the hub, and the clients from the moment on at which it reads, while `feed` does what is done to topic and index;
    /// ends when every client has so many frames.
    ///
    /// - Returns: what each of them saw.
    func follow(
        _ requests: [HTTPRequest], frames counts: [Int], _ feed: () async throws -> Void
    ) async throws -> [[SeenFrame]] {
        try await bodies(of: requests, frames: counts, feed).map(SeenFrame.parse)
    }

    /// The same as bytes.
    func bodies(
        of requests: [HTTPRequest], frames counts: [Int], _ feed: () async throws -> Void
    ) async throws -> [[UInt8]] {
        let stop = StopSignal()
        let running = Task { await hub.run(stop: stop) }
        try await eventually { topic.state.withLock { $0.opened } > 0 }
        let readers = try requests.map { try StreamReader($0, fixture.api) }
        try await eventually { clients >= requests.count }
        try await feed()
        for (reader, count) in zip(readers, counts) { try await eventually { reader.frameCount >= count } }
        stop.request()
        await running.value
        for reader in readers { await reader.end() }
        return readers.map(\.body)
    }

    var clients: Int { figure("medallion_api_stream_clients") }

    func figure(_ name: String) -> Int {
        String(decoding: metrics.render(), as: UTF8.self).split(separator: "\n").first { $0.hasPrefix(name + " ") }
            .flatMap { Int($0.dropFirst(name.count + 1)) } ?? 0
    }

    /// Waits until the hub gave out so many events, whoever takes them.
    func given(_ count: Int) async throws {
        try await eventually { figure("medallion_api_stream_events_total") >= count }
    }

    /// Waits until clients were told so often for that reason.
    func told(_ reason: String, times: Int = 1) async throws {
        try await eventually {
            figure(#"medallion_api_stream_notices_total{reason="\#(reason)"}"#) >= times
        }
    }

    static func request(
        after id: String? = nil, _ query: [(name: String, value: String)] = []
    ) -> HTTPRequest {
        HTTPRequest(
            target: APIFixture.request(.stream, query).rawTarget, headers: id.map { ["Last-Event-ID": $0] } ?? [:])
    }
}

/// A client of the stream, in memory.
final class StreamReader: Sendable {
    private let writer = HTTPStreamWriter.collecting()
    private let serving: Task<Void, any Error>
    private let over = Flag()

    private final class Flag: Sendable {
        let isSet = Mutex(false)
    }

    /// - Parameter executor: where requests are handled; nil for the process's own.
    init(_ request: HTTPRequest, _ api: SearchAPI, on executor: (any TaskExecutor)? = nil) throws {
        let input = try StreamInput.form.read(request)
        serving = Task(executorPreference: executor) { [writer, over] in
            defer { over.isSet.withLock { $0 = true } }
            try await api.stream.serve(input, request, to: writer)
        }
    }

    var body: [UInt8] { writer.collected.body }
    var text: String { String(decoding: body, as: UTF8.self) }

    /// Comments left out. Data never begins a line in these tests' lines.
    var frameCount: Int {
        let name = Array("event: ".utf8)
        let body = self.body
        return body.withUnsafeBytes { bytes in
            var (count, place) = (0, 0)
            while place + name.count <= bytes.count {
                if bytes[place] == name[0], place == 0 || bytes[place - 1] == 0x0A,
                    bytes[place..<place + name.count].elementsEqual(name)
                {
                    count += 1
                    place += name.count
                } else {
                    place += 1
                }
            }
            return count
        }
    }

    var heartbeatCount: Int { text.split(separator: "\n").count { $0 == ": heartbeat" } }

    /// Waits until the stream begins, or is refused.
    func isRefused() async -> Bool {
        while body.isEmpty, !over.isSet.withLock({ $0 }) { try? await Task.sleep(for: .milliseconds(5)) }
        return body.isEmpty
    }

    func leave() { serving.cancel() }

    /// Waits until it is served no more.
    func end() async { _ = await serving.result }
}
