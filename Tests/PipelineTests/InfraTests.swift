import Files
import Glibc
import JSONScan
import PlatformTesting
import Processes
import Settings
import Testing

/// The compose file against the executable, and the smoke script against a deployment.
@Suite struct InfraTests {
    /// One service of infra/docker-compose.yml.
    private struct Service {
        let name: String
        let image: String
        let command: [String]
        let environment: [String]
        let health: [String]

        var isOurs: Bool { image.hasPrefix("medallion:") }

        init(_ name: String, _ value: JSONValue) {
            func words(_ key: String) -> [String] { (value[key]?.array ?? []).compactMap(\.string) }
            self.name = name
            image = value["image"]?.string ?? ""
            command = words("command")
            environment = words("environment")
            health = words("health")
        }
    }

    private func compose() throws -> (services: [Service], secrets: [String], faults: [String]) {
        let output = try PythonTool.run([
            PackageRoot.path + "/Tests/PipelineTests/compose.py", PackageRoot.path + "/infra/docker-compose.yml",
        ])
        let json = try JSONValue.parse(output)
        return (
            (json["services"]?.object ?? []).map { Service($0.key, $0.value) },
            (json["secrets"]?.array ?? []).compactMap(\.string), (json["faults"]?.array ?? []).compactMap(\.string)
        )
    }

    @Test("every variable is a setting, every command exists, images are pinned, and there is no secret")
    func compose() async throws {
        let (services, secrets, faults) = try self.compose()
        #expect(secrets == [])
        #expect(faults == [], "against the schema of the Compose specification")
        let known = Set(Settings.table.map(\.name) + SettingsEnvironment.compose.map(\.name))
        let aliases = Settings.table.flatMap(\.aliases)
        let ours = services.filter(\.isOurs)
        #expect(Set(ours.map(\.name)).isSuperset(of: ["migrate", "producer", "stream", "index", "serve"]))
        for service in services where !service.isOurs {
            #expect(service.image.contains(/:v?\d+\.\d+/), "\(service.name): \(service.image) is not pinned")
            #expect(!service.health.isEmpty, "\(service.name) has no health check")
        }
        try await Deployment.run { deployment in
            let overview = try deployment.command(["--help"])
            for service in ours {
                // libpq reads it itself.
                #expect(
                    Set(service.environment).subtracting(known).subtracting(["PGPASSWORD"]).subtracting(aliases) == [],
                    "\(service.name)")
                let command = try #require(service.command.first)
                #expect(overview.contains("\n  \(command) "), "\(service.name): \(command)")
                let help = try deployment.command([command, "--help"])
                for option in service.command.dropFirst() where option.hasPrefix("--") {
                    #expect(help.contains("  \(option) "), "\(service.name): \(option)")
                }
                // Those that run on have a health check.
                // Those that run on are asked whether they do their work; RoleProbeTests has what they answer.
                guard !["migrate", "simulator"].contains(service.name) else { continue }
                #expect(service.environment.contains("METRICS_LISTEN"), "\(service.name)")
                #expect(service.health.last == "http://127.0.0.1:9464/ready", "\(service.name)")
            }
        }
    }
}

/// Monitoring and cache in Compose: no container runs here, so the files are held against each other.
@Suite struct InfraMonitoringTests {
    private func service(_ name: String) throws -> JSONValue {
        let output = try PythonTool.run([
            PackageRoot.path + "/Tests/PipelineTests/compose.py", PackageRoot.path + "/infra/docker-compose.yml",
        ])
        return try #require(try JSONValue.parse(output)["services"]?.object?.first { $0.key == name }?.value)
    }

    private func words(_ service: JSONValue, _ key: String) -> [String] {
        (service.object?.first { $0.key == key }?.value.array ?? []).compactMap(\.string)
    }

    private func text(_ path: String) throws -> String {
        String(decoding: try File.contents(of: PackageRoot.path + "/" + path), as: UTF8.self)
    }

