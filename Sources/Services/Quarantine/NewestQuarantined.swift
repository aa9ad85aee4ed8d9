import Lake
import Records

extension QuarantineReader {
    /// A part of the list of quarantined records, newest first.
    package struct Page<Item: Sendable>: Sendable {
        package var items: [Item]
        /// Where the rest begins; nil at the list's end.
        package var next: QuarantinePlace?
        /// Whether anything was read in time: else the next page would begin where this one did.
        package var hasMoved: Bool
    }

    /// The newest records that the query means: those of a topic partition from its end on, and of several the one with the latest
    /// broker time first. Where reading had to stop, the page ends early, and the next one begins there.
    ///
    /// - Parameters:
    ///   - place: where the page before ended; of this reader's generation.
    ///   - window: offsets of a topic partition that are read at once to begin with; more where little is found.
    ///   - render: called for more records than the page holds; what it gives is held in their place.
    /// - Throws: ``QuarantineError`` for a place of another generation; ``LakeError``.
    package func newest<Item: Sendable>(
        _ query: QuarantineQuery, from place: QuarantinePlace? = nil, window: Int64 = 2_048,
        _ render: (QuarantinedRecord) -> Item
    ) throws -> Page<Item> {
        if let place, place.generation != generation {
            throw QuarantineError("the place is one of generation \(place.generation), and not of \(generation)")
        }
        var ends: [(source: TopicPartition, end: BackwardEnd<Item>)] = try ends(query, place, window)
        let share = BackwardEnd<Item>.heldInAll / max(1, ends.count)
        let count = ends.count
        let heldMax = min(query.limit, max(BackwardEnd<Item>.heldLeast, share))
        var items: [Item] = []
        while true {
            for index in ends.indices {
                let source = ends[index].source
                try fill(&ends[index].end, of: source, query, heldMax, render)
            }
            ends.removeAll { $0.end.isOver }
            // One whose newest record is not known may hold the newest of all.
            guard items.count < query.limit, ends.allSatisfy({ $0.end.newest != nil }),
                let index = ends.indices.max(by: { ends[$0].end.isOlder(than: ends[$1].end) }),
                let item = ends[index].end.take()
            else { break }
            items.append(item)
        }
        let hasMoved = ends.count < count || ends.contains { $0.end.hasMoved }
        guard !ends.isEmpty else { return Page(items: items, next: nil, hasMoved: hasMoved) }
        var before: [TopicPartition: Int64] = [:]
        for (source, end) in ends { before[source] = end.place }
        return Page(items: items, next: QuarantinePlace(generation: generation, before: before), hasMoved: hasMoved)
    }

    /// The topic partitions that may hold what the query means, each with the offsets that are left.
    private func ends<Item>(
        _ query: QuarantineQuery, _ place: QuarantinePlace?, _ window: Int64
    ) throws -> [(source: TopicPartition, end: BackwardEnd<Item>)] {
        var ends: [(source: TopicPartition, end: BackwardEnd<Item>)] = []
        for source in try reader.sources() where query.includes(source) {
            // What is in none of the place's topic partitions was shown, or came later.
            if let place, place.before[source] == nil { continue }
            guard let range = try range(query, source) else { continue }
            let end = min(range.end, place?.before[source] ?? .max)
            guard end > range.start else { continue }
            let decisions = try QuarantineLog(layout: reader.layout, source: source).read()
            ends.append(
                (source, BackwardEnd(start: range.start, before: end, window: window, decisions: decisions)))
        }
        return ends
    }

    /// Reads on towards the beginning until a record is held, all is read, or reading has to stop.
    private func fill<Item>(
        _ end: inout BackwardEnd<Item>, of source: TopicPartition, _ query: QuarantineQuery, _ heldMax: Int,
        _ render: (QuarantinedRecord) -> Item
    ) throws {
        while end.newest == nil, let window = end.nextWindow {
            var part = query
            part.offsets = window
            var held: [BackwardEnd<Item>.Held] = []
            var isCut = false
            let isWhole = try forEach(part, source, end.decisions) { record in
                held.append(
                    .init(offset: record.offset, time: record.timestampMilliseconds, item: render(record)))
                if held.count >= 2 * heldMax {
                    held.removeFirst(held.count - heldMax)
                    isCut = true
                }
                return true
            }
            // What was read are the window's oldest, and the newest come first.
            guard isWhole else { return }
            if held.count > heldMax {
                held.removeFirst(held.count - heldMax)
                isCut = true
            }
            end.hold(held, isCut: isCut, of: window)
        }
    }
}

/// One topic partition that is read from its end, a window of offsets at a time: lines can be read forwards only.
private struct BackwardEnd<Item> {
    struct Held {
        let offset: Int64
        let time: Int64
        let item: Item
    }

    /// Held of one topic partition at least, and of all together at most, but for that.
    static var heldLeast: Int { 50 }
    static var heldInAll: Int { 4_000 }
    private static var windowMost: Int64 { 1 << 22 }

    let start: Int64
    let decisions: [Int64: QuarantineDecision]
    /// What lies before this offset is not read yet.
    private var before: Int64
    private let windowLeast: Int64
    private var window: Int64
    /// By offset; the newest is the last.
    private var held: [Held] = []
    /// Whether a window was read to its end.
    private(set) var hasMoved = false

    init(start: Int64, before: Int64, window: Int64, decisions: [Int64: QuarantineDecision]) {
        self.start = start
        self.before = before
        self.decisions = decisions
        windowLeast = max(1, window)
        self.window = max(1, window)
    }

    var newest: Held? { held.last }
    var isOver: Bool { held.isEmpty && before <= start }
    /// The next page holds records below this offset.
    var place: Int64 { held.last.map { $0.offset + 1 } ?? before }

    /// nil where all is read.
    var nextWindow: OffsetRange? {
        before > start ? OffsetRange(start: max(start, before - window), end: before) : nil
    }

    /// - Parameter isCut: whether the window's older records were let go, to be read again.
    mutating func hold(_ new: [Held], isCut: Bool, of range: OffsetRange) {
        (held, hasMoved) = (new, true)
        before = isCut ? new.first?.offset ?? range.start : range.start
        // Few windows where there is little, and little that is read twice where there is much.
        if isCut {
            window = max(windowLeast, window / 2)
        } else if new.isEmpty {
            window = min(Self.windowMost, window * 2)
        }
    }

    mutating func take() -> Item? { held.popLast()?.item }

    func isOlder(than other: BackwardEnd) -> Bool { (newest?.time ?? .min) < (other.newest?.time ?? .min) }
}
