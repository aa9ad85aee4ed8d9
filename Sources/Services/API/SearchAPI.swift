package import Access
import Bytes
import Concurrency
package import Health
package import Records
package import Retrieval
package import ServiceLifecycle
package import Store
package import Telemetry
import Text

/// Where events come from, as the feed shows it.
package struct PipelineStatus: Sendable {
    /// Kinds of sources.
    package enum SourceKind: String, Sendable {
        case live
        case recording
        case generated
        case unknown
    }

    /// Live, recorded or made up: a visitor must know which.
    package var kind: SourceKind
    /// The stream's address, the recording's file name, the generator's seed.
    package var name: String
    /// When the producer last took an event from the source, milliseconds since 1970; nil where that is not known here.
    package var receivedAtMilliseconds: Int64?

    package init(kind: SourceKind, name: String, receivedAtMilliseconds: Int64? = nil) {
        self.kind = kind
        self.name = name
        self.receivedAtMilliseconds = receivedAtMilliseconds
    }
}

/// What the API is built from. It knows no database, file or model, only these.
package struct SearchAPIDependencies: Sendable {
    /// Opens one more connection to the index; called on the lane that will own it.
    package var makeStore: @Sendable () throws -> any RetrievalStore
    /// Opens a reader of the lake and the index; called on the lane that will own it.
    package var makeTraceSource: @Sendable () throws -> any TraceSource
    /// What keeps the arms in memory that ``makeStore``'s searches share up to date; nil where there are none.
    package var arms: ArmsFollower?
    /// Searches those arms without a lane; nil where there are none.
    package var armsReader: ArmsReader?
    /// Removes files of the index in memory where none are kept, and says which; nil where they are kept. Blocking.
    package var removeArms: (@Sendable () throws -> [String])?
    /// Replies that servers share; nil where they share none.
    package var secondCache: SecondCache?
    /// Nil where embedding is switched off: only the lexical arm is left.
    package var embedder: QueryEmbedder?
    /// Puts the first hits of hybrid searches into another order; nil for the fused one.
    package var reranker: Reranker?
    /// Language models that answer, the first one first; the next one where it fails, and quoting where all do.
    package var models: [ChatAnswerer] = []
    package var health: HealthRegistry
    package var metrics: MetricsRegistry
    package var logger: Logger
    /// Where events of a tenant come from, or of all where none is named; nil in a process that does not know.
    package var pipeline: @Sendable (TenantID?) -> PipelineStatus?
    /// How fresh the index is for a tenant, or for all where none is named; out of memory, since every reply says it.
    package var freshness: @Sendable (TenantID?) -> Freshness = { _ in .notLookedAt }
    /// Milliseconds since 1970, from which relative times of questions are reckoned.
    package var clock: @Sendable () -> Int64 = SystemClock.epochMilliseconds
    /// What passes the stages of the pipeline.
    package var flow = PipelineFlow()
    /// Each declared source of a tenant, or of all where none is named, as far as this process knows it.
    package var sources: @Sendable (TenantID?) -> [SourceStatus] = { _ in [] }
    /// Events as they become searchable; nil where nothing follows the Gold topic.
    package var events: EventHub?
    /// What operators do over HTTP; nil in a process that cannot.
    package var control: (any PlatformControl)?
    /// Where golden queries are kept; nil where none are.
    package var golden: (any GoldenShelf)?
    /// Where suppressions go, and what has become of them; nil where there is no broker.
    package var suppressions: SuppressionDesk?
    /// Reads documents by their ids; nil where there is no index.
    package var documents: DocumentShelf?
    /// Where documents go that come over HTTP; nil where there is no broker.
    package var intake: IntakeDesk?
    /// Where requests to sources go; nil where there is no broker.
    package var sourceDesk: SourceDesk?
    /// Reads all keys; called on a lane. Nil where there are none.
    package var readKeys: (@Sendable () throws -> [APIKey])?
    /// Makes and revokes keys; nil in a process that does not.
    package var keys: (any KeyDesk)?

    /// Memberwise.
    package init(
        makeStore: @escaping @Sendable () throws -> any RetrievalStore,
        makeTraceSource: @escaping @Sendable () throws -> any TraceSource, embedder: QueryEmbedder?,
        health: HealthRegistry, metrics: MetricsRegistry, logger: Logger,
        pipeline: @escaping @Sendable (TenantID?) -> PipelineStatus? = { _ in nil }
    ) {
        self.makeStore = makeStore
        self.makeTraceSource = makeTraceSource
        self.embedder = embedder
        self.health = health
        self.metrics = metrics
        self.logger = logger
        self.pipeline = pipeline
    }
}

