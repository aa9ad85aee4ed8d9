import Bytes

extension Settings {
    /// Every setting, by section.
    package static let table: [Setting] =
        source + logic + broker + kafkaAccess + storage + database + models + api + lanes + freshness + apiAccess
        + logging
        + demo

    private static let source: [Setting] = [
        Setting(
            "SOURCES_FILE", .source, default: "", .text("a path"), \.sourcesFileText,
            "The file that declares the sources ([sources.md](sources.md)). Empty: `sources.json` in the working folder or in "
                + "DATA_DIR, where there is one; else the settings below and those of logic and broker are the one source."
        ),
        Setting(
            "WIKIMEDIA_SSE_URL", .source, default: "https://stream.wikimedia.org/v2/stream/recentchange", .secretURL,
            \.wikimediaSSEURL,
            "The stream of changes that the producer follows (server-sent events). A user, a password and what its query "
                + "holds are never printed.", shown: Redaction.url),
        Setting(
            "WIKIMEDIA_USER_AGENT", .source,
            default: "\(Product.userAgent) (streaming data platform; set WIKIMEDIA_USER_AGENT to your contact)",
            .headerValue,
            \.wikimediaUserAgent,
            "Sent with every request to the stream. Wikimedia asks for a contact in it and refuses vague ones.",
            production: "Wikimedia asks for your contact."),
        Setting(
            "RECONNECT_SLEEP_SEC", .source, default: "1", .seconds(0.01...300), \.reconnectSleepSeconds,
            "Wait before the first reconnect; it doubles with each failure, with jitter. A Retry-After of the source is "
                + "honoured, up to an hour."),
        Setting(
            "RECONNECT_MAX_SEC", .source, default: "60", .seconds(0.01...3_600), \.reconnectMaxSeconds,
            "What that wait grows to."),
        Setting(
            "RECONNECT_REFUSED_SEC", .source, default: "30", .seconds(0.01...3_600), \.reconnectRefusedSeconds,
            "The least wait after the source refused us (401, 403, 404, no event stream), which only people can change."
        ),
        Setting(
            "REQUEST_TIMEOUT_SEC", .source, default: "30", .seconds(0.1...600), \.requestTimeoutSeconds,
            "How long a request may take, and how long a stream may stay silent, before it is given up."),
        Setting(
            "MAX_EVENTS_PER_MIN", .source, default: "0", .integer(0...1_000_000_000), \.maxEventsPerMinute,
            "Events that the producer takes in a minute; further ones wait in the stream. 0: no limit."),
    ]

    private static let logic: [Setting] = [
        Setting(
            "WIKI_FILTER", .logic, default: "", .words, \.wikiFilter,
            "Wikis (database names such as `enwiki`) whose events become Gold. Empty: all. Part of the logic version."),
        Setting(
            "ALLOWED_NAMESPACES", .logic, default: "", .integers, \.allowedNamespaces,
            "Namespaces whose events become Gold, such as `0,4`. Empty: all. Part of the logic version."),
        Setting(
            "FILTER_BOTS", .logic, default: "false", .bool, \.filtersBots,
            "Whether bots' events are kept out of Gold. Part of the logic version."),
        Setting(
            "MAX_CONTENT_CHARS", .logic, default: "2000", .integer(50...100_000), \.maxContentCharacters,
            "Characters of a document's text; the rest is cut. Part of the logic version."),
        Setting(
            "PASSAGE_WEIGHT_MAX", .logic, default: "240", .integer(40...240), \.passageWeightMax,
            "The most that a passage weighs: a Latin letter 0.5, a Hangul syllable 3, any other character 1. 240 fits the model's "
                + "256 tokens. Part of the logic version."),
        Setting(
            "PASSAGE_OVERLAP", .logic, default: "48", .integer(0...120), \.passageOverlap,
            "The most of a passage's end, by the same weight, with which the next one begins; at most half of it. Part of the "
                + "logic version."),
        Setting(
            "TEXT_TEMPLATE", .logic,
            default: "{title}[: {comment}]. {type} by {user} on {domain}[ ({delta} bytes)].",
            .text("text with `{title}`, `{comment}`, …; a part in brackets is left out where a field of it is empty"),
            \.textTemplate,
            "The template of a document's text, which is what is searched. Fields: `title`, `comment`, `comment_verbatim`, `user`, "
                + "`wiki`, `domain`, `type`, `delta`; `comment` is without markup from TRANSFORM_VERSION 3 on, "
                + "`comment_verbatim` as it came. Part of the logic version."),
        Setting(
            "DUPLICATE_WINDOW_OFFSETS", .logic, default: "100000", .integer(0...2_000_000), \.duplicateWindowOffsets,
            "How many offsets of its topic partition back a record with the same event id makes it a duplicate. Bounds "
                + "the memory, some 100 bytes each per topic partition. Part of the logic version."),
        Setting(
            "DUPLICATE_WINDOW_SEC", .logic, default: "3600", .integer(0...31_536_000), \.duplicateWindowSeconds,
            "How far back such a record may lie in broker time, in seconds. From TRANSFORM_VERSION 3 on not for records that "
                + "the producer may have sent before an interruption. Part of the logic version."),
        Setting(
            "TRANSFORM_VERSION", .logic, default: "3", .integer(1...3), \.transformVersion,
            "Version of the transform's code. 1 knows no redriven records, 1 and 2 bound no texts and clean no comments; they "
                + "keep a lake going that an older release made. Part of the logic version."),
    ]

