import Postgres
package import Records

/// Documents that a child's logic makes of the same records with the same content as its parent's.
package struct SharedDocuments: Sendable {
    /// One of them.
    package struct Document: Sendable {
        /// Of its Bronze record.
        package var offset: Int64
        package var contentHash: String
        /// Of the child's line.
        package var lineage: Lineage

        package init(offset: Int64, contentHash: String, lineage: Lineage) {
            self.offset = offset
            self.contentHash = contentHash
            self.lineage = lineage
        }
    }

    /// Of one call: some 25 ms in which other writers wait.
    package static let documentsMax = 1_000

    /// The generation that is to show them.
    package var child: Int64
    /// The generation that shows them.
    package var parent: Int64
    /// The topic partition of their Bronze records.
    package var source: TopicPartition
    package var documents: [Document]

    package init(child: Int64, parent: Int64, source: TopicPartition, documents: [Document]) {
        self.child = child
        self.parent = parent
        self.source = source
        self.documents = documents
    }
}

/// Shows a child documents as its parent shows them: see `medallion_share_documents` of the migrations. One row: the offsets of
/// those that are dealt with.
struct ShareDocuments: PostgresStatement {
    static let name = "share_documents"
    static let sql = "SELECT medallion_share_documents($1, $2, $3, $4, $5, $6, $7, $8)"
    static let parameterTypes: [PostgresType] = [
        .int8, .int8, .int4, .text, .int4, .int8Array, .textArray, .textArray,
    ]
    let shared: SharedDocuments
    /// The model's number in the index; 0 for none.
    let model: Int32

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(shared.child)
        parameters.append(shared.parent)
        parameters.append(model)
        parameters.append(shared.source.topic)
        parameters.append(shared.source.partition)
        parameters.append(shared.documents.map(\.offset))
        parameters.append(shared.documents.map(\.contentHash))
        parameters.append(shared.documents.map { String(decoding: IndexText.json($0.lineage), as: UTF8.self) })
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> [Int64] { try row.int64s(0) }
}
