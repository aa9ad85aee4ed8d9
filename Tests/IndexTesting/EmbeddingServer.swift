package import Bytes
import HTTPServer
package import JSONScan
import Synchronization

/// A server in this process that speaks OpenAI's `/embeddings`, as a test wants it to.
package final class EmbeddingServer: Sendable {
    package struct Request: Sendable {
        /// From 0.
        package let number: Int
        package let texts: [String]
        package let body: JSONValue
        package let authorization: String?
    }

    package enum Reply: Sendable {
        case json(String, status: Int = 200, headers: [(name: String, value: String)] = [])
        /// Says a part of it, and ends the connection.
        case cut
        /// Says nothing until the client leaves.
        case silence
    }

    /// How the members of a reply stand around the vectors, by whose reply was recorded.
    package enum Shape: String, Sendable, CaseIterable {
        case openAI, ollama, vllm, llamaCpp
    }

    package let port: UInt16
    private let asked = Mutex<[Request]>([])
    private let server: HTTPServer

    package init(_ reply: @escaping @Sendable (Request) -> Reply) throws {
        let shared = Shared()
        var router = HTTPRouter()
        router.on(.post, "/v1/embeddings") { request, writer in
            guard let server = shared.server.withLock({ $0 }) else { return }
            try await server.serve(request, writer, reply)
        }
        server = HTTPServer(configuration: HTTPServerConfiguration(), router: router)
        port = try server.start()
        shared.server.withLock { $0 = self }
    }

    package var url: SecretURL { SecretURL("http://127.0.0.1:\(port)/v1") }
    package var requests: [Request] { asked.withLock { $0 } }

    package func stop() { server.stop(drainSeconds: 0) }

    /// The handler is made before the server that it belongs to.
    private final class Shared: Sendable {
        let server = Mutex<EmbeddingServer?>(nil)
    }

    private func serve(
        _ request: HTTPRequest, _ writer: HTTPStreamWriter, _ reply: @Sendable (Request) -> Reply
    ) async throws {
        let body = try JSONValue.parse(request.body)
        let seen = asked.withLock { asked in
            let seen = Request(
                number: asked.count, texts: (body["input"]?.array ?? []).compactMap(\.string), body: body,
                authorization: request.headers["Authorization"])
            asked.append(seen)
            return seen
        }
        switch reply(seen) {
        case .json(let text, let status, let extra):
            var headers: HTTPHeaders = ["Content-Type": "application/json"]
            for (name, value) in extra { headers.add(name, value) }
            writer.respond(HTTPResponse(status: status, headers: headers, body: Array(text.utf8)))
        case .cut:
            writer.start(headers: ["Content-Type": "application/json"])
            try await writer.write(Array(#"{"object":"list","data":[{"object":"embedding","ind"#.utf8))
        case .silence:
            while !writer.isClosed, !Task.isCancelled { try? await Task.sleep(for: .milliseconds(5)) }
        }
    }

    // MARK: Replies

    /// A vector that depends only on the text, of no particular length.
    package static func vector(_ text: String, dimensions: Int) -> [Float] {
        var random = SeededGenerator(seed: text.utf8.reduce(11) { $0 &* 31 &+ UInt64($1) })
        return (0..<dimensions).map { _ in Float.random(in: -2...2, using: &random) }
    }

    package static func reply(
        _ texts: [String], dimensions: Int, _ shape: Shape = .openAI, isReversed: Bool = false,
        vector: (String) -> String? = { _ in nil }
    ) -> String {
        var entries = texts.enumerated().map { place, text in
            let own = Self.vector(text, dimensions: dimensions).map(\.description).joined(separator: ", ")
            let numbers = vector(text) ?? "[\(own)]"
            return switch shape {
            case .llamaCpp: #"{"embedding": \#(numbers), "index": \#(place), "object": "embedding"}"#
            default: #"{"object": "embedding", "index": \#(place), "embedding": \#(numbers)}"#
            }
        }
        if isReversed { entries.reverse() }
        let data = entries.joined(separator: ",\n ")
        return switch shape {
        case .openAI:
            #"{"object": "list", "data": [\#(data)], "model": "m", "usage": {"prompt_tokens": 8, "total_tokens": 8}}"#
        case .ollama:
            #"{"object":"list","data":[\#(data)],"model":"m","usage":{"prompt_tokens":8,"total_tokens":8}}"# + "\n"
        case .vllm:
            #"{"id":"embd-1","object":"list","created":1718,"model":"m","data":[\#(data)],"#
                + #""usage":{"prompt_tokens":8,"total_tokens":8,"completion_tokens":0,"prompt_tokens_details":null}}"#
        case .llamaCpp:
            #"{"model":"m","object":"list","usage":{"prompt_tokens":8,"total_tokens":8},"data":[\#(data)]}"#
        }
    }
}