/// How the API behaves.
package struct SearchAPIConfiguration: Sendable {
    /// One request may take so long (`REQUEST_TIMEOUT_SEC`).
    package var requestTimeoutMilliseconds = 30_000
    /// What is kept of given answers.
    package var answers = AnswerBounds()
    /// Whether `/answer` is served (`ANSWER_ENABLED`).
    package var isAnswerEnabled = true
    /// Connections to the index for searches without filters, and so queries at once (`API_SEARCH_LANES`).
    package var storeLanes = 4
    /// The same for searches with filters and for exact ones, which may take long (`API_FILTERED_LANES`).
    package var filteredLanes = 2
    /// The same for `/events/recent` (`API_FEED_LANES`).
    package var feedLanes = 2
    /// Traces at once (`API_TRACE_LANES`), and as many that wait for the object storage or the broker.
    package var traceLanes = 2
    /// Answers made at once (`API_ANSWER_LANES`); one lane less than there are at most, so that searches find one.
    package var answersAtOnceMax = 2
    /// How long a request waits for a lane before it gets 503.
    package var laneWaitMillisecondsMax = 2_000
    /// How long an exact search may take; what the index search found is the answer then, and it says so.
    package var exactMillisecondsMax = 2_000
    /// How long a search without filters, of which the index search found few, waits for a lane to be done exactly.
    package var exactWaitMillisecondsMax = 250
    /// How the arms' rankings become one, where requests do not say (`FUSION_VECTOR_WEIGHT`, `FUSION_LEXICAL_WEIGHT`,
    /// `FUSION_RANK_CONSTANT`).
    package var fusion = FusionWeights()
    /// The share of a core that repeating searches exactly may take (`RECALL_SAMPLE_SHARE`); 0 for none.
    package var recallShare = 0.0
    /// Memory for replies that are kept (`CACHE_BYTES`); 0 for none.
    package var cacheBytes = 0
    /// How long each is kept at most (`CACHE_TTL_SEC`).
    package var cacheMilliseconds = 300_000
    /// How much later than a search a kept reply may show what changed.
    package var cacheLateMilliseconds = 1_000
    /// Whether questions in English that ask the same in other words are given one answer (`CACHE_SIMILAR_QUESTIONS`).
    package var reusesSimilarAnswers = true
    /// ISO 639 codes of the languages that queries are taken to be in where filters name none (`QUERY_LANGUAGES`).
    package var queryLanguages = [StemLanguages.undetermined]
    /// How long a request waits for the index version that it demands.
    package var versionWaitMillisecondsMax = 10_000
    /// Clients of `GET /stream` at once; less than the server's connections, so that others still get in.
    package var streamsMax = 8_000
    /// The same of one key (`API_STREAMS_PER_KEY`); 0 for any number.
    package var streamsPerKeyMax = 0
    /// The same of one address without a valid key (`API_STREAMS_PER_ADDRESS`); 0 for any number.
    package var streamsPerAddressMax = 0
    /// Bytes a second that one address without a key gets of what lies behind the newest events, over all of its streams
    /// (`API_STREAM_CATCH_UP_BYTES`); eight times as many with a key, 0 for any number.
    package var catchUpBytesPerSecond = 0
    /// The collections of each tenant, whose attributes filters may test.
    package var collections = CollectionCatalog.recentChanges()
    /// Of the program, for `/health`.
    package var version = "dev"
    /// When a stale index makes `/ready` say no.
    package var freshnessLimits = FreshnessLimits(eventsBehindMax: 0)
    /// Whether `/answer` refuses while the index is stale or nobody knows (`ANSWER_REQUIRES_FRESH`); else it says so.
    package var isStaleAnswerRefused = false
    /// Who may ask, and how often.
    package var access = AccessConfiguration()
    /// Between two points of `GET /history` (`HISTORY_STEP_SEC`).
    package var historyStepMilliseconds = 10_000
    /// The file that gets a JSON line per request; `-` for standard output, empty for none.
    package var accessLog = ""

    package init() {}

    /// Lanes of a kind that callers beyond their fair share may hold at once: half of them, so that others find one.
    func lanesForHeavyCallers(_ kind: WorkKind) -> Int {
        switch kind {
        case .search: storeLanes / 2
        case .filtered: filteredLanes / 2
        case .feed: feedLanes / 2
        case .trace: traceLanes / 2
        // One more would not be done sooner: their sentences wait for one thread.
        case .answer: 1
        }
    }
}

