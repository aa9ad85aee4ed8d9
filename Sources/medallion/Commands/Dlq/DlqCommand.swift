import Bytes
import Concurrency
import Console
import Files
import Lake
import Logic
import Quarantine
import Records
import Store

/// `medallion dlq`: what is in quarantine and why, and the ways out of it.
struct DlqCommand: Command {
    static let name = "dlq"
    static let summary = "Shows quarantined records, publishes them to their topic again, or gives them up."
    static let table = ArgumentTable(
        options: DlqSelection.options + [
            .init(
                name: "--index", value: nil,
                help: "ls, show: documents that the index lacks because it or the Gold topic refused them."),
            .init(name: "--summary", value: nil, help: "ls: only the counts and samples of each rule."),
            .init(name: "--limit", value: "N", help: "ls: at most so many records (default 100; 0: all)."),
            .init(name: "--raw", value: nil, help: "show: only the value (with --index the Gold line), byte for byte."),
            .init(
                name: "--value", value: "FILE",
                help: "redrive: publish this corrected value instead; `-` reads standard input."),
            .init(name: "--reason", value: "TEXT", help: "discard: why, for whoever looks later."),
            .init(name: "--all", value: nil, help: "redrive, discard: all that is open."),
            .init(name: "--force", value: nil, help: "redrive, discard: also what was redriven or discarded before."),
            .init(name: "--dry-run", value: nil, help: "redrive, discard: only tell what would be done."),
            .init(name: "--json", value: nil, help: "One JSON object per line."),
        ],
        positionals: [.init(name: "ACTION", isRequired: true, help: "ls, show, redrive, discard or rules.")])
    static let details = """
        A redriven record goes to its own topic partition with the header `redriven_from`; the stream job takes it in as
        any other, and its Silver and Gold lines name both records. With --value the corrected value goes in its place.

          medallion dlq ls --rule wrong_type --since 2026-11-21T06:00:00Z
          medallion dlq show --partition 0 --offset 1000 --raw | jq '.bot = false' -c > fixed.json
          medallion dlq redrive --partition 0 --offset 1000 --value fixed.json
          medallion dlq redrive --rule unknown_schema --dry-run
          medallion dlq discard --rule truncated_json --reason "cut by the proxy, INC-7"
          medallion dlq ls --index --json
        """

    private enum Action: String {
        case ls, show, redrive, discard, rules
    }

    static let valueBytesMax = 64 << 20

