package import Records

/// What a search for impact begins at.
package enum ImpactTarget: Sendable, Equatable {
    /// One record of a source's topic.
    case record(TopicPartition, offset: Int64)
    /// An event by the id that its source gave it.
    case event(id: String)
    /// The documents of a collection with this title; of recent changes perhaps of one wiki.
    case page(collection: String, title: String, wiki: String?)
    /// The documents whose attribute `user` is this one; of all collections where none is named.
    case user(String, collection: String?)
}

/// A document as a generation shows or showed it.
package struct ImpactDocument: Sendable, Equatable {
    /// Its collection, id, title, and the hash of what it says.
    package var collection: String, docID: String, title: String, contentHash: String
    package var generation: Int64
    package var version: Int64
    /// The index version that showed it, and the one that ended that; nil while it is shown.
    package var fromVersion: Int64, toVersion: Int64?
    /// The Bronze record that it was made from.
    package var source: TopicPartition, sourceOffset: Int64
    /// The numbers of its passages in the index.
    package var passageIDs: [Int64]
    /// Whether it is kept out of replies.
    package var isSuppressed: Bool

    package init(
        collection: String, docID: String, title: String, contentHash: String, generation: Int64, version: Int64,
        fromVersion: Int64, toVersion: Int64?, source: TopicPartition, sourceOffset: Int64, passageIDs: [Int64],
        isSuppressed: Bool = false
    ) {
        self.collection = collection
        self.docID = docID
        self.title = title
        self.contentHash = contentHash
        self.generation = generation
        self.version = version
        self.fromVersion = fromVersion
        self.toVersion = toVersion
        self.source = source
        self.sourceOffset = sourceOffset
        self.passageIDs = passageIDs
        self.isSuppressed = isSuppressed
    }
}

/// A kept answer that was made of one of the documents.
package struct ImpactAnswer: Sendable, Equatable {
    package var id: String
    package var question: String
    package var createdAtMilliseconds: Int64
    package var generation: Int64
    /// How often it was given again.
    package var hits: Int64
    /// The document, and whether a sentence cites it; else it was only looked at.
    package var collection: String, docID: String, isCited: Bool
    /// Whether the answer kept which record the document was made from. Answers of former versions kept its name alone: they may
    /// have seen another version of it.
    package var isExact: Bool

    package init(
        id: String, question: String, createdAtMilliseconds: Int64, generation: Int64, hits: Int64, collection: String,
        docID: String, isCited: Bool, isExact: Bool
    ) {
        self.id = id
        self.question = question
        self.createdAtMilliseconds = createdAtMilliseconds
        self.generation = generation
        self.hits = hits
        self.collection = collection
        self.docID = docID
        self.isCited = isCited
        self.isExact = isExact
    }
}

/// All that came of some events and is in the index or among the kept answers.
package struct Impact: Sendable, Equatable {
    package var documents: [ImpactDocument]
    /// The newest first.
    package var answers: [ImpactAnswer]
    /// Whether there may be more documents, or more answers, than are listed.
    package var areDocumentsCut: Bool, areAnswersCut: Bool

    package init(
        documents: [ImpactDocument], answers: [ImpactAnswer], areDocumentsCut: Bool, areAnswersCut: Bool
    ) {
        self.documents = documents
        self.answers = answers
        self.areDocumentsCut = areDocumentsCut
        self.areAnswersCut = areAnswersCut
    }

    /// Nothing that can be seen came of it.
    package var isEmpty: Bool { documents.isEmpty && answers.isEmpty }

    /// Documents of a search at most, and answers.
    package static let limitMax = 1_000
    /// Bytes of UTF-8 of a title, a user's name or an event's id: longer ones have no room in an index.
    package static let bytesMax = 1_024
}
