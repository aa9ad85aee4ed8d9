package import Bytes
package import Records

/// What the index is asked for by one search.
package struct CandidateQuery: Sendable {
    /// The query as typed, for the lexical arm; may hold any text, quotes and operators included, and must never
    /// make the arm fail.
    package var text: String
    /// The query's vector, L2-normalised; nil leaves the vector arm out.
    package var vector: [Float]?
    /// Which model the vector is of; nil: of the store's own. Throws ``ModelMismatch`` where the generation's vectors are of another
    /// one.
    package var vectorModel: String?
    package var filter: Filter
    /// Candidates of the vector arm at most; 0 leaves it out.
    package var vectorLimit: Int
    /// Candidates of the lexical arm at most; 0 leaves it out.
    package var lexicalLimit: Int
    /// The generation to read; nil is the active one, read once inside the same snapshot.
    package var generation: Int64?
    /// Whether that generation may be one that was never promoted: for comparisons, since it is nobody's to be shown.
    package var readsCandidate = false
    /// Only rows visible at this index version (`from_version <= v < to_version`); nil is the newest of the snapshot.
    package var indexVersion: Int64?
    /// Only at this index version or a newer one; nil: any.
    package var indexVersionMin: Int64?
    /// How the vector arm looks for its candidates.
    package var vectorScan = VectorScan.automatic
    /// The best so many documents of the fused ranking are fetched, each with its best passage, and of the others it is said where
    /// they are; nil fetches all passages that the arms found.
    package var documentLimit: Int?
    /// A page of a ranking that was found before: these passages are fetched, in their order, and no arm looks for anything.
    package var page: [RankedPassage]?
    /// How the arms' rankings become one.
    package var fusion = FusionWeights()
    /// What else decides the ranking, before the best documents are chosen.
    package var options = RankingOptions()
    /// From when ages are reckoned, milliseconds since 1970.
    package var referenceMilliseconds: Int64 = 0
    /// The number of a document that is not among what is found.
    package var excludedDocument: Int64?
    /// Languages whose stems the words are looked up by; nil: those of the filter, else the usual ones.
    package var languages: [String]?
    /// Whether the time limit is one that a client chose, and may be short: the server then ends the statement itself, and the
    /// connection stays. Throws ``SearchBoundReached``.
    package var hasShortLimit = false

    /// Candidates that a search in the graph keeps; nil for the store's own number.
    package var ef: Int?
    /// What is counted in the same snapshot; nil for nothing.
    package var counted: CountedAttributes?
    /// A moment of the past: both arms then look at all rows that were visible then and miss none, and words are weighed by its
    /// statistics. Throws ``SearchBoundReached`` where the time is not enough.
    package private(set) var past: PastMoment?
    /// Whether it is said by what words were weighed.
    package var wantsStatistics = false

    /// Whether an exact search is given up (``SearchBoundReached``) where more than a bounded number of passages may pass, since what
    /// the graph led to is enough.
    package var isGraphEnough = false
    /// Candidates of the vector arm that are enough, where a filter leaves so few near the query that more would take long.
    package var vectorEnough: Int { min(vectorLimit, max(documentLimit ?? vectorLimit, Self.vectorEnoughMin)) }
    private static let vectorEnoughMin = 20

    /// Names that `field:` of a query may have.
    package static let fields: Set<String> = ["title"]

    /// Reads the index as it was at a moment.
    package mutating func read(asOf moment: PastMoment) {
        past = moment
        (generation, indexVersion, vectorScan) = (moment.generation, moment.indexVersion, .exact)
    }

    /// How candidates become a ranking.
    package var ranking: Ranking {
        Ranking(weights: fusion, options: options, referenceMilliseconds: referenceMilliseconds)
    }

    /// How the vector arm looks for its candidates.
    package enum VectorScan: Sendable {
        /// Through the index, then, where the filters left too few, over all rows that pass them.
        case automatic
        /// Through the index only: bounded work, but narrow filters may leave fewer than there are.
        case approximate
        /// Over all rows that pass the filters. Throws ``SearchBoundReached`` where the time is not enough.
        case exact
    }

    package init(
        text: String, vector: [Float]?, filter: Filter = .all,
        vectorLimit: Int = SearchLimits.candidatesPerArm, lexicalLimit: Int = SearchLimits.candidatesPerArm,
        generation: Int64? = nil, indexVersion: Int64? = nil, documentLimit: Int? = nil
    ) {
        self.documentLimit = documentLimit
        self.text = text
        self.vector = vector
        self.filter = filter
        self.vectorLimit = vectorLimit
        self.lexicalLimit = lexicalLimit
        self.generation = generation
        self.indexVersion = indexVersion
    }
}

