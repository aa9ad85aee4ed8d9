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
