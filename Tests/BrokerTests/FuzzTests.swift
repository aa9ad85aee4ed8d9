import Bytes
import Files
import Glibc
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

    @Test("Damaged record batches are taken or refused, and what is taken can be read back", arguments: [0, 1])
    func batches(_ salt: UInt64) throws {
        var random = SeededGenerator(seed: seed &+ salt)
        let folder = try TemporaryFolder()
        let log = try TestLog.open(folder.file("log"))
        let corpus = [
            TestBatch.make(["a"]), TestBatch.make(["one", "two", "three"], producerID: 5, epoch: 0, sequence: 0),
            TestBatch.make(Array(repeating: "x", count: 40), attributes: 1),
        ]
        rounds(3_000) { _ in
            var bytes = Damage.apply(to: corpus, &random)
            if bytes.count >= RecordBatchHeader.byteCount, Bool.random(using: &random) {
                // Damage behind sound sums is what a faulty client library makes.
                bytes.withUnsafeMutableBytes { $0.setBigEndian(Int32($0.count - 12), at: 8) }
                bytes = TestBatch.resummed(bytes)
            }
            // The produce handler asks for as much.
            guard TestBatch.header(bytes)?.byteCount == bytes.count else { return }
            _ = try? log.write(bytes)
        }
        let end = log.published.withLock { $0.endOffset }
        var next: Int64 = 0
        while next < end {
            let region = try #require(try log.read(from: next, bytesMax: 1 << 20, atLeastOne: true).region)
            let bytes = try region.bytes()
            var position = 0
            while position < bytes.count {
                let header = try #require(TestBatch.header(Array(bytes[position...])))
                #expect(header.baseOffset == next, "seed \(seed)")
                next = header.lastOffset + 1
                position += header.byteCount
            }
        }
        let again = try TestLog.open(folder.file("log"))
        #expect(again.published.withLock { $0.endOffset } == end, "seed \(seed)")
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
