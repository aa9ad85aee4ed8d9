import Bytes
import Synchronization

/// What one client gets and when; a pure state machine over a source, a pace and a clock that the caller reads.
struct ClientFeed: Sendable {
    /// What the caller does after a turn.
    enum Step: Equatable {
        /// Bytes were appended; send them and ask again.
        case send
        /// Nothing is due for so many milliseconds.
        case wait(Int64)
        /// The recording ends here.
        case end
    }

    private(set) var position: PlaybackPosition
    private let source: any PlayableSource
    private let pace: Pace
    private let names: PlaybackPosition.StreamNames
    /// When event 0 was due, in milliseconds of the caller's clock.
    private let origin: Int64
    /// The time of the last event of each data centre, where ids are times.
    private var times: [Int64?]?
    /// Whether there is a cut frame that the client has not got.
    private var owesTail: Bool
    /// Whether the client got the cut frame that ends the recording; the connection then breaks, as it did.
    private(set) var endsWithCutFrame = false

    /// Bytes of one turn, more or less one event.
    static let batchBytes = 256 * 1_024

    /// - Parameter givesTimes: whether ids hold times alone.
    init(
        source: any PlayableSource, pace: Pace, position: PlaybackPosition, origin: Int64, givesTimes: Bool = false,
        stream: SimulatedStream = .recentChange
    ) {
        names = PlaybackPosition.StreamNames(stream)
        times = givesTimes ? [nil, nil] : nil
        self.source = source
        self.pace = pace
        self.position = position
        self.origin = origin
        // A client that comes back after the end has seen the cut frame already.
        owesTail = !source.tail.isEmpty && position.next < source.count ?? Int.max
    }

    /// Appends what is due at `now`: injected events first, then those of the source.
    mutating func advance(now: Int64, injections: [[UInt8]], into bytes: inout [UInt8], scratch: inout [UInt8]) -> Step
    {
        let start = bytes.count
        for payload in injections {
            position.injected += 1
            appendFrame(
                payload[...], dataCentre: 0, timestamp: SystemClock.epochMilliseconds(), isInjected: true, to: &bytes)
        }
        while bytes.count - start < Self.batchBytes {
            if let count = source.count, position.next >= count {
                if owesTail {
                    owesTail = false
                    endsWithCutFrame = true
                    bytes.append(contentsOf: source.tail)
                    return .send
                }
                return bytes.count > start ? .send : .end
            }
            let wait = origin + due(position.next) - now
            if wait > 0 { return bytes.count > start ? .send : .wait(wait) }
            scratch.removeAll(keepingCapacity: true)
            source.appendPayload(position.next, to: &scratch)
            let index = position.next
            position.next += 1
            appendFrame(
                scratch[...], dataCentre: source.dataCentre(index), timestamp: source.timestamp(index), to: &bytes)
        }
        return .send
    }

    /// Leaves out injected events that are gone from the log.
    mutating func skipInjections(to number: Int) {
        position.injected = max(position.injected, number)
    }

    private func due(_ index: Int) -> Int64 { pace.due(index, of: source) }

    private mutating func appendFrame(
        _ payload: ArraySlice<UInt8>, dataCentre: Int, timestamp: Int64, isInjected: Bool = false,
        to bytes: inout [UInt8]
    ) {
        if !isInjected { times?[dataCentre] = timestamp }
        let times = times
        SSEFrames.append(
            id: { bytes in
                if let times {
                    position.appendID(times: times, of: names, to: &bytes)
                } else {
                    position.appendID(dataCentre: dataCentre, timestamp: timestamp, of: names, to: &bytes)
                }
            },
            payload: payload, to: &bytes)
    }
}

/// Events that were put into the live stream, numbered; the last ``limit`` of them can still be sent.
final class InjectionLog: Sendable {
    static let limit = 4_096
    private let state = Mutex(State())

    private struct State {
        var first = 0
        var payloads: [[UInt8]] = []
        /// When each was first written to a client, milliseconds since 1970.
        var writtenAt: [Int64?] = []
    }

    var count: Int { state.withLock { $0.first + $0.payloads.count } }

    /// Adds an event and returns its number.
    func add(_ payload: [UInt8]) -> Int {
        state.withLock { state in
            state.payloads.append(payload)
            state.writtenAt.append(nil)
            if state.payloads.count > Self.limit {
                state.payloads.removeFirst()
                state.writtenAt.removeFirst()
                state.first += 1
            }
            return state.first + state.payloads.count - 1
        }
    }

    /// The events from `number` on, and the number of the first of them (later ones where those are gone).
    func events(from number: Int) -> (first: Int, payloads: [[UInt8]]) {
        state.withLock { state in
            let skip = max(0, number - state.first)
            guard skip < state.payloads.count else { return (number, []) }
            return (state.first + skip, Array(state.payloads[skip...]))
        }
    }

    /// Notes that a client's connection has taken the events up to `end`.
    func noteWritten(from start: Int, to end: Int, at time: Int64) {
        state.withLock { state in
            for number in max(start, state.first)..<max(end, start, state.first)
            where number < state.first + state.payloads.count {
                if state.writtenAt[number - state.first] == nil { state.writtenAt[number - state.first] = time }
            }
        }
    }

    func writtenAt(_ number: Int) -> Int64? {
        state.withLock { state in
            guard number >= state.first, number - state.first < state.writtenAt.count else { return nil }
            return state.writtenAt[number - state.first]
        }
    }
}
