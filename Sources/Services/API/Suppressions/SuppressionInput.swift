import Forms
import HTTPEndpoints
import JSONScan
import Records

/// What `POST /suppressions` reads.
struct SuppressionInput: Sendable {
    var kind = SuppressionTarget.Kind.event
    var topic: String?
    var partition: Int?
    var offset: Int?
    var eventID: String?
    var collection: String?
    var title: String?
    var wiki: String?
    var docID: String?
    var user: String?
    var reason = ""

    private static let text = Form<String>.string(1...Suppression.textBytesMax / 4)

    static let form = Form<SuppressionInput>.object(
        SuppressionInput(),
        [
            Field("target", \.kind, .choice, "What is taken out: all documents that came of it.", isRequired: true),
            Field("topic", \.topic, text.optional, "Of an event: its topic, as lineage names it."),
            Field("partition", \.partition, Form<Int>.integer(0...Int(Int32.max)).optional, "Of an event."),
            Field("offset", \.offset, Form<Int>.integer(0...Int.max).optional, "Of an event."),
            Field("event_id", \.eventID, text.optional, "Of an event_id, as lineage names it."),
            Field("collection", \.collection, text.optional, "Of a page, a document or a user."),
            Field("title", \.title, text.optional, "Of a page."),
            Field("wiki", \.wiki, text.optional, "Of a page: only that wiki's."),
            Field("doc_id", \.docID, text.optional, "Of a document."),
            Field("user", \.user, text.optional, "Of a user: the documents' attribute `user`."),
            Field("reason", \.reason, text, "Why, for whoever looks later.", isRequired: true),
        ]
    ).named("SuppressionRequest")

    static let input = InputForm(
        SuppressionInput(),
        body: BodyForm(
            \.self, form,
            examples: [
                (
                    "an event",
                    .object([
                        ("target", .string("event")), ("topic", .string("wikimedia.recentchange")),
                        ("partition", .integer(0)), ("offset", .integer(1)),
                        ("reason", .string("names a private person")),
                    ])
                ),
                (
                    "a page",
                    .object([
                        ("target", .string("page")), ("collection", .string("wikimedia.recentchange")),
                        ("wiki", .string("enwiki")), ("title", .string("Golden Gate Bridge")),
                        ("reason", .string("vandalised")),
                    ])
                ),
            ]))

    /// - Throws: 422 where a part is missing that the target needs.
    func target() throws(EndpointError) -> SuppressionTarget {
        let (needed, name): ([(name: String, isThere: Bool)], String?) =
            switch kind {
            case .event:
                ([("topic", topic != nil), ("partition", partition != nil), ("offset", offset != nil)], topic)
            case .eventID: ([("event_id", eventID != nil)], eventID)
            case .page: ([("collection", collection != nil), ("title", title != nil)], title)
            case .document: ([("collection", collection != nil), ("doc_id", docID != nil)], docID)
            case .user: ([("collection", collection != nil), ("user", user != nil)], user)
            }
        let missing = needed.filter { !$0.isThere }.map { part in
            InputFault(
                type: "missing", location: [.name("body"), .name(part.name)],
                message: "is needed where target is \(kind.rawValue)")
        }
        guard missing.isEmpty, let name else { throw .invalid(missing) }
        let parts = [
            ("topic", topic), ("event_id", eventID), ("collection", collection), ("title", title), ("wiki", wiki),
            ("doc_id", docID), ("user", user),
        ]
        let tooLong = parts.filter { ($0.1?.utf8.count ?? 0) > Suppression.nameBytesMax }.map { part in
            InputFault(
                type: "string_too_long", location: [.name("body"), .name(part.0)],
                message: "has more than \(Suppression.nameBytesMax) bytes")
        }
        guard tooLong.isEmpty else { throw .invalid(tooLong) }
        let target = SuppressionTarget(
            kind: kind, name: name, collection: collection ?? "", wiki: wiki,
            partition: partition.flatMap { Int32(exactly: $0) }, offset: offset.map(Int64.init))
        guard let target else {
            throw .invalid([
                InputFault(
                    type: "topic", location: [.name("body"), .name("topic")], message: "is no name of a topic",
                    input: .string(name))
            ])
        }
        return target
    }
}

/// What `GET /suppressions` reads.
struct SuppressionListInput: Sendable {
    var limit = 100
    var before: Int?

    static let form = InputForm(
        SuppressionListInput(),
        [
            Parameter(.query, "limit", \.limit, .integer(1...1_000), "Suppressions per page."),
            Parameter(
                .query, "before", \.before, Form<Int>.integer(1...Int.max).optional,
                "`next_before` of an earlier reply: goes on to older ones."),
        ])
}

/// What `DELETE /suppressions/{suppression_id}` reads.
struct SuppressionLiftInput: Sendable {
    var id = ""
    var reason = ""

    static let form = InputForm(
        SuppressionLiftInput(),
        [
            Parameter(.path, "suppression_id", \.id, .string(1...64), "As the reply of POST /suppressions has it."),
            Parameter(
                .query, "reason", \.reason, .string(1...Suppression.textBytesMax / 4), "Why, for whoever looks later.",
                isRequired: true),
        ])
}
