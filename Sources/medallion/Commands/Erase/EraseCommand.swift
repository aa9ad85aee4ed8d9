import Bytes
import Concurrency
import Console
import Derivation
import Lake
import Records
import Telemetry

/// `medallion erase`: takes what was made of a page's or a user's records out of everything, for good.
struct EraseCommand: Command {
    static let name = "erase"
    static let summary = "Takes all that came of a page or a user out of lake, index, answers and caches, for good."
    static let table = ArgumentTable(
        options: [
            .init(name: "--page", value: "TITLE", help: "Records with this title."),
            .init(name: "--wiki", value: "NAME", help: "With --page: only that wiki's."),
            .init(name: "--user", value: "NAME", help: "Records whose user is that."),
            .init(name: "--collection", value: "NAME", help: "The collection that is meant."),
            .init(name: "--tenant", value: "NAME", help: "Whose records (default: default)."),
            .init(
                name: "--reason", value: "TEXT",
                help: "Why; needed with --apply. It stays, so it should not say who or what it is about."),
            .init(
                name: "--apply", value: nil, help: "Erases; without it tells what would go, and what else mentions it."),
            .init(
                name: "--topics", value: nil,
                help: "With --apply and resume: deletes the topics' records up to the last of them, other records, too."
            ),
            .init(
                name: "--wait", value: "SECONDS",
                help: "How long to wait for the stream job that writes a topic partition (default: 600)."),
            .init(name: "--json", value: nil, help: "One JSON object per line."),
        ],
        positionals: [
            .init(
                name: "ACTION", isRequired: false,
                help: "ls: what was erased; resume: finishes what was interrupted; without it something is erased.")
        ])
    static let details = """
        The lake's files are written anew: of each record place and time stay in Bronze, of Silver, Gold and quarantine nothing, in all
        generations; then copies in the object storage, the index, stored answers and caches. Records that come later are not erased: suppress
        the page or user, too. At the end stands what remains where, and until when: topics, pages and logs of Postgres, backups.

          medallion erase --user "Ann Example" --collection wikimedia
          medallion erase --user "Ann Example" --collection wikimedia --apply --reason "request 17" --topics
          medallion erase resume
        """

    private enum Action {
        case erase(ErasureTarget, name: String, reason: String)
        case list
        case resume
    }

    private let action: Action
    private let tenant: TenantID
    private let applies: Bool
    private let deletesRecords: Bool
    private let waitSeconds: Int
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        isJSON = arguments.has("--json")
        applies = arguments.has("--apply")
        deletesRecords = arguments.has("--topics")
        waitSeconds = try arguments.integer("--wait", in: 0...86_400) ?? 600
        let named = arguments.value("--tenant") ?? TenantID.standard.text
        guard let tenant = TenantID(named) else {
            throw UsageError("--tenant \(named): no name of a tenant, which has \(TenantID.grammar)")
        }
        self.tenant = tenant
        let target = try Self.target(arguments)
        switch (arguments.word(0), target) {
        case (nil, let target?):
            let reason = arguments.value("--reason") ?? ""
            guard !applies || !reason.isEmpty, reason.utf8.count <= Erasure.reasonBytesMax else {
                throw UsageError("--apply needs a --reason of 1 to \(Erasure.reasonBytesMax) bytes")
            }
            guard applies || !deletesRecords else { throw UsageError("--topics goes with --apply, or with resume") }
            action = .erase(target.target, name: target.name, reason: reason)
        case (nil, nil): throw UsageError("--page or --user says what is erased")
        case ("ls", nil) where !applies && !deletesRecords: action = .list
        case ("resume", nil) where !applies: action = .resume
        default: throw UsageError("ACTION is ls or resume, without what is erased")
        }
    }

    private static func target(_ arguments: ParsedArguments) throws -> (target: ErasureTarget, name: String)? {
        let (page, user) = (arguments.value("--page"), arguments.value("--user"))
        let (collection, wiki) = (arguments.value("--collection"), arguments.value("--wiki"))
        if page != nil, user != nil { throw UsageError("--page and --user do not go together") }
        guard let name = page ?? user else {
            guard collection == nil, wiki == nil else {
                throw UsageError("--collection and --wiki go with what is erased")
            }
            return nil
        }
        if wiki != nil, page == nil { throw UsageError("--wiki goes with --page") }
        guard let collection else {
            throw UsageError("\(page == nil ? "--user" : "--page") needs the --collection that is meant")
        }
        guard name.utf8.count <= Suppression.nameBytesMax,
            let target = ErasureTarget(
                kind: page == nil ? .user : .page, collection: collection, name: name, wiki: wiki)
        else {
            throw UsageError("what is erased has 1 to \(Suppression.nameBytesMax) bytes")
        }
        return (target, name)
    }

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        let layout = try LakeLayout(context.settings)
        if case .list = action {
            let log = ErasureLog(layout: layout)
            return try await Lane(name: "erase").run { [isJSON] in
                ErasureTelling(isJSON: isJSON).list(try log.read())
            }
        }
        let database = try await platform.checkedDatabase("erase", for: .writing)
        let run = ErasureRun(
            platform: platform, layout: layout, database: database, telling: ErasureTelling(isJSON: isJSON),
            waitSeconds: waitSeconds, deletesRecords: deletesRecords)
        let (action, tenant, applies) = (action, tenant, applies)
        try await platform.sendingRuns {
            try await Lane(name: "erase").run {
                switch action {
                case .erase(let target, let name, let reason):
                    var generator = SystemRandomNumberGenerator()
                    let erasure = Erasure(
                        id: Erasure.makeID(using: &generator), tenant: tenant, target: target, reason: reason,
                        by: MachineAccount.name, atMilliseconds: SystemClock.epochMilliseconds())
                    if applies { try run.erase(erasure, name: name) } else { try run.look(erasure, name: name) }
                case .resume: try run.resume()
                case .list: break
                }
            }
        }
    }
}
