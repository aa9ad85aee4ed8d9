import API
import Bytes
import Glibc
import Records
import Retrieval
import Synchronization

/// A Gold topic in memory, and how far the index is.
final class FakeTopic: EventTopic {
    struct State: Sendable {
        var items: [TopicItem] = []
        var indexed = IndexedUpTo(generation: 1, offsets: OffsetVector())
        var opened = 0
        /// Items that all readers gave together.
        var itemsRead = 0
        /// Thrown by the next so many reads.
        var failures = 0
        var epoch = "e1"
        /// Where the source's log ends; nil: behind the last item. With `tellsEnds` false nobody tells.
        var ends: [Int32: Int64]?
        var tellsEnds = true
        /// How often somebody asked about the log, and whether the answers wait until it is false.
        var logQuestions = 0
        var isLogHeld = false
        /// Gaps whose end no document tells.
        var openGaps: [Int32: TopicGap.Reason] = [:]
        /// Readers that begin below this wait until it is false.
        var isHeld = false
        /// What the source's topic gives to those who follow it.
        var steps: [StageStep] = []
        var sourcesOpen = 0
    }

    let state = Mutex(State())

    /// The id of a vector.
    static func id(_ offsets: [Int32: Int64], epoch: String = "e1") -> String {
        StreamID(epoch: epoch, topics: ["source": OffsetVector(offsets)]).text
    }

    func add(
        _ partition: Int32, _ offset: Int64, generation: Int64 = 1, wiki: String = "enwiki", isBot: Bool = false,
        text: String? = nil, language: String = "en", namespace: Int64? = 0, collection: String = "changes",
        line: String? = nil
    ) {
        let text = text ?? "Text \(offset)"
        let line = line ?? #"{"doc_id":"\#(partition)-\#(offset)","generation":\#(generation),"text":"\#(text)"}"#
        var attributes = AttributeList([
            .wiki: .string(wiki), .lang: .string(language), .type: .string(offset.isMultiple(of: 2) ? "edit" : "new"),
            .isBot: .bool(isBot), .collection: .string(collection),
            .eventTime: .time(1_700_000_000_000 + offset * 1_000),
        ])
        if let namespace { attributes.set(.namespace, .integer(namespace)) }
        let event = TopicEvent(
            generation: generation, partition: partition, offset: offset, line: Array(line.utf8),
            docID: "\(partition)-\(offset)", attributes: attributes, text: text,
            publishedAtMilliseconds: 1_790_000_000_000 + offset)
        state.withLock { $0.items.append(.event(event)) }
    }

    func addGap(_ reason: TopicGap.Reason, _ partition: Int32, _ range: Range<Int64>) {
        let gap = TopicGap(reason, partition: partition, start: range.lowerBound, end: range.upperBound)
        state.withLock { $0.items.append(.gap(gap)) }
    }

    func index(_ offsets: [Int32: Int64]) { state.withLock { $0.indexed.offsets = OffsetVector(offsets) } }

    func open(from start: OffsetVector, isStopped: @escaping @Sendable () -> Bool) throws -> any EventReader {
        // The hub's own reader is the first one.
        let isFirst = state.withLock { state in
            state.opened += 1
            return state.opened == 1
        }
        while !isFirst, state.withLock({ $0.isHeld }), !isStopped() { sleepMilliseconds(2) }
        return Reader(self)
    }

    func log() throws -> StreamLog {
        state.withLock { $0.logQuestions += 1 }
        while state.withLock({ $0.isLogHeld }) { sleepMilliseconds(2) }
        return state.withLock { state in
            var ends = state.ends ?? [:]
            if state.ends == nil {
                for item in state.items { ends[item.partition] = max(ends[item.partition] ?? 0, item.next) }
                for (partition, next) in state.indexed.offsets.offsets {
                    ends[partition] = max(ends[partition] ?? 0, next)
                }
            }
            return StreamLog(epoch: state.epoch, topic: "source", ends: state.tellsEnds ? ends : nil)
        }
    }

    func openSource(isStopped: @escaping @Sendable () -> Bool) throws -> (any SourceReader)? { Source(self) }

    private final class Reader: EventReader {
        private let topic: FakeTopic
        private var position = 0
        private let end: Int

        init(_ topic: FakeTopic) {
            self.topic = topic
            end = topic.state.withLock { $0.items.count }
        }

        var hasReachedEnd: Bool { position >= end }
        var openGaps: [Int32: TopicGap.Reason] { topic.state.withLock { $0.openGaps } }

        func next(countMax: Int, timeoutMilliseconds: Int) throws -> [TopicItem] {
            let items = try topic.state.withLock { state -> [TopicItem] in
                if state.failures > 0 {
                    state.failures -= 1
                    throw FakeFailure()
                }
                let items = Array(state.items.dropFirst(position).prefix(countMax))
                state.itemsRead += items.count
                return items
            }
            position += items.count
            if items.isEmpty { sleepMilliseconds(min(timeoutMilliseconds, 5)) }
            return items
        }
    }

    private final class Source: SourceReader {
        private let topic: FakeTopic

        init(_ topic: FakeTopic) {
            self.topic = topic
            topic.state.withLock { $0.sourcesOpen += 1 }
        }

        deinit { topic.state.withLock { $0.sourcesOpen -= 1 } }

        func next(countMax: Int, timeoutMilliseconds: Int) throws -> [StageStep] {
            let steps = topic.state.withLock { state in
                defer { state.steps = [] }
                return state.steps
            }
            if steps.isEmpty { sleepMilliseconds(min(timeoutMilliseconds, 5)) }
            return steps
        }
    }
}
