import Forms
import HTTPEndpoints
import JSONScan
import Records
import Retrieval

/// What `GET /impact` reads.
struct ImpactInput: Sendable {
    var topic: String?
    var partition: Int?
    var offset: Int?
    var eventID: String?
    var collection: String?
    var title: String?
    var wiki: String?
    var user: String?
    var limit = 200

    private static let name = Form<String>.string(1...Impact.bytesMax).optional

    static let form = InputForm(
        ImpactInput(),
        [
            Parameter(.query, "topic", \.topic, name, "A record: its topic."),
            Parameter(
                .query, "partition", \.partition, Form<Int>.integer(0...Int(Int32.max)).optional,
                "Its topic partition."),
            Parameter(.query, "offset", \.offset, Form<Int>.integer(0...Int.max).optional, "Its offset."),
            Parameter(.query, "event_id", \.eventID, name, "An event, by the id that its source gave it."),
            Parameter(
                .query, "collection", \.collection, FilterInput.word.optional,
                "A page's collection; with `user`, only that collection."),
            Parameter(.query, "title", \.title, name, "A page's title."),
            Parameter(.query, "wiki", \.wiki, FilterInput.word.optional, "A page's wiki."),
            Parameter(.query, "user", \.user, name, "The attribute `user` of documents."),
            Parameter(
                .query, "limit", \.limit, .integer(1...Impact.limitMax), "Documents at most, and answers at most."),
        ])

    /// What is asked for.
    ///
    /// - Throws: ``EndpointError`` with 422 where that is nothing, a part of something, or several things.
    func target() throws -> ImpactTarget {
        let record = [topic != nil, partition != nil, offset != nil]
        let ways = [record.contains(true), eventID != nil, title != nil, user != nil].count { $0 }
        for (name, value) in [("event_id", eventID), ("title", title), ("user", user)] {
            // What is longer has no room in the index by which it would be found.
            guard (value ?? "").utf8.count <= Impact.bytesMax else {
                throw Self.fault(name, "must have \(Impact.bytesMax) bytes of UTF-8 at most")
            }
        }
        guard ways == 1 else {
            throw Self.fault(
                "topic", "needs one of: topic with partition and offset; event_id; title with collection; user")
        }
        if let topic, let partition = partition.flatMap({ Int32(exactly: $0) }), let offset {
            guard title == nil, collection == nil, wiki == nil else { throw Self.fault("topic", "stands alone") }
            return .record(TopicPartition(topic: topic, partition: partition), offset: Int64(offset))
        }
        if record.contains(true) { throw Self.fault("offset", "topic, partition and offset go together") }
        if let eventID {
            guard collection == nil, wiki == nil else { throw Self.fault("event_id", "stands alone") }
            return .event(id: eventID)
        }
        if let title {
            guard let collection else { throw Self.fault("collection", "is needed beside title") }
            return .page(collection: collection, title: title, wiki: wiki)
        }
        guard wiki == nil else { throw Self.fault("wiki", "goes with title") }
        return .user(user ?? "", collection: collection)
    }

    private static func fault(_ name: String, _ message: String) -> EndpointError {
        .invalid([InputFault(type: "value_error", location: [.name("query"), .name(name)], message: message)])
    }
}
