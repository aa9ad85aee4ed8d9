import Bytes
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
import Testing

/// An endpoint that reads from everywhere.
private struct OrderInput: Sendable {
    enum Size: String, Sendable, CaseIterable { case small, large }
    struct Item: Sendable {
        var name = ""
        var count = 1
    }
    struct Body: Sendable {
        var items: [Item] = []
        var note: String?

    }
    var shop = ""
    var limit = 10
    var size = Size.small
    var tags: [String] = []
    var isUrgent: Bool?
    var token: String?
    var body = Body()

    static let item = Form<Item>.object(
        Item(),
        [
            Field("name", \.name, .string(1...5), "Its name.", example: .string("nut"), isRequired: true),
            Field("count", \.count, .integer(1...9)),
        ]
    ).named("Item")
    static let bodyForm = Form<Body>.object(
        Body(),
        [
            Field("items", \.items, .list(of: item, countMax: 3), isRequired: true),
            Field("note", \.note, Form<String>.string(0...20, notBlank: true).optional),
        ]
    ) { body, reading in
        if body.items.map(\.count).reduce(0, +) > 10 {
            reading.fault("too_many", "at most 10 pieces", at: [.name("items")])
        }
    }
    static let form = InputForm(
        OrderInput(),
        [
            Parameter(.path, "shop", \.shop, .string(2...8)),
            Parameter(.query, "limit", \.limit, .integer(1...50), "How many."),
            Parameter(.query, "size", \.size, .choice),
            Parameter(.query, "tag", \.tags, .list(of: .string(1...3), countMax: 2)),
            Parameter(.query, "urgent", \.isUrgent, Form<Bool>.bool.optional),
            Parameter(.header, "X-Token", \.token, Form<String>.string(3...3).optional),
        ], body: BodyForm(\.body, bodyForm))
    static let endpoint = Endpoint(
        .post, "/shops/{shop}/orders", id: "order", tag: "Orders", summary: "Orders something", input: form,
        replies: [.json(200, "What was read.", .anyObject()), .error(404, "No such shop.")])
}

@Suite struct EndpointTests {
    static func router() -> HTTPRouter {
        var set = EndpointSet()
        set.add(
            OrderInput.endpoint,
            inline: { input, _ in
                var writer = JSONWriter()
                writer.beginObject()
                writer.key("read")
                writer.string(
                    "\(input.shop) \(input.limit) \(input.size) \(input.tags) \(input.isUrgent.map(String.init) ?? "-") "
                        + "\(input.token ?? "-") \(input.body.items.map { "\($0.name)*\($0.count)" }) "
                        + "\(input.body.note ?? "-")")
                writer.endObject()
                return .json(writer.bytes)
            })
        return set.router()
    }

    struct Case: Sendable, CustomStringConvertible {
        var target = "/shops/main/orders"
        var headers: HTTPHeaders = ["Content-Type": "application/json"]
        var body: String
        var status: Int
        /// What was read, or the faults as `where type`.
        var expected: [String]
        var description: String { "\(target) \(body)" }
    }

