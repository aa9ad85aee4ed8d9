import Bytes
import Testing

@testable import Settings

/// Names that people bring: taken where they mean the same, named where they do not, and left alone where they are another
/// program's.
@Suite struct SettingAliasTests {
    @Test func everyAliasIsReadAsItsSetting() throws {
        var seen: Set<String> = Set(Settings.table.map(\.name))
        for setting in Settings.table {
            for alias in setting.aliases {
                #expect(seen.insert(alias).inserted, "\(alias) stands for two things")
                #expect(ForeignName.table[alias] == nil, "\(alias) is taken and warned of")
                let values = [
                    "POSTGRES_DSN": "postgresql://u:hidden@h/d", "KAFKA_GROUP": "g", "LLM_URL": "http://h:1/v1",
                ]
                let value = values[setting.name] ?? "h:1"
                let byAlias = try Settings(environment: [alias: value])
                let byName = try Settings(environment: [setting.name: value])
                #expect(byAlias.given == byName.given && byAlias.suspects.isEmpty)
                #expect(byAlias.givenByAlias == [setting.name: alias] && byName.givenByAlias.isEmpty)
                let row = try #require(byAlias.report.first { $0.setting.name == setting.name })
                #expect(row.variable == alias && !row.value.contains("hidden"))
                #expect(byName.report.first { $0.setting.name == setting.name }?.variable == setting.name)
            }
        }
        #expect(try Settings(environment: ["DATABASE_URL": "postgres://h/d"]).database.dsn.revealed == "postgres://h/d")
        #expect(try Settings(environment: ["KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2"]).broker.bootstrapServers == "a:1,b:2")
        #expect(try Settings(environment: ["KAFKA_GROUP_ID": "g"]).reading.group == "g")
        #expect(try Settings(environment: [:]).report.allSatisfy { $0.variable == nil })
    }

    /// Many have `OPENAI_API_KEY` set for another program.
    @Test(arguments: [
        (["LLM_URL": "http://h:1/v1"], false), (["LLM_URL": "https://api.openai.com.evil.example/v1"], false),
        (["LLM_URL": "https://api.openai.com:x@evil.example/v1"], false),
        (["LLM_URL": "http://api.openai.com/v1"], false), (["LLM_URL": "https://api.openai.com/v1"], true),
        (["LLM_URL": "https://API.OpenAI.com:443/v1?a=b"], true), (["OPENAI_BASE_URL": "http://h:1/v1"], true),
        (["OPENAI_API_BASE": "http://h:1/v1"], true),
    ])
    func theKeyOfOpenAIGoesWhereItBelongs(environment: [String: String], isSent: Bool) throws {
        let theirs = try Settings(environment: environment.merging(["OPENAI_API_KEY": "k"]) { old, _ in old })
        #expect(theirs.languageModel.key == (isSent ? "k" : "") && theirs.isForeignKeyWithheld == !isSent)
        let own = try Settings(environment: environment.merging(["LLM_API_KEY": "k"]) { old, _ in old })
        #expect(own.languageModel.key == "k" && !own.isForeignKeyWithheld)
    }

    @Test func twoNamesThatAgreeAreFineAndEmptyOnesAreUnset() throws {
        let both = try Settings(environment: ["KAFKA_BROKERS": "a:1", "KAFKA_BOOTSTRAP_SERVERS": "a:1"])
        #expect(both.broker.bootstrapServers == "a:1" && both.givenByAlias.isEmpty)
        let empty = try Settings(environment: ["KAFKA_BROKERS": "", "BOOTSTRAP_SERVERS": "b:2"])
        #expect(empty.broker.bootstrapServers == "b:2" && empty.givenByAlias == ["KAFKA_BROKERS": "BOOTSTRAP_SERVERS"])
        let unset = try Settings(environment: ["KAFKA_BROKERS": "a:1", "BOOTSTRAP_SERVERS": ""])
        #expect(unset.broker.bootstrapServers == "a:1" && unset.suspects.isEmpty)
    }

