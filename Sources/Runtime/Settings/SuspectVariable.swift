/// A variable of the environment that is no setting, with the setting that was probably meant.
///
/// Its value is never looked at: it may be a secret, and of somebody else's.
package struct SuspectVariable: Sendable, Equatable, CustomStringConvertible {
    /// The variable that is set.
    package let found: String
    /// The setting's name; empty where this version has none for it.
    package let meant: String
    /// What to know beside that; may be empty.
    package let remark: String

    package var description: String {
        let advice = meant.isEmpty ? "" : "; the setting's name is \(meant)"
        return "\(found) is set, but is no setting" + advice + (remark.isEmpty ? "" : ": \(remark)")
    }

    /// All of an environment, by name. A variable without a value is not set.
    static func all(in environment: [String: String], table: [Setting]) -> [SuspectVariable] {
        let known = Set(table.flatMap { [$0.name] + $0.aliases })
        let names = table.map(\.name)
        return environment.filter { !$0.value.isEmpty && !known.contains($0.key) }.keys.sorted().compactMap { word in
            if let foreign = ForeignName.table[word] {
                return SuspectVariable(found: word, meant: foreign.meant, remark: foreign.remark)
            }
            guard let meant = NearMiss.setting(meantBy: word, names: names) else { return nil }
            return SuspectVariable(found: word, meant: meant, remark: "")
        }
    }
}

/// Names that people bring from systems like this one, and that are not taken for a setting: most mean something a little
/// different there, or are common enough to be another program's.
enum ForeignName {
    struct Meaning {
        let meant: String
        let remark: String

        init(_ meant: String, _ remark: String = "") {
            self.meant = meant
            self.remark = remark
        }
    }

    private static let vectors = "the index lives in Postgres with pgvector"

    static let table: [String: Meaning] = [
        // Models behind a service
        "OPENAI_EMBED_MODEL": .init("EMBED_MODEL"), "OPENAI_EMBEDDING_MODEL": .init("EMBED_MODEL"),
        "OLLAMA_HOST": .init("LLM_URL", "it is the whole base, such as http://127.0.0.1:11434/v1"),
        "OLLAMA_BASE_URL": .init("LLM_URL", "it ends in /v1"), "LLM_BASE_URL": .init("LLM_URL"),
        "EMBEDDING_MODEL": .init("EMBED_MODEL"), "EMBEDDING_URL": .init("EMBED_URL", "it ends in /v1"),
        "EMBEDDINGS_MODEL": .init("EMBED_MODEL"), "MODEL_PATH": .init("MODEL_DIR"),
        "EMBEDDING_DIM": .init("EMBED_DIMS"), "EMBEDDING_DIMS": .init("EMBED_DIMS"),
        "EMBEDDING_DIMENSIONS": .init("EMBED_DIMS"), "VECTOR_SIZE": .init("EMBED_DIMS"),
        "EMBEDDINGS_ENABLED": .init("EMBED_ENABLED"),
        "TOP_K": .init("", "each request says `top_k` itself"),
        // Kafka
        "KAFKA_BROKER_LIST": .init("KAFKA_BROKERS"), "KAFKA_BOOTSTRAP_SERVER": .init("KAFKA_BROKERS"),
        "KAFKA_BOOTSTRAP": .init("KAFKA_BROKERS"), "KAFKA_SERVERS": .init("KAFKA_BROKERS"),
        "KAFKA_HOST": .init("KAFKA_BROKERS"), "KAFKA_URL": .init("KAFKA_BROKERS"),
        "REDPANDA_BROKERS": .init("KAFKA_BROKERS"), "BROKERS": .init("KAFKA_BROKERS"),
        "GROUP_ID": .init("KAFKA_GROUP"), "CONSUMER_GROUP": .init("KAFKA_GROUP"),
        "KAFKA_TOPIC_IN": .init("KAFKA_TOPIC"), "KAFKA_TOPIC_RAW": .init("KAFKA_TOPIC"),
        "KAFKA_INPUT_TOPIC": .init("KAFKA_TOPIC"), "KAFKA_RAW_TOPIC": .init("KAFKA_TOPIC"),
        "KAFKA_TOPIC_NAME": .init("KAFKA_TOPIC"), "TOPIC_IN": .init("KAFKA_TOPIC"),
        "KAFKA_TOPIC_OUT": .init("KAFKA_GOLD_TOPIC"), "KAFKA_OUTPUT_TOPIC": .init("KAFKA_GOLD_TOPIC"),
        "TOPIC_OUT": .init("KAFKA_GOLD_TOPIC"), "KAFKA_PARTITIONS": .init("KAFKA_TOPIC_PARTITIONS"),
        "KAFKA_NUM_PARTITIONS": .init("KAFKA_TOPIC_PARTITIONS"),
        "KAFKA_REPLICATION_FACTOR": .init("KAFKA_REPLICATION"), "KAFKA_USERNAME": .init("KAFKA_SASL_USERNAME"),
        "KAFKA_PASSWORD": .init("KAFKA_SASL_PASSWORD"), "KAFKA_SSL_CAFILE": .init("KAFKA_SSL_CA_LOCATION"),
        "KAFKA_CA_FILE": .init("KAFKA_SSL_CA_LOCATION"),
        // The database
        "POSTGRES_URL": .init("POSTGRES_DSN"), "POSTGRES_URI": .init("POSTGRES_DSN"),
        "POSTGRESQL_URL": .init("POSTGRES_DSN"), "POSTGRES_CONNECTION_STRING": .init("POSTGRES_DSN"),
        "DATABASE_DSN": .init("POSTGRES_DSN"), "DATABASE_URI": .init("POSTGRES_DSN"), "DB_URL": .init("POSTGRES_DSN"),
        "DB_DSN": .init("POSTGRES_DSN"), "PG_DSN": .init("POSTGRES_DSN"), "PG_URL": .init("POSTGRES_DSN"),
        "PGVECTOR_URL": .init("POSTGRES_DSN"), "POSTGRES_HOST": .init("POSTGRES_DSN", "it holds host, user and all"),
        "QDRANT_URL": .init("POSTGRES_DSN", vectors), "QDRANT_HOST": .init("POSTGRES_DSN", vectors),
        "QDRANT_API_KEY": .init("POSTGRES_DSN", vectors), "QDRANT_COLLECTION": .init("POSTGRES_DSN", vectors),
        "MILVUS_URI": .init("POSTGRES_DSN", vectors), "WEAVIATE_URL": .init("POSTGRES_DSN", vectors),
        "CHROMA_URL": .init("POSTGRES_DSN", vectors), "PINECONE_API_KEY": .init("POSTGRES_DSN", vectors),
        "ELASTICSEARCH_URL": .init("POSTGRES_DSN", vectors), "OPENSEARCH_URL": .init("POSTGRES_DSN", vectors),
        "REDIS_HOST": .init("REDIS_URL"),
        // The source
        "SSE_URL": .init("WIKIMEDIA_SSE_URL"), "WIKIMEDIA_URL": .init("WIKIMEDIA_SSE_URL"),
        "WIKIMEDIA_STREAM_URL": .init("WIKIMEDIA_SSE_URL"), "WIKI_SSE_URL": .init("WIKIMEDIA_SSE_URL"),
        "EVENTSTREAMS_URL": .init("WIKIMEDIA_SSE_URL"), "WIKI_USER_AGENT": .init("WIKIMEDIA_USER_AGENT"),
        "WIKIS": .init("WIKI_FILTER"), "ALLOWED_WIKIS": .init("WIKI_FILTER"),
        "EXCLUDE_BOTS": .init("FILTER_BOTS"), "MAX_TEXT_CHARS": .init("MAX_CONTENT_CHARS"),
        // The rest
        "API_HOST": .init("API_LISTEN", "it holds host and port"),
        "METRICS_PORT": .init("METRICS_LISTEN", "it holds host and port"),
        "API_CORS_ALLOWED_ORIGINS": .init("API_CORS_ORIGINS"), "CORS_ORIGINS": .init("API_CORS_ORIGINS"),
        "MEDALLION_LISTEN": .init("API_LISTEN"),
        "S3_BUCKET": .init("LAKE_S3_BUCKET"), "S3_ENDPOINT": .init("LAKE_S3_ENDPOINT"),
        "S3_ENDPOINT_URL": .init("LAKE_S3_ENDPOINT"), "S3_REGION": .init("LAKE_S3_REGION"),
        "LAKE_PATH": .init("LAKE_DIR"), "LAKE_ROOT": .init("LAKE_DIR"), "DATA_PATH": .init("DATA_DIR"),
    ]
}

