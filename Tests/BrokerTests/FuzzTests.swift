import Bytes
import Codecs
import Files
import Glibc
import Kafka
import PlatformTesting
import Testing

@testable import Broker

/// Requests with damage of many kinds. Short in `make test`; `make fuzz` runs it for as long as FUZZ_SECONDS says, with
/// a new seed each time, which it prints. TEST_SEED repeats a run.
@Suite(.serialized)
struct FuzzTests {
    private static func variable(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }

    private let seconds = variable("FUZZ_SECONDS")
    private let seed: UInt64

    init() {
        if let wanted = Self.variable("TEST_SEED") {
            seed = UInt64(wanted)
        } else {
            seed = seconds == nil ? 20_261_121 : UInt64(SystemClock.epochMilliseconds())
        }
        if seconds != nil { print("fuzz: TEST_SEED=\(seed)") }
    }

    /// Every API in every version, without the length in front.
    private static let corpus: [[UInt8]] = APIKey.allCases.flatMap { api in
        api.versions.map { version in
            Array(RequestBodies.frame(api, version, correlation: 7, RequestBodies.body(api, version)).dropFirst(4))
        }
    }

    /// Goes on until the time is over, or for a fixed number of rounds where none is given.
    private func rounds(_ standard: Int, _ body: (Int) throws -> Void) rethrows {
        let end = seconds.map { SystemClock.monotonicNanoseconds() + Int64($0) * 500_000_000 }
        var round = 0
        while end.map({ SystemClock.monotonicNanoseconds() < $0 }) ?? (round < standard) {
            try body(round)
            round += 1
        }
        if seconds != nil { print("fuzz: \(round) rounds") }
    }

    @Test("Damaged requests are decoded or refused, and take no more memory than they are long")
    func decoder() {
        var random = SeededGenerator(seed: seed)
        rounds(60_000) { _ in
            let bytes = Damage.apply(to: Self.corpus, &random)
            var reader = WireReader(bytes)
            guard case .request(let header)? = try? RequestHeader.decode(&reader) else { return }
            _ = try? WireTests.decode(header.api, header.version, &reader)
        }
    }

    @Test("A broker that is sent damaged requests goes on answering sound ones")
    func server() throws {
        let folder = try TemporaryFolder()
        let broker = try TestBroker(folder: folder.file("b")) {
            $0.createsTopics = true
            $0.groupLimits.sessionMilliseconds = 1...1_000
        }
        var random = SeededGenerator(seed: seed)
        try rounds(150) { round in
            let hostile = try BrokerSocket(port: broker.port)
            for _ in 0..<20 {
                let content = Damage.apply(to: Self.corpus, &random)
                var length = UInt32(content.count)
                if Int.random(in: 0..<20, using: &random) == 0 {
                    length = UInt32.random(in: 0...UInt32.max, using: &random)
                }
                _ = hostile.sendWithoutWaiting(withUnsafeBytes(of: length.bigEndian) { Array($0) } + content)
            }
            guard round % 25 == 0 else { return }
            let sound = try BrokerSocket(port: broker.port)
            sound.send(RequestBodies.frame(.apiVersions, 0, correlation: 9, []))
            #expect(sound.answer().map { Array($0[..<4]) } == [0, 0, 0, 9], "round \(round), seed \(seed)")
        }
    }

    /// Sound batches of every kind: what damage makes of them is often still one.
    private static func batchCorpus() throws -> [[UInt8]] {
        let values = (0..<40).map { "a value that repeats, \($0 % 7)" }
        let packed = try PayloadDecompressor.Codec.allCases.map { try TestBatch.packed(values, $0) }
        let records = Array(TestBatch.make(values)[RecordBatchHeader.byteCount...])
        return packed + [
            TestBatch.make(["a"]), TestBatch.make(values),
            TestBatch.with(
                payload: Packing.javaSnappy(records, blockBytes: 300), attributes: 2, TestBatch.make(values)),
        ]
    }

