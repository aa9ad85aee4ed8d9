import Bytes
import HTTPEndpoints
import HTTPServer
package import ServiceLifecycle
import Synchronization
package import Telemetry

/// Follows the Gold topic and gives every event, once it is searchable, to all clients of `GET /stream`.
///
/// One reader and one rendering serve all clients. Each client has a bounded queue; one that is too slow is cut, the
/// others feel nothing. A client that comes back is served what it missed from memory, or from the topic where that
/// does not reach back far enough. Drained means: nothing is read any more.
package final class EventHub: Sendable {
    private let topic: any EventTopic
    private let indexed: @Sendable () throws -> IndexedUpTo
    private let logger: Logger
    private let lane = Lane(name: "stream-read")
    private let catchUps: LanePool<any EventTopic>
    private let state = Mutex(State())
    private let events: Counter
    private let cuts: Counter

    private struct State {
        var recent: RecentEvents?
        var subscribers: [Int: Subscriber] = [:]
        /// Clients that were sent back to catch up, since so much came at once, and from where.
        var sentBack: [Int: OffsetVector] = [:]
        var lastNumber = 0
        var isEnded = false
    }

    private struct Subscriber {
        let filter: EventFilter
        let writer: HTTPStreamWriter
        /// What the client has seen, while that is more than this hub has given out somewhere (it may come from another
        /// process); nil once it is not.
        var seen: OffsetVector?
    }

    /// Between two looks at how far the index is.
    private static let lookMilliseconds = 50
    /// Documents that may wait for the index, before reading pauses.
    private static let waitingMax = 20_000
    /// Between two looks whether a client was let go.
    private static let clientLookMilliseconds = 500
    private static let looksPerHeartbeat = 30
    /// Documents of one page of a catch-up.
    static let pageMax = 1_000
    /// Bytes that are offered to a client at once: much less than what cuts one that is slow.
    private static let offerBytesMax = 64 * 1_024
    /// Documents that a client is given at a time while it catches up from memory.
    private static let missedMax = 200

    /// - Parameter indexed: asks the index; called on lanes, may block for a moment.
    package init(
        topic: any EventTopic, indexed: @escaping @Sendable () throws -> IndexedUpTo, metrics: MetricsRegistry,
        logger: Logger
    ) {
        self.topic = topic
        self.indexed = indexed
        self.logger = logger
        catchUps = LanePool(name: "stream-catch-up", count: 2, waitersMax: 256) { topic }
        events = metrics.counter(
            "medallion_api_stream_events_total", help: "Events that became searchable and went to the stream.")
        cuts = metrics.counter(
            "medallion_api_stream_cut_total", help: "Clients of the stream that were cut because they read too slowly.")
        metrics.gauge("medallion_api_stream_clients", help: "Clients that read the stream now.") { [weak self] in
            Double(self?.state.withLock { $0.subscribers.count } ?? 0)
        }
    }

    /// Follows the topic until stopped; a failure is tried again.
    package func run(stop: StopSignal) async {
        var backoff = Backoff(baseMilliseconds: 200, capMilliseconds: 5_000)
        while !stop.isRequested {
            do {
                try await lane.run { [self] in try follow(stop: stop) }
            } catch is CancellationError where stop.isRequested {
                break
            } catch {
                let wait = backoff.next()
                logger.warning("the event stream is interrupted", ["error": "\(error)", "wait_ms": "\(wait)"])
                if await stop.pause(milliseconds: wait) { break }
            }
        }
        // Whoever serves a client looks whether it is still in the list.
        state.withLock { state in
            state.isEnded = true
            state.subscribers = [:]
            state.sentBack = [:]
        }
    }

    /// On the lane: reads and gives out until the stop or a failure.
    private func follow(stop: StopSignal) throws {
        // After a failure it goes on where it was; what is read twice is dropped by the order.
        let known = state.withLock { $0.recent?.end }
        var last = try indexed()
        let start = known ?? last.offsets
        var order = EventOrder(from: start)
        if known == nil { state.withLock { $0.recent = RecentEvents(from: start) } }
        let reader = try topic.open(from: start, isStopped: { stop.isRequested })
        var lookedAt = SystemClock.monotonicNanoseconds()
        while !stop.isRequested {
            if order.waitingCount < Self.waitingMax {
                order.add(try reader.next(countMax: 1_000, timeoutMilliseconds: Self.lookMilliseconds))
            } else {
                Pause.milliseconds(Self.lookMilliseconds)
            }
            let now = SystemClock.monotonicNanoseconds()
            if order.waitingCount > 0, now - lookedAt > Int64(Self.lookMilliseconds) * 1_000_000 / 2 {
                last = try indexed()
                lookedAt = now
            }
            let released = order.release(upTo: last)
            if !released.isEmpty { give(released) }
        }
    }

    private func give(_ released: [(event: TopicEvent, id: OffsetVector)]) {
        events.increment(by: released.count)
        let (subscribers, before) = state.withLock { state in
            let before = state.recent?.end ?? OffsetVector()
            for (event, id) in released { state.recent?.append(event, end: id) }
            return (state.subscribers, before)
        }
        // Rendered once for all clients, and not at all when there is none.
        let frames =
            subscribers.isEmpty
            ? [] : released.map { EventFrame.bytes(event: "event", data: $0.event.line, id: $0.id.text) }
        let all = Array(frames.joined())
        for (number, subscriber) in subscribers {
            let bytes: [UInt8]
            if let seen = subscriber.seen {
                bytes = ownFrames(released, ahead: seen, subscriber, number)
            } else if subscriber.filter.takesAll {
                bytes = all
            } else {
                bytes = zip(released, frames).flatMap { subscriber.filter.takes($0.event) ? $1 : [] }
            }
            guard !bytes.isEmpty else { continue }
            if bytes.count > Self.offerBytesMax {
                sendBack(number, to: subscriber.seen ?? before)
                continue
            }
            guard !subscriber.writer.offer(bytes) else { continue }
            cuts.increment()
            remove(number)
        }
    }

    /// For a client that is ahead: without what it has, and with a vector of its own that never goes back.
    private func ownFrames(
        _ released: [(event: TopicEvent, id: OffsetVector)], ahead seen: OffsetVector, _ subscriber: Subscriber,
        _ number: Int
    ) -> [UInt8] {
        var id = seen
        var bytes: [UInt8] = []
        for entry in released where entry.event.offset >= id[entry.event.partition] {
            id.raise(to: entry.id)
            guard subscriber.filter.takes(entry.event) else { continue }
            bytes += EventFrame.bytes(event: "event", data: entry.event.line, id: id.text)
        }
        let isCaughtUp = released.last.map { $0.id.covers(id) } ?? false
        state.withLock { $0.subscribers[number]?.seen = isCaughtUp ? nil : id }
        return bytes
    }

    private func remove(_ number: Int) {
        state.withLock { state in
            state.subscribers[number] = nil
            state.sentBack[number] = nil
        }
    }

    /// More came at once than a client's queue takes, after a pause of the index for example: the client is not slow, and
    /// takes it at its own pace.
    private func sendBack(_ number: Int, to position: OffsetVector) {
        state.withLock { state in
            guard state.subscribers.removeValue(forKey: number) != nil else { return }
            state.sentBack[number] = position
        }
    }

    // MARK: Clients

    /// Serves one client until it leaves, is cut, or the task is cancelled.
    ///
    /// - Parameters:
    ///   - seen: where the client goes on; nil for events from now on.
    ///   - isWelcome: asked now and then; a client that is not any more is cut.
    func serve(
        _ filter: EventFilter, after seen: OffsetVector?, to writer: HTTPStreamWriter,
        isWelcome: @Sendable () -> Bool
    ) async throws {
        var position = seen
        var isStarted = false
        while true {
            try Task.checkCancellation()
            guard !writer.isClosed, isWelcome() else { return }
            switch attach(filter, after: position, writer, isStarted: isStarted) {
            case .attached(let number):
                defer { remove(number) }
                isStarted = true
                var looks = 0
                while state.withLock({ $0.subscribers[number] != nil }), !writer.isClosed, isWelcome() {
                    if looks.isMultiple(of: Self.looksPerHeartbeat) { writer.offer(EventFrame.heartbeat) }
                    looks += 1
                    try await Task.sleep(for: .milliseconds(Self.clientLookMilliseconds))
                }
                guard let back = state.withLock({ $0.sentBack[number] }) else { return }
                position = back
            case .missed(let events):
                if !isStarted { writer.start(headers: EventFrame.headers) }
                isStarted = true
                position = try await write(events, from: position ?? OffsetVector(), filter, writer)
            case .notReady:
                // The end came while a client was catching up: it goes on elsewhere.
                if isStarted { return }
                throw APIError.unavailable("the stream", "the Gold topic or the index cannot be read yet")
            case .behind(let limit):
                let from = position ?? limit
                let (page, next) = try await page(from: from, to: limit)
                if !isStarted { writer.start(headers: EventFrame.headers) }
                isStarted = true
                _ = try await write(page, from: from, filter, writer)
                position = next
            }
        }
    }

    /// Writes events at the client's pace.
    ///
    /// - Returns: where the client is then.
    private func write(
        _ events: [TopicEvent], from position: OffsetVector, _ filter: EventFilter, _ writer: HTTPStreamWriter
    ) async throws -> OffsetVector {
        var id = position
        for event in events {
            id[event.partition] = max(id[event.partition], event.offset + 1)
            guard filter.takes(event) else { continue }
            try await writer.write(EventFrame.bytes(event: "event", data: event.line, id: id.text))
        }
        return id
    }

    private enum Attachment {
        case attached(Int)
        /// What the client has missed begins before what is kept, which begins there.
        case behind(OffsetVector)
        /// The first of what the client has missed, which is too much to be offered at once.
        case missed([TopicEvent])
        case notReady
    }

    /// Gives the client what it missed and adds it to the ones that are served, in one step.
    private func attach(
        _ filter: EventFilter, after seen: OffsetVector?, _ writer: HTTPStreamWriter, isStarted: Bool
    ) -> Attachment {
        state.withLock { state in
            guard let recent = state.recent, !state.isEnded else { return .notReady }
            var missed: [UInt8] = []
            var ahead: OffsetVector?
            if var id = seen?.limited(by: recent.end) {
                guard let events = recent.since(id) else { return .behind(recent.start) }
                let bytes = events.prefix(Self.missedMax).reduce(0) { $0 + $1.line.count }
                if events.count > Self.missedMax || bytes > Self.offerBytesMax / 2 {
                    return .missed(Array(events.prefix(Self.missedMax)))
                }
                for event in events {
                    id[event.partition] = event.offset + 1
                    guard filter.takes(event) else { continue }
                    // The client may be ahead in another topic partition: its own vector, never one that goes back.
                    missed += EventFrame.bytes(event: "event", data: event.line, id: id.text)
                }
                if !recent.end.covers(id) { ahead = id }
            }
            if !isStarted { writer.start(headers: EventFrame.headers) }
            if !missed.isEmpty { writer.offer(missed) }
            state.lastNumber += 1
            state.subscribers[state.lastNumber] = Subscriber(filter: filter, writer: writer, seen: ahead)
            return .attached(state.lastNumber)
        }
    }

    /// Some events from the topic, from `start` up to `limit`, and where the next page starts.
    private func page(from start: OffsetVector, to limit: OffsetVector) async throws -> ([TopicEvent], OffsetVector) {
        let indexed = self.indexed
        let isEnded: @Sendable () -> Bool = { [weak self] in self?.state.withLock { $0.isEnded } ?? true }
        return try await catchUps.run(deadline: Deadline(milliseconds: 30_000)) { topic, timeout in
            let active = try indexed().generation
            let reader = try topic.open(from: start, isStopped: isEnded)
            let end = SystemClock.monotonicNanoseconds() + Int64(timeout) * 1_000_000
            var position = start
            var page: [TopicEvent] = []
            while page.count < Self.pageMax, SystemClock.monotonicNanoseconds() < end {
                for event in try reader.next(countMax: Self.pageMax, timeoutMilliseconds: 200)
                where event.offset >= position[event.partition] && event.offset < limit[event.partition] {
                    guard event.generation == active else {
                        // Not behind it: the active generation's document of the same record may follow.
                        position[event.partition] = event.offset
                        continue
                    }
                    position[event.partition] = event.offset + 1
                    page.append(event)
                }
                if reader.hasReachedEnd {
                    // All that the topic has below the limit was given.
                    position.raise(to: limit)
                    break
                }
            }
            return (page, position)
        }
    }
}
