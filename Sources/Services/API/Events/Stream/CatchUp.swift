import Bytes
import Concurrency
import Records
import ServiceLifecycle
import Synchronization
import Telemetry

/// Some events in a row from the Gold topic of one source: of each of its topic partitions all from `start` up to `next`.
struct StreamPage: Sendable {
    /// Of the source's topic only, and so is `next`.
    let start: OffsetVector
    let next: OffsetVector
    let entries: [StreamEntry]
    let byteCount: Int

    /// Whether it brings a client further that has seen everything below `seen`, without leaving anything out.
    func serves(_ seen: OffsetVector) -> Bool { seen.covers(start) && !seen.covers(next) }
}

/// Reads pages of the Gold topics for clients that lack more than memory holds.
///
/// One lane reads for all of them, a page of one source at a time; keys and addresses take turns (``TicketLines``), and each has a few
/// tickets at most. Clients at the same place share the reading: one ticket serves all who wait for it, and the last pages
/// are kept for those who come a little later. Readers are kept open as long as somebody goes on where one of them is.
final class CatchUp: Sendable {
    /// What is shown: pages of anything else are of no use.
    struct Shown: Equatable, Sendable {
        var generation: Int64 = 0
        /// Goes up when a log is another one, and when there are other sources.
        var era = 0
        var sources: [StreamSource] = []
    }

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
        var shown = Shown()
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
        topics: any EventTopics, metrics: MetricsRegistry, logger: Logger, idleMilliseconds: Int = 30_000,
        isEnded: @escaping @Sendable () -> Bool
    ) {
        self.logger = logger
        idleNanoseconds = Int64(idleMilliseconds) * 1_000_000
        readers = LanePool(name: "stream-catch-up", count: 1, priority: .nice(10)) {
            PageReaders(topics, isStopped: isEnded)
        }
        read = metrics.counter(
            "medallion_api_stream_pages_read_total", help: "Pages of the Gold topics read for clients that catch up.")
        shared = metrics.counter(
            "medallion_api_stream_pages_shared_total",
            help: "Pages that a client got which were read, or are being read, for another one.")
    }

    /// From now on that is shown.
    func show(_ shown: Shown) {
        state.withLock { state in
            guard state.shown != shown else { return }
            state.shown = shown
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
                return (PageTicket(from: start, to: limit, for: caller, era: state.shown.era, .page(page)), false)
            }
            let era = state.shown.era
            func isTheSame(_ other: PageTicket) -> Bool {
                other.era == era && other.start == start && limit.covers(other.limit)
            }
            if let same = state.current.flatMap({ isTheSame($0) ? $0 : nil }) ?? state.waiting.first(where: isTheSame) {
                shared.increment()
                return (same, false)
            }
            let isBeingServed = state.current.map { $0.caller == caller } ?? false
            let ticket = PageTicket(from: start, to: limit, for: caller, era: era)
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
        while let (ticket, shown) = next() {
            var outcome: PageTicket.Outcome
            do {
                let (start, limit) = (ticket.start, ticket.limit)
                let page = try await readers.run(deadline: Deadline(milliseconds: 30_000)) { readers, _ in
                    try readers.page(from: start, to: limit, shown)
                }
                read.increment()
                outcome = .page(page)
            } catch {
                report(error)
                outcome = .failed(error)
            }
            settle(ticket, outcome, shown)
            bell.ring()
        }
    }

    private func next() -> (PageTicket, Shown)? {
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
                return (ticket, state.shown)
            }
            state.current = nil
            state.isRunning = false
            return nil
        }
    }

    private func settle(_ ticket: PageTicket, _ outcome: PageTicket.Outcome, _ shown: Shown) {
        state.withLock { state in
            state.current = nil
            if case .page(let page) = outcome, state.shown == shown, !page.start.covers(page.next) {
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
