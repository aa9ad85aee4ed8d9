import Bytes
package import HTTPServer

/// Endpoints with their handlers: makes the router and the OpenAPI document of all of them.
package struct EndpointSet: Sendable {
    private struct Entry: Sendable {
        let description: EndpointDescription
        let handler: @Sendable (EndpointSurroundings) -> HTTPRouter.Handler
    }

    private var entries: [Entry] = []
    /// What every endpoint of the set goes through; set before ``router()``.
    package var surroundings = EndpointSurroundings()

    package init() {}

    /// What was added, in order.
    package var descriptions: [EndpointDescription] { entries.map(\.description) }

    /// Serves `endpoint` on the loop's thread: `handler` must neither block nor compute for long.
    package mutating func add<Input>(
        _ endpoint: Endpoint<Input>, inline handler: @escaping @Sendable (Input, HTTPRequest) throws -> HTTPResponse
    ) {
        let description = EndpointDescription(endpoint)
        let form = endpoint.input
        add(description) { surroundings in
            .sync { request in
                let started = SystemClock.monotonicNanoseconds()
                var response: HTTPResponse
                do {
                    _ = try Self.begin(request, description, surroundings)
                    response = try handler(try form.read(request), request)
                } catch {
                    response = surroundings.reply(error, request, description)
                }
                surroundings.finish(
                    request, description, &response, SystemClock.monotonicNanoseconds() - started)
                return response
            }
        }
    }

    /// Serves `endpoint` by a task, off the loop's thread.
    package mutating func add<Input>(
        _ endpoint: Endpoint<Input>,
        async handler: @escaping @Sendable (Input, HTTPRequest) async throws -> HTTPResponse
    ) {
        let description = EndpointDescription(endpoint)
        let form = endpoint.input
        add(description) { surroundings in
            .async { request in
                let started = SystemClock.monotonicNanoseconds()
                // Handlers compute for milliseconds: not on the event loop's thread.
                return await withTaskExecutorPreference(globalConcurrentExecutor) {
                    var response: HTTPResponse
                    do {
                        _ = try Self.begin(request, description, surroundings)
                        response = try await handler(try form.read(request), request)
                    } catch {
                        response = surroundings.reply(error, request, description)
                    }
                    surroundings.finish(
                        request, description, &response, SystemClock.monotonicNanoseconds() - started)
                    return response
                }
            }
        }
    }

    /// Serves `endpoint` by a task that may write its reply bit by bit. The handler gets the media type that was
    /// negotiated; what it throws before the stream starts is a reply as any other.
    package mutating func add<Input>(
        _ endpoint: Endpoint<Input>,
        stream handler: @escaping @Sendable (Input, HTTPRequest, String, HTTPStreamWriter) async throws -> Void
    ) {
        let description = EndpointDescription(endpoint)
        let form = endpoint.input
        add(description) { surroundings in
            .stream { request, writer in
                let started = SystemClock.monotonicNanoseconds()
                await withTaskExecutorPreference(globalConcurrentExecutor) {
                    do {
                        let type = try Self.begin(request, description, surroundings)
                        try await handler(try form.read(request), request, type, writer)
                    } catch {
                        guard !writer.isStarted else { return writer.abort() }
                        var response = surroundings.reply(error, request, description)
                        surroundings.finish(
                            request, description, &response, SystemClock.monotonicNanoseconds() - started)
                        writer.respond(response)
                    }
                }
            }
        }
    }

    private mutating func add(
        _ description: EndpointDescription, handler: @escaping @Sendable (EndpointSurroundings) -> HTTPRouter.Handler
    ) {
        precondition(!entries.contains { $0.description.id == description.id }, "\(description.id) is declared twice")
        entries.append(Entry(description: description, handler: handler))
    }

    /// What comes before reading: admission and the reply's type.
    ///
    /// - Returns: the media type to reply in; empty where the endpoint has no body.
    private static func begin(
        _ request: HTTPRequest, _ description: EndpointDescription, _ surroundings: EndpointSurroundings
    ) throws -> String {
        try surroundings.admit(request, description)
        guard let first = description.offered.first else { return "" }
        guard let accept = request.headers["accept"] else { return first }
        guard let place = MediaType.choose(accept, from: description.offered) else {
            throw EndpointError(
                status: 406, type: "not_acceptable",
                message: "this can be had as \(description.offered.joined(separator: ", "))",
                faults: [
                    InputFault(
                        type: "not_acceptable", location: [.name("header"), .name("accept")],
                        message: "takes none of \(description.offered.joined(separator: ", "))",
                        input: .string(accept))
                ])
        }
        return description.offered[place]
    }

    /// All endpoints on a router.
    package func router() -> HTTPRouter {
        var router = HTTPRouter()
        for entry in entries {
            router.on(entry.description.method, entry.description.path, entry.handler(surroundings))
        }
        return router
    }
}
