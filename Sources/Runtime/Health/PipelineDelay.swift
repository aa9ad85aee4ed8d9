/// The stage of the pipeline that holds events up most, as `GET /pipeline/status` names it.
package struct PipelineDelay: Sendable, Equatable {
    /// Why it is that one.
    package enum Kind: String, Sendable, CaseIterable {
        /// The index is behind, and most events wait for this stage.
        case waiting
        /// Nothing new arrives.
        case source
        /// Nothing waits to speak of, and this stage's work takes longest.
        case slowest
    }

    /// The stage's name.
    package var stage: String
    /// Why.
    package var kind: Kind
    /// Events that wait for it; nil where that is not known.
    package var events: Int64?
    /// The 95th percentile of its work over the last seconds, in seconds; nil where nothing passed.
    package var seconds: Double?

    /// - Parameters:
    ///   - stages: in their order; the last one's figures are of the whole way.
    ///   - freshness: of the index.
    /// - Returns: nil where nothing passed, or nobody knows.
    package init?(stages: [PipelineStage], freshness: Freshness) {
        guard freshness.state != .unknown, let first = stages.first, let last = stages.last, stages.count > 1 else {
            return nil
        }
        let steps = stages.dropLast()
        func seconds(_ stage: PipelineStage) -> Double? { stage.latency?.quantile(0.95) }
        if freshness.state != .fresh {
            guard freshness.eventsBehind ?? 0 > 0 else {
                self.init(stage: first.name, kind: .source)
                return
            }
            let fullest = steps.max { ($0.lag ?? 0) < ($1.lag ?? 0) }
            // The counts of the steps may be of other moments than the sum.
            let stage = fullest.flatMap { $0.lag ?? 0 > 0 ? $0 : nil } ?? last
            self.init(stage: stage.name, kind: .waiting, events: stage.lag, seconds: seconds(stage))
            return
        }
        let timed = steps.compactMap { stage in seconds(stage).map { (stage, $0) } }
        guard let slowest = timed.max(by: { $0.1 < $1.1 }) else { return nil }
        self.init(stage: slowest.0.name, kind: .slowest, events: slowest.0.lag, seconds: slowest.1)
    }

    private init(stage: String, kind: Kind, events: Int64? = nil, seconds: Double? = nil) {
        self.stage = stage
        self.kind = kind
        self.events = events
        self.seconds = seconds
    }
}