    private static let broker: [Setting] = [
        Setting(
            "KAFKA_BROKERS", .broker, default: "", .addressList, \.kafkaBrokers,
            "Kafka's or Redpanda's bootstrap servers. Empty: the embedded broker.",
            shown: Redaction.url,
            aliases: ["KAFKA_BOOTSTRAP_SERVERS", "BOOTSTRAP_SERVERS"],
            production: "The embedded broker keeps one copy, on one machine."),
        Setting(
            "BROKER_LISTEN", .broker, default: "127.0.0.1:19092", .address, \.brokerListen,
            "Where the embedded broker listens. It has no authentication: keep it on the loopback interface.",
            shown: Redaction.url),
        Setting(
            "BROKER_FSYNC", .broker, default: "always", .choice, \.brokerFsync,
            "When the embedded broker makes records durable: before it acknowledges them, or a few times a second."),
        Setting(
            "KAFKA_TOPIC", .broker, default: "wikimedia.recentchange", .kafkaName, \.kafkaTopic,
            "The topic of raw events."),
        Setting(
            "KAFKA_GOLD_TOPIC", .broker, default: "wikimedia.gold", .kafkaName, \.kafkaGoldTopic,
            "The topic of Gold documents and commit markers."),
        Setting(
            "KAFKA_TOPIC_PARTITIONS", .broker, default: "3", .integer(1...1_024), \.kafkaTopicPartitions,
            "Topic partitions of topics that do not exist yet."),
        Setting(
            "KAFKA_TOPIC_RETENTION_HOURS", .broker, default: "168", .integer(0...1_000_000), \.kafkaTopicRetentionHours,
            "How long a raw topic that does not exist yet keeps its records; 0: for ever. A topic that is there stays as it "
                + "is, and the log tells where it differs."),
        Setting(
            "KAFKA_GOLD_RETENTION_HOURS", .broker, default: "0", .integer(0...1_000_000), \.kafkaGoldRetentionHours,
            "The same for the Gold topic, from which an empty index is filled; 0: for ever."),
        Setting(
            "KAFKA_TOPIC_COMPRESSION", .broker, default: "producer", .choice, \.kafkaTopicCompression,
            "How topics that do not exist yet keep records: as they come, or compressed anew by the broker (the embedded "
                + "one does not)."),
        Setting(
            "KAFKA_REPLICATION", .broker, default: "0", .integer(0...32), \.kafkaReplication,
            "Copies of each topic partition of topics that do not exist yet; 0: the broker's default."),
        Setting(
            "KAFKA_GROUP", .broker, default: "medallion", .kafkaName, \.kafkaGroup,
            "The consumer group; the indexers' is the same with `-index`. Its offsets are informational: the lake's "
                + "commit log is the truth.", aliases: ["KAFKA_GROUP_ID", "KAFKA_CONSUMER_GROUP"]),
        Setting(
            "KAFKA_ASSIGNMENT", .broker, default: "all", .choice, \.assignment,
            "Which topic partitions a stream job or an indexer takes: all, or those that the consumer group gives it, so "
                + "that several processes share them."),
        Setting(
            "KAFKA_SESSION_SEC", .broker, default: "10", .seconds(1...1_800), \.kafkaSessionSeconds,
            "How long a process of the group may be silent until the others take its topic partitions over."),
        Setting(
            "EXPIRED_OFFSETS", .broker, default: "stop", .choice, \.expiredOffsets,
            "What stream job and indexer do when a topic no longer holds the records that they want next, or holds them in "
                + "a form that nobody can read: stop and say which, or go on with the next that can be read and record "
                + "the gap in the lake's commit log."),
    ]

