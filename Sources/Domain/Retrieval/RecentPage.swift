/// A place in a generation's list of documents by newness: everything newer is before it.
package struct RecentPosition: Sendable, Hashable, Comparable {
    package var indexVersion: Int64
    /// The document's number in the index; orders those that one index transaction made visible.
    package var documentID: Int64

    package init(indexVersion: Int64, documentID: Int64) {
        self.indexVersion = indexVersion
        self.documentID = documentID
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.indexVersion, left.documentID) < (right.indexVersion, right.documentID)
    }
}

extension RecentDocument {
    /// Its place in the list.
    package var position: RecentPosition { RecentPosition(indexVersion: indexVersion, documentID: documentID) }
}

/// Which of the newest documents are wanted.
package struct RecentQuery: Sendable {
    /// At most so many.
    package var limit: Int
    /// As for a search.
    package var filter: Filter
    /// The generation to read; nil is the active one.
    package var generation: Int64?
    /// Only those of later index transactions; nil for all.
    package var afterIndexVersion: Int64?
    /// Only those behind this place, so older ones; nil for all.
    package var before: RecentPosition?

    package init(
        limit: Int, filter: Filter = .all, generation: Int64? = nil, afterIndexVersion: Int64? = nil,
        before: RecentPosition? = nil
    ) {
        self.limit = limit
        self.filter = filter
        self.generation = generation
        self.afterIndexVersion = afterIndexVersion
        self.before = before
    }
}

/// Some of the newest documents, and where to read on.
package struct RecentPage: Sendable {
    /// Newest first.
    package var documents: [RecentDocument]
    /// The generation that was read.
    package var generation: Int64
    /// Where the next page begins; nil behind the last document.
    package var next: RecentPosition?
    /// True where reading ended at its bound before `limit` documents were found: there may be more behind `next`.
    package var isCutShort: Bool
    /// False where the generation asked for is not served: it was never promoted, was pruned, or never was.
    package var isGenerationServed: Bool

    package init(
        documents: [RecentDocument], generation: Int64, next: RecentPosition?, isCutShort: Bool = false,
        isGenerationServed: Bool = true
    ) {
        self.isGenerationServed = isGenerationServed
        self.documents = documents
        self.generation = generation
        self.next = next
        self.isCutShort = isCutShort
    }
}

/// An exact vector search had no time left: there may be nearer documents than those that other ways found.
package struct SearchBoundReached: Error, CustomStringConvertible, Sendable {
    /// The time that it had.
    package let milliseconds: Int

    package init(milliseconds: Int) {
        self.milliseconds = milliseconds
    }

    package var description: String { "the exact search did not end within \(milliseconds) ms" }
}

/// The vectors of a generation are of another model than the query's: they do not compare.
package struct ModelMismatch: Error, CustomStringConvertible, Sendable {
    package let generation: Int64
    package let queryModel: String
    /// That of the generation's vectors.
    package let model: String

    package init(generation: Int64, queryModel: String, model: String) {
        self.generation = generation
        self.queryModel = queryModel
        self.model = model
    }

    package var description: String {
        "the vectors of generation \(generation) are of another model (\(model)) than the queries' (\(queryModel))"
    }
}

/// An index version was asked for that is older than what is kept of the index's history.
package struct IndexVersionGone: Error, CustomStringConvertible, Sendable {
    package let version: Int64
    /// The oldest that can be read.
    package let oldest: Int64

    package init(version: Int64, oldest: Int64) {
        self.version = version
        self.oldest = oldest
    }

    package var description: String { "index version \(version) is no longer kept; the oldest is \(oldest)" }
}
