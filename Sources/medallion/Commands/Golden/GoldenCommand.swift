import Bytes
import Concurrency
import Console
import HTTPClient
import JSONScan
import Telemetry

/// `medallion golden`: queries whose hits and answers are compared before a generation is promoted.
struct GoldenCommand: Command {
    static let name = "golden"
    static let summary = "Keeps queries, and tells which of their hits and answers another generation would change."
    static let table = ArgumentTable(
        options: [
            .init(name: "--kind", value: "KIND", help: "add: search or answer (default search)."),
            .init(
                name: "--options", value: "JSON",
                help:
                    "add: the other members of the request, such as {\"top_k\": 5, \"filters\": {\"wiki\": [\"enwiki\"]}}."
            ),
            .init(name: "--generation", value: "N", help: "diff: the generation that may be promoted."),
            APIClient.tenantOption,
            .init(name: "--url", value: "URL", help: "The API's address, in place of API_LISTEN."),
            .init(name: "--json", value: nil, help: "The API's reply as it is."),
        ],
        positionals: [
            .init(name: "ACTION", isRequired: true, help: "add, ls, rm or diff."),
            .init(name: "NAME", isRequired: false, help: "add, rm: the query's name."),
            .init(name: "QUERY", isRequired: false, help: "add: what is asked."),
        ])
    static let details = """
        add, rm and diff need a key with the role write (MEDALLION_API_KEY). diff asks each query in the generation that is
        served and in generation N, which need not be promoted, and exits with 0 whether something differs or not.

          medallion golden add bridge "who repainted the golden gate bridge?" --kind answer
          medallion replay --all --logic new-logic.json && medallion golden diff --generation 2
        """

    private enum Action {
        case add(name: String, query: String, kind: String, options: JSONValue)
        case list
        case remove(String)
        case diff(Int)
    }

    private let action: Action
    private let url: String?
    private let tenant: String?
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        let name = arguments.word(1)
        switch arguments.word(0) {
        case "add":
            guard let name, let query = arguments.word(2) else { throw UsageError("add takes NAME and QUERY") }
            let kind = arguments.value("--kind") ?? "search"
            guard ["search", "answer"].contains(kind) else { throw UsageError("--kind is search or answer") }
            let text = arguments.value("--options") ?? "{}"
            guard let options = try? JSONValue.parse(Array(text.utf8)), options.object != nil else {
                throw UsageError("--options takes a JSON object")
            }
            action = .add(name: name, query: query, kind: kind, options: options)
        case "ls": action = .list
        case "rm":
            guard let name else { throw UsageError("rm takes NAME") }
            action = .remove(name)
        case "diff":
            guard let generation = try arguments.integer("--generation", in: 1...Int.max) else {
                throw UsageError("diff takes --generation")
            }
            action = .diff(generation)
        default: throw UsageError("ACTION is add, ls, rm or diff")
        }
        url = arguments.value("--url")
        tenant = try APIClient.tenant(arguments)
        isJSON = arguments.has("--json")
    }

    func run(_ context: Context) async throws {
        let api = APIClient(settings: context.settings, url: url, tenant: tenant)
        let request = request(api.base)
        let bytes = try await Lane(name: "ask").run { try api.bytes(request) }
        if isJSON { return Output.write(bytes + [0x0A]) }
        let reply = try JSONValue.parse(bytes, maxDepth: 64)
        switch action {
        case .add(let name, _, _, _): Output.line("\(LogText.escaped(name)) is kept")
        case .remove(let name): Output.line("\(LogText.escaped(name)) is removed")
        case .list:
            for one in reply["golden"]?.array ?? [] {
                Output.line("\(Self.text(one, "name"))  \(Self.text(one, "kind"))  \(Self.text(one, "query"))")
            }
        case .diff: Self.show(reply)
        }
    }

    private func request(_ base: String) -> HTTPClientRequest {
        switch action {
        case .list: return HTTPClientRequest(url: base + "/golden")
        case .remove(let name):
            return HTTPClientRequest(method: "DELETE", url: base + "/golden/" + APIClient.segment(name))
        case .diff(let generation):
            return HTTPClientRequest(method: "POST", url: base + "/generations/\(generation)/golden")
        case .add(let name, let query, let kind, let options):
            let body = JSONValue.object([
                (key: "name", value: .string(name)), (key: "kind", value: .string(kind)),
                (key: "query", value: .string(query)), (key: "options", value: options),
            ])
            return HTTPClientRequest(
                method: "POST", url: base + "/golden", headers: [("Content-Type", "application/json")],
                body: Array(body.text.utf8))
        }
    }

    private static func text(_ value: JSONValue, _ name: String) -> String {
        LogText.escaped(value[name]?.string ?? "")
    }

    private static func show(_ reply: JSONValue) {
        for query in reply["queries"]?.array ?? [] {
            guard query["error"]?.string == nil else {
                Output.line("\(text(query, "name")): not compared: \(text(query, "error"))")
                continue
            }
            guard query["changed"]?.bool == true else {
                Output.line("\(text(query, "name")): unchanged")
                continue
            }
            Output.line("\(text(query, "name")): \(text(query, "query"))")
            for hit in query["left"]?.array ?? [] { Output.line("  - \(place(hit, "place"))  \(title(hit))") }
            for hit in query["entered"]?.array ?? [] { Output.line("  + \(place(hit, "place"))  \(title(hit))") }
            for hit in query["moved"]?.array ?? [] {
                Output.line("  \(place(hit, "from")) → \(place(hit, "to"))  \(title(hit))")
            }
            for hit in query["rewritten"]?.array ?? [] {
                Output.line("  ~ \(title(hit))\n    - \(text(hit, "before"))\n    + \(text(hit, "after"))")
            }
            guard query["answer_before"] != query["answer_after"] else { continue }
            for (mark, name) in [("-", "answer_before"), ("+", "answer_after")] {
                guard let answer = query[name], answer.object != nil else { continue }
                let sentences = (answer["sentences"]?.array ?? []).compactMap(\.string).map { LogText.escaped($0) }
                let words = answer["refused"]?.bool == true ? "refused" : sentences.joined(separator: " ")
                Output.line("  \(mark) answer: \(words)")
            }
        }
        let leftOut = reply["left_out"]?.integer ?? 0
        Output.line(
            "\(reply["changed"]?.integer ?? 0) of \((reply["queries"]?.array ?? []).count) queries change"
                + (leftOut > 0 ? "; for \(leftOut) there was no time" : ""))
    }

    private static func title(_ hit: JSONValue) -> String { "\(text(hit, "title"))  doc_id \(text(hit, "doc_id"))" }

    private static func place(_ hit: JSONValue, _ name: String) -> String { "\(hit[name]?.integer ?? 0)." }
}
