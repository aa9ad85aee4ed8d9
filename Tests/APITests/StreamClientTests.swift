import API
import Bytes
import Concurrency
import Foundation
import Glibc
import HTTPClient
import HTTPServer
import JSONScan
import PlatformTesting
import Synchronization
import Telemetry
import Testing

/// The streams, read over sockets by programs that share no code with them.
@Suite struct StreamClientTests {
    private let topic = FakeTopic()
    private let metrics = MetricsRegistry()
    private let keys = TestKeys()

    private static let hasTools = (try? PythonTool.run(["-c", "import httpx"])) != nil

    private func fixture() -> APIFixture {
        let topic = self.topic
        let hub = EventHub(
            topics: topic, sources: [FakeTopic.source], indexed: { topic.state.withLock { $0.indexed } },
            metrics: metrics,
            logger: Logger("stream", level: .error))
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        let keys = self.keys
        let fixture = APIFixture(events: hub, access: access, readKeys: keys.read)
        fixture.fill()
        return fixture
    }

    /// Waits until the metrics page has that line.
    private func waitFor(_ line: String) async throws {
        try await eventually { String(decoding: metrics.render(), as: UTF8.self).contains(line + "\n") }
    }

    @Test(.enabled(if: hasTools, "needs httpx in .deps/venv")) func httpxReadsStreamAndAnswer() async throws {
        let key = try keys.make(.read)
        for offset in 0..<40 { topic.add(0, Int64(offset)) }
        topic.index([0: 40])
        let output = try await withAPI(fixture()) { port in
            try await eventually { topic.state.withLock { $0.opened } > 0 }
            return try await Lane(name: "httpx").run {
                try PythonTool.run([
                    PackageRoot.path + "/Tests/APITests/stream_clients.py", "http://127.0.0.1:\(port)", key, "10",
                    "0:30",
                ])
            }
        }
        let seen = try JSONValue.parse(output)
        let resumed = seen["resumed"]?.array?.compactMap { $0[1]?.string }
        #expect(resumed == (30..<40).map { "0-\($0)" })
        #expect(seen["resumed"]?.array?.last?[0]?.string == FakeTopic.id([0: 40]))
        let names = seen["answer"]?["names"]?.array?.compactMap(\.string) ?? []
        #expect(names.first == "token" && names.suffix(2) == ["citations", "done"])
        #expect(seen["answer"]?["text"]?.string?.contains("Golden Gate Bridge") == true)
    }

    @Test func curlReadsStreamAndAnswer() async throws {
        let key = try keys.make(.read)
        for offset in 0..<10 { topic.add(0, Int64(offset)) }
        topic.index([0: 10])
        @Sendable func curl(_ arguments: [String]) async throws -> String {
            try await Lane(name: "curl").run {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
                process.arguments = ["-sN", "--max-time", "3", "-H", "X-API-Key: \(key)"] + arguments
                let output = Pipe()
                process.standardOutput = output
                try process.run()
                return String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            }
        }
        try await withAPI(fixture()) { port in
            try await eventually { topic.state.withLock { $0.opened } > 0 }
            async let stream = curl(["-H", "Last-Event-ID: 0:3", "http://127.0.0.1:\(port)/stream?type=edit"])
            try await waitFor("medallion_api_stream_clients 1")
            for offset in 10..<14 { topic.add(0, Int64(offset)) }
            topic.index([0: 14])
            let ids = try await stream.split(separator: "\n").filter { $0.hasPrefix("id: ") }
            #expect(ids.map { String($0) } == [5, 7, 9, 11, 13].map { "id: " + FakeTopic.id([0: $0]) })
            let answer = try await curl([
                "-H", "Accept: text/event-stream", "-H", "Content-Type: application/json", "-d",
                #"{"query": "who repainted the golden gate bridge towers?"}"#, "http://127.0.0.1:\(port)/answer",
            ])
            let names = answer.split(separator: "\n").filter { $0.hasPrefix("event: ") }.map { $0.dropFirst(7) }
            #expect(names.first == "token" && names.suffix(2) == ["citations", "done"])
        }
    }

