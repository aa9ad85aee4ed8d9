import Concurrency
import Console
import HTTPClient
import JSONScan

/// `medallion trace`: from a document or an answer back to the events.
struct TraceCommand: Command {
    static let name = "trace"
    static let summary =
        "Follows a document, or an answer's sentences, through Gold and Silver to the raw events and checks their hashes."
    static let table = ArgumentTable(
        options: [
            .init(
                name: "--collection", value: "NAME",
                help: "The document's collection, where several have a document of that id."),
            APIClient.tenantOption,
            .init(name: "--url", value: "URL", help: "The API's address, in place of API_LISTEN."),
            .init(name: "--json", value: nil, help: "The API's reply as it is."),
        ],
        positionals: [
            .init(
                name: "ANSWER_OR_DOCUMENT", isRequired: true,
                help:
                    "An answer's id (ans_ and 32 digits), or a document's as a hit or a citation gives it. With --collection it is "
                    + "a document's.")
        ])

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
        let isAnswer = collection == nil && Self.isAnswer(documentID)
        let path =
            isAnswer
            ? "/answers/\(APIClient.segment(documentID))/trace" : "/trace/\(APIClient.segment(documentID))\(scope)"
        let request = HTTPClientRequest(url: api.base + path)
        let bytes = try await Lane(name: "ask").run { try api.bytes(request) }
        if isJSON {
            Output.write(bytes + [0x0A])
        } else {
            let reply = try JSONValue.parse(bytes, maxDepth: 96)
            Output.print(isAnswer ? Rendering.answerTrace(reply) : Rendering.trace(reply))
        }
    }

    /// Whether a text is of the form that answers' ids have.
    private static func isAnswer(_ id: String) -> Bool {
        let digits = id.utf8.dropFirst(4)
        return id.hasPrefix("ans_") && digits.count == 32
            && digits.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}
