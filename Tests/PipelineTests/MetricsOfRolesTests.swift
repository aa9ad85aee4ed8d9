import Files
import Foundation
import Glibc
import HTTPClient
import PlatformTesting
import Testing

extension PipelineTests {
    /// What roles really serve, against what docs/metrics.md says: sources may register a metric in ways that no reader of
    /// sources sees.
    @Suite(.serialized) struct MetricsOfRolesTests {
        /// A row of the page.
        private struct Row {
            let kind: String
            let labels: Set<String>
            let help: String
        }

        private static func reference() throws -> [String: Row] {
            let page = String(decoding: try File.contents(of: PackageRoot.path + "/docs/metrics.md"), as: UTF8.self)
            var rows: [String: Row] = [:]
            for line in page.split(separator: "\n") {
                let cells = line.split(separator: "|", omittingEmptySubsequences: false).map { cell in
                    String(cell.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
                }
                guard cells.count >= 7, cells[1].hasPrefix("`") else { continue }
                let labels = cells[4].split(separator: ",").map { $0.filter { $0 != "`" && $0 != " " } }
                rows[String(cells[1].dropFirst().dropLast())] = Row(
                    kind: cells[2], labels: Set(labels), help: cells[5..<cells.count - 1].joined(separator: "|"))
            }
            return rows
        }

        /// All that is wrong with a scrape.
        private static func faults(_ text: String, of role: String, _ reference: [String: Row]) -> [String] {
            var faults: [String] = []
            var seen: Set<Substring> = []
            for line in text.split(separator: "\n") {
                let words = line.split(separator: " ", maxSplits: 3)
                if line.hasPrefix("# HELP ") {
                    guard let row = reference[String(words[2])] else {
                        faults.append("\(role): \(words[2]) is not in docs/metrics.md")
                        continue
                    }
                    if words.count < 4 || words[3] != row.help { faults.append("\(role): the help of \(words[2])") }
                } else if line.hasPrefix("# TYPE ") {
                    if reference[String(words[2])]?.kind != String(words[3]) {
                        faults.append("\(role): the kind of \(words[2])")
                    }
                } else {
                    guard let end = line.lastIndex(of: " ") else { continue }
                    let series = line[..<end]
                    if !seen.insert(series).inserted { faults.append("\(role): \(series) comes twice") }
                    var name = String(series.prefix { $0 != "{" })
                    for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) {
                        let family = String(name.dropLast(suffix.count))
                        if reference[family]?.kind == "histogram" { name = family }
                    }
                    let labels = series.matches(of: /[\x7B,]([a-z_]+)=\x22/).map { String($0.output.1) }
                    let unknown = Set(labels).subtracting(reference[name]?.labels ?? []).subtracting(["le"])
                    if !unknown.isEmpty { faults.append("\(role): \(series) has the labels \(unknown)") }
                }
            }
            return faults
        }