    /// Reads the stream until it has shown so many ids; gives them as lines.
    private func read(
        _ port: UInt16, key: String, after id: String? = nil, into ids: SeenIDs, until count: Int
    ) async throws -> StreamEnd {
        let headers = [("X-API-Key", key)] + (id.map { [("Last-Event-ID", $0)] } ?? [])
        return try await Lane(name: "reader").run { () -> StreamEnd in
            var rest: [UInt8] = []
            return try HTTPClient().stream(
                HTTPClientRequest(url: "http://127.0.0.1:\(port)/stream", headers: headers),
                connectTimeoutMilliseconds: 5_000, stallTimeoutMilliseconds: 30_000,
                shouldStop: { ids.lines.withLock { $0.count >= count } }, onHead: { status, _ in status == 200 },
                onBytes: { bytes in
                    rest += bytes
                    while let end = rest.firstIndex(of: 0x0A) {
                        let line = String(decoding: rest[..<end], as: UTF8.self)
                        if line.hasPrefix("id: ") { ids.lines.withLock { $0.append(line) } }
                        rest.removeFirst(end + 1)
                    }
                })
        }
    }

    /// Many times what a slow client's queue may hold, at once: after the client was away, and while it listens.
    @Test func muchAtOnceCutsNobody() async throws {
        let key = try keys.make(.read)
        let filler = String(repeating: "x", count: 1_000)
        try await withAPI(fixture()) { port in
            try await eventually { topic.state.withLock { $0.opened } > 0 }
            for offset in Int64(0)..<1_000 { topic.add(0, offset, text: filler) }
            topic.index([0: 1_000])
            try await waitFor("medallion_api_stream_events_total 1000")
            let ids = SeenIDs()
            async let reading = read(port, key: key, after: "0:10", into: ids, until: 1_990)
            try await eventually { ids.lines.withLock { $0.count } == 990 }
            try await waitFor("medallion_api_stream_clients 1")
            for offset in Int64(1_000)..<2_000 { topic.add(0, offset, text: filler) }
            topic.index([0: 2_000])
            #expect(try await reading == .stopped)
            #expect(ids.lines.withLock { $0 } == (11...2_000).map { "id: " + FakeTopic.id([0: $0]) })
            try await waitFor("medallion_api_stream_cut_total 0")
        }
    }

    /// One client asks for the stream and reads nothing: it is cut at its bound, while the other gets every event.
    @Test func aSlowReaderIsCutAndOthersGetEverything() async throws {
        let key = try keys.make(.read)
        let count = 400
        let filler = String(repeating: "x", count: 4_000)
        try await withAPI(fixture()) { port in
            try await eventually { topic.state.withLock { $0.opened } > 0 }
            let slow = try SilentReader(
                port: port, request: "GET /stream HTTP/1.1\r\nHost: a\r\nX-API-Key: \(key)\r\n\r\n")
            try await waitFor("medallion_api_stream_clients 1")
            let ids = SeenIDs()
            async let reading = read(port, key: key, into: ids, until: count)
            try await waitFor("medallion_api_stream_clients 2")
            // The good reader is never behind by more than a few events, however slow the machine is.
            for offset in 0..<count {
                topic.add(0, Int64(offset), text: filler)
                guard offset % 10 == 9 else { continue }
                topic.index([0: Int64(offset + 1)])
                try await eventually { ids.lines.withLock { $0.count } > offset }
            }
            #expect(try await reading == .stopped)
            #expect(ids.lines.withLock { $0 } == (1...count).map { "id: " + FakeTopic.id([0: Int64($0)]) })
            try await waitFor("medallion_api_stream_cut_total 1")
            #expect(slow.isCut(), "its connection is over, too")
        }
    }
}

/// The id lines of a stream, in their order.
private final class SeenIDs: Sendable {
    let lines = Mutex<[String]>([])
}

/// A client that asks and does not read.
final class SilentReader: Sendable {
    private let descriptor: Int32

    init(port: UInt16, request: String) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var small: Int32 = 8_192
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &small, socklen_t(MemoryLayout<Int32>.size))
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let descriptor = self.descriptor
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(code == 0)
        send(descriptor, request, request.utf8.count, Int32(MSG_NOSIGNAL))
    }

    deinit { close(descriptor) }

    /// Reads what is left: whether that comes to an end or a reset before long.
    func isCut() -> Bool {
        var space = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &space, space.count, 0)
            if count == 0 { return true }
            if count < 0 { return errno == ECONNRESET }
        }
    }
}
