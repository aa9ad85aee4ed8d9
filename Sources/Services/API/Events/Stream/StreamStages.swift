import Bytes
package import Records
import Synchronization

/// A step of an event on its way to being found.
package enum StreamStage: String, Sendable, CaseIterable {
    /// The record is in the source's topic.
    case received
    /// The stream job committed its document to the lake and published it.
    case committed
    /// A search finds it, or, of one that takes a document away, finds that no more.
    case searchable
}

/// One event at one step.
package struct StageStep: Sendable {
    package var stage: StreamStage
    /// Nil where the record does not tell.
    package var docID: String?
    /// The source's topic partition and offset: the same at every step.
    package var topicPartition: TopicPartition
    package var offset: Int64
    /// When, milliseconds since 1970: the broker's time of the record or document, this process's for `searchable`.
    package var atMilliseconds: Int64
    /// Those that are known; the others are in ``event``, if anywhere.
    package var attributes: AttributeList
    /// The document, from `committed` on.
    package var event: TopicEvent?

    package init(
        _ stage: StreamStage, docID: String?, topicPartition: TopicPartition, offset: Int64, atMilliseconds: Int64,
        attributes: AttributeList = AttributeList()
    ) {
        self.stage = stage
        self.docID = docID
        self.topicPartition = topicPartition
        self.offset = offset
        self.atMilliseconds = atMilliseconds
        self.attributes = attributes
    }

    init(_ stage: StreamStage, of event: TopicEvent, atMilliseconds: Int64) {
        self.init(
            stage, docID: event.docID, topicPartition: event.topicPartition, offset: event.offset,
            atMilliseconds: atMilliseconds)
        self.event = event
    }
}

/// The last steps, for the clients that watch them. A view of now: a client that is too far behind misses some.
final class StreamStages: Sendable {
    private let state = Mutex(State())

    private struct State {
        var steps: [StageStep] = []
        /// The number of the first one.
        var firstNumber = 0
        var watchers: [StreamStage: Int] = [:]
        var isSourceOpen = false
        /// Up to where documents were seen, so that what is published again does not count again.
        var committed = OffsetVector()
    }

    /// Steps that are kept.
    private static let stepsMax = 4_096

    /// Whether a client asks for it.
    func isWatched(_ stage: StreamStage) -> Bool { state.withLock { $0.watchers[stage] ?? 0 > 0 } }

    /// Whether a reader follows the sources' topics now.
    var isSourceOpen: Bool {
        get { state.withLock { $0.isSourceOpen } }
        set { state.withLock { $0.isSourceOpen = newValue } }
    }

    /// - Returns: the number of the next step.
    func enter(_ stages: Set<StreamStage>) -> Int {
        state.withLock { state in
            for stage in stages { state.watchers[stage, default: 0] += 1 }
            return state.firstNumber + state.steps.count
        }
    }

    func leave(_ stages: Set<StreamStage>) {
        state.withLock { state in
            for stage in stages {
                let left = (state.watchers[stage] ?? 0) - 1
                state.watchers[stage] = left > 0 ? left : nil
            }
            if state.watchers.isEmpty {
                state.firstNumber += state.steps.count
                state.steps = []
            }
        }
    }

    func add(_ steps: [StageStep]) {
        state.withLock { state in
            state.steps += steps
            let surplus = state.steps.count - Self.stepsMax
            guard surplus > 0 else { return }
            // In large pieces, so that a step costs no moving of all.
            let dropped = min(state.steps.count, surplus + Self.stepsMax / 4)
            state.steps.removeFirst(dropped)
            state.firstNumber += dropped
        }
    }

    /// Documents that came from the Gold topics, some for a second time.
    func committed(_ items: [TopicItem], generation: Int64, nowMilliseconds: Int64) -> Bool {
        guard isWatched(.committed) else { return false }
        let steps = state.withLock { state in
            items.compactMap { item -> StageStep? in
                guard case .event(let event) = item, event.generation == generation,
                    event.offset >= state.committed[event.topicPartition]
                else { return nil }
                state.committed[event.topicPartition] = event.offset + 1
                return StageStep(
                    .committed, of: event, atMilliseconds: event.publishedAtMilliseconds ?? nowMilliseconds)
            }
        }
        if !steps.isEmpty { add(steps) }
        return !steps.isEmpty
    }

    /// The logs of these topics are other ones: their offsets say nothing about what was seen of those before.
    func beginAnew(_ topics: [String]) {
        state.withLock { state in state.committed = state.committed.filtered { !topics.contains($0.topic) } }
    }

    /// Some steps from `number` on, or from the first one that is still here, and the number behind them.
    ///
    /// - Returns: `isAll` says whether no more are there.
    func steps(from number: Int, countMax: Int) -> (steps: [StageStep], next: Int, isAll: Bool) {
        state.withLock { state in
            let end = state.firstNumber + state.steps.count
            guard number < end else { return ([], end, true) }
            let place = max(0, number - state.firstNumber)
            // A copy, so that adding further steps need not copy all of them.
            let steps = Array(state.steps[place...].prefix(countMax))
            let next = state.firstNumber + place + steps.count
            return (steps, next, next == end)
        }
    }
}
