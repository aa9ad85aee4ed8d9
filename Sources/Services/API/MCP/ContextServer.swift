import Bytes
import Concurrency
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan

/// `POST /mcp`: the Model Context Protocol over HTTP (https://modelcontextprotocol.io/specification, "Streamable HTTP"), without
/// sessions: each request says all that it takes, so that any process can serve it. The server sends nothing of its own accord;
/// `GET` gets 405.
package struct ContextServer: Sendable {
    let tools: [ContextTool]
    let access: AccessGuard
    /// Whose pages may ask.
    let pages: LocalTrust
    let faults: FaultReplies
    let turns: RequestTurns

    /// The versions that are spoken, the newest first.
    static let versions = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
    /// The one that a client speaks which names none (specification of 2025-06-18, "Protocol Version Header").
    static let versionUnnamed = "2025-03-26"
    /// Those that have batches.
    static let versionsOfBatches: Set<String> = [versionUnnamed, "2024-11-05"]
    /// The header that names it.
    package static let versionHeader = "MCP-Protocol-Version"
    /// Messages of one batch: they share the time of one request.
    static let batchMax = 10

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.context, async: { input, request in try await serve(input.message, request) })
    }

    private func serve(_ message: JSONValue, _ request: HTTPRequest) async throws -> HTTPResponse {
        try checkOrigin(request)
        let version = request.headers[Self.versionHeader] ?? Self.versionUnnamed
        guard Self.versions.contains(version) else {
            return Self.refusal(Self.unsupported(version), id: RPCMessage.id(of: message))
        }
        guard case .array(let batch) = message else {
            let message = RPCMessage(message)
            if case .invalid(let id, let error) = message { return Self.refusal(error, id: id) }
            guard let reply = try await reply(to: message, request) else { return HTTPResponse(status: 202) }
            return .fresh(reply)
        }
        guard Self.versionsOfBatches.contains(version) else {
            return Self.refusal(
                RPCError(.invalidRequest, "\(version) has no batches: send each message in a request of its own"))
        }
        guard (1...Self.batchMax).contains(batch.count) else {
            return Self.refusal(RPCError(.invalidRequest, "a batch must hold 1 to \(Self.batchMax) messages"))
        }
        let replies = try await RequestTurns.$shared.withValue(turns.deadline) {
            var replies: [[UInt8]] = []
            for (place, message) in batch.enumerated() {
                if let reply = try await reply(to: RPCMessage(message), atPlace: place, request) {
                    replies.append(reply)
                }
            }
            return replies
        }
        guard !replies.isEmpty else { return HTTPResponse(status: 202) }
        return .fresh([UInt8(ascii: "[")] + replies.joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "]")])
    }

    /// A page of another site must not ask in the name of who looks at it, through a name that points here (DNS rebinding).
    private func checkOrigin(_ request: HTTPRequest) throws {
        guard let origin = request.headers["origin"], !pages.takes(origin: origin) else { return }
        throw access.refusal(.origin(origin))
    }

    private static func refusal(_ error: RPCError, id: JSONValue = .null) -> HTTPResponse {
        .fresh(error.reply(to: id), status: 400)
    }

    private static func unsupported(_ version: String) -> RPCError {
        RPCError(
            .unsupportedVersion, "\(versionHeader) names a version that is not spoken here",
            data: .object([
                ("supported", .array(versions.map(JSONValue.string))),
                ("requested", .string(String(version.prefix(40)))),
            ]))
    }

    /// One message of a batch. The first one is paid for: it is the request.
    private func reply(to message: RPCMessage, atPlace place: Int, _ request: HTTPRequest) async throws -> [UInt8]? {
        guard case .request(let id, let method, _) = message else { return try await reply(to: message, request) }
        if method == "initialize" {
            return RPCError(.invalidRequest, "initialize must not be part of a batch").reply(to: id)
        }
        do {
            if place > 0 { try access.countAgain(request) }
        } catch {
            return RPCError(faults.told(error, Contract.context.path, request)).reply(to: id)
        }
        return try await reply(to: message, request)
    }

    /// - Returns: nil where none is wanted.
    /// - Throws: `CancellationError` alone.
    private func reply(to message: RPCMessage, _ request: HTTPRequest) async throws -> [UInt8]? {
        switch message {
        case .notification, .response: return nil
        case .invalid(let id, let error): return error.reply(to: id)
        case .request(let id, let method, let params):
            do throws(RPCError) {
                guard case .object = params else { throw RPCError(.invalidParams, "params must be an object") }
                switch method {
                case "initialize": return Self.result(id, try initialized(params))
                case "ping": return Self.result(id, Array("{}".utf8))
                case "tools/list": return Self.result(id, try listed(params))
                case "tools/call":
                    let (tool, arguments) = try self.tool(params)
                    return Self.result(id, try await called(tool, arguments, request))
                default:
                    throw RPCError(
                        .methodNotFound, "there is no method \(String(method.prefix(80))); this server has tools alone")
                }
            } catch {
                if Task.isCancelled { throw CancellationError() }
                return error.reply(to: id)
            }
        }
    }

    private static func result(_ id: JSONValue, _ result: [UInt8]) -> [UInt8] {
        var json = JSONWriter(capacity: result.count + 100)
        json.beginObject()
        json.string("jsonrpc", "2.0")
        json.key("id")
        json.value(id)
        json.key("result")
        json.raw(result)
        json.endObject()
        return json.bytes
    }

    // MARK: Methods

    private func initialized(_ params: JSONValue) throws(RPCError) -> [UInt8] {
        guard let wanted = params["protocolVersion"]?.string else {
            throw RPCError(.invalidParams, "protocolVersion must be a string")
        }
        var json = JSONWriter()
        json.beginObject()
        // Another one than the client wants is an offer: it goes, or takes it.
        json.string("protocolVersion", Self.versions.contains(wanted) ? wanted : Self.versions[0])
        json.key("capabilities")
        json.beginObject()
        json.key("tools")
        json.beginObject()
        json.endObject()
        json.endObject()
        json.key("serverInfo")
        json.beginObject()
        json.string("name", "medallion")
        json.string("title", "Medallion")
        json.string("version", Product.version)
        json.endObject()
        json.string(
            "instructions",
            "Searches, answers and traces over a stream of documents whose index is kept fresh. Ask `answer` for facts with "
                + "citations, `search` for documents, `recent` for what is new, `trace` for where a document comes from. "
                + ContextTool.warning)
        json.endObject()
        return json.bytes
    }

    private func listed(_ params: JSONValue) throws(RPCError) -> [UInt8] {
        if let cursor = params["cursor"], !cursor.isNull {
            throw RPCError(.invalidParams, "the tools are one page: leave cursor out")
        }
        var json = JSONWriter(capacity: 32_768)
        json.beginObject()
        json.key("tools")
        json.beginArray()
        for tool in tools { tool.describe(to: &json) }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    private func tool(_ params: JSONValue) throws(RPCError) -> (ContextTool, arguments: JSONValue) {
        let name = params["name"]?.string ?? ""
        guard let tool = tools.first(where: { $0.name == name }) else {
            throw RPCError(
                .invalidParams,
                "there is no tool of the name “\(String(name.prefix(80)))”; there are "
                    + tools.map(\.name).joined(separator: ", "))
        }
        let arguments = params["arguments"] ?? .object([])
        return (tool, arguments.isNull ? .object([]) : arguments)
    }

    /// What goes wrong in a tool is its result: a model reads it, and can do better.
    private func called(_ tool: ContextTool, _ arguments: JSONValue, _ request: HTTPRequest) async throws(RPCError)
        -> [UInt8]
    {
        do {
            if let shared = RequestTurns.shared, shared.hasPassed {
                throw WaitError.timeout("the batch", milliseconds: shared.limitMilliseconds)
            }
            let reply = try await tool.call(arguments, request)
            return Self.toolResult(String(decoding: reply, as: UTF8.self), structured: reply)
        } catch {
            if error is CancellationError { throw RPCError(.internalError, "the request was given up") }
            return Self.toolResult(ContextTool.text(of: faults.told(error, Contract.context.path, request)))
        }
    }

    /// - Parameter structured: the same as JSON; nil for an error.
    private static func toolResult(_ text: String, structured: [UInt8]? = nil) -> [UInt8] {
        var json = JSONWriter(capacity: 2 * text.utf8.count + 200)
        json.beginObject()
        json.key("content")
        json.beginArray()
        json.beginObject()
        json.string("type", "text")
        json.string("text", text)
        json.endObject()
        json.endArray()
        if let structured {
            json.key("structuredContent")
            json.raw(structured)
        }
        json.bool("isError", structured == nil)
        json.endObject()
        return json.bytes
    }
}

