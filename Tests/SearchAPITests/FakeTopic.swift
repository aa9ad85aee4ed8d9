import Bytes
import Glibc
import SearchAPI
import Synchronization

/// A Gold topic in memory, and how far the index is.
final class FakeTopic: EventTopic {
    struct State: Sendable {
        var events: [TopicEvent] = []
        var indexed = IndexedUpTo(generation: 1, offsets: OffsetVector())
        var opened = 0
        /// Thrown by the next so many reads.
        var failures = 0
    }

    let state = Mutex(State())

    func add(
        _ partition: Int32, _ offset: Int64, generation: Int64 = 1, wiki: String = "enwiki", isBot: Bool = false,
        text: String? = nil
    ) {
        let text = text ?? "Text \(offset)"
        let line = #"{"doc_id":"\#(partition)-\#(offset)","generation":\#(generation),"text":"\#(text)"}"#
        state.withLock {
            $0.events.append(
                TopicEvent(
                    generation: generation, partition: partition, offset: offset, line: Array(line.utf8), wiki: wiki,
                    type: offset.isMultiple(of: 2) ? "edit" : "new", isBot: isBot, text: text))
        }
    }

    func index(_ offsets: [Int32: Int64]) { state.withLock { $0.indexed.offsets = OffsetVector(offsets) } }

    func open(from start: OffsetVector) throws -> any EventReader {
        state.withLock { $0.opened += 1 }
        return Reader(self)
    }

    private final class Reader: EventReader {
        private let topic: FakeTopic
        private var position = 0
        private let end: Int

        init(_ topic: FakeTopic) {
            self.topic = topic
            end = topic.state.withLock { $0.events.count }
        }

        var hasReachedEnd: Bool { position >= end }

        func next(countMax: Int, timeoutMilliseconds: Int) throws -> [TopicEvent] {
            let events = try topic.state.withLock { state -> [TopicEvent] in
                if state.failures > 0 {
                    state.failures -= 1
                    throw FakeFailure()
                }
                return Array(state.events.dropFirst(position).prefix(countMax))
            }
            position += events.count
            if events.isEmpty { sleepMilliseconds(min(timeoutMilliseconds, 5)) }
            return events
        }
    }
}
