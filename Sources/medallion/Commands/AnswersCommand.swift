import Bytes
import Concurrency
import Console
import HTTPClient
import JSONScan
import Telemetry

/// `medallion answers`: answers that were given.
struct AnswersCommand: Command {
    static let name = "answers"
    static let summary = "Lists and shows answers that were given, and what was said of them."
    static let table = ArgumentTable(
        options: [
            .init(name: "--limit", value: "N", help: "ls: so many answers (default 20, at most 199)."),
            .init(name: "--since", value: "TIME", help: "ls: only those given from then on (RFC 3339)."),
            .init(name: "--until", value: "TIME", help: "ls: only those given before then."),
            .init(name: "--refused", value: nil, help: "ls: only refusals."),
            .init(name: "--cites", value: "DOC_ID", help: "ls: only those that cite this document."),
            APIClient.tenantOption,
            .init(name: "--url", value: "URL", help: "The API's address, in place of API_LISTEN."),
            .init(name: "--json", value: nil, help: "The API's reply as it is."),
        ],
        positionals: [
            .init(name: "ACTION", isRequired: true, help: "ls or show."),
            .init(name: "ANSWER", isRequired: false, help: "show: the answer's id."),
        ])
    static let details = """
        `medallion eval add ANSWER` makes a labelled question of one.

          medallion answers ls --refused --since 2026-11-30T00:00:00Z
          medallion answers show ans_4f2a6b…
        """

    private enum Action {
        case list(String)
        case show(String)
    }

    private static let listDefault = 20

    private let action: Action
    private let url: String?
    private let tenant: String?
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        url = arguments.value("--url")
        tenant = try APIClient.tenant(arguments)
        isJSON = arguments.has("--json")
        let options = [("since", "--since"), ("until", "--until"), ("cites", "--cites")]
        let limit = try arguments.integer("--limit", in: 1...199)
        switch (arguments.word(0) ?? "", arguments.word(1)) {
        case ("ls", nil):
            var query = ["limit=\(limit ?? Self.listDefault)"]
            for (name, option) in options {
                if let value = arguments.value(option) { query.append("\(name)=\(APIClient.segment(value))") }
            }
            if arguments.has("--refused") { query.append("refused=true") }
            action = .list("/answers?" + query.joined(separator: "&"))
        case ("ls", _?): throw UsageError("ls takes no ANSWER")
        case ("show", let id?):
            guard limit == nil, !arguments.has("--refused"), options.allSatisfy({ arguments.value($0.1) == nil }) else {
                throw UsageError("--limit, --since, --until, --refused and --cites go with ls")
            }
            action = .show("/answers/" + APIClient.segment(id))
        case ("show", nil): throw UsageError("show needs ANSWER, an id that `medallion answers ls` lists")
        default: throw UsageError("ACTION is ls or show")
        }
    }

    func run(_ context: Context) async throws {
        let api = APIClient(settings: context.settings, url: url, tenant: tenant)
        let path =
            switch action {
            case .list(let path), .show(let path): path
            }
        let bytes = try await Lane(name: "ask").run { try api.bytes(HTTPClientRequest(url: api.base + path)) }
        if isJSON { return Output.write(bytes + [0x0A]) }
        let reply = try JSONValue.parse(bytes, maxDepth: 64)
        switch action {
        case .list: Self.print(list: reply)
        case .show: Self.print(answer: reply)
        }
    }

    private static func print(list reply: JSONValue) {
        let answers = reply["answers"]?.array ?? []
        if answers.isEmpty { return Output.line("no answers are kept that are like this") }
        for answer in answers {
            Output.line(
                [
                    text(answer["answer_id"]), text(answer["created_at"]),
                    answer["refused"]?.bool == true ? "refused " : "answered",
                    "+\(answer["up"]?.integer ?? 0) -\(answer["down"]?.integer ?? 0)", text(answer["question"]),
                ].joined(separator: "  "))
        }
        if reply["next_cursor"]?.string != nil { Output.line("there are more: --limit, --until") }
    }

    private static func print(answer: JSONValue) {
        Output.line("\(text(answer["question"]))")
        Output.line(
            "\(text(answer["answer_id"])), \(text(answer["created_at"])), generation "
                + "\(answer["generation"]?.integer ?? 0), index version \(answer["index_version"]?.integer ?? 0)")
        Output.line("")
        Output.print(Rendering.answer(answer["reply"] ?? .null))
        for feedback in answer["feedback"]?.array ?? [] {
            let who = feedback["key"]?.string.map { "key \(LogText.escaped($0))" } ?? "somebody without a key"
            let note = text(feedback["note"])
            Output.line("\(text(feedback["verdict"])) by \(who), \(text(feedback["given_at"])): \(note)")
        }
    }

    private static func text(_ value: JSONValue?) -> String { LogText.escaped(value?.string ?? "") }
}