/// What `POST /mcp` reads: one message, or a list of them.
struct ContextInput: Sendable {
    var message = JSONValue.null

    static let form = InputForm(
        ContextInput(),
        body: BodyForm(
            \.message,
            Form<JSONValue>(
                schema: .anything("A message of JSON-RPC 2.0, or with the protocol of 2025-03-26 a list of up to 10."),
                json: { $0 }, read: { value, _ in value }),
            examples: [
                (
                    "the tools",
                    .object([("jsonrpc", .string("2.0")), ("id", .integer(1)), ("method", .string("tools/list"))])
                )
            ]))
}

extension Contract {
    static let context = Endpoint(
        .post, "/mcp", id: "modelContext", tag: "MCP", access: reading,
        summary: "The tools `search`, `answer`, `trace` and `recent` for language models",
        details:
            "The Model Context Protocol over HTTP, versions 2025-11-25, 2025-06-18 and 2025-03-26, without sessions. "
            + "`medallion mcp` is the same over standard input and output.",
        input: ContextInput.form,
        replies: [
            .json(200, "The reply of JSON-RPC 2.0, or a list of them.", .anything()),
            EndpointReply(202, "Taken; there is nothing to reply."),
            .json(400, "No message of the protocol, or a version that is not spoken.", RPCError.schema),
            .json(503, "A dependency is not available.", RPCError.schema),
            .json(504, "The time limit passed.", RPCError.schema),
        ], errors: RPCError.schema)
}
