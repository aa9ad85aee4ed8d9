package import Lake
package import Logic
package import Records
package import Sources

extension TopicLogic {
    /// What a generation stores of a source's logic.
    package init(_ logic: LogicSettings, tenant: TenantID, collection: String) throws {
        var hasher = try LibraryHasher()
        self.init(
            kind: logic.kind.rawValue, tenant: tenant.text, collection: collection,
            logicVersion: try logic.logicVersion(hasher: &hasher),
            settings: String(decoding: logic.canonicalJSON, as: UTF8.self))
    }

    /// What a generation stores of a declared source's logic.
    package init(_ source: SourceDeclaration) throws {
        try self.init(source.logic, tenant: source.tenant, collection: source.collection.name.text)
    }

    /// The logic as it runs.
    ///
    /// - Throws: ``LogicError`` where this binary does not have it.
    package func read() throws(LogicError) -> LogicSettings {
        try LogicSettings(kind: kind, stored: settings)
    }
}

extension LakeGeneration {
    /// A topic's logic, ready to run.
    ///
    /// - Throws: ``LogicError`` where this binary does not have it, or it would make other lines than the generation's.
    package func runnable(_ topic: String, hasher: inout LibraryHasher) throws -> Logic {
        guard let stored = logic.logic(of: topic) else {
            throw LogicError(
                description:
                    "generation \(number) stores no logic of the topic \(topic); a start of its stream job adds it")
        }
        guard let tenant = TenantID(stored.tenant) else {
            throw LogicError(
                description: "generation \(number) stores the tenant \(stored.tenant) for the topic \(topic), which is "
                    + "no name: \(TenantID.grammar)")
        }
        let made = try Logic(
            stored.read(), collection: stored.collection, tenant: tenant, languages: LibraryLanguages(), hasher: &hasher
        )
        guard made.logicVersion == stored.logicVersion else {
            throw LogicError(
                description: "generation \(number) was made by logic \(stored.logicVersion), but its settings give "
                    + "\(made.logicVersion): use the release that made it")
        }
        return made
    }
}
