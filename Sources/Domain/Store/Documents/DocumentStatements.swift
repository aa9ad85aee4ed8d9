import Bytes
import Postgres
import Records

/// Makes documents visible to generations, and hides what they replace: see `medallion_put_documents` of the migrations. One row.
///
/// Fails the transaction (SQLSTATE MD004) when a content or a vector that was to be shared is not there, and (MD005) where a
/// generation's vectors are of another model.
struct PutDocuments: PostgresStatement {
    struct Row {
        /// How many became visible.
        let passages: Int64
        /// Of the words that were brought, 0 for those that were not needed; none where no words were written.
        let wordNumbers: [Int32]
        /// How many removals of words had been counted.
        let removals: Int64
    }
    /// Documents of one call.
    static let documentsMax = 500
    static let name = "put_documents"
    static let sql = """
        SELECT added, word_ids, removals FROM medallion_put_documents($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
            $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35)
        """
    static let parameterTypes: [PostgresType] =
        [.int4] + DocumentKeys.types
        + [
            .textArray, .textArray, .textArray, .textArray, .textArray, .timestamptzArray, .textArray, .textArray,
            .textArray,
        ] + DocumentKeys.sourceTypes + [.int4Array, .int4Array, .textArray, .textArray, .textArray]
        + PassageWords.types
    /// The model's number in the index; 0 for none.
    let model: Int32
    /// Of one tenant.
    let documents: [IndexedDocument]
    /// Of all their passages.
    let words: PassageWords

    func bind(into parameters: inout PostgresParameters) {
        let gold = documents.map(\.document)
        parameters.append(model)
        DocumentKeys.bind(documents, into: &parameters)
        parameters.append(gold.map(\.contentHash))
        parameters.append(gold.map(\.textHash))
        parameters.append(gold.map { IndexText.clean($0.title) })
        parameters.append(gold.map { IndexText.clean($0.url) })
        parameters.append(gold.map { IndexText.clean($0.lang) })
        parameters.append(timestampsMilliseconds: gold.map(\.eventTimeMilliseconds))
        parameters.append(gold.map { String(decoding: IndexText.json($0.attributes), as: UTF8.self) })
        parameters.append(gold.map { IndexText.json($0.qualityFlags) })
        parameters.append(gold.map { String(decoding: IndexText.json($0.lineage), as: UTF8.self) })
        DocumentKeys.bindSources(documents, into: &parameters)
        bindPassages(into: &parameters)
    }

    private func bindPassages(into parameters: inout PostgresParameters) {
        var places: [Int32] = []
        var numbers: [Int32] = []
        var hashes: [String] = []
        var texts: [String] = []
        var inputs: [String] = []
        for (index, document) in documents.enumerated() {
            for passage in document.passages {
                places.append(Int32(clamping: index + 1))
                numbers.append(passage.number)
                hashes.append(passage.hash ?? document.document.textHash)
                texts.append(IndexText.clean(passage.text))
                inputs.append(passage.inputHash)
            }
        }
        parameters.append(places)
        parameters.append(numbers)
        parameters.append(hashes)
        parameters.append(texts)
        parameters.append(inputs)
        words.bind(into: &parameters)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            passages: try row.int64(0), wordNumbers: row.isNull(1) ? [] : try row.int32s(1), removals: try row.int64(2))
    }
}

/// Hides documents from generations, and keeps markers, so that older versions bring nothing back: see
/// `medallion_delete_documents` of the migrations.
struct DeleteDocuments: PostgresStatement {
    static let name = "delete_documents"
    static let sql = "SELECT medallion_delete_documents($1, $2, $3, $4, $5, $6, $7, $8)"
    static let parameterTypes = DocumentKeys.types + DocumentKeys.sourceTypes
    let documents: [IndexedDocument]

    func bind(into parameters: inout PostgresParameters) {
        DocumentKeys.bind(documents, into: &parameters)
        DocumentKeys.bindSources(documents, into: &parameters)
    }
}

