import Bytes
import Console
import Telemetry

/// Many documents at once: how fast they are drained, and when what comes behind them is found as quickly as before.
struct FreshnessBurst {
    /// An edit that was found: when it was written, seconds after the drain, and how many milliseconds it took.
    struct Probe: Sendable, Equatable {
        var second: Double
        var milliseconds: Double
    }

    /// What was seen of the drain.
    struct Drain: Sendable {
        var documents = 0.0
        var seconds = 0.0
        var documentsPerSecond: Double { documents / max(seconds, 1e-9) }
    }

    /// What a probe may take once freshness is back, in milliseconds.
    static let limitMilliseconds = 500.0
    /// Probes in a row that must be within the limit.
    static let inARow = 5
    /// How soon freshness is wanted back, in seconds.
    static let goalSeconds = 10.0
    /// Numbers of edits from here on belong to the burst's probes.
    static let firstEdit = 1_000_000

    private static let pollMilliseconds = 100

    /// Lets the documents go, and blocks until they are indexed.
    ///
    /// - Parameter documents: of different texts, about.
    static func drain(_ scene: SearchScene, documents: Int) throws -> Drain {
        let deployment = scene.deployment
        let before = try deployment.documentsIndexed()
        let wanted = before + Double(documents) * 0.9
        let deadline = SystemClock.monotonicNanoseconds() + Int64(120 + documents / 20) * 1_000_000_000
        let began = SystemClock.monotonicNanoseconds()
        scene.source.release(Int(Double(documents) / scene.documentShare))
        while true {
            guard SystemClock.monotonicNanoseconds() < deadline else {
                throw Failure("the platform does not drain \(documents) documents in time")
            }
            Pause.milliseconds(pollMilliseconds)
            let indexed = try deployment.documentsIndexed()
            if indexed >= wanted, try deployment.recordsWaiting() == 0 {
                return Drain(
                    documents: try deployment.documentsIndexed() - before,
                    seconds: Double(SystemClock.monotonicNanoseconds() - began) / 1e9)
            }
        }
    }

    /// The second of the first of ``inARow`` probes within the limit, in the order of writing; nil where there are not so many.
    static func recovery(_ probes: [Probe]) -> Double? {
        let ordered = probes.sorted { $0.second < $1.second }
        guard ordered.count >= inARow else { return nil }
        return (0...ordered.count - inARow).first { start in
            ordered[start..<start + inARow].allSatisfy { $0.milliseconds <= limitMilliseconds }
        }.map { max(0, ordered[$0].second) }
    }
}