    private static let storage: [Setting] = [
        Setting(
            "DATA_DIR", .storage, default: ".medallion", .text("folder"), \.dataDirectoryText,
            "The folder that holds everything embedded. A relative path of this and the folders below begins where the "
                + "process was started."),
        Setting(
            "LAKE_DIR", .storage, default: "", .text("folder"), \.lakeDirectoryText,
            "The lake's folder. Empty: `$DATA_DIR/lake`.",
            production: "Stream jobs, replays and API servers share it: one POSIX file system."),
        Setting(
            "BROKER_DIR", .storage, default: "", .text("folder"), \.brokerDirectoryText,
            "The embedded broker's folder. Empty: `$DATA_DIR/broker`."),
        Setting(
            "PGDATA_DIR", .storage, default: "", .text("folder"), \.postgresDirectoryText,
            "The embedded Postgres' folder. Empty: `$DATA_DIR/postgres`."),
        Setting(
            "COMMIT_INTERVAL_MS", .storage, default: "100", .integer(1...60_000), \.commitIntervalMilliseconds,
            "The longest time an event waits for its commit to the lake, in milliseconds."),
        Setting(
            "LAKE_CLOCK_AHEAD_MAX_SEC", .storage, default: "3600", .integer(1...31_536_000), \.lakeClockAheadMaxSeconds,
            "How far a record's broker time may lie ahead of the machine's clock, in seconds, and still move the lake's "
                + "hour. A record beyond is kept as any other, in the present hour, and counted."),
        Setting(
            "LAKE_S3_BUCKET", .storage, default: "", .text("bucket"), \.lakeS3Bucket,
            "The S3-compatible bucket that `medallion lake tier` moves sealed files to, and that everything reads them "
                + "from. Empty: none."),
        Setting(
            "LAKE_S3_ENDPOINT", .storage, default: "", .originURL, \.lakeS3Endpoint,
            "The object storage's address, asked in path style. Empty: AWS in `LAKE_S3_REGION`.", shown: Redaction.url),
        Setting(
            "LAKE_S3_REGION", .storage, default: "us-east-1", .text("region"), \.lakeS3Region,
            "The region that requests are signed for."),
        Setting(
            "LAKE_S3_PREFIX", .storage, default: "", .text("prefix"), \.lakeS3Prefix,
            "Stands before the files' paths in the bucket, so that several lakes may share one."),
        Setting(
            "LAKE_S3_ACCESS_KEY_ID", .storage, default: "", .text("access key"), \.lakeS3AccessKeyID,
            "The access key that signs requests. Never printed.", shown: Redaction.secret),
        Setting(
            "LAKE_S3_SECRET_ACCESS_KEY", .storage, default: "", .text("secret"), \.lakeS3SecretAccessKey,
            "The access key's secret. Never printed.", shown: Redaction.secret),
        Setting(
            "LAKE_S3_SECRET_ACCESS_KEY_FILE", .storage, default: "", .text("file"), \.lakeS3SecretAccessKeyFile,
            "A file that holds the secret, in place of `LAKE_S3_SECRET_ACCESS_KEY`."),
    ]

