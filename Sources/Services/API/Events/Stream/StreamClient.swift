import Bytes
import HTTPEndpoints
import HTTPServer
import Records

/// One client of the stream, served by a task of its own: takes from the list of recent events, or pages of the topic, what
/// it lacks, filters it and writes it at the client's pace.
struct StreamClient: Sendable {
    let hub: TenantEvents
    let state: HubState
    let filter: FeedFilter
    let stages: Set<StreamStage>
    /// Whose turn it takes where clients wait for each other.
    let caller: StreamSeats.Caller?
    /// How fast it may read what lies behind the newest events; nil for any.
    let pace: CatchUpPace?
    let writer: HTTPStreamWriter
    let isWelcome: @Sendable () -> Bool

    /// Where the client is.
    struct Session {
        var logs: StreamLogs
        var era: Int
        /// The next entry of the list; nil where that is to be found out.
        var number: Int?
        /// What the client has seen.
        var vector: OffsetVector
        /// Whether the client knows that vector's id.
        var isIDKnown = false
        /// Whether it has seen more than the list has given out somewhere (it may come from another process). Its ids are then
        /// its own, so that they never go back.
        var isAhead = false
        /// The page that it waits for.
        var ticket: PageTicket?
        /// The next step to be told.
        var step = 0
        var heartbeatAt: Int64 = 0
        var lookedAt: Int64 = 0
        var aheadCheckedAt: Int64 = 0

        init(at place: HubState.Place) {
            logs = place.logs
            era = place.era
            number = place.number
            vector = place.vector
        }
    }

    /// Entries that are looked at in one go, and bytes that are offered at once: much less than what cuts a slow client.
    private static let entriesMax = 200
    private static let offerBytesMax = 64 * 1_024
    /// Steps that are looked at in one go.
    private static let stepsMax = 1_000
    /// A client with more than this on its way, for whom still more is there, is waited for.
    private static let queuedBytesMax = 128 * 1_024
    private static let lookNanoseconds: Int64 = 500_000_000
    private static let sourceLooks = 150
    private static let sourceLookMilliseconds = 20

    func serve(after id: StreamID?) async throws {
        guard let end = state.atEnd() else {
            throw APIError.unavailable("the stream", "the Gold topic or the index cannot be read yet")
        }
        var session = Session(at: end)
        var resets: [StreamReset] = []
        if let id {
            resets = try await resume(&session, id)
            session.isIDKnown = resets.isEmpty
        }
        session.step = hub.stages.enter(stages)
        defer { hub.stages.leave(stages) }
        try await waitForSource()
        writer.start(headers: EventFrame.headers)
        writer.offer(EventFrame.heartbeat)
        session.heartbeatAt = SystemClock.monotonicNanoseconds()
        session.lookedAt = session.heartbeatAt
        session.aheadCheckedAt = session.heartbeatAt
        for reset in resets { tell(reset) }
        state.enter()
        defer { state.leave() }
        while try await step(&session) {}
    }

    /// A client that watches what is received gets it from the first moment on, if the topic answers soon.
    private func waitForSource() async throws {
        guard stages.contains(.received) else { return }
        for _ in 0..<Self.sourceLooks where !hub.stages.isSourceOpen {
            try await Task.sleep(for: .milliseconds(Self.sourceLookMilliseconds))
        }
    }