    @Test func profilesAddWhatTheyPromise() throws {
        for (name, profile, port) in [
            ("prometheus", "monitoring", "9090"), ("alertmanager", "monitoring", "9093"),
            ("grafana", "monitoring", "3000"), ("redis", "cache", nil),
        ] {
            let service = try service(name)
            #expect(words(service, "profiles") == [profile], "\(name)")
            // On this machine alone: none of them asks who somebody is.
            #expect(words(service, "ports") == (port.map { ["127.0.0.1:\($0):\($0)"] } ?? []), "\(name)")
            // What is given to it is there, where its settings look for it.
            for mount in words(service, "volumes") where mount.hasPrefix("../") {
                let parts = mount.split(separator: ":")
                #expect(access(PackageRoot.path + "/infra/" + parts[0], R_OK) == 0, "\(name): \(parts[0])")
                #expect(parts.last == "ro", "\(name): \(mount)")
            }
        }
        #expect(try words(service("prometheus"), "command").contains("--config.file=/etc/prometheus/prometheus.yml"))
        #expect(
            try words(service("alertmanager"), "command").contains("--config.file=/etc/alertmanager/alertmanager.yml"))
    }

    /// Alerts lead to a page that Prometheus serves, in Compose as in `make watch`.
    @Test func theRunbooksPageIsOfTheRunbook() throws {
        _ = try PythonTool.run([PackageRoot.path + "/tools/runbook_page.py", "--check"])
        let prometheus = try service("prometheus")
        #expect(words(prometheus, "command").contains("--web.console.templates=/etc/prometheus/runbook"))
        #expect(words(prometheus, "command").contains("--web.external-url=http://127.0.0.1:9090"))
        #expect(words(prometheus, "volumes").contains("../monitoring/consoles:/etc/prometheus/runbook:ro"))
    }

    /// Names and ports by which the parts find each other.
    @Test func partsFindEachOther() throws {
        let prometheus = try text("monitoring/prometheus.compose.yml")
        let roles = try #require(prometheus.firstMatch(of: /names: \[(.+)\]/)).output.1.split(separator: ", ")
        #expect(Set(roles.map(String.init)) == ["producer", "stream", "index", "serve"])
        for role in roles {
            let values = try service(String(role))["values"]?.object ?? []
            let listen = values.first { $0.key == "METRICS_LISTEN" }?.value.string
            #expect(listen == "0.0.0.0:9464" && prometheus.contains("port: 9464"), "\(role)")
        }
        #expect(prometheus.contains("alertmanager:9093") && prometheus.contains("/etc/prometheus/rules/*.yml"))
        #expect(try words(service("prometheus"), "volumes").contains("../monitoring/rules:/etc/prometheus/rules:ro"))
        let source = try text("monitoring/grafana/provisioning/datasources/medallion.yml")
        #expect(source.contains("http://prometheus:9090") && source.contains("uid: medallion\n"))
        let provider = try text("monitoring/grafana/provisioning/dashboards/medallion.yml")
        let folder = try #require(provider.firstMatch(of: /path: (\S+)/)).output.1
        #expect(try words(service("grafana"), "volumes").contains("../monitoring/grafana/dashboards:\(folder):ro"))
        let script = try text("tools/smoke.sh")
        #expect(script.contains("--profile monitoring") && script.contains("proxy/uid/medallion/"))
        // The cache's address as docs/operations.md gives it is one that the platform takes.
        let settings = try Settings(environment: ["REDIS_URL": "redis://redis:6379"])
        #expect(try "\(settings.caches.redisURL)" != "" && text("docs/operations.md").contains("redis://redis:6379"))
    }
}

/// Who gets the database's password and other secrets, and whether any gets there.
@Suite struct InfraSecretTests {
    private func services() throws -> [(key: String, value: JSONValue)] {
        let output = try PythonTool.run([
            PackageRoot.path + "/Tests/PipelineTests/compose.py", PackageRoot.path + "/infra/docker-compose.yml",
        ])
        return (try JSONValue.parse(output)["services"]?.object ?? []).map { ($0.key, $0.value) }
    }