        @Test(.timeLimit(.minutes(5))) func everyMetricOfEveryRoleIsInTheReference() async throws {
            let reference = try Self.reference()
            #expect(reference.count > 100, "the page was not read")
            try await Deployment.run { deployment in
                var ports: [(role: String, port: Int)] = []
                func start(_ role: String, _ arguments: [String] = []) throws {
                    let port = try TestPorts.free()
                    ports.append((role, port))
                    try deployment.start(
                        role, arguments, environment: ["METRICS_LISTEN": "127.0.0.1:\(port)", "DATABASE_URL": ""])
                }
                try deployment.startSimulator(PlaybackTests.handWritten)
                try start("broker")
                try deployment.wait(for: "the broker's metrics") {
                    try Self.scrape(ports[0].port).contains("medallion_broker_topics")
                }
                try start("index")
                try deployment.wait(for: "the database") { deployment.dsn() != nil }
                try deployment.start("serve")
                ports.append(("serve", deployment.apiPort))
                try start("stream")
                try start("producer", ["--url", deployment.streamURL])
                try deployment.wait(for: "a search that finds something") {
                    _ = try? deployment.api.get("/nothing/here")
                    return try !deployment.api.search("edit").isEmpty
                }
                for (role, port) in ports {
                    var text = ""
                    // Sizes are measured in the background.
                    try deployment.wait(for: "the sizes that \(role) measures") {
                        text = try Self.scrape(port)
                        return text.contains("medallion_disk_free_bytes{folder=\"data\"}")
                            && (role != "stream" || text.contains("medallion_lake_bytes{layer=\"bronze\""))
                            && (role != "index" || text.contains("medallion_index_bytes{table=\"passages\"}"))
                    }
                    #expect(Self.faults(text, of: role, reference) == [])
                    try Self.checkByPromtool(text, of: role, in: deployment)
                    // Read again by the rules of the format.
                    let metrics = try Metrics(text)
                    #expect(metrics["process_resident_memory_bytes"] > 0 && metrics["process_open_fds"] > 0, "\(role)")
                    #expect(metrics.sum("medallion_build_info") == 1, "\(role)")
                    if role == "index" { #expect(metrics.sum("medallion_embedding_texts_total") > 0) }
                    if role == "broker" { #expect(metrics.sum("medallion_broker_topic_bytes") > 0) }
                }
            }
        }

        /// Prometheus' own check, where set-up has installed it for tests.
        private static func checkByPromtool(_ text: String, of role: String, in deployment: Deployment) throws {
            guard access("/usr/bin/promtool", X_OK) == 0 else { return }
            let path = deployment.file("\(role).metrics")
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            let log = deployment.file("\(role).promtool")
            let check = try RunningProcess(
                name: "promtool", command: ["/bin/sh", "-c", "promtool check metrics <'\(path)'"],
                environment: ["PATH": "/usr/bin:/bin"], logPath: log)
            let ending = try check.awaitEnd(seconds: 30)
            #expect(ending == .exited(0) && check.output.isEmpty, "\(role): \(check.output)")
        }

        private static func scrape(_ port: Int) throws -> String {
            let reply = try HTTPClient().request(
                HTTPClientRequest(url: "http://127.0.0.1:\(port)/metrics"), timeoutMilliseconds: 30_000)
            try reply.requireSuccess()
            return String(decoding: reply.body, as: UTF8.self)
        }
    }

    /// `medallion settings` as people run it.
    @Suite(.serialized) struct SettingsCommandTests {
        @Test(.timeLimit(.minutes(2))) func itTellsWhereValuesComeFrom() async throws {
            try await Deployment.run { deployment in
                let environment = ["DATABASE_URL": "postgresql://u:hidden@h/d", "KAFKA_BROKERS": "k:1"]
                let plain = try deployment.command(["settings"], environment: environment)
                #expect(plain.contains("POSTGRES_DSN=postgresql://u:***@h/d  (from DATABASE_URL)\n"))
                #expect(plain.contains("KAFKA_BROKERS=k:1\n") && plain.contains("LOG_FORMAT=text  (default)\n"))
                let json = try deployment.command(["settings", "--json"], environment: environment)
                #expect(json.contains(#""_from":{"POSTGRES_DSN":"DATABASE_URL"}"#) && !json.contains("hidden"))
                #expect(try !deployment.command(["settings", "--json"]).contains("_from"))
                let example = String(
                    decoding: try File.contents(of: PackageRoot.path + "/infra/.env.example"), as: UTF8.self)
                #expect(try deployment.command(["settings", "--env"]) == example)
                let refusal = try deployment.refusal(
                    ["settings"], environment: environment.merging(["POSTGRES_DSN": "host=secret"]) { $1 })
                #expect(refusal.contains("POSTGRES_DSN and DATABASE_URL mean the same setting"))
                #expect(!refusal.contains("hidden") && !refusal.contains("secret"))
                // Warned of once, with our name and without the value.
                let warned = try deployment.command(
                    ["settings"], environment: ["QDRANT_URL": "http://hidden", "PORT": "1", "LOG_LEVEL": "info"])
                #expect(warned.split(separator: "\n").filter { $0.contains("QDRANT_URL") }.count == 1)
                #expect(warned.contains("the setting's name is POSTGRES_DSN") && !warned.contains("hidden"))
                #expect(!warned.contains("PORT is set"))
                // What is adopted is told once, too.
                let adopted = try deployment.command(
                    ["settings"], environment: environment.merging(["LOG_LEVEL": "info"]) { $1 })
                #expect(
                    adopted.split(separator: "\n").filter { $0.contains("POSTGRES_DSN is taken from DATABASE_URL") }
                        .count == 1)
                #expect(!adopted.contains("hidden") && !adopted.contains("KAFKA_BROKERS is taken"))
            }
        }
    }
}
