import Bytes
package import Records

/// What somebody said of an answer.
package struct AnswerFeedback: Sendable, Equatable {
    /// Whether they found it good.
    package enum Verdict: String, Sendable, CaseIterable {
        case up, down
    }

    /// What came of keeping it.
    package enum Keeping: Sendable {
        case kept
        /// As many keys have spoken as are kept; who spoke before is still heard.
        case full
        /// No such answer is kept.
        case unknownAnswer
    }

    /// Whether they found the answer good.
    package var verdict: Verdict
    /// In their own words; empty where they said no more.
    package var note: String
    /// The id of the key that they had; empty without one. What one key says again takes the place of what it said before.
    package var keyID: String
    package var givenAtMilliseconds: Int64

    package init(verdict: Verdict, note: String, keyID: String, givenAtMilliseconds: Int64) {
        self.verdict = verdict
        self.note = note
        self.keyID = keyID
        self.givenAtMilliseconds = givenAtMilliseconds
    }

    /// Characters of a note.
    package static let noteMax = 2_000
    /// Keys that are heard of one answer.
    package static let keptMax = 100
}

/// How often an answer was given again.
package struct AnswerHitCount: Sendable, Equatable {
    package var id: String
    package var number: Int64

    package init(id: String, number: Int64) {
        self.id = id
        self.number = number
    }
}

/// An answer that went with what it was made of, when that was erased.
package struct ErasedAnswer: Error, Sendable, Equatable, CustomStringConvertible {
    /// The erasure's id.
    package let erasure: String
    /// Milliseconds since 1970.
    package let atMilliseconds: Int64

    package init(erasure: String, atMilliseconds: Int64) {
        self.erasure = erasure
        self.atMilliseconds = atMilliseconds
    }

    package var description: String {
        "the answer was erased at \(CivilTime.rfc3339(atMilliseconds)) with what it was made of, by the erasure \(erasure)"
    }
}

/// A kept answer with what was said of it.
package struct GivenAnswer: Sendable, Equatable {
    package var answer: StoredAnswer
    /// The newest first, ``AnswerFeedback/keptMax`` at most.
    package var feedback: [AnswerFeedback]
    /// How often it was given again.
    package var hits: Int64
    /// Documents that it was made of and that are suppressed now: what they said is not to be shown.
    package var suppressed: [SuppressedDocument]

    /// A document's name.
    package struct SuppressedDocument: Sendable, Equatable {
        package var collection: String
        package var docID: String

        package init(collection: String, docID: String) {
            self.collection = collection
            self.docID = docID
        }
    }

    package init(
        answer: StoredAnswer, feedback: [AnswerFeedback], hits: Int64 = 0, suppressed: [SuppressedDocument] = []
    ) {
        self.hits = hits
        self.suppressed = suppressed
        self.answer = answer
        self.feedback = feedback
    }
}

/// A kept answer as lists show it.
package struct AnswerSummary: Sendable, Equatable {
    package var id: String
    package var question: String
    package var createdAtMilliseconds: Int64
    package var generation: Int64
    package var indexVersion: Int64
    package var isRefused: Bool
    /// How many said so.
    package var up: Int64
    package var down: Int64
    /// How often it was given again.
    package var hits: Int64

    package init(
        id: String, question: String, createdAtMilliseconds: Int64, generation: Int64, indexVersion: Int64,
        isRefused: Bool, up: Int64, down: Int64, hits: Int64 = 0
    ) {
        self.hits = hits
        self.id = id
        self.question = question
        self.createdAtMilliseconds = createdAtMilliseconds
        self.generation = generation
        self.indexVersion = indexVersion
        self.isRefused = isRefused
        self.up = up
        self.down = down
    }

    package var place: AnswerPlace { AnswerPlace(createdAtMilliseconds: createdAtMilliseconds, id: id) }
}

/// A place in the list of a tenant's answers, the newest first.
package struct AnswerPlace: Sendable, Equatable {
    package var createdAtMilliseconds: Int64
    package var id: String

    package init(createdAtMilliseconds: Int64, id: String) {
        self.createdAtMilliseconds = createdAtMilliseconds
        self.id = id
    }
}

/// Which kept answers are listed.
package struct AnswerListQuery: Sendable, Equatable {
    package var tenant: TenantID
    package var limit: Int
    /// Given from then on, and before then; milliseconds since 1970.
    package var sinceMilliseconds: Int64?
    package var beforeMilliseconds: Int64?
    /// Only refusals, or only others.
    package var isRefused: Bool?
    /// Only those that cite this document.
    package var citedDocID: String?
    /// Its collection; nil for any.
    package var citedCollection: String?
    /// The last answer of the page before; nil for the first page.
    package var after: AnswerPlace?

    package init(tenant: TenantID, limit: Int) {
        self.tenant = tenant
        self.limit = limit
    }

    /// Answers of a page.
    package static let limitMax = 200
}
