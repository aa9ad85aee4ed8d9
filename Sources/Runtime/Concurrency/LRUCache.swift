/// Keeps the values that were used last.
package struct LRUCache<Value> {
    private var entries: [String: (value: Value, lastUse: UInt64)] = [:]
    private var clock: UInt64 = 0
    private let countMax: Int

    /// - Parameter countMax: values that are kept.
    package init(countMax: Int) {
        self.countMax = max(countMax, 1)
    }

    /// The value under a key, which then counts as used.
    package mutating func value(for key: String) -> Value? {
        guard let entry = entries[key] else { return nil }
        clock += 1
        entries[key] = (entry.value, clock)
        return entry.value
    }

    /// When full, the older half goes at once: a sweep per `countMax / 2` inserts, and no linked list.
    package mutating func insert(_ value: Value, for key: String) {
        clock += 1
        entries[key] = (value, clock)
        guard entries.count > countMax else { return }
        let middle = entries.values.map(\.lastUse).sorted()[entries.count / 2]
        entries = entries.filter { $0.value.lastUse >= middle }
    }

    /// Values that are kept now.
    package var count: Int { entries.count }
}
