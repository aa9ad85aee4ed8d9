package import Bytes
package import Logic

/// What fills a source's topic: a closed set. A new connector is a case here and in ``Kind``, with a line in the switch of each of ``kind``,
/// ``members`` and ``read(_:folder:)``, and has a file of its own beside this one.
package enum ConnectorDeclaration: Sendable, Equatable {
    case serverSentEvents(ServerSentEventsDeclaration)
    case files(FilesDeclaration)
    case postgres(PostgresDeclaration)
    case webhook(WebhookDeclaration)
    case documents(DocumentsDeclaration)
    /// Somebody else fills the topic.
    case none

    /// The words of declarations.
    package enum Kind: String, CaseIterable, Sendable {
        case serverSentEvents = "sse"
        case files
        case postgres
        case webhook
        case documents
        case none
    }

    /// Its word.
    package var kind: Kind {
        switch self {
        case .serverSentEvents: .serverSentEvents
        case .files: .files
        case .postgres: .postgres
        case .webhook: .webhook
        case .documents: .documents
        case .none: .none
        }
    }

    /// What the case holds; nil where it holds nothing.
    package var members: (any ConnectorMembers)? {
        switch self {
        case .serverSentEvents(let declaration): declaration
        case .files(let declaration): declaration
        case .postgres(let declaration): declaration
        case .webhook(let declaration): declaration
        case .documents(let declaration): declaration
        case .none: nil
        }
    }

    /// Whether records are handed over to a process that serves the API, so that nothing reads them anywhere.
    package var isPushed: Bool {
        switch self {
        case .webhook, .documents: true
        default: false
        }
    }

    /// Whether the topic's last records say where the connector is to continue. Then many records of somebody else's would hide
    /// its place.
    package var keepsPlaceInTopic: Bool {
        switch self {
        case .serverSentEvents: true
        default: false
        }
    }

    /// - Parameter folder: what relative folders begin at.
    static func read(_ reader: DeclarationReader, folder: String) -> ConnectorDeclaration? {
        guard case .object = reader.value else {
            reader.fault("must be an object with a member \"type\"")
            return nil
        }
        guard let word = reader.value["type"] else {
            reader.fault("lacks the member \"type\"")
            return nil
        }
        let type = DeclarationReader(value: word, place: reader.place + ".type", faults: reader.faults)
        switch type.choice(Kind.self) {
        case .serverSentEvents?: return ServerSentEventsDeclaration(reader).map(Self.serverSentEvents)
        case .files?: return FilesDeclaration(reader, folder: folder).map(Self.files)
        case .postgres?: return PostgresDeclaration(reader, folder: folder).map(Self.postgres)
        case .webhook?: return WebhookDeclaration(reader, folder: folder).map(Self.webhook)
        case .documents?: return DocumentsDeclaration(reader).map(Self.documents)
        case Kind.none?: return reader.members(required: ["type"]) == nil ? nil : ConnectorDeclaration.none
        case nil: return nil
        }
    }
}

/// The members of one kind of connector's declaration, beside its type.
package protocol ConnectorMembers: Sendable, Equatable {
    /// Where it reads, for people: an address or a folder, without secrets.
    var place: String { get }

    /// Writes the members, without secrets.
    func write(to json: inout JSONWriter)

    /// Why it does not go with a logic, and what to do; nil where it does.
    func refusal(of logic: LogicSettings) -> String?

    /// What is wrong with what the members name on this machine, such as a folder that cannot be read. Quick.
    func look() -> [DeclarationFault]
}

extension ConnectorMembers {
    package func look() -> [DeclarationFault] { [] }
}
