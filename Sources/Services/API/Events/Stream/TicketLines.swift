import Records
import Synchronization

/// A page that was asked for. Several clients may hold the same ticket.
final class PageTicket: Sendable {
    enum Outcome: Sendable {
        case page(StreamPage)
        case failed(any Error)
    }

    let start: OffsetVector
    let limit: OffsetVector
    /// Of which list of logs; see ``CatchUp/Shown``.
    let era: Int
    /// Whose turn it takes; nil where nobody knows where a client comes from.
    let caller: StreamSeats.Caller?
    private let result = Mutex<Outcome?>(nil)

    init(
        from start: OffsetVector, to limit: OffsetVector, for caller: StreamSeats.Caller?, era: Int = 0,
        _ outcome: Outcome? = nil
    ) {
        self.era = era
        self.start = start
        self.limit = limit
        self.caller = caller
        result.withLock { $0 = outcome }
    }

    /// Nil while it is not there.
    var outcome: Outcome? { result.withLock { $0 } }

    func settle(_ outcome: Outcome) { result.withLock { $0 = outcome } }
}

/// The tickets that wait to be worked off: a short line for each caller, and the callers take turns, so that one with many
/// clients holds up nobody but itself.
///
/// Tickets belong to the clients that hold them. One that nobody holds any more is passed over, so that clients which come
/// and go cost no reading.
struct TicketLines {
    private struct Waiting {
        weak var ticket: PageTicket?
    }

    private var lines: [StreamSeats.Caller?: [Waiting]] = [:]
    /// Every caller that has a line, once; whose turn is next comes first.
    private var turns: [StreamSeats.Caller?] = []
    private var sweepAt = Self.sweepMin

    private static let sweepMin = 64

    /// Callers that have a line, perhaps of tickets that nobody holds any more.
    var callerCount: Int { lines.count }

    /// Lines a ticket up.
    ///
    /// - Parameter countMax: how many of its caller may wait.
    /// - Returns: false where as many do.
    mutating func add(_ ticket: PageTicket, countMax: Int) -> Bool {
        var line = (lines[ticket.caller] ?? []).filter { $0.ticket != nil }
        guard line.count < countMax else { return false }
        line.append(Waiting(ticket: ticket))
        if lines.updateValue(line, forKey: ticket.caller) == nil { turns.append(ticket.caller) }
        if lines.count >= sweepAt { sweep() }
        return true
    }

    /// The next ticket that somebody holds; its caller's turn is over.
    mutating func next() -> PageTicket? {
        while !turns.isEmpty {
            let caller = turns.removeFirst()
            var line = lines.removeValue(forKey: caller) ?? []
            while !line.isEmpty {
                guard let ticket = line.removeFirst().ticket else { continue }
                if !line.isEmpty {
                    lines[caller] = line
                    turns.append(caller)
                }
                return ticket
            }
        }
        return nil
    }

    /// Any ticket that is held and does.
    func first(where isWanted: (PageTicket) -> Bool) -> PageTicket? {
        for line in lines.values {
            if let ticket = line.lazy.compactMap(\.ticket).first(where: isWanted) { return ticket }
        }
        return nil
    }

    /// Takes the tickets out that a page serves, and gives it to them.
    mutating func settle(with page: StreamPage) {
        for caller in turns {
            guard var line = lines[caller] else { continue }
            line.removeAll { waiting in
                guard let ticket = waiting.ticket else { return true }
                guard page.serves(ticket.start) else { return false }
                ticket.settle(.page(page))
                return true
            }
            lines[caller] = line.isEmpty ? nil : line
        }
        turns.removeAll { lines[$0] == nil }
    }

    /// Callers that left are forgotten now and then, also while a reading takes long; at twice the number of those that
    /// stayed, so that it costs little for each.
    private mutating func sweep() {
        for caller in turns {
            let line = (lines[caller] ?? []).filter { $0.ticket != nil }
            lines[caller] = line.isEmpty ? nil : line
        }
        turns.removeAll { lines[$0] == nil }
        sweepAt = max(Self.sweepMin, 2 * lines.count)
    }
}
