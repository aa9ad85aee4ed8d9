import Broker
import Bytes
import Concurrency
import Files
import HTTPClient
import HTTPServer
import Hashing
import Health
import JSONScan
import Kafka
import KafkaAccess
import Logic
import PlatformTesting
import Records
import Sources
import Synchronization
import Telemetry
import Testing

@testable import API
@testable import Access

/// An API that takes documents, over a broker of this process.
final class IntakeScene: Sendable {
    let keys = TestKeys()
    let sources = Mutex<[SourceDeclaration]>([])
    /// How far the index is said to be.
    let reached = Mutex<[TopicPartition: Int64]>([:])
    /// What is asked of sources.
    let wishes = Mutex<@Sendable (String) -> SourceWishes?>({ _ in SourceWishes() })
    /// Called whenever somebody has looked at the sources.
    let afterLook = Mutex<(@Sendable () -> Void)?>(nil)
    private let folder: TemporaryFolder
    private let server = Mutex<BrokerServer?>(nil)
    private let port: UInt16
    let configuration: KafkaConfiguration
    private let publisher: RecordPublisher

    /// - Parameter adjust: changes the publisher's bounds.
    init(_ adjust: (inout RecordPublisher.Bounds) -> Void = { _ in }) throws {
        let folder = try TemporaryFolder()
        let (server, port) = try Self.broker(in: folder, port: 0)
        let configuration = KafkaConfiguration(brokers: "127.0.0.1:\(port)", clientID: "test")
        var bounds = RecordPublisher.Bounds()
        bounds.messageMilliseconds = 2_000
        bounds.topicMilliseconds = 2_000
        bounds.pauseMilliseconds = 50
        adjust(&bounds)
        publisher = RecordPublisher(
            { configuration },
            plan: { TopicPlan(name: $0, partitions: 2, properties: TopicPlan.brokerTime) }, bounds: bounds,
            logger: Logger("intake", level: .error))
        (self.folder, self.port, self.configuration) = (folder, port, configuration)
        self.server.withLock { $0 = server }
    }

    deinit { stopBroker() }

    private static func broker(in folder: TemporaryFolder, port: UInt16) throws -> (BrokerServer, UInt16) {
        var configuration = BrokerConfiguration(directory: folder.file("broker"))
        configuration.port = port
        let server = try BrokerServer(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("broker", level: .error))
        return (server, try server.start())
    }

    func stopBroker() {
        server.withLock { server in
            server?.stop()
            server = nil
        }
    }

    func startBroker() throws {
        let (server, _) = try Self.broker(in: folder, port: port)
        self.server.withLock { $0 = server }
    }

    func file(_ name: String, _ text: String) throws -> String {
        try File.replace(folder.file(name), with: Array(text.utf8))
        return folder.file(name)
    }

    // MARK: Declarations

