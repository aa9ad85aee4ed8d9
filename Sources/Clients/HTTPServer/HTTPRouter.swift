/// Which handler serves a method and path.
///
/// A pattern's segments are literal or `{name}`; a literal one wins. `HEAD` is served by the `GET` route, `OPTIONS` by
/// the router itself, unless they have routes of their own.
package struct HTTPRouter: Sendable {
    package typealias SyncHandler = @Sendable (HTTPRequest) throws -> HTTPResponse
    package typealias AsyncHandler = @Sendable (HTTPRequest) async throws -> HTTPResponse
    package typealias StreamHandler = @Sendable (HTTPRequest, HTTPStreamWriter) async throws -> Void

    /// Decides about a request by its head, before its body is read; called on the loop's thread, must be quick.
    package typealias Admission = @Sendable (_ head: HTTPRequest) -> HTTPAdmission
    /// Looks at a request that has no route; a reply of its own takes the place of 404, 405 or the answer to OPTIONS.
    package typealias Unmatched = @Sendable (_ head: HTTPRequest) -> HTTPResponse?

    /// How a route runs.
    package enum Handler: Sendable {
        /// On the loop's thread, at once: must neither block nor compute for long.
        case sync(SyncHandler)
        /// As a task on the loop's executor; cancelled when the client leaves or time is up.
        case async(AsyncHandler)
        /// As `async`, with a reply of open length.
        case stream(StreamHandler)
    }

    /// One route, as declared.
    package struct Route: Sendable {
        package let method: HTTPMethod
        package let pattern: String
        package let handler: Handler
        /// Nil for a route that takes every request.
        var admission: Admission?
        /// Whether the handler looks at bodies; else they are not kept.
        var readsBody = true
        /// The largest body, bytes; nil for the server's own bound.
        var bodyBytesMax: Int?
    }

    /// What a request leads to.
    enum Match {
        case route(Route, parameters: [String: String])
        /// `OPTIONS` without a route: `Allow`'s value.
        case options(allow: String)
        case notFound
        case methodNotAllowed(allow: String)

        /// The largest body that its route takes; nil where the server's bound holds.
        var bodyBytesMax: Int? {
            if case .route(let route, _) = self { return route.bodyBytesMax }
            return nil
        }
    }

    private struct Node: Sendable {
        var literals: [String: Int] = [:]
        /// The node behind a `{name}` segment.
        var parameter: Int?
        /// The names of the pattern's parameters, in order, per route.
        var routes: [(route: Route, names: [String])] = []
    }

    private var nodes = [Node()]
    /// Paths of patterns without parameters, by the whole path: the fast way.
    private var literalPaths: [String: Int] = [:]
    /// Every route in the order of declaration.
    package private(set) var routes: [Route] = []
    /// Asked for every request that has no route; nil lets all be answered.
    package var unmatched: Unmatched?

    package init() {}

    /// Serves `method` on `pattern`, for example `/trace/{doc_id}`, inline.
    package mutating func on(_ method: HTTPMethod, _ pattern: String, sync handler: @escaping SyncHandler) {
        add(Route(method: method, pattern: pattern, handler: .sync(handler)))
    }

    /// Serves `method` on `pattern` by a task.
    package mutating func on(_ method: HTTPMethod, _ pattern: String, async handler: @escaping AsyncHandler) {
        add(Route(method: method, pattern: pattern, handler: .async(handler)))
    }

    /// Serves `method` on `pattern` by a task that writes bit by bit.
    package mutating func on(_ method: HTTPMethod, _ pattern: String, stream handler: @escaping StreamHandler) {
        add(Route(method: method, pattern: pattern, handler: .stream(handler)))
    }

    /// Serves `method` on `pattern` by a handler of any kind.
    ///
    /// - Parameters:
    ///   - readsBody: false throws a request's body away.
    ///   - bodyBytesMax: the largest body, bytes; nil for the server's own bound.
    ///   - admission: asked first, with the request as it is without its body.
    package mutating func on(
        _ method: HTTPMethod, _ pattern: String, _ handler: Handler, readsBody: Bool = true,
        bodyBytesMax: Int? = nil, admission: Admission? = nil
    ) {
        add(
            Route(
                method: method, pattern: pattern, handler: handler, admission: admission, readsBody: readsBody,
                bodyBytesMax: bodyBytesMax))
    }

    private mutating func add(_ route: Route) {
        precondition(route.pattern.hasPrefix("/"), "a pattern starts with /")
        var node = 0
        var names: [String] = []
        for segment in segments(route.pattern) {
            if segment.hasPrefix("{"), segment.hasSuffix("}") {
                names.append(String(segment.dropFirst().dropLast()))
                if let next = nodes[node].parameter {
                    node = next
                } else {
                    nodes[node].parameter = nodes.count
                    node = nodes.count
                    nodes.append(Node())
                }
            } else if let next = nodes[node].literals[String(segment)] {
                node = next
            } else {
                nodes[node].literals[String(segment)] = nodes.count
                node = nodes.count
                nodes.append(Node())
            }
        }
        precondition(
            !nodes[node].routes.contains { $0.route.method == route.method }, "\(route.pattern) is declared twice")
        nodes[node].routes.append((route, names))
        if names.isEmpty { literalPaths[route.pattern] = node }
        routes.append(route)
    }

    /// - Parameter rawPath: not decoded yet, so that `%2F` stays inside its segment.
    func match(_ method: HTTPMethod, rawPath: String) -> Match {
        if let node = literalPaths[rawPath] { return match(method, at: node, values: []) }
        if rawPath == "*" { return .options(allow: allowed(routes.map(\.method))) }
        guard rawPath.hasPrefix("/") else { return .notFound }
        var values: [String] = []
        let parts = segments(rawPath).map { part -> String? in
            part.utf8.contains(UInt8(ascii: "%")) ? PercentCoding.decode(part.utf8) : String(part)
        }
        guard let node = find(parts[...], from: 0, values: &values) else { return .notFound }
        return match(method, at: node, values: values)
    }

    private func find(_ parts: ArraySlice<String?>, from node: Int, values: inout [String]) -> Int? {
        guard let first = parts.first else { return nodes[node].routes.isEmpty ? nil : node }
        guard let part = first else { return nil }
        if let next = nodes[node].literals[part], let found = find(parts.dropFirst(), from: next, values: &values) {
            return found
        }
        guard let next = nodes[node].parameter, !part.isEmpty else { return nil }
        values.append(part)
        if let found = find(parts.dropFirst(), from: next, values: &values) { return found }
        values.removeLast()
        return nil
    }

    private func match(_ method: HTTPMethod, at node: Int, values: [String]) -> Match {
        let routes = nodes[node].routes
        let found =
            routes.first { $0.route.method == method }
            ?? (method == .head ? routes.first { $0.route.method == .get } : nil)
        if let found {
            guard !values.isEmpty else { return .route(found.route, parameters: [:]) }
            // The last of equal names wins.
            return .route(found.route, parameters: Dictionary(zip(found.names, values)) { $1 })
        }
        let allow = allowed(routes.map(\.route.method))
        return method == .options ? .options(allow: allow) : .methodNotAllowed(allow: allow)
    }

    private func allowed(_ methods: [HTTPMethod]) -> String {
        var names = Set(methods.map(\.name)).union(["OPTIONS"])
        if names.contains("GET") { names.insert("HEAD") }
        return names.sorted().joined(separator: ", ")
    }

    private func segments(_ path: String) -> [Substring] {
        // By bytes: a path may hold combining characters, which would join a slash before them as `Character`.
        path.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .map { Substring($0) }
    }

    /// Serves `request` without a socket, for tests; a stream is collected until it ends.
    package func respond(
        to request: HTTPRequest, shapeFault: HTTPFaultShaper = { fault, _ in fault.response }
    ) async -> HTTPResponse {
        var request = request
        do {
            switch match(request.method, rawPath: request.rawPath) {
            case .route(let route, let parameters):
                request.pathParameters = parameters
                var hold: HTTPHold?
                switch route.admission?(request) {
                case nil, .admitted: break
                case .holding(let share): hold = share
                case .refused(let response): return response
                }
                defer { withExtendedLifetime(hold) {} }
                switch route.handler {
                case .sync(let handler): return try handler(request)
                case .async(let handler): return try await handler(request)
                case .stream(let handler):
                    let writer = HTTPStreamWriter.collecting()
                    try await handler(request, writer)
                    writer.finish()
                    return writer.collected
                }
            case .options(let allow):
                return unmatched?(request) ?? HTTPResponse(status: 204, headers: ["Allow": allow])
            case .notFound:
                if let reply = unmatched?(request) { return reply }
                throw HTTPFault.notFound
            case .methodNotAllowed(let allow):
                if let reply = unmatched?(request) { return reply }
                throw HTTPFault.methodNotAllowed(allow)
            }
        } catch {
            return shapeFault(HTTPFault(from: error), request)
        }
    }
}

/// What is decided about a request before its body is read.
package enum HTTPAdmission: Sendable {
    case admitted
    /// Let in, with something set aside until it is answered.
    case holding(HTTPHold)
    case refused(HTTPResponse)
}

extension HTTPFault {
    static var notFound: HTTPFault {
        HTTPFault(status: 404, type: "not_found", loc: ["path"], message: "there is nothing at this path")
    }

    static func methodNotAllowed(_ allow: String) -> HTTPFault {
        HTTPFault(
            status: 405, type: "method_not_allowed", loc: ["method"], message: "this path takes \(allow)",
            headers: ["Allow": allow])
    }

    /// A handler's error: a fault as it is, an end by cancellation 503, everything else 500 without its details.
    /// What a handler threw, as a reply: a fault as it is, anything else without its words.
    package init(from error: any Error) {
        if let fault = error as? HTTPFault {
            self = fault
        } else if error is CancellationError {
            self.init(status: 503, type: "cancelled", message: "the request was given up before it was answered")
        } else {
            self.init(status: 500, type: "internal_error", message: "the request failed inside the server")
        }
    }
}
