import Records

/// Something for the clients, made once for all of them.
final class StreamEntry: Sendable {
    let item: TopicItem
    /// The vector behind it, in the order in which everything was given out.
    let end: OffsetVector
    /// The frame with the id of that vector; empty for a gap, which everybody sees from where they are.
    let frame: [UInt8]
    /// Where the frame goes on behind the id.
    private let bodyStart: Int

    /// - Parameter id: nil where each client has one of its own.
    init(_ item: TopicItem, end: OffsetVector, id: String?) {
        self.item = item
        self.end = end
        guard case .event(let event) = item else {
            frame = []
            bodyStart = 0
            return
        }
        let line = id.map(EventFrame.idLine) ?? []
        bodyStart = line.count
        frame = line + EventFrame.bytes(event: Self.name(of: event.operation), data: event.line)
    }

    /// The name of the event that clients get.
    private static func name(of operation: GoldOperation) -> String {
        switch operation {
        case .put: "event"
        case .delete: "deleted"
        case .deleteBelow: "truncated"
        }
    }

    /// The frame with another id.
    func frame(id: String) -> [UInt8] { EventFrame.idLine(id) + frame[bodyStart...] }

    /// What it takes in memory, about: the vector, the frame, the line and the text, which may be there twice.
    var byteCount: Int {
        let own = Self.overheadBytes + MemoryLayout<Int64>.size * end.count
        guard case .event(let event) = item else { return own }
        return own + frame.count + event.line.count + 2 * event.text.text.utf8.count
    }

    private static let overheadBytes = 512
}

/// The last events that were given out, for clients that come back soon and for those that are a little behind. Bounded by
/// count and bytes. Every entry has a number; numbers go up by one.
struct RecentEvents: Sendable {
    /// Some entries in a row.
    struct Slice: Sendable {
        var entries: [StreamEntry]
        /// The number behind them.
        var next: Int
        /// Whether nothing more is there.
        var isAll: Bool
        var byteCount: Int
    }

    /// A ring's slots from `first` on; those before are empty and go with the next tidying.
    private var slots: [StreamEntry?] = []
    private var first = 0
    private var byteCount = 0
    /// The number of the slot at `first`.
    private var firstNumber = 0
    /// Everything from here on is in it.
    private(set) var start: OffsetVector
    /// The vector behind the last event.
    private(set) var end: OffsetVector
    private let countMax: Int
    private let bytesMax: Int

    init(from start: OffsetVector, countMax: Int = 20_000, bytesMax: Int = 32 << 20) {
        self.start = start
        end = start
        self.countMax = countMax
        self.bytesMax = bytesMax
    }

    /// The number that the next entry will have.
    var nextNumber: Int { firstNumber + slots.count - first }

    mutating func append(_ entry: StreamEntry) {
        slots.append(entry)
        end = entry.end
        byteCount += entry.byteCount
        while slots.count - first > countMax || (byteCount > bytesMax && slots.count - first > 1) {
            if let dropped = slots[first] {
                byteCount -= dropped.byteCount
                start = dropped.end
            }
            slots[first] = nil
            first += 1
            firstNumber += 1
        }
        if first > 1_024, first * 2 > slots.count {
            slots.removeFirst(first)
            first = 0
        }
    }

    /// The number of the first entry that a client lacks which has seen everything below `seen`; nil where some of that is
    /// gone from here. Vectors only grow from entry to entry, so that halving finds it.
    func number(after seen: OffsetVector) -> Int? {
        guard seen.covers(start) else { return nil }
        var low = first
        var high = slots.count
        while low < high {
            let middle = (low + high) / 2
            if let entry = slots[middle], !seen.covers(entry.end) { high = middle } else { low = middle + 1 }
        }
        return firstNumber + low - first
    }

    /// The vector in front of an entry that is here, or behind the last.
    func vector(before number: Int) -> OffsetVector {
        let place = first + number - firstNumber
        guard place > first, place <= slots.count, let entry = slots[place - 1] else { return start }
        return entry.end
    }

    /// Entries from `number` on, up to the bounds, one at least if there is any; nil where they are gone.
    func slice(from number: Int, countMax: Int, bytesMax: Int) -> Slice? {
        guard number >= firstNumber else { return nil }
        var slice = Slice(entries: [], next: number, isAll: true, byteCount: 0)
        var place = first + number - firstNumber
        while place < slots.count, slice.entries.count < countMax, slice.byteCount < bytesMax {
            guard let entry = slots[place] else { break }
            slice.entries.append(entry)
            slice.byteCount += entry.frame.count
            place += 1
        }
        slice.next = firstNumber + place - first
        slice.isAll = place >= slots.count
        return slice
    }
}
