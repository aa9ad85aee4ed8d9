/// A name that people give in a declaration and see again in keys, rows, labels and paths.
///
/// One grammar for all of them: Kafka's for topics, so that a name may stand wherever a topic's may.
package protocol PlatformName: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The name as it was given.
    var text: String { get }

    /// - Returns: nil where the text is not of the grammar.
    init?(_ text: String)
}

extension PlatformName {
    /// What the grammar says, for messages.
    package static var grammar: String { "1 to 249 letters, digits, `.`, `_`, `-`, and not only dots" }

    /// Whether the text is of the grammar.
    package static func accepts(_ text: String) -> Bool {
        TopicPartition.isTopicName(text) && text != "." && text != ".."
    }

    package var description: String { text }

    package static func < (left: Self, right: Self) -> Bool { left.text < right.text }
}

/// A source of `sources.json`.
package struct SourceName: PlatformName {
    package let text: String

    /// - Returns: nil where the text is not of the grammar.
    package init?(_ text: String) {
        guard Self.accepts(text) else { return nil }
        self.text = text
    }
}

/// Whom documents belong to. A source belongs to exactly one tenant.
package struct TenantID: PlatformName {
    package let text: String

    /// - Returns: nil where the text is not of the grammar.
    package init?(_ text: String) {
        guard Self.accepts(text) else { return nil }
        self.text = text
    }

    private init(known text: String) { self.text = text }

    /// The tenant of sources that name none.
    package static let standard = TenantID(known: "default")
}

/// Where a source's documents are found; its attributes have the same names and types in all of them.
package struct CollectionName: PlatformName {
    package let text: String

    /// - Returns: nil where the text is not of the grammar.
    package init?(_ text: String) {
        guard Self.accepts(text) else { return nil }
        self.text = text
    }
}

/// What tells a document from every other. Two collections may hold documents of one id.
package struct DocumentKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let tenant: TenantID
    package let collection: CollectionName
    /// The id within the collection, as the source gave it: at most 255 bytes.
    package let docID: String

    package init(tenant: TenantID, collection: CollectionName, docID: String) {
        self.tenant = tenant
        self.collection = collection
        self.docID = docID
    }

    package static func < (left: DocumentKey, right: DocumentKey) -> Bool {
        (left.tenant, left.collection, left.docID) < (right.tenant, right.collection, right.docID)
    }

    /// For messages; ids may hold slashes, so nothing reads it back.
    package var description: String { "\(tenant)/\(collection)/\(docID)" }
}
