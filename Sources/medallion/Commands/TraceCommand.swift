import Concurrency
import Console
import HTTPClient
import JSONScan

/// `medallion trace`: from a document back to its event.
struct TraceCommand: Command {
    static let name = "trace"
    static let summary = "Follows a document through Gold and Silver to the raw event and checks its hash."
    static let table = ArgumentTable(
        options: [
            .init(
                name: "--collection", value: "NAME",
                help: "The document's collection, where several have a document of that id."),
            APIClient.tenantOption,
            .init(name: "--url", value: "URL", help: "The API's address, in place of API_LISTEN."),
            .init(name: "--json", value: nil, help: "The API's reply as it is."),
        ],
        positionals: [.init(name: "DOC_ID", isRequired: true, help: "As a hit or a citation gives it.")])

    private let documentID: String
    private let collection: String?
    private let url: String?
    private let tenant: String?
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        documentID = arguments.word(0) ?? ""
        collection = arguments.value("--collection")
        url = arguments.value("--url")
        tenant = try APIClient.tenant(arguments)
        isJSON = arguments.has("--json")
    }

    func run(_ context: Context) async throws {
        let api = APIClient(settings: context.settings, url: url, tenant: tenant)
        let scope = collection.map { "?collection=" + APIClient.segment($0) } ?? ""
        let request = HTTPClientRequest(url: api.base + "/trace/" + APIClient.segment(documentID) + scope)
        let bytes = try await Lane(name: "ask").run { try api.bytes(request) }
        if isJSON {
            Output.write(bytes + [0x0A])
        } else {
            Output.print(Rendering.trace(try JSONValue.parse(bytes, maxDepth: 64)))
        }
    }
}