    private static let plainCases = [
        Case(
            body: #"{"items": [{"name": "nut"}]}"#, status: 200, expected: [#"main 10 small [] - - ["nut*1"] -"#]),
        Case(
            target: "/shops/m%2Fn/orders?limit=5&size=large&tag=a,b&urgent=true",
            headers: ["content-type": "Application/JSON; charset=utf-8", "x-token": "abc"],
            body: #"{"items": [{"name": "é", "count": 2.0}], "note": null}"#, status: 200,
            expected: [#"m/n 5 large ["a", "b"] true abc ["é*2"] -"#]),
        Case(
            target: "/shops/x/orders?limit=0&size=huge&tag=a&tag=long,c&urgent=maybe&more=1&limit=2",
            headers: ["X-Token": "toolong", "Content-Type": "application/json"],
            body: #"{"items": [{"name": "toolong", "count": 10}, {"count": "1"}, 7], "note": " ", "z": 1}"#,
            status: 422,
            expected: [
                "path.shop string_too_short", "query.more extra_forbidden", "query.limit duplicate",
                "query.limit greater_than_equal", "query.size enum", "query.tag too_long", "query.urgent bool_parsing",
                "header.X-Token string_too_long", "body.items.0.name string_too_long",
                "body.items.0.count less_than_equal", "body.items.1.count int_type", "body.items.1.name missing",
                "body.items.2 object_type", "body.note string_too_short", "body.z extra_forbidden",
            ]),
        Case(
            body: #"{"items": [{"name": "a", "count": 9}, {"name": "b", "count": 9}]}"#, status: 422,
            expected: ["body.items too_many"]),
        Case(body: #"{"items": [], "items": []}"#, status: 422, expected: ["body.items duplicate"]),
        Case(body: "", status: 422, expected: ["body missing"]),
        Case(body: "[1]", status: 422, expected: ["body object_type"]),
        Case(body: "{", status: 400, expected: ["body json_invalid"]),
        Case(
            headers: ["Content-Type": "text/plain"], body: "{}", status: 415,
            expected: ["header.content-type unsupported_media_type"]),
        Case(
            headers: ["Accept": "text/html, application/json;q=0"], body: "{}", status: 406,
            expected: ["header.accept not_acceptable"]),
        Case(
            headers: ["Accept": "*/*;q=0", "Content-Type": "application/json"], body: "{}", status: 406,
            expected: ["header.accept not_acceptable"]),
        Case(
            headers: ["Accept": "text/html;q=0.9, application/*;q=0.1", "Content-Type": "application/json"],
            body: #"{"items": []}"#, status: 200, expected: ["main 10 small [] - - [] -"]),
        // Who takes none of the types and refuses none gets the first.
        Case(
            headers: ["Accept": "text/html", "Content-Type": "application/json"],
            body: #"{"items": []}"#, status: 200, expected: ["main 10 small [] - - [] -"]),
        // Without a body there is nothing to be named.
        Case(headers: [:], body: "", status: 422, expected: ["body missing"]),
        Case(
            headers: ["Content-Type": "text/plain", "content-type": "application/json"], body: #"{"items": []}"#,
            status: 415, expected: ["header.content-type unsupported_media_type"]),
    ]

    /// What a page of another origin may send without asking (the Fetch standard's simple requests), and types that are
    /// not quite JSON.
    static let wrongTypes: [String?] = [
        nil, "text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x", "application/json; charset=utf-16", "application/json;charset=latin1",
        "application/json, text/plain", "application/jsonp", "application", "", "text/json",
    ]
    static let properTypes = [
        "application/json", "APPLICATION/JSON", "application/json; charset=UTF-8", "application/json ;charset=utf-8",
        #"application/json; charset="utf-8""#, "application/json; odata=verbose",
    ]

    static let cases: [Case] = {
        let body = #"{"items": []}"#
        let refused = wrongTypes.map { type in
            Case(
                headers: type.map { ["Content-Type": $0] } ?? [:], body: body, status: 415,
                expected: ["header.content-type unsupported_media_type"])
        }
        let taken = properTypes.map { type in
            Case(
                headers: ["Content-Type": type], body: body, status: 200, expected: ["main 10 small [] - - [] -"])
        }
        return plainCases + refused + taken
    }()

    private func check(_ one: Case, _ status: Int, _ body: [UInt8]) throws {
        let reply = try JSONValue.parse(body)
        #expect(status == one.status)
        let faults = reply["error"]?["detail"]?.array ?? []
        #expect(faults.allSatisfy { $0.object?.map(\.key) == ["type", "loc", "msg", "input"] })
        let found = faults.map { fault in
            let steps = fault["loc"]?.array?.map { $0.string ?? String($0.integer ?? -1) } ?? []
            return "\(steps.joined(separator: ".")) \(fault["type"]?.string ?? "")"
        }
        #expect(status == 200 ? [reply["read"]?.string] == one.expected : found == one.expected)
    }

    @Test(arguments: cases) func inMemory(one: Case) async throws {
        let response = await Self.router().respond(
            to: HTTPRequest(method: .post, target: one.target, headers: one.headers, body: Array(one.body.utf8)))
        try check(one, response.status, response.body)
    }

    @Test func overASocket() throws {
        try withServer(Self.router()) { port in
            let socket = try RawSocket(port: port)
            for one in Self.cases {
                let headers = one.headers.fields.map { "\($0.name): \($0.value)\r\n" }.joined()
                socket.send(
                    "POST \(one.target) HTTP/1.1\r\nHost: a\r\n\(headers)Content-Length: \(one.body.utf8.count)\r\n\r\n"
                        + one.body)
                let reply = try #require(RawReply(socket), "\(one)")
                try check(one, reply.status, Array(reply.body.utf8))
            }
        }
    }

    /// What is documented is what is checked: both come from the one declaration.
    @Test func theDocumentNamesTheConstraints() throws {
        var set = EndpointSet()
        set.add(OrderInput.endpoint, inline: { _, _ in .json([]) })
        let document = OpenAPIDocument(set, info: .init(title: "Shop", version: "1", description: "")).json
        let operation = document["paths"]?["/shops/{shop}/orders"]?["post"]
        let parameters = operation?["parameters"]?.array ?? []
        #expect(parameters.compactMap { $0["name"]?.string } == ["shop", "limit", "size", "tag", "urgent", "X-Token"])
        #expect(parameters[0]["required"]?.bool == true && parameters[0]["schema"]?["minLength"]?.integer == 2)
        #expect(
            parameters[1]["schema"]?.text == #"{"type":"integer","minimum":1,"maximum":50,"default":10}"#)
        #expect(parameters[2]["schema"]?["enum"] == .array([.string("small"), .string("large")]))
        #expect(parameters[2]["schema"]?["default"]?.string == "small")
        #expect(parameters[4]["schema"]?["type"]?.string == "boolean", "a parameter's text is never null")
        let item = document["components"]?["schemas"]?["Item"]
        #expect(item?["required"] == .array([.string("name")]))
        #expect(item?["properties"]?["name"]?["examples"] == .array([.string("nut")]))
        #expect(item?["properties"]?["count"]?["default"]?.integer == 1)
        #expect(item?["additionalProperties"]?.bool == false)
        let statuses = operation?["responses"]?.object?.map(\.key)
        #expect(statuses == ["200", "400", "404", "406", "413", "414", "415", "422"])
    }

    @Test(
        arguments: [
            (nil, 0), ("*/*", 0), ("text/event-stream", 1), ("application/json, text/event-stream", 0),
            ("application/json;q=0.5, text/event-stream;q=0.8", 1), ("text/*", 1), ("image/png", nil),
            ("text/event-stream;q=0, */*", 0), ("garbage", 0), ("*/*;q=0", nil),
            // Numbers to Swift, and no qualities (RFC 9110, section 12.4.2).
            ("application/json;q=nan", nil), ("application/json;q=inf", 0), ("*/*;q=1e999", 0), ("*/*;q=-1e999", nil),
        ] as [(String?, Int?)]) func acceptIsNegotiated(accept: String?, place: Int?)
    {
        #expect(MediaType.choose(accept, from: [MediaType.json, MediaType.events]) == place)
    }

    /// Generated clients accept the type of the errors only; a reply in another type is better than none.
    @Test(
        arguments: [
            (nil, ["text/plain"], 0), ("application/json", ["text/plain"], 0),
            ("image/png, text/csv", ["text/html"], 0),
            ("application/json", [MediaType.json, MediaType.events], 0),
            ("text/html", [MediaType.json, MediaType.events], 0),
            ("text/event-stream", [MediaType.json, MediaType.events], 1),
            ("application/json;q=0", [MediaType.json, MediaType.events], 1),
            ("application/json, text/plain;q=0", ["text/plain"], nil), ("*/*;q=0", ["text/plain"], nil),
            ("text/*;q=0, application/json", ["text/html"], nil), ("text/*;q=0, text/html", ["text/html"], 0),
            ("*/*;q=0, application/json", [MediaType.json, MediaType.events], 0),
        ] as [(String?, [String], Int?)]) func whoTakesNothingGetsTheFirst(
            accept: String?, offered: [String], place: Int?
        )
    {
        #expect(MediaType.reply(accept, from: offered) == place)
    }
}
