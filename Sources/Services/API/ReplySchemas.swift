import Access
import Forms
import HTTPEndpoints
import Health
import Retrieval

/// What the replies look like, beside the code that writes them; tests compare both.
enum ReplySchemas {
    static let scores = Schema.object([
        .init("vector", .number().orNull, "Cosine similarity; null where the vector arm did not find it."),
        .init("lexical", .number().orNull, "Text rank; null where the lexical arm did not find it."),
        .init("fused", .number(), "Reciprocal rank fusion: the sum over the arms of weight / (k + rank)."),
    ]).named("Scores")

    static let lineage = Schema.object(
        [
            .init("logic_version", .string()),
            .init(
                "parents",
                .array(
                    of: .object([
                        .init("topic", .string()), .init("partition", .integer()), .init("offset", .integer()),
                        .init("event_id", .string()), .init("bronze_sha256", .string(pattern: "^[0-9a-f]{64}$")),
                    ]))),
        ], "Where the document comes from."
    ).named("Lineage")

    private static let identity: [Schema.Property] = [
        .init("doc_id", .string()), .init("version", .integer()), .init("passage", .integer()),
        .init("title", .string()), .init("url", .string()),
    ]

    private static let columns: [Schema.Property] = [
        .init("collection", .string()), .init("wiki", .string(), ofRecentChanges, isRequired: false),
        .init("lang", .string()), .init("type", .string(), ofRecentChanges, isRequired: false),
        .init("user", .string(), ofRecentChanges, isRequired: false),
        .init("is_bot", .bool(), ofRecentChanges, isRequired: false),
        .init(
            "attributes", .map(of: .anyOf([.string(), .number(), .bool()])),
            "The document's attributes, of the types that its collection declares; times are texts of RFC 3339."),
        .init("lineage", lineage),
    ]

    private static let ofRecentChanges = "Of recent changes alone; among `attributes`, too."

    private static let hitProperties: [Schema.Property] =
        identity + [
            .init("snippet", .string(), "Plain text, at most 240 characters."), .init("event_time", .time()),
            .init("scores", scores),
            .init(
                "copies", .integer(),
                "Other passages that are the same to the model and pass the filters, up to 1,000; of hits of /search.",
                isRequired: false),
        ] + columns

    private static let group = Schema.Property(
        "group",
        .object([
            .init(
                "value", .anyOf([.string(), .number(), .bool()]).orNull,
                "Null: a document without it, which is no group."),
            .init("others", .integer(), "Other documents of the group among those found, which are left out."),
        ]), "Of searches with `group_by`.", isRequired: false)

    private static let explanation = Schema.Property(
        "explain",
        Schema.object([
            .init("rank_constant", .number(), "k of weight / (k + rank)."),
            .init(
                "parts",
                .array(
                    of: .object([
                        .init("name", .choice(["vector", "lexical", "recency", "source"])), .init("value", .number()),
                        .init("weight", .number(), "Of the arm, of being new, or of the collection."),
                        .init("rank", .integer().orNull, "In the arm's ranking.", isRequired: false),
                        .init("age_ms", .integer(), "Of the event.", isRequired: false),
                    ])), "They add up to `scores.fused`, in their order."),
        ]).named("Explanation"), "Of searches with `explain`.", isRequired: false)

    static let hit = Schema.object(hitProperties + [group, explanation]).named("Hit")
    static let citation = Schema.object([.init("n", .integer())] + hitProperties).named("Citation")

    /// What every reply says of the index that it was read from.
    private static let freshness: [Schema.Property] = [
        .init(
            "freshness", .choice(Freshness.State.allCases.map(\.rawValue)),
            "fresh: all is searchable, or has waited for no more than a moment; late: events wait; stale: too many of them, "
                + "or for too long; unknown: nobody knows."),
        .init("freshness_reason", .string(), "Why it is not fresh; empty when it is."),
        .init(
            "indexed_at", .time().orNull,
            "When the indexer last brought the active generation forward; replays and promotions do not count."),
        .init("events_behind", .integer().orNull, "Source offsets that the index has not reached; null where unknown."),
    ]

