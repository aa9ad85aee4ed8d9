import Bytes
import Console
import Logic
import Records
import Settings
import Sources
import Telemetry

/// `medallion sources`: what is declared, whether it can be used, and what a running platform makes of it.
struct SourcesCommand: Command {
    static let name = "sources"
    static let summary =
        "Lists and checks the declared sources; pauses, resumes and reads them again, and says who did."
    static let table = ArgumentTable(
        options: [
            .init(name: "--file", value: "FILE", help: "The declaration, in place of SOURCES_FILE."),
            .init(
                name: "--reason", value: "TEXT",
                help: "pause, resume, snapshot, give-up: why, for those who look later."),
            .init(name: "--from", value: "KEY", help: "snapshot: the first primary key (default: the table's first)."),
            .init(name: "--to", value: "KEY", help: "snapshot: the last primary key (default: the table's last)."),
            .init(name: "--request", value: "ID", help: "give-up: the snapshot's request (default: all of them)."),
            APIClient.tenantOption,
            .init(name: "--url", value: "URL", help: "status: the API's address, in place of API_LISTEN."),
            .init(name: "--json", value: nil, help: "One JSON object per line."),
        ],
        positionals: [
            .init(
                name: "ACTION", isRequired: true, help: "ls, check, status, log, pause, resume, snapshot or give-up."),
            .init(name: "NAME", isRequired: false, help: "The source; status and log without it show all."),
        ])
    static let details = """
        Sources are declared in a file (docs/sources.md): SOURCES_FILE, else sources.json in the working folder or in DATA_DIR.
        Without one, the environment declares the one source.

        check names every fault with its place in the file, looks whether folders can be read, and ends with 1 where something
        has to be mended.

        pause, resume, snapshot and give-up go by the topic KAFKA_SOURCE_REQUESTS_TOPIC to the processes that run, which heed
        them within a second; a pause holds over restarts. give-up ends a snapshot that was asked for. status asks the API.
        log reads that topic: what was asked, when, by whom and why, and what became of it, from commands, API and page alike.

          medallion sources check --file sources.json
          medallion sources pause products --reason "their prices are being mended"
          medallion sources snapshot articles --from 1000 --to 1999
          medallion sources ls --json | jq .topic
        """

    private enum Action: String {
        case list = "ls"
        case check
        case status, log, pause, resume, snapshot
        case giveUp = "give-up"
    }

    private let action: Action
    private let asking: SourceAsking?
    private let file: String?
    private let isJSON: Bool
    /// Of what is logged; nil for all.
    private let source: String?

    init(_ arguments: ParsedArguments) throws {
        isJSON = arguments.has("--json")
        file = arguments.value("--file").map { AbsolutePath.of($0) }
        guard let action = Action(rawValue: arguments.word(0) ?? "") else {
            throw UsageError("ACTION is one of ls, check, status, log, pause, resume, snapshot and give-up")
        }
        self.action = action
        source = arguments.word(1)
        switch action {
        case .list, .check, .log:
            let foreign = ["--reason", "--from", "--to", "--request", "--tenant", "--url"]
            for name in foreign + (action == .log ? ["--file"] : []) where arguments.value(name) != nil {
                throw UsageError("\(name) does not go with \(action.rawValue)")
            }
            guard arguments.word(1) == nil || action == .log else {
                throw UsageError("\(action.rawValue) takes no NAME")
            }
            asking = nil
        case .status: asking = try SourceAsking(.status, arguments)
        case .pause: asking = try SourceAsking(.request(.pause), arguments)
        case .resume: asking = try SourceAsking(.request(.resume), arguments)
        case .snapshot:
            let range = SourceKeyRange(from: arguments.value("--from"), to: arguments.value("--to"))
            asking = try SourceAsking(.request(.snapshot(range)), arguments)
        case .giveUp: asking = try SourceAsking(.request(.giveUp(arguments.value("--request"))), arguments)
        }
    }