    private static let database: [Setting] = [
        Setting(
            "POSTGRES_DSN", .database, default: "", .dsn, \.postgresDSN,
            "A Postgres with pgvector 0.8 or later. Empty: the embedded one. The password is never printed; it may also come by "
                + "`PGPASSWORD` or `PGPASSFILE`, where no character of it needs escaping.",
            shown: Redaction.dsn, aliases: ["DATABASE_URL"],
            production: "The embedded Postgres belongs to one machine."),
        Setting(
            "PG_BIN_DIR", .database, default: "", .text("folder"), \.postgresBinDirectory,
            "The folder of the embedded Postgres' programs. Empty: looked for in `.deps`."),
    ]

    private static let models: [Setting] = [
        Setting(
            "EMBED_ENABLED", .models, default: "true", .bool, \.isEmbeddingEnabled,
            "Whether documents are embedded. Without, search is lexical only."),
        Setting(
            "EMBED_DIMS", .models, default: "384", .integer(1...4_096), \.embeddingDimensions,
            "Dimensions of the embedding: those of the model and of the index's column, which has 384. Another number ends the "
                + "start of whatever embeds or searches."),
        Setting(
            "MODEL_DIR", .models, default: "", .text("folder"), \.modelDirectory,
            "The folder with the model's IR and vocabulary. Empty: looked for in `.deps/model`."),
        Setting(
            "ANSWER_ENABLED", .models, default: "true", .bool, \.isAnswerEnabled, "Whether `/answer` answers."),
        Setting(
            "ANSWER_RETENTION_DAYS", .models, default: "30", .integer(0...36_500), \.answerRetentionDays,
            "How long given answers can be traced; older ones are removed. 0: for ever."),
        Setting(
            "ANSWERS_MAX_ROWS", .models, default: "100000", .integer(0...1_000_000_000), \.answersRowsMax,
            "Answers that are kept, refusals included; beyond it the oldest go. Those given without a key go first while they "
                + "are more than half. 0: any number."),
        Setting(
            "ANSWERS_MAX_BYTES", .models, default: "1073741824", .integer(0...1_125_899_906_842_624), \.answersBytesMax,
            "The same for their bytes, before compression; one answer has 64 KiB at most. 0: any number."),
    ]

    private static let api: [Setting] = [
        Setting(
            "API_LISTEN", .api, default: "127.0.0.1:8080", .address, \.apiListen,
            "Where the HTTP API and the page listen; also where `medallion search`, `answer` and `trace` ask.",
            shown: Redaction.url),
        Setting(
            "API_LOOPS", .api, default: "0", .integer(0...256), \.apiLoops,
            "Event loops of the API, one thread each. 0: one per core."),
        Setting(
            "API_MAX_CONNECTIONS", .api, default: "10000", .integer(1...1_000_000), \.apiConnectionsMax,
            "Open connections at once. For further ones, those that have waited longest for a request are closed. Four "
                + "fifths may be clients of the stream."),
        Setting(
            "API_CORS_ORIGINS", .api, default: "", .words, \.apiCORSOrigins,
            "Origins such as `https://example.org` whose pages may read the API, or `*`. Empty: none but its own."),
    ]

    private static let logging: [Setting] = [
        Setting(
            "METRICS_LISTEN", .logging, default: "", .optionalAddress, \.metricsListen,
            "Where every role serves `/live`, `/ready`, `/health` and `/metrics`; one address per process. It asks for no key; "
                + "who is not on this machine gets the states without details. Empty: nowhere. `up` and `serve` have "
                + "them at `API_LISTEN`, too.", shown: Redaction.url),
        Setting(
            "LOG_LEVEL", .logging, default: "info", .choice, \.logLevel, "The least level that is logged."),
        Setting(
            "LOG_FORMAT", .logging, default: "text", .choice, \.logFormat,
            "How a log line looks. The log goes to standard error."),
    ]

    private static let demo: [Setting] = [
        Setting(
            "DEMO_SECONDS", .demo, default: "0", .integer(0...86_400), \.demoSeconds,
            "After so many seconds `medallion demo` runs a search, an answer and a trace, and ends; its exit code is "
                + "0 only if all three succeeded. 0: runs until it is stopped."),
        Setting(
            "RECORDING", .demo, default: "", .text("file (`.sse` or `.jsonl`, either with `.zst`)"), \.recording,
            "The recording that `medallion demo` plays. Empty: the live stream if it answers, else generated events."),
    ]
}
