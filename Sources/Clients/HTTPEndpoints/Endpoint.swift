package import Forms
package import HTTPServer
import JSONScan

/// One reply that an endpoint may give.
package struct EndpointReply: Sendable {
    let status: Int
    let summary: String
    /// Schemas by media type; the first type is what a client without a preference gets.
    let content: [(type: String, schema: Schema)]

    package init(_ status: Int, _ summary: String, _ content: [(type: String, schema: Schema)] = []) {
        self.status = status
        self.summary = summary
        self.content = content
    }

    /// A reply with a JSON body.
    package static func json(_ status: Int, _ summary: String, _ schema: Schema) -> EndpointReply {
        EndpointReply(status, summary, [(MediaType.json, schema)])
    }

    /// A fault, in ``EndpointError``'s shape.
    package static func error(_ status: Int, _ summary: String) -> EndpointReply {
        .json(status, summary, EndpointError.schema)
    }

    /// The same reply with a body of another shape.
    func inShape(_ schema: Schema) -> EndpointReply { .json(status, summary, schema) }
}

/// A parameter that endpoints take beside their own input.
package struct EndpointParameter: Sendable {
    let place: String
    let name: String
    let help: String
    let schema: Schema

    /// - Parameters:
    ///   - place: where it stands in a request.
    ///   - help: a sentence or two, for the document.
    package init(_ place: Parameter<Void>.Place, _ name: String, _ schema: Schema, _ help: String) {
        self.place = place.rawValue
        self.name = name
        self.schema = schema
        self.help = help
    }
}

/// Who may ask an endpoint. What a role is and who has it is the business of ``EndpointSurroundings/admit``.
package enum EndpointAccess: Sendable, Equatable {
    /// Anyone, and as often as they like: for probes.
    case probe
    /// Anyone.
    case open
    /// Callers with that role, or a higher one.
    case role(String)
    /// The same, and anyone where the deployment lets anonymous requests in.
    case roleOrAnonymous(String)
}

/// One endpoint's declaration: what it reads, what it replies, and the words of its documentation. Parsing, validation
/// and the OpenAPI document come from it.
package struct Endpoint<Input: Sendable>: Sendable {
    package let method: HTTPMethod
    /// With `{names}` in it, each a path parameter of `input`.
    package let path: String
    /// Unique among all endpoints.
    package let id: String
    package let summary: String
    package let details: String
    /// The heading that it is listed under.
    package let tag: String
    package let access: EndpointAccess
    package let input: InputForm<Input>
    /// The successful replies first. What the machinery itself may reply is added to the document.
    package let replies: [EndpointReply]
    /// What the machinery's own refusals look like here; ``EndpointSurroundings/reply`` writes them.
    package let errors: Schema

    package init(
        _ method: HTTPMethod, _ path: String, id: String, tag: String, access: EndpointAccess = .open, summary: String,
        details: String = "", input: InputForm<Input>, replies: [EndpointReply], errors: Schema = EndpointError.schema
    ) {
        self.access = access
        self.method = method
        self.path = path
        self.id = id
        self.tag = tag
        self.summary = summary
        self.details = details
        self.input = input
        self.replies = replies
        self.errors = errors
    }
}

/// An endpoint as the machinery and the document see it, whatever it reads.
package struct EndpointDescription: Sendable {
    package let method: HTTPMethod
    package let path: String
    package let id: String
    package let tag: String
    /// Who may ask it.
    package let access: EndpointAccess
    let summary: String
    let details: String
    let parameters: [(place: String, name: String, isRequired: Bool, isList: Bool, help: String, schema: Schema)]
    let body: (schema: Schema, examples: [(name: String, value: JSONValue)], types: [String], bytesMax: Int?)?
    let replies: [EndpointReply]
    let errors: Schema
    /// Media types of the successful replies.
    let offered: [String]

    init<Input>(_ endpoint: Endpoint<Input>) {
        method = endpoint.method
        path = endpoint.path
        id = endpoint.id
        tag = endpoint.tag
        access = endpoint.access
        summary = endpoint.summary
        details = endpoint.details
        let input = endpoint.input
        parameters = input.parameters.map { parameter in
            (
                parameter.place.rawValue, parameter.name, parameter.isRequired, parameter.isList, parameter.help,
                parameter.schema(input.initial)
            )
        }
        body = input.body.map {
            (schema: $0.schema, examples: $0.examples, types: $0.types, bytesMax: $0.bytesMax)
        }
        let successes = endpoint.replies.filter { $0.status < 300 }
        offered = successes.flatMap { $0.content.map(\.type) }
        replies = endpoint.replies
        errors = endpoint.errors
    }
}

/// What surrounds every endpoint of a set.
package struct EndpointSurroundings: Sendable {
    /// Called once for each request when its head is there, before anything of its body is asked for, kept or read;
    /// throws what refuses it. What it returns is held until the request is answered.
    package var admit: @Sendable (HTTPRequest, EndpointDescription) throws -> HTTPHold? = { _, _ in nil }
    /// The same for a request that no endpoint takes; what it throws takes the place of 404 and 405.
    package var admitUnmatched: @Sendable (HTTPRequest) throws -> Void = { _ in }
    /// Makes a handler's own error a reply.
    package var reply: @Sendable (any Error, HTTPRequest, EndpointDescription) -> HTTPResponse = { error, request, _ in
        let error = error as? EndpointError ?? EndpointError(HTTPFault(from: error))
        return error.response(requestID: request.id)
    }
    /// Makes what refuses a request that no endpoint takes a reply.
    package var shape: @Sendable (EndpointError, HTTPRequest) -> HTTPResponse = { error, request in
        error.response(requestID: request.id)
    }
    /// Sees every whole reply of a handler before it goes out.
    package var finish: @Sendable (HTTPRequest, EndpointDescription, inout HTTPResponse) -> Void = { _, _, _ in }
    /// What an endpoint of that access reads because of the above, for the document.
    package var parameters: @Sendable (EndpointAccess) -> [EndpointParameter] = { _ in [] }
    /// Replies that an endpoint of that access may give because of the above, for the document.
    package var replies: @Sendable (EndpointAccess) -> [EndpointReply] = { _ in [] }

    package init() {}
}
