import API
import Bytes
import Concurrency
import Console
import HTTPClient
import JSONScan
import Synchronization

/// Sends messages of the Model Context Protocol to `/mcp` of the API, and writes what comes back as lines.
final class ContextRelay: Sendable {
    /// Requests that are under way at once; further ones wait.
    private static let atOnceMax = 8
    /// Requests that are under way or wait; beyond them no line is read, so that what cancels one is read before.
    static let takenMax = 64

    /// Something to send.
    struct Work: Sendable {
        let body: [UInt8]
        /// Of each request in it that wants a reply.
        let ids: [JSONValue]
        let isHandshake: Bool
        /// Set by a notification of the client.
        let cancellation: Cancellation?
    }

    final class Cancellation: Sendable {
        let isWanted = Atomic(false)
    }

    private struct State {
        /// As the handshake settled it; nil before.
        var version: String?
        /// Requests under way by the text of their ids.
        var running: [String: Cancellation] = [:]
    }

    private let api: APIClient
    private let state = Mutex(State())
    private let lanes: LanePool<Void>
    private let write: @Sendable ([UInt8]) -> Void
    /// One line after the other, whoever writes.
    private let output = Mutex(())

    /// Nesting that is accepted: more than the API's own bound, so that the API says what is wrong with it.
    private static let depthMax = 64

    /// - Parameter write: takes a line with its end.
    init(_ api: APIClient, write: @escaping @Sendable ([UInt8]) -> Void = { Output.write($0) }) {
        self.api = api
        self.write = write
        lanes = LanePool(
            name: "mcp", count: Self.atOnceMax, waitersMax: Self.takenMax, waitMillisecondsMax: 600_000, make: {})
    }

    /// Reads one line: what is to be sent of it; nil where nothing is.
    func take(_ line: MessageLines.Line) -> Work? {
        guard case .whole(let bytes) = line else {
            say(RPCError(.invalidRequest, "a message has more than \(SearchAPI.bodyBytesMax) bytes").reply(to: .null))
            return nil
        }
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(bytes, maxDepth: Self.depthMax) } catch {
            say(RPCError(.parseError, "a line is not JSON: \(error)").reply(to: .null))
            return nil
        }
        if case .array(let batch) = value {
            let ids = batch.compactMap { message -> JSONValue? in
                guard case .request(let id, _, _) = RPCMessage(message) else { return nil }
                return id
            }
            return Work(body: bytes, ids: ids, isHandshake: false, cancellation: nil)
        }
        switch RPCMessage(value) {
        case .invalid(let id, let error): say(error.reply(to: id))
        case .response: break
        case .notification:
            // The API has no sessions, so nobody there waits for one.
            if value["method"]?.string == "notifications/cancelled", let id = value["params"]?["requestId"] {
                state.withLock { $0.running[id.text] }?.isWanted.store(true, ordering: .relaxed)
            }
        case .request(let id, let method, _):
            let cancellation = Cancellation()
            state.withLock { $0.running[id.text] = cancellation }
            return Work(body: bytes, ids: [id], isHandshake: method == "initialize", cancellation: cancellation)
        }
        return nil
    }

    /// Sends it and says what comes back; nothing for what was cancelled.
    ///
    /// - Throws: ``LaneError``.
    func run(_ work: Work) async throws {
        let version = state.withLock { $0.version }
        defer {
            state.withLock { state in
                for id in work.ids where state.running[id.text] === work.cancellation { state.running[id.text] = nil }
            }
        }
        let (api, deadline) = (self.api, Deadline(milliseconds: 600_000))
        let reply = try await lanes.run(deadline: deadline) { _, _ in
            // It may have been given up while it waited.
            work.isCancelled()
                ? nil
                : Result { try api.response(Self.request(work.body, to: api, version), shouldStop: work.isCancelled) }
        }
        guard let reply, !work.isCancelled() else { return }
        switch reply {
        case .failure(let error): fail(work, RPCError(.internalError, "\(error)"))
        case .success(let response): pass(response, of: work)
        }
    }

    private static func request(_ body: [UInt8], to api: APIClient, _ version: String?) -> HTTPClientRequest {
        var request = HTTPClientRequest(
            method: "POST", url: api.base + "/mcp",
            headers: [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")],
            body: body)
        if let version { request.headers.append((ContextServer.versionHeader, version)) }
        return request
    }

    private func pass(_ response: HTTPClientResponse, of work: Work) {
        if response.status == 202 {
            if !work.ids.isEmpty { fail(work, RPCError(.internalError, "the API took a request and replied nothing")) }
            return
        }
        let value = try? JSONValue.parse(response.body, maxDepth: 4 * Self.depthMax)
        guard let value, response.status == 200 || value["error"]?["code"]?.integer != nil else {
            let hint = response.status == 404 ? ": is it this version of Medallion?" : ""
            return fail(work, RPCError(.internalError, "\(api.base)/mcp answered \(response.status)\(hint)"))
        }
        if response.status == 200 {
            if work.isHandshake, let version = value["result"]?["protocolVersion"]?.string {
                state.withLock { $0.version = version }
            }
            // Between its values JSON may have line ends, which would end the message.
            return say(response.body.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 })
        }
        // What refused the whole request names none of its messages.
        guard !work.ids.isEmpty else { return say(response.body) }
        for id in work.ids {
            say(
                Array(
                    JSONValue.object([("jsonrpc", .string("2.0")), ("id", id), ("error", value["error"] ?? .null)]).text
                        .utf8))
        }
    }

    private func fail(_ work: Work, _ error: RPCError) {
        for id in work.ids { say(error.reply(to: id)) }
    }

    private func say(_ message: [UInt8]) {
        output.withLock { _ in write(message + [0x0A]) }
    }
}

extension ContextRelay.Work {
    /// Whether the client no longer wants it.
    @Sendable func isCancelled() -> Bool { cancellation?.isWanted.load(ordering: .relaxed) == true }
}
