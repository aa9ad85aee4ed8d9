import Forms
package import JSONScan

/// The OpenAPI 3.1 document of a set of endpoints.
package struct OpenAPIDocument: Sendable {
    /// Name, version and description of the API.
    package struct Info: Sendable {
        let title: String
        let version: String
        let description: String

        package init(title: String, version: String, description: String) {
            self.title = title
            self.version = version
            self.description = description
        }
    }

    /// The whole document.
    package let json: JSONValue

    /// - Parameters:
    ///   - securitySchemes: by name; each gives the roles that endpoints ask for. Empty where none does.
    ///   - others: schemes that let callers in to single endpoints, by these endpoints' ids.
    package init(
        _ set: EndpointSet, info: Info, securitySchemes: [(name: String, value: JSONValue)] = [],
        others: [String: (name: String, value: JSONValue)] = [:]
    ) {
        var components: [(name: String, schema: Schema)] = []
        var paths: [(key: String, value: JSONValue)] = []
        for description in set.descriptions {
            let (operation, used) = Self.operation(
                description, common: set.surroundings.replies(description.access),
                set.surroundings.parameters(description.access), securitySchemes, others[description.id]?.name)
            for component in used where !components.contains(where: { $0.name == component.name }) {
                components.append(component)
            }
            let member = (key: Self.lowercased(description.method.name), value: operation)
            if let place = paths.firstIndex(where: { $0.key == description.path }) {
                paths[place].value = .object((paths[place].value.object ?? []) + [member])
            } else {
                paths.append((key: description.path, value: .object([member])))
            }
        }
        var parts: [(key: String, value: JSONValue)] = [
            ("schemas", .object(components.sorted { $0.name < $1.name }.map { (key: $0.name, value: $0.schema.json) }))
        ]
        let schemes = securitySchemes + others.values.sorted { $0.name < $1.name }
        if !schemes.isEmpty {
            parts.append(("securitySchemes", .object(schemes.map { (key: $0.name, value: $0.value) })))
        }
        json = .object([
            ("openapi", .string("3.1.0")),
            (
                "info",
                .object([
                    ("title", .string(info.title)), ("version", .string(info.version)),
                    ("description", .string(info.description)),
                ])
            ),
            ("paths", .object(paths)), ("components", .object(parts)),
        ])
    }

    private static func lowercased(_ name: String) -> String {
        String(decoding: name.utf8.map { $0 &- UInt8(ascii: "A") < 26 ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    private static func operation(
        _ endpoint: EndpointDescription, common: [EndpointReply], _ commonParameters: [EndpointParameter],
        _ security: [(name: String, value: JSONValue)], _ other: String?
    ) -> (JSONValue, [(name: String, schema: Schema)]) {
        var used: [(name: String, schema: Schema)] = []
        func use(_ schema: Schema) -> JSONValue {
            used += schema.components
            return schema.json
        }
        var members: [(key: String, value: JSONValue)] = [
            ("operationId", .string(endpoint.id)), ("tags", .array([.string(endpoint.tag)])),
            ("summary", .string(endpoint.summary)),
        ]
        if !endpoint.details.isEmpty { members.append(("description", .string(endpoint.details))) }
        let parameters =
            endpoint.parameters
            + commonParameters.map { ($0.place, $0.name, isRequired: false, isList: false, $0.help, $0.schema) }
        if !parameters.isEmpty {
            members.append(
                (
                    "parameters",
                    .array(
                        parameters.map { parameter in
                            var fields: [(key: String, value: JSONValue)] = [
                                ("name", .string(parameter.name)), ("in", .string(parameter.place)),
                                ("required", .bool(parameter.isRequired)),
                            ]
                            if !parameter.help.isEmpty { fields.append(("description", .string(parameter.help))) }
                            if parameter.isList, parameter.place == "query" {
                                fields += [("style", .string("form")), ("explode", .bool(false))]
                            }
                            fields.append(("schema", use(Self.withoutNull(parameter.schema))))
                            return .object(fields)
                        })
                ))
        }
        if let body = endpoint.body {
            var media: [(key: String, value: JSONValue)] = [("schema", use(body.schema))]
            if !body.examples.isEmpty {
                let examples = body.examples.map { (key: $0.name, value: JSONValue.object([("value", $0.value)])) }
                media.append(("examples", .object(examples)))
            }
            members.append(
                (
                    "requestBody",
                    .object([
                        ("required", .bool(true)),
                        ("content", .object(body.types.map { (key: $0, value: JSONValue.object(media)) })),
                    ])
                ))
        }
        var replies: [(key: String, value: JSONValue)] = []
        let refusals = (own(endpoint) + common).map { $0.inShape(endpoint.errors) }
        for reply in (endpoint.replies + refusals).sorted(by: { $0.status < $1.status })
        where !replies.contains(where: { $0.key == "\(reply.status)" }) {
            var fields: [(key: String, value: JSONValue)] = [("description", .string(reply.summary))]
            if !reply.content.isEmpty {
                let content = reply.content.map {
                    (key: $0.type, value: JSONValue.object([("schema", use($0.schema))]))
                }
                fields.append(("content", .object(content)))
            }
            replies.append(("\(reply.status)", .object(fields)))
        }
        members.append(("responses", .object(replies)))
        if !security.isEmpty { members.append(("security", requirement(endpoint.access, security, other))) }
        return (.object(members), used)
    }

    /// Any of the schemes, with the role that is needed (OpenAPI 3.1, Security Requirement Object); `{}` for none.
    private static func requirement(
        _ access: EndpointAccess, _ schemes: [(name: String, value: JSONValue)], _ other: String?
    ) -> JSONValue {
        func any(_ role: String) -> [JSONValue] {
            var any: [JSONValue] = schemes.map { .object([($0.name, .array([.string(role)]))]) }
            if let other { any.append(.object([(other, .array([]))])) }
            return any
        }
        switch access {
        case .probe, .open: return .array([])
        case .role(let role): return .array(any(role))
        case .roleOrAnonymous(let role): return .array(any(role) + [.object([])])
        }
    }

    /// A parameter's text cannot be null.
    private static func withoutNull(_ schema: Schema) -> Schema {
        var schema = schema
        if let types = schema["type"]?.array, let first = types.first, types.count == 2 { schema["type"] = first }
        if let choices = schema["enum"]?.array { schema["enum"] = .array(choices.filter { !$0.isNull }) }
        return schema
    }

    /// What the machinery replies by itself.
    private static func own(_ endpoint: EndpointDescription) -> [EndpointReply] {
        var replies: [EndpointReply] = [
            .error(400, "The request cannot be read."),
            .error(406, "`Accept` refuses every type of the reply with `q=0`."),
            .error(422, "Values are wrong; `detail` names all of them."),
        ]
        if endpoint.parameters.contains(where: { $0.place == "query" }) {
            replies.append(.error(414, "Path and query together are too long."))
        }
        if let body = endpoint.body {
            let types = body.types.map { "`\($0)`" }.joined(separator: " or ")
            replies += [
                .error(413, "The body is too large."),
                .error(415, "The body is not sent as \(types), or its type is not said."),
            ]
        }
        return replies
    }
}
