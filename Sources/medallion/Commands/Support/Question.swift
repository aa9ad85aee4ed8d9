import Bytes
import Concurrency
import Console
import HTTPClient
import JSONScan

/// What `search` and `answer` have in common: a query and filters, asked of the API.
struct Question: Sendable {
    static let options: [ArgumentTable.Option] = [
        .init(name: "--top-k", value: "N", help: "Hits to look at."),
        .init(name: "--mode", value: "MODE", help: "hybrid, vector or lexical."),
        .init(name: "--collection", value: "NAME", help: "Only this collection."),
        .init(name: "--wiki", value: "NAMES", help: "Only these wikis, such as enwiki,dewiki."),
        .init(name: "--lang", value: "CODES", help: "Only these languages, such as en,de."),
        .init(name: "--type", value: "TYPES", help: "Only these event types, such as edit,new."),
        .init(name: "--bots", value: "YES|NO", help: "Only bots' events, or only people's."),
        .init(name: "--from", value: "TIME", help: "Events from this time on (RFC 3339)."),
        .init(name: "--to", value: "TIME", help: "Events before this time (RFC 3339)."),
        .init(
            name: "--no-interpret", value: nil,
            help: "Words that name a time, a wiki, a language or a user stay words, and no filter is made of them."),
        .init(
            name: "--as-of", value: "MOMENT",
            help: "The index as it was: an answer's id, an index version, or a time (RFC 3339)."),
        APIClient.tenantOption,
        .init(name: "--url", value: "URL", help: "The API's address, in place of API_LISTEN."),
        .init(name: "--json", value: nil, help: "The API's reply as it is."),
    ]

    let body: [UInt8]
    let url: String?
    let tenant: String?
    let isJSON: Bool

    /// The words become the query; the API judges everything else, so that there is one set of rules.
    ///
    /// - Parameter more: writes what only one of the commands sends.
    init(_ arguments: ParsedArguments, more: (inout JSONWriter) -> Void = { _ in }) throws {
        url = arguments.value("--url")
        tenant = try APIClient.tenant(arguments)
        isJSON = arguments.has("--json")
        let topK = try arguments.integer("--top-k", in: 1...1_000)
        var json = JSONWriter()
        json.beginObject()
        if !arguments.words.isEmpty { json.string("query", arguments.words.joined(separator: " ")) }
        if let topK {
            json.integer("top_k", topK)
        }
        if let mode = arguments.value("--mode") {
            json.string("mode", mode)
        }
        if let collection = arguments.value("--collection") {
            json.string("collection", collection)
        }
        // Left out unless it is switched off: a server of an earlier version does not know it.
        if arguments.has("--no-interpret") { json.bool("interpret", false) }
        if let asOf = arguments.value("--as-of") {
            json.key("as_of")
            if let version = Int64(asOf) { json.integer(version) } else { json.string(asOf) }
        }
        more(&json)
        json.key("filters")
        json.beginObject()
        for name in ["wiki", "lang", "type"] {
            guard let list = arguments.value("--\(name)") else { continue }
            json.key(dynamic: name)
            json.beginArray()
            for word in list.split(separator: ",") { json.string(String(word)) }
            json.endArray()
        }
        if let bots = arguments.value("--bots") {
            guard bots == "yes" || bots == "no" else { throw UsageError("--bots \(bots): neither yes nor no") }
            json.bool("is_bot", bots == "yes")
        }
        for name in ["from", "to"] {
            guard try arguments.time("--\(name)") != nil, let time = arguments.value("--\(name)") else { continue }
            json.key(dynamic: name)
            json.string(time)
        }
        json.endObject()
        json.endObject()
        body = json.bytes
    }

    func ask(_ path: String, _ context: Context, render: @escaping @Sendable (JSONValue) -> String) async throws {
        let api = APIClient(settings: context.settings, url: url, tenant: tenant)
        let request = HTTPClientRequest(
            method: "POST", url: api.base + path, headers: [("Content-Type", "application/json")], body: body)
        let reply = try await Lane(name: "ask").run { try api.bytes(request) }
        if isJSON {
            Output.write(reply + [0x0A])
        } else {
            Output.print(render(try JSONValue.parse(reply, maxDepth: 64)))
        }
    }
}
