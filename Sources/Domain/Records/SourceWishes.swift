/// A request to a source, with what is known to have become of it.
package struct AnsweredRequest: Sendable, Equatable {
    package var request: SourceRequest
    /// Nil as long as it is only asked.
    package var outcome: SourceOutcome?
    /// Whether outcomes were told by then. Where they were not, that none is there says nothing.
    package var hasTellers = true

    package init(_ request: SourceRequest, outcome: SourceOutcome? = nil) {
        self.request = request
        self.outcome = outcome
    }

    /// Whether it is known that nobody has heeded it so far.
    fileprivate var isUnheeded: Bool { hasTellers && outcome == nil }

    /// `asked`, or the outcome's state.
    package var word: String { outcome?.state.rawValue ?? Self.asked }

    /// As long as nobody has told an outcome.
    package static let asked = "asked"
    /// What ``word`` may be.
    package static let words = [asked] + SourceOutcome.State.allCases.map(\.rawValue)
}

/// What is asked of one source, by all requests so far in their order, and what became of the last of them.
package struct SourceWishes: Sendable, Equatable {
    /// The request by which it stands still; nil where it runs.
    package private(set) var pause: SourceRequest?
    /// Whether it was ever resumed: then a pause that is not there was lifted, and not lost.
    package private(set) var wasResumed = false
    /// The last requests for snapshots that nobody has told the end of, the oldest first. Its connector knows more of them.
    package private(set) var snapshots: [SourceRequest] = []
    /// Ids of the last snapshots that are not wanted any more.
    package private(set) var givenUp: [String] = []
    /// The last requests of all kinds, the oldest first.
    package private(set) var history: [AnsweredRequest] = []
    /// Ids of those of ``snapshots`` that are being read, as their connector told.
    private var begun: [String] = []
    private let historyMax: Int
    /// Ids of the last requests, the oldest first: as many in each process, however many requests it remembers.
    private var taken: [String] = []
    /// Whether anybody has told an outcome; a topic of a former version holds none.
    private var hasOutcomes = false

    /// So many snapshots wait at most.
    package static let snapshotsMax = 16
    /// More than can be given up before a connector that reads one of them looks.
    private static let givenUpMax = 4 * snapshotsMax
    /// So many requests are remembered, unless somebody wants more.
    package static let historyMaxUsual = 50
    /// Among so many requests one of the same id is the same. All processes that read them have to agree on that.
    private static let repeatsMax = 50

    /// - Parameter historyMax: so many requests are remembered.
    package init(historyMax: Int = SourceWishes.historyMaxUsual) { self.historyMax = historyMax }

    /// Whether a request has been taken in; of those that lie further back that is not known any more.
    package func hasTaken(_ request: SourceRequest) -> Bool { taken.contains(request.id) }

    /// What is remembered of a request; nil for one that lies further back, or that nobody has made.
    package func answer(to id: String) -> AnsweredRequest? { history.last { $0.request.id == id } }

    /// The request that holds while nothing else is asked: the pause, and the last resuming where there is none.
    package var holding: AnsweredRequest? {
        if let pause { return answer(to: pause.id) }
        return history.last { $0.request.action == .resume }
    }

    /// Takes in the next record. What is about another source is passed over by who calls.
    package mutating func take(_ entry: SourceRequestEntry) {
        switch entry {
        case .request(let request): take(request)
        case .outcome(let outcome): take(outcome)
        }
    }

    /// Takes the next request in. One that comes again, as from a client that did not see the reply, is the same one.
    package mutating func take(_ request: SourceRequest) {
        guard !hasTaken(request), !snapshots.contains(where: { $0.id == request.id }) else { return }
        taken.append(request.id)
        if taken.count > Self.repeatsMax { taken.removeFirst() }
        var asked = AnsweredRequest(request)
        asked.hasTellers = hasOutcomes
        history.append(asked)
        if history.count > historyMax { history.removeFirst() }
        switch request.action {
        case .pause:
            // Who paused it first, and why, stays.
            if let pause { return note(request, .taken, "it was paused already, by \(pause.id)", at: request) }
            pause = request
            if let last = history.last(where: { $0.request.action == .resume }), last.isUnheeded {
                note(last.request, .givenUp, "it was paused again before anybody told that it ran", at: request)
            }
        case .resume:
            if let pause {
                if answer(to: pause.id)?.isUnheeded == true {
                    note(pause, .givenUp, "it was resumed before anybody told that it stood still", at: request)
                }
            } else {
                note(request, .taken, "the topic knew of no pause", at: request)
            }
            (pause, wasResumed) = (nil, true)
        case .snapshot:
            snapshots.append(request)
            guard snapshots.count > Self.snapshotsMax else { return }
            // What is being read is no wish that waits, and would be read on whatever is said of it.
            let index = snapshots.firstIndex { !begun.contains($0.id) } ?? 0
            let dropped = snapshots.remove(at: index)
            guard answer(to: dropped.id)?.hasTellers == true else { return }
            // Its connector may have begun it without a word so far.
            forget([dropped.id])
            note(dropped, .givenUp, "more than \(Self.snapshotsMax) waited", at: request)
        case .giveUp(let id):
            let ids = id.map { [$0] } ?? snapshots.map(\.id)
            let dropped = snapshots.filter { ids.contains($0.id) }
            for one in dropped { note(one, .givenUp, request.reason, at: request) }
            snapshots.removeAll { ids.contains($0.id) }
            forget(ids)
            note(request, .taken, dropped.isEmpty ? "no such snapshot waits" : "", at: request)
        }
    }

    /// Takes in what became of a request. An end stays, but for a snapshot that was given up and had come to its own end by then.
    package mutating func take(_ outcome: SourceOutcome) {
        hasOutcomes = true
        become(outcome)
    }

    private mutating func become(_ outcome: SourceOutcome) {
        switch outcome.state {
        case .taken:
            if snapshots.contains(where: { $0.id == outcome.request }), !begun.contains(outcome.request) {
                begun.append(outcome.request)
            }
        case .complete, .refused:
            snapshots.removeAll { $0.id == outcome.request }
            begun.removeAll { $0 == outcome.request }
        case .givenUp: break
        }
        guard let index = history.lastIndex(where: { $0.request.id == outcome.request }) else { return }
        let isNews =
            switch history[index].outcome?.state {
            case nil: true
            case .taken: outcome.state.isEnd
            case .givenUp: outcome.state == .complete || outcome.state == .refused
            case .complete, .refused: false
            }
        if isNews { history[index].outcome = outcome }
    }

    /// These snapshots are not wanted any more, even if a connector is reading one.
    private mutating func forget(_ ids: [String]) {
        begun.removeAll { ids.contains($0) }
        givenUp = Array((givenUp + ids).suffix(Self.givenUpMax))
    }

    /// What follows from the requests alone, so that each process that reads them comes to the same.
    private mutating func note(
        _ request: SourceRequest, _ state: SourceOutcome.State, _ reason: String, at cause: SourceRequest
    ) {
        become(
            SourceOutcome(
                request: request.id, source: request.source, state: state, reason: reason,
                atMilliseconds: cause.atMilliseconds))
    }
}
