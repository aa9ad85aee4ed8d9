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

    /// - Parameter configuration: of a database that is migrated.
    package init(configuration: PostgresConfiguration) {
        connection = LazyConnection(configuration)
    }

    /// Writes documents, moves checkpoints and keeps positions, all or nothing.
    ///
    /// Documents that are there already change nothing, so that a repeat does no harm. The highest version wins, whatever
    /// order they come in; in order, the last wins among puts of equal version, and a deletion wins over them. A document that Postgres refuses for what it holds is kept aside with the reason, and the
    /// others are written as if it were not there.
    ///
    /// - Parameters:
    ///   - documents: some hundreds at most; each passage with its vector, or sharing one (see ``IndexedPassage``).
    ///   - goldPositions: next offsets of Gold topic partitions, as a hint for the next start.
    ///   - refused: documents that were refused on their way here, to be kept aside, too.
    ///   - origin: whether the index is newer for it.
    /// - Throws: ``IndexError``: `checkpoint` when one stands elsewhere, `vectorGone` when a shared vector is missing.
    package func write(
        _ documents: [IndexedDocument], moving moves: [CheckpointMove] = [],
        goldPositions: [(gold: TopicPartition, nextOffset: Int64)] = [], refused: [RefusedDocument] = [],
        origin: IndexOrigin = .live, timeoutMilliseconds: Int
    ) throws(IndexError) -> IndexWriteResult {
        let generations = Set(documents.map(\.generation) + moves.map(\.generation) + refused.map(\.generation))
        let beginning = BeginIndexTransaction(origin: origin, generations: generations.sorted())
        var batch = PostgresBatch()
        let begin = batch.add(beginning)
        let puts = Self.add(documents[...], to: &batch)
        Self.add(moves, goldPositions, refused, to: &batch)
        do throws(IndexError) {
            return try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) {
                results throws(PostgresError) in
                IndexWriteResult(
                    indexVersion: try results.rows(begin).first ?? 0, passagesAdded: try Self.affected(puts, results))
            }
        } catch  where error.isRefusal && !documents.isEmpty {
            // In one transaction as before: what is good, what is not with its reason, and the steps of the checkpoints.
            return try connection.transaction(timeoutMilliseconds: timeoutMilliseconds) {
                connection throws(PostgresError) in
                let version = try connection.run(beginning, timeoutMilliseconds: timeoutMilliseconds)
                var result = IndexWriteResult(indexVersion: version.first ?? 0, passagesAdded: 0)
                try Self.put(documents[...], on: connection, timeoutMilliseconds: timeoutMilliseconds, into: &result)
                var batch = PostgresBatch()
                Self.add(moves, goldPositions, refused + result.refused, to: &batch)
                _ = try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds)
                return result
            }
        }
    }

    /// Puts documents within a transaction: all at once, or else each half by itself, until what is refused stands alone.
    private static func put(
        _ documents: ArraySlice<IndexedDocument>, on connection: PostgresConnection, timeoutMilliseconds: Int,
        into result: inout IndexWriteResult
    ) throws(PostgresError) {
        guard let first = documents.first else { return }
        var batch = PostgresBatch()
        let puts = add(documents, to: &batch)
        try connection.script(
            "SAVEPOINT documents", operation: "savepoint", timeoutMilliseconds: timeoutMilliseconds)
        do throws(PostgresError) {
            let results = try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds)
            try connection.script(
                "RELEASE SAVEPOINT documents", operation: "release savepoint",
                timeoutMilliseconds: timeoutMilliseconds)
            result.passagesAdded += try affected(puts, results)
        } catch  where error.isDataRefusal {
            try connection.script(
                "ROLLBACK TO SAVEPOINT documents; RELEASE SAVEPOINT documents", operation: "roll back to savepoint",
                timeoutMilliseconds: timeoutMilliseconds)
            guard documents.count > 1 else {
                result.refused.append(RefusedDocument(first, error))
                return
            }
            let middle = documents.startIndex + documents.count / 2
            for half in [documents[..<middle], documents[middle...]] {
                try put(half, on: connection, timeoutMilliseconds: timeoutMilliseconds, into: &result)
            }
        }
    }

    private static func add(
        _ documents: ArraySlice<IndexedDocument>, to batch: inout PostgresBatch
    ) -> [PostgresSlot<PutPassage>] {
        var puts: [PostgresSlot<PutPassage>] = []
        for document in documents {
            guard document.document.operation == .put else {
                batch.add(DeleteDocument(document: document))
                continue
            }
            for passage in document.passages {
                puts.append(batch.add(PutPassage(document: document, passage: passage)))
            }
        }
        return puts
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

    private static func affected(
        _ puts: [PostgresSlot<PutPassage>], _ results: PostgresResults
    ) throws(PostgresError) -> Int {
        var added = 0
        for put in puts { added += try results.affected(put) }
        return added
    }

    /// Which passages of some texts have vectors of a model: their numbers by text hash.
    package func embedded(
        textHashes: [String], model: String, timeoutMilliseconds: Int
    ) throws(IndexError) -> [String: Set<Int32>] {
        var found: [String: Set<Int32>] = [:]
        let statement = FindEmbeddedTexts(textHashes: textHashes, model: model)
        for row in try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds) {
            found[row.textHash, default: []].insert(row.passage)
        }
        return found
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

    /// Takes over what the planner knows of common words, which the lexical arm weighs by; once a minute is enough.
    package func refreshLexemes(timeoutMilliseconds: Int) throws(IndexError) {
        _ = try connection.run(RefreshLexemes(), timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Forgets deletions of a month ago, some thousands at most: what is older than those comes back if it comes at all.
    package func removeDeletionMarkers(timeoutMilliseconds: Int) throws(IndexError) {
        _ = try connection.run(RemoveDeletionMarkers(), timeoutMilliseconds: timeoutMilliseconds)
    }
}