    /// Gives the client what is there, or waits for it.
    ///
    /// - Returns: false when the client is not to be served any more.
    private func step(_ session: inout Session) async throws -> Bool {
        try Task.checkCancellation()
        // Before looking, so that nothing which comes meanwhile is slept over.
        let bell = stages.isEmpty ? hub.bell : hub.stageBell
        let (rang, pagesRang) = (bell.count, hub.catchUp.bell.count)
        guard lookAround(&session) else { return false }
        let told = tellSteps(&session)
        guard told != .over else { return false }
        if session.isAhead { try await checkAhead(&session) }
        switch find(&session) {
        case .ended: return false
        case .otherEra: return moveOn(&session)
        case .slice(let slice):
            session.ticket = nil
            if slice.entries.isEmpty {
                // For steps that are there already nobody rings.
                if told == .some { await Task.yield() } else { await bell.wait(after: rang) }
                return true
            }
            // The other clients are on the same thread, and a filter may let nothing through that would be waited for.
            if !slice.isAll {
                guard try await isPaced() else { return true }
                notePace(slice.byteCount)
                await Task.yield()
            }
            return try await deliver(slice, &session)
        case .behind(let limit):
            session.number = nil
            // Before a page is asked for: what a client may not have yet nobody reads for it.
            guard try await isPaced() else { return true }
            // Held by those who wait for it only, so that it is given up with the last of them.
            session.ticket =
                session.ticket ?? hub.catchUp.ticket(from: session.vector, to: limit, for: caller)
            guard let outcome = session.ticket?.outcome else {
                // Not there yet; or its caller has others in line, and the next look may find room.
                if told == .some { await Task.yield() } else { await hub.catchUp.bell.wait(after: pagesRang) }
                return true
            }
            session.ticket = nil
            if case .page(let page) = outcome, page.serves(session.vector) {
                // All that was read counts, and not what its filter takes.
                notePace(page.entries.reduce(0) { $0 + $1.frame.count })
                return try await deliver(page, &session)
            }
            // Nothing was found in time, or the topic cannot be read: again a little later.
            await bell.wait(after: rang)
            return true
        }
    }

    /// Whether the client may have more of what lies behind now; waits for a moment where not.
    private func isPaced() async throws -> Bool {
        guard let pace, let caller else { return true }
        let wait = pace.waitMilliseconds(caller, now: SystemClock.monotonicNanoseconds())
        guard wait > 0 else { return true }
        try await Task.sleep(for: .milliseconds(wait))
        return false
    }

    private func notePace(_ byteCount: Int) {
        guard let pace, let caller else { return }
        pace.note(byteCount, of: caller, now: SystemClock.monotonicNanoseconds())
    }

    private func find(_ session: inout Session) -> HubState.Found {
        if session.number == nil {
            let (place, found) = state.place(after: session.vector, era: session.era)
            guard let place else { return found ?? .ended }
            session.number = place.number
            session.isAhead = !place.vector.covers(session.vector)
        }
        guard let number = session.number else { return .ended }
        return state.slice(
            from: number, era: session.era, countMax: Self.entriesMax, bytesMax: Self.offerBytesMax)
    }

    /// Comments, and whether the client is still there and may be.
    private func lookAround(_ session: inout Session) -> Bool {
        guard !writer.isClosed else { return false }
        let now = SystemClock.monotonicNanoseconds()
        if now - session.heartbeatAt >= hub.heartbeatNanoseconds {
            session.heartbeatAt = now
            // What is on its way in such numbers says as much as a comment.
            if writer.queuedBytes <= Self.queuedBytesMax { beat(&session) }
        }
        guard now - session.lookedAt >= Self.lookNanoseconds else { return true }
        session.lookedAt = now
        return isWelcome()
    }

    /// A comment; with the id where events that the client did not want, or a gap, have moved it, so that it need not go
    /// through them again when it comes back. An id without data is kept by a client and fires no event.
    private func beat(_ session: inout Session) {
        var bytes = EventFrame.heartbeat
        if !session.isIDKnown {
            bytes += EventFrame.idLine(session.logs.text(session.vector)) + EventFrame.end
            session.isIDKnown = true
        }
        writer.offer(bytes)
    }

    // MARK: Events

