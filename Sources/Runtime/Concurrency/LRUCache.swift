/// The values used last, up to a number of them and up to the memory they take; not thread-safe.
package struct LRUCache<Value> {
    private struct Entry {
        let value: Value
        let bytes: Int
        var lastUse: UInt64
    }

    private var entries: [String: Entry] = [:]
    private var clock: UInt64 = 0
    private let countMax: Int
    private let bytesMax: Int

    /// What an entry takes beside its key and its value, roughly.
    private static var entryBytes: Int { 96 }

    /// - Parameters:
    ///   - countMax: values that are kept.
    ///   - bytesMax: of keys and values together; 0: nothing is kept.
    package init(countMax: Int, bytesMax: Int = .max) {
        self.countMax = max(countMax, 1)
        self.bytesMax = bytesMax
    }

    /// The value under a key, which then counts as used.
    package mutating func value(for key: String) -> Value? {
        guard let place = entries.index(forKey: key) else { return nil }
        clock += 1
        entries.values[place].lastUse = clock
        return entries.values[place].value
    }

    /// When full, the older half goes at once: a sweep now and then, and no linked list. What alone is larger than the bound is
    /// not kept.
    ///
    /// - Parameter valueBytes: memory that the value takes.
    package mutating func insert(_ value: Value, for key: String, valueBytes: Int = 0) {
        let entry = Entry(value: value, bytes: key.utf8.count + valueBytes + Self.entryBytes, lastUse: clock + 1)
        guard entry.bytes <= bytesMax else { return }
        clock += 1
        bytes += entry.bytes - (entries.updateValue(entry, forKey: key)?.bytes ?? 0)
        while entries.count > countMax || bytes > bytesMax {
            let middle = entries.values.map(\.lastUse).sorted()[entries.count / 2]
            // The one put in now has the latest use of all, so it stays.
            let before = entries.count
            entries = entries.filter { $0.value.lastUse >= middle }
            evictions += before - entries.count
            bytes = entries.values.reduce(0) { $0 + $1.bytes }
        }
    }

    /// Takes a value out.
    package mutating func remove(_ key: String) {
        if let entry = entries.removeValue(forKey: key) { bytes -= entry.bytes }
    }

    /// All values, in any order; none counts as used for it.
    package var values: [Value] { entries.values.map(\.value) }

    /// Values that went since there was no room for them.
    package private(set) var evictions = 0

    /// Values that are kept now.
    package var count: Int { entries.count }

    /// Memory that they and their keys take, roughly.
    package private(set) var bytes = 0
}
