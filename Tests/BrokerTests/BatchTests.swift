import Bytes
import Testing

@testable import Broker

/// Record batches: what a client sent is checked before it is taken, and stamped without touching its records.
struct BatchTests {
    private func validate(_ bytes: [UInt8], bytesMax: Int = 1 << 20) -> ErrorCode {
        bytes.withUnsafeBytes { buffer in
            do throws(ErrorCode) {
                _ = try RecordBatch.validate(produced: buffer, bytesMax: bytesMax)
                return .none
            } catch {
                return error
            }
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
        #expect(validate(changed(batch) { $0.setBigEndian(Int16(7), at: 21) }) == .invalidRecord)
        #expect(validate(changed(batch) { $0.setBigEndian(Int32(3), at: 57) }) == .invalidRecord)
        #expect(validate(changed(batch) { $0.setBigEndian(Int32(5), at: 23) }) == .invalidRecord)
        #expect(validate(changed(batch) { $0.setBigEndian(Int64(4), at: 43) }) == .invalidRecord)
        #expect(validate(batch, bytesMax: batch.count - 1) == .messageTooLarge)
        // A record whose length says more than there is, under a correct sum.
        #expect(validate(changed(batch) { $0[61] = 100 }) == .invalidRecord)
        // The same bytes called compressed are nobody's business here.
        #expect(validate(changed(batch) { $0.setBigEndian(Int16(4), at: 21) }) == .none)
    }

    @Test("Stamping sets offset, epoch and time, leaves the records, and makes a sound sum")
    func stamping() throws {
        let batch = TestBatch.make(["a", "b"])
        for type in TimestampType.allCases {
            var stamped = batch
            stamped.withUnsafeMutableBytes {
                RecordBatch.stamp($0, baseOffset: 41, leaderEpoch: 3, timestampType: type, now: 1_234)
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