    /// From the list.
    private func deliver(_ slice: RecentEvents.Slice, _ session: inout Session) async throws -> Bool {
        var bytes: [UInt8] = []
        for entry in slice.entries {
            let seen = session.vector
            if session.isAhead {
                guard entry.item.next > seen[entry.item.topicPartition] else { continue }
                session.vector.raise(to: entry.end)
            } else {
                session.vector = entry.end
            }
            session.isIDKnown = false
            switch entry.item {
            case .gap(let gap): bytes += frame(of: gap, seen: seen)
            case .event(let event):
                guard takes(event) else { continue }
                let frame =
                    session.isAhead
                    ? entry.frame(id: session.logs.text(session.vector)) : entry.frame
                session.isIDKnown = true
                // Mostly one event at a time, whose frame is then shared.
                if bytes.isEmpty { bytes = frame } else { bytes += frame }
            }
        }
        session.number = slice.next
        if session.isAhead, let last = slice.entries.last, last.end.covers(session.vector) {
            session.isAhead = false
            session.vector = last.end
        }
        guard !bytes.isEmpty else { return true }
        let isKeepingUp = slice.isAll || writer.queuedBytes <= Self.queuedBytesMax
        if isKeepingUp, bytes.count <= 2 * Self.offerBytesMax {
            if writer.offer(bytes) { return true }
            hub.cuts.increment()
            return false
        }
        // More came at once than a client's queue takes, after a pause of the index for example: the client is not slow,
        // and takes it at its own pace.
        try await writer.write(bytes)
        return true
    }

    /// From the topic, at the client's pace.
    private func deliver(_ page: StreamPage, _ session: inout Session) async throws -> Bool {
        var bytes: [UInt8] = []
        for (number, entry) in page.entries.enumerated() {
            // The other clients are on the same thread.
            if number > 0, number.isMultiple(of: Self.entriesMax) { await Task.yield() }
            let place = entry.item.topicPartition
            let seen = session.vector
            guard entry.item.next > seen[place] else { continue }
            session.vector[place] = entry.item.next
            session.isIDKnown = false
            switch entry.item {
            case .gap(let gap): bytes += frame(of: gap, seen: seen)
            case .event(let event):
                guard takes(event) else { continue }
                bytes += entry.frame(id: session.logs.text(session.vector))
                session.isIDKnown = true
            }
            guard bytes.count >= Self.offerBytesMax else { continue }
            try await writer.write(bytes)
            bytes = []
            guard lookAround(&session) else { return false }
        }
        if !bytes.isEmpty { try await writer.write(bytes) }
        if !session.vector.covers(page.next) {
            session.vector.raise(to: page.next)
            session.isIDKnown = false
        }
        return true
    }

    /// What of a gap concerns a client.
    private func frame(of gap: TopicGap, seen: OffsetVector) -> [UInt8] {
        var gap = gap
        gap.start = max(gap.start, seen[gap.topicPartition])
        guard gap.start < gap.end else { return [] }
        hub.count(gap.reason.rawValue)
        return StreamNotice.gap(gap).frame
    }

    /// Whether the client is to get it. What takes documents away names them by their key, so filters on what its line does not have
    /// let it pass: a client that keeps a copy must not miss that a document of its language is gone.
    private func takes(_ event: TopicEvent) -> Bool {
        if event.operation != .put { return filter.filter.mayMatch(event.attributes) }
        return filter.takes(event) && !hub.isSuppressed(event)
    }

    private func takes(_ step: StageStep) -> Bool { step.event.map(takes) ?? filter.takes(step) }

    private enum Telling {
        /// Nothing more is there, or no room for it.
        case all
        /// More is there.
        case some
        /// The client is gone.
        case over
    }

    /// Some of the steps that the client watches. For those without room it waits; it misses what is dropped meanwhile.
    private func tellSteps(_ session: inout Session) -> Telling {
        guard !stages.isEmpty, writer.queuedBytes <= Self.queuedBytesMax else { return .all }
        let (steps, next, isAll) = hub.stages.steps(from: session.step, countMax: Self.stepsMax)
        var left = steps.count
        var bytes: [UInt8] = []
        for step in steps where bytes.count < Self.offerBytesMax {
            left -= 1
            // Steps of a source that is shown no more may still be there.
            guard stages.contains(step.stage), let log = session.logs[step.topicPartition.topic], takes(step) else {
                continue
            }
            bytes += StreamNotice.step(step, source: log.source.name).frame
        }
        session.step = next - left
        guard bytes.isEmpty || writer.offer(bytes) else { return .over }
        return isAll && left == 0 ? .all : .some
    }
}