/// Where one arm put a candidate.
package struct ArmPlace: Sendable, Hashable {
    /// 1 is best.
    package var rank: Int
    /// Cosine similarity for the vector arm (1 is equal), the text rank for the lexical arm (larger is better).
    package var score: Double

    package init(rank: Int, score: Double) {
        self.rank = rank
        self.score = score
    }
}

/// One passage that an arm, or both, found; with all that a hit shows.
package struct Candidate: Sendable, Equatable {
    package var docID: String
    package var version: Int64
    /// Number of the passage in its document, from 0.
    package var passage: Int32
    package var collection: String
    package var title: String
    package var url: String
    /// The passage's text.
    package var text: String
    package var eventTimeMilliseconds: Int64
    package var language: String
    /// The collection's own.
    package var attributes: AttributeList
    /// The lineage of the Gold line, one complete JSON object.
    package var lineageJSON: [UInt8]
    /// Nil where the vector arm did not find it (within its limit).
    package var vector: ArmPlace?
    /// Nil where the lexical arm did not find it (within its limit).
    package var lexical: ArmPlace?
    /// Other passages that are the same to the model, are seen and pass the filter; nil where they were not counted.
    package var copies: Int?
    /// The passage's number in the index.
    package var passageID: Int64
    /// Other documents of its group among what was found; nil where the store did not count them.
    package var others: Int?

    package init(
        docID: String, version: Int64, passage: Int32, collection: String, title: String, url: String, text: String,
        eventTimeMilliseconds: Int64, language: String, attributes: AttributeList, lineageJSON: [UInt8],
        vector: ArmPlace?, lexical: ArmPlace?, copies: Int? = nil, passageID: Int64 = 0
    ) {
        self.passageID = passageID
        self.copies = copies
        self.docID = docID
        self.version = version
        self.passage = passage
        self.collection = collection
        self.title = title
        self.url = url
        self.text = text
        self.eventTimeMilliseconds = eventTimeMilliseconds
        self.language = language
        self.attributes = attributes
        self.lineageJSON = lineageJSON
        self.vector = vector
        self.lexical = lexical
    }
}