    private static let age = Schema.Property(
        "index_age_seconds", .number(),
        "Only where the database cannot be reached and the search was done in memory: how long ago that was known to be what the "
            + "index shows.", isRequired: false)

    private static let cached = Schema.Property(
        "cached",
        Schema.object([
            .init("age_seconds", .number(), "How long ago it was found."),
            .init(
                "index_version", .integer(),
                "The index version at which it was looked at last, and was still what a search would find."),
            .init(
                "question", .string(),
                "The question that the answer was given to, where that was asked in other words.",
                isRequired: false),
            .init("similarity", .number(), "How near that one is: the cosine of both.", isRequired: false),
        ]).named("Cached"), "Only of a reply that the server kept; `Cache-Control: no-cache` asks for a new one.",
        isRequired: false)

    private static let asOf = Schema.Property(
        "as_of",
        Schema.object([
            .init("index_version", .integer()), .init("generation", .integer(), "The one that was active then."),
            .init("time", .time().orNull, "When that version was written; null where nothing had been."),
        ]).named("AsOf"), "Only where it was asked for: the moment that the reply is of.", isRequired: false)

    private static let missingArms = Schema.Property(
        "missing_arms", .array(of: .choice(["vector"])), "Arms that were asked for but could not run.",
        isRequired: false)

    private static let incompleteArms = Schema.Property(
        "incomplete_arms", .array(of: .choice(["vector", "lexical"])),
        "Arms that ran, but had no time to look at everything that the filters leave: there may be more hits.",
        isRequired: false)

    private static let boundedArms = Schema.Property(
        "bounded_arms", .array(of: .choice(["vector", "lexical"])),
        "Arms that met a bound of the rows they look at: with very common words the newest of more were ranked, and where few of the "
            + "passages near the query pass the filters, the nearest of more.",
        isRequired: false)

    static let interpreted = Schema.Property(
        "interpreted",
        Schema.object([
            .init("query", .string(), "What was searched: the query without the words of `parts`."),
            .init(
                "parts",
                .array(
                    of: .object([
                        .init("kind", .choice(Interpretation.Kind.allCases.map(\.rawValue))),
                        .init("text", .string(), "The words of the query."),
                        .init("filter", .anyObject(), "What was made of them, as `filters` of a request takes it."),
                    ]))),
        ]).named("Interpreted"),
        "What of the query became filters; only where something did. `interpret: false` switches it off.",
        isRequired: false)

    static let reranking: [Schema.Property] = [
        .init(
            "reranked", .bool(),
            "Whether the first hits are in the order of the service that RERANK_URL names; only where there is one.",
            isRequired: false),
        .init("rerank_reason", .string(), "Why they are not.", isRequired: false),
    ]

    static let search = Schema.object(
        [.init("hits", .array(of: hit)), .init("generation", .integer()), .init("index_version", .integer())]
            + freshness + [
                .init("source", .choice(["cache", "index"])), cached, .init("latency_ms", .number()),
                .init("next_cursor", .string().orNull), age, asOf, missingArms, incompleteArms, boundedArms,
                interpreted,
            ] + reranking + counts
    ).named("SearchReply")

    static let searchBatch = Schema.object([
        .init(
            "replies",
            .array(
                of: .object([
                    .init("status", .integer(), "As `POST /search` would have replied."),
                    .init("body", .anyOf([search, EndpointError.schema])),
                ]))),
        .init("latency_ms", .number()),
    ]).named("BatchReply")
    private static let relation = Schema.Property(
        "relation", .choice(["eq", "gte"]), "gte: a bound was met, and there are so many or more.")

    /// What was counted.
    static let counts: [Schema.Property] = [
        .init(
            "total", Schema.object([.init("value", .integer()), relation]).named("Total"),
            "Documents that pass the filters and hold a word of the query, counted up to 10,000; only where asked for.",
            isRequired: false),
        .init(
            "facets",
            .map(
                of: Schema.object([
                    .init(
                        "values",
                        .array(
                            of: .object([
                                .init("value", .anyOf([.string(), .number(), .bool()])), .init("count", .integer()),
                            ])), "The most frequent ones first, at most 20."),
                    .init("has_more", .bool(), "Whether there are other values."), relation,
                ]).named("Facet")), "The values that these documents have, by attribute; only where asked for.",
            isRequired: false),
    ]

