/// What a log remembers of each idempotent producer: its epoch and its last batches, so that a batch that was sent
/// twice is written once (KIP-98; Kafka keeps the same five batches, as a client may have five requests in flight).
struct ProducerStates: Sendable {
    /// One remembered batch.
    struct Batch: Equatable, Sendable {
        var firstSequence: Int32
        var lastSequence: Int32
        var baseOffset: Int64
        var lastOffset: Int64
        /// Broker time in milliseconds since 1970, or -1 where the topic keeps the client's time.
        var appendTime: Int64
    }

    struct Producer: Equatable, Sendable {
        var epoch: Int16
        /// Oldest first, at most ``batchesMax``.
        var batches: [Batch]
        /// Broker clock in milliseconds since 1970, for forgetting whom nobody has heard of for long.
        var lastSeen: Int64
    }

    enum Decision: Equatable, Sendable {
        case append
        case duplicate(Batch)
        case refuse(ErrorCode)
    }

    static let batchesMax = 5
    /// More producers than this in one log: the longest unheard are forgotten.
    static let producersMax = 100_000

    private(set) var producers: [Int64: Producer] = [:]

    /// What to do with a batch of an idempotent producer.
    func decide(_ header: RecordBatchHeader) -> Decision {
        guard header.producerID >= 0, let producer = producers[header.producerID] else { return .append }
        if header.producerEpoch < producer.epoch { return .refuse(.invalidProducerEpoch) }
        if header.producerEpoch > producer.epoch {
            return header.baseSequence == 0 ? .append : .refuse(.outOfOrderSequenceNumber)
        }
        guard let last = producer.batches.last else { return .append }
        let lastSequence = Self.lastSequence(header)
        if let known = producer.batches.first(where: {
            $0.firstSequence == header.baseSequence && $0.lastSequence == lastSequence
        }) {
            return .duplicate(known)
        }
        if header.baseSequence == Self.successor(last.lastSequence) { return .append }
        // Behind the last one by less than half the circle of sequences: written before, too long ago to say where.
        let behind = (UInt32(bitPattern: last.lastSequence) &- UInt32(bitPattern: lastSequence)) & 0x7fff_ffff
        return .refuse(behind < 0x4000_0000 ? .duplicateSequenceNumber : .outOfOrderSequenceNumber)
    }

    /// Remembers an appended batch, whose header has its final base offset.
    ///
    /// - Returns: the producer's earlier state, to undo with ``restore(_:_:)``.
    @discardableResult
    mutating func record(_ header: RecordBatchHeader, appendTime: Int64, now: Int64) -> Producer? {
        guard header.producerID >= 0 else { return nil }
        let earlier = producers[header.producerID]
        var producer = earlier ?? Producer(epoch: header.producerEpoch, batches: [], lastSeen: now)
        if producer.epoch != header.producerEpoch {
            producer.epoch = header.producerEpoch
            producer.batches = []
        }
        if producer.batches.count == Self.batchesMax { producer.batches.removeFirst() }
        producer.batches.append(
            Batch(
                firstSequence: header.baseSequence, lastSequence: Self.lastSequence(header),
                baseOffset: header.baseOffset, lastOffset: header.lastOffset, appendTime: appendTime))
        producer.lastSeen = now
        producers[header.producerID] = producer
        if producers.count > Self.producersMax { forgetOldest() }
        return earlier
    }

    /// Puts a producer's earlier state back.
    mutating func restore(_ producerID: Int64, _ earlier: Producer?) {
        producers[producerID] = earlier
    }

    /// Forgets producers that were last heard of before `time` (milliseconds since 1970).
    mutating func forget(before time: Int64) {
        producers = producers.filter { $0.value.lastSeen >= time }
    }

    /// Counts all as heard of at `time`, in milliseconds since 1970.
    ///
    /// After a start: a log with the clients' times does not tell when the broker heard of somebody, and while it was
    /// down it could not hear of anybody.
    mutating func hear(at time: Int64) {
        producers = producers.mapValues { producer in
            var producer = producer
            producer.lastSeen = time
            return producer
        }
    }

    private mutating func forgetOldest() {
        // A tenth at a time, so that the sort is paid once per ten thousand new producers.
        let byAge = producers.sorted { $0.value.lastSeen < $1.value.lastSeen }
        for (id, _) in byAge.prefix(Self.producersMax / 10) { producers[id] = nil }
    }

    /// Sequences go round after Int32.max.
    static func lastSequence(_ header: RecordBatchHeader) -> Int32 {
        Int32(
            bitPattern: (UInt32(bitPattern: header.baseSequence) &+ UInt32(bitPattern: header.lastOffsetDelta))
                & 0x7fff_ffff)
    }

    private static func successor(_ sequence: Int32) -> Int32 {
        sequence == Int32.max ? 0 : sequence + 1
    }
}

extension ProducerStates: Equatable {}

extension ProducerStates {
    /// Appends the binary form that a seal file holds (little-endian; see docs/broker.md).
    func encode(to bytes: inout LittleEndianBytes) {
        bytes.append(UInt32(producers.count))
        for (id, producer) in producers.sorted(by: { $0.key < $1.key }) {
            bytes.append(id)
            bytes.append(producer.epoch)
            bytes.append(producer.lastSeen)
            bytes.append(UInt8(producer.batches.count))
            for batch in producer.batches {
                bytes.append(batch.firstSequence)
                bytes.append(batch.lastSequence)
                bytes.append(batch.baseOffset)
                bytes.append(batch.lastOffset)
                bytes.append(batch.appendTime)
            }
        }
    }

    /// Reads what ``encode(to:)`` wrote; nil when it is cut off or makes no sense.
    init?(decoding bytes: inout LittleEndianReader) {
        guard let count: UInt32 = bytes.next() else { return nil }
        for _ in 0..<count {
            guard let id: Int64 = bytes.next(), let epoch: Int16 = bytes.next(), let seen: Int64 = bytes.next(),
                let batchCount: UInt8 = bytes.next(), batchCount <= Self.batchesMax
            else { return nil }
            var producer = Producer(epoch: epoch, batches: [], lastSeen: seen)
            for _ in 0..<batchCount {
                guard let first: Int32 = bytes.next(), let last: Int32 = bytes.next(), let base: Int64 = bytes.next(),
                    let lastOffset: Int64 = bytes.next(), let time: Int64 = bytes.next()
                else { return nil }
                producer.batches.append(
                    Batch(
                        firstSequence: first, lastSequence: last, baseOffset: base, lastOffset: lastOffset,
                        appendTime: time))
            }
            producers[id] = producer
        }
    }
}
