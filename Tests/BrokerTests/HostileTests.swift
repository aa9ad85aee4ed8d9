import Bytes
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

    @Test("A whole request has room made for it by the greediest unfinished frame, not by its own connection")
    func unfinishedFramesGoFirst() throws {
        let bytesMax = 8 << 20
        let broker = try TestBroker(folder: folder.file("b")) { $0.requestMemoryBytesMax = bytesMax }
        _ = try KafkaAdmin(KafkaConfiguration(brokers: broker.address))
            .createTopic("t", partitions: 1, timeoutMilliseconds: 20_000)
        let sizes = [4 << 20, (4 << 20) - 1_000]
        let unfinished = try sizes.map { size -> BrokerSocket in
            let socket = try BrokerSocket(port: broker.port)
            socket.send([0x05, 0, 0, 0] + [UInt8](repeating: 0, count: size))
            return socket
        }
        for _ in 0..<1_000 where requestBytes(broker) != bytesMax - 1_000 { usleep(5_000) }
        #expect(requestBytes(broker) == bytesMax - 1_000)
        let honest = try BrokerSocket(port: broker.port)
        honest.send(produce(TestBatch.make([String(repeating: "x", count: 2_000)]), acks: -1))
        var answer = WireReader(try #require(honest.answer()))
        _ = try answer.int32()
        _ = try answer.int32()
        _ = try answer.string()
        _ = try answer.int32()
        _ = try answer.int32()
        let code = try answer.int16()
        #expect(code == 0)
        #expect(requestBytes(broker) == sizes[1], "the other one fits and stays")
        #expect(unfinished[0].isClosedByPeer())
    }

    @Test("A small Produce request makes the broker unpack no more than the largest batch may have")
    func smallBombs() throws {
        #expect(BrokerLoop.unpackedBytesMax(requestBytes: 20_000) == BatchValidator.unpackedBytesMax)
        #expect(BrokerLoop.unpackedBytesMax(requestBytes: 8 << 20) == 128 << 20)
        #expect(BrokerLoop.unpackedBytesMax(requestBytes: 100 << 20) == 256 << 20)
        let broker = try TestBroker(folder: folder.file("b"))
        _ = try KafkaAdmin(KafkaConfiguration(brokers: broker.address))
            .createTopic("t", partitions: 1, timeoutMilliseconds: 20_000)
        let zeros = [UInt8](repeating: 0, count: 40 << 20)
        let bomb = TestBatch.with(payload: try Packing.zstd(zeros), attributes: 4, TestBatch.make(["a"]))
        var writer = WireWriter(isFlexible: false)
        writer.nullableString(nil)
        writer.int16(-1)
        writer.int32(1_000)
        writer.array([0]) { writer, _ in
            writer.string("t")
            writer.array([bomb, bomb]) { writer, batch in
                writer.int32(0)
                writer.bytesField(batch)
            }
        }
        let socket = try BrokerSocket(port: broker.port)
        socket.send(RequestBodies.frame(.produce, 3, correlation: 1, writer.take()))
        var answer = WireReader(try #require(socket.answer()))
        _ = try answer.int32()
        let codes = try answer.array { reader throws(WireError) -> [Int16] in
            _ = try reader.string()
            return try reader.array { reader throws(WireError) -> Int16 in
                _ = try reader.int32()
                let code = try reader.int16()
                _ = try reader.int64()
                _ = try reader.int64()
                return code
            }
        }
        // The first is unpacked and has no sound record; the second is not unpacked any more.
        #expect(codes == [[ErrorCode.invalidRecord.rawValue, ErrorCode.messageTooLarge.rawValue]])
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

    private func produce(_ batch: [UInt8], acks: Int16) -> [UInt8] {
        var writer = WireWriter(isFlexible: false)
        RequestBodies.produce(&writer, 8, acks: acks, topic: "t", partition: 0, records: batch)
        return RequestBodies.frame(.produce, 8, correlation: 1, writer.take())
    }

    /// A broker whose disk waits, with the topic `t`.
    private func stalled(_ disk: FaultyDisk, requestMemory: Int) throws -> TestBroker {
        let broker = try TestBroker(folder: folder.file("b"), disk: disk.calls) {
            $0.requestMemoryBytesMax = requestMemory
        }
        _ = try KafkaAdmin(KafkaConfiguration(brokers: broker.address))
            .createTopic("t", partitions: 1, timeoutMilliseconds: 20_000)
        disk.faults.withLock { $0.syncWaits = true }
        return broker
    }

    /// Memory that the broker's requests hold, as its metric tells it.
    private func requestBytes(_ broker: TestBroker) -> Int {
        let lines = String(decoding: broker.metrics.render(), as: UTF8.self).split(separator: "\n")
        let name = "medallion_broker_request_bytes "
        let line = lines.first { $0.hasPrefix(name) }
        return line.flatMap { Double($0.dropFirst(name.count)) }.map { Int($0) } ?? -1
    }

    /// Sends as much of `frame`, again and again, as the broker takes; true once `total` bytes are gone.
    ///
    /// - Parameter idleMax: how often nothing may be taken, every 5 ms.
    private func pump(
        _ frame: [UInt8], _ socket: BrokerSocket, _ sent: inout Int, total: Int, idleMax: Int = 40
    ) -> Bool {
        var idle = 0
        while sent < total, idle < idleMax {
            let rest = Array(frame[(sent % frame.count)...])
            let count = socket.sendWithoutWaiting(rest)
            sent += count
            idle = count == 0 ? idle + 1 : 0
            if count == 0 { usleep(5_000) }
        }
        return sent >= total
    }

    @Test("Producers that want no answer are held back as those that do: 320 MB against a disk that waits")
    func withoutAcknowledgement() throws {
        let disk = FaultyDisk()
        let broker = try stalled(disk, requestMemory: 32 << 20)
        defer { disk.go() }
        let frame = produce(TestBatch.make([String(repeating: "x", count: 4_000_000)]), acks: 0)
        let total = 80 * frame.count
        let resident = try residentBytes()
        let sockets = try (0..<2).map { _ in try BrokerSocket(port: broker.port) }
        var sent = [0, 0]
        for index in 0..<2 { _ = pump(frame, sockets[index], &sent[index], total: total / 2) }
        // Beside what the broker holds, what is on its way in the sockets.
        #expect(sent[0] + sent[1] < 32 << 20 + 40 << 20, "\(sent) bytes of \(total) were taken")
        #expect(requestBytes(broker) <= 32 << 20)
        #expect(try residentBytes() < resident + 96 << 20)
        disk.go()
        // With the disk back, everything arrives, with no more memory than before.
        var peak = 0
        for index in 0..<2 {
            while sent[index] < total / 2 {
                _ = pump(frame, sockets[index], &sent[index], total: min(total / 2, sent[index] + 8 << 20))
                peak = max(peak, try residentBytes())
            }
        }
        #expect(peak < resident + 128 << 20)
        let kafka = KafkaConfiguration(brokers: broker.address)
        var end: Int64 = 0
        for _ in 0..<200 where end < 80 {
            end = try KafkaAdmin(kafka).watermarks(topic: "t", partition: 0, timeoutMilliseconds: 20_000).high
            if end < 80 { usleep(50_000) }
        }
        #expect(end == 80)
    }

    @Test("Frames of connections that were closed count until they are written")
    func closedConnections() async throws {
        let disk = FaultyDisk()
        let broker = try stalled(disk, requestMemory: 32 << 20)
        defer { disk.go() }
        let frame = produce(TestBatch.make([String(repeating: "x", count: 4_000_000)]), acks: -1)
        let resident = try residentBytes()
        for _ in 0..<60 {
            let socket = try BrokerSocket(port: broker.port)
            var sent = 0
            _ = pump(frame, socket, &sent, total: frame.count, idleMax: 5)
        }
        #expect(requestBytes(broker) <= 32 << 20)
        #expect(try residentBytes() < resident + 96 << 20)
        disk.go()
        try expectService(broker)
        // The last of them may still be in the disk's hands.
        await waitUntil { requestBytes(broker) < 1 << 20 }
        #expect(requestBytes(broker) < 1 << 20, "what was written counts no more")
    }

    @Test("Requests that wait for the storage thread count, with what was decoded of them")
    func waitingTasks() throws {
        let disk = FaultyDisk()
        let broker = try stalled(disk, requestMemory: 16 << 20)
        defer { disk.go() }
        // Keeps the storage thread busy.
        let first = try BrokerSocket(port: broker.port)
        first.send(produce(TestBatch.make(["x"]), acks: -1))
        var writer = WireWriter(isFlexible: false)
        // 30,000 offsets for topics that do not exist but one; small on the wire, larger when decoded.
        writer.string("group")
        writer.int32(-1)
        writer.string("")
        writer.int64(-1)
        writer.array([0]) { writer, _ in
            writer.string("t")
            writer.array(Array(0..<30_000)) { writer, _ in
                writer.int32(0)
                writer.int64(1)
                writer.nullableString(nil)
            }
        }
        let frame = RequestBodies.frame(.offsetCommit, 2, correlation: 5, writer.take())
        let resident = try residentBytes()
        var sent = 0
        for _ in 0..<20 {
            let socket = try BrokerSocket(port: broker.port)
            var own = 0
            _ = pump(frame, socket, &own, total: 2 * frame.count, idleMax: 5)
            sent += own
        }
        #expect(sent > 0)
        #expect(requestBytes(broker) <= 16 << 20)
        #expect(try residentBytes() < resident + 128 << 20)
        disk.go()
        #expect(first.answer() != nil)
        try expectService(broker)
    }

    @Test("Ids of members count in what groups may hold, and notes of committed offsets have a bound of their own")
    func idsAndNotes() throws {
        var limits = GroupLimits()
        limits.bytesMax = 4 << 20
        limits.offsetBytesMax = 1 << 20
        var groups = GroupCoordinator(limits: limits)
        let long = String(repeating: "i", count: 32_000)
        var members = 0
        for number in 0..<1_000 {
            let join = GroupJoin(
                instanceID: "\(long)\(number)", clientID: long, sessionMilliseconds: 10_000, rebalanceMilliseconds: 10,
                protocols: [GroupProtocol(name: "range", metadata: [])])
            guard groups.refusal(of: join, group: "g\(number)") == nil else { break }
            groups.with("g\(number)") { group in
                group.join(join, newID: GroupCoordinator.newMemberID(long), token: number, initialDelay: 0, now: 0)
            }
            members += 1
        }
        #expect((40...70).contains(members), "64 kB each in 4 MiB")
        #expect(groups.byteCount <= limits.bytesMax)
        for number in 0..<members { groups.forget("g\(number)") }
        #expect(groups.byteCount == 0)
        // One character may be any number of bytes.
        let wide = "e" + String(repeating: "\u{301}", count: 10_000)
        #expect(GroupCoordinator.newMemberID(wide).utf8.count <= GroupCoordinator.newMemberIDBytesMax)

        let tables = StorageTables()
        var journal = try OffsetJournal(folder: folder.path)
        let note = String(repeating: "n", count: 4_000)
        func change(_ number: Int, _ note: String) -> OffsetChange {
            OffsetChange(
                group: "g\(number)", topicPartition: TestLog.name,
                committed: CommittedOffset(offset: 1, leaderEpoch: 0, metadata: note, commitTime: 0))
        }
        var committed = 0
        for number in 0..<1_000 where tables.hasRoom(for: "g\(number)", [change(number, note)], limits) {
            try journal.append([change(number, note)])
            tables.set(offsets: journal)
            committed += 1
        }
        #expect((240...264).contains(committed))
        // Who is there goes on, but not with more.
        #expect(tables.hasRoom(for: "g0", [change(0, note)], limits))
        #expect(!tables.hasRoom(for: "g0", [change(0, note + note)], limits))
    }
}