    static let answerSentence = Schema.object([
        .init("text", .string()), .init("citations", .array(of: .integer())),
    ])

    private static let answerer = Schema.Property(
        "answerer",
        Schema.object([
            .init("name", .string(), "`model`, `model_fallback` or `extractive`."), .init("model", .string().orNull),
            .init("fallback_from", .string().orNull, "The one that should have answered, and failed."),
            .init("reason", .choice(ModelFault.Kind.allCases.map(\.rawValue)).orNull, "What that one failed of."),
            .init(
                "incomplete", .bool(),
                "Whether the model failed after its first sentences (`reason`): those are the answer, and hold."),
        ]).named("AnswererUse"), "Who wrote the sentences.")

    static let answer = Schema.object(
        [
            .init("sentences", .array(of: answerSentence)), .init("citations", .array(of: citation)),
        ] + answerRest
    ).named("AnswerReply")

    /// What comes at the end where an answer is streamed.
    static let answerRest: [Schema.Property] =
        [
            .init("answer_id", .string()),
            .init(
                "refused", .bool(),
                "True when the support is too weak; then the one sentence is \"I don't have enough information.\""),
            answerer, .init("generation", .integer()), .init("index_version", .integer()),
        ] + freshness + [
            cached, .init("latency_ms", .number()), age, asOf, missingArms, incompleteArms, boundedArms, interpreted,
            .init(
                "debug", .anyObject().orNull,
                "What the answer was decided on: where it is asked for, and at the end of a stream that refuses."),
        ] + reranking

    static let pipeline = Schema.anyOf([
        Schema.object([
            .init("source", .choice(["live", "recording", "generated", "unknown"])), .init("name", .string()),
            .init("received_at", .time().orNull),
            .init("events_behind", .integer().orNull, "Source offsets that the index has not reached."),
        ]).named("Pipeline"), Schema([(name: "type", value: .string("null"))]),
    ])

    static let event = Schema.object(
        identity + [
            .init("text", .string()), .init("event_time", .time()), .init("indexed_at", .time()),
            .init("index_version", .integer()),
        ] + columns
    ).named("Event")

    static let recent = Schema.object(
        [
            .init("events", .array(of: event)), .init("generation", .integer()),
            .init("index_version", .integer(), "To be given as `after` next time."),
        ] + freshness + [
            .init("next_cursor", .string().orNull, "Goes on to older events; null where there are none."),
            .init(
                "complete", .bool(),
                "False where so many events did not pass the filters that looking for more would take too long: the page "
                    + "has fewer than `limit`, perhaps none, and `next_cursor` goes on from there."),
            .init("now", .time()), .init("pipeline", pipeline),
        ]
    ).named("RecentReply")

    private static let states = Schema.choice(["ok", "degraded", "failed", "unknown"])

    static let dependency = Schema.object([
        .init("state", states), .init("required", .bool()), .init("message", .string()),
        .init("latency_ms", .number().orNull), .init("checked_at", .time().orNull), .init("last_ok", .time().orNull),
        .init("detail", .map(of: .string())),
    ]).named("Dependency")

    static let health = Schema.object(
        [
            .init("status", states, "All that callers see who may not read."),
            .init("version", .string(), isRequired: false), .init("uptime_sec", .integer(), isRequired: false),
            .init("now", .time(), isRequired: false), .init("pipeline", pipeline, isRequired: false),
        ]
            + freshness.map { property in
                var property = property
                property.isRequired = false
                return property
            } + [.init("dependencies", .map(of: dependency), isRequired: false)]
    ).named("HealthReply")

    static let ready = Schema.object([
        .init("ready", .bool()),
        .init("reasons", .array(of: .string()), "Why not; empty when ready, and for callers who may not read."),
    ]).named("ReadyReply")

