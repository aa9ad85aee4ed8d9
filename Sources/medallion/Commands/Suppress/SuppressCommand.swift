import Bytes
import Concurrency
import Console
import Records
import Store
import Telemetry

/// `medallion suppress`: takes what came of an event, a page or a user out of replies, and brings it back.
struct SuppressCommand: Command {
    static let name = "suppress"
    static let summary = "Takes what came of an event, a page or a user out of replies, and brings it back."
    static let table = ArgumentTable(
        options: [
            .init(name: "--event", value: "T/P/O", help: "What came of this topic, topic partition and offset."),
            .init(name: "--event-id", value: "ID", help: "What came of events with this id."),
            .init(name: "--page", value: "TITLE", help: "Documents with this title."),
            .init(name: "--wiki", value: "NAME", help: "With --page: only that wiki's."),
            .init(name: "--document", value: "ID", help: "The document with this id."),
            .init(name: "--user", value: "NAME", help: "Documents whose attribute `user` is that."),
            .init(
                name: "--collection", value: "NAME",
                help: "With --page, --document and --user: the collection that is meant."),
            .init(name: "--reason", value: "TEXT", help: "Why, for whoever looks later; needed but for ls."),
            .init(name: "--tenant", value: "NAME", help: "Whose documents (default: default)."),
            .init(name: "--json", value: nil, help: "One JSON object per line."),
        ],
        positionals: [
            .init(name: "ACTION", isRequired: false, help: "ls, or lift; without it something is suppressed."),
            .init(name: "ID", isRequired: false, help: "lift: the suppression's id, as ls lists it."),
        ])
    static let details = """
        It goes by the topic KAFKA_SUPPRESSIONS_TOPIC: the stream job keeps it in the lake's _suppressions.log, the indexer applies it to
        the index. Within a second every server leaves the documents out of searches, answers, caches, /events/recent and /stream, also
        what comes of the page or user later. Bronze, Silver and Gold stay as they are; `lift` brings everything back.

          medallion suppress --event wikimedia.recentchange/0/1234 --reason "names a private person"
          medallion suppress --page "Golden Gate Bridge" --wiki enwiki --collection wikimedia --reason vandalised
          medallion suppress ls
          medallion suppress lift s-0123456789abcdef --reason "checked"
        """

    private enum Action {
        case suppress(SuppressionTarget, reason: String)
        case list
        case lift(id: String, reason: String)
    }

    private static let publishMilliseconds = 10_000
    private static let statementMilliseconds = 10_000
    /// How long the command waits for the index.
    private static let appliedMilliseconds = 5_000
    private static let lookMilliseconds = 50

