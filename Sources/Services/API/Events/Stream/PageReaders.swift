import Bytes
import Records

/// Readers of Gold topics at the places of the last pages. Confined to one lane.
final class PageReaders {
    private struct Kept {
        let reader: any EventReader
        let source: StreamSource
        /// Everything below was read.
        var position: OffsetVector
        /// What lies from here on is in memory, or cannot be searched yet; it is dropped.
        let limit: OffsetVector
    }

    private let topics: any EventTopics
    private let isStopped: @Sendable () -> Bool
    /// Least recently used first.
    private var kept: [Kept] = []
    /// Of the readers.
    private var era = 0
    /// Topics of sources that gave nothing when they were asked last, the longest ago first. The others come before them.
    private var barren: [String] = []

    private static let readersMax = 3
    private static let pageMax = 1_000
    private static let pageBytesMax = 2 << 20
    private static let readMax = 500
    /// So that one topic that gives nothing does not hold up the others' turns.
    private static let pageNanoseconds: Int64 = 1_000_000_000

    init(_ topics: any EventTopics, isStopped: @escaping @Sendable () -> Bool) {
        self.topics = topics
        self.isStopped = isStopped
    }

    /// Closes all readers.
    func close() { kept = [] }

    /// What comes behind `start` in the first source that has anything below `limit` to give.
    func page(from start: OffsetVector, to limit: OffsetVector, _ shown: CatchUp.Shown) throws -> StreamPage {
        if shown.era != era {
            era = shown.era
            barren = []
            close()
        }
        let lacking = shown.sources.filter { !start.covers(limit.only($0.topic)) }
        let fertile = lacking.first { !barren.contains($0.topic) }
        let oldest = barren.lazy.compactMap { topic in lacking.first { $0.topic == topic } }.first
        guard let source = fertile ?? oldest else {
            return StreamPage(start: OffsetVector(), next: OffsetVector(), entries: [], byteCount: 0)
        }
        barren.removeAll { $0 == source.topic }
        // Until it gave something.
        barren.append(source.topic)
        let page = try read(source, start, limit, shown.generation)
        if !page.start.covers(page.next) { barren.removeAll { $0 == source.topic } }
        return page
    }

    private func read(
        _ source: StreamSource, _ start: OffsetVector, _ limit: OffsetVector, _ generation: Int64
    ) throws -> StreamPage {
        var current = try take(source, start.only(source.topic), limit.only(source.topic))
        let begin = current.position
        let end = SystemClock.monotonicNanoseconds() + Self.pageNanoseconds
        var entries: [StreamEntry] = []
        var byteCount = 0
        while entries.count < Self.pageMax, byteCount < Self.pageBytesMax {
            if isStopped() { throw CancellationError() }
            for item in try current.reader.next(countMax: Self.readMax, timeoutMilliseconds: 200) {
                guard let wanted = accept(item, &current, generation) else { continue }
                let entry = StreamEntry(wanted, end: OffsetVector(), id: nil)
                byteCount += entry.byteCount
                entries.append(entry)
            }
            if current.reader.hasReachedEnd {
                entries += rest(of: &current).map { StreamEntry(.gap($0), end: OffsetVector(), id: nil) }
                break
            }
            if SystemClock.monotonicNanoseconds() > end { break }
        }
        // At its limit it has nothing more to give.
        if !current.position.covers(current.limit) { kept.append(current) }
        return StreamPage(start: begin, next: current.position, entries: entries, byteCount: byteCount)
    }

    /// The reader that stands there, or a new one.
    private func take(_ source: StreamSource, _ start: OffsetVector, _ limit: OffsetVector) throws -> Kept {
        let place = kept.firstIndex {
            $0.source == source && $0.position.covers(start) && start.covers($0.position) && limit.covers($0.limit)
        }
        if let place { return kept.remove(at: place) }
        while kept.count >= Self.readersMax { kept.removeFirst() }
        return Kept(
            reader: try topics.open(source, from: start, isStopped: isStopped), source: source, position: start,
            limit: limit)
    }

    /// What of an item belongs into the page.
    private func accept(_ item: TopicItem, _ current: inout Kept, _ generation: Int64) -> TopicItem? {
        let place = item.topicPartition
        let position = current.position[place]
        switch item {
        case .event(let event):
            guard event.offset >= position, event.offset < current.limit[place] else { return nil }
            guard event.generation == generation else {
                // Not behind it: the active generation's document of the same record may follow.
                current.position[place] = event.offset
                return nil
            }
            current.position[place] = event.offset + 1
            return item
        case .gap(var gap):
            gap.start = max(gap.start, position)
            gap.end = min(gap.end, current.limit[place])
            guard gap.start < gap.end else { return nil }
            current.position[place] = gap.end
            return .gap(gap)
        }
    }

    /// All that the topic has below the limit was given; what a gap of unknown end leaves open is missing up to there.
    private func rest(of current: inout Kept) -> [TopicGap] {
        let gaps = current.reader.openGaps.sorted { $0.key < $1.key }.compactMap { partition, reason -> TopicGap? in
            let place = TopicPartition(topic: current.source.topic, partition: partition)
            let (start, end) = (current.position[place], current.limit[place])
            return start < end ? TopicGap(reason, place, start: start, end: end) : nil
        }
        current.position.raise(to: current.limit)
        return gaps
    }
}
