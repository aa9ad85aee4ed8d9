package import Postgres
package import Records

/// A generation and what it holds.
package struct GenerationSummary: Sendable, Equatable {
    package var generation: Int64
    package var parent: Int64?
    package var state: GenerationState
    package var logicVersion: String
    package var note: String
    package var createdAtMilliseconds: Int64
    package var isActive: Bool
    /// Passages that it sees now.
    package var passages: Int64
    /// Documents that it sees now.
    package var documents: Int64
    /// The name of its vectors' model; empty where it has none.
    package var model: String
    /// Next source offset per topic partition, sorted.
    package var checkpoints: [IndexCheckpoint]
}

/// How many documents of a generation are not as in another.
package struct GenerationDifference: Sendable, Equatable {
    package var added: Int64
    package var removed: Int64
    /// With another content hash.
    package var changed: Int64
    package var unchanged: Int64

    package init(added: Int64, removed: Int64, changed: Int64, unchanged: Int64) {
        self.added = added
        self.removed = removed
        self.changed = changed
        self.unchanged = unchanged
    }
}

/// Generations: making, filling, promoting.
///
/// A replay goes: ``create(parent:logicVersion:note:timeoutMilliseconds:)``; announce it to the stream job, which fixes
/// the handover; write the range's documents by ``IndexWriter``;
/// ``copyParentRows(child:parent:outside:handover:timeoutMilliseconds:)``; ``finish(generation:handover:timeoutMilliseconds:)``; ``promote(_:timeoutMilliseconds:)``. Confined to
/// one thread, and blocking, as its connection is.
package final class GenerationStore {
    let connection: LazyConnection

    /// - Parameter configuration: of a migrated database.
    package init(configuration: PostgresConfiguration) {
        connection = LazyConnection(configuration)
    }

    /// Makes the next generation, in state `created`; returns its number.
    ///
    /// - Parameters:
    ///   - atLeast: the smallest number that it may have, such as the next one of the lake.
    ///   - vectors: what its vectors are to be; nil: as its parent's. All writers read it from there.
    package func create(
        parent: Int64, logicVersion: String, note: String, atLeast: Int64 = 1, vectors: VectorKind? = nil,
        timeoutMilliseconds: Int
    ) throws(IndexError) -> Int64 {
        var model: Int32?
        if let vectors {
            model = try connection.run(PrepareModel(vectors: vectors), timeoutMilliseconds: timeoutMilliseconds).first
        }
        let statement = CreateGeneration(
            parent: parent, logicVersion: logicVersion, note: note, atLeast: atLeast, model: model)
        guard let number = try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds).first else {
            throw IndexError(.schema, "no generation was made", hint: "run `medallion migrate`")
        }
        return number
    }

    /// Makes visible to `child` what `parent` shows with source offsets below the handover, except in the ranges that
    /// the replay writes; what the parent's index lacks there, the child's lacks, too. Of a document whose newest version lies
    /// elsewhere the child gets the one before, as long as the history has it. Only the narrow rows are copied; a repeat does no
    /// harm.
    ///
    /// - Parameters:
    ///   - handover: for every topic partition that the parent has a checkpoint of, the first offset that the stream
    ///     job feeds to the child.
    ///   - isOfOtherModel: whether the child was made for vectors of another model, so that ``VectorChange`` is to follow.
    ///   - timeoutMilliseconds: for each step of some thousand documents.
    /// - Returns: the number of documents copied.
    /// - Throws: `generationBehind` while the parent's index has not reached the handover (what it has not indexed yet
    ///   could not be copied: try again later); `generation` when the handover lacks a topic partition, or the parent was pruned:
    ///   its rows are being removed.
    package func copyParentRows(
        child: Int64, parent: Int64, outside ranges: [(source: TopicPartition, offsets: OffsetRange)],
        handover: [TopicPartition: Int64], isOfOtherModel: Bool = false, timeoutMilliseconds: Int
    ) throws(IndexError) -> Int {
        let unready = try connection.run(
            FindUnreadyHandovers(parent: parent, handover: handover), timeoutMilliseconds: timeoutMilliseconds)
        for row in unready {
            guard let wanted = row.handover else {
                throw IndexError(.generation, "the handover of generation \(child) lacks \(row.source)")
            }
            // Nothing was ever indexed of a topic partition whose handover is its beginning.
            guard wanted == 0 && row.reached == nil else {
                throw IndexError(
                    .generationBehind,
                    "generation \(parent) has reached \(row.reached.map(String.init) ?? "nothing") of \(row.source), "
                        + "the handover is \(wanted)")
            }
        }
        // The server looks at tables once a minute: a replay of many documents ends before it knows that the child has any.
        try connection.script(
            "ANALYZE visibility (generation, key_id), deleted_documents (generation)", operation: "analyze",
            timeoutMilliseconds: timeoutMilliseconds)
        let inheritance = Inheritance(child: child, parent: parent, handover: handover, ranges: ranges)
        if !isOfOtherModel { try inheritModel(inheritance, timeoutMilliseconds: timeoutMilliseconds) }
        try inheritDeletions(inheritance, timeoutMilliseconds: timeoutMilliseconds)
        return try inheritDocuments(inheritance, timeoutMilliseconds: timeoutMilliseconds)
    }

    private func inheritModel(_ inheritance: Inheritance, timeoutMilliseconds: Int) throws(IndexError) {
        let (child, parent) = (inheritance.child, inheritance.parent)
        let different = try connection.run(
            CompareModels(child: child, parent: parent), timeoutMilliseconds: timeoutMilliseconds)
        if let models = different.first {
            throw IndexError(
                .model,
                "the vectors of generation \(child) are of model \(models.child), those of its parent \(parent) of "
                    + models.parent)
        }
        _ = try connection.run(InheritModel(child: child, parent: parent), timeoutMilliseconds: timeoutMilliseconds)
    }

    /// What the parent was told to delete, and then what of it the child shows already. A writer sees a deletion either way: in what
    /// was copied before it, or by the step that looks at its document afterwards.
    private func inheritDeletions(_ inheritance: Inheritance, timeoutMilliseconds: Int) throws(IndexError) {
        var batch = PostgresBatch()
        batch.add(BeginIndexTransaction(origin: .replay, generations: [inheritance.child]))
        batch.add(InheritRefusals(inheritance: inheritance))
        batch.add(InheritFloors(inheritance: inheritance))
        try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) { _ throws(PostgresError) in }
        var marker = DeletionMarker.beforeAll
        while let last = try inTransaction(
            InheritDeletions(inheritance: inheritance, after: marker), of: inheritance, timeoutMilliseconds
        ).first ?? nil {
            marker = last
        }
        var key = Int64.min
        while let last = try inTransaction(
            HideDeleted(generation: inheritance.child, afterKey: key), of: inheritance, timeoutMilliseconds
        ).first ?? nil {
            key = last
        }
    }

    /// In steps, each an index transaction of its own, so that the indexer's wait for none of them long.
    private func inheritDocuments(_ inheritance: Inheritance, timeoutMilliseconds: Int) throws(IndexError) -> Int {
        var shown: Int64 = 0
        var key = Int64.min
        while true {
            let step = InheritDocuments(inheritance: inheritance, afterKey: key)
            guard let row = try inTransaction(step, of: inheritance, timeoutMilliseconds).first else { break }
            shown += row.shown
            guard let last = row.lastKey else { break }
            key = last
        }
        var marker = DeletionMarker.beforeAll
        while true {
            let step = InheritUndeleted(inheritance: inheritance, after: marker)
            guard let row = try inTransaction(step, of: inheritance, timeoutMilliseconds).first else { break }
            shown += row.shown
            guard let last = row.last else { break }
            marker = last
        }
        var place = InheritUntruncated.Place.beforeAll
        while true {
            let step = InheritUntruncated(inheritance: inheritance, after: place)
            guard let row = try inTransaction(step, of: inheritance, timeoutMilliseconds).first else { break }
            shown += row.shown
            guard let last = row.last else { break }
            place = last
        }
        return Int(shown)
    }

    private func inTransaction<S: PostgresStatement>(
        _ statement: S, of inheritance: Inheritance, _ timeoutMilliseconds: Int
    ) throws(IndexError) -> [S.Row] {
        var batch = PostgresBatch()
        batch.add(BeginIndexTransaction(origin: .replay, generations: [inheritance.child]))
        let slot = batch.add(statement)
        return try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) {
            results throws(PostgresError) in try results.rows(slot)
        }
    }

    /// Declares a replay done: the generation is complete below the handover, and a candidate from now on. Checkpoints that
    /// the indexer has not begun yet are begun at the handover.
    ///
    /// - Throws: `generation` where it is not being made any more, such as one that was pruned; then nothing changes.
    package func finish(
        generation: Int64, handover: [TopicPartition: Int64], timeoutMilliseconds: Int
    ) throws(IndexError) {
        var batch = PostgresBatch()
        batch.add(SetGenerationState(generation: generation, expected: [.created], next: .candidate))
        for (source, offset) in handover.sorted(by: { $0.key < $1.key }) {
            batch.add(
                StartCheckpoint(
                    checkpoint: IndexCheckpoint(generation: generation, source: source, nextOffset: offset)))
        }
        try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) { _ throws(PostgresError) in }
    }

    /// Changes the state if it is one of those expected. The active generation changes by promotion alone.
    ///
    /// - Throws: `generation` where it is in another state, or there is none such.
    package func setState(
        _ state: GenerationState, of generation: Int64, expecting expected: [GenerationState], timeoutMilliseconds: Int
    ) throws(IndexError) {
        _ = try connection.run(
            SetGenerationState(generation: generation, expected: expected, next: state),
            timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Makes an index that holds nothing yet that of a lake.
    ///
    /// - Throws: `generation` where it holds anything, or none of them is active.
    package func adopt(_ generations: [AdoptedGeneration], timeoutMilliseconds: Int) throws(IndexError) {
        _ = try connection.run(AdoptGenerations(generations: generations), timeoutMilliseconds: timeoutMilliseconds)
    }

    /// All checkpoints, by generation and topic partition.
    package func checkpoints(timeoutMilliseconds: Int) throws(IndexError) -> [IndexCheckpoint] {
        try connection.run(ReadCheckpoints(), timeoutMilliseconds: timeoutMilliseconds)
    }

    /// The states of all generations by number.
    package func states(timeoutMilliseconds: Int) throws(IndexError) -> [Int64: GenerationState] {
        let rows = try connection.run(ReadGenerationStates(), timeoutMilliseconds: timeoutMilliseconds)
        return Dictionary(rows.map { ($0.generation, $0.state) }) { _, last in last }
    }

    /// Sets the fingerprint of the logic that makes a generation.
    package func setLogicVersion(
        _ logicVersion: String, of generation: Int64, timeoutMilliseconds: Int
    ) throws(IndexError) {
        _ = try connection.run(
            SetLogicVersion(generation: generation, logicVersion: logicVersion),
            timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Makes a generation the active one, in one step; the same move to an older one is the rollback.
    ///
    /// - Returns: the index version of the move.
    /// - Throws: `generation` when it is not complete, or was given up; `generationBehind` when a checkpoint has not reached the active one's.
    @discardableResult
    package func promote(_ generation: Int64, timeoutMilliseconds: Int) throws(IndexError) -> Int64 {
        let rows = try connection.run(
            PromoteGeneration(generation: generation), timeoutMilliseconds: timeoutMilliseconds)
        return rows.first ?? 0
    }

    /// All generations, oldest first.
    package func list(timeoutMilliseconds: Int) throws(IndexError) -> [GenerationSummary] {
        var batch = PostgresBatch()
        let summaries = batch.add(ListGenerations())
        let checkpoints = batch.add(ReadCheckpoints())
        return try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) {
            results throws(PostgresError) in
            let all = try results.rows(checkpoints)
            var list = try results.rows(summaries)
            for index in list.indices {
                list[index].checkpoints = all.filter { $0.generation == list[index].generation }
            }
            return list
        }
    }

    /// How the documents of one generation differ from another's.
    package func difference(
        of child: Int64, from parent: Int64, timeoutMilliseconds: Int
    ) throws(IndexError) -> GenerationDifference {
        let rows = try connection.run(
            CompareGenerations(child: child, parent: parent), timeoutMilliseconds: timeoutMilliseconds)
        return rows.first ?? GenerationDifference(added: 0, removed: 0, changed: 0, unchanged: 0)
    }
}
