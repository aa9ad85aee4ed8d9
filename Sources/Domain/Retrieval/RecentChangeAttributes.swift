package import Records

extension AttributeName {
    /// Which collection a document belongs to.
    package static let collection = known("collection")
    /// When what a document tells of happened.
    package static let eventTime = known("event_time")

    // Those of recent changes:

    /// A database name such as `enwiki`.
    package static let wiki = known("wiki")
    /// A language code such as `en`, `und` where the wiki has none.
    package static let lang = known("lang")
    /// What kind of change it is, such as `edit`, `new`.
    package static let type = known("type")
    /// Number of the namespace.
    package static let namespace = known("namespace")
    /// Who changed it.
    package static let user = known("user")
    /// Whether a bot changed it.
    package static let isBot = known("is_bot")

    private static func known(_ text: StaticString) -> AttributeName {
        guard let name = AttributeName(text.description) else {
            preconditionFailure("\(text) is no name of an attribute")
        }
        return name
    }
}

/// The attributes that documents of a collection are known to have. An attribute that is not among them may be tested, too;
/// its values are then taken for what they look like.
package struct DeclaredAttributes: Sendable {
    /// By name.
    package let declarations: [AttributeName: AttributeDeclaration]

    package init(_ declarations: [AttributeDeclaration]) {
        // Every document has these two.
        let common = [AttributeDeclaration(.collection, .string), AttributeDeclaration(.eventTime, .time)]
        self.declarations = Dictionary((common + declarations).map { ($0.name, $0) }) { first, _ in first }
    }

    /// Of changes of Wikimedia's wikis.
    package static let recentChanges = DeclaredAttributes([
        AttributeDeclaration(.wiki, .string), AttributeDeclaration(.lang, .string),
        AttributeDeclaration(.type, .string),
        AttributeDeclaration(.namespace, .integer), AttributeDeclaration(.user, .string),
        AttributeDeclaration(.isBot, .bool),
    ])
}

extension Candidate: FilterSubject {
    /// The attributes that a hit shows. `namespace` is there only where it was read.
    package func value(of attribute: AttributeName) -> AttributeValue? {
        switch attribute.text {
        case "collection": .string(collection)
        case "event_time": .time(eventTimeMilliseconds)
        case "wiki": .string(wiki)
        case "lang": .string(language)
        case "type": .string(type)
        case "namespace": namespace.map(AttributeValue.integer)
        case "user": .string(user)
        case "is_bot": .bool(isBot)
        default: nil
        }
    }
}