    private let action: Action
    private let tenant: TenantID
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        isJSON = arguments.has("--json")
        let named = arguments.value("--tenant") ?? TenantID.standard.text
        guard let tenant = TenantID(named) else {
            throw UsageError("--tenant \(named): no name of a tenant, which has \(TenantID.grammar)")
        }
        self.tenant = tenant
        let target = try Self.target(arguments)
        let reason = arguments.value("--reason")
        if let reason, reason.isEmpty || reason.utf8.count > Suppression.textBytesMax {
            throw UsageError("--reason has 1 to \(Suppression.textBytesMax) bytes")
        }
        switch (arguments.word(0), arguments.word(1)) {
        case (nil, _):
            guard let target else {
                throw UsageError("one of --event, --event-id, --page, --document and --user says what is suppressed")
            }
            guard let reason else { throw UsageError("--reason says why") }
            action = .suppress(target, reason: reason)
        case ("ls", nil) where target == nil && reason == nil: action = .list
        case ("lift", let id?) where target == nil:
            guard let reason else { throw UsageError("--reason says why") }
            action = .lift(id: id, reason: reason)
        default: throw UsageError("ACTION is ls, or lift with an ID and a --reason")
        }
    }

    private static func target(_ arguments: ParsedArguments) throws -> SuppressionTarget? {
        let options: [(option: String, kind: SuppressionTarget.Kind)] = [
            ("--event", .event), ("--event-id", .eventID), ("--page", .page), ("--document", .document),
            ("--user", .user),
        ]
        let given = options.filter { arguments.value($0.option) != nil }
        guard given.count <= 1 else {
            throw UsageError("\(given.map(\.option).joined(separator: " and ")) do not go together")
        }
        let (collection, wiki) = (arguments.value("--collection"), arguments.value("--wiki"))
        guard let (option, kind) = given.first, let value = arguments.value(option) else {
            guard collection == nil, wiki == nil else {
                throw UsageError("--collection and --wiki go with what is suppressed")
            }
            return nil
        }
        if wiki != nil, kind != .page { throw UsageError("--wiki goes with --page") }
        if kind == .event {
            let parts = value.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 3,
                let target = SuppressionTarget(
                    kind: kind, name: String(parts[0]), partition: Int32(parts[1]), offset: Int64(parts[2]))
            else {
                throw UsageError("--event \(value): not a topic, a topic partition and an offset, such as edits/0/1234")
            }
            return target
        }
        let isOfCollection = kind != .eventID
        guard isOfCollection == (collection != nil) else {
            throw UsageError(
                isOfCollection
                    ? "\(option) needs the --collection that is meant" : "--collection does not go with \(option)")
        }
        guard
            let target = SuppressionTarget(kind: kind, name: value, collection: collection ?? "", wiki: wiki)
        else {
            throw UsageError(
                "\(option), --collection and --wiki have 1 to \(Suppression.nameBytesMax) bytes each")
        }
        return target
    }

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        let database = try await platform.checkedDatabase("suppress", for: .serving)
        try await Lane(name: "suppress").run {
            let store = SuppressionStore(configuration: database)
            let publisher = platform.suppressionPublisher()
            switch action {
            case .list: try list(store)
            case .suppress(let target, let reason):
                var generator = SystemRandomNumberGenerator()
                let suppression = Suppression(
                    id: Suppression.makeID(using: &generator), tenant: tenant, target: target, reason: reason,
                    by: MachineAccount.name, atMilliseconds: SystemClock.epochMilliseconds())
                try publisher.publish(.suppress(suppression), timeoutMilliseconds: Self.publishMilliseconds)
                try show(
                    wait(for: suppression.id, store) { $0?.isApplied == true }
                        ?? SuppressionRecord(number: 0, suppression: suppression, indexVersion: 0))
            case .lift(let id, let reason):
                let known = try store.find(id, of: tenant, timeoutMilliseconds: Self.statementMilliseconds)
                // One that the index has not come to yet is lifted, too.
                guard known != nil || Suppression.isID(id) else {
                    throw Failure("there is no suppression \(LogText.escaped(id)); see medallion suppress ls")
                }
                let entry = SuppressionEntry.lift(
                    id: id, tenant: tenant, reason: reason, by: MachineAccount.name,
                    atMilliseconds: SystemClock.epochMilliseconds())
                if known?.lift == nil { try publisher.publish(entry, timeoutMilliseconds: Self.publishMilliseconds) }
                let lifted = try wait(for: id, store) { $0?.lift != nil && $0?.isApplied == true }
                if lifted == nil { Output.complain("the topic has it; the index has not come to it yet\n") }
                if let record = lifted ?? known { show(record) }
            }
        }
    }

    private func wait(
        for id: String, _ store: SuppressionStore, until isDone: (SuppressionRecord?) -> Bool
    ) throws -> SuppressionRecord? {
        let end = SystemClock.monotonicNanoseconds() + Int64(Self.appliedMilliseconds) * 1_000_000
        repeat {
            let found = try store.find(id, of: tenant, timeoutMilliseconds: Self.statementMilliseconds)
            if isDone(found) { return found }
            Pause.milliseconds(Self.lookMilliseconds)
        } while SystemClock.monotonicNanoseconds() < end
        return nil
    }

    private func list(_ store: SuppressionStore) throws {
        var before = Int64.max
        var count = 0
        while true {
            let page = try store.list(
                of: tenant, before: before, timeoutMilliseconds: Self.statementMilliseconds)
            for record in page { show(record) }
            count += page.count
            guard page.count == SuppressionStore.pageMax, let last = page.last else { break }
            before = last.number
        }
        if count == 0, !isJSON { Output.line("nothing is suppressed") }
    }

    private func show(_ record: SuppressionRecord) {
        let suppression = record.suppression
        let state =
            record.lift.map { "lifted" + " \(CivilTime.rfc3339($0.atMilliseconds))" }
            ?? (record.indexVersion == 0
                ? "not applied yet" : record.isApplied ? "in force" : "being applied")
        guard isJSON else {
            Output.line(
                "\(suppression.id)  \(state)  \(LogText.escaped(suppression.target.words))  by \(LogText.escaped(suppression.by))  "
                    + "\(CivilTime.rfc3339(suppression.atMilliseconds))  \(LogText.escaped(suppression.reason))")
            return
        }
        var json = JSONWriter()
        json.beginObject()
        SuppressionEntry.suppress(suppression).append(to: &json)
        json.key("index_version")
        if record.indexVersion > 0 { json.integer(record.indexVersion) } else { json.null() }
        json.key("lifted_at_ms")
        if let lift = record.lift { json.integer(lift.atMilliseconds) } else { json.null() }
        json.key("lifted_by")
        if let lift = record.lift { json.string(lift.by) } else { json.null() }
        json.key("lift_reason")
        if let lift = record.lift { json.string(lift.reason) } else { json.null() }
        json.endObject()
        Output.write(json.bytes + [0x0A])
    }
}
