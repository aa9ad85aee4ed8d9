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
    /// A ring's slots from `first` on; those before are empty and go with the next tidying.
    private var slots: [TopicEvent?] = []
    private var first = 0
    private var byteCount = 0
    /// Everything from here on is in it.
    private(set) var start: OffsetVector
    /// The vector behind the last event.
    private(set) var end: OffsetVector
    private let countMax: Int
    private let bytesMax: Int

    /// What an event takes beside its texts: the slot and the heads of its arrays.
    private static let slotBytes = 256

    init(from start: OffsetVector, countMax: Int = 20_000, bytesMax: Int = 16 << 20) {
        self.start = start
        end = start
        self.countMax = countMax
        self.bytesMax = bytesMax
    }

    mutating func append(_ event: TopicEvent, end: OffsetVector) {
        slots.append(event)
        self.end = end
        byteCount += Self.byteCount(of: event)
        while slots.count - first > countMax || (byteCount > bytesMax && slots.count - first > 1) {
            if let dropped = slots[first] {
                byteCount -= Self.byteCount(of: dropped)
                start[dropped.partition] = max(start[dropped.partition], dropped.offset + 1)
            }
            slots[first] = nil
            first += 1
        }
        if first > 1_024, first * 2 > slots.count {
            slots.removeFirst(first)
            first = 0
        }
    }

    private static func byteCount(of event: TopicEvent) -> Int {
        event.line.count + event.text.utf8.count + slotBytes
    }

    /// What a client that has seen everything below `seen` has missed; nil where some of that is gone from here.
    func since(_ seen: OffsetVector) -> [TopicEvent]? {
        guard seen.covers(start) else { return nil }
        return slots[first...].compactMap { event in
            guard let event, event.offset >= seen[event.partition] else { return nil }
            return event
        }
    }
}
