import Bytes
import Glibc
import Kafka
import KafkaAccess
import Records
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

/// What a process that follows a topic of entries says of the topic over weeks.
@Suite struct EntryFollowerTests {
    private static var plan: TopicPlan {
        var plan = TopicPlan(name: "requests", partitions: 1, properties: TopicPlan.brokerTime)
        plan.properties["retention.ms"] = "-1"
        return plan
    }

    private final class Capture: Sendable {
        private let bytes = Mutex<[UInt8]>([])

        var logger: Logger {
            Logger(
                "requests", level: .warning,
                sink: LogSink(format: .text, clock: { 0 }) { more in self.bytes.withLock { $0 += more } })
        }

        func count(_ words: String) -> Int {
            let text = bytes.withLock { String(decoding: $0, as: UTF8.self) }
            return text.split(separator: "\n").count { $0.contains(words) }
        }
    }

    private struct TakingFault: Error, CustomStringConvertible {
        let description = "no room"
    }

    private static func request(_ id: String) -> SourceRequestEntry {
        .request(SourceRequest(id: id, source: "a", action: .pause, reason: "", by: "Ann", atMilliseconds: 1))
    }

    /// The same fault, before and behind a time in which all was well.
    @Test func aFaultThatComesAgainIsSaidAgain() async throws {
        let scene = try IntakeScene()
        let kafka = scene.configuration
        let capture = Capture()
        let follower = SourceRequestFollower(
            { kafka }, plan: Self.plan, laneName: "requests", logger: capture.logger)
        let taken = Mutex<[String]>([])
        let faults = Mutex(0)
        let isSpoiled = Mutex(false)
        let next = Mutex<Int64?>(nil)
        let stop = StopSignal()
        async let end: Void = follower.run(
            stop: stop, position: { next.withLock { $0 } },
            take: { records in
                if isSpoiled.withLock({ $0 }) {
                    faults.withLock { $0 += 1 }
                    throw TakingFault()
                }
                next.withLock { $0 = records.last?.nextOffset }
                taken.withLock { $0 += records.compactMap { $0.entry?.id } }
            })
        defer { stop.request() }
        let publisher = SourceRequestPublisher({ kafka }, plan: Self.plan, logger: Logger("requests", level: .error))
        for (number, id) in ["r-1", "r-2"].enumerated() {
            isSpoiled.withLock { $0 = true }
            let before = faults.withLock { $0 }
            try publisher.publish(Self.request(id), timeoutMilliseconds: 10_000)
            // It stays so for some attempts, which is said once.
            try await eventually { faults.withLock { $0 } >= before + 3 }
            #expect(capture.count("no room") == number + 1)
            isSpoiled.withLock { $0 = false }
            try await eventually { taken.withLock { $0.last } == id }
        }
        stop.request()
        await end
    }

    @Test func aTopicThatIsMendedIsNotDoubtedAnyMore() async throws {
        let scene = try IntakeScene()
        let kafka = scene.configuration
        _ = try KafkaAdmin(kafka).createTopic(
            Self.plan.name, partitions: 1, config: ["retention.ms": "604800000"], timeoutMilliseconds: 10_000)
        let board = SourceRequestBoard()
        let service = SourceRequestFollowing(
            { kafka }, plan: Self.plan, board: board, logger: Logger("requests", level: .error), lookMilliseconds: 50)
        let stop = StopSignal()
        async let end: Void = service.run(stop: stop)
        defer { stop.request() }
        try await eventually { board.doubt?.contains("retention.ms=604800000") == true }
        try Self.alter(kafka, retention: "-1")
        try await eventually { board.doubt == nil }
        // One that is spoiled later is seen, too.
        try Self.alter(kafka, retention: "86400000")
        try await eventually { board.doubt?.contains("retention.ms=86400000") == true }
        #expect(board.fault == nil)
        stop.request()
        try await end
    }

    /// Changes the topic's retention as `kafka-configs --alter` does: by IncrementalAlterConfigs, version 0.
    private static func alter(_ kafka: KafkaConfiguration, retention: String) throws {
        var body: [UInt8] = []
        func number<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.bigEndian) { body += $0 } }
        func text(_ value: String) {
            number(Int16(value.utf8.count))
            body += Array(value.utf8)
        }
        number(Int16(44))
        number(Int16(0))
        number(Int32(1))
        text("test")
        number(Int32(1))
        // A topic.
        number(Int8(2))
        text(Self.plan.name)
        number(Int32(1))
        text("retention.ms")
        // Is set.
        number(Int8(0))
        text(retention)
        // And not only tried.
        number(Int8(0))
        let length = withUnsafeBytes(of: Int32(body.count).bigEndian) { Array($0) }
        let port = try #require(kafka.brokers.split(separator: ":").last.flatMap { UInt16($0) })
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(client) }
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(code == 0)
        let message = length + body
        try #require(send(client, message, message.count, Int32(MSG_NOSIGNAL)) == message.count)
        // Length, correlation, throttling, count of results, and the first one's code.
        var reply = [UInt8](repeating: 0xFF, count: 18)
        try #require(recv(client, &reply, reply.count, Int32(MSG_WAITALL)) == reply.count)
        try #require(reply[16...17].allSatisfy { $0 == 0 }, "\(reply)")
    }
}
