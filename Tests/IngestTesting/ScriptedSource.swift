import Bytes
import Glibc
package import Ingest
package import Kafka
import PlatformTesting
import Synchronization

/// A source that follows a script: numbered events, cut, refused or delayed connection by connection.
package final class ScriptedSource: EventSource {
    package enum Step: Sendable {
        /// Answers with a status and no stream.
        case status(Int, retryAfter: String? = nil)
        /// Sends that many bytes, then ends the stream.
        case cut(afterBytes: Int)
        /// Sends that many bytes, then fails.
        case reset(afterBytes: Int)
        /// Sends everything, then waits.
        case play
    }

    package struct Seen: Sendable {
        /// `Last-Event-ID` of each connection; nil for none.
        package var lastEventIDs: [Int?] = []
        /// Everything was sent.
        package var isPlayedOut = false
    }

    package let eventCount: Int
    private let script: [Step]
    private let seed: UInt64
    private let halfway: (@Sendable () -> Void)?
    private let state = Mutex(Seen())

    /// After the script the last step repeats.
    ///
    /// - Parameter halfway: called once per connection, when half of its bytes are sent.
    package init(eventCount: Int, script: [Step], seed: UInt64, halfway: (@Sendable () -> Void)? = nil) {
        self.halfway = halfway
        self.eventCount = eventCount
        self.script = script
        self.seed = seed
    }

    package var seen: Seen { state.withLock { $0 } }

    /// The payload of event `number`, which counts from 1.
    package static func payload(_ number: Int) -> [UInt8] {
        Array(
            #"{"meta":{"id":"\#(number)","dt":"2026-01-02T03:04:05Z"},"wiki":"w\#(number % 3)","title":"T\#(number % 17)","x":"é"}"#
                .utf8)
    }

    private func text(after number: Int) -> [UInt8] {
        var stream = Array(":ok\n\n".utf8)
        guard number < eventCount else { return stream }
        for event in (number + 1)...eventCount {
            stream += Array("event: message\nid: \(event)\ndata: ".utf8) + Self.payload(event) + [0x0A, 0x0A]
        }
        return stream
    }

    package func stream(
        lastEventID: [UInt8], shouldStop: () -> Bool, onHead: (SourceHead) -> Bool,
        onBytes: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let last = Int(String(decoding: lastEventID, as: UTF8.self))
        let connection = state.withLock { state in
            state.lastEventIDs.append(last)
            return state.lastEventIDs.count - 1
        }
        let step = script[min(connection, script.count - 1)]
        var limit = Int.max
        switch step {
        case .status(let status, let retryAfter):
            _ = onHead(SourceHead(status: status, contentType: "text/html", retryAfter: retryAfter))
            return
        case .cut(let bytes), .reset(let bytes): limit = bytes
        case .play: break
        }
        guard onHead(SourceHead(status: 200, contentType: "text/event-stream")) else { return }
        try send(text(after: last ?? 0).prefix(limit), connection, shouldStop, onBytes)
        if case .reset = step { throw SourceError(cause: .connection, message: "reset by the script") }
        state.withLock { $0.isPlayedOut = true }
        while limit == .max && !shouldStop() { usleep(5_000) }
    }

    private func send(
        _ bytes: ArraySlice<UInt8>, _ connection: Int, _ shouldStop: () -> Bool,
        _ onBytes: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var generator = SeededGenerator(seed: seed &+ UInt64(connection))
        var rest = bytes
        var halfway = halfway
        while !rest.isEmpty && !shouldStop() {
            if rest.count < bytes.count / 2 {
                halfway?()
                halfway = nil
            }
            let piece = rest.prefix(Int.random(in: 1...3_000, using: &generator))
            rest = rest.dropFirst(piece.count)
            try piece.withUnsafeBytes { try onBytes($0) }
        }
    }
}

/// Everything in a topic, as a test wants to see it.
package struct TopicContent {
    package struct Record {
        package var partition: Int32
        package var offset: Int64
        package var key: String?
        package var value: [UInt8]?
        package var headers: [String: String]
    }

    package var records: [Record] = []

    package static func read(_ configuration: KafkaConfiguration, topic: String, partitions: Int) throws -> TopicContent
    {
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        options.reportsEnd = true
        let consumer = try KafkaConsumer(configuration, options: options)
        try consumer.assign((0..<partitions).map { (topic, Int32($0), .beginning) })
        var content = TopicContent()
        var ended: Set<Int32> = []
        for _ in 0..<200 where ended.count < partitions {
            try consumer.next(maxRecords: 1_000, timeoutMilliseconds: 100) { batch in
                for index in 0..<batch.count {
                    let record = batch[index]
                    var headers: [String: String] = [:]
                    for (name, value) in record.headers { headers[name] = String(decoding: value ?? [], as: UTF8.self) }
                    content.records.append(
                        Record(
                            partition: record.partition, offset: record.offset,
                            key: record.key.map { String(decoding: $0, as: UTF8.self) },
                            value: record.value.map { Array($0) }, headers: headers))
                }
                for end in batch.ends { ended.insert(end.partition) }
            }
        }
        // Better a clear failure than a content that is not whole.
        guard ended.count == partitions else {
            throw KafkaError(
                kind: .timedOut, operation: "read the test's topic", subject: topic,
                reason: "only \(ended.sorted()) came to their end; \(consumer.lastError?.description ?? "no error")")
        }
        return content
    }

    /// The source's ids of all records, each once, ascending.
    package var ids: [Int] { Set(records.compactMap { $0.headers["sse_id"].flatMap { Int($0) } }).sorted() }

    /// The source's id at the highest acknowledged position that a record carries; 0 where there is none.
    package var acknowledgedID: Int {
        let positions = records.compactMap { record in
            record.headers[RecordHeaders.acknowledged].flatMap { PositionRecovery.decode(Array($0.utf8)) }
        }
        let highest = positions.max { $0.number < $1.number }
        return highest.flatMap { Int(String(decoding: $0.id, as: UTF8.self)) } ?? 0
    }
}