    @Test(arguments: [
        ["POSTGRES_DSN": "postgresql://u:hidden@h/d", "DATABASE_URL": "postgresql://u:secret@h/d"],
        ["KAFKA_BROKERS": "hidden:1", "KAFKA_BOOTSTRAP_SERVERS": "secret:1"],
        ["KAFKA_BOOTSTRAP_SERVERS": "hidden:1", "BOOTSTRAP_SERVERS": "secret:1"],
    ])
    func twoNamesThatDifferAreAnErrorThatNamesBoth(environment: [String: String]) throws {
        let error = try #require(throws: SettingsError.self) { _ = try Settings(environment: environment) }
        #expect(error.faults.count == 1)
        for name in environment.keys { #expect(error.description.contains(name)) }
        #expect(error.description.contains("unset one of them"))
        #expect(!error.description.contains("hidden") && !error.description.contains("secret"))
    }

    @Test func aWrongValueIsBlamedOnTheVariableThatGaveIt() throws {
        let error = try #require(throws: SettingsError.self) {
            _ = try Settings(environment: [
                "KAFKA_BOOTSTRAP_SERVERS": "nowhere", "DATABASE_URL": "mysql://u:hidden@h/d?a=b",
            ])
        }
        #expect(error.faults.map(\.name) == ["KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"])
        #expect(error.faults.allSatisfy { $0.reason.contains("it is read as ") })
        #expect(error.description.contains("KAFKA_BROKERS") && error.description.contains("POSTGRES_DSN"))
        #expect(!error.description.contains("hidden"))
        let driver = try #require(throws: SettingsError.self) {
            _ = try Settings(environment: ["DATABASE_URL": "postgresql+asyncpg://u:hidden@h/d?ssl=on"])
        }
        #expect(driver.description.contains("begin it with postgresql://") && !driver.description.contains("hidden"))
        for dsn in ["sqlite:///x?mode=ro", "mysql://h"] {
            #expect(throws: SettingsError.self) { try Settings(environment: ["DATABASE_URL": dsn]) }
        }
        #expect(
            try Settings(environment: ["DATABASE_URL": "host=h options='-c a=x://y'"]).database.dsn.revealed.hasPrefix(
                "host"))
    }

    @Test(arguments: [
        // A slip or two
        ("KAFKA_BROKER", "KAFKA_BROKERS"), ("KAFKA_BROKRES", "KAFKA_BROKERS"), ("POSTGRES_DNS", "POSTGRES_DSN"),
        ("KAFKA_BROKERS_", "KAFKA_BROKERS"), ("LOGLEVEL", "LOG_LEVEL"), ("LOG_LEVLE", "LOG_LEVEL"),
        ("API_LISTN", "API_LISTEN"), ("WIKIMEDIA_SSEURL", "WIKIMEDIA_SSE_URL"), ("EMBED_DIM", "EMBED_DIMS"),
        ("kafka_brokers", "KAFKA_BROKERS"), ("METRIC_LISTENS", "METRICS_LISTEN"),
        // Something before or behind it
        ("MEDALLION_KAFKA_BROKERS", "KAFKA_BROKERS"), ("MEDALLION_POSTGRES_DSNS", "POSTGRES_DSN"),
        ("API_LISTEN_ADDR", "API_LISTEN"), ("POSTGRES_DSN_URL", "POSTGRES_DSN"),
        // From elsewhere
        ("POSTGRES_URL", "POSTGRES_DSN"), ("QDRANT_URL", "POSTGRES_DSN"), ("SSE_URL", "WIKIMEDIA_SSE_URL"),
        ("GROUP_ID", "KAFKA_GROUP"), ("EMBEDDING_MODEL", "EMBED_MODEL"), ("KAFKA_TOPIC_IN", "KAFKA_TOPIC"),
        ("OPENAI_EMBED_MODEL", "EMBED_MODEL"), ("OLLAMA_HOST", "LLM_URL"), ("LLM_BASE_URL", "LLM_URL"),
        ("REDIS_HOST", "REDIS_URL"), ("TOP_K", ""),
    ])
    func whatIsProbablyMeantIsNamed(found: String, meant: String) throws {
        let suspects = try Settings(environment: [found: "hidden-value"]).suspects
        #expect(suspects.map(\.found) == [found])
        #expect(suspects.map(\.meant) == [meant])
        let words = suspects.map(\.description).joined()
        #expect(words.contains("\(found) is set, but is no setting") && !words.contains("hidden"))
        #expect(meant.isEmpty ? !(suspects.first?.remark.isEmpty ?? true) : words.contains(meant))
        #expect(try Settings(environment: [found: ""]).suspects.isEmpty, "an empty variable is unset")
    }

    /// What shells, containers, clusters, CI and other programs have in their environment.
    @Test func strangersAreLeftAlone() throws {
        let names = """
            PATH HOME USER LOGNAME SHELL PWD OLDPWD LANG LC_ALL TERM TZ TMPDIR HOSTNAME HOST PORT EDITOR PAGER DISPLAY
            HTTP_PROXY http_proxy HTTPS_PROXY no_proxy SSL_CERT_FILE SSL_CERT_DIR LD_LIBRARY_PATH MALLOC_CONF PKG_CONFIG_PATH
            PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGDATA PGSSLMODE PGSERVICE PGPASSFILE PGAPPNAME PGOPTIONS PG_VERSION
            POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB POSTGRES_PORT POSTGRES_INITDB_ARGS POSTGRES_SERVICE_HOST
            AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION AWS_PROFILE
            AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 KAFKA_HEAP_OPTS KAFKA_OPTS KAFKA_PORT KAFKA_SERVICE_HOST KAFKA_SERVICE_PORT
            KAFKA_PORT_9092_TCP KAFKA_BROKERS_SERVICE_HOST KAFKA_BROKERS_PORT KAFKA_ADVERTISED_LISTENERS KAFKA_NODE_ID
            KUBERNETES_SERVICE_HOST KUBERNETES_PORT POD_NAME CI GITHUB_ACTIONS GITHUB_TOKEN NODE_ENV JAVA_HOME JAVA_OPTS
            SPARK_HOME PYTHONPATH VIRTUAL_ENV RUST_LOG DD_LOG_LEVEL OTEL_SERVICE_NAME OTEL_EXPORTER_OTLP_ENDPOINT
            JOURNAL_STREAM INVOCATION_ID NOTIFY_SOCKET SYSTEMD_EXEC_PID XDG_RUNTIME_DIR XDG_DATA_DIRS DATA_HOME CACHE_DIR
            LOG_DIR BACKUP_DIR MODEL_NAME API_KEY API_URL API_TOKEN SECRET_KEY DEBUG MEDALLION_LONG_TESTS MEDALLION_TAG MEDALLION_RECORDINGS
            MEDALLION_EXECUTABLE TEST_SEED UPDATE_GOLDEN REDPANDA_PORT SIMULATED_RATE
            """
        // Compose hands its own variables on to the roles, with the rest of the file.
        let all =
            names.split(whereSeparator: \.isWhitespace).map { String($0) } + SettingsEnvironment.compose.map(\.name)
        for name in all {
            let suspects = try Settings(environment: [name: "x"]).suspects
            #expect(suspects.isEmpty, "\(name): \(suspects)")
        }
    }

    @Test func whatIsMeantExists() {
        let names = Set(Settings.table.map(\.name))
        for (found, meaning) in ForeignName.table {
            #expect(meaning.meant.isEmpty || names.contains(meaning.meant), "\(found) → \(meaning.meant)")
            #expect(!meaning.meant.isEmpty || !meaning.remark.isEmpty, "\(found) says nothing")
            // As soon as there is a setting of that name, it is no foreign one.
            #expect(!names.contains(found), "\(found)")
        }
    }

    @Test func slipsAreCounted() {
        func slips(_ left: String, _ right: String) -> Int { NearMiss.slips(Array(left.utf8), Array(right.utf8)) }
        #expect(slips("", "abc") == 3 && slips("abc", "") == 3 && slips("abc", "abc") == 0)
        #expect(slips("kitten", "sitting") == 3 && slips("abcd", "abdc") == 1 && slips("ca", "abc") == 3)
    }
}

