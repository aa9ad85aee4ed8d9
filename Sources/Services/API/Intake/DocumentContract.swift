import Forms
import HTTPEndpoints
import JSONScan
import Records

/// What `GET /documents` reads.
struct DocumentListInput: Sendable {
    var collection: String?
    var limit = 100
    var cursor: DocumentCursor?

    static let form = InputForm(
        DocumentListInput(),
        [
            Parameter(
                .query, "collection", \.collection, Form<String>.string(1...249).optional, "Where there are several."),
            Parameter(.query, "limit", \.limit, .integer(1...DocumentReads.limitMax), "Documents per page."),
            Parameter(
                .query, "cursor", \.cursor, Form<DocumentCursor>.documentCursor.optional,
                "`next_cursor` of an earlier reply."),
        ])
}

/// What `GET /documents/{doc_id}` reads.
struct DocumentFindInput: Sendable {
    var docID = ""
    var collection: String?

    static let form = InputForm(
        DocumentFindInput(),
        [
            Parameter(.path, "doc_id", \.docID, .string(1...1_024), "A document's id."),
            Parameter(
                .query, "collection", \.collection, Form<String>.string(1...249).optional, "Where there are several."),
        ])
}

extension Contract {
    private static let noCollection = EndpointReply.error(404, "There is no such collection.")
    private static let failures: [EndpointReply] = [
        .error(503, "The index is not available."), .error(504, "The time limit passed."),
    ]

    static let documents = Endpoint(
        .get, "/documents", id: "documents", tag: "Documents", access: reading,
        summary: "A collection's documents, in the order of their ids",
        details:
            "As the index shows them. Pages follow `next_cursor`: whatever is written meanwhile, a document that stays comes once.",
        input: DocumentListInput.form,
        replies: [.json(200, "A page.", ReplySchemas.documents), noCollection] + failures)

    static let documentByID = Endpoint(
        .get, "/documents/{doc_id}", id: "document", tag: "Documents", access: reading,
        summary: "A document as the index shows it", input: DocumentFindInput.form,
        replies: [
            .json(200, "The document.", ReplySchemas.document), .error(404, "The index shows no such document."),
        ] + failures)

    static let collections = Endpoint(
        .get, "/collections", id: "collections", tag: "Documents", access: reading,
        summary: "The declared collections, with how much the index has of each", input: NoInput.form,
        replies: [.json(200, "Those of the caller's tenant.", ReplySchemas.collections)] + failures)
}

extension ReplySchemas {
    private static let documentMembers: [Schema.Property] = [
        .init("doc_id", .string()), .init("version", .integer()), .init("title", .string()), .init("url", .string()),
        .init("lang", .string()), .init("event_time", .time()),
        .init("index_version", .integer(), "The one that made it visible."),
        .init("attributes", .anyObject("Those of the collection that the document has.")),
    ]

    static let documents = Schema.object([
        .init("collection", .string()),
        .init("documents", .array(of: Schema.object(documentMembers).named("DocumentSummary"))),
        .init("next_cursor", .string().orNull, "Where the next page begins; null where there are no more."),
    ]).named("DocumentsReply")

    static let document = Schema.object(
        documentMembers + [
            .init(
                "passages", .array(of: .string()),
                "Its text as it was cut; a passage may begin with the end of the one before."),
            .init("lineage", .anyObject("Of the Gold line.")),
        ]
    ).named("DocumentReply")

    static let collections = Schema.object([
        .init(
            "collections",
            .array(
                of: Schema.object([
                    .init("name", .string()), .init("source", .string(), "What fills it."),
                    .init("connector", .string(), "With `documents` it is written by POST, PUT and DELETE /documents."),
                    .init(
                        "documents", .integer(),
                        "That the index shows, as of some seconds ago, among the contents that are looked at."),
                    .init("documents_complete", .bool(), "Whether there are no more than that."),
                    .init("passages", .integer(), "As of the last count, some seconds ago."),
                    .init(
                        "fields",
                        Schema.object([
                            .init("id", .string()), .init("version", .string().orNull),
                            .init("title", .string().orNull), .init("text", .array(of: .string())),
                        ]).orNull,
                        "Where in an object that is written they stand: names joined by dots; null for other logic than `document`."
                    ),
                    .init(
                        "attributes",
                        .array(
                            of: Schema.object([
                                .init("name", .string()),
                                .init("type", .choice(AttributeType.allCases.map(\.rawValue))),
                                .init("filterable", .bool()),
                            ]))),
                ]).named("Collection")))
    ]).named("CollectionsReply")
}
