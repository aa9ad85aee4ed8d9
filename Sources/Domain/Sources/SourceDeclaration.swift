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

    /// The same with another connector.
    package func with(_ connector: ConnectorDeclaration) -> SourceDeclaration {
        SourceDeclaration(
            name: name, tenant: tenant, topic: topic, goldTopic: goldTopic, connector: connector, logic: logic,
            collection: collection)
    }

    /// The key of its document of this id.
    package func key(_ docID: String) -> DocumentKey {
        DocumentKey(tenant: tenant, collection: collection.name, docID: docID)
    }
}