    func declare(
        _ name: String, _ connector: ConnectorDeclaration, hasVersions: Bool = false, tenant: TenantID = .standard,
        id: String = "id"
    ) throws {
        let mapping = DocumentMapping(
            id: try #require(FieldPath(id)), version: hasVersions ? FieldPath("meta.version") : nil,
            texts: [try #require(FieldPath("text"))], deleted: try #require(FieldPath("meta.deleted")))
        let source = SourceDeclaration(
            name: try #require(SourceName(name)), tenant: tenant, topic: name, goldTopic: "\(name).gold",
            connector: connector, logic: .document(DocumentSettings(mapping: mapping)),
            collection: CollectionDeclaration(name: try #require(CollectionName("\(name)-found")), attributes: []))
        sources.withLock { $0.append(source) }
    }

    var desk: IntakeDesk {
        IntakeDesk(
            sources: { [self] in
                let now = sources.withLock { $0 }
                afterLook.withLock { $0 }?()
                return now
            },
            wishes: { [self] name in
                let read = wishes.withLock { $0 }
                return read(name)
            }, publisher: publisher,
            reached: { [self] _ in
                IntakeDesk.IndexReach(nextOffsets: reached.withLock { $0 }, indexVersion: 7)
            }, shown: { _, _, offsets, _ in offsets.count })
    }

    func fixture(
        access: AccessConfiguration = AccessConfiguration(), timeoutMilliseconds: Int = 30_000
    ) -> APIFixture {
        let fixture = APIFixture(
            timeoutMilliseconds: timeoutMilliseconds, access: access, readKeys: keys.read,
            adjust: { [self] dependencies in
                dependencies.intake = desk
                dependencies.sources = { [self] tenant in
                    sources.withLock { $0 }.filter { tenant == nil || $0.tenant == tenant }.map {
                        SourceStatus(
                            name: $0.name.text, connector: $0.connector.kind.rawValue, freshness: .notLookedAt)
                    }
                }
            })
        fixture.api.access.use(KeyRing(keys.read()))
        return fixture
    }

    // MARK: The topic

    struct Record: Equatable {
        var key: String?
        var value: String
        var eventID: String?
        var mayRepeat: Bool
        var partition: Int32
        var offset: Int64
    }

    /// All records of a topic, in the order of their topic partitions and offsets; none where it is not there.
    func records(_ topic: String) throws -> [Record] {
        let admin = try KafkaAdmin(configuration)
        let found = try admin.metadata(topic: nil, timeoutMilliseconds: 10_000).topics.first { $0.name == topic }
        var records: [Record] = []
        for partition in found?.partitions ?? [] {
            let high = try admin.watermarks(topic: topic, partition: partition, timeoutMilliseconds: 10_000).high
            guard high > 0 else { continue }
            var options = ConsumerOptions()
            options.hasQueuePerTopicPartition = false
            let consumer = try KafkaConsumer(configuration, options: options)
            try consumer.assign([(topic, partition, .at(0))])
            while records.last(where: { $0.partition == partition })?.offset ?? -1 < high - 1 {
                records += try consumer.next(maxRecords: 1_000, timeoutMilliseconds: 1_000) { batch -> [Record] in
                    (0..<batch.count).map { Self.record(batch[$0]) }
                }
            }
        }
        return records
    }

    private static func record(_ record: KafkaRecord) -> Record {
        func text(_ bytes: UnsafeRawBufferPointer?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
        func header(_ name: String) -> String? {
            for header in record.headers where header.name == name {
                return header.value.map { String(decoding: $0, as: UTF8.self) }
            }
            return nil
        }
        return Record(
            key: text(record.key), value: text(record.value) ?? "", eventID: header("event_id"),
            mayRepeat: header("may_repeat") != nil, partition: record.partition, offset: record.offset)
    }

    // MARK: Asking

    struct Reply: Sendable {
        var status: Int
        var body: JSONValue
        var headers: [(name: String, value: String)]

        func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
        /// The type of an error.
        var type: String? { body["error"]?["type"]?.string }
        /// The numbers of lines that are wrong, with what is.
        var lines: [String] {
            (body["error"]?["detail"]?.array ?? []).map {
                "\($0["loc"]?[1]?.integer ?? 0) \($0["type"]?.string ?? "")"
            }
        }
    }

    static let lines = "application/x-ndjson"
    static let json = "application/json"

    static func send(
        _ port: UInt16, _ path: String, _ body: [UInt8], method: String = "POST", key: String? = nil,
        _ more: [(String, String)] = [], type: String = IntakeScene.json
    ) async throws -> Reply {
        try await Lane(name: "client").run {
            var headers: [(name: String, value: String)] = [(name: "Content-Type", value: type)]
            if let key { headers.append((name: "Authorization", value: "Bearer \(key)")) }
            headers += more.map { (name: $0.0, value: $0.1) }
            let reply = try HTTPClient().request(
                HTTPClientRequest(
                    method: method, url: "http://127.0.0.1:\(port)\(path)", headers: headers,
                    body: method == "GET" || method == "DELETE" ? nil : body), timeoutMilliseconds: 30_000)
            return Reply(
                status: reply.status, body: (try? JSONValue.parse(reply.body)) ?? .null,
                headers: reply.headers.fields.map { (name: $0.name, value: $0.value) })
        }
    }

    static func send(
        _ port: UInt16, _ path: String, _ body: String, method: String = "POST", key: String? = nil,
        _ more: [(String, String)] = [], type: String = IntakeScene.json
    ) async throws -> Reply {
        try await send(port, path, Array(body.utf8), method: method, key: key, more, type: type)
    }

    /// The header of a request that is signed with a secret.
    static func signature(
        _ body: [UInt8], secret: String, key: String = "", secondsAgo: Int64 = 0
    ) throws -> (String, String) {
        let seconds = SystemClock.epochMilliseconds() / 1_000 - secondsAgo
        let code = try MessageAuthentication.sha256(
            [Array("\(seconds).\(key).".utf8), body], secret: Array(secret.utf8))
        return ("Medallion-Signature", "t=\(seconds),v1=\(code.hex)")
    }
}
