package import Forms
package import HTTPServer
package import JSONScan

/// A path, query or header parameter and where its value goes.
package struct Parameter<Root: Sendable>: Sendable {
    /// Where a parameter stands in a request.
    package enum Place: String, Sendable {
        case path, query, header
    }

    let place: Place
    let name: String
    let isRequired: Bool
    let isList: Bool
    let take: @Sendable ([String], inout Root, inout InputReading) -> Void
    let schema: @Sendable (_ initial: Root) -> Schema
    let help: String

    /// - Parameters:
    ///   - path: where the value goes; what it holds at first is the default.
    ///   - form: must have a text.
    package init<Value>(
        _ place: Place, _ name: String, _ path: any WritableKeyPath<Root, Value> & Sendable, _ form: Form<Value>,
        _ help: String = "", example: JSONValue? = nil, isRequired: Bool = false
    ) {
        self.place = place
        self.name = name
        self.isRequired = isRequired || place == .path
        self.help = help
        isList = form.isList
        let readTexts = form.readTexts
        precondition(readTexts != nil, "the parameter \(name) has a form without text")
        take = { texts, root, reading in
            if let value = readTexts?(texts, &reading) { root[keyPath: path] = value }
        }
        let isDefaulted = !self.isRequired
        schema = { initial in
            form.schema.documented(
                "", example: example, default: isDefaulted ? form.json(initial[keyPath: path]) : nil)
        }
    }
}

/// A JSON body and where it goes.
package struct BodyForm<Root: Sendable>: Sendable {
    let schema: Schema
    let take: @Sendable (JSONValue, inout Root, inout InputReading) -> Void
    /// Whole requests for the document, by name.
    let examples: [(name: String, value: JSONValue)]
    /// What it may be sent as; one of them at least.
    let types: [String]
    /// The largest one, bytes; nil for the server's own bound.
    let bytesMax: Int?
    /// Whether the handler reads the request's bytes itself.
    let isRaw: Bool
    /// Nesting that is accepted.
    static var depthMax: Int { 16 }

    package init<Value>(
        _ path: any WritableKeyPath<Root, Value> & Sendable, _ form: Form<Value>,
        examples: [(name: String, value: JSONValue)] = []
    ) {
        schema = form.schema
        self.examples = examples
        (types, bytesMax, isRaw) = ([MediaType.json], nil, false)
        take = { value, root, reading in
            if let value = form.read(value, &reading) { root[keyPath: path] = value }
        }
    }

    /// A body whose bytes the handler takes as they came, such as one with many documents.
    ///
    /// - Parameters:
    ///   - types: what it may be sent as, one at least.
    ///   - bytesMax: the largest one; nil for the server's own bound.
    package init(
        raw types: [String], schema: Schema, bytesMax: Int? = nil, examples: [(name: String, value: JSONValue)] = []
    ) {
        self.schema = schema
        self.examples = examples
        (self.types, self.bytesMax, isRaw) = (types, bytesMax, true)
        take = { _, _, _ in }
    }
}

/// All that an endpoint reads from a request.
package struct InputForm<Root: Sendable>: Sendable {
    let initial: Root
    let parameters: [Parameter<Root>]
    let body: BodyForm<Root>?
    private let pathNames: [String]
    private let hasHeaders: Bool
    private let knownQuery: String

    package init(_ initial: Root, _ parameters: [Parameter<Root>] = [], body: BodyForm<Root>? = nil) {
        self.initial = initial
        self.parameters = parameters
        self.body = body
        pathNames = parameters.filter { $0.place == .path }.map(\.name)
        hasHeaders = parameters.contains { $0.place == .header }
        let names = parameters.filter { $0.place == .query }.map(\.name).sorted()
        knownQuery = names.isEmpty ? "none" : names.joined(separator: ", ")
    }

    /// Reads and checks everything.
    ///
    /// - Throws: 422 with all faults at once; 400 for a body that is not JSON.
    package func read(_ request: HTTPRequest) throws(EndpointError) -> Root {
        var root = initial
        var reading = InputReading()
        if !pathNames.isEmpty { readPath(request, &root, &reading) }
        readQuery(request, &root, &reading)
        if hasHeaders { readHeaders(request, &root, &reading) }
        if let body, !body.isRaw {
            // FastAPI's order: parameters' and body's faults come in one list.
            let value = try Self.json(request, &reading)
            if let value { reading.at(.name("body")) { body.take(value, &root, &$0) } }
        }
        guard reading.faults.isEmpty else { throw .invalid(reading.faults) }
        return root
    }

    private func readPath(_ request: HTTPRequest, _ root: inout Root, _ reading: inout InputReading) {
        for parameter in parameters where parameter.place == .path {
            let text = request.pathParameters[parameter.name] ?? ""
            reading.at(.name("path")) { reading in
                reading.at(.name(parameter.name)) { parameter.take([text], &root, &$0) }
            }
        }
    }

    private func readQuery(_ request: HTTPRequest, _ root: inout Root, _ reading: inout InputReading) {
        let given = request.rawTarget.utf8.contains(UInt8(ascii: "?")) ? request.query : []
        for (name, value) in given where !parameters.contains(where: { $0.place == .query && $0.name == name }) {
            reading.fault(
                "extra_forbidden", "is not known; known are \(knownQuery)", at: [.name("query"), .cut(name)],
                input: .string(value))
        }
        for parameter in parameters where parameter.place == .query {
            let values = given.isEmpty ? [] : given.filter { $0.0 == parameter.name }.map(\.1)
            take(parameter, values, &root, &reading)
        }
    }

    private func readHeaders(_ request: HTTPRequest, _ root: inout Root, _ reading: inout InputReading) {
        for parameter in parameters where parameter.place == .header {
            take(parameter, request.headers.values(parameter.name), &root, &reading)
        }
    }

    private func take(
        _ parameter: Parameter<Root>, _ values: [String], _ root: inout Root, _ reading: inout InputReading
    ) {
        if values.isEmpty {
            guard parameter.isRequired else { return }
            reading.fault("missing", "is required", at: [.name(parameter.place.rawValue), .name(parameter.name)])
            return
        }
        reading.at(.name(parameter.place.rawValue)) { reading in
            reading.at(.name(parameter.name)) { reading in
                if values.count > 1, !parameter.isList {
                    reading.fault("duplicate", "is given \(values.count) times", input: .string(values[1]))
                }
                parameter.take(values, &root, &reading)
            }
        }
    }

    private static func json(
        _ request: HTTPRequest, _ reading: inout InputReading
    ) throws(EndpointError) -> JSONValue? {
        guard !request.body.isEmpty else {
            reading.fault("missing", "a JSON object is required", at: [.name("body")])
            return nil
        }
        do {
            return try JSONValue.parse(request.body, maxDepth: BodyForm<Root>.depthMax)
        } catch {
            throw EndpointError(
                status: 400, type: "json_invalid", message: "the body is not JSON: \(error)",
                faults: [InputFault(type: "json_invalid", location: [.name("body")], message: "\(error)")])
        }
    }
}
