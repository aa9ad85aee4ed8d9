import Bytes
import Forms
import KafkaAccess
import Records

/// What is replied to documents that the broker has.
struct TakenReply {
    private let taken: Intake.Taken
    /// What the index says of them; nil where nobody waited for it, or it has not come to them.
    var searchable: (documents: Int, indexVersion: Int64)?

    init(_ taken: Intake.Taken, searchable: (documents: Int, indexVersion: Int64)? = nil) {
        self.taken = taken
        self.searchable = searchable
    }

    /// How far the index must be to have all of them; nil where the broker did not say where some lie, as it may of records
    /// that it was sent twice.
    var nextOffsets: [TopicPartition: Int64]? {
        guard taken.places.allSatisfy({ $0.offset >= 0 }) else { return nil }
        return offsets.mapValues { ($0.max() ?? -1) + 1 }
    }

    /// Where they lie.
    var offsets: [TopicPartition: [Int64]] {
        Dictionary(grouping: taken.places) { TopicPartition(topic: taken.source.topic, partition: $0.partition) }
            .mapValues { $0.map(\.offset) }
    }

    var json: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.string("source", taken.source.name.text)
        writer.string("collection", taken.source.collection.name.text)
        writer.integer("accepted", taken.places.count)
        writer.string("topic", taken.source.topic)
        writer.key("partitions")
        writer.beginArray()
        for (place, offsets) in offsets.sorted(by: { $0.key < $1.key }) {
            writer.beginObject()
            writer.integer("partition", place.partition)
            let isKnown = offsets.allSatisfy { $0 >= 0 }
            writer.key("first_offset")
            writer.optional(isKnown ? offsets.min() : nil)
            writer.key("last_offset")
            writer.optional(isKnown ? offsets.max() : nil)
            writer.integer("records", offsets.count)
            writer.endObject()
        }
        writer.endArray()
        writer.string("state", searchable == nil ? "accepted" : "searchable")
        writer.key("indexed")
        writer.optional(searchable.map { Int64($0.documents) })
        writer.key("index_version")
        writer.optional(searchable?.indexVersion)
        writer.endObject()
        return writer.bytes
    }
}

extension ReplySchemas {
    static let taken = Schema.object([
        .init("source", .string()), .init("collection", .string()),
        .init("accepted", .integer(), "Documents that all in-sync replicas of the broker have."),
        .init("topic", .string()),
        .init(
            "partitions",
            .array(
                of: Schema.object([
                    .init("partition", .integer()),
                    .init("first_offset", .integer().orNull, "Null where the broker did not say it."),
                    .init("last_offset", .integer().orNull),
                    .init("records", .integer(), "Records of this request; others may lie between them."),
                ])), "Where they lie."),
        .init(
            "state", .choice(["accepted", "searchable"]),
            "`searchable`: the index has come to all of them. Only where that was waited for."),
        .init(
            "indexed", .integer().orNull,
            "Of how many the index shows a document, or has shown one that a later write took the place of. Deletions, duplicates, "
                + "older versions and what went to quarantine are not among them. Null where nobody waited, or in vain."
        ),
        .init("index_version", .integer().orNull, "As of which that is so; `min_index_version` of a search takes it."),
    ]).named("TakenReply")
}
