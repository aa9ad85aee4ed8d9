/// A collection with the attributes of its documents.
package struct CollectionDeclaration: Sendable, Equatable {
    package let name: CollectionName
    /// Sorted by name.
    package let attributes: [AttributeDeclaration]
    /// Days after which a document leaves the index, by its event time; 0 keeps all, nil leaves it to the deployment.
    package let retentionDays: Int?
    /// What a search multiplies the scores of its documents by, unless it says otherwise.
    package let reputation: Double

    package init(
        name: CollectionName, attributes: [AttributeDeclaration], retentionDays: Int? = nil, reputation: Double = 1
    ) {
        self.name = name
        self.reputation = reputation
        self.retentionDays = retentionDays
        self.attributes = attributes.sorted { $0.name < $1.name }
    }

    /// The attribute of that name; nil where none is declared.
    package func attribute(_ name: AttributeName) -> AttributeDeclaration? {
        attributes.first { $0.name == name }
    }

    /// What documents made of changes of Wikimedia's wikis have; their logic brings it along.
    package static let recentChangeAttributes = [
        AttributeDeclaration(.wiki, .string), AttributeDeclaration(.domain, .string),
        AttributeDeclaration(.type, .string), AttributeDeclaration(.namespace, .integer),
        AttributeDeclaration(.user, .string), AttributeDeclaration(.isBot, .bool),
        AttributeDeclaration(.isMinor, .bool), AttributeDeclaration(.delta, .integer),
    ]
}
