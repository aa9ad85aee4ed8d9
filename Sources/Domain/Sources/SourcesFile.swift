import Files
import JSONScan
package import Logic
import Records

/// The sources that a file declares: `{"sources": [{"name", "connector", "logic", "collection", …}]}`.
///
/// Its shape is in `schemas/sources.schema.json`; what no schema can say (no two sources share a topic or a collection, which
/// connector goes with which logic) is checked here alone.
package enum SourcesFile {
    /// A larger file is refused.
    package static let bytesMax = 1 << 20
    /// Sources of one deployment.
    package static let sourcesMax = 64
    private static let depthMax = 16

    /// Reads and checks the file at `path`. Folders in it are relative to the file's own.
    ///
    /// - Parameter defaults: what a recent change's logic takes where the declaration says nothing: the environment's.
    /// - Throws: ``DeclarationError`` with all that is wrong at once; `FileError` where it cannot be read.
    package static func read(_ path: String, defaults: TransformSettings) throws -> [SourceDeclaration] {
        try parse(
            File.contents(of: path, bytesMax: bytesMax), file: path, folder: Folder.parent(of: path),
            defaults: defaults)
    }

    /// - Parameters:
    ///   - file: for messages.
    ///   - folder: what relative folders begin at.
    package static func parse(
        _ bytes: [UInt8], file: String, folder: String, defaults: TransformSettings
    ) throws(DeclarationError) -> [SourceDeclaration] {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(bytes, maxDepth: depthMax) } catch {
            throw DeclarationError(
                file: file,
                faults: [
                    DeclarationFault(
                        place: "the file", reason: "is not JSON (\(error)); `jq . FILE` shows the line")
                ])
        }
        let faults = DeclarationFaults()
        let root = DeclarationReader(value: value, place: "", faults: faults)
        var sources: [SourceDeclaration] = []
        // `$schema` is what editors look for.
        if let list = root.members(required: ["sources"], optional: ["$schema"])?["sources"]?.elements(1...sourcesMax) {
            for element in list {
                if let source = declaration(element, folder: folder, defaults: defaults) { sources.append(source) }
            }
        }
        if faults.all.isEmpty { checkTogether(sources, faults) }
        guard faults.all.isEmpty else { throw DeclarationError(file: file, faults: faults.all) }
        return sources
    }

    private static func declaration(
        _ reader: DeclarationReader, folder: String, defaults: TransformSettings
    ) -> SourceDeclaration? {
        guard
            let members = reader.members(
                required: ["name", "connector", "logic"], optional: ["tenant", "topic", "gold_topic", "collection"])
        else { return nil }
        let name = members["name"]?.name(SourceName.self)
        let tenant = members["tenant"].given(.standard) { $0.name(TenantID.self) }
        let topic = members["topic"].given(name?.text) { $0.topic() }
        let goldTopic = members["gold_topic"].given(topic.map { $0 + ".gold" }) { $0.topic() }
        let connector = members["connector"].flatMap { ConnectorDeclaration.read($0, folder: folder) }
        guard let logicReader = members["logic"] else { return nil }
        let kind = LogicReading.kind(logicReader)
        let collection = CollectionReading(members["collection"], standard: name, kind: kind)
        let logic = kind.flatMap {
            LogicReading.declared($0, logicReader, attributes: collection.mapped, defaults: defaults)
        }
        guard let name, let tenant, let topic, let goldTopic, let connector, let logic, let named = collection.name
        else { return nil }
        if !TopicPartition.isTopicName(goldTopic) {
            reader.fault("its Gold topic would be \(goldTopic), which Kafka refuses; set gold_topic")
        }
        let source = SourceDeclaration(
            name: name, tenant: tenant, topic: topic, goldTopic: goldTopic, connector: connector, logic: logic,
            collection: CollectionDeclaration(
                name: named, attributes: collection.attributes, retentionDays: collection.retentionDays,
                reputation: logic.reputation))
        if let refusal = connector.members?.refusal(of: logic) { reader.fault(refusal) }
        return source
    }

    /// Names and topics are one source's alone, and so are the collections of a tenant.
    private static func checkTogether(_ sources: [SourceDeclaration], _ faults: DeclarationFaults) {
        var names: [SourceName: Int] = [:]
        var topics: [String: String] = [:]
        var collections: [[String]: Int] = [:]
        for (number, source) in sources.enumerated() {
            let place = "sources[\(number)]"
            if let other = names.updateValue(number, forKey: source.name) {
                faults.add("\(place).name", "sources[\(other)] has this name; each needs its own")
            }
            for (member, topic) in [("topic", source.topic), ("gold_topic", source.goldTopic)] {
                if let other = topics.updateValue("\(place).\(member)", forKey: topic) {
                    faults.add(
                        "\(place).\(member)", "\(other) is \(topic), too; each topic carries one source's records")
                }
            }
            let collection = source.collection.name
            if let other = collections.updateValue(number, forKey: [source.tenant.text, collection.text]) {
                faults.add(
                    "\(place).collection",
                    "sources[\(other)] fills \(collection), too; ids and versions of two sources cannot be compared, so "
                        + "each needs a collection of its own")
            }
        }
    }
}

/// A source's collection while it is read.
private struct CollectionReading {
    private(set) var name: CollectionName?
    private(set) var attributes: [AttributeDeclaration] = []
    /// The same with their places, for the logic.
    private(set) var mapped: [MappedAttribute] = []
    private(set) var retentionDays: Int?
    /// A century.
    private static let retentionDaysMax: Int64 = 36_500

    /// - Parameters:
    ///   - reader: nil where the declaration has no such member.
    ///   - standard: the collection's name where the declaration gives none.
    init(_ reader: DeclarationReader?, standard: SourceName?, kind: LogicSettings.Kind?) {
        name = standard.flatMap { CollectionName($0.text) }
        if kind == .recentChange { attributes = CollectionDeclaration.recentChangeAttributes }
        guard let reader else { return }
        guard let members = reader.members(required: [], optional: ["name", "attributes", "retention_days"]) else {
            name = nil
            return
        }
        if let given = members["name"] { name = given.name(CollectionName.self) }
        retentionDays = members["retention_days"]?.integer(0...Self.retentionDaysMax).map { Int($0) }
        guard let list = members["attributes"] else { return }
        if kind == .recentChange {
            list.fault("the logic \"recent_change\" brings its own attributes; leave the member out")
            return
        }
        for (text, entry) in list.entries(countMax: DocumentSettings.attributesMax) ?? [] {
            guard let attribute = AttributeName(text) else {
                entry.fault("is no attribute's name: \(AttributeName.grammar)")
                continue
            }
            guard !AttributeName.common.contains(attribute) else {
                entry.fault("is what every document has, so no attribute can be called so")
                continue
            }
            guard let members = entry.members(required: ["type"], optional: ["path", "filter"]),
                let type = members["type"]?.choice(AttributeType.self)
            else { continue }
            let isFilterable = members["filter"].given(true) { $0.bool() }
            let path = members["path"].given(FieldPath(text)) { $0.path() }
            guard let isFilterable, let path else { continue }
            attributes.append(AttributeDeclaration(attribute, type, isFilterable: isFilterable))
            mapped.append(MappedAttribute(attribute, type, at: path))
        }
    }
}
