/// Puts documents of the Gold topic into the order in which they became searchable: each once, each only when the index
/// has it. A pure value; the hub feeds it.
struct EventOrder: Sendable {
    /// Documents that were read and cannot be searched yet, per topic partition.
    private var waiting: [Int32: [TopicEvent]] = [:]
    private(set) var waitingCount = 0
    /// Everything below was given out or needs not be.
    private(set) var given: OffsetVector

    init(from start: OffsetVector) {
        given = start
    }

    mutating func add(_ events: [TopicEvent]) {
        for event in events where event.offset >= given[event.partition] {
            waiting[event.partition, default: []].append(event)
            waitingCount += 1
        }
    }

    /// The documents of the active generation that can be searched now, each with the vector behind it.
    mutating func release(upTo indexed: IndexedUpTo) -> [(event: TopicEvent, id: OffsetVector)] {
        var released: [(event: TopicEvent, id: OffsetVector)] = []
        for partition in waiting.keys.sorted() {
            guard let queue = waiting[partition] else { continue }
            var count = 0
            while count < queue.count, queue[count].offset < indexed.offsets[partition] {
                let event = queue[count]
                count += 1
                // Published again after a crash, or of a generation that nobody reads.
                guard event.generation == indexed.generation, event.offset >= given[partition] else { continue }
                given[partition] = event.offset + 1
                released.append((event, given))
            }
            guard count > 0 else { continue }
            waiting[partition] = count == queue.count ? nil : Array(queue[count...])
            waitingCount -= count
        }
        return released
    }
}

/// The last events that were given out, for clients that come back soon. Bounded by count and bytes.
struct RecentEvents: Sendable {
    struct Entry: Sendable {
        let event: TopicEvent
        let id: OffsetVector
        let frame: [UInt8]
    }

    private var entries: [Entry] = []
    private var first = 0
    private var byteCount = 0
    /// Everything from here on is in it.
    private(set) var start: OffsetVector
    private let countMax: Int
    private let bytesMax: Int

    init(from start: OffsetVector, countMax: Int = 20_000, bytesMax: Int = 32 << 20) {
        self.start = start
        self.countMax = countMax
        self.bytesMax = bytesMax
    }

    mutating func append(_ entry: Entry) {
        entries.append(entry)
        byteCount += entry.frame.count
        while entries.count - first > countMax || (byteCount > bytesMax && entries.count - first > 1) {
            byteCount -= entries[first].frame.count
            start.raise(to: entries[first].id)
            first += 1
        }
        if first > 1_024, first * 2 > entries.count {
            entries.removeFirst(first)
            first = 0
        }
    }

    /// What a client that has seen everything below `seen` has missed; nil where some of that is gone from here.
    func since(_ seen: OffsetVector) -> ArraySlice<Entry>? {
        guard seen.covers(start) else { return nil }
        return entries[first...]
    }
}
