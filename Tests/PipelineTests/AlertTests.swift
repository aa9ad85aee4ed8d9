import Files
import Glibc
import HTTPClient
import JSONScan
import PlatformTesting
import Processes
import Synchronization
import Testing

extension PipelineTests {
    /// Alerts as those who are called see them: something breaks, Prometheus notices, Alertmanager tells a webhook, and tells it
    /// again once it is mended. Windows and waits are divided by 60.
    @Suite(.serialized) struct AlertTests {
        private static let hasTools = ["prometheus", "prometheus-alertmanager", "faketime"].allSatisfy {
            access("/usr/bin/" + $0, X_OK) == 0
        }

        /// Runs alert_trial.py, which says what went wrong.
        private func run(_ what: String, seconds: Int) async throws -> JSONValue {
            let outcome = Outcome()
            try await Deployment.run { deployment in
                var environment = ["PATH": "/usr/bin:/bin:/usr/sbin:/sbin"]
                for name in ["MODEL_DIR", "PG_BIN_DIR", "TEST_PORTS", "TEST_FOLDER"] {
                    if let value = getenv(name) { environment[name] = String(cString: value) }
                }
                let result = deployment.file("trial.json")
                let process = try RunningProcess(
                    name: "alert_trial",
                    command: [
                        PackageRoot.path + "/.deps/venv/bin/python",
                        PackageRoot.path + "/Tests/PipelineTests/alert_trial.py", Deployment.executable, what, result,
                    ], environment: environment, logPath: deployment.file("trial.log"))
                let ending = try process.awaitEnd(seconds: seconds)
                let json = try? JSONValue.parse(try File.contents(of: result))
                let problems = (json?["problems"]?.array ?? []).compactMap(\.string)
                #expect(ending == .exited(0) && problems == [], "\(process.output)")
                outcome.value.withLock { $0 = json }
            }
            return try #require(outcome.value.withLock { $0 })
        }

        private final class Outcome: Sendable {
            let value = Mutex<JSONValue?>(nil)
        }

        /// Whether each alert of a fault fired and cleared.
        private func expectAll(_ faults: [String], in trial: JSONValue) {
            for fault in faults {
                let found = trial["faults"]?.object?.first { $0.key == fault }?.value
                let fired = found?["fired"]?.array?.compactMap(\.string) ?? []
                #expect(!fired.isEmpty && fired == found?["cleared"]?.array?.compactMap(\.string), "\(fault)")
                #expect((found?["pages"]?.array?.count ?? 9) <= 1, "\(fault) pages more than once")
            }
        }

        @Test(.enabled(if: hasTools, "prometheus is not installed (tools/setup.sh --tests)"), .timeLimit(.minutes(4)))
        func alertsFireAndClear() async throws {
            let trial = try await run("short", seconds: 200)
            expectAll(["source-away", "broker-hangs"], in: trial)
        }

        /// Every alert of monitoring/rules, and every query of every dashboard.
        @Test(.enabled(if: hasTools && LongTests.areWanted, "\(LongTests.reason)"), .timeLimit(.minutes(90)))
        func everyAlertFiresAndClears() async throws {
            let trial = try await run("long", seconds: 5_000)
            let faults = trial["faults"]?.object?.map(\.key) ?? []
            #expect(faults.count >= 25)
            expectAll(faults, in: trial)
        }

        /// `make watch` as somebody types it, and Ctrl-C.
        @Test(.enabled(if: hasTools && LongTests.areWanted, "\(LongTests.reason)"), .timeLimit(.minutes(5)))
        func watchStartsAllAndEndsAll() async throws {
            try await Deployment.run { deployment in
                let (prometheus, alertmanager) = (try TestPorts.free(), try TestPorts.free())
                let watch = try deployment.shell(
                    """
                    export PROMETHEUS_PORT=\(prometheus) ALERTMANAGER_PORT=\(alertmanager) WATCH_DIR=watch
                    exec '\(PackageRoot.path)/.deps/venv/bin/python' '\(PackageRoot.path)/tools/watch.py' '\(Deployment.executable)'
                    """, in: deployment.file(""), name: "watch", isRole: true)
                try deployment.wait(for: "the addresses") { watch.output.contains("watch: Alertmanager") }
                let client = HTTPClient()
                func get(_ path: String) throws -> String {
                    let reply = try client.request(
                        HTTPClientRequest(url: "http://127.0.0.1:\(prometheus)\(path)"), timeoutMilliseconds: 5_000)
                    return String(decoding: reply.body, as: UTF8.self)
                }
                try deployment.wait(for: "the platform to be scraped") {
                    try get("/api/v1/query?query=up").contains("\"1\"]")
                }
                #expect(try get("/api/v1/alertmanagers").contains("127.0.0.1:\(alertmanager)"))
                #expect(try get("/api/v1/rules").contains("MedallionIndexStale"))
                watch.signal(SIGINT)
                // The platform may drain for forty seconds, and Prometheus writes what it has.
                #expect(try watch.awaitEnd(seconds: 120) == .exited(0))
                for port in [prometheus, alertmanager, deployment.apiPort] {
                    #expect(throws: (any Error).self) {
                        try client.request(
                            HTTPClientRequest(url: "http://127.0.0.1:\(port)/"), timeoutMilliseconds: 2_000)
                    }
                }
            }
        }
    }

    /// Commands of the runbook exist, with the options that it gives them.
    @Suite(.serialized) struct RunbookTests {
        @Test(.timeLimit(.minutes(2))) func everyCommandOfTheRunbookExists() async throws {
            let page = String(decoding: try File.contents(of: PackageRoot.path + "/docs/runbook.md"), as: UTF8.self)
            let blocks = page.matches(of: /(?s)```sh\n(.*?)```/).map { String($0.output.1) }
            let commands = Set(
                blocks.flatMap { $0.matches(of: /\bmedallion ((?:[a-z]+ ?)+)((?:--[a-z]+ ?[a-z]* ?)*)/) }.map {
                    "\($0.output.1)|\($0.output.2)"
                })
            #expect(commands.count >= 10, "\(commands)")
            try await Deployment.run { deployment in
                for command in commands.sorted() {
                    let parts = command.split(separator: "|", omittingEmptySubsequences: false)
                    let words = parts[0].split(separator: " ").map(String.init)
                    let help = try deployment.command([words[0], "--help"])
                    for option in parts[1].split(separator: " ") where option.hasPrefix("--") {
                        #expect(help.contains("  \(option)"), "docs/runbook.md: medallion \(words[0]) \(option)")
                    }
                    if let action = words.dropFirst().first { #expect(help.contains(action), "\(command)") }
                }
            }
        }
    }
}
