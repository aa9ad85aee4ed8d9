import Bytes
import Concurrency
import ServiceLifecycle
import Synchronization
import Telemetry

/// Some events in a row from the Gold topic: of every topic partition all from `start` up to `next`.
struct StreamPage: Sendable {
    let start: OffsetVector
    let next: OffsetVector
    let entries: [StreamEntry]
    let byteCount: Int

    /// Whether it brings a client further that has seen everything below `seen`, without leaving anything out.
    func serves(_ seen: OffsetVector) -> Bool { seen.covers(start) && !seen.covers(next) }
}

/// Reads pages of the Gold topic for clients that lack more than memory holds.
///
/// One lane reads for all of them, a page at a time; keys and addresses take turns (``TicketLines``), and each has a few
/// tickets at most. Clients at the same place share the reading: one ticket serves all who wait for it, and the last pages
/// are kept for those who come a little later. Readers are kept open as long as somebody goes on where one of them is.
final class CatchUp: Sendable {
    /// Rings when tickets were settled.
    let bell = Bell()
    private let readers: LanePool<PageReaders>
    private let logger: Logger
    private let idleNanoseconds: Int64
    private let state = Mutex(State())
    private let read: Counter
    private let shared: Counter

    fileprivate struct State {
        /// Least recently used first.
        var pages: [StreamPage] = []
        var byteCount = 0
        var waiting = TicketLines()
        /// The one whose page is being read.
        var current: PageTicket?
        var isRunning = false
        var generation: Int64 = 0
        var failedAt: Int64?
        /// When something was asked for last; nil once it was tidied up.
        var usedAt: Int64?
    }

    /// Pages that are kept, bytes.
    private static let bytesMax = 32 << 20
    private static let pagesMax = 64
    private static let reportNanoseconds: Int64 = 10_000_000_000
    /// Tickets of one caller that are not settled yet, the one being read among them.
    private static let ticketsPerCallerMax = 2

    /// - Parameter idleMilliseconds: how long readers and pages that nobody uses are kept.
    init(
        topic: any EventTopic, metrics: MetricsRegistry, logger: Logger, idleMilliseconds: Int = 30_000,
        isEnded: @escaping @Sendable () -> Bool
    ) {
        self.logger = logger
        idleNanoseconds = Int64(idleMilliseconds) * 1_000_000
        readers = LanePool(name: "stream-catch-up", count: 1, niceness: 10) { PageReaders(topic, isStopped: isEnded) }
        read = metrics.counter(
            "medallion_api_stream_pages_read_total", help: "Pages of the Gold topic read for clients that catch up.")
        shared = metrics.counter(
            "medallion_api_stream_pages_shared_total",
            help: "Pages that a client got which were read, or are being read, for another one.")
    }

    /// From now on that generation is shown.
    func show(_ generation: Int64) {
        state.withLock { state in
            guard state.generation != generation else { return }
            state.generation = generation
            state.pages = []
            state.byteCount = 0
        }
    }

    /// Asks for what comes behind `start`, up to `limit` at most. Whoever lets go of the ticket does not want the page any
    /// more.
    ///
    /// - Returns: nil where the caller has as many tickets as it may; ``bell`` rings when that may have changed.
    func ticket(from start: OffsetVector, to limit: OffsetVector, for caller: StreamSeats.Caller?) -> PageTicket? {
        let (ticket, isFirst) = state.withLock { state -> (PageTicket?, Bool) in
            state.usedAt = SystemClock.monotonicNanoseconds()
            if let page = state.page(for: start) {
                shared.increment()
                return (PageTicket(from: start, to: limit, for: caller, .page(page)), false)
            }
            func isTheSame(_ other: PageTicket) -> Bool { other.start == start && limit.covers(other.limit) }
            if let same = state.current.flatMap({ isTheSame($0) ? $0 : nil }) ?? state.waiting.first(where: isTheSame) {
                shared.increment()
                return (same, false)
            }
            let isBeingServed = state.current.map { $0.caller == caller } ?? false
            let ticket = PageTicket(from: start, to: limit, for: caller)
            guard state.waiting.add(ticket, countMax: Self.ticketsPerCallerMax - (isBeingServed ? 1 : 0)) else {
                return (nil, false)
            }
            defer { state.isRunning = true }
            return (ticket, !state.isRunning)
        }
        if isFirst { Task { await work() } }
        return ticket
    }

    /// Lets go of readers and pages that nobody has used for a while. Called now and then; takes as long as consumers take
    /// to close.
    func tidy() async {
        let now = SystemClock.monotonicNanoseconds()
        let isDue = state.withLock { state in
            guard !state.isRunning, let usedAt = state.usedAt, now - usedAt > idleNanoseconds else { return false }
            state.usedAt = nil
            state.pages = []
            state.byteCount = 0
            return true
        }
        guard isDue else { return }
        try? await readers.run(deadline: Deadline(milliseconds: 30_000)) { readers, _ in readers.close() }
    }

