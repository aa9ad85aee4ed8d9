import API
import Bytes
import Glibc
import IndexTesting
import Records
import Retrieval
import Synchronization

/// Gold topics in memory, and how far the index is. Where no source is named, it is ``source``.
final class FakeTopic: EventTopics {
    struct State: Sendable {
        var items: [TopicItem] = []
        var indexed = IndexedUpTo(generation: 1, offsets: OffsetVector())
        var opened = 0
        /// Items that all readers gave together.
        var itemsRead = 0
        /// Thrown by the next so many reads.
        var failures = 0
        var epoch = "e1"
        /// Those of other sources' logs, by topic, where they are not `epoch` with the topic's name behind.
        var epochs: [String: String] = [:]
        /// Topics that cannot be read now.
        var broken: Set<String> = []
        /// Where the log of ``source`` ends; nil: behind the last item. With `tellsEnds` false nobody tells.
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

    static let source = StreamSource(name: "source", topic: "source", goldTopic: "source.gold")

    /// The id of a vector.
    static func id(_ offsets: [Int32: Int64], epoch: String = "e1") -> String {
        StreamID(epoch: epoch, vector: OffsetVector(offsets)).text
    }

    func add(
        _ partition: Int32, _ offset: Int64, generation: Int64 = 1, wiki: String = "enwiki", isBot: Bool = false,
        text: String? = nil, language: String = "en", namespace: Int64? = 0, collection: String = "changes",
        line: String? = nil, operation: GoldOperation = .put, topic: String = "source"
    ) {
        let text = text ?? "Text \(offset)"
        let line = line ?? #"{"doc_id":"\#(partition)-\#(offset)","generation":\#(generation),"text":"\#(text)"}"#
        var attributes = AttributeList([
            .wiki: .string(wiki), .lang: .string(language), .type: .string(offset.isMultiple(of: 2) ? "edit" : "new"),
            .isBot: .bool(isBot), .collection: .string(collection),
            .eventTime: .time(1_700_000_000_000 + offset * 1_000),
        ])
        if let namespace { attributes.set(.namespace, .integer(namespace)) }
        if operation != .put {
            attributes = Array(line.utf8).withUnsafeBytes { bytes in
                (try? GoldLine.Fields(bytes)).flatMap { AttributeList(goldLine: $0) } ?? attributes
            }
        }
        var event = TopicEvent(
            generation: generation, topicPartition: TopicPartition(topic: topic, partition: partition), offset: offset,
            line: Array(line.utf8), docID: operation == .deleteBelow ? nil : "\(partition)-\(offset)",
            operation: operation, attributes: attributes,
            text: text,
            publishedAtMilliseconds: 1_790_000_000_000 + offset)
        event.receivedAtMilliseconds = 1_790_000_000_000 + offset - 150
        event.appendedAtMilliseconds = 1_790_000_000_000 + offset - 100
        state.withLock { $0.items.append(.event(event)) }
    }

    func addGap(_ reason: TopicGap.Reason, _ partition: Int32, _ range: Range<Int64>, topic: String = "source") {
        let place = TopicPartition(topic: topic, partition: partition)
        let gap = TopicGap(reason, place, start: range.lowerBound, end: range.upperBound)
        state.withLock { $0.items.append(.gap(gap)) }
    }

    func index(_ offsets: [Int32: Int64], topic: String = "source") {
        state.withLock { state in
            for (partition, offset) in offsets {
                state.indexed.offsets[TopicPartition(topic: topic, partition: partition)] = offset
            }
        }
    }

    func open(
        _ source: StreamSource, from start: OffsetVector, isStopped: @escaping @Sendable () -> Bool
    ) throws -> any EventReader {
        if state.withLock({ $0.broken.contains(source.topic) }) { throw FakeFailure() }
        // The hub's own reader is the first one.
        let isFirst = state.withLock { state in
            state.opened += 1
            return state.opened == 1
        }
        while !isFirst, state.withLock({ $0.isHeld }), !isStopped() { sleepMilliseconds(2) }
        return Reader(self, source.topic)
    }

    func logs(of sources: [StreamSource]) throws -> StreamLogs {
        state.withLock { $0.logQuestions += 1 }
        while state.withLock({ $0.isLogHeld }) { sleepMilliseconds(2) }
        return state.withLock { state in
            StreamLogs(
                sources.map { source in
                    let isFirst = source.topic == "source"
                    let epoch = isFirst ? state.epoch : state.epochs[source.topic] ?? state.epoch + source.topic
                    let ends = isFirst ? state.ends : nil
                    return StreamLog(
                        epoch: epoch, source: source,
                        ends: state.tellsEnds ? ends ?? Self.ends(of: source.topic, state) : nil)
                })
        }
    }

    private static func ends(of topic: String, _ state: State) -> [Int32: Int64] {
        var ends: [Int32: Int64] = [:]
        for item in state.items where item.topicPartition.topic == topic {
            ends[item.partition] = max(ends[item.partition] ?? 0, item.next)
        }
        for (place, next) in state.indexed.offsets.only(topic).entries {
            ends[place.partition] = max(ends[place.partition] ?? 0, next)
        }
        return ends
    }

    func openSources(
        _ sources: [StreamSource], isStopped: @escaping @Sendable () -> Bool
    ) throws -> (any SourceReader)? { Source(self, Set(sources.map(\.topic))) }

    private final class Reader: EventReader {
        private let topic: FakeTopic
        private let name: String
        private var position = 0
        private let end: Int

        init(_ topic: FakeTopic, _ name: String) {
            self.topic = topic
            self.name = name
            end = topic.state.withLock { $0.items.count }
        }

        var hasReachedEnd: Bool { position >= end }
        var openGaps: [Int32: TopicGap.Reason] { topic.state.withLock { $0.openGaps } }

        func next(countMax: Int, timeoutMilliseconds: Int) throws -> [TopicItem] {
            let (count, items) = try topic.state.withLock { state -> (Int, [TopicItem]) in
                if state.broken.contains(name) { throw FakeFailure() }
                if state.failures > 0 {
                    state.failures -= 1
                    throw FakeFailure()
                }
                let all = state.items.dropFirst(position).prefix(countMax)
                let items = all.filter { $0.topicPartition.topic == name }
                state.itemsRead += items.count
                return (all.count, items)
            }
            position += count
            if items.isEmpty { sleepMilliseconds(min(timeoutMilliseconds, 5)) }
            return items
        }
    }

    private final class Source: SourceReader {
        private let topic: FakeTopic
        private let names: Set<String>

        init(_ topic: FakeTopic, _ names: Set<String>) {
            self.topic = topic
            self.names = names
            topic.state.withLock { $0.sourcesOpen += 1 }
        }

        deinit { topic.state.withLock { $0.sourcesOpen -= 1 } }

        func next(countMax: Int, timeoutMilliseconds: Int) throws -> [StageStep] {
            let steps = topic.state.withLock { state in
                defer { state.steps.removeAll { names.contains($0.topicPartition.topic) } }
                return state.steps.filter { names.contains($0.topicPartition.topic) }
            }
            if steps.isEmpty { sleepMilliseconds(min(timeoutMilliseconds, 5)) }
            return steps
        }
    }
}