/// Both arms' candidates out of one snapshot.
package struct CandidateSet: Sendable {
    /// Each (doc_id, passage) once, in any order; the arms' places tell the order.
    package var candidates: [Candidate]
    /// The generation that was read.
    package var generation: Int64
    /// The newest index version of the snapshot, or the one that was asked for.
    package var indexVersion: Int64
    /// Whether the vector arm went through the graph and found fewer than asked for, so that an exact search may find more.
    package var isVectorArmShort: Bool
    /// False where the generation asked for is not served: it was never promoted, was pruned, or never was. Nothing was
    /// found then, which does not mean that there is nothing.
    package var isGenerationServed: Bool

    /// Whether the word arm met a bound of the rows that it looks at, so that it may have missed better passages.
    package var isLexicalBounded: Bool
    /// Whether the word arm knows all passages; false while the words of an older index are being rebuilt.
    package var areWordsComplete: Bool

    /// What follows the candidates in the fused ranking and was not fetched, best first.
    package var rest: [RankedPassage] = []

    /// Whether the vector arm looked at all that the filter leaves, whatever the way.
    package var isVectorExact = false

    /// Whether the vector arm went through the graph and found fewer than asked for, but enough: it has the nearest of more.
    package var isVectorBounded = false

    /// Whether more vectors wait for the graph than were compared. That says nothing of whether enough were found.
    package var isWaitingCut = false

    /// What was to be counted.
    package var counts: SearchCounts?

    /// Whether there may be more passages with the words of the query's phrases than were looked at whether they hold them.
    package var isPhraseCut = false

    /// How old what was searched is, where the database cannot be reached; nil where it is up to date.
    package var ageMilliseconds: Int64?

    /// By what words were weighed, where that was asked.
    package var statistics: WordStatistics?

    /// How far the changes of the index in memory were where it was found there; nil where it was found in the database.
    package var place: ChangePlace?
    /// How many the vector arm found, also of those that were not fetched.
    package var vectorCount: Int

    package init(
        candidates: [Candidate], generation: Int64, indexVersion: Int64, isVectorArmShort: Bool = false,
        isGenerationServed: Bool = true, vectorCount: Int? = nil, isLexicalBounded: Bool = false,
        areWordsComplete: Bool = true
    ) {
        self.isLexicalBounded = isLexicalBounded
        self.areWordsComplete = areWordsComplete
        self.isGenerationServed = isGenerationServed
        self.vectorCount = vectorCount ?? candidates.count { $0.vector != nil }
        self.candidates = candidates
        self.isVectorArmShort = isVectorArmShort
        self.generation = generation
        self.indexVersion = indexVersion
    }
}

/// The index as the ranking sees it.
///
/// Synchronous and tied to one thread, as a database connection is; a service keeps one per lane.
package protocol CandidateSource: AnyObject {
    /// Both arms in one call and one snapshot, over documents of the filter's tenant alone.
    ///
    /// - Parameter timeoutMilliseconds: after this long the call gives up and throws.
    func candidates(for query: CandidateQuery, timeoutMilliseconds: Int) throws -> CandidateSet
}

/// One document of the feed: an event that became Gold and is in the index.
package struct RecentDocument: Sendable, Equatable {
    /// The document's first passage, without places.
    package var document: Candidate
    /// Number of the index transaction that made it visible.
    package var indexVersion: Int64
    /// When that transaction ran, milliseconds since 1970.
    package var indexedAtMilliseconds: Int64
    /// The document's number in the index.
    package var documentID: Int64

    package init(document: Candidate, indexVersion: Int64, indexedAtMilliseconds: Int64, documentID: Int64 = 0) {
        self.document = document
        self.documentID = documentID
        self.indexVersion = indexVersion
        self.indexedAtMilliseconds = indexedAtMilliseconds
    }
}

/// How far the index is.
package struct IndexStatus: Sendable, Equatable {
    package var generation: Int64
    /// The newest index version; 0 when nothing was indexed yet.
    package var indexVersion: Int64
    /// When the indexer last brought the active generation forward, milliseconds since 1970; nil when it never did.
    /// Replays and promotions do not count: they say nothing of how new the index is.
    package var indexedAtMilliseconds: Int64?
    /// The server's version line, for /health.
    package var serverVersion: String

    package init(generation: Int64, indexVersion: Int64, indexedAtMilliseconds: Int64?, serverVersion: String) {
        self.generation = generation
        self.indexVersion = indexVersion
        self.indexedAtMilliseconds = indexedAtMilliseconds
        self.serverVersion = serverVersion
    }
}

