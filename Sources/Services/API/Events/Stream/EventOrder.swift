import Records

/// Puts documents of the Gold topics into the order in which they became searchable: each once, each only when the index
/// has it, those of a topic partition in its order. A gap stands where its documents would. A pure value; the hub feeds it.
struct EventOrder: Sendable {
    /// What was read and cannot be searched yet.
    private var waiting: [TopicPartition: [TopicItem]] = [:]
    /// How many of each topic wait.
    private var counts: [String: Int] = [:]
    /// Everything below was given out or needs not be.
    private(set) var given: OffsetVector

    init(from start: OffsetVector) {
        given = start
    }

    var isEmpty: Bool { waiting.isEmpty }

    /// How many documents of a source's topic wait.
    func waitingCount(_ topic: String) -> Int { counts[topic] ?? 0 }

    mutating func add(_ items: [TopicItem]) {
        for item in items where item.next > given[item.topicPartition] {
            waiting[item.topicPartition, default: []].append(item)
            counts[item.topicPartition.topic, default: 0] += 1
        }
    }

    /// Forgets what waits of a topic that is going to be read again from what was given.
    mutating func forget(_ topic: String) {
        for place in waiting.keys where place.topic == topic { waiting[place] = nil }
        counts[topic] = nil
    }

    /// The documents of the active generation that can be searched now, each with the vector behind it.
    mutating func release(upTo indexed: IndexedUpTo) -> [(item: TopicItem, id: OffsetVector)] {
        var released: [(item: TopicItem, id: OffsetVector)] = []
        for place in waiting.keys.sorted() {
            guard let queue = waiting[place] else { continue }
            let limit = indexed.offsets[place]
            var next = given[place]
            var count = 0
            while count < queue.count, queue[count].next <= limit {
                let item = queue[count]
                count += 1
                // Published again after a crash, or of a generation that nobody reads.
                guard item.next > next else { continue }
                if case .event(let event) = item, event.generation != indexed.generation { continue }
                next = item.next
                given[place] = next
                released.append((item, given))
            }
            guard count > 0 else { continue }
            waiting[place] = count == queue.count ? nil : Array(queue[count...])
            counts[place.topic, default: 0] -= count
        }
        return released
    }
}
