import Bytes
import Glibc
import HTTPServer
import Ingest
import IngestTesting
import Kafka
import PlatformTesting
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

/// The producer over real HTTP, against a server with the manners of stream.wikimedia.org on a bad day.
@Suite(.timeLimit(.minutes(2)))
struct HTTPSourceTests {
    static let topic = "source"

    private func configuration(_ cluster: MockCluster, port: UInt16) -> ProducerConfiguration {
        var configuration = ProducerConfiguration(
            url: "http://127.0.0.1:\(port)/stream", userAgent: "medallion-tests (nobody@example.org)",
            kafka: KafkaConfiguration(brokers: cluster.brokers), topic: Self.topic, topicPartitions: 2)
        // The mock cluster tells none, however long it is asked.
        configuration.topicProperties = [:]
        configuration.reconnectMilliseconds = 10
        configuration.reconnectMaxMilliseconds = 50
        configuration.refusedMilliseconds = 20
        configuration.timeoutMilliseconds = 10_000
        return configuration
    }

    /// Runs until `isDone`; returns the last status and the ids in the topic.
    private func run(
        _ configuration: ProducerConfiguration, metrics: MetricsRegistry = .init(),
        until isDone: @escaping @Sendable (ProducerStatus) -> Bool
    ) async throws -> (status: ProducerStatus, content: TopicContent) {
        let producer = ConnectorService.producer(
            configuration: configuration, metrics: metrics, logger: Logger("test", level: .error))
        let stop = StopSignal()
        async let end: Void = producer.run(stop: stop)
        // Also on the way out of a failed test, which else would wait for the producer for ever.
        defer { stop.request() }
        while !isDone(producer.status) { try await Task.sleep(for: .milliseconds(5)) }
        let status = producer.status
        stop.request()
        try await end
        return (status, try TopicContent.read(configuration.kafka, topic: Self.topic, partitions: 2))
    }

    @Test("nothing is lost over refusals, cuts, odd line ends, large events and text cut anywhere", arguments: 1...2)
    func badDay(seed: UInt64) async throws {
        let cluster = try #require(MockCluster())
        cluster.createTopic(Self.topic, partitions: 2)
        let server = try BadDayServer(eventCount: 400, seed: seed)
        defer { server.stop() }
        let (status, content) = try await run(configuration(cluster, port: server.port)) {
            $0.acknowledgedPosition >= 400
        }
        #expect(content.ids == Array(1...400), "seed \(seed)")
        for record in content.records {
            let number = try #require(record.headers["sse_id"].flatMap { Int($0) })
            #expect(record.value == BadDayServer.payload(number))
        }
        let seen = server.seen
        #expect(seen.userAgents == ["medallion-tests (nobody@example.org)"])
        #expect(seen.accepts == ["text/event-stream"])
        #expect(seen.lastEventIDs.first == .some(nil))
        #expect(seen.lastEventIDs.compactMap(\.self).sorted() == seen.lastEventIDs.compactMap(\.self))
        #expect(status.reconnects >= 8)
    }

    @Test("a silent stream is given up and opened again")
    func stall() async throws {
        let cluster = try #require(MockCluster())
        cluster.createTopic(Self.topic, partitions: 2)
        let server = try BadDayServer(eventCount: 0, seed: 1, script: [])
        defer { server.stop() }
        var configuration = configuration(cluster, port: server.port)
        configuration.timeoutMilliseconds = 200
        let registry = MetricsRegistry()
        let (status, _) = try await run(configuration, metrics: registry) { $0.reconnects >= 2 }
        #expect(status.lastError?.contains("stalled") == true)
        #expect(
            registry.counter("medallion_producer_reconnects_total", help: "", labels: [("cause", "stalled")]).value >= 2
        )
    }

    @Test("what a proxy packs unasked is unpacked, event by event", arguments: ["gzip", "deflate"])
    func packed(encoding: String) async throws {
        let cluster = try #require(MockCluster())
        cluster.createTopic(Self.topic, partitions: 2)
        let server = try PackingServer(encoding, eventCount: 20)
        defer { server.stop() }
        // The stream stays open: what is not unpacked at once never comes.
        let (status, content) = try await run(configuration(cluster, port: server.port)) {
            $0.acknowledgedPosition >= 20
        }
        #expect(content.ids == Array(1...20))
        for record in content.records {
            let number = try #require(record.headers["sse_id"].flatMap { Int($0) })
            #expect(record.value == Array(PackingServer.payload(number).utf8))
        }
        #expect(status.reconnects == 0)
        #expect(server.asked == ["identity"])
    }

    @Test("an encoding that cannot be undone is named, and the source tried again after a while")
    func unknownEncoding() async throws {
        let cluster = try #require(MockCluster())
        cluster.createTopic(Self.topic, partitions: 2)
        let server = try PackingServer("br", eventCount: 20)
        defer { server.stop() }
        let registry = MetricsRegistry()
        let (status, content) = try await run(configuration(cluster, port: server.port), metrics: registry) {
            $0.reconnects >= 3
        }
        #expect(status.lastError?.contains("Content-Encoding: br") == true, "\(status.lastError ?? "no error")")
        #expect(content.records.isEmpty)
        let counter = registry.counter(
            "medallion_producer_reconnects_total", help: "", labels: [("cause", "content_encoding")])
        #expect(counter.value >= 3)
        #expect(!status.isConnected && status.lastEventArrivalMilliseconds == nil)
    }

    @Test("a source that is not there is tried again and again, and said so")
    func refused() async throws {
        let cluster = try #require(MockCluster())
        cluster.createTopic(Self.topic, partitions: 2)
        let port = try #require(DeafPort())
        let (status, content) = try await run(configuration(cluster, port: port.number)) { $0.reconnects >= 3 }
        #expect(status.lastError?.contains("no connection") == true)
        #expect(content.records.isEmpty)
    }
}

