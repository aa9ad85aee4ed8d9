package import Postgres
package import Records

/// A content that a generation shows, with the texts that a model sees.
package struct EmbeddedContent: Sendable, Equatable {
    /// The same for all contents of a document; they are gone through in its order.
    package var key: Int64
    /// The content's number.
    package var documentID: Int64
    package var tenant: TenantID
    package var passages: [Passage]

    /// A part that is embedded.
    package struct Passage: Sendable, Equatable {
        /// Its number in the index.
        package var id: Int64
        package var text: String
    }
}

/// What some contents are given in place of the vectors that they have.
package struct ChangedVectors: Sendable {
    package var contents: [EmbeddedContent]
    /// What the model sees of their passages, in the passages' order: SHA-256 in hex.
    package var inputHashes: [String]
    /// Those that the index has not yet.
    package var vectors: [VectorInput: [Float]]
    /// Inputs that the embedder refuses: a document with one is found by words alone.
    package var refused: Set<VectorInput>

    package init(
        contents: [EmbeddedContent], inputHashes: [String], vectors: [VectorInput: [Float]], refused: Set<VectorInput>
    ) {
        (self.contents, self.inputHashes, self.vectors, self.refused) = (contents, inputHashes, vectors, refused)
    }
}

/// What one step of a change of vectors came to.
package struct VectorStep: Sendable, Equatable {
    /// The key of the last document that was looked at; nil behind the last one.
    package var lastKey: Int64?
    /// Documents that were gone through.
    package var documents = 0
    /// Texts that were embedded.
    package var embedded = 0

    package init(lastKey: Int64? = nil, documents: Int = 0, embedded: Int = 0) {
        (self.lastKey, self.documents, self.embedded) = (lastKey, documents, embedded)
    }
}

/// Gives a generation that is being made vectors of its own model, where what it took over has its parent's.
///
/// What is done is what it shows of that model, so a change that was cut short resumes there. Confined to one thread, and
/// blocking, as its connection is.
package final class VectorChange {
    private let connection: LazyConnection
    private let linker: GraphLinker
    private let graph: VectorGraph
    private var prepared: Set<String> = []

    /// Documents of one step.
    package static let documentsMax = 256

    /// - Parameters:
    ///   - configuration: of a migrated database.
    ///   - graph: of the vectors' tables, and how many vectors may wait for it.
    package init(configuration: PostgresConfiguration, graph: VectorGraph = VectorGraph()) {
        connection = LazyConnection(configuration)
        linker = GraphLinker(connection)
        self.graph = graph
    }

    /// The next contents that a generation shows whose vectors are not of its model.
    ///
    /// - Parameter key: of the last one that was looked at.
    package func next(
        of generation: Int64, after key: Int64, most: Int = documentsMax, timeoutMilliseconds: Int
    ) throws(IndexError) -> [EmbeddedContent] {
        Self.contents(
            try connection.run(
                ListFormerContents(generation: generation, after: key, most: most),
                timeoutMilliseconds: timeoutMilliseconds))
    }

    /// How many documents of a generation are left.
    package func left(of generation: Int64, timeoutMilliseconds: Int) throws(IndexError) -> Int64 {
        try connection.run(CountFormerContents(generation: generation), timeoutMilliseconds: timeoutMilliseconds)
            .first ?? 0
    }

    /// The next contents that a generation shows of records outside of some ranges, whatever their vectors are.
    package func shown(
        by generation: Int64, after key: Int64, outside ranges: [(source: TopicPartition, offsets: OffsetRange)],
        most: Int = documentsMax, timeoutMilliseconds: Int
    ) throws(IndexError) -> [EmbeddedContent] {
        Self.contents(
            try connection.run(
                ListShownContents(generation: generation, after: key, most: most, ranges: ranges),
                timeoutMilliseconds: timeoutMilliseconds))
    }

    private static func contents(_ rows: [FormerContentRow]) -> [EmbeddedContent] {
        var contents: [EmbeddedContent] = []
        for row in rows {
            if contents.last?.documentID != row.documentID {
                contents.append(
                    EmbeddedContent(key: row.key, documentID: row.documentID, tenant: row.tenant, passages: []))
            }
            if let passage = row.passage { contents[contents.count - 1].passages.append(passage) }
        }
        return contents
    }

    /// Shows contents with vectors of the generation's model, in one index transaction.
    ///
    /// - Returns: how many; fewer where some are hidden by now. Nil while passages are being cut into words anew: try again later.
    /// - Throws: ``IndexError``: `vectorGone` where a vector that was there is missing, `generation` where it is not being made.
    package func replace(
        _ change: ChangedVectors, of generation: Int64, timeoutMilliseconds: Int
    ) throws(IndexError) -> Int64? {
        let model = try model(of: generation, timeoutMilliseconds: timeoutMilliseconds)
        for tenant in Set(change.contents.map(\.tenant.text)).subtracting(prepared) {
            let statement = PrepareVectors(
                model: model.name, dimensions: model.dimensions, tenant: tenant, graph: graph)
            _ = try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds)
            prepared.insert(tenant)
        }
        try linker.makeRoom(
            for: change.vectors.count, within: graph.waitingMax, timeoutMilliseconds: timeoutMilliseconds)
        var batch = PostgresBatch()
        batch.add(BeginIndexTransaction(origin: .replay, generations: [generation]))
        for (input, vector) in change.vectors {
            batch.add(InsertVector(model: model.number, input: input, vector: vector))
        }
        let slots = Reembed.statements(of: change, generation: generation, model: model.number).map { batch.add($0) }
        if !change.vectors.isEmpty {
            batch.add(RemoveUnusedVectors(model: model.number, inputs: Array(change.vectors.keys)))
        }
        return try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) { results throws(PostgresError) in
            var sum: Int64 = 0
            for slot in slots {
                guard let replaced = try results.rows(slot).first, replaced >= 0 else { return nil }
                sum += replaced
            }
            return sum
        }
    }

    private func model(
        of generation: Int64, timeoutMilliseconds: Int
    ) throws(IndexError) -> (name: String, number: Int32, dimensions: Int) {
        let models = try connection.run(ListGenerationModels(), timeoutMilliseconds: timeoutMilliseconds)
        guard let name = models.first(where: { $0.generation == generation })?.model,
            let row = try connection.run(FindModel(model: name), timeoutMilliseconds: timeoutMilliseconds).first
        else { throw IndexError(.generation, "generation \(generation) has no model of vectors") }
        return (name, row.number, Int(row.dimensions))
    }
}
