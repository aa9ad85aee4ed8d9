/// Puts documents of the Gold topic into the order in which they became searchable: each once, each only when the index
/// has it. A gap stands where its documents would. A pure value; the hub feeds it.
struct EventOrder: Sendable {
    /// What was read and cannot be searched yet, per topic partition.
    private var waiting: [Int32: [TopicItem]] = [:]
    private(set) var waitingCount = 0
    /// Everything below was given out or needs not be.
    private(set) var given: OffsetVector

    init(from start: OffsetVector) {
        given = start
    }

    mutating func add(_ items: [TopicItem]) {
        for item in items where item.next > given[item.partition] {
            waiting[item.partition, default: []].append(item)
            waitingCount += 1
        }
    }

    /// The documents of the active generation that can be searched now, each with the vector behind it.
    mutating func release(upTo indexed: IndexedUpTo) -> [(item: TopicItem, id: OffsetVector)] {
        var released: [(item: TopicItem, id: OffsetVector)] = []
        for partition in waiting.keys.sorted() {
            guard let queue = waiting[partition] else { continue }
            var count = 0
            while count < queue.count, queue[count].next <= indexed.offsets[partition] {
                let item = queue[count]
                count += 1
                // Published again after a crash, or of a generation that nobody reads.
                guard item.next > given[partition] else { continue }
                if case .event(let event) = item, event.generation != indexed.generation { continue }
                given[partition] = item.next
                released.append((item, given))
            }
            guard count > 0 else { continue }
            waiting[partition] = count == queue.count ? nil : Array(queue[count...])
            waitingCount -= count
        }
        return released
    }
}