    static let live = Schema.object([.init("live", .bool()), .init("uptime_sec", .integer())]).named("LiveReply")

    static let stage = Schema.object([
        .init(
            "name", .choice(PipelineStage.Name.allCases.map(\.rawValue)),
            "Of the chain event → received → broker → committed → indexed → searchable."),
        .init(
            "count", .integer().orNull,
            "Events since this process began to look, and documents of the last stage; null where that is not known."),
        .init("rate_per_sec", .number().orNull, "Over the last seconds."),
        .init(
            "lag", .integer().orNull, "Events that wait for this stage; of the last one, all that are not searchable."),
        .init(
            "dwell_ms", dwellTimes.orNull,
            "How long events were between the stage before and this one, of documents that became searchable in the last minute; null "
                + "where none did, or where nobody noted when."),
        .init("last_event", .time().orNull, "When the last event passed."),
    ]).named("Stage")

    private static let dwellTimes = Schema.object([
        .init("p50", .number()), .init("p95", .number()), .init("p99", .number()),
    ])

    static let delay = Schema.object(
        [
            .init("stage", .string(), "Its name in `stages`."),
            .init(
                "kind", .choice(PipelineDelay.Kind.allCases.map(\.rawValue)),
                "waiting: the index is behind, and most events wait for this stage; standing: the same, and it has taken none for some "
                    + "seconds; source: nothing new arrives; slowest: nothing waits, and events are longest in front of this stage."
            ),
            .init("events", .integer().orNull, "How many wait for it."),
            .init("p95_ms", .number().orNull, "Of its `dwell_ms`."),
        ]
    ).orNull

    private static let sourceMembers: [Schema.Property] = [
        .init("name", .string(), "The source's declared name."),
        .init("connector", .string(), "The word of its connector, such as `sse`, `files` or `none`."),
        .init("phase", .string().orNull, "What its connector does; null where that runs in another process."),
        .init(
            "last_event", .time().orNull,
            "When its connector last took an event; where that runs elsewhere, when its topic last grew."),
        .init(
            "position", .integer().orNull,
            "Up to which of its events the broker has acknowledged them, as the connector counts; null where that runs elsewhere."
        ),
        .init(
            "last_error", .string().orNull,
            "What last went wrong in its connector, which may be over; null for callers who see no details of `/health`."
        ),
        .init("last_error_at", .time().orNull, "When that was."),
        .init(
            "lag_bytes", .integer().orNull,
            "What waits in the source itself: of a table of Postgres the server's log behind its slot; null where that is not known."
        ),
        .init("paused", sourcePause.orNull, "Null while it runs."),
        .init("snapshot", sourceSnapshot.orNull, "Of a table of Postgres: the reading at hand, or the last one."),
        .init("freshness", .choice(Freshness.State.allCases.map(\.rawValue)), "Of the index, for this source."),
        .init("events_behind", .integer().orNull, "Events of this source that wait."),
    ]

    static let source = Schema.object(sourceMembers).named("SourceStatus")

    static let sources = Schema.object([
        .init("now", .time()),
        .init(
            "sources",
            .array(
                of: Schema.object(
                    sourceMembers + [
                        .init(
                            "rate_per_sec", .number().orNull,
                            "By how much `position` has grown a second since this was asked before, within the last minute; null "
                                + "where nobody asked, or the position is not known here."),
                        .init(
                            "searchable_at", .time().orNull, "When the index was last written for it."),
                    ]
                ).named("SourceState"))),
    ]).named("SourcesReply")

    static let status = Schema.object(
        [
            .init("now", .time()), .init("pipeline", pipeline), .init("generation", .integer().orNull),
            .init("index_version", .integer().orNull),
        ] + freshness + [
            .init("stages", .array(of: stage)),
            .init(
                "way_ms", dwellTimes.orNull,
                "The whole way of the same documents, from the event or from the first step that is known to being searchable."
            ),
            .init("delay", delay, "The stage that holds events up most; null where nothing passes or nobody knows."),
            .init("sources", .array(of: source)),
        ]
    ).named("PipelineStatusReply")
}
