import Bytes
import Foundation
import Settings
import Testing

@Suite struct SettingsTests {
    @Test func defaultsAreValid() throws {
        let settings = try Settings(environment: [:])
        #expect(settings.source.url == "https://stream.wikimedia.org/v2/stream/recentchange")
        #expect(settings.broker.listen == SettingAddress(host: "127.0.0.1", port: 19_092))
        #expect(settings.topics.partitions == 3)
        #expect(settings.folders.lake == FileManager.default.currentDirectoryPath + "/.medallion/lake")
        #expect(settings.broker.fsync == .always)
        #expect(settings.lake.commitIntervalMilliseconds == 100)
        #expect(settings.logic.wikiFilter.isEmpty && settings.logic.allowedNamespaces.isEmpty)
        #expect(settings.given.isEmpty)
    }

    @Test func everyFaultIsNamedAtOnce() throws {
        let error = try #require(throws: SettingsError.self) {
            _ = try Settings(environment: [
                "KAFKA_TOPIC_PARTITIONS": "0", "API_LISTEN": "nowhere", "FILTER_BOTS": "perhaps", "LOG_LEVEL": "loud",
                "ALLOWED_NAMESPACES": "0,x", "WIKIMEDIA_SSE_URL": "ftp://example.org", "KAFKA_TOPIC": "a b",
                "REQUEST_TIMEOUT_SEC": "nan", "KAFKA_BROKERS": "a:1,,b",
            ])
        }
        #expect(
            Set(error.faults.map(\.name)) == [
                "KAFKA_TOPIC_PARTITIONS", "API_LISTEN", "FILTER_BOTS", "LOG_LEVEL", "ALLOWED_NAMESPACES",
                "WIKIMEDIA_SSE_URL", "KAFKA_TOPIC", "REQUEST_TIMEOUT_SEC", "KAFKA_BROKERS",
            ])
        #expect(error.description.contains("KAFKA_TOPIC_PARTITIONS=0 is not between 1 and 1024"))
    }

    /// A value for each setting, another one than what holds by default.
    private static let environment = [
        "WIKIMEDIA_SSE_URL": "http://127.0.0.1:1/x", "WIKIMEDIA_USER_AGENT": "me", "RECONNECT_SLEEP_SEC": "2.5",
        "RECONNECT_MAX_SEC": "3", "RECONNECT_REFUSED_SEC": "4", "REQUEST_TIMEOUT_SEC": "7",
        "MAX_EVENTS_PER_MIN": "60", "WIKI_FILTER": "enwiki, dewiki,",
        "ALLOWED_NAMESPACES": "0, -1", "FILTER_BOTS": "TRUE", "MAX_CONTENT_CHARS": "99", "TEXT_TEMPLATE": "{title}",
        "PASSAGE_WEIGHT_MAX": "100", "PASSAGE_OVERLAP": "20",
        "DUPLICATE_WINDOW_OFFSETS": "7", "DUPLICATE_WINDOW_SEC": "8", "TRANSFORM_VERSION": "1",
        "KAFKA_BROKERS": "a:1,[::1]:2", "BROKER_LISTEN": "[::1]:0", "BROKER_FSYNC": "interval", "KAFKA_TOPIC": "t",
        "KAFKA_GOLD_TOPIC": "g", "KAFKA_SUPPRESSIONS_TOPIC": "s", "KAFKA_TOPIC_PARTITIONS": "5", "KAFKA_GROUP": "grp",
        "KAFKA_SOURCE_REQUESTS_TOPIC": "r",
        "KAFKA_TOPIC_RETENTION_HOURS": "3", "KAFKA_GOLD_RETENTION_HOURS": "4",
        "KAFKA_TOPIC_COMPRESSION": "zstd", "KAFKA_REPLICATION": "3", "METRICS_LISTEN": "h:7", "HISTORY_STEP_SEC": "2",
        "KAFKA_ASSIGNMENT": "group",
        "KAFKA_SESSION_SEC": "11", "EXPIRED_OFFSETS": "continue", "DATA_DIR": "/d",
        "LAKE_DIR": "/l", "BROKER_DIR": "/b", "PGDATA_DIR": "/p", "COMMIT_INTERVAL_MS": "9",
        "LAKE_CLOCK_AHEAD_MAX_SEC": "60",
        "POSTGRES_DSN": "host=h", "PG_BIN_DIR": "/pg", "PG_MEMORY_BYTES": "5", "INDEX_HISTORY_HOURS": "12",
        "INDEX_RETENTION_DAYS": "13", "HNSW_M": "14",
        "HNSW_EF_CONSTRUCTION": "65", "HNSW_WAITING_MAX": "150", "SEARCH_EF": "15", "ARMS_MEMORY_BYTES": "16",
        "ARMS_STALE_SECONDS": "17",
        "ARMS_DIR": "/arms",
        "ARMS_FILES_ENABLED": "no",
        "QUERY_LANGUAGES": "de,fr",
        "BM25_K1": "0.9",
        "BM25_B": "0.4", "EMBED_ENABLED": "no", "FUSION_VECTOR_WEIGHT": "2", "FUSION_LEXICAL_WEIGHT": "0.5",
        "FUSION_RANK_CONSTANT": "30",
        "RECALL_SAMPLE_SHARE": "0.1",
        "EMBED_DIMS": "3", "EMBED_PRECISION": "int8", "EMBED_CACHE_BYTES": "5", "MODEL_DIR": "/m",
        "EMBED_URL": "http://e.example/v1", "EMBED_MODEL": "e", "EMBED_API_KEY": "ek", "EMBED_API_KEY_FILE": "/ek",
        "EMBED_BATCH_TEXTS": "7", "EMBED_BATCH_TOKENS": "300", "EMBED_REQUESTS_PER_MINUTE": "3",
        "EMBED_TIMEOUT_MS": "200",
        "RERANK_URL": "https://r.example/v1/rerank", "RERANK_MODEL": "m", "RERANK_API_KEY": "k",
        "RERANK_TIMEOUT_MS": "20", "RERANK_HITS": "9",
        "LLM_URL": "http://l.example/v1", "LLM_MODEL": "m", "LLM_API_KEY": "k", "LLM_API_KEY_FILE": "/k",
        "LLM_FALLBACK_URL": "http://f.example/v1", "LLM_FALLBACK_MODEL": "f", "LLM_FALLBACK_API_KEY": "fk",
        "LLM_FALLBACK_API_KEY_FILE": "/fk",
        "LLM_TIMEOUT_MS": "1000", "LLM_MAX_TOKENS": "99", "LLM_TEMPERATURE": "0.7", "LLM_CONTEXT_TOKENS": "999",
        "LLM_PASSAGES_FIRST": "4",
        "ANSWER_ENABLED": "off", "ANSWER_RETENTION_DAYS": "6", "ANSWERS_MAX_ROWS": "7", "ANSWERS_MAX_BYTES": "8",
        "API_HOSTS": "Search.example",
        "API_LISTEN": "h:9", "API_LOOPS": "3", "API_SEARCH_LANES": "5", "API_FILTERED_LANES": "6",
        "API_FEED_LANES": "7", "API_TRACE_LANES": "8", "API_ANSWER_LANES": "3", "API_MAX_CONNECTIONS": "77",
        "CACHE_BYTES": "9", "CACHE_TTL_SEC": "8", "REDIS_URL": "redis://r.example", "CACHE_SIMILAR_QUESTIONS": "no",
        "REDIS_PASSWORD_FILE": "/r",
        "REDIS_TIMEOUT_MS": "7", "API_CORS_ORIGINS": "https://a.example", "READY_MAX_LAG": "5",
        "FRESH_LATE_SEC": "1",
        "FRESH_STALE_SEC": "2", "FRESH_UNKNOWN_SEC": "3", "FRESH_SILENT_SEC": "4", "ANSWER_REQUIRES_FRESH": "yes",
        "LOG_LEVEL": "debug", "LOG_FORMAT": "json",
        "OPENLINEAGE_URL": "http://marquez:5000", "OPENLINEAGE_ENDPOINT": "v1", "OPENLINEAGE_API_KEY": "key",
        "OPENLINEAGE_API_KEY_FILE": "/key", "OPENLINEAGE_FILE": "/runs.jsonl", "OPENLINEAGE_NAMESPACE": "team",
        "OPENLINEAGE_INTERVAL_SEC": "5",
        "DEMO_SECONDS": "60", "RECORDING": "r.sse", "LAKE_S3_BUCKET": "b", "LAKE_S3_ENDPOINT": "https://h:1",
        "LAKE_S3_REGION": "r", "LAKE_S3_PREFIX": "p/", "LAKE_S3_ACCESS_KEY_ID": "key",
        "LAKE_S3_SECRET_ACCESS_KEY": "secret", "LAKE_S3_SECRET_ACCESS_KEY_FILE": "/s",
        "KAFKA_CLIENT_ID": "c", "KAFKA_SECURITY_PROTOCOL": "sasl_ssl", "KAFKA_SSL_CA_LOCATION": "/ca",
        "KAFKA_SSL_CERTIFICATE_LOCATION": "/crt", "KAFKA_SSL_KEY_LOCATION": "/key",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p",
        "KAFKA_PROPERTIES": "linger.ms=7", "API_ANONYMOUS_READ": "False", "API_KEY_RATE": "1",
        "API_ADDRESS_RATE": "2", "API_TRUSTED_PROXIES": "10.0.0.0/8, ::1", "API_FORWARDED_HEADER": "forwarded",
        "API_CONNECTIONS_PER_ADDRESS": "3", "API_CONNECTIONS_PER_KEY": "4", "API_STREAMS_PER_ADDRESS": "5",
        "API_STREAMS_PER_KEY": "6", "API_ANONYMOUS_WORK": "700", "SOURCES_FILE": "/sources.json",
        "API_STREAM_CATCH_UP_BYTES": "8",
        "API_TLS_CERTIFICATE": "/tls", "API_TLS_KEY": "/tlskey", "API_ACCESS_LOG": "-", "MEDALLION_API_KEY": "mdl",
    ]

    @Test func everyRowReadsItsOwnField() throws {
        let environment = Self.environment
        #expect(Set(environment.keys) == Set(Settings.table.map(\.name)), "a new setting needs a line here")
        let settings = try Settings(environment: environment)
        let defaults = try Settings(environment: [:])
        let pairs = zip(values(of: settings), values(of: defaults))
        let changed = pairs.count { $0 != $1 }
        // Every field, and the record of what was given.
        #expect(changed == Settings.table.count + 1)
        #expect(values(of: defaults).count == Settings.table.count + 3, "a section's fields are not in the table")
        #expect(settings.givenByAlias.isEmpty)
        #expect(settings.logic.wikiFilter == ["enwiki", "dewiki"])
        #expect(settings.logic.allowedNamespaces == [0, -1])
        #expect(settings.folders.lake == "/l")
        #expect(settings.broker.listen.description == "[::1]:0")
    }

    /// The values of all sections, and what is kept beside them.
    private func values(of settings: Settings) -> [String] {
        Mirror(reflecting: settings).children.flatMap { child in
            child.value is any SettingsSection
                ? Mirror(reflecting: child.value).children.map { "\($0.value)" } : ["\(child.value)"]
        }
    }

    /// Files are told from others by their paths, and names are made durable by walking them up.
    @Test func foldersBeginAtTheRoot() throws {
        let here = FileManager.default.currentDirectoryPath
        for (text, path) in [
            ("lake", "\(here)/lake"), ("./lake/", "\(here)/lake"), (".//a///b//", "\(here)/a/b"), (".", here),
            ("../x", "\(here)/../x"), ("/", "/"), ("//l//", "/l"), ("/a/./b/", "/a/b"), (".hidden", "\(here)/.hidden"),
        ] {
            let settings = try Settings(environment: [
                "DATA_DIR": text, "LAKE_DIR": text, "BROKER_DIR": text, "PGDATA_DIR": text, "ARMS_DIR": text,
            ])
            let folders = [
                settings.folders.data, settings.folders.lake, settings.folders.broker, settings.folders.postgres,
                settings.folders.arms,
            ]
            #expect(folders == [path, path, path, path, path], "\(text)")
        }
        let settings = try Settings(environment: ["DATA_DIR": "data/"])
        #expect(settings.folders.lake == "\(here)/data/lake")
        #expect(settings.folders.broker == "\(here)/data/broker")
        #expect(settings.folders.postgres == "\(here)/data/postgres")
        #expect(settings.folders.arms == "\(here)/data/arms")
    }

    /// No part of an address may be taken for a password: addresses are shown.
    @Test func addressesHaveNoUser() throws {
        for name in ["KAFKA_BROKERS", "API_LISTEN", "BROKER_LISTEN", "METRICS_LISTEN"] {
            for text in [
                "s3cret@127.0.0.1:1", "me:s3cret@127.0.0.1:1", "me:s3cret,x@127.0.0.1:1", "127.0.0.1?s3cret:1",
                "127.0.0.1#s3cret:1",
            ] {
                let error = #expect(throws: SettingsError.self) { try Settings(environment: [name: text]) }
                #expect(error?.description.contains("s3cret") == false, "\(error?.description ?? "")")
            }
        }
    }

    @Test func anonymousReadFollowsTheAddressUnlessItIsSet() throws {
        for (listen, word, isAllowed) in [
            ("127.0.0.1:1", "", true), ("127.1.2.3:1", "auto", true), ("[::1]:1", "", true), ("localhost:1", "", true),
            ("0.0.0.0:1", "", false), ("[::]:1", "auto", false), ("192.0.2.1:1", "", false), ("host:1", "", false),
            ("127.0.0.1:1", "false", false), ("0.0.0.0:1", "true", true),
        ] {
            let settings = try Settings(environment: ["API_LISTEN": listen, "API_ANONYMOUS_READ": word])
            #expect(settings.isAnonymousReadAllowed == isAllowed, "\(listen) \(word)")
        }
        // A proxy in front: whoever asks comes from elsewhere, whatever the address of the interface.
        let proxied = try Settings(environment: ["API_TRUSTED_PROXIES": "127.0.0.1"])
        #expect(!proxied.isAPILocal && !proxied.isAnonymousReadAllowed && proxied.access.addressRate == 200)
        #expect(try Settings(environment: [:]).isAPILocal)
        #expect(try Settings(environment: ["API_LISTEN": "0.0.0.0:1"]).isAPILocal == false)
        #expect(try Settings(environment: ["API_LISTEN": "0.0.0.0:1"]).access.addressRate == 200)
        #expect(
            try Settings(environment: ["API_HOSTS": "A.example, [::2],b"]).access.hosts == ["a.example", "[::2]", "b"])
        for wrong in ["http://a.example", "a.example:80", "a b,c/d", "*"] {
            #expect(throws: SettingsError.self) { try Settings(environment: ["API_HOSTS": wrong]) }
        }
        #expect(try Settings(environment: ["API_ADDRESS_RATE": "7"]).access.addressRate == 7)
        #expect(try Settings(environment: ["API_ANONYMOUS_WORK": "0"]).access.anonymousWork(processors: 4) == 0)
        #expect(try Settings(environment: [:]).access.anonymousWork(processors: 4) == 2_400)
        let (here, open) = (try Settings(environment: [:]), try Settings(environment: ["API_LISTEN": "0.0.0.0:1"]))
        #expect(here.apiConnectionsPerAddress == 0 && open.apiConnectionsPerAddress == 1_000)
        // What comes through a proxy is counted on the loopback interface, too.
        #expect(here.apiRequestsPerAddress == 1_000 && here.access.streamsPerAddress == 100)
        #expect(here.apiConnectionsPerKey == 2_500 && open.apiConnectionsPerKey == 2_500)
        let few = try Settings(environment: [
            "API_LISTEN": "0.0.0.0:1", "API_MAX_CONNECTIONS": "5", "API_CONNECTIONS_PER_KEY": "0",
        ])
        #expect(few.apiConnectionsPerAddress == 1 && few.apiConnectionsPerKey == 0)
        #expect(throws: SettingsError.self) { try Settings(environment: ["API_ADDRESS_RATE": "some"]) }
        let secure = try Settings(environment: ["API_LISTEN": "0.0.0.0:9", "API_TLS_CERTIFICATE": "/c"])
        #expect(secure.apiURL == "https://127.0.0.1:9")
        #expect(throws: SettingsError.self) { try Settings(environment: ["API_TRUSTED_PROXIES": "10.0.0.1/8"]) }
        let shown = try Settings(environment: ["MEDALLION_API_KEY": "mdl_secret"]).report.map(\.value)
        #expect(!shown.contains { $0.contains("mdl_secret") })
    }

    @Test func accessToKafkaBecomesPropertiesAndIsNotShown() throws {
        var environment = [
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SASL_USERNAME": "me",
            "KAFKA_SASL_PASSWORD": "hidden", "KAFKA_SSL_CA_LOCATION": "/ca.pem",
            "KAFKA_PROPERTIES": "sasl.oauthbearer.config=a=hidden,b=2; ssl.ca.location=/other.pem;",
        ]
        #expect(try Settings(environment: environment).kafkaProperties.isEmpty, "nothing for the embedded broker")
        environment["KAFKA_BROKERS"] = "kafka:9093"
        let settings = try Settings(environment: environment)
        #expect(
            settings.kafkaProperties == [
                "security.protocol": "sasl_ssl", "sasl.mechanisms": "SCRAM-SHA-512", "sasl.username": "me",
                "sasl.password": "hidden", "ssl.ca.location": "/other.pem",
                "sasl.oauthbearer.config": "a=hidden,b=2",
            ])
        #expect(!settings.report.contains { $0.value.contains("hidden") })
        let plain = try Settings(environment: ["KAFKA_BROKERS": "k:1", "KAFKA_SASL_PASSWORD": "x"])
        #expect(plain.kafkaProperties == ["security.protocol": "plaintext"])
        let error = #expect(throws: SettingsError.self) {
            _ = try Settings(environment: ["KAFKA_PROPERTIES": "password: hidden"])
        }
        #expect(error?.description.contains("KAFKA_PROPERTIES") == true)
        #expect(error?.description.contains("hidden") == false)
    }

    @Test func keysOfTheObjectStorageAreNeverShown() throws {
        let settings = try Settings(environment: [
            "LAKE_S3_ACCESS_KEY_ID": "hidden", "LAKE_S3_SECRET_ACCESS_KEY": "hidden",
        ])
        #expect(settings.lake.s3SecretAccessKey == "hidden")
        #expect(!settings.report.contains { $0.value.contains("hidden") })
        let error = #expect(throws: SettingsError.self) {
            _ = try Settings(environment: ["LAKE_S3_ENDPOINT": "https://h/path"])
        }
        #expect(error?.description.contains("LAKE_S3_ENDPOINT") == true)
    }

    @Test(arguments: [
        ("postgresql://me:se:cret@h/db", "postgresql://me:***@h/db"),
        (
            "postgresql://me:p%40w@h:5/db?sslmode=on&password=se:cret",
            "postgresql://me:***@h:5/db?sslmode=on&password=***"
        ),
        ("host=h password=se:cret dbname=d", "host=h password=*** dbname=d"),
        ("host=h password = 'se:\\'cret x' dbname=d", "host=h password=*** dbname=d"),
        ("postgresql://h/db", "postgresql://h/db"),
        ("postgresql://me:a/se:cret@h/db", "postgresql://***"),
    ])
    func passwordsAreNeverShown(dsn: String, shown: String) throws {
        #expect(Redaction.dsn(dsn) == shown)
        let settings = try Settings(environment: ["POSTGRES_DSN": dsn])
        #expect(settings.database.dsn.revealed == dsn)
        #expect(!"\(settings.database.dsn)".contains("cret"))
        #expect(!settings.report.contains { $0.value.contains("cret") })
    }

    /// Whatever is wrong with a variable, its secrets are not repeated.
    @Test(arguments: [
        ["WIKIMEDIA_SSE_URL": "ftp://me:s3cret@h/x?token=s3cret"], ["WIKIMEDIA_SSE_URL": "http:// me:s3cret@h/"],
        ["LAKE_S3_ENDPOINT": "https://me:s3cret@h"], ["LAKE_S3_ENDPOINT": "https://h?token=s3cret"],
        ["KAFKA_BROKERS": "me:s3cret@h:9092"], ["KAFKA_BROKERS": "a:1,SASL_SSL://me:s3cret@h:9092"],
        ["POSTGRES_DSN": "mysql://me:s3cret@h/db"], ["API_TRUSTED_PROXIES": "http://me:s3cret@proxy/"],
        ["API_HOSTS": "http://me:s3cret@proxy/"], ["API_LISTEN": "http://me:s3cret@h:1"],
        ["METRICS_LISTEN": "http://me:s3cret@h/?x=s3cret"], ["KAFKA_TOPIC": "http://me:s3cret@h/"],
    ])
    func faultsRepeatNoSecret(environment: [String: String]) throws {
        let error = #expect(throws: SettingsError.self) { _ = try Settings(environment: environment) }
        #expect(error?.description.contains("s3cret") == false, "\(error?.description ?? "")")
        #expect(error?.description.contains(environment.keys.first ?? "?") == true)
    }

    @Test func secretsOfURLsAreNeverShown() throws {
        let url = "https://me:s3cret@stream.example/v2?token=s3cret&wiki=s3cret#s3cret"
        let settings = try Settings(environment: ["WIKIMEDIA_SSE_URL": url, "RECORDING": url, "LOG_FORMAT": "text"])
        #expect(settings.source.url.revealed == url)
        #expect(settings.report.contains { $0.value == "https://***@stream.example/v2?token=***&wiki=***#***" })
        #expect(!settings.report.contains { $0.value.contains("s3cret") })
        var dumped = ""
        dump(settings.source.url, to: &dumped)
        #expect(!"\(settings) \(settings.source) \(settings.demo)".contains("s3cret"))
        #expect(!dumped.contains("s3cret") && !"\(settings.source.url)".contains("s3cret"))
    }

    @Test func misspeltVariablesAreNoticed() throws {
        let settings = try Settings(environment: ["KAFKA_BROKER": "a:1", "PATH": "/bin", "WIKI_FILTERS": "x"])
        #expect(settings.suspects.map { $0.meant } == ["KAFKA_BROKERS", "WIKI_FILTER"])
    }

    @Test func referenceListsEverySetting() {
        for setting in Settings.table {
            #expect(SettingsReference.text().contains("  \(setting.name)  (default"))
            #expect(SettingsReference.markdown().contains("| `\(setting.name)`"))
        }
        #expect(Set(Settings.table.map(\.name)).count == Settings.table.count)
    }
}
