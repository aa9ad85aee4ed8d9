/// The Bronze record that a Silver or Gold line was made from.
package struct ParentReference: Sendable, Equatable {
    package var topic: String
    package var partition: Int32
    package var offset: Int64
    package var eventID: String
    /// SHA-256 of the raw value, 64 hexadecimal digits.
    package var bronzeSHA256: String

    package init(topic: String, partition: Int32, offset: Int64, eventID: String, bronzeSHA256: String) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.eventID = eventID
        self.bronzeSHA256 = bronzeSHA256
    }
}

/// Where a line comes from and which logic made it.
package struct Lineage: Sendable, Equatable {
    /// Fingerprint of the transform's code version and its settings.
    package var logicVersion: String
    package var parents: [ParentReference]

    package init(logicVersion: String, parents: [ParentReference]) {
        self.logicVersion = logicVersion
        self.parents = parents
    }
}

/// One retrieval document; the fields of a Gold line (`schemas/gold.schema.json`).
package struct GoldDocument: Sendable, Equatable {
    package var docID: String
    /// 1 for sources whose documents never change.
    package var version: Int64
    package var collection: String
    package var attributes: [String: String]
    package var type: String
    /// Number of the namespace; nil where the source does not tell.
    package var namespace: Int64?
    package var user: String
    package var isBot: Bool
    /// What is embedded and searched.
    package var text: String
    /// Milliseconds since 1970; `event_time` in RFC 3339 on the line.
    package var eventTimeMilliseconds: Int64
    package var title: String
    package var url: String
    /// ISO 639 code of the wiki, or `und`.
    package var lang: String
    package var wiki: String
    package var qualityFlags: [String]
    /// SHA-256 of ``text``; alone decides whether something is embedded again.
    package var textHash: String
    /// SHA-256 of the Gold line without lineage; decides what "changed" means.
    package var contentHash: String
    package var lineage: Lineage

    package init(
        docID: String, version: Int64 = 1, collection: String, attributes: [String: String] = [:], type: String,
        namespace: Int64?, user: String, isBot: Bool, text: String, eventTimeMilliseconds: Int64, title: String,
        url: String, lang: String, wiki: String, qualityFlags: [String] = [], textHash: String, contentHash: String,
        lineage: Lineage
    ) {
        self.docID = docID
        self.version = version
        self.collection = collection
        self.attributes = attributes
        self.type = type
        self.namespace = namespace
        self.user = user
        self.isBot = isBot
        self.text = text
        self.eventTimeMilliseconds = eventTimeMilliseconds
        self.title = title
        self.url = url
        self.lang = lang
        self.wiki = wiki
        self.qualityFlags = qualityFlags
        self.textHash = textHash
        self.contentHash = contentHash
        self.lineage = lineage
    }
}

/// The headers and keys of records on a `<source>.gold` topic, shared by its writer and its readers.
package enum GoldTopic {
    /// `document`, `commit` or `refused`.
    package static let kindHeader = "kind"
    package static let documentKind = "document"
    package static let commitKind = "commit"
    /// Stands for a document that is too large for the topic: its value has `doc_id` (the beginning), `bytes`, `reason`.
    package static let refusedKind = "refused"
    /// On a document that goes to the topic again behind its commit's marker, because the broker refused its batch.
    package static let lateHeader = "late"
    package static let generationHeader = "generation"
    package static let sourceTopicHeader = "source_topic"
    package static let sourcePartitionHeader = "source_partition"
    package static let sourceOffsetHeader = "source_offset"
    /// Broker time of the source record in milliseconds, for freshness.
    package static let sourceTimestampHeader = "source_timestamp_ms"
    /// The key of commit markers.
    package static let commitKey = "commit"
}
