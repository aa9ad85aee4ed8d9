import Files
import Glibc
import Kafka
import PlatformTesting
import Testing

@testable import Broker

/// Clients that mean no good, or had bad luck: others go on, and memory stays bounded.
@Suite(.serialized)
struct HostileTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    /// A client library does its work while the hostile ones are connected.
    private func expectService(_ broker: TestBroker, topic: String = "service") throws {
        let kafka = KafkaConfiguration(brokers: broker.address, clientID: "good")
        _ = try KafkaAdmin(kafka).createTopic(topic, partitions: 1, timeoutMilliseconds: 20_000)
        let producer = try KafkaProducer(kafka)
        for number in 0..<100 {
            try producer.send(topic: topic, partition: 0, key: nil, value: Array("value \(number)".utf8))
        }
        let reports = producer.flush(timeoutMilliseconds: 20_000)
        #expect(reports.count == 100 && reports.allSatisfy { $0.error == nil })
        let consumer = try KafkaConsumer(kafka)
        try consumer.assign([(topic, 0, .beginning)])
        let queue = try #require(consumer.queue(topic: topic, partition: 0))
        var seen = 0
        for _ in 0..<40 where seen < 100 {
            queue.next(maxRecords: 100, timeoutMilliseconds: 500) { seen += $0.count }
        }
        #expect(seen == 100)
    }

    private func descriptorCount() throws -> Int { try Folder.list("/proc/self/fd").count }

    private func residentBytes() throws -> Int {
        let fields = String(decoding: try Files.File.contents(of: "/proc/self/statm", bytesMax: 256), as: UTF8.self)
            .split(separator: " ")
        return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    @Test("A thousand idle connections, half of them in the middle of a frame, keep nobody from working")
    func idleConnections() throws {
        let broker = try TestBroker(folder: folder.file("b"))
        var idle: [BrokerSocket] = []
        for index in 0..<1_000 {
            let socket = try BrokerSocket(port: broker.port)
            if index % 2 == 0 { socket.send([0, 0, 1, 0, 0, 18, 0, 0]) }
            idle.append(socket)
        }
        try expectService(broker)
        let socket = try #require(idle.first)
        // The rest of the frame comes late: a client id of 246 bytes, which ends the frame.
        socket.send([0, 0, 0, 7, 0, 244] + [UInt8](repeating: 0x78, count: 246))
        #expect(socket.answer().map { Array($0[..<4]) } == [0, 0, 0, 7])
    }

    @Test("Readers that never read are sent no more than a bound, and hold one descriptor per segment")
    func neverReading() throws {
        let broker = try TestBroker(folder: folder.file("b")) { $0.segmentBytesMax = 1 << 16 }
        let kafka = KafkaConfiguration(brokers: broker.address)
        _ = try KafkaAdmin(kafka).createTopic("t", partitions: 1, timeoutMilliseconds: 20_000)
        let producer = try KafkaProducer(kafka)
        let value = [UInt8](repeating: 0x61, count: 10_000)
        for _ in 0..<100 { try producer.send(topic: "t", partition: 0, key: nil, value: value) }
        #expect(producer.flush(timeoutMilliseconds: 20_000).allSatisfy { $0.error == nil })
        let descriptors = try descriptorCount()
        let resident = try residentBytes()
        var writer = WireWriter(isFlexible: false)
        RequestBodies.fetch(&writer, 11, topic: "t", partition: 0, offset: 0, minBytes: 1, waitMilliseconds: 0)
        let fetch = RequestBodies.frame(.fetch, 11, correlation: 1, writer.take())
        let hostile = try (0..<20).map { _ in try BrokerSocket(port: broker.port) }
        var sent = 0
        for _ in 0..<300 {
            for socket in hostile { sent += socket.sendWithoutWaiting(fetch) }
        }
        #expect(sent > 0)
        try expectService(broker)
        #expect(try descriptorCount() < descriptors + 200)
        #expect(try residentBytes() < resident + 256 << 20)
    }

    @Test("Where unfinished frames hold too much memory, the greediest goes and the others stay")
    func greed() throws {
        let broker = try TestBroker(folder: folder.file("b")) { $0.requestMemoryBytesMax = 8 << 20 }
        let modest = try BrokerSocket(port: broker.port)
        modest.send([0, 0, 1, 0, 0, 18, 0, 0, 0, 0, 0, 7, 0, 244])
        let greedy = try BrokerSocket(port: broker.port)
        greedy.send([0x05, 0, 0, 0] + [UInt8](repeating: 0, count: 9 << 20))
        #expect(greedy.isClosedByPeer())
        modest.send([UInt8](repeating: 0x78, count: 246))
        #expect(modest.answer().map { Array($0[..<4]) } == [0, 0, 0, 7])
        try expectService(broker)
    }

    @Test("Arrays that claim more than there is, and groups with more metadata than there may be, are refused")
    func hugeArrays() throws {
        let broker = try TestBroker(folder: folder.file("b")) { $0.groupLimits.bytesMax = 1 << 20 }
        let lying = try BrokerSocket(port: broker.port)
        lying.send(RequestBodies.frame(.metadata, 1, correlation: 1, [0x7f, 0xff, 0xff, 0xff]))
        #expect(lying.isClosedByPeer())
        var codes: [Int16] = []
        for index in 0..<3 {
            let socket = try BrokerSocket(port: broker.port)
            var writer = WireWriter(isFlexible: false)
            RequestBodies.joinGroup(
                &writer, 2, group: "g\(index)", metadata: [UInt8](repeating: 1, count: 600_000))
            socket.send(RequestBodies.frame(.joinGroup, 2, correlation: 3, writer.take()))
            var answer = WireReader(try #require(socket.answer()))
            _ = try answer.int32()
            _ = try answer.int32()
            codes.append(try answer.int16())
        }
        #expect(codes == [0, 81, 81])
        try expectService(broker)
    }
}