    /// Settles tickets until there are none.
    private func work() async {
        while let (ticket, generation) = next() {
            var outcome: PageTicket.Outcome
            do {
                let (start, limit) = (ticket.start, ticket.limit)
                let page = try await readers.run(deadline: Deadline(milliseconds: 30_000)) { readers, _ in
                    try readers.page(from: start, to: limit, generation: generation)
                }
                read.increment()
                outcome = .page(page)
            } catch {
                report(error)
                outcome = .failed(error)
            }
            settle(ticket, outcome, generation)
            bell.ring()
        }
    }

    private func next() -> (PageTicket, Int64)? {
        var isAnySettled = false
        defer { if isAnySettled { bell.ring() } }
        return state.withLock { state in
            while let ticket = state.waiting.next() {
                if let page = state.page(for: ticket.start) {
                    ticket.settle(.page(page))
                    isAnySettled = true
                    continue
                }
                state.current = ticket
                return (ticket, state.generation)
            }
            state.current = nil
            state.isRunning = false
            return nil
        }
    }

    private func settle(_ ticket: PageTicket, _ outcome: PageTicket.Outcome, _ generation: Int64) {
        state.withLock { state in
            state.current = nil
            if case .page(let page) = outcome, state.generation == generation, !page.start.covers(page.next) {
                state.keep(page, bytesMax: Self.bytesMax, countMax: Self.pagesMax)
                state.waiting.settle(with: page)
            }
        }
        ticket.settle(outcome)
    }

    private func report(_ error: any Error) {
        if error is CancellationError { return }
        let now = SystemClock.monotonicNanoseconds()
        let isDue = state.withLock { state in
            guard state.failedAt.map({ now - $0 > Self.reportNanoseconds }) ?? true else { return false }
            state.failedAt = now
            return true
        }
        if isDue { logger.warning("clients of the stream cannot catch up", ["error": "\(error)"]) }
    }
}

extension CatchUp.State {
    /// A kept page that serves, which then counts as used last.
    fileprivate mutating func page(for seen: OffsetVector) -> StreamPage? {
        guard let place = pages.lastIndex(where: { $0.serves(seen) }) else { return nil }
        let page = pages.remove(at: place)
        pages.append(page)
        return page
    }

    fileprivate mutating func keep(_ page: StreamPage, bytesMax: Int, countMax: Int) {
        pages.append(page)
        byteCount += page.byteCount
        while pages.count > 1, byteCount > bytesMax || pages.count > countMax {
            byteCount -= pages.removeFirst().byteCount
        }
    }
}

/// Readers of the Gold topic at the places of the last pages. Confined to one lane.
private final class PageReaders {
    private struct Kept {
        let reader: any EventReader
        /// Everything below was read.
        var position: OffsetVector
        /// What lies from here on is in memory, or cannot be searched yet; it is dropped.
        let limit: OffsetVector
    }

    private let topic: any EventTopic
    private let isStopped: @Sendable () -> Bool
    /// Least recently used first.
    private var kept: [Kept] = []

    private static let readersMax = 3
    private static let pageMax = 1_000
    private static let pageBytesMax = 2 << 20
    private static let readMax = 500
    /// So that one topic that gives nothing does not hold up the others' turns.
    private static let pageNanoseconds: Int64 = 1_000_000_000

    init(_ topic: any EventTopic, isStopped: @escaping @Sendable () -> Bool) {
        self.topic = topic
        self.isStopped = isStopped
    }

    /// Closes all readers.
    func close() { kept = [] }

    func page(from start: OffsetVector, to limit: OffsetVector, generation: Int64) throws -> StreamPage {
        var current = try take(start, limit)
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
    private func take(_ start: OffsetVector, _ limit: OffsetVector) throws -> Kept {
        let place = kept.firstIndex { $0.position.covers(start) && start.covers($0.position) && limit.covers($0.limit) }
        if let place { return kept.remove(at: place) }
        while kept.count >= Self.readersMax { kept.removeFirst() }
        return Kept(reader: try topic.open(from: start, isStopped: isStopped), position: start, limit: limit)
    }

    /// What of an item belongs into the page.
    private func accept(_ item: TopicItem, _ current: inout Kept, _ generation: Int64) -> TopicItem? {
        let partition = item.partition
        let position = current.position[partition]
        switch item {
        case .event(let event):
            guard event.offset >= position, event.offset < current.limit[partition] else { return nil }
            guard event.generation == generation else {
                // Not behind it: the active generation's document of the same record may follow.
                current.position[partition] = event.offset
                return nil
            }
            current.position[partition] = event.offset + 1
            return item
        case .gap(var gap):
            gap.start = max(gap.start, position)
            gap.end = min(gap.end, current.limit[partition])
            guard gap.start < gap.end else { return nil }
            current.position[partition] = gap.end
            return .gap(gap)
        }
    }

    /// All that the topic has below the limit was given; what a gap of unknown end leaves open is missing up to there.
    private func rest(of current: inout Kept) -> [TopicGap] {
        let gaps = current.reader.openGaps.sorted { $0.key < $1.key }.compactMap { partition, reason in
            let (start, end) = (current.position[partition], current.limit[partition])
            return start < end ? TopicGap(reason, partition: partition, start: start, end: end) : nil
        }
        current.position.raise(to: current.limit)
        return gaps
    }
}
