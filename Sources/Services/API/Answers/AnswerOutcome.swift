import Bytes
import HTTPEndpoints
import HTTPServer
import Retrieval
import Telemetry

/// How an answer ended, as who asked for it saw it.
enum AnswerOutcome: String, CaseIterable {
    /// With sentences and what they cite.
    case answered
    /// The support was too weak.
    case refused
    /// With a status of 5xx.
    case failed
    /// With an error and the status 200: behind the head of a stream, or as the result of a tool.
    case broken
    /// The client left first.
    case abandoned

    init(_ made: MadeAnswer) { self = made.answer.isRefused ? .refused : .answered }

    /// - Returns: nil where the request was at fault, and no answer was begun.
    init?(_ error: any Error, hasLeft: Bool) {
        guard !hasLeft, !(error is CancellationError) else {
            self = .abandoned
            return
        }
        switch error {
        case let error as APIError where error.status < 500: return nil
        case let fault as HTTPFault where APIError(fault).status < 500: return nil
        case is IndexVersionGone, is ErasedAnswer: return nil
        default: self = .failed
        }
    }
}

/// What is known of answers as a whole. The head of a stream goes out before a model has said a word, so the time of a
/// request says little of them.
struct AnswerMetrics: Sendable {
    private let seconds: Histogram
    private let outcomes: [AnswerOutcome: Counter]

    init(_ registry: MetricsRegistry) {
        seconds = registry.histogram(
            "medallion_api_answer_seconds",
            help:
                "Time from a request for an answer to its last word, given whole or streamed; not of those that failed or "
                + "were left."
        )
        // All from the start: of a series that begins with a fault no rate sees the first one.
        outcomes = Dictionary(
            uniqueKeysWithValues: AnswerOutcome.allCases.map { outcome in
                let counter = registry.counter(
                    "medallion_api_answers_total",
                    help:
                        "Answers by how they ended: answered, refused, failed (status 5xx), broken (an error in a stream "
                        + "that had begun, or as a tool's result), abandoned (the client left).",
                    labels: [("outcome", outcome.rawValue)])
                return (outcome, counter)
            })
    }

    /// Observes an answer at its end.
    ///
    /// - Parameters:
    ///   - writer: takes the answer; nil where that is no connection of its own.
    ///   - fault: what a failure is that `body` throws.
    ///   - body: gives the answer, its last word included, and says how it ended.
    func observe(
        _ writer: HTTPStreamWriter?, fault: AnswerOutcome = .failed, _ body: () async throws -> AnswerOutcome
    ) async throws {
        let start = SystemClock.monotonicNanoseconds()
        do {
            count(try await body(), since: start)
        } catch {
            let hasLeft = Task.isCancelled || writer?.isClosed == true
            if let outcome = AnswerOutcome(error, hasLeft: hasLeft) {
                count(outcome == .failed ? fault : outcome, since: start)
            }
            throw error
        }
    }

    private func count(_ outcome: AnswerOutcome, since start: Int64) {
        // An error in a millisecond is no fast answer.
        if outcome == .answered || outcome == .refused {
            seconds.observe(Double(SystemClock.monotonicNanoseconds() - start) / 1e9)
        }
        outcomes[outcome]?.increment()
    }
}
