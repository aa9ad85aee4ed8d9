/// The stage of the pipeline that holds events up most, as `GET /pipeline/status` names it.
package struct PipelineDelay: Sendable, Equatable {
    /// Why it is that one.
    package enum Kind: String, Sendable, CaseIterable {
        /// The index is behind, and most events wait for this stage.
        case waiting
        /// The same, and this stage has taken none of them for some seconds: it may not run at all.
        case standing
        /// Nothing new arrives.
        case source
        /// Nothing waits to speak of, and events spend most of their time in front of this stage.
        case slowest
    }

    /// The stage.
    package var stage: PipelineStage.Name
    /// Why.
    package var kind: Kind
    /// Events that wait for it; nil where that is not known.
    package var events: Int64?
    /// The 95th percentile of the time that events spent between the stage before and this one; nil where nothing passed.
    package var milliseconds: Double?

    /// - Parameters:
    ///   - stages: in their order.
    ///   - freshness: of the index.
    /// - Returns: nil where nothing passed, or nobody knows.
    package init?(stages: [PipelineStage], freshness: Freshness) {
        guard freshness.state != .unknown, let first = stages.first, let last = stages.last, stages.count > 1 else {
            return nil
        }
        if freshness.state != .fresh {
            guard freshness.eventsBehind ?? 0 > 0 else {
                self.init(stage: first.name, kind: .source)
                return
            }
            // What the last one lacks is the sum of what waits for the others.
            let fullest = stages.dropLast().max { ($0.lag ?? 0) < ($1.lag ?? 0) }
            let stage = fullest.flatMap { $0.lag ?? 0 > 0 ? $0 : nil } ?? last
            self.init(
                stage: stage.name, kind: stage.ratePerSecond == 0 ? .standing : .waiting, events: stage.lag,
                milliseconds: stage.dwell?.p95)
            return
        }
        let timed = stages.compactMap { stage in stage.dwell.map { (stage, $0.p95) } }
        guard let slowest = timed.max(by: { $0.1 < $1.1 }) else { return nil }
        self.init(
            stage: slowest.0.name, kind: .slowest, events: slowest.0.lag, milliseconds: slowest.1)
    }

    private init(stage: PipelineStage.Name, kind: Kind, events: Int64? = nil, milliseconds: Double? = nil) {
        self.stage = stage
        self.kind = kind
        self.events = events
        self.milliseconds = milliseconds
    }
}