/// The file of variables.
@Suite struct SettingsEnvironmentTests {
    /// Variables as a POSIX shell reads the file, with every default taken in.
    private func assignments(_ text: String) -> [String: String] {
        var found: [String: String] = [:]
        for line in text.split(separator: "\n") {
            guard let match = line.wholeMatch(of: /#([A-Z][A-Z0-9_]*)=(.*)/) else { continue }
            var value = String(match.output.2)
            if value.hasPrefix("'"), value.hasSuffix("'") { value = String(value.dropFirst().dropLast()) }
            found[String(match.output.1)] = value
        }
        return found
    }

    @Test func everySettingStandsThereWithItsDefault() throws {
        let text = SettingsEnvironment.text
        let found = assignments(text)
        for setting in Settings.table {
            #expect(found[setting.name] == setting.defaultText, "\(setting.name)")
            for alias in setting.aliases { #expect(text.contains(alias)) }
        }
        let names = Set(Settings.table.map(\.name)).union(SettingsEnvironment.compose.map(\.name))
        #expect(Set(found.keys) == names)
        // Taken in as it is, it changes nothing and is refused nowhere.
        let ours = found.filter { setting in Settings.table.contains { $0.name == setting.key } }
        let defaults = try Settings(environment: [:]).report.map(\.value)
        #expect(try Settings(environment: ours).report.map(\.value) == defaults)
        // Only comments: a copy changes nothing before somebody sets something.
        #expect(text.split(separator: "\n").allSatisfy { $0.hasPrefix("#") && $0.count <= 200 })
        for name in ["KAFKA_BROKERS", "POSTGRES_DSN", "LAKE_DIR", "WIKIMEDIA_USER_AGENT"] {
            let block = text.components(before: "#\(name)=")
            #expect(block.contains("# PRODUCTION: "), "\(name)")
        }
        #expect(
            text.components(separatedBy: "PRODUCTION: ").count - 1
                == Settings.table.filter { !$0.production.isEmpty }.count)
    }

    @Test(arguments: [
        ("", ""), ("a:1,b/c", "a:1,b/c"), ("a b", "'a b'"), ("{x}[$y]", "'{x}[$y]'"),
        ("it's \"$5\"", "\"it's \\\"\\$5\\\"\""),
    ])
    func valuesAreQuotedForAShell(value: String, quoted: String) {
        #expect(SettingsEnvironment.quoted(value) == quoted)
    }
}

extension String {
    /// The paragraph that ends with the line that begins with `start`.
    fileprivate func components(before start: String) -> Substring {
        guard let found = range(ofLine: start) else { return "" }
        let above = self[..<found]
        return above[(above.ranges(of: "\n\n").last?.upperBound ?? above.startIndex)...]
    }

    private func range(ofLine start: String) -> String.Index? {
        ranges(of: "\n" + start).first?.lowerBound
    }

    fileprivate func components(separatedBy separator: String) -> [Substring] {
        split(separator: separator, omittingEmptySubsequences: false)
    }
}