    /// Every secret that infra/.env may hold is blank in the roles that have no use for it, under each of its names. So is each
    /// other name of a setting that the file sets: two values would end the start.
    @Test func everySecretIsKeptFromThoseWhoDoNotUseIt() throws {
        // Shown as nothing but stars.
        let secrets = Settings.table.filter { $0.shown("s3cret") == "***" }
        #expect(
            Set(secrets.map(\.name)).isSuperset(of: ["POSTGRES_DSN", "KAFKA_SASL_PASSWORD", "LAKE_S3_ACCESS_KEY_ID"]))
        let (database, lake) = (["migrate", "index", "serve"], ["stream", "serve"])
        let kafka = ["producer", "stream", "index", "serve"]
        let users = [
            "POSTGRES_DSN": database, "PGPASSWORD": database, "LAKE_S3_ACCESS_KEY_ID": lake,
            "LAKE_S3_SECRET_ACCESS_KEY": lake, "KAFKA_SASL_PASSWORD": kafka, "KAFKA_PROPERTIES": kafka,
            "EMBED_API_KEY": ["index", "serve"], "RERANK_API_KEY": ["serve"], "LLM_API_KEY": ["serve"],
            "LLM_FALLBACK_API_KEY": ["serve"], "OPENLINEAGE_API_KEY": ["stream"],
        ]
        for (name, service) in try services() where service["image"]?.string?.hasPrefix("medallion:") == true {
            // The simulator is given no file.
            guard name != "simulator" else { continue }
            let values = Dictionary(
                uniqueKeysWithValues: (service["values"]?.object ?? []).map { ($0.key, $0.value.string ?? "?") })
            for variable in secrets.map(\.name) + ["PGPASSWORD", "POSTGRES_PASSWORD"] {
                let isUser = users[variable]?.contains(name) == true
                #expect(isUser ? values[variable] != "" : values[variable] == "", "\(name): \(variable)")
            }
            for setting in Settings.table
            where setting.shown("s3cret") == "***" || values[setting.name]?.isEmpty == false {
                for alias in setting.aliases { #expect(values[alias] == "", "\(name): \(alias)") }
            }
        }
    }

    @Test func onlyRolesThatUseTheDatabaseHaveItsPassword() throws {
        let services = try services()
        var holders: Set<String> = []
        for (name, service) in services {
            let values = service["values"]?.object ?? []
            if values.contains(where: { $0.value.string?.contains("${POSTGRES_PASSWORD") == true }) {
                holders.insert(name)
            }
            // Inside a connection string its characters would have to be escaped.
            #expect(
                !values.contains { $0.key == "POSTGRES_DSN" && $0.value.string?.contains("PASSWORD") == true },
                "\(name)")
            #expect(
                values.contains { $0.key == "POSTGRES_DSN" && $0.value.string?.isEmpty == false }
                    == ["migrate", "index", "serve"].contains(name), "\(name)")
        }
        #expect(holders == ["postgres", "migrate", "index", "serve"])
    }
}

extension PipelineTests {
    @Suite(.serialized) struct SmokeTests {
        @Test(.timeLimit(.minutes(3))) func theSmokeScriptTriesADeployment() async throws {
            try await Deployment.run { deployment in
                try deployment.startSimulator(PlaybackTests.handWritten)
                try deployment.start("up", ["--url", deployment.streamURL])
                let log = deployment.file("smoke.log")
                let smoke = try RunningProcess(
                    name: "smoke", command: [PackageRoot.path + "/tools/smoke.sh"],
                    environment: ["PATH": "/usr/bin:/bin", "SMOKE_URL": "http://127.0.0.1:\(deployment.apiPort)"],
                    logPath: log)
                let ending = try smoke.awaitEnd(seconds: 120)
                #expect(ending == .exited(0), "\(smoke.output)")
                #expect(smoke.output.contains("trace: complete") && smoke.output.contains("all is well"))
            }
        }
    }
}
