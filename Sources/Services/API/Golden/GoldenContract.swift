import Access
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
import Store

/// The body of `POST /golden`.
struct GoldenInput: Sendable {
    var name = ""
    var kind = GoldenQuery.Kind.search
    var query = ""
    var options: JSONValue?

    static let nameForm = Form<String>.string(1...GoldenQuery.nameBytesMax, notBlank: true)

    static let form = InputForm(
        GoldenInput(),
        body: BodyForm(
            \.self,
            Form<GoldenInput>.object(
                GoldenInput(),
                [
                    Field("name", \.name, nameForm, "Takes the place of the one of that name.", isRequired: true),
                    Field("kind", \.kind, .choice, "Whether its hits or its answer are compared."),
                    Field("query", \.query, SearchInput.queryForm, "What is asked.", isRequired: true),
                    Field(
                        "options", \.options, Form<JSONValue>.anyObject.optional,
                        "The other members of the body of POST /search, or of POST /answer, without `as_of`, `cursor` and "
                            + "`min_index_version`."),
                ]
            ).named("GoldenQuery"),
            examples: [
                (
                    "hits",
                    .object([
                        ("name", .string("bridge")), ("query", .string("golden gate")),
                        ("options", .object([("top_k", .integer(5))])),
                    ])
                )
            ]))

    var golden: GoldenQuery {
        GoldenQuery(
            name: name, kind: kind, query: query,
            optionsJSON: Array((options ?? .object([])).text.utf8))
    }
}

/// What names one golden query.
struct GoldenNameInput: Sendable {
    var name = ""

    static let form = InputForm(
        GoldenNameInput(), [Parameter(.path, "name", \.name, GoldenInput.nameForm, "As `GET /golden` has it.")])
}

extension Contract {
    private static let tag = "Golden queries"
    private static let failures: [EndpointReply] = [
        .error(503, "A dependency is not available."), .error(504, "The time limit passed."),
    ]

    static let golden = Endpoint(
        .get, "/golden", id: "golden", tag: tag, access: reading,
        summary: "Queries that are compared between generations",
        input: NoInput.form, replies: [.json(200, "By name.", ReplySchemas.goldenList)] + failures)

    static let putGolden = Endpoint(
        .post, "/golden", id: "putGolden", tag: tag, access: .role(Role.write.rawValue),
        summary: "Keeps a golden query",
        input: GoldenInput.form,
        replies: [
            .json(200, "It is kept.", ReplySchemas.golden), .error(409, "There are as many as may be."),
        ] + failures)

    static let removeGolden = Endpoint(
        .delete, "/golden/{name}", id: "removeGolden", tag: tag, access: .role(Role.write.rawValue),
        summary: "Removes a golden query", input: GoldenNameInput.form,
        replies: [
            .json(200, "It is removed.", .object([.init("name", .string())])),
            .error(404, "There is none of that name."),
        ] + failures)

    static let compareGolden = Endpoint(
        .post, "/generations/{generation}/golden", id: "compareGolden", tag: tag, access: .role(Role.write.rawValue),
        summary: "Which hits and answers of golden queries would change by a promotion",
        details:
            "Asks each in the generation that is served and in this one, which need not be promoted. Of the caller's tenant.",
        input: GenerationInput.pruning,
        replies: [
            .json(200, "What differs, by query.", ReplySchemas.goldenComparison),
            .error(409, "The generation is not complete, or was pruned."),
        ] + failures)
}

extension ReplySchemas {
    static let golden = Schema.object([
        .init("name", .string()), .init("kind", .choice(GoldenQuery.Kind.allCases.map(\.rawValue))),
        .init("query", .string()), .init("options", .anyObject()),
    ]).named("GoldenQueryReply")

    static let goldenList = Schema.object([.init("golden", .array(of: golden))]).named("GoldenReply")

    private static func hits(_ more: [Schema.Property]) -> Schema {
        .array(
            of: .object(
                [.init("doc_id", .string()), .init("collection", .string()), .init("title", .string())] + more))
    }

    private static let said = Schema.object([
        .init("refused", .bool()), .init("sentences", .array(of: .string())),
    ]).orNull

    static let goldenComparison = Schema.object([
        .init("generation", .integer()),
        .init(
            "queries",
            .array(
                of: Schema.object([
                    .init("name", .string()), .init("kind", .string()), .init("query", .string()),
                    .init("changed", .bool()),
                    .init("error", .string().orNull, "Why it could not be compared; null where it was."),
                    .init("entered", hits([.init("place", .integer())])),
                    .init("left", hits([.init("place", .integer())])),
                    .init("moved", hits([.init("from", .integer()), .init("to", .integer())])),
                    .init("rewritten", hits([.init("before", .string()), .init("after", .string())])),
                    .init("unchanged", .integer(), "Hits at the same place with the same text."),
                    .init("answer_before", said, "Of a question."), .init("answer_after", said),
                ]).named("GoldenDifference"))),
        .init("changed", .integer(), "Queries with any difference."),
        .init("left_out", .integer(), "Queries for which there was no time."),
    ]).named("GoldenComparison")
}
