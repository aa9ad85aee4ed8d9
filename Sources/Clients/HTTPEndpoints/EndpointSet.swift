import Forms
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
                var response: HTTPResponse
                do {
                    response = try handler(try form.read(request), request)
                } catch {
                    response = surroundings.reply(error, request, description)
                }
                surroundings.finish(request, description, &response)
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
                // Handlers compute for milliseconds: not on the event loop's thread.
                await withTaskExecutorPreference(globalConcurrentExecutor) {
                    var response: HTTPResponse
                    do {
                        response = try await handler(try form.read(request), request)
                    } catch {
                        response = surroundings.reply(error, request, description)
                    }
                    surroundings.finish(request, description, &response)
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
                await withTaskExecutorPreference(globalConcurrentExecutor) {
                    do {
                        let type = try Self.type(of: request, description)
                        try await handler(try form.read(request), request, type, writer)
                    } catch {
                        guard !writer.isStarted else { return writer.abort() }
                        var response = surroundings.reply(error, request, description)
                        surroundings.finish(request, description, &response)
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

    /// What a request's head decides: who asks, the reply's type, the body's type.
    private static func admission(
        _ description: EndpointDescription, _ surroundings: EndpointSurroundings
    ) -> HTTPRouter.Admission {
        { head in
            do {
                let hold = try surroundings.admit(head, description)
                if head.headers["accept"] != nil { _ = try type(of: head, description) }
                if let body = description.body { try BodyType.check(head, among: body.types) }
                return hold.map(HTTPAdmission.holding) ?? .admitted
            } catch {
                return .refused(surroundings.reply(error, head, description))
            }
        }
    }

    /// - Returns: the media type to reply in; empty where the endpoint has no body.
    private static func type(of request: HTTPRequest, _ description: EndpointDescription) throws -> String {
        guard let first = description.offered.first else { return "" }
        guard var accept = request.headers["accept"] else { return first }
        if request.headers.count(of: "accept") > 1 { accept = request.headers.values("accept").joined(separator: ",") }
        guard let place = MediaType.reply(accept, from: description.offered) else {
            throw EndpointError(
                status: 406, type: "not_acceptable",
                message: "this can be had as \(description.offered.joined(separator: ", "))",
                faults: [
                    InputFault(
                        type: "not_acceptable", location: [.name("header"), .name("accept")],
                        message: "refuses \(description.offered.joined(separator: ", "))",
                        input: .string(accept))
                ])
        }
        return description.offered[place]
    }

    /// All endpoints on a router.
    package func router() -> HTTPRouter {
        var router = HTTPRouter()
        for entry in entries {
            let description = entry.description
            router.on(
                description.method, description.path, entry.handler(surroundings), readsBody: description.body != nil,
                bodyBytesMax: description.body?.bytesMax, admission: Self.admission(description, surroundings))
        }
        let (admit, shape) = (surroundings.admitUnmatched, surroundings.shape)
        router.unmatched = { head in
            do {
                try admit(head)
                return nil
            } catch {
                return shape(error as? EndpointError ?? EndpointError(HTTPFault(from: error)), head)
            }
        }
        return router
    }
}