/// Gives a generation a floor for the documents of a topic: see `medallion_delete_below` of the migrations. One row: how many
/// documents it hid.
struct DeleteBelow: PostgresStatement {
    static let name = "delete_below"
    static let sql = "SELECT medallion_delete_below($1, $2, $3, $4, $5)"
    static let parameterTypes: [PostgresType] = [.int8, .text, .int4, .int8, .int8]
    let floor: VersionFloor

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(floor.generation)
        parameters.append(floor.source.topic)
        parameters.append(floor.source.partition)
        parameters.append(floor.sourceOffset)
        parameters.append(floor.version)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// What puts and deletions begin and end with.
private enum DocumentKeys {
    static let types: [PostgresType] = [.int8Array, .textArray, .textArray, .textArray, .int8Array]
    static let sourceTypes: [PostgresType] = [.textArray, .int4Array, .int8Array]

    /// Generation, tenant, collection, id, version.
    static func bind(_ documents: [IndexedDocument], into parameters: inout PostgresParameters) {
        parameters.append(documents.map(\.generation))
        parameters.append(documents.map(\.document.tenant.text))
        parameters.append(documents.map(\.document.collection.text))
        // As it is: one with U+0000 is refused, since two ids must not become one.
        parameters.append(documents.map(\.document.docID))
        parameters.append(documents.map(\.document.version))
    }

    /// Topic, partition, offset.
    static func bindSources(_ documents: [IndexedDocument], into parameters: inout PostgresParameters) {
        parameters.append(documents.map(\.source.topic))
        parameters.append(documents.map(\.source.partition))
        parameters.append(documents.map(\.sourceOffset))
    }
}

/// Adds the vector of an input, unless there is one: beside the graph, into which ``GraphLinker`` brings it.
struct InsertVector: PostgresStatement {
    static let name = "insert_vector"
    static let sql = make(model: 1)
    static let parameterTypes: [PostgresType] = [.text, .text, .inferred]
    /// The model's number in the index.
    let model: Int32
    let input: VectorInput
    let vector: [Float]

    var text: StatementText {
        StatementText(
            name: "\(Self.name)_\(model)", sql: Self.make(model: model), types: Self.parameterTypes)
    }

    private static func make(model: Int32) -> String {
        """
        INSERT INTO vectors_\(model) (tenant, id, input_hash, embedding, is_linked)
        SELECT $1, nextval('vectors_id_sequence'), decode($2, 'hex'), $3::halfvec, false
        WHERE NOT EXISTS (SELECT FROM vectors_\(model) v WHERE v.tenant = $1 AND v.input_hash = decode($2, 'hex'))
        """
    }

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(input.tenant.text)
        parameters.append(input.hash)
        parameters.append(halfVector: vector)
    }
}

/// Removes those vectors of some inputs that no passage refers to: see `medallion_remove_unused_vectors` of the migrations.
struct RemoveUnusedVectors: PostgresStatement {
    static let name = "remove_unused_vectors"
    static let sql = "SELECT medallion_remove_unused_vectors($1, $2, $3)"
    static let parameterTypes: [PostgresType] = [.int4, .textArray, .textArray]
    /// The model's number in the index.
    let model: Int32
    let inputs: [VectorInput]

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(model)
        parameters.append(inputs.map(\.tenant.text))
        parameters.append(inputs.map(\.hash))
    }
}

/// Forgets deletions that are so long ago that no copy of the document is on its way any more.
struct RemoveDeletionMarkers: PostgresStatement {
    /// Days that a marker is kept: longer than topics usually keep their records.
    static let daysMax = 30
    /// Markers that go in one step.
    static let rowsMax = 5_000
    static let name = "remove_deletion_markers"
    static let sql = """
        DELETE FROM deleted_documents WHERE ctid = ANY (ARRAY(
            SELECT d.ctid FROM deleted_documents d
            WHERE d.deleted_at < clock_timestamp() - interval '\(daysMax) days'
                -- A replay could show again what is only hidden.
                AND NOT EXISTS (
                    SELECT FROM documents o WHERE o.doc_id = d.doc_id AND o.collection_id = d.collection_id)
            ORDER BY d.deleted_at LIMIT \(rowsMax)))
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
}
