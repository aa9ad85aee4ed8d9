import Bytes
import Synchronization

/// A numbered stream of events that any client may read from any index on.
package protocol PlayableSource: Sendable {
    /// What is played, for the first lines of a log.
    var summary: String { get }
    /// The number of events; nil where there is no end.
    var count: Int? { get }
    /// Bytes that follow the last event: the beginning of a frame that the recording cut off.
    var tail: [UInt8] { get }
    /// When the event was first sent, in milliseconds after the first event; never falls with the index.
    func due(_ index: Int) -> Int64
    /// `meta.dt` or the like, in milliseconds since 1970; what the SSE id carries.
    func timestamp(_ index: Int) -> Int64
    /// 0 for eqiad, 1 for codfw.
    func dataCentre(_ index: Int) -> Int
    /// The index at which a client resumes that only knows a time (milliseconds since 1970).
    func firstIndex(atOrAfter timestamp: Int64) -> Int
    /// Appends the event's bytes.
    func appendPayload(_ index: Int, to bytes: inout [UInt8])
    /// Called once, when the first client is about to get the event `index`.
    func begin(at index: Int)
}

extension PlayableSource {
    package func begin(at index: Int) {}
}

/// Invented events as a source. Their times follow the clock from the first client on, wherever that one resumes.
package final class GeneratedSource: PlayableSource {
    private let generator: Mutex<EventGenerator>
    private let seed: UInt64

    package init(generator: EventGenerator) {
        seed = generator.seed
        self.generator = Mutex(generator)
    }

    private var current: EventGenerator { generator.withLock { $0 } }

    package var summary: String { "generated events, seed \(seed)" }
    package var count: Int? { nil }
    package var tail: [UInt8] { [] }
    package func due(_ index: Int) -> Int64 { Int64(Double(index) * 1_000 / current.eventsPerSecond) }
    package func timestamp(_ index: Int) -> Int64 { current.time(of: index) }
    package func dataCentre(_ index: Int) -> Int { current.dataCentre(of: index) }
    package func appendPayload(_ index: Int, to bytes: inout [UInt8]) { current.append(index, to: &bytes) }

    package func firstIndex(atOrAfter timestamp: Int64) -> Int {
        let generator = current
        return max(0, Int(Double(timestamp - generator.startMilliseconds) * generator.eventsPerSecond / 1_000))
    }

    package func begin(at index: Int) {
        let start = SystemClock.epochMilliseconds() - due(index)
        generator.withLock { generator in
            generator = EventGenerator(
                seed: generator.seed, startMilliseconds: start, eventsPerSecond: generator.eventsPerSecond,
                stream: generator.stream)
        }
    }
}

/// How fast events are sent.
package enum Pace: Sendable, Equatable {
    /// As in the recording, so many times faster.
    case original(multiplier: Double)
    /// Events a second.
    case fixed(Double)
    /// As fast as the client reads.
    case unlimited

    /// When an event is to be sent, in milliseconds after the event 0.
    func due(_ index: Int, of source: some PlayableSource) -> Int64 {
        switch self {
        case .original(let multiplier): Int64(Double(source.due(index)) / max(multiplier, 0.001))
        case .fixed(let rate): Int64(Double(index) * 1_000 / max(rate, 0.001))
        case .unlimited: 0
        }
    }
}

/// Why the simulator or the recorder cannot work.
package struct SimulatorError: Error, CustomStringConvertible {
    /// What was tried.
    package let operation: String
    /// On which file or address.
    package let subject: String
    /// What went wrong.
    package let reason: String
    /// Whether trying again may help.
    package let isRetriable: Bool

    init(_ operation: String, _ subject: String, _ reason: String, isRetriable: Bool = false) {
        self.operation = operation
        self.subject = subject
        self.reason = reason
        self.isRetriable = isRetriable
    }

    package var description: String { "could not \(operation) \(subject): \(reason)" }
}