/// An answer as it is kept, so that it can be traced, reproduced and graded later.
package struct StoredAnswer: Sendable, Equatable {
    package var id: String
    /// Whose documents it was made of.
    package var tenant: TenantID
    package var question: String
    package var createdAtMilliseconds: Int64
    package var generation: Int64
    package var indexVersion: Int64
    package var isRefused: Bool
    /// The request as it was understood, one JSON object.
    package var requestJSON: [UInt8]
    /// The reply as it was sent, one JSON object: sentences, citations, debug.
    package var replyJSON: [UInt8]
    /// The passages that were retrieved, best first: a JSON array of `{doc_id, version, passage, scores}`.
    package var retrievedJSON: [UInt8]
    /// Whether it was asked for without a key.
    package var isAnonymous: Bool
    /// By what it was found, one JSON object: the moment from which times were reckoned, and the statistics of its words. Read by
    /// ``RetrievalStore/moment(_:tenant:timeoutMilliseconds:)`` alone.
    package var basisJSON: [UInt8]?
    /// The documents that it was made of, each once; kept to find the answer by, and not read back with it.
    package var documents: [Source] = []

    /// A document that an answer was made of.
    package struct Source: Sendable, Hashable {
        package var collection: String
        package var docID: String
        /// Whether a sentence cites it; else it was only looked at.
        package var isCited: Bool

        package init(collection: String, docID: String, isCited: Bool) {
            self.collection = collection
            self.docID = docID
            self.isCited = isCited
        }
    }

    package init(
        id: String, tenant: TenantID = .standard, question: String, createdAtMilliseconds: Int64, generation: Int64,
        indexVersion: Int64, isRefused: Bool, requestJSON: [UInt8], replyJSON: [UInt8], retrievedJSON: [UInt8],
        isAnonymous: Bool = false
    ) {
        self.id = id
        self.tenant = tenant
        self.question = question
        self.createdAtMilliseconds = createdAtMilliseconds
        self.generation = generation
        self.indexVersion = indexVersion
        self.isRefused = isRefused
        self.requestJSON = requestJSON
        self.replyJSON = replyJSON
        self.retrievedJSON = retrievedJSON
        self.isAnonymous = isAnonymous
    }
}

/// All that the API reads from and writes to the index. Synchronous and tied to one thread.
package protocol RetrievalStore: CandidateSource {
    /// The documents of the filter's tenant that became visible last, newest first. Reads a bounded number of rows, whatever the filters.
    func recent(_ query: RecentQuery, timeoutMilliseconds: Int) throws -> RecentPage
    /// What documents of that name are like, one for each collection that has one; empty where the tenant sees none, or not that
    /// passage.
    func likenesses(of target: LikeTarget, timeoutMilliseconds: Int) throws -> [Likeness]
    /// One cheap read that also proves the index alive.
    func status(timeoutMilliseconds: Int) throws -> IndexStatus
    /// How the index was at a moment.
    ///
    /// - Throws: ``MomentFault`` where nothing can be read as of it.
    func moment(_ asOf: AsOf, tenant: TenantID, timeoutMilliseconds: Int) throws -> PastMoment
    /// Keeps an answer; a second one with the same id is an error.
    func save(_ answer: StoredAnswer, timeoutMilliseconds: Int) throws
    /// The tenant's answer of that id with what was said of it; nil where none is kept.
    func givenAnswer(id: String, tenant: TenantID, timeoutMilliseconds: Int) throws -> GivenAnswer?
    /// A page of a tenant's answers, the newest first.
    func givenAnswers(_ query: AnswerListQuery, timeoutMilliseconds: Int) throws -> [AnswerSummary]
    /// Keeps what was said of an answer.
    func save(
        _ feedback: AnswerFeedback, of id: String, tenant: TenantID, timeoutMilliseconds: Int
    ) throws -> AnswerFeedback.Keeping
    /// Counts how often a tenant's answers were given again.
    ///
    /// - Returns: the ids of those that are still kept.
    func count(_ hits: [AnswerHitCount], of tenant: TenantID, timeoutMilliseconds: Int) throws -> Set<String>
    /// One step of removing answers that are too old or too many, the oldest first.
    ///
    /// - Returns: how many went; 0 when nothing is left to do.
    func tidyAnswers(_ bounds: AnswerBounds, nowMilliseconds: Int64, timeoutMilliseconds: Int) throws -> Int64
    /// Stops the call that runs now; nil where calls cannot be stopped.
    var interruption: Interruption? { get }
}

extension RetrievalStore {
    /// None, unless a store says otherwise.
    package var interruption: Interruption? { nil }
}