/// A port of the loopback interface that nobody listens on and nobody else can take.
private final class DeafPort {
    let number: UInt16
    private let socket: Int32

    init?() {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(socket, generic, length) == 0 && getsockname(socket, generic, &length) == 0
            }
        }
        number = UInt16(bigEndian: address.sin_port)
        self.socket = socket
        guard isBound else { return nil }
    }

    deinit { close(socket) }
}

/// Serves numbered events; the first connections misbehave in every way known.
private final class BadDayServer: Sendable {
    enum Step: CaseIterable {
        case unavailable, tooMany, forbidden, page, empty, cut, abort, mark, carriageReturns, drip
    }

    struct Seen: Sendable {
        var lastEventIDs: [Int?] = []
        var userAgents: Set<String> = []
        var accepts: Set<String> = []
    }

    let port: UInt16
    private let server: HTTPServer
    private let log: Log

    private final class Log: Sendable {
        let seen = Mutex(Seen())
    }

    var seen: Seen { log.seen.withLock { $0 } }

    /// - Parameter script: after it everything is played, and the stream stays open.
    init(eventCount: Int, seed: UInt64, script: [Step] = Step.allCases) throws {
        var router = HTTPRouter()
        let log = Log()
        router.on(.get, "/stream") { request, writer in
            let last = request.headers["Last-Event-ID"].flatMap { Int($0) }
            let connection = log.seen.withLock { seen in
                seen.lastEventIDs.append(last)
                seen.userAgents.insert(request.headers["User-Agent"] ?? "")
                seen.accepts.insert(request.headers["Accept"] ?? "")
                return seen.lastEventIDs.count - 1
            }
            var generator = SeededGenerator(seed: seed &+ UInt64(connection))
            try await Self.serve(
                connection < script.count ? script[connection] : nil, from: (last ?? 0) + 1, to: eventCount, writer,
                &generator)
        }
        self.log = log
        server = HTTPServer(configuration: HTTPServerConfiguration(), router: router)
        port = try server.start()
    }

    func stop() { server.stop(drainSeconds: 0) }

    static func payload(_ number: Int) -> [UInt8] {
        // Every fiftieth is a line of a megabyte.
        let filler = String(repeating: "ü😀", count: number % 50 == 0 ? 180_000 : number % 7)
        return Array(#"{"meta":{"id":"\#(number)"},"wiki":"w","title":"T\#(number)","x":"\#(filler)"}"#.utf8)
    }

    private static func serve(
        _ step: Step?, from first: Int, to last: Int, _ writer: HTTPStreamWriter, _ generator: inout SeededGenerator
    ) async throws {
        switch step {
        case .unavailable: return writer.respond(HTTPResponse(status: 503, headers: [:], body: []))
        case .tooMany: return writer.respond(HTTPResponse(status: 429, headers: ["Retry-After": "0"], body: []))
        case .forbidden: return writer.respond(HTTPResponse(status: 403, headers: [:], body: Array("no".utf8)))
        case .page:
            return writer.respond(
                HTTPResponse(status: 200, headers: ["Content-Type": "text/html"], body: Array("data: x\n\n".utf8)))
        default: break
        }
        writer.start(status: 200, headers: ["Content-Type": "text/event-stream; charset=utf-8"])
        let end = step == .carriageReturns ? "\r" : step == .mark ? "\r\n" : "\n"
        var bytes = Array("\(step == .mark ? "\u{FEFF}" : ""):ok\(end)\(end)".utf8)
        let limit = step == nil ? last : min(last, first + 60)
        for number in stride(from: first, through: step == .empty ? first - 1 : limit, by: 1) {
            bytes += Array("event: message\(end)id: \(number)\(end)data: ".utf8) + payload(number)
            bytes += Array("\(end)\(end)".utf8)
        }
        // The last frame stays incomplete.
        if step == .cut || step == .abort { bytes.removeLast(Int.random(in: 1...40, using: &generator)) }
        var rest = bytes[...]
        var pieces = 0
        while !rest.isEmpty {
            let size = step == .drip && pieces < 200 ? 1 : Int.random(in: 1...60_000, using: &generator)
            try await writer.write(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
            pieces += 1
        }
        if step == .abort { return writer.abort() }
        if step != nil { return writer.finish() }
        while !writer.isClosed { try await Task.sleep(for: .milliseconds(20)) }
    }
}
