import Concurrency
import Console
import HTTPClient
import JSONScan

/// `medallion impact`: from an event to all that came of it.
struct ImpactCommand: Command {
    static let name = "impact"
    static let summary = "Finds the documents and answers that came of an event, a page or a user."
    static let table = ArgumentTable(
        options: [
            .init(name: "--topic", value: "TOPIC", help: "A record: its topic, with --partition and --offset."),
            .init(name: "--partition", value: "N", help: "Its topic partition."),
            .init(name: "--offset", value: "N", help: "Its offset."),
            .init(name: "--event", value: "ID", help: "An event, by the id that its source gave it."),
            .init(name: "--title", value: "TITLE", help: "A page, with --collection."),
            .init(name: "--wiki", value: "WIKI", help: "With --title: of this wiki alone."),
            .init(name: "--user", value: "NAME", help: "What came of one user's events."),
            .init(
                name: "--collection", value: "NAME", help: "Of the page; with --user, of this collection alone."),
            .init(name: "--limit", value: "N", help: "Documents at most, and answers (default 200, at most 1000)."),
            APIClient.tenantOption,
            .init(name: "--url", value: "URL", help: "The API's address, in place of API_LISTEN."),
            .init(name: "--json", value: nil, help: "The API's reply as it is."),
        ], positionals: [])
    static let details = """
          medallion impact --topic wikimedia.recentchange --partition 0 --offset 4711
          medallion impact --title "Golden Gate Bridge" --collection wikimedia.recentchange --wiki enwiki
        """

    private static let parameters = [
        ("topic", "--topic"), ("partition", "--partition"), ("offset", "--offset"), ("event_id", "--event"),
        ("title", "--title"), ("wiki", "--wiki"), ("user", "--user"), ("collection", "--collection"),
        ("limit", "--limit"),
    ]

    private let query: String
    private let url: String?
    private let tenant: String?
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        _ = try arguments.integer("--partition", in: 0...Int(Int32.max))
        _ = try arguments.integer("--offset", in: 0...Int.max)
        _ = try arguments.integer("--limit", in: 1...1_000)
        func has(_ option: String) -> Bool { arguments.value(option) != nil }
        let record = ["--topic", "--partition", "--offset"].count(where: has)
        let ways = [record > 0, has("--event"), has("--title"), has("--user")].count { $0 }
        guard ways == 1, record == 0 || record == 3 else {
            throw UsageError(
                "impact needs one of: --topic with --partition and --offset; --event; --title with --collection; --user"
            )
        }
        guard !has("--title") || has("--collection") else { throw UsageError("--title needs --collection") }
        guard !has("--wiki") || has("--title") else { throw UsageError("--wiki goes with --title") }
        guard !has("--collection") || has("--title") || has("--user") else {
            throw UsageError("--collection goes with --title or --user")
        }
        query = Self.parameters.compactMap { name, option in
            arguments.value(option).map { "\(name)=\(APIClient.segment($0))" }
        }.joined(separator: "&")
        url = arguments.value("--url")
        tenant = try APIClient.tenant(arguments)
        isJSON = arguments.has("--json")
    }

    func run(_ context: Context) async throws {
        let api = APIClient(settings: context.settings, url: url, tenant: tenant)
        let request = HTTPClientRequest(url: api.base + "/impact?" + query)
        let bytes = try await Lane(name: "ask").run { try api.bytes(request) }
        if isJSON {
            Output.write(bytes + [0x0A])
        } else {
            Output.print(Rendering.impact(try JSONValue.parse(bytes, maxDepth: 64)))
        }
    }
}
