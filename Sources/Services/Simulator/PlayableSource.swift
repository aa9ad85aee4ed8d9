import Bytes

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
}

/// Invented events as a source.
package struct GeneratedSource: PlayableSource {
    private let generator: EventGenerator

    package init(generator: EventGenerator) {
        self.generator = generator
    }

    package var summary: String { "generated events, seed \(generator.seed)" }
    package var count: Int? { nil }
    package var tail: [UInt8] { [] }
    package func due(_ index: Int) -> Int64 { Int64(Double(index) * 1_000 / generator.eventsPerSecond) }
    package func timestamp(_ index: Int) -> Int64 { generator.time(of: index) }
    package func dataCentre(_ index: Int) -> Int { generator.dataCentre(of: index) }
    package func appendPayload(_ index: Int, to bytes: inout [UInt8]) { generator.append(index, to: &bytes) }
    package func firstIndex(atOrAfter timestamp: Int64) -> Int {
        max(0, Int(Double(timestamp - generator.startMilliseconds) * generator.eventsPerSecond / 1_000))
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
