import Answering
import Arms
import Bytes
import Concurrency
import HTTPEndpoints
import HTTPServer
import Retrieval
import Store
import Telemetry

/// A reply of `/search` as far as it stays the same while it holds.
struct RenderedSearch: Sendable {
    /// The array of hits.
    var hits: [UInt8]
    /// Without what is in ``hits``.
    var result: SearchResult
    var nextCursor: String?

    var bytes: Int { hits.count + (nextCursor?.utf8.count ?? 0) + 512 }
}

/// What keeps replies: those of searches and those of questions have a share each of its memory.
struct ReplyCaches: Sendable {
    let searches: LiveCache<RenderedSearch>
    let answers: LiveCache<MadeAnswer>
    /// One of several equal requests works.
    let flights = SingleFlight()
    /// What of the server's settings decides a reply.
    let settings: String
    let reader: ArmsReader?
    /// Answers questions that ask the same in other words; nil where none are.
    let similar: SimilarQuestions?
    /// What servers share; nil where they share nothing.
    let second: SecondCache?
    let millisecondsMax: Int

    /// - Parameters:
    ///   - bytesMax: of both together.
    ///   - lateMilliseconds: how much later than a search a reply may show what changed.
    ///   - settings: what of the server's settings decides a reply.
    ///   - second: what servers share.
    ///   - reusesSimilar: whether questions that ask the same in other words are given one answer.
    ///   - reader: checks results that were found in memory.
    init(
        bytesMax: Int, millisecondsMax: Int, lateMilliseconds: Int, settings: String, reader: ArmsReader?,
        second: SecondCache? = nil, reusesSimilar: Bool = true, registry: MetricsRegistry
    ) {
        similar = reusesSimilar ? SimilarQuestions(registry) : nil
        self.second = second
        self.millisecondsMax = millisecondsMax
        let check: @Sendable (inout WatchedResult) -> WatchVerdict = { reader?.check(&$0) ?? .unknown }
        searches = LiveCache(
            bytesMax: bytesMax / 2, millisecondsMax: millisecondsMax, lateMilliseconds: lateMilliseconds,
            metrics: CacheMetrics(registry, .search), check: check)
        answers = LiveCache(
            bytesMax: bytesMax - bytesMax / 2, millisecondsMax: millisecondsMax, lateMilliseconds: lateMilliseconds,
            metrics: CacheMetrics(registry, .answer), check: check)
        self.settings = settings
        self.reader = reader
    }

    /// What is to be known of a result so that it can be checked later.
    ///
    /// - Parameter searchedAt: before it was searched, monotonic nanoseconds.
    func watch(
        _ query: CandidateQuery, _ set: CandidateSet, _ shown: ResultProbe.Shown, searchedAt: Int64
    ) -> WatchedResult {
        reader?.watch(query, set, shown)
            ?? WatchedResult(unwatched: set, of: query.filter.scope.tenant, searchedAt: searchedAt)
    }

    /// How long a request waits for an equal one.
    private static let searchWaitMilliseconds = 1_000
    private static let answerWaitMilliseconds = 10_000

    /// Does some work, unless an equal request does it.
    ///
    /// - Parameters:
    ///   - known: what that one kept.
    ///   - work: keeps what it makes where it may be kept, and says whether it did.
    func run<Value: Sendable>(
        _ key: ReplyKey?, isAnswer: Bool, deadline: Deadline, known: () async -> Value?,
        work: () async throws -> (value: Value, isKept: Bool)
    ) async throws -> Value {
        guard let key, key.mayRead, key.mayKeep else { return try await work().value }
        let name = (isAnswer ? "a" : "s") + key.text
        let wait = isAnswer ? Self.answerWaitMilliseconds : Self.searchWaitMilliseconds
        switch try await flights.enter(name, milliseconds: min(wait, deadline.leftMilliseconds / 2)) {
        case .alone: return try await work().value
        case .done:
            if let found = await known() { return found }
            return try await work().value
        case .first:
            do {
                // Another may have been first, and done, just before.
                let made = try await work()
                flights.leave(name, made.isKept ? .kept : .unkept)
                return made.value
            } catch {
                flights.leave(name, .failed)
                throw error
            }
        }
    }
}

extension SearchResult {
    /// Whether others may be given it: it is what a search finds when all goes well.
    var mayBeKept: Bool {
        ageMilliseconds == nil && notes.isDisjoint(with: [.vectorMissing, .vectorIncomplete, .lexicalIncomplete])
            && (reranking == nil || reranking == .done)
    }

    /// Without what was found.
    var bare: SearchResult {
        var bare = self
        (bare.ranking, bare.rest, bare.vector, bare.watched) = ([], [], nil, nil)
        return bare
    }
}

extension ResultProbe.Shown {
    /// What a page of a search shows.
    init(page hits: ArraySlice<Hit>, wanted: Int) {
        self.init(
            passages: Set(hits.map(\.candidate.passageID)), places: hits.map(\.place), isShort: hits.count < wanted)
    }
}

extension JSONWriter {
    /// That a reply was kept, where it was.
    mutating func cached(_ use: CachedUse?) {
        guard let use else { return }
        key("cached")
        beginObject()
        double("age_seconds", Double(use.ageMilliseconds) / 1_000)
        integer("index_version", use.version)
        if let question = use.question { string("question", question) }
        if let similarity = use.similarity { double("similarity", similarity) }
        endObject()
    }
}

extension AccessGuard {
    /// The role of who asks, for the keys of caches.
    func roleName(of request: HTTPRequest) -> String {
        guard case .key(let key)? = try? caller(request) else { return "" }
        return key.role.rawValue
    }
}