    @Test("Of damaged record batches, what the broker acknowledges a client reads back, each record of it")
    func batches() throws {
        var random = SeededGenerator(seed: seed)
        let folder = try TemporaryFolder()
        let broker = try TestBroker(folder: folder.file("b")) {
            $0.durability = .interval(milliseconds: 100)
            $0.createsTopics = true
        }
        let kafka = KafkaConfiguration(brokers: broker.address, clientID: "fuzz")
        _ = try KafkaAdmin(kafka).createTopic("t", partitions: 1, timeoutMilliseconds: 20_000)
        let socket = try BrokerSocket(port: broker.port)
        let corpus = try Self.batchCorpus()
        var (taken, refused) = (0, 0)
        try rounds(4_000) { _ in
            var bytes = Damage.apply(to: corpus, &random)
            if bytes.count >= RecordBatchHeader.byteCount, Int.random(in: 0..<10, using: &random) > 0 {
                // Damage behind sound sums is what a faulty client library makes.
                bytes.withUnsafeMutableBytes { $0.setBigEndian(Int32($0.count - 12), at: 8) }
                bytes = TestBatch.resummed(bytes)
            }
            var writer = WireWriter(isFlexible: false)
            RequestBodies.produce(&writer, 8, acks: -1, topic: "t", partition: 0, records: bytes)
            socket.send(RequestBodies.frame(.produce, 8, correlation: 1, writer.take()))
            let code = try Self.produceCode(try #require(socket.answer()))
            if code == 0 { taken += 1 } else { refused += 1 }
        }
        #expect(taken > 20 && refused > 20)
        try expectReadable(kafka)
    }

    /// The error of an answer to a Produce of version 8 for one topic partition.
    private static func produceCode(_ answer: [UInt8]) throws -> Int16 {
        var reader = WireReader(answer)
        _ = (try reader.int32(), try reader.int32(), try reader.string(), try reader.int32(), try reader.int32())
        return try reader.int16()
    }

    /// Reads every offset of the topic `t` as the platform does.
    private func expectReadable(_ kafka: KafkaConfiguration) throws {
        let end = try KafkaAdmin(kafka).watermarks(topic: "t", partition: 0, timeoutMilliseconds: 20_000).high
        let consumer = try KafkaConsumer(kafka)
        try consumer.assign([("t", 0, .beginning)])
        let queue = try #require(consumer.queue(topic: "t", partition: 0))
        var next: Int64 = 0
        var (emptyReads, faults) = (0, [String]())
        while next < end, emptyReads < 40, faults.isEmpty {
            queue.next(maxRecords: 5_000, timeoutMilliseconds: 250) { batch in
                emptyReads = batch.count == 0 ? emptyReads + 1 : 0
                for index in 0..<batch.count {
                    if batch[index].offset != next {
                        faults.append("offset \(batch[index].offset) follows \(next - 1)")
                    }
                    next = batch[index].offset + 1
                }
                faults += batch.errors.map { "\($0)" }
            }
        }
        #expect(next == end && faults.isEmpty, "seed \(seed): \(faults.prefix(3))")
    }
}

/// What a faulty or hostile sender does to bytes.
private enum Damage {
    private static let integers: [[UInt8]] = [
        [0xff, 0xff, 0xff, 0xff], [0x7f, 0xff, 0xff, 0xff], [0x80, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0xff, 0xff],
        [0x7f, 0xff], [0, 0], [0xff, 0xff, 0xff, 0xff, 0x0f], [0x80, 0x80, 0x80, 0x80, 0x08], [0xfe, 0xff],
    ]

    static func apply(to corpus: [[UInt8]], _ random: inout SeededGenerator) -> [UInt8] {
        var bytes = corpus.randomElement(using: &random) ?? []
        for _ in 0..<Int.random(in: 0...4, using: &random) {
            let position = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0 where !bytes.isEmpty: bytes[position] ^= 1 << UInt8.random(in: 0...7, using: &random)
            case 1 where !bytes.isEmpty: bytes[position] = UInt8.random(in: 0...255, using: &random)
            case 2, 3:
                let value = integers.randomElement(using: &random) ?? []
                bytes.replaceSubrange(position..<min(bytes.count, position + value.count), with: value)
            case 4: bytes.removeSubrange(position...)
            case 5:
                bytes.insert(
                    contentsOf: (0..<Int.random(in: 1...20, using: &random)).map { _ in
                        UInt8.random(in: 0...255, using: &random)
                    }, at: position)
            case 6:
                let other = corpus.randomElement(using: &random) ?? []
                bytes = bytes[..<position] + other.suffix(Int.random(in: 0...other.count, using: &random))
            default:
                let end = min(bytes.count, position + Int.random(in: 1...30, using: &random))
                bytes.insert(contentsOf: bytes[position..<end], at: position)
            }
        }
        return bytes
    }
}
