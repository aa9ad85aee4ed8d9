package import Bytes
package import Postgres
import PostgresTesting
package import Records
package import Retrieval
package import Store

/// A migrated database of a test's own.
package struct IndexFixture: Sendable {
    package static let limit = 60_000
    package let configuration: PostgresConfiguration

    package init() throws {
        configuration = PostgresConfiguration(dsn: try SharedPostgres.freshDatabase())
        try Migrator(connection: connect()).migrate()
    }

    package func connect(_ settings: [(name: String, value: String)] = []) throws -> PostgresConnection {
        var configuration = configuration
        configuration.sessionSettings = settings
        return try PostgresConnection(configuration, timeoutMilliseconds: Self.limit)
    }

    /// A session as the role that policies bind, for the standard tenant.
    ///
    /// - Parameter settings: those of searches, unless told otherwise.
    package func reader(
        _ settings: [(name: String, value: String)] = SearchStore.sessionSettings()
    ) throws -> PostgresConnection {
        var configuration = configuration
        configuration.sessionSettings = settings + [("medallion.tenant", TenantID.standard.text)]
        configuration.role = SearchStore.readerRole
        return try PostgresConnection(configuration, timeoutMilliseconds: Self.limit)
    }

    package var writer: IndexWriter { IndexWriter(configuration: configuration) }
    /// Brings the word arm's counts up to date and links all vectors, as the index's upkeep does.
    package func countWords() throws { try Self.countWords(configuration) }

    /// Gives all passages their words and counts them, and links all vectors, as the index's upkeep does.
    package static func countWords(_ configuration: PostgresConfiguration) throws {
        let upkeep = IndexUpkeep(configuration: configuration)
        var cursor: WordCursor?
        repeat { cursor = try upkeep.cutWords(cursor, timeoutMilliseconds: limit) } while cursor != nil
        while try upkeep.countWords(timeoutMilliseconds: limit) > 0 {}
        try linkVectors(configuration)
    }

    /// Links vectors into their graphs, the oldest first.
    ///
    /// - Parameter most: vectors.
    package static func linkVectors(_ configuration: PostgresConfiguration, most: Int64 = .max) throws {
        let linker = GraphLinker(configuration: configuration)
        var left = min(try linker.count(timeoutMilliseconds: limit).count, most)
        while left > 0 { left -= max(1, try linker.step(most: left, timeoutMilliseconds: limit)) }
    }

    /// How many vectors wait to be linked.
    package func waitingVectors() throws -> Int64 {
        try GraphLinker(configuration: configuration).count(timeoutMilliseconds: Self.limit).count
    }

    package var store: SearchStore { SearchStore(configuration: configuration, model: "test") }
    package var generations: GenerationStore { GenerationStore(configuration: configuration) }

    package static let source = TopicPartition(topic: "wikimedia.recentchange", partition: 0)

    /// The collection of recent changes.
    package static var collection: CollectionName { name("wikimedia.recentchange") }

    package static func name(_ text: String) -> CollectionName {
        guard let name = CollectionName(text) else { preconditionFailure("\(text) is no name") }
        return name
    }

    /// A document whose identity is its number.
    package static func document(
        _ number: Int, text: String? = nil, version: Int64 = 1, wiki: String = "enwiki", isBot: Bool = false,
        embedding: [Float]?, generation: Int64 = 1, model: String = "test", contentHash: String? = nil,
        textHash: String? = nil
    ) -> IndexedDocument {
        let text = text ?? "text number \(number)"
        let gold = GoldDocument(
            collection: collection, docID: "doc-\(number)", version: version,
            attributes: AttributeList([
                .wiki: .string(wiki), .type: .string("edit"), .namespace: .integer(0), .user: .string("User \(number)"),
                .isBot: .bool(isBot), .domain: .string("v"),
            ]), text: text,
            eventTimeMilliseconds: 1_700_000_000_000 + Int64(number) * 1_000, title: "Title \(number)",
            url: "https://example.org/\(number)", lang: "en", qualityFlags: [],
            textHash: textHash ?? "t-\(text)", contentHash: contentHash ?? "c-\(number)-\(version)",
            lineage: Lineage(
                logicVersion: "logic",
                parents: [
                    ParentReference(
                        topic: source.topic, partition: source.partition, offset: Int64(number),
                        eventID: "doc-\(number)", bronzeSHA256: "00")
                ]))
        return IndexedDocument(
            generation: generation, document: gold, source: source, sourceOffset: Int64(number), model: model,
            passages: [
                IndexedPassage(
                    number: 0, text: text, inputHash: model.isEmpty ? "" : inputHash(text), embedding: embedding)
            ])
    }

    /// What a model would see that sees the text itself.
    package static func inputHash(_ text: String) -> String {
        guard let hashes = try? TextInputs().inputHashes(of: [text]) else {
            preconditionFailure("OpenSSL has no memory")
        }
        return hashes[0]
    }

    /// A vector of length 1.
    package static func vector(_ generator: inout SeededGenerator) -> [Float] {
        normalised((0..<384).map { _ in Float.random(in: -1...1, using: &generator) })
    }

    /// A vector near another one, so that neighbourhoods exist as among real texts.
    package static func neighbour(of vector: [Float], _ generator: inout SeededGenerator) -> [Float] {
        normalised(vector.map { $0 + Float.random(in: -0.08...0.08, using: &generator) })
    }

    private static func normalised(_ values: [Float]) -> [Float] {
        let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return values.map { $0 / length }
    }

    package static func query(
        _ text: String = "", vector: [Float]? = nil, filter: Filter = .all,
        vectorLimit: Int = 100, lexicalLimit: Int = 100
    ) -> CandidateQuery {
        CandidateQuery(
            text: text, vector: vector, filter: filter, vectorLimit: vectorLimit, lexicalLimit: lexicalLimit)
    }
}

extension CandidateSet {
    /// Documents of the vector arm, nearest first.
    package var nearest: [String] {
        candidates.compactMap { candidate in candidate.vector.map { (candidate.docID, $0.rank) } }
            .sorted { $0.1 < $1.1 }.map(\.0)
    }

    /// Documents of the lexical arm, best first.
    package var best: [String] {
        candidates.compactMap { candidate in candidate.lexical.map { (candidate.docID, $0.rank) } }
            .sorted { $0.1 < $1.1 }.map(\.0)
    }
}
