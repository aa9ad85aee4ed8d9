import Console
import Logic
import Quarantine
import Records
import Store

/// Which quarantined records a command line means.
struct DlqSelection: Sendable {
    static let options: [ArgumentTable.Option] = [
        .init(name: "--rule", value: "RULE", help: "Only records that broke this rule; `dlq rules` lists them."),
        .init(name: "--topic", value: "TOPIC", help: "Only of this topic (one --offset: KAFKA_TOPIC unless given)."),
        .init(name: "--partition", value: "N", help: "Only of this topic partition (one --offset: 0 unless given)."),
        .init(name: "--offset", value: "N", help: "Only the record of this offset."),
        .init(name: "--from", value: "OFFSET", help: "Only from this offset on."),
        .init(name: "--to", value: "OFFSET", help: "Only offsets before this one."),
        .init(name: "--since", value: "TIME", help: "Only from this broker time on (RFC 3339)."),
        .init(name: "--until", value: "TIME", help: "Only before this broker time."),
        .init(name: "--state", value: "STATE", help: "Only open, pending, redriven or discarded records."),
        .init(
            name: "--generation", value: "N",
            help: "Whose quarantine; the active generation's unless given (--index: all but pruned ones)."),
    ]

    let query: QuarantineQuery
    let generation: Int64?
    /// The same choice among the documents that the index lacks, whose times are those of their refusal.
    var indexQuery: RefusedDocumentQuery {
        var result = RefusedDocumentQuery()
        result.generation = generation
        result.topic = query.topic
        result.partition = query.partition
        result.offsets = query.offsets
        result.since = query.since
        result.until = query.until
        return result
    }

    /// Whether one offset is named.
    let isSingle: Bool
    /// Whether nothing but perhaps topic and topic partition restricts it.
    let isEmpty: Bool

    init(_ arguments: ParsedArguments) throws {
        var query = QuarantineQuery()
        if let name = arguments.value("--rule") {
            guard let rule = Rule(rawValue: name), rule.severity == .reject else {
                throw UsageError("--rule \(name): no rule that rejects; medallion dlq rules lists them")
            }
            query.rule = rule.rawValue
        }
        query.topic = arguments.value("--topic")
        query.partition = try arguments.integer("--partition", in: 0...Int(Int32.max)).map(Int32.init)
        let offset = try arguments.integer("--offset", in: 0...Int.max - 1).map(Int64.init)
        let from = try arguments.integer("--from", in: 0...Int.max).map(Int64.init)
        let to = try arguments.integer("--to", in: 0...Int.max).map(Int64.init)
        if let offset {
            guard from == nil, to == nil else { throw UsageError("--offset goes without --from and --to") }
            query.offsets = OffsetRange(start: offset, end: offset + 1)
        } else if from != nil || to != nil {
            guard let range = OffsetRange(start: from ?? 0, end: to ?? .max) else {
                throw UsageError("--to is smaller than --from")
            }
            query.offsets = range
        }
        query.since = try arguments.time("--since")
        query.until = try arguments.time("--until")
        if let name = arguments.value("--state") {
            guard let state = QuarantineState(rawValue: name) else {
                throw UsageError("--state is open, pending, redriven or discarded")
            }
            query.states = [state]
        }
        generation = try arguments.integer("--generation", in: 1...Int.max).map(Int64.init)
        isSingle = offset != nil
        isEmpty = query.rule == nil && query.offsets == nil && query.since == nil && query.until == nil
        self.query = query
    }
}
