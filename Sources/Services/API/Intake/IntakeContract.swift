import Access
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan

/// What `POST /ingest/{source}` reads beside the body.
struct IngestInput: Sendable {
    var source = ""
    var key: String?
    var signature: String?

    static let form = InputForm(
        IngestInput(),
        [
            Parameter(.path, "source", \.source, .string(1...249), "The source's name, as it is declared."),
            IntakeParameters.key(\.key),
            Parameter(
                .header, WebhookSignature.header, \.signature, Form<String>.string(1...1_024).optional,
                "Of sources with a secret: `t=<seconds since 1970>,v1=<HMAC-SHA256>`."),
        ], body: IntakeParameters.body())
}

/// What every write to `/documents` reads beside the body.
struct DocumentWriteInput: Sendable {
    var collection: String?
    var key: String?
    var wait: DocumentWait?
    var waitMilliseconds = 10_000
}

/// What a write may wait for.
enum DocumentWait: String, CaseIterable, Sendable {
    case searchable
}

/// What `POST /documents` reads.
struct DocumentsInput: Sendable {
    var write = DocumentWriteInput()

    static let form = InputForm(
        DocumentsInput(),
        IntakeParameters.write(
            collection: \.write.collection, key: \.write.key, wait: \.write.wait,
            waitMilliseconds: \.write.waitMilliseconds),
        body: IntakeParameters.body())
}

/// What `PUT /documents/{doc_id}` reads.
struct DocumentPutInput: Sendable {
    var docID = ""
    var write = DocumentWriteInput()

    static let form = InputForm(
        DocumentPutInput(),
        [IntakeParameters.docID(\.docID)]
            + IntakeParameters.write(
                collection: \.write.collection, key: \.write.key, wait: \.write.wait,
                waitMilliseconds: \.write.waitMilliseconds), body: IntakeParameters.body(types: [MediaType.json]))
}

/// What `DELETE /documents/{doc_id}` reads.
struct DocumentDeleteInput: Sendable {
    var docID = ""
    var version: String?
    var write = DocumentWriteInput()

    static let form = InputForm(
        DocumentDeleteInput(),
        [
            IntakeParameters.docID(\.docID),
            Parameter(
                .query, "version", \.version, Form<String>.string(1...40).optional,
                "Where the collection's documents have versions: deletes those that are older or as old."),
        ]
            + IntakeParameters.write(
                collection: \.write.collection, key: \.write.key, wait: \.write.wait,
                waitMilliseconds: \.write.waitMilliseconds))
}

/// Parameters that several endpoints share.
private enum IntakeParameters {
    /// Printable ASCII: it becomes a part of the record's `event_id`.
    static func key<Root: Sendable>(_ path: any WritableKeyPath<Root, String?> & Sendable) -> Parameter<Root> {
        let pattern = TextPattern("^[!-~]*$", "must be printable ASCII without blanks") { text in
            text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        }
        return Parameter(
            .header, "Idempotency-Key", path,
            Form<String>.string(1...Intake.keyBytesMax, pattern: pattern).optional,
            "Unique in the source, and the same whenever these documents are sent again: lines that came with it before are left out."
        )
    }

    static func docID<Root: Sendable>(_ path: any WritableKeyPath<Root, String> & Sendable) -> Parameter<Root> {
        Parameter(.path, "doc_id", path, .string(1...IntakeBody.Bounds.keyBytesMax), "A document's id.")
    }

    static func write<Root: Sendable>(
        collection: any WritableKeyPath<Root, String?> & Sendable, key: any WritableKeyPath<Root, String?> & Sendable,
        wait: any WritableKeyPath<Root, DocumentWait?> & Sendable,
        waitMilliseconds: any WritableKeyPath<Root, Int> & Sendable
    ) -> [Parameter<Root>] {
        [
            Parameter(
                .query, "collection", collection, Form<String>.string(1...249).optional,
                "Where there are several that take documents."),
            Self.key(key),
            Parameter(
                .query, "wait", wait, Form<DocumentWait>.choice.optional,
                "`searchable`: replies once the index has come to what is written."),
            Parameter(
                .query, "wait_ms", waitMilliseconds, .integer(1...30_000),
                "How long to wait for that; then 202 is replied all the same."),
        ]
    }

    static func body<Root: Sendable>(types: [String] = IntakeBody.types) -> BodyForm<Root> {
        BodyForm(
            raw: types,
            schema: .anyObject(
                types.count > 1
                    ? "A document as the source's logic maps it; with the other type, one a line. May be packed with gzip."
                    : "A document as the source's logic maps it. May be packed with gzip."),
            bytesMax: IntakeBody.Bounds.packedBytesMax,
            examples: [
                ("a document", .object([("id", .string("p-1")), ("text", .string("a kettle of two litres"))]))
            ])
    }
}

extension Contract {
    private static let writing = EndpointAccess.role(Role.write.rawValue)
    private static let failures: [EndpointReply] = [
        .error(
            503,
            "The broker did not take them, or with `source_paused` an operator has the source stand still. With `unconfirmed` the "
                + "broker may have some: send the same again, with the same key."
        ),
        .error(504, "The time limit passed."),
    ]
    private static let taken = EndpointReply.json(
        202, "All in-sync replicas of the broker have them.", ReplySchemas.taken)

    static let ingest = Endpoint(
        .post, "/ingest/{source}", id: "ingest", tag: "Documents", access: writing,
        summary: "Takes documents for a source with the connector `webhook`",
        details:
            "One JSON object, or one a line. All or nothing. Sources with a secret take signed requests, which need no key; see "
            + "docs/sources.md.",
        input: IngestInput.form,
        replies: [taken, .error(404, "There is no such webhook for this caller.")] + failures)

    private static let searchable = EndpointReply.json(
        200, "The index has come to them.", ReplySchemas.taken)
    private static let noCollection = EndpointReply.error(404, "No such collection takes documents.")

    static let addDocuments = Endpoint(
        .post, "/documents", id: "addDocuments", tag: "Documents", access: writing,
        summary: "Adds or replaces documents",
        details: "Of a collection whose source has the connector `documents`. All or nothing.",
        input: DocumentsInput.form, replies: [searchable, taken, noCollection] + failures)

    static let putDocument = Endpoint(
        .put, "/documents/{doc_id}", id: "putDocument", tag: "Documents", access: writing,
        summary: "Adds or replaces a document", input: DocumentPutInput.form,
        replies: [searchable, taken, noCollection] + failures)

    static let deleteDocument = Endpoint(
        .delete, "/documents/{doc_id}", id: "deleteDocument", tag: "Documents", access: writing,
        summary: "Deletes a document", details: "Also one that is not there: it may be on its way.",
        input: DocumentDeleteInput.form, replies: [searchable, taken, noCollection] + failures)
}
