import Files
import Glibc
import Kafka
import PlatformTesting
import Testing

@testable import Broker

/// The broker over a bare socket: what a client library would never do, and what it never shows.
struct ServerTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func frame(_ api: APIKey, _ version: Int16, correlation: Int32, _ body: [UInt8]) -> [UInt8] {
        RequestBodies.frame(api, version, correlation: correlation, body)
    }

    private func produce(_ records: [UInt8], correlation: Int32, topic: String = "t", acks: Int16 = -1) -> [UInt8] {
        var writer = WireWriter(isFlexible: false)
        RequestBodies.produce(&writer, 8, acks: acks, topic: topic, partition: 0, records: records)
        return frame(.produce, 8, correlation: correlation, writer.take())
    }

    private func fetch(offset: Int64, minBytes: Int32, wait: Int32, correlation: Int32) -> [UInt8] {
        var writer = WireWriter(isFlexible: false)
        RequestBodies.fetch(
            &writer, 11, topic: "t", partition: 0, offset: offset, minBytes: minBytes, waitMilliseconds: wait)
        return frame(.fetch, 11, correlation: correlation, writer.take())
    }

    /// Creates topic `t` through the socket.
    private func createTopic(_ socket: BrokerSocket) throws {
        var writer = WireWriter(isFlexible: false)
        writer.array([0]) { writer, _ in
            writer.string("t")
            writer.int32(1)
            writer.int16(1)
            writer.int32(0)
            writer.int32(0)
        }
        writer.int32(1_000)
        writer.bool(false)
        socket.send(frame(.createTopics, 1, correlation: 1, writer.take()))
        var answer = WireReader(try #require(socket.answer()))
        #expect(try answer.int32() == 1)
        let errors = try answer.array { reader throws(WireError) in
            _ = try reader.string()
            let code = try reader.int16()
            _ = try reader.nullableString()
            return code
        }
        #expect(errors == [0])
    }

    /// The error code, base offset and append time of a one-partition Produce answer of version 8.
    private func produceAnswer(_ bytes: [UInt8]?) throws -> (correlation: Int32, error: Int16, baseOffset: Int64) {
        var reader = WireReader(try #require(bytes))
        let correlation = try reader.int32()
        _ = try reader.int32()
        _ = try reader.string()
        _ = try reader.int32()
        _ = try reader.int32()
        return (correlation, try reader.int16(), try reader.int64())
    }

    @Test("ApiVersions from the future is answered in version 0 with the list; known versions list every API")
    func apiVersions() throws {
        let broker = try TestBroker(folder: folder.file("b"))
        let socket = try BrokerSocket(port: broker.port)
        socket.send(frame(.apiVersions, 42, correlation: 5, []))
        var answer = WireReader(try #require(socket.answer()))
        #expect(try answer.int32() == 5)
        #expect(try answer.int16() == 35)
        let listed = try answer.array { reader throws(WireError) in
            (key: try reader.int16(), range: try reader.int16()...(try reader.int16()))
        }
        #expect(listed.map(\.key) == APIKey.allCases.map(\.rawValue).sorted())
        for (key, range) in listed { #expect(APIKey(rawValue: key)?.versions == range) }
        #expect(answer.remaining == 0)
    }

    @Test("Requests sent together are answered in their order, a waiting fetch among them")
    func ordering() throws {
        let broker = try TestBroker(folder: folder.file("b"))
        let (first, second) = (try BrokerSocket(port: broker.port), try BrokerSocket(port: broker.port))
        try createTopic(first)
        let batch = TestBatch.make(["hello"])
        // The fetch waits for a record that another connection brings; the requests behind it wait for it.
        first.send(
            fetch(offset: 0, minBytes: 1, wait: 4_000, correlation: 10) + frame(.apiVersions, 0, correlation: 11, []))
        second.send(produce(batch, correlation: 20) + produce(batch, correlation: 21))
        #expect(try produceAnswer(second.answer()).correlation == 20)
        let last = try produceAnswer(second.answer())
        #expect(last.correlation == 21 && last.error == 0 && last.baseOffset == 1)
        let fetched = try #require(first.answer())
        #expect(Array(fetched[..<4]) == [0, 0, 0, 10])
        #expect(TestBatch.values(Array(fetched.suffix(batch.count))).map(\.value) == ["hello"])
        #expect(try #require(first.answer())[..<4] == [0, 0, 0, 11])
    }

    @Test("A fetch with nothing to read is answered when its time is over")
    func fetchTimesOut() throws {
        let broker = try TestBroker(folder: folder.file("b"))
        let socket = try BrokerSocket(port: broker.port)
        try createTopic(socket)
        socket.send(fetch(offset: 0, minBytes: 1, wait: 50, correlation: 3))
        #expect(try #require(socket.answer())[..<4] == [0, 0, 0, 3])
        // Beyond the end: told at once.
        socket.send(fetch(offset: 7, minBytes: 1, wait: 60_000, correlation: 4))
        #expect(try #require(socket.answer())[..<4] == [0, 0, 0, 4])
    }

    @Test("A repeated batch of an idempotent producer gets its first offset again, also after a restart")
    func idempotence() throws {
        let first = TestBatch.make(["a", "b"], producerID: 5, epoch: 0, sequence: 0)
        let gap = TestBatch.make(["d"], producerID: 5, epoch: 0, sequence: 9)
        do {
            let broker = try TestBroker(folder: folder.file("b"))
            let socket = try BrokerSocket(port: broker.port)
            try createTopic(socket)
            for correlation in Int32(1)...3 {
                socket.send(produce(first, correlation: correlation))
                let answer = try produceAnswer(socket.answer())
                #expect(answer.error == 0 && answer.baseOffset == 0)
            }
        }
        let broker = try TestBroker(folder: folder.file("b"))
        let socket = try BrokerSocket(port: broker.port)
        socket.send(produce(first, correlation: 1) + produce(gap, correlation: 2))
        #expect(try produceAnswer(socket.answer()).baseOffset == 0)
        #expect(try produceAnswer(socket.answer()).error == ErrorCode.outOfOrderSequenceNumber.rawValue)
    }

    @Test("A full disk is answered with a retriable error, and the same batch is taken once there is room")
    func fullDisk() throws {
        let disk = FaultyDisk()
        let broker = try TestBroker(folder: folder.file("b"), disk: disk.calls)
        let socket = try BrokerSocket(port: broker.port)
        try createTopic(socket)
        let batch = { TestBatch.make(["v"], producerID: 5, epoch: 0, sequence: $0) }
        socket.send(produce(batch(0), correlation: 1))
        #expect(try produceAnswer(socket.answer()).error == 0)
        disk.faults.withLock { $0.writableBytes = 10 }
        socket.send(produce(batch(1), correlation: 2) + produce(batch(2), correlation: 3))
        #expect(try produceAnswer(socket.answer()).error == ErrorCode.storageError.rawValue)
        // In the same round it fails like the first, in the next it no longer follows; a client sends both again.
        let later = try produceAnswer(socket.answer()).error
        #expect([ErrorCode.storageError, .outOfOrderSequenceNumber].map(\.rawValue).contains(later))
        disk.faults.withLock { $0 = FaultyDisk.Faults(writableBytes: nil, syncFails: true) }
        socket.send(produce(batch(1), correlation: 4))
        #expect(try produceAnswer(socket.answer()).error == ErrorCode.storageError.rawValue)
        disk.faults.withLock { $0 = FaultyDisk.Faults() }
        for sequence in Int32(1)...2 {
            socket.send(produce(batch(sequence), correlation: 5))
            let answer = try produceAnswer(socket.answer())
            #expect(answer.error == 0 && answer.baseOffset == Int64(sequence))
        }
    }

    @Test("Malformed bytes close their own connection and no other")
    func malformed() throws {
        let broker = try TestBroker(folder: folder.file("b"))
        let good = try BrokerSocket(port: broker.port)
        try createTopic(good)
        let hostile: [[UInt8]] = [
            [0x7f, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0xff], [0, 0, 0, 3, 1, 2, 3],
            Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), frame(.fetch, 99, correlation: 1, []),
            frame(.metadata, 1, correlation: 1, [0x7f, 0xff, 0xff, 0xff]),
            frame(.metadata, 1, correlation: 1, [0, 0, 0, 1, 9]),
        ]
        for bytes in hostile {
            let socket = try BrokerSocket(port: broker.port)
            socket.send(bytes)
            #expect(socket.isClosedByPeer())
        }
        let half = try BrokerSocket(port: broker.port)
        half.send(Array(produce(TestBatch.make(["x"]), correlation: 1).dropLast(5)))
        good.send(produce(TestBatch.make(["y"]), correlation: 2))
        #expect(try produceAnswer(good.answer()).error == 0)
        let rendered = String(decoding: broker.metrics.render(), as: UTF8.self)
        #expect(rendered.contains("medallion_broker_malformed_requests_total \(hostile.count)"))
    }

    @Test("Topics are shown with their bytes, the largest by name, and go with their topic")
    func topicBytes() throws {
        let broker = try TestBroker(folder: folder.file("b"))
        let admin = try KafkaAdmin(KafkaConfiguration(brokers: broker.address, clientID: "test"))
        try admin.createTopic("gone", partitions: 1, timeoutMilliseconds: 10_000)
        let socket = try BrokerSocket(port: broker.port)
        try createTopic(socket)
        let batch = TestBatch.make(["y", "z"])
        socket.send(produce(batch, correlation: 2))
        #expect(try produceAnswer(socket.answer()).error == 0)
        func rendered() -> [Substring] {
            String(decoding: broker.metrics.render(), as: UTF8.self).split(separator: "\n")
                .filter { $0.hasPrefix("medallion_broker_topic_bytes{") }
        }
        #expect(
            rendered() == [
                "medallion_broker_topic_bytes{topic=\"t\"} \(batch.count)",
                "medallion_broker_topic_bytes{topic=\"gone\"} 0",
            ])
        try admin.deleteTopic("gone", timeoutMilliseconds: 10_000)
        #expect(rendered().count == 1)
        for number in 0..<BrokerMetrics.topicsMax + 5 {
            try admin.createTopic("many-\(number)", partitions: 1, timeoutMilliseconds: 10_000)
        }
        let many = rendered()
        #expect(many.count == BrokerMetrics.topicsMax + 1, "whoever makes topics makes no series without end")
        #expect(many.first?.hasPrefix("medallion_broker_topic_bytes{topic=\"t\"}") == true)
        #expect(many.last == "medallion_broker_topic_bytes{topic=\"(others)\"} 0")
    }

    @Test("acks=0 gets no answer, and a failed one is noticed by its closed connection")
    func withoutAcknowledgement() throws {
        let broker = try TestBroker(folder: folder.file("b"))
        let socket = try BrokerSocket(port: broker.port)
        try createTopic(socket)
        socket.send(
            produce(TestBatch.make(["z"]), correlation: 1, acks: 0) + frame(.apiVersions, 0, correlation: 2, []))
        #expect(try #require(socket.answer())[..<4] == [0, 0, 0, 2])
        socket.send(produce(TestBatch.make(["z"]), correlation: 3, topic: "missing", acks: 0))
        #expect(socket.isClosedByPeer())
    }

    @Test("Two brokers cannot share a folder, and a taken port says so")
    func exclusion() throws {
        let broker = try TestBroker(folder: folder.file("b"))
        #expect(throws: BrokerError.self) { try TestBroker(folder: folder.file("b")) }
        #expect(throws: (any Error).self) { try TestBroker(folder: folder.file("c"), port: broker.port) }
    }
}

/// A blocking client socket with a limit of five seconds on every wait.
final class BrokerSocket {
    private let descriptor: Int32
    struct Failure: Error {}

    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else { throw Failure() }
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) {
        var start = 0
        while start < bytes.count {
            let count = bytes[start...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            start += count
        }
    }

    /// Sends what the socket takes just now; returns how much.
    func sendWithoutWaiting(_ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBytes {
            max(0, Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)))
        }
    }

    /// The next answer without its length; nil when the connection ends or five seconds pass.
    func answer() -> [UInt8]? {
        guard let length = receive(4) else { return nil }
        return receive(length.withUnsafeBytes { Int($0.bigEndian(at: 0) as Int32) })
    }

    /// Whether the broker ended the connection (in order or by a reset), not merely kept silent.
    func isClosedByPeer() -> Bool {
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, 0)
        return count == 0 || (count < 0 && errno == ECONNRESET)
    }

    private func receive(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress.map { $0 + done }, count - done, 0)
            }
            if got <= 0 { return nil }
            done += got
        }
        return bytes
    }
}