    private let action: Action
    private let selection: DlqSelection
    private let isIndex: Bool
    private let isSummary: Bool
    private let limit: Int
    private let isRaw: Bool
    private let valuePath: String?
    private let reason: String
    private let forces: Bool
    private let isDryRun: Bool
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        guard let action = Action(rawValue: arguments.word(0) ?? "") else {
            throw UsageError("ACTION is ls, show, redrive, discard or rules")
        }
        self.action = action
        selection = try DlqSelection(arguments)
        isIndex = arguments.has("--index")
        isSummary = arguments.has("--summary")
        limit = try arguments.integer("--limit", in: 0...Int.max) ?? 100
        isRaw = arguments.has("--raw")
        valuePath = arguments.value("--value")
        reason = arguments.value("--reason") ?? ""
        forces = arguments.has("--force")
        isDryRun = arguments.has("--dry-run")
        isJSON = arguments.has("--json")
        let changes = action == .redrive || action == .discard
        if action == .show && !selection.isSingle { throw UsageError("show needs --offset") }
        if changes && selection.isEmpty && !arguments.has("--all") {
            throw UsageError("say which records: --rule, --offset, --from and --to, --since and --until, or --all")
        }
        if !changes && (arguments.has("--all") || forces || isDryRun) {
            throw UsageError("--all, --force and --dry-run go with redrive and discard")
        }
        if valuePath != nil && (action != .redrive || !selection.isSingle) {
            throw UsageError("--value goes with redrive of one --offset")
        }
        if !reason.isEmpty && action != .discard { throw UsageError("--reason goes with discard") }
        if isRaw && action != .show { throw UsageError("--raw goes with show") }
        if isIndex && ((action != .ls && action != .show) || isSummary) {
            throw UsageError("--index goes with ls and show, without --summary")
        }
        if isIndex && (selection.query.rule != nil || !selection.query.states.isEmpty) {
            throw UsageError("--rule and --state are of quarantined records: they do not go with --index")
        }
        if isSummary && action != .ls { throw UsageError("--summary goes with ls") }
    }

    func run(_ context: Context) async throws {
        if action == .rules { return DlqRendering.rules(asJSON: isJSON) }
        let platform = Platform(context: context)
        try await Lane(name: "dlq").run {
            if isIndex { try listIndex(platform) } else { try work(context, platform) }
        }
    }

    private func work(_ context: Context, _ platform: Platform) throws {
        let layout = try LakeLayout(context.settings)
        let quarantine = try QuarantineReader(layout: layout, generation: selection.generation)
        var query = selection.query
        // The same offset is there once in each topic partition.
        if selection.isSingle && query.partition == nil { query.partition = 0 }
        if selection.isSingle && query.topic == nil { query.topic = context.settings.topics.raw }
        switch action {
        case .rules: break
        case .ls:
            if isSummary {
                for summary in try quarantine.summaries(query) { DlqRendering.summary(summary, asJSON: isJSON) }
            } else {
                query.limit = limit == 0 ? .max : limit
                try quarantine.forEach(query) { record in
                    DlqRendering.line(record, asJSON: isJSON)
                    return true
                }
            }
        case .show: try show(quarantine, query)
        case .redrive, .discard: try change(quarantine, query, platform)
        }
    }

    /// Lists or shows what the index lacks.
    private func listIndex(_ platform: Platform) throws {
        var query = selection.indexQuery
        if action == .show {
            query.partition = query.partition ?? 0
            query.topic = query.topic ?? platform.settings.topics.raw
            query.withLines = true
        } else {
            query.limit = limit == 0 ? .max : limit
        }
        var isFound = false
        let database = try platform.database("dlq")
        try Migrations.check(database, for: .serving)
        let store = RefusedDocumentStore(configuration: database)
        try store.forEach(query, timeoutMilliseconds: 60_000) { row in
            isFound = true
            switch action {
            case .show where isRaw: Output.write(row.document.line ?? [])
            case .show: DlqRendering.refused(row, asJSON: isJSON)
            default: DlqRendering.line(row, asJSON: isJSON)
            }
        }
        if action == .show, !isFound {
            throw Failure("the index lacks no such document; see medallion dlq ls --index")
        }
    }

    private func show(_ quarantine: QuarantineReader, _ query: QuarantineQuery) throws {
        var isFound = false
        try quarantine.forEach(query) { record in
            isFound = true
            if isRaw {
                Output.write(record.value ?? [])
            } else {
                DlqRendering.record(record, asJSON: isJSON)
            }
            return true
        }
        guard isFound else {
            throw Failure("generation \(quarantine.generation) has no such record in quarantine; see medallion dlq ls")
        }
    }

    private func change(_ quarantine: QuarantineReader, _ query: QuarantineQuery, _ platform: Platform) throws {
        var query = query
        // One that is named is told of, whatever its state; of many, only those that may need a look.
        if !selection.isSingle && !forces && query.states.isEmpty { query.states = [.open, .pending] }
        let desk = QuarantineDesk(quarantine, forces: forces, isDryRun: isDryRun) { [isJSON] entry in
            DlqRendering.entry(entry, asJSON: isJSON)
        }
        let report =
            action == .redrive
            ? try desk.redrive(query, correction: try correction(), kafka: platform.kafka("dlq"))
            : try desk.discard(query, reason: reason)
        if !isJSON { DlqRendering.report(report) }
        if report.failed > 0 {
            throw Failure("\(report.failed) records were not taken by the broker; they are open as before")
        }
        if report.refused > 0 {
            throw Failure(
                "\(report.refused) records were redriven or discarded before, or a redrive of them was cut short; "
                    + "--force does it again")
        }
    }

    private func correction() throws -> [UInt8]? {
        guard let valuePath else { return nil }
        let value = try valuePath == "-" ? Input.all(bytesMax: Self.valueBytesMax) : File.contents(of: valuePath)
        guard !value.isEmpty else { throw Failure("--value \(valuePath): it is empty") }
        return value
    }
}
