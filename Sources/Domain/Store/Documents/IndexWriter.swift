import Bytes
package import Postgres
package import Records
package import Retrieval

/// Writes documents and checkpoints, each call one transaction in one round trip.
///
/// Confined to one thread, and blocking, as its connection is; it connects when first used and again after a failure.
/// An advisory lock lets one index transaction run at a time in a database, so that index versions become visible in
/// order; two writers of the same topic partition are told apart by the checkpoint.
package final class IndexWriter {
    private let connection: LazyConnection
    private let graph: VectorGraph
    private let linker: GraphLinker
    private var cutter = WordCutter()
    /// Numbers of models whose tables are there, and tenants that have theirs; forgotten when anything fails.
    private var prepared: [PreparedTables: Int32] = [:]
    private var models: [String: Int32] = [:]
    private var words = KnownWords()
    /// What the next transaction notes of the last one: it could not know itself when its commit would return.
    private var committed: NoteSearchable?

    private struct PreparedTables: Hashable {
        let model: String
        let tenant: String
    }

    /// - Parameters:
    ///   - configuration: of a database that is migrated.
    ///   - graph: of the vectors' tables that this writer makes, and how many vectors may wait for it.
    package init(configuration: PostgresConfiguration, graph: VectorGraph = VectorGraph()) {
        var configuration = configuration
        // Plans are kept over writes, and must not be those of an empty table: where vectors wait it is empty now and then.
        configuration.sessionSettings.append(("enable_seqscan", "off"))
        connection = LazyConnection(configuration)
        linker = GraphLinker(connection)
        self.graph = graph
    }

    /// Writes documents, moves checkpoints and keeps positions, all or nothing.
    ///
    /// Documents that are there already change nothing, so that a repeat does no harm. The highest version wins, whatever
    /// order they come in; in order, the last wins among puts of equal version, and a deletion wins over them. A document that
    /// Postgres refuses for what it holds is kept aside with the reason, and the others are written as if it were not there.
    ///
    /// - Parameters:
    ///   - documents: some hundreds at most; each passage with its vector, or sharing one (see ``IndexedPassage``). Those that
    ///     delete all below a version become floors.
    ///   - floors: more of them: below which versions whole sources are deleted; one for each fed generation.
    ///   - goldPositions: next offsets of Gold topic partitions, as a hint for the next start.
    ///   - refused: documents that were refused on their way here, to be kept aside, too.
    ///   - hiding: what is taken out before the documents are written, in the same transaction.
    ///   - origin: whether the index is newer for it.
    ///   - embeddedAtMilliseconds: when all vectors were there, milliseconds since 1970; nil where none were made for it.
    /// - Throws: ``IndexError``: `checkpoint` when one stands elsewhere, `vectorGone` when a content or vector that was there is
    ///   missing, `model` when the vectors of a generation are another model's.
    package func write(
        _ documents: [IndexedDocument], floors: [VersionFloor] = [], moving moves: [CheckpointMove] = [],
        goldPositions: [(gold: TopicPartition, nextOffset: Int64)] = [], refused: [RefusedDocument] = [],
        hiding: AuditHiding? = nil, origin: IndexOrigin = .live, embeddedAtMilliseconds: Int64? = nil,
        timeoutMilliseconds: Int
    ) throws(IndexError) -> IndexWriteResult {
        let floors = floors + documents.compactMap(\.floor)
        let documents = documents.filter { $0.floor == nil }
        do throws(IndexError) {
            let numbers = try prepareTables(documents, timeoutMilliseconds: timeoutMilliseconds)
            let result = try write(
                documents, numbers: numbers, floors, moves, goldPositions, refused, hiding, origin,
                embeddedAtMilliseconds,
                timeoutMilliseconds: timeoutMilliseconds)
            committed = NoteSearchable(
                version: result.indexVersion, atMilliseconds: SystemClock.epochMilliseconds())
            return result
        } catch {
            prepared = [:]
            models = [:]
            words = KnownWords()
            throw error
        }
    }

    private func write(
        _ documents: [IndexedDocument], numbers: [String: Int32], _ floors: [VersionFloor], _ moves: [CheckpointMove],
        _ goldPositions: [(gold: TopicPartition, nextOffset: Int64)], _ refused: [RefusedDocument],
        _ hiding: AuditHiding?, _ origin: IndexOrigin, _ embeddedAtMilliseconds: Int64?,
        timeoutMilliseconds: Int
    ) throws(IndexError) -> IndexWriteResult {
        let generations = Set(
            documents.map(\.generation) + floors.map(\.generation) + moves.map(\.generation)
                + refused.map(\.generation))
        var beginning = PostgresBatch()
        let begin = beginning.add(BeginIndexTransaction(origin: origin, generations: generations.sorted()))
        if let embeddedAtMilliseconds { beginning.add(NoteEmbedded(atMilliseconds: embeddedAtMilliseconds)) }
        if let committed { beginning.add(committed) }
        if let hiding { beginning.add(HideAudited(hiding: hiding)) }
        let hidings = floors.map { beginning.add(DeleteBelow(floor: $0)) }
        var batch = beginning
        let puts = DocumentPuts(
            numbers: numbers, vectors: InputVectors(documents), analyzer: try cutter.get(), words: words)
        let added = puts.add(documents[...], to: &batch)
        Self.add(moves, goldPositions, refused, to: &batch)
        do throws(IndexError) {
            return try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) {
                results throws(PostgresError) in
                IndexWriteResult(
                    indexVersion: try results.rows(begin).first ?? 0, passagesAdded: try learn(added, results),
                    documentsHidden: try Self.sum(hidings, results))
            }
        } catch  where error.isRefusal && !documents.isEmpty {
            // In one transaction as before: what is good, what is not with its reason, and the steps of the checkpoints.
            return try connection.transaction(timeoutMilliseconds: timeoutMilliseconds) {
                connection throws(PostgresError) in
                let begun = try connection.run(beginning, timeoutMilliseconds: timeoutMilliseconds)
                var result = IndexWriteResult(
                    indexVersion: try begun.rows(begin).first ?? 0, passagesAdded: 0,
                    documentsHidden: try Self.sum(hidings, begun))
                try puts.put(
                    documents[...], on: connection, timeoutMilliseconds: timeoutMilliseconds, into: &result)
                var batch = PostgresBatch()
                Self.add(moves, goldPositions, refused + result.refused, to: &batch)
                _ = try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds)
                return result
            }
        }
    }

    /// Shows a child documents as its parent shows them, in one index transaction; what came of them otherwise stays as it is.
    ///
    /// - Parameter model: name of the vectors' model; empty for none.
    /// - Returns: the version of the transaction, and the offsets of those that are dealt with. The others are to be written.
    /// - Throws: ``IndexError``.
    package func share(
        _ shared: SharedDocuments, model: String, timeoutMilliseconds: Int
    ) throws(IndexError) -> (indexVersion: Int64, offsets: [Int64]) {
        guard let number = try number(of: model, timeoutMilliseconds: timeoutMilliseconds) else { return (0, []) }
        var batch = PostgresBatch()
        let begin = batch.add(BeginIndexTransaction(origin: .replay, generations: [shared.child]))
        if let committed { batch.add(committed) }
        let slot = batch.add(ShareDocuments(shared: shared, model: number))
        do throws(IndexError) {
            let found = try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) {
                results throws(PostgresError) in
                (indexVersion: try results.rows(begin).first ?? 0, offsets: try results.rows(slot).first ?? [])
            }
            committed = NoteSearchable(version: found.indexVersion, atMilliseconds: SystemClock.epochMilliseconds())
            return found
        } catch  where error.isRefusal {
            // Writing them one by one shows which.
            return (0, [])
        } catch {
            models = [:]
            throw error
        }
    }

    /// Remembers the words that were written.
    ///
    /// - Returns: how many passages became visible.
    private func learn(_ puts: [DocumentPuts.Added], _ results: PostgresResults) throws(PostgresError) -> Int {
        var passages: Int64 = 0
        for put in puts {
            guard let row = try results.rows(put.slot).first else { continue }
            passages += row.passages
            words.learn(put.words, row.wordNumbers, of: put.tenant, removals: row.removals)
        }
        return Int(passages)
    }

    /// Links as many vectors as some documents will bring beyond what may wait, in transactions of their own.
    ///
    /// - Returns: how many.
    @discardableResult
    package func makeRoom(for documents: [IndexedDocument], timeoutMilliseconds: Int) throws(IndexError) -> Int64 {
        let coming = documents.reduce(0) { $0 + $1.passages.count { $0.embedding != nil } }
        return try linker.makeRoom(
            for: coming, within: graph.waitingMax, timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Cuts documents' passages into words beside a write, which then need not do it: for another writer, on another thread.
    package func cut(_ documents: inout [IndexedDocument]) throws(IndexError) {
        let analyzer = try cutter.get()
        for index in documents.indices where !documents[index].passages.isEmpty {
            documents[index].terms = analyzer.terms(of: documents[index])
        }
    }

    /// Makes the tables that some documents need, in transactions of their own.
    ///
    /// - Returns: the numbers of models by their names.
    private func prepareTables(
        _ documents: [IndexedDocument], timeoutMilliseconds: Int
    ) throws(IndexError) -> [String: Int32] {
        var numbers = ["": Int32(0)]
        for document in documents where document.document.operation == .put {
            let tables = PreparedTables(model: document.model, tenant: document.document.tenant.text)
            if let known = prepared[tables] {
                numbers[document.model] = known
                continue
            }
            let number = try prepareTables(of: document, timeoutMilliseconds: timeoutMilliseconds)
            prepared[tables] = number
            numbers[document.model] = number
        }
        return numbers
    }

    private func prepareTables(of document: IndexedDocument, timeoutMilliseconds: Int) throws(IndexError) -> Int32 {
        let tenant = document.document.tenant.text
        if document.model.isEmpty {
            _ = try connection.run(PrepareTenant(tenant: tenant), timeoutMilliseconds: timeoutMilliseconds)
            return 0
        }
        let known = try connection.run(FindModel(model: document.model), timeoutMilliseconds: timeoutMilliseconds)
        let vector = document.passages.lazy.compactMap(\.embedding).first
        guard let dimensions = vector?.count ?? known.first.map({ Int($0.dimensions) }) else {
            throw IndexError(.vectorGone, "the index has no vectors of model \(document.model)")
        }
        let statement = PrepareVectors(
            model: document.model, dimensions: dimensions, tenant: tenant, graph: graph)
        guard let number = try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds).first else {
            throw IndexError(.schema, "no table for vectors was made", hint: "run `medallion migrate`")
        }
        return number
    }

    private static func add(
        _ moves: [CheckpointMove], _ goldPositions: [(gold: TopicPartition, nextOffset: Int64)],
        _ refused: [RefusedDocument], to batch: inout PostgresBatch
    ) {
        for document in refused { batch.add(KeepRefusedDocument(document: document)) }
        for move in moves { batch.add(MoveCheckpoint(move: move)) }
        for position in goldPositions {
            batch.add(KeepGoldPosition(gold: position.gold, nextOffset: position.nextOffset))
        }
    }

    /// What statements of one number each come to.
    private static func sum<S>(
        _ slots: [PostgresSlot<S>], _ results: PostgresResults
    ) throws(PostgresError) -> Int where S.Row == Int64 {
        var sum: Int64 = 0
        for slot in slots { sum += try results.rows(slot).first ?? 0 }
        return Int(sum)
    }

    /// Which documents' contents the index has, with the vectors of a model (empty: without): their places among `documents`.
    package func known(
        _ documents: [GoldDocument], model: String, timeoutMilliseconds: Int
    ) throws(IndexError) -> Set<Int> {
        guard !documents.isEmpty, let number = try number(of: model, timeoutMilliseconds: timeoutMilliseconds) else {
            return []
        }
        let places = try connection.run(
            FindContents(documents: documents, model: number), timeoutMilliseconds: timeoutMilliseconds)
        return Set(places.map { Int($0) - 1 })
    }

    /// Which inputs have vectors of a model.
    package func embedded(
        _ inputs: [VectorInput], model: String, timeoutMilliseconds: Int
    ) throws(IndexError) -> Set<VectorInput> {
        guard !inputs.isEmpty, !model.isEmpty,
            let number = try number(of: model, timeoutMilliseconds: timeoutMilliseconds)
        else { return [] }
        let places = try connection.run(
            FindVectors(model: number, inputs: inputs), timeoutMilliseconds: timeoutMilliseconds)
        return Set(places.map { inputs[Int($0) - 1] })
    }

    /// The names of the models of generations' vectors: empty for one that was pruned, and needs none; none for one that has none yet.
    package func models(timeoutMilliseconds: Int) throws(IndexError) -> [Int64: String] {
        let rows = try connection.run(ListGenerationModels(), timeoutMilliseconds: timeoutMilliseconds)
        return Dictionary(rows.map { ($0.generation, $0.state == .pruned ? "" : $0.model) }) { _, last in last }
    }

    /// The number of a model, 0 for none; nil where the index has no vectors of it.
    private func number(of model: String, timeoutMilliseconds: Int) throws(IndexError) -> Int32? {
        if model.isEmpty { return 0 }
        if let known = models[model] { return known }
        let found = try connection.run(FindModel(model: model), timeoutMilliseconds: timeoutMilliseconds)
        models[model] = found.first?.number
        return found.first?.number
    }

    /// All checkpoints, by generation and topic partition.
    package func checkpoints(timeoutMilliseconds: Int) throws(IndexError) -> [IndexCheckpoint] {
        try connection.run(ReadCheckpoints(), timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Where to go on reading Gold topics.
    package func goldPositions(timeoutMilliseconds: Int) throws(IndexError) -> [TopicPartition: Int64] {
        let rows = try connection.run(ReadGoldPositions(), timeoutMilliseconds: timeoutMilliseconds)
        return Dictionary(rows.map { ($0.gold, $0.nextOffset) }) { _, last in last }
    }

    /// The SHA-256 of the Bronze value behind what the index holds of a source offset; nil where it holds nothing of it.
    package func bronzeHash(
        generation: Int64, source: TopicPartition, offset: Int64, timeoutMilliseconds: Int
    ) throws(IndexError) -> String? {
        let statement = FindBronzeHash(generation: generation, source: source, offset: offset)
        return try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds).first
    }

    /// Removes answers that were given before a moment, in milliseconds since 1970; some thousands at most.
    ///
    /// - Returns: how many.
    @discardableResult
    package func removeAnswers(beforeMilliseconds: Int64, timeoutMilliseconds: Int) throws(IndexError) -> Int64 {
        let statement = RemoveOldAnswers(beforeMilliseconds: beforeMilliseconds)
        return try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds).first ?? 0
    }

    /// One step of removing answers that are too old or too many; see ``AnswerBounds``.
    ///
    /// - Returns: how many went; 0 when nothing is left to do.
    package func tidyAnswers(
        _ bounds: AnswerBounds, nowMilliseconds: Int64, timeoutMilliseconds: Int
    ) throws(IndexError) -> Int64 {
        try AnswerTidying.step(
            connection, bounds, nowMilliseconds: nowMilliseconds, timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Forgets deletions of a month ago, some thousands at most: what is older than those comes back if it comes at all.
    package func removeDeletionMarkers(timeoutMilliseconds: Int) throws(IndexError) {
        _ = try connection.run(RemoveDeletionMarkers(), timeoutMilliseconds: timeoutMilliseconds)
    }
}
