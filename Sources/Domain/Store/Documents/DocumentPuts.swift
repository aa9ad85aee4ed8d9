import Postgres
import Records
import Text

/// How the documents of one write are put into the index: by statements of a batch, all at once or each half by itself.
struct DocumentPuts {
    /// Of models, by their names.
    let numbers: [String: Int32]
    /// Of the whole write.
    let vectors: InputVectors
    let analyzer: TextAnalyzer
    let words: KnownWords

    /// A statement of a batch, with the words that it writes.
    struct Added {
        let slot: PostgresSlot<PutDocuments>
        let words: PassageWords
        let tenant: TenantID
    }

    /// Adds the statements of some documents.
    func add(_ documents: ArraySlice<IndexedDocument>, to batch: inout PostgresBatch) -> [Added] {
        let brought = vectors.of(documents).compactMap { model, inputs in
            numbers[model].flatMap { number in number > 0 ? (number: number, inputs: inputs) : nil }
        }
        for (number, inputs) in brought {
            for (input, vector) in inputs { batch.add(InsertVector(model: number, input: input, vector: vector)) }
        }
        var added: [Added] = []
        for round in WriteRound.rounds(of: documents) {
            if !round.deletions.isEmpty { batch.add(DeleteDocuments(documents: round.deletions)) }
            var rest = round.puts[...]
            while let first = rest.first {
                let (model, tenant) = (first.model, first.document.tenant)
                let part = rest.prefix(PutDocuments.documentsMax).prefix {
                    $0.model == model && $0.document.tenant == tenant
                }
                added.append(add(Array(part), model: numbers[model] ?? 0, tenant, to: &batch))
                rest = rest.dropFirst(part.count)
            }
        }
        for (number, inputs) in brought {
            batch.add(RemoveUnusedVectors(model: number, inputs: inputs.map(\.input)))
        }
        return added
    }

    private func add(
        _ documents: [IndexedDocument], model: Int32, _ tenant: TenantID, to batch: inout PostgresBatch
    ) -> Added {
        let passages = documents.flatMap { document in
            // Those that were cut beside stand for the passages that the document had then.
            document.terms.flatMap { $0.count == document.passages.count ? $0 : nil } ?? analyzer.terms(of: document)
        }
        let words = PassageWords(passages, known: words.of(tenant))
        let slot = batch.add(PutDocuments(model: model, documents: documents, words: words))
        return Added(slot: slot, words: words, tenant: tenant)
    }

    /// Puts documents within a transaction: all at once, or else each half by itself, until what is refused stands alone.
    func put(
        _ documents: ArraySlice<IndexedDocument>, on connection: PostgresConnection, timeoutMilliseconds: Int,
        into result: inout IndexWriteResult
    ) throws(PostgresError) {
        guard let first = documents.first else { return }
        var batch = PostgresBatch()
        let added = add(documents, to: &batch)
        try connection.script(
            "SAVEPOINT documents", operation: "savepoint", timeoutMilliseconds: timeoutMilliseconds)
        do throws(PostgresError) {
            let results = try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds)
            try connection.script(
                "RELEASE SAVEPOINT documents", operation: "release savepoint",
                timeoutMilliseconds: timeoutMilliseconds)
            for put in added { result.passagesAdded += Int(try results.rows(put.slot).first?.passages ?? 0) }
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
}
