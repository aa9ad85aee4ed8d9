package import Bytes
package import Logic
package import Records

/// One source: where its events come from, which topics carry them, what becomes of them, and where that is found.
package struct SourceDeclaration: Sendable, Equatable {
    package let name: SourceName
    /// Whom its documents belong to. Topics, lake paths and offsets need no tenant of their own: the topic is one tenant's.
    package let tenant: TenantID
    /// The topic of raw events.
    package let topic: String
    /// The topic of Gold documents and markers.
    package let goldTopic: String
    package let connector: ConnectorDeclaration
    /// Makes the first generation of the topic, and candidates. Afterwards the active generation's stored logic runs.
    package let logic: LogicSettings
    package let collection: CollectionDeclaration

    package init(
        name: SourceName, tenant: TenantID = .standard, topic: String, goldTopic: String,
        connector: ConnectorDeclaration, logic: LogicSettings, collection: CollectionDeclaration
    ) {
        self.name = name
        self.tenant = tenant
        self.topic = topic
        self.goldTopic = goldTopic
        self.connector = connector
        self.logic = logic
        self.collection = collection
    }

    /// The key of its document of this id.
    package func key(_ docID: String) -> DocumentKey {
        DocumentKey(tenant: tenant, collection: collection.name, docID: docID)
    }
}

/// A collection with the attributes of its documents.
package struct CollectionDeclaration: Sendable, Equatable {
    package let name: CollectionName
    /// Sorted by name.
    package let attributes: [AttributeDeclaration]

    package init(name: CollectionName, attributes: [AttributeDeclaration]) {
        self.name = name
        self.attributes = attributes.sorted { $0.name < $1.name }
    }

    /// The attribute of that name; nil where none is declared.
    package func attribute(_ name: AttributeName) -> AttributeDeclaration? {
        attributes.first { $0.name == name }
    }

    /// What documents made of recent changes have; their logic brings it along.
    package static let recentChangeAttributes: [AttributeDeclaration] = {
        let rows: [(String, AttributeType)] = [
            ("wiki", .string), ("domain", .string), ("type", .string), ("namespace", .integer), ("user", .string),
            ("is_bot", .bool), ("is_minor", .bool), ("delta", .integer),
        ]
        return rows.compactMap { name, type in AttributeName(name).map { AttributeDeclaration($0, type) } }
    }()
}

/// What fills a source's topic: a closed set.
package enum ConnectorDeclaration: Sendable, Equatable {
    /// Follows an event stream.
    case serverSentEvents(ServerSentEventsDeclaration)
    /// Reads a folder of JSONL files.
    case files(FilesDeclaration)
    /// Somebody else fills the topic.
    case none

    /// The words of declarations.
    package enum Kind: String, CaseIterable, Sendable {
        case serverSentEvents = "sse"
        case files
        case none
    }

    /// Its word.
    package var kind: Kind {
        switch self {
        case .serverSentEvents: .serverSentEvents
        case .files: .files
        case .none: .none
        }
    }
}

/// An event stream.
package struct ServerSentEventsDeclaration: Sendable, Equatable {
    /// `http:` or `https:`; may hold secrets.
    package let url: SecretURL

    package init(url: SecretURL) { self.url = url }

    package static func == (left: Self, right: Self) -> Bool { left.url.revealed == right.url.revealed }
}

/// A folder of JSONL files, one document a line.
package struct FilesDeclaration: Sendable, Equatable {
    /// Absolute.
    package let folder: String
    /// Milliseconds between two looks at the folder.
    package let pollMilliseconds: Int
    /// How long a file must be unchanged before its last line counts without a line feed, in milliseconds.
    package let settleMilliseconds: Int
    /// Longer lines are left out and reported, bytes.
    package let lineBytesMax: Int
    /// Files that are followed at once.
    package let filesMax: Int

    /// What may be set.
    package enum Bounds {
        package static let pollMilliseconds: ClosedRange<Int64> = 100...3_600_000
        package static let settleMilliseconds: ClosedRange<Int64> = 100...3_600_000
        // A record of one mebibyte is the largest that logic takes.
        package static let lineBytes: ClosedRange<Int64> = 1_024...1_048_576
        package static let files: ClosedRange<Int64> = 1...200_000
        package static let folderBytesMax = 4_096
    }

    package init(
        folder: String, pollMilliseconds: Int = 2_000, settleMilliseconds: Int = 5_000,
        lineBytesMax: Int = 1_000_000, filesMax: Int = 100_000
    ) {
        self.folder = folder
        self.pollMilliseconds = pollMilliseconds
        self.settleMilliseconds = settleMilliseconds
        self.lineBytesMax = lineBytesMax
        self.filesMax = filesMax
    }
}
