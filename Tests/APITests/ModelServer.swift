import Bytes
import HTTPServer
import JSONScan
import Synchronization

/// A server that speaks `/v1/chat/completions`, as it is told, over HTTP.
final class ModelServer: Sendable {
    /// What it does with a request.
    enum Script: Sendable {
        /// Streams this text in pieces of so many bytes of the stream, the events cut anywhere.
        case says(String, pieceBytes: Int = 7)
        /// What it says depends on the request.
        case answers(@Sendable (JSONValue) -> String)
        /// One JSON document in place of a stream.
        case whole(String)
        /// The bytes of a reply.
        case raw(String, type: String = "text/event-stream")
        case status(Int, String = "", retryAfter: Int? = nil)
        /// Says the text, then leaves off in the middle of the stream.
        case cut(String)
        /// A byte now and then, without end.
        case drip
        /// Says the text and then nothing, until the client leaves.
        case hangs(String)
        /// So many bytes of text.
        case floods(Int)
    }

    let port: UInt16
    /// In their order; the last one is for all that follow.
    let scripts = Mutex<[Script]>([])
    let asked = Mutex<[JSONValue]>([])
    let keys = Mutex<[String?]>([])
    /// When clients left that were being answered, by the monotonic clock.
    let left = Mutex<[Int64]>([])
    private let server: HTTPServer

    init(_ scripts: Script...) throws {
        let shared = Shared()
        var router = HTTPRouter()
        router.on(.post, "/v1/chat/completions") { request, writer in
            guard let model = shared.server.withLock({ $0 }) else { return }
            try await model.serve(request, writer)
        }
        server = HTTPServer(configuration: HTTPServerConfiguration(), router: router)
        port = try server.start()
        self.scripts.withLock { $0 = scripts }
        shared.server.withLock { $0 = self }
    }

    var url: SecretURL { SecretURL("http://127.0.0.1:\(port)/v1") }

    func stop() { server.stop(drainSeconds: 0) }

    /// The handler is made before the server that it belongs to.
    private final class Shared: Sendable {
        let server = Mutex<ModelServer?>(nil)
    }

    private func serve(_ request: HTTPRequest, _ writer: HTTPStreamWriter) async throws {
        let body = try JSONValue.parse(request.body)
        asked.withLock { $0.append(body) }
        keys.withLock { $0.append(request.headers["Authorization"]) }
        let script = scripts.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
        switch script {
        case .says(let text, let piece): try await send(Self.stream(text), piece, writer)
        case .answers(let say): try await send(Self.stream(say(body)), 1_000, writer)
        case .whole(let text): respond(writer, 200, Self.completion(text))
        case .raw(let text, let type):
            writer.respond(HTTPResponse(status: 200, headers: ["Content-Type": type], body: Array(text.utf8)))
        case .status(let status, let text, let retryAfter):
            var headers: HTTPHeaders = ["Content-Type": "application/json"]
            if let retryAfter { headers.add("Retry-After", String(retryAfter)) }
            writer.respond(HTTPResponse(status: status, headers: headers, body: Array(text.utf8)))
        case .cut(let text):
            writer.start(headers: ["Content-Type": "text/event-stream"])
            try await writer.write(Array(Self.events(text).utf8))
        case .hangs(let text):
            writer.start(headers: ["Content-Type": "text/event-stream"])
            try await writer.write(Array((": thinking\n\n" + Self.events(text)).utf8))
            await untilLeft(writer)
        case .drip:
            writer.start(headers: ["Content-Type": "text/event-stream"])
            while !writer.isClosed {
                try await writer.write(Array(": .\n".utf8))
                try await Task.sleep(for: .milliseconds(20))
            }
        case .floods(let bytes):
            writer.start(headers: ["Content-Type": "text/event-stream"])
            let piece = Array(Self.events(String(repeating: "x", count: 60_000)).utf8)
            var sent = 0
            while sent < bytes, !writer.isClosed {
                try await writer.write(piece)
                sent += piece.count
            }
        }
    }

    private func untilLeft(_ writer: HTTPStreamWriter) async {
        while !writer.isClosed, !Task.isCancelled { try? await Task.sleep(for: .milliseconds(2)) }
        left.withLock { $0.append(SystemClock.monotonicNanoseconds()) }
    }

    private func respond(_ writer: HTTPStreamWriter, _ status: Int, _ text: String) {
        writer.respond(
            HTTPResponse(status: status, headers: ["Content-Type": "application/json"], body: Array(text.utf8)))
    }

    private func send(_ text: String, _ piece: Int, _ writer: HTTPStreamWriter) async throws {
        writer.start(headers: ["Content-Type": "text/event-stream; charset=utf-8"])
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            try await writer.write(Array(rest.prefix(piece)))
            rest = rest.dropFirst(piece)
        }
    }

    /// Events of one character or a few, with the line ends that some servers write.
    static func events(_ text: String) -> String {
        var events = ""
        var rest = Substring(text)
        while !rest.isEmpty {
            let piece = rest.prefix(max(1, min(64, text.count / 40)))
            var json = JSONWriter()
            json.string(String(piece))
            let content = String(decoding: json.bytes, as: UTF8.self)
            events += "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\(content)}}]}\r\n\r\n"
            rest = rest.dropFirst(piece.count)
        }
        return events
    }

    static func stream(_ text: String) -> String {
        ": connected\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n" + events(text)
            + "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
            + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n"
    }

    static func completion(_ text: String) -> String {
        var json = JSONWriter()
        json.string(text)
        return
            "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\(String(decoding: json.bytes, as: UTF8.self))},"
            + "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}}"
    }

    /// The JSON that a model is asked for.
    static func json(_ sentences: [(String, [Int])]) -> String {
        var json = JSONWriter()
        json.beginObject()
        json.bool("refused", sentences.isEmpty)
        json.key("sentences")
        json.beginArray()
        for (text, citations) in sentences {
            json.beginObject()
            json.string("text", text)
            json.key("citations")
            json.beginArray()
            for number in citations { json.integer(number) }
            json.endArray()
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return String(decoding: json.bytes, as: UTF8.self)
    }
}