/// The HTTP API: typed inputs in, replies out. It builds the features, each with what it needs and no more;
/// ``endpoints()`` declares what they serve, ``router()`` puts it on a server.
package final class SearchAPI: Sendable {
    let configuration: SearchAPIConfiguration
    let dependencies: SearchAPIDependencies
    let metrics: APIMetrics
    let access: AccessGuard
    let faults: FaultReplies
    let search: Search
    let answers: Answers
    let given: GivenAnswers
    let chat: Chat
    let mcp: ContextServer
    let suppressions: Suppressions
    let intake: Intake
    let documents: Documents
    let documentReads: DocumentReads
    let events: Events
    let stream: Stream
    let traces: Traces
    let impacts: Impacts
    let operation: Operation
    let operators: OperatorRequests
    let sourceRequests: SourceRequests
    let golden: GoldenQueries
    let keys: KeyRequests
    let page = Page()

    package init(configuration: SearchAPIConfiguration, dependencies: SearchAPIDependencies) {
        self.configuration = configuration
        self.dependencies = dependencies
        let (collections, logger) = (configuration.collections, dependencies.logger)
        metrics = APIMetrics(dependencies.metrics)
        access = AccessGuard(
            configuration.access, hasKeys: dependencies.readKeys != nil, tenants: { collections.tenants },
            metrics: dependencies.metrics, logger: logger)
        let scope = TenantScope(access: access, collections: collections)
        faults = FaultReplies(access: access, logger: logger)
        let turns = RequestTurns(
            turns: WorkTurns(configuration, metrics: dependencies.metrics), access: access,
            limitMilliseconds: configuration.requestTimeoutMilliseconds)
        let index = IndexLanes(configuration, makeStore: dependencies.makeStore)
        let caches = Self.caches(configuration, dependencies)
        search = Search(
            scope: scope, stores: index.ordinary, filteredStores: index.filtered, arms: dependencies.arms?.shared,
            armsReader: dependencies.armsReader,
            embedder: dependencies.embedder, reranker: dependencies.reranker, fusion: configuration.fusion,
            caches: caches,
            recall: RecallWatch(
                stores: index.filtered, share: configuration.recallShare, registry: dependencies.metrics,
                logger: logger),
            exactMillisecondsMax: configuration.exactMillisecondsMax,
            exactWaitMillisecondsMax: configuration.exactWaitMillisecondsMax, freshness: dependencies.freshness,
            clock: dependencies.clock, analyzers: TextAnalyzers(), languages: configuration.queryLanguages,
            versions: IndexVersionWatch(
                stores: index.health, millisecondsMax: configuration.versionWaitMillisecondsMax),
            faults: faults, turns: turns, metrics: metrics, logger: logger)
        answers = Answers(
            scope: scope, isEnabled: configuration.isAnswerEnabled,
            isStaleRefused: configuration.isStaleAnswerRefused, search: search, stores: index.ordinary,
            keeper: AnswerKeeper(bounds: configuration.answers, makeStore: dependencies.makeStore, logger: logger),
            embedder: dependencies.embedder,
            chain: AnswerChain(models: dependencies.models, registry: dependencies.metrics),
            analyzers: search.analyzers,
            freshness: dependencies.freshness, access: access, turns: turns,
            places: Self.answerPlaces(configuration), metrics: metrics, caches: caches,
            hits: AnswerHits(stores: index.health, logger: logger))
        given = GivenAnswers(access: access, stores: index.feed, turns: turns)
        suppressions = Suppressions(
            access: access, desk: dependencies.suppressions, turns: turns, logger: logger.scoped("suppressions"))
        events = Events(
            scope: scope, stores: index.feed, freshness: dependencies.freshness,
            pipeline: dependencies.pipeline, turns: turns)
        stream = Self.stream(scope, access, configuration, dependencies)
        traces = Traces(
            sources: Self.traceLanes("trace", configuration, dependencies),
            distant: Self.traceLanes("far-trace", configuration, dependencies), access: access, turns: turns,
            logger: logger)
        impacts = Impacts(sources: traces.sources, caches: caches, access: access, turns: turns)
        chat = Chat(answers: answers, startedAtSeconds: SystemClock.epochMilliseconds() / 1_000)
        mcp = ContextServer(
            tools: ContextTool.all(search: search, answers: answers, traces: traces, events: events), access: access,
            pages: configuration.access.pages, faults: faults, turns: turns)
        intake = Intake(
            access: access, desk: dependencies.intake, metrics: dependencies.metrics, logger: logger.scoped("intake"))
        documents = Documents(intake: intake, turns: turns)
        documentReads = DocumentReads(
            configuration, access: access, shelf: dependencies.documents, turns: turns)
        var known = dependencies
        known.sources = { [intake] tenant in intake.added(to: dependencies.sources(tenant)) }
        operation = Operation(configuration, known, stores: index.health, access: access)
        keys = KeyRequests(access: access, desk: dependencies.keys, logger: logger.scoped("keys"))
        operators = OperatorRequests(control: dependencies.control, access: access, turns: turns, logger: logger)
        sourceRequests = SourceRequests(desk: dependencies.sourceDesk, access: access, turns: turns, logger: logger)
        golden = GoldenQueries(
            shelf: dependencies.golden, scope: scope, search: search, answers: answers, access: access, turns: turns,
            faults: faults, logger: logger)
    }

    private static func stream(
        _ scope: TenantScope, _ access: AccessGuard, _ configuration: SearchAPIConfiguration,
        _ dependencies: SearchAPIDependencies
    ) -> Stream {
        Stream(
            scope: scope, hub: dependencies.events, clientsMax: configuration.streamsMax,
            seats: StreamSeats(
                perKeyMax: configuration.streamsPerKeyMax, perAddressMax: configuration.streamsPerAddressMax),
            catchUpPace: CatchUpPace(bytesPerSecond: configuration.catchUpBytesPerSecond), access: access)
    }

    private static func answerPlaces(_ configuration: SearchAPIConfiguration) -> Places {
        Places(
            name: "answers", count: min(configuration.answersAtOnceMax, configuration.storeLanes - 1),
            waitMillisecondsMax: configuration.laneWaitMillisecondsMax)
    }

    private static func traceLanes(
        _ name: String, _ configuration: SearchAPIConfiguration, _ dependencies: SearchAPIDependencies
    ) -> LanePool<any TraceSource> {
        LanePool(
            name: name, count: configuration.traceLanes, waitersMax: 32,
            waitMillisecondsMax: configuration.laneWaitMillisecondsMax, make: dependencies.makeTraceSource,
            interruption: { $0.interruption })
    }

    /// What keeps replies; nil where none are kept.
    private static func caches(
        _ configuration: SearchAPIConfiguration, _ dependencies: SearchAPIDependencies
    ) -> ReplyCaches? {
        guard configuration.cacheBytes > 0 else { return nil }
        let (fusion, words) = (configuration.fusion, dependencies.armsReader?.ranking)
        let reranking = dependencies.reranker?.configuration
        let parts =
            [
                configuration.version, dependencies.embedder == nil ? "" : "vectors",
                "\(fusion.vector) \(fusion.lexical) \(fusion.rankConstant)", "\(configuration.exactMillisecondsMax)",
                "\(words?.k1 ?? 0) \(words?.b ?? 0)", "\(reranking?.hitsMax ?? 0)", reranking?.model ?? "",
                reranking?.url.revealed ?? "",
            ] + configuration.queryLanguages
            + dependencies.models.flatMap { model in
                let chat = model.configuration
                return [
                    chat.name, chat.model, chat.url.revealed,
                    "\(chat.tokensMax) \(chat.temperature) \(chat.contextTokensMax) "
                        + "\(chat.passagesFirst)",
                ]
            }
        let text = parts.joined(separator: "\n")
        // Addresses may hold secrets, which keys shall not.
        guard let settings = try? SecondCache.hash(Array(text.utf8)).hex else { return nil }
        return ReplyCaches(
            bytesMax: configuration.cacheBytes, millisecondsMax: configuration.cacheMilliseconds,
            lateMilliseconds: configuration.cacheLateMilliseconds, settings: settings,
            reader: dependencies.armsReader, second: dependencies.secondCache,
            reusesSimilar: configuration.reusesSimilarAnswers, registry: dependencies.metrics)
    }

    /// Runs the health checks until stopped, the API's own included. To be run beside the server.
    package func runHealthChecks(stop: StopSignal) async {
        operation.registerOwnChecks()
        answers.registerChecks(in: dependencies.health)
        await dependencies.health.run(stop: stop)
    }
}