    func run(_ context: Context) async throws {
        if let asking, case .status = asking.what { return try await asking.showStatus(context.settings) }
        if action == .log { return try await SourceLog(source: source, isJSON: isJSON).show(context) }
        let declared: DeclaredSources
        do {
            declared = try DeclaredSources.read(context.settings, file: file)
        } catch let error as DeclarationError {
            guard isJSON, action == .check else { throw Failure(Self.shown(error.description)) }
            for fault in error.faults { show(fault, file: error.file) }
            throw Failure("\(error.faults.count) faults in \(LogText.escaped(error.file))")
        }
        switch action {
        case .list: list(declared)
        case .check: try check(declared)
        case .status, .log, .pause, .resume, .snapshot, .giveUp: try await asking?.ask(context, declared)
        }
    }

    // MARK: ls

    private func list(_ declared: DeclaredSources) {
        if !isJSON { Output.complain(Self.origin(declared) + "\n") }
        for source in declared.sources {
            if isJSON {
                Output.write(Self.json(source) + [0x0A])
            } else {
                Output.line(
                    "\(source.name)  \(Self.words(source.connector))  \(source.topic) -> \(source.goldTopic)  "
                        + "\(source.logic.kind.rawValue)  \(source.tenant)/\(source.collection.name)  "
                        + "\(source.collection.attributes.count) attributes")
            }
        }
    }

    private static func origin(_ declared: DeclaredSources) -> String {
        guard let file = declared.file else { return "declared by the environment (there is no sources.json)" }
        return "declared by \(LogText.escaped(file))"
    }

    private static func words(_ connector: ConnectorDeclaration) -> String {
        ([connector.kind.rawValue] + (connector.members.map { [LogText.escaped($0.place)] } ?? [])).joined(
            separator: " ")
    }

    private static func json(_ source: SourceDeclaration) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.string("name", source.name.text)
        json.string("tenant", source.tenant.text)
        json.string("topic", source.topic)
        json.string("gold_topic", source.goldTopic)
        json.key("connector")
        json.beginObject()
        json.string("type", source.connector.kind.rawValue)
        source.connector.members?.write(to: &json)
        json.endObject()
        json.string("logic", source.logic.kind.rawValue)
        json.key("settings")
        json.raw(source.logic.canonicalJSON)
        json.key("collection")
        json.beginObject()
        json.string("name", source.collection.name.text)
        json.key("attributes")
        json.beginObject()
        for attribute in source.collection.attributes {
            json.key(dynamic: attribute.name.text)
            json.beginObject()
            json.string("type", attribute.type.rawValue)
            json.bool("filter", attribute.isFilterable)
            json.endObject()
        }
        json.endObject()
        json.endObject()
        json.endObject()
        return json.bytes
    }

    // MARK: check

    private func check(_ declared: DeclaredSources) throws {
        var faults: [DeclarationFault] = []
        for (number, source) in declared.sources.enumerated() {
            for fault in source.connector.members?.look() ?? [] {
                faults.append(
                    DeclarationFault(
                        place: "sources[\(number)].connector.\(fault.place)", reason: fault.reason))
            }
        }
        guard faults.isEmpty else {
            if isJSON { for fault in faults { show(fault, file: declared.file ?? "") } }
            throw Failure(
                Self.shown(DeclarationError(file: declared.file ?? "the environment", faults: faults).description))
        }
        if isJSON {
            var json = JSONWriter()
            json.beginObject()
            json.string("file", declared.file ?? "")
            json.integer("sources", declared.sources.count)
            json.endObject()
            Output.write(json.bytes + [0x0A])
        } else {
            let count = declared.sources.count
            Output.line("\(count) source\(count == 1 ? "" : "s"), \(Self.origin(declared)): nothing to mend")
        }
    }

    private func show(_ fault: DeclarationFault, file: String) {
        var json = JSONWriter()
        json.beginObject()
        json.string("file", file)
        json.string("place", fault.place)
        json.string("reason", fault.reason)
        json.endObject()
        Output.write(json.bytes + [0x0A])
    }

    /// Names come from the file: no control character reaches a terminal.
    private static func shown(_ text: String) -> String {
        text.split(separator: "\n").map { LogText.escaped(String($0)) }.joined(separator: "\n")
    }
}
