import Bytes
import Console
import KafkaAccess
import Records
import Telemetry

/// `medallion sources log`: what was asked of sources, and what became of it, as the topic of requests has it.
struct SourceLog {
    /// Nil for all that anything was ever asked of, also those that are not declared any more.
    let source: String?
    let isJSON: Bool

    private static let patienceSeconds: Int64 = 15
    /// Of each source; older ones are left out.
    private static let requestsMax = 5_000

    /// - Throws: ``Failure``: 69 where the topic cannot be read.
    func show(_ context: Context) async throws {
        let answered: [AnsweredRequest]
        do {
            let board = try await SourceRequestReading(
                context: context, patienceSeconds: Self.patienceSeconds, historyMax: Self.requestsMax
            ).board()
            answered = (source.map { [$0] } ?? board.sources).flatMap { board.wishes(of: $0)?.history ?? [] }
        } catch let fault as SourceRequestReading.Fault {
            throw Failure(
                "the topic of requests to sources cannot be read: \(LogText.escaped(fault.words)): does `medallion up` or the broker "
                    + "run?", code: .dependencyUnavailable)
        }
        guard !answered.isEmpty || isJSON else {
            return Output.complain("nothing was asked of \(source.map(LogText.escaped) ?? "any source")\n")
        }
        // Those of several sources come one after the other; of equal times as the topic has them.
        let sorted = answered.enumerated().sorted {
            ($0.element.request.atMilliseconds, $0.offset) < ($1.element.request.atMilliseconds, $1.offset)
        }
        for (_, one) in sorted {
            if isJSON { Output.write(Self.json(one) + [0x0A]) } else { Output.line(LogText.escaped(Self.line(one))) }
        }
    }

    /// Such as `2026-01-01T00:00:00.000Z  products  pause  by ann: prices  taken at …`.
    static func line(_ one: AnsweredRequest) -> String {
        let request = one.request
        var action = request.action.word
        switch request.action {
        case .snapshot(let range) where !range.isWhole:
            action += " from \(range.from ?? "the first") to \(range.to ?? "the last")"
        case .giveUp(let id): action += id.map { " \($0)" } ?? " all"
        case .pause, .resume, .snapshot: break
        }
        var parts = [CivilTime.rfc3339(request.atMilliseconds), request.source, action, request.id]
        parts.append("by \(request.by.isEmpty ? "nobody named" : request.by)" + words(request.reason))
        guard let outcome = one.outcome else { return (parts + [one.word]).joined(separator: "  ") }
        parts.append("\(one.word) at \(CivilTime.rfc3339(outcome.atMilliseconds))" + words(outcome.reason))
        return parts.joined(separator: "  ")
    }

    private static func words(_ reason: String) -> String { reason.isEmpty ? "" : ": \(reason)" }

    /// The request as its record has it, and what became of it.
    static func json(_ one: AnsweredRequest) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("request")
        json.raw(one.request.json)
        json.string("outcome", one.word)
        json.key("outcome_reason")
        if let outcome = one.outcome { json.string(outcome.reason) } else { json.null() }
        json.key("outcome_at_ms")
        if let outcome = one.outcome { json.integer(outcome.atMilliseconds) } else { json.null() }
        json.endObject()
        return json.bytes
    }
}
