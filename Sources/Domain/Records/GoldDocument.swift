/// What a Gold line does.
package enum GoldOperation: String, Sendable, CaseIterable {
    /// The document is there from this version on, as the line says.
    case put
    /// The document is gone up to and with this version: a record of that version or an older one brings nothing back.
    case delete
    /// Every document of the line's source whose version is lower is gone: the source was emptied, or begins anew. Whether it
    /// comes before or behind those documents makes no difference.
    case deleteBelow = "delete_below"

    /// The member `operation` of a line, with the comma in front of it.
    package var member: StaticString {
        switch self {
        case .put: #","operation":"put""#
        case .delete: #","operation":"delete""#
        case .deleteBelow: #","operation":"delete_below""#
        }
    }
}

/// One retrieval document; the fields of a Gold line (`schemas/gold.schema.json`).
///
/// A line that deletes all below a version is about no document: of the fields below it has tenant, collection, version,
/// operation, event time, quality flags, content hash and lineage, and the others are empty.
package struct GoldDocument: Sendable, Equatable {
    package var tenant: TenantID
    package var collection: CollectionName
    /// The id within the collection.
    package var docID: String
    /// The highest wins, whatever arrives when; 1 for sources whose documents never change. Of a document that a stage left out the
    /// one before its own, as all that its deletion says is that older ones are gone.
    package var version: Int64
    package var operation: GoldOperation
    /// The collection's own; what every document has is not among them.
    package var attributes: AttributeList
    /// What is embedded and searched.
    package var text: String
    /// The parts of ``text`` that are embedded and found on their own; none where all of it is one passage.
    package var passages: [GoldPassage]
    /// Milliseconds since 1970; `event_time` in RFC 3339 on the line.
    package var eventTimeMilliseconds: Int64
    package var title: String
    package var url: String
    /// ISO 639 code, or `und`.
    package var lang: String
    package var qualityFlags: [String]
    /// SHA-256 of ``text``.
    package var textHash: String
    /// SHA-256 of the Gold line without lineage; decides what "changed" means.
    package var contentHash: String
    package var lineage: Lineage

    package init(
        tenant: TenantID = .standard, collection: CollectionName, docID: String, version: Int64 = 1,
        operation: GoldOperation = .put, attributes: AttributeList = AttributeList(), text: String,
        passages: [GoldPassage] = [], eventTimeMilliseconds: Int64, title: String, url: String, lang: String,
        qualityFlags: [String] = [],
        textHash: String, contentHash: String, lineage: Lineage
    ) {
        self.tenant = tenant
        self.collection = collection
        self.docID = docID
        self.version = version
        self.operation = operation
        self.attributes = attributes
        self.text = text
        self.passages = passages
        self.eventTimeMilliseconds = eventTimeMilliseconds
        self.title = title
        self.url = url
        self.lang = lang
        self.qualityFlags = qualityFlags
        self.textHash = textHash
        self.contentHash = contentHash
        self.lineage = lineage
    }

    /// What tells it from every other document.
    package var key: DocumentKey { DocumentKey(tenant: tenant, collection: collection, docID: docID) }
}
