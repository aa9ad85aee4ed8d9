extension Settings {
    /// What the index keeps, and how its vectors are found.
    package struct Index: Sendable {
        /// How far back index versions can be read.
        package internal(set) var historyHours = 0
        /// Age of documents beyond which they go, in days; 0 = never.
        package internal(set) var retentionDays = 0
        /// Links of a node of the graph over the vectors.
        package internal(set) var graphLinks = 0
        /// Candidates that are looked at when a node of the graph is linked.
        package internal(set) var graphCandidates = 0
        /// Vectors that may wait to be linked.
        package internal(set) var graphWaiting = 0
        /// Candidates that a search in the graph keeps; nil: by the number of passages.
        package internal(set) var searchCandidates: Int?
        /// Bytes of the arms in memory together; 0: none; nil: by the machine's memory.
        package internal(set) var armsBytes: Int?
        /// How old what is in memory may be that is searched while Postgres cannot be reached; 0: not at all.
        package internal(set) var armsStaleSeconds = 0.0
        /// Whether what is in memory is kept in files between starts.
        package internal(set) var areArmsKept = false
        /// ISO 639 codes of the languages that queries are taken to be in.
        package internal(set) var queryLanguages: [String] = []
        /// BM25's k1.
        package internal(set) var wordSaturation = 0.0
        /// BM25's b.
        package internal(set) var wordLengthShare = 0.0
        /// The share of a core that repeating searches exactly may take.
        package internal(set) var recallShare = 0.0
    }
}

extension Settings.Index: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "INDEX_HISTORY_HOURS", .database, default: "24", .integer(1...8_760), \.index.historyHours,
            "How long rows of the index are kept after they were replaced or deleted: cursors, and reading as of an earlier index "
                + "version, reach back so far."),
        Setting(
            "INDEX_RETENTION_DAYS", .database, default: "0", .integer(0...36_500), \.index.retentionDays,
            "Documents whose event is older leave the index, whatever its generation; the lake keeps them. A source may say "
                + "otherwise for its collection (`retention_days` of its declaration). 0: they stay."),
        Setting(
            "HNSW_M", .database, default: "16", .integer(4...100), \.index.graphLinks,
            "Links of a node of the graph over the vectors. More find more and take more room. A change builds the new graph "
                + "beside the old one while searches go on."),
        Setting(
            "HNSW_EF_CONSTRUCTION", .database, default: "64", .integer(8...1_000), \.index.graphCandidates,
            "Candidates that are looked at when a node of the graph is linked, at least twice `HNSW_M`. More find more and take "
                + "longer to build. A change builds the new graph beside the old one."),
        Setting(
            "HNSW_WAITING_MAX", .database, default: "20000", .integer(100...50_000), \.index.graphWaiting,
            "New vectors that may wait until they are linked into the graph. Searches in Postgres compare all that wait, at about 2 µs "
                + "each. Beyond this, whoever writes links as many as come: a backlog of documents is then written more slowly."
        ),
        Setting(
            "SEARCH_EF", .database, default: "auto", .integerOrAuto(10...1_000), \.index.searchCandidates,
            "Candidates that a search in the graph keeps. More find more and take longer. `auto`: by the passages of the tenant, 200 "
                + "up to 20,000, 400 up to 50,000, and 800 beyond."),
        Setting(
            "ARMS_MEMORY_BYTES", .api, default: "auto", .integerOrAuto(0...4_398_046_511_104), \.index.armsBytes,
            "How much of the index a server may hold in memory, where searches take an eighth of the time: about 1,800 bytes a "
                + "passage, and 300 with what hits show of it, which is fetched from Postgres where there is no room for it. Tenants "
                + "whose passages find no room are searched in Postgres. `auto`: a quarter of the memory of "
                + "the machine, or of its container; 0: all searches are done in Postgres."),
        Setting(
            "ARMS_STALE_SECONDS", .api, default: "300", .seconds(0...86_400), \.index.armsStaleSeconds,
            "How long searches go on in memory while Postgres cannot be reached; replies then say how old that is "
                + "(`index_age_seconds`). Beyond it searches fail (503). 0: they fail at once."),
        Setting(
            "ARMS_FILES_ENABLED", .api, default: "true", .bool, \.index.areArmsKept,
            "Whether a server keeps what it holds of the index in memory in files (`ARMS_DIR`), so that it has it again within "
                + "seconds of a start."),
        Setting(
            "QUERY_LANGUAGES", .database, default: "en", .words, \.index.queryLanguages,
            "Languages that queries are taken to be in where no filter on `lang` says otherwise, as ISO 639 codes: their words are "
                + "also found by their stems. Exact forms always count more."),
        Setting(
            "BM25_K1", .database, default: "1.2", .number(0...10), \.index.wordSaturation,
            "How much it counts that a passage has a word several times; 0: not at all."),
        Setting(
            "BM25_B", .database, default: "0.75", .number(0...1), \.index.wordLengthShare,
            "How much less a word counts in a long passage: 0 not at all, 1 in proportion to its length."),
        Setting(
            "RECALL_SAMPLE_SHARE", .database, default: "0.02", .number(0...0.5), \.index.recallShare,
            "The share of a core that may be spent on repeating served searches exactly, on lanes that are idle, to know "
                + "how much the vector index finds (`medallion_search_recall_at_10`). 0: none are repeated."),
    ]
}