/// Variables a slip or an affix away from a setting, which would otherwise be ignored silently.
enum NearMiss {
    /// Words that people put behind a name; anything else behind one may be another program's own variable.
    private static let suffixes: Set<String> = [
        "", "ADDR", "ADDRESS", "URL", "URI", "LIST", "SERVERS", "HOSTS", "PATH", "FOLDER", "S", "SECONDS", "MS",
        "VALUE",
    ]
    private static let prefix = "MEDALLION_"
    /// Names of the system, of tools and of the tests that happen to lie close to one of ours.
    private static let unrelated: Set<String> = ["POSTGRES_DB", "PG_LIB_DIR", "BROWSER_DIR", "MEDALLION_RECORDINGS"]

    /// The setting that `word`, which is none, was probably meant to be; nil for a stranger.
    static func setting(meantBy word: String, names: [String]) -> String? {
        let upper = word.uppercased()
        guard !unrelated.contains(upper), upper.utf8.count >= 6, upper.utf8.count <= 64 else { return nil }
        if let same = names.first(where: { $0 == upper }) { return same }
        if upper.hasPrefix(prefix) {
            let rest = String(upper.dropFirst(prefix.count))
            if let same = names.first(where: { $0 == rest }) { return same }
            if let near = nearest(to: rest, among: names) { return near }
        }
        if let near = nearest(to: upper, among: names) { return near }
        return names.filter { upper.hasPrefix($0 + "_") && suffixes.contains(String(upper.dropFirst($0.count + 1))) }
            .max { $0.count < $1.count }
    }

    /// The setting with the fewest slips to `word`: one at most, two where the name is long enough to be told by the rest.
    private static func nearest(to word: String, among names: [String]) -> String? {
        let bytes = Array(word.utf8)
        var best: (name: String, slips: Int)?
        for name in names {
            let wanted = Array(name.utf8)
            let slipsMax = wanted.count >= 10 ? 2 : wanted.count >= 6 ? 1 : 0
            guard abs(wanted.count - bytes.count) <= slipsMax else { continue }
            let found = slips(bytes, wanted)
            // Two slips at the very beginning make another word of it.
            guard found <= slipsMax, found < best?.slips ?? .max, found < 2 || bytes.first == wanted.first else {
                continue
            }
            best = (name, found)
        }
        return best?.name
    }

    /// Bytes changed, added, left out, or swapped with their neighbour (optimal string alignment).
    static func slips(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var former: [Int] = []
        var above = Array(0...right.count)
        for i in 0..<left.count {
            var row = [i + 1]
            for j in 0..<right.count {
                var least = min(above[j + 1], row[j]) + 1
                least = min(least, above[j] + (left[i] == right[j] ? 0 : 1))
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    least = min(least, former[j - 1] + 1)
                }
                row.append(least)
            }
            (former, above) = (above, row)
        }
        return above[right.count]
    }
}
