import Bytes
import Codecs
import PlatformTesting
import Testing

@testable import Broker

/// Record batches: what a client sent is checked before it is taken, and stamped without touching its records.
struct BatchTests {
    private func validate(_ bytes: [UInt8], bytesMax: Int = 1 << 20) -> ErrorCode {
        switch bytes.withUnsafeBytes({ TestBatch.validated($0, bytesMax: bytesMax) }) {
        case .success: .none
        case .failure(let code): code
        }
    }

    private func changed(_ batch: [UInt8], _ change: (UnsafeMutableRawBufferPointer) -> Void) -> [UInt8] {
        var batch = batch
        batch.withUnsafeMutableBytes { change($0) }
        return TestBatch.resummed(batch)
    }

    @Test("A sound batch is taken; one with any changed byte after the magic is not")
    func anyChangedByte() {
        let batch = TestBatch.make(["first", "second", ""])
        #expect(validate(batch) == .none)
        for position in 17..<batch.count {
            var damaged = batch
            damaged[position] ^= 0x10
            #expect(validate(damaged) == .corruptMessage, "byte \(position)")
        }
        for length in 0..<batch.count { #expect(validate(Array(batch[..<length])) != .none, "\(length) bytes") }
    }

    @Test("Older formats, control and transactional batches, wrong counts and oversize are told apart")
    func refusals() {
        let batch = TestBatch.make(["a", "b"])
        #expect(validate(changed(batch) { $0[16] = 1 }) == .unsupportedForMessageFormat)
        #expect(validate(changed(batch) { $0.setBigEndian(Int16(0x20), at: 21) }) == .invalidRecord)
        #expect(validate(changed(batch) { $0.setBigEndian(Int16(0x10), at: 21) }) == .invalidRecord)
        #expect(validate(changed(batch) { $0.setBigEndian(Int16(7), at: 21) }) == .unsupportedCompressionType)
        #expect(validate(changed(batch) { $0.setBigEndian(Int32(3), at: 57) }) == .invalidRecord)
        #expect(validate(changed(batch) { $0.setBigEndian(Int32(5), at: 23) }) == .invalidRecord)
        #expect(validate(changed(batch) { $0.setBigEndian(Int64(4), at: 43) }) == .invalidRecord)
        #expect(validate(batch, bytesMax: batch.count - 1) == .messageTooLarge)
        // A record whose length says more than there is, under a correct sum.
        #expect(validate(changed(batch) { $0[61] = 100 }) == .invalidRecord)
        // The same bytes called compressed are none that anybody can unpack.
        for codec in Int16(1)...4 {
            #expect(validate(changed(batch) { $0.setBigEndian(codec, at: 21) }) == .invalidRecord, "codec \(codec)")
        }
    }

    @Test("A record is followed to its end: any length, count or delta that leads elsewhere is refused")
    func recordsToTheirEnd() {
        let batch = TestBatch.make(["a"])
        func code(_ payload: [UInt8], count: Int32 = 1) -> ErrorCode {
            validate(TestBatch.with(payload: payload, count: count, batch))
        }
        // Time delta, offset delta, key length, value length, headers; then header name and value lengths.
        let sound: [[Int]] = [
            [0, 0, -1, -1, 0], [-5, 0, 0, 0, 0], [.max >> 1, 0, -1, 0, 0], [0, 0, -1, -1, 2, 0, -1, 0, 0],
        ]
        // The largest time delta overflows with the batch's own time.
        let unsound: [[Int]] = [
            [0, 0, -1, -1], [0, 0, -1, -1, 0, 0], [0, 1, -1, -1, 0], [0, -1, -1, -1, 0], [0, 0, 1_000_000, 0, 0],
            [0, 0, -1, 9, 0], [0, 0, -2, -1, 0], [0, 0, -1, -2, 0], [0, 0, -1, -1, -1], [0, 0, -1, -1, 1],
            [0, 0, -1, -1, 1, -1, -1], [0, 0, -1, -1, 1, 0, -2], [0, 0, -1, -1, 1, 0, 5], [0, 0, -1, -1, .max],
            [0, 0, .max, -1, 0], [0, 1 << 32, -1, -1, 0], [0, 0, -1 - (1 << 32), -1, 0], [.max, 0, -1, -1, 0],
        ]
        for fields in sound { #expect(code(TestBatch.record(fields)) == .none, "\(fields)") }
        for fields in unsound { #expect(code(TestBatch.record(fields)) == .invalidRecord, "\(fields)") }
        let one = TestBatch.record([0, 0, -1, -1, 0])
        let two = TestBatch.record([0, 1, -1, -1, 0])
        #expect(code(one + two, count: 2) == .none)
        #expect(code(one + one, count: 2) == .invalidRecord)
        #expect(code(two + one, count: 2) == .invalidRecord)
        #expect(code(one + two, count: 1) == .invalidRecord)
        #expect(code(one, count: 2) == .invalidRecord)
        #expect(code([], count: 1) == .invalidRecord)
        #expect(code(one + [0], count: 1) == .invalidRecord)
        #expect(code([0] + one, count: 2) == .invalidRecord)
        #expect(code(Array(one.dropLast()), count: 1) == .invalidRecord)
    }

    @Test("What is compressed is unpacked and walked as well", arguments: PayloadDecompressor.Codec.allCases)
    func compressed(_ codec: PayloadDecompressor.Codec) throws {
        let values = (0..<50).map { "some value that repeats \($0)" }
        let batch = try TestBatch.packed(values, codec)
        #expect(validate(batch) == .none)
        let payload = Array(batch[RecordBatchHeader.byteCount...])
        func code(_ payload: [UInt8], count: Int32? = nil) -> ErrorCode {
            validate(TestBatch.with(payload: payload, attributes: codec.rawValue, count: count, batch))
        }
        #expect(code(payload, count: .max) == .invalidRecord)
        #expect(code(payload, count: 49) == .invalidRecord)
        #expect(code(payload, count: 51) == .invalidRecord)
        #expect(code(payload + [0]) == .invalidRecord)
        #expect(code(Array(payload.dropLast(3))) == .invalidRecord)
        #expect(code(Array("this is no payload at all".utf8)) == .invalidRecord)
        #expect(code([]) == .invalidRecord)
        if codec == .snappy {
            let plain = TestBatch.make(values)
            #expect(code(Packing.javaSnappy(Array(plain[RecordBatchHeader.byteCount...]), blockBytes: 500)) == .none)
        }
    }

    @Test("A batch that unpacks to too much, and a request of many such, are refused after bounded work")
    func bombs() throws {
        let zeros = [UInt8](repeating: 0, count: BatchValidator.unpackedBytesMax + 1)
        let bomb = TestBatch.with(payload: try Packing.zstd(zeros), attributes: 4, TestBatch.make(["a"]))
        #expect(bomb.count < 100_000)
        #expect(validate(bomb) == .messageTooLarge)
        var validator = BatchValidator()
        var budget = BatchValidator.unpackedBytesMax + 1_000
        let small = try TestBatch.packed((0..<20).map { "value \($0)" }, .gzip)
        var codes: [ErrorCode] = []
        for batch in [small, bomb, small, small, small, small, small] {
            codes.append(Self.code(batch, &validator, &budget))
        }
        #expect(codes[0] == .none && codes[1] == .messageTooLarge)
        #expect(codes[6] == .messageTooLarge, "the request's budget is used up")
        #expect(budget >= 0)
    }

    private static func code(
        _ batch: [UInt8], _ validator: inout BatchValidator, _ budget: inout Int
    ) -> ErrorCode {
        batch.withUnsafeBytes { bytes in
            do throws(ErrorCode) {
                _ = try validator.validate(bytes, bytesMax: 1 << 20, budget: &budget)
                return .none
            } catch { return error }
        }
    }

    @Test("Stamping sets offset, epoch and time, leaves the records, and makes a sound sum")
    func stamping() throws {
        let batch = TestBatch.make(["a", "b"])
        for type in TimestampType.allCases {
            var stamped = batch
            stamped.withUnsafeMutableBytes {
                RecordBatch.stamp(
                    $0, baseOffset: 41, leaderEpoch: 3, timestampType: type,
                    maxTimestamp: type == .logAppendTime ? 1_234 : 1_600_000_000_001)
            }
            let header = try #require(TestBatch.header(stamped))
            #expect(validate(stamped) == .none)
            #expect(header.baseOffset == 41 && header.leaderEpoch == 3 && header.lastOffset == 42)
            #expect(header.isLogAppendTime == (type == .logAppendTime))
            #expect(header.maxTimestamp == (type == .logAppendTime ? 1_234 : 1_600_000_000_001))
            #expect(stamped[61...] == batch[61...])
        }
    }
}

/// Idempotent producers: what was written before is known again, what does not follow is refused.
struct ProducerStatesTests {
    private func header(_ sequence: Int32, count: Int = 1, epoch: Int16 = 0, offset: Int64 = 0) throws
        -> RecordBatchHeader
    {
        let batch = TestBatch.make(
            Array(repeating: "v", count: count), producerID: 9, epoch: epoch, sequence: sequence)
        var header = try #require(TestBatch.header(batch))
        header.baseOffset = offset
        return header
    }

    @Test("Sequences: the next is new, a known one a duplicate, a gap refused, an old one told to be written")
    func sequences() throws {
        var states = ProducerStates()
        #expect(states.decide(try header(5)) == .append)
        for index in 0..<7 {
            let batch = try header(Int32(index * 2), count: 2, offset: Int64(index * 2))
            #expect(states.decide(batch) == .append)
            states.record(batch, appendTime: 1, now: 1)
        }
        #expect(states.decide(try header(14)) == .append)
        #expect(states.decide(try header(15)) == .refuse(.outOfOrderSequenceNumber))
        guard case .duplicate(let known) = states.decide(try header(8, count: 2)) else {
            Issue.record("batch 8–9 should be known")
            return
        }
        #expect(known.baseOffset == 8 && known.lastOffset == 9)
        #expect(states.decide(try header(0, count: 2)) == .refuse(.duplicateSequenceNumber))
        #expect(states.decide(try header(0, epoch: 1)) == .append)
        #expect(states.decide(try header(1, epoch: 1)) == .refuse(.outOfOrderSequenceNumber))
        states.record(try header(0, epoch: 1, offset: 14), appendTime: 1, now: 2)
        #expect(states.decide(try header(14)) == .refuse(.invalidProducerEpoch))
    }

    @Test("Sequences go round after the largest")
    func wrapAround() throws {
        var states = ProducerStates()
        states.record(try header(Int32.max - 1, count: 3), appendTime: 1, now: 1)
        #expect(states.decide(try header(1)) == .append)
        #expect(states.decide(try header(2)) == .refuse(.outOfOrderSequenceNumber))
        #expect(states.decide(try header(Int32.max)) == .refuse(.duplicateSequenceNumber))
    }

    @Test("What is written to a seal is read back; restoring undoes a record; old ones are forgotten")
    func encoding() throws {
        var states = ProducerStates()
        states.record(try header(0, offset: 3), appendTime: 5, now: 5)
        let before = states
        let earlier = states.record(try header(1, offset: 4), appendTime: 6, now: 6)
        var bytes = LittleEndianBytes()
        states.encode(to: &bytes)
        var reader = LittleEndianReader(bytes.bytes)
        #expect(ProducerStates(decoding: &reader) == states)
        for length in 0..<bytes.bytes.count {
            var cut = LittleEndianReader(Array(bytes.bytes[..<length]))
            #expect(ProducerStates(decoding: &cut) == nil)
        }
        states.restore(9, earlier)
        #expect(states == before)
        states.forget(before: 6)
        #expect(states.producers.isEmpty)
    }
}
