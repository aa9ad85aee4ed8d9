package import Records

/// The document, or a passage of it, that others are to be like.
package struct LikeTarget: Sendable, Hashable {
    package var tenant: TenantID
    package var docID: String
    /// Nil where the tenant has one document of that id.
    package var collection: String?
    /// The passage's number; nil for the whole document.
    package var passage: Int32?
    /// Of which model its vectors are asked for; nil: the store's own. Throws ``ModelMismatch`` where they are of another one.
    package var vectorModel: String?

    package init(tenant: TenantID, docID: String, collection: String? = nil, passage: Int32? = nil) {
        self.tenant = tenant
        self.docID = docID
        self.collection = collection
        self.passage = passage
    }
}

/// What makes a document what it is, as far as the arms can look for it.
package struct Likeness: Sendable, Equatable {
    package var collection: String
    package var language: String
    /// The document's number in the index.
    package var documentID: Int64
    /// That of its passages, or their mean, L2-normalised; nil where nothing was embedded.
    package var vector: [Float]?
    /// Which model it is of; nil: the store's own.
    package var vectorModel: String?
    /// Its most telling words, the first ones first.
    package var words: [String]
    /// The generation and the index version that it was read from.
    package var generation: Int64
    package var indexVersion: Int64

    /// Words of one document at most.
    package static let wordsMax = 16
    /// Passages of one document that are looked at, the first ones.
    package static let passagesMax = 16

    package init(
        collection: String, language: String, documentID: Int64, vector: [Float]?, words: [String], generation: Int64,
        indexVersion: Int64
    ) {
        self.collection = collection
        self.language = language
        self.documentID = documentID
        self.vector = vector
        self.words = words
        self.generation = generation
        self.indexVersion = indexVersion
    }

    /// The mean of vectors, L2-normalised; nil where there are none, or where they cancel each other out.
    package static func mean(of vectors: [[Float]]) -> [Float]? {
        guard var sum = vectors.first else { return nil }
        for vector in vectors.dropFirst() where vector.count == sum.count {
            for index in sum.indices { sum[index] += vector[index] }
        }
        let length = sum.reduce(0) { $0 + $1 * $1 }.squareRoot()
        guard length > 1e-6 else { return nil }
        return sum.map { $0 / length }
    }
}
