import Files
import Foundation
import Glibc
import JSONScan
import PlatformTesting
import Testing

extension PipelineTests {
    /// The page against the running platform, in headless Chromium: each story in at most three clicks, nothing that axe-core finds
    /// serious, hostile events, sources and server that go away and come back.
    @Suite(.serialized) struct PageTests {
        private static let canDrive =
            FileManager.default.isExecutableFile(atPath: "/usr/bin/chromedriver")
            && (try? PythonTool.run(["-c", "import selenium, axe_playwright_python"])) != nil

        /// What stands in the topic beside the invented events: two that a question is asked about, and hostile ones.
        private static let injected = [
            event("bridge-1", "Golden Gate Bridge", "The bridge was painted in the colour international orange"),
            event("bridge-2", "Golden Gate Bridge", "The towers of the bridge were repainted in March"),
            event(
                "hostile-1", #"<img src=x onerror=\"window.hit=1\"><script>window.hit=2</script>"#,
                #"\u202Egpj.exe\u202C hidden\u200Bword <b>bold</b> javascript:alert(1)"#),
            event(
                "hostile-2", #"\u2066\u202E</title></textarea>\u2069"#,
                #"{{constructor.constructor('window.hit=3')()}}"#),
            #"{"meta":{"id":"broken-1"},"type":17}"#,
        ]

        private static func event(_ id: String, _ title: String, _ comment: String) -> String {
            let time = ISO8601DateFormatter().string(from: Date())
            return """
                {"$schema":"/mediawiki/recentchange/1.0.0","meta":{"uri":"https://en.wikipedia.org/wiki/Page","id":"\(id)",\
                "dt":"\(time)","domain":"en.wikipedia.org","stream":"mediawiki.recentchange"},"id":1,"type":"edit",\
                "namespace":0,"title":"\(title)","title_url":"https://en.wikipedia.org/wiki/Page","comment":"\(comment)",\
                "timestamp":\(Int(Date().timeIntervalSince1970)),"user":"Ann","bot":false,"minor":false,\
                "notify_url":"https://en.wikipedia.org/w/index.php","server_url":"https://en.wikipedia.org",\
                "server_name":"en.wikipedia.org","wiki":"enwiki","length":{"old":1,"new":9},"revision":{"old":1,"new":2}}
                """
        }

        private static func play(_ deployment: Deployment, eventsPerSecond: Int) throws {
            try deployment.start(
                "simulate",
                ["--listen", "127.0.0.1:\(deployment.simulatorPort)", "--rate", "\(eventsPerSecond)", "--seed", "7"])
        }

        /// - Returns: an administrator's key.
        private static func prepare(_ deployment: Deployment) throws -> String {
            try deployment.start("up", ["--url", deployment.streamURL])
            try deployment.wait(for: "the API") { try deployment.api.get("/health")["status"] != nil }
            let made = try deployment.command(["keys", "create", "page", "--role", "admin", "--json"])
            let simulator = API(port: deployment.simulatorPort)
            for event in injected { _ = try simulator.post("/inject", raw: Array(event.utf8)) }
            try deployment.wait(for: "the injected events") {
                try deployment.api.search("\"international orange\"", mode: "lexical").contains("bridge-1")
            }
            return try #require(try JSONValue.parse(Array(made.utf8))["key"]?.string)
        }

        private static func drive(_ deployment: Deployment, _ arguments: [String]) throws {
            let script = PackageRoot.path + "/Tests/PipelineTests/page_stories.py"
            let said = try PythonTool.run([script, deployment.api.url] + arguments)
            print(String(decoding: said, as: UTF8.self))
        }

        @Test(
            .enabled(if: canDrive, "needs chromedriver, and the wheels of make setup-tests"),
            .timeLimit(.minutes(15))) func storiesInThreeClicks() async throws
        {
            // Pictures are of a platform that lacks nothing.
            let hasImages = getenv("UPDATE_GOLDEN") != nil
            let environment = [
                "HISTORY_STEP_SEC": "1", "EMBED_ENABLED": hasImages ? "true" : "false",
                "RECALL_SAMPLE_SHARE": hasImages ? "0.5" : "0",
            ]
            try await Deployment.run(environment: environment) { deployment in
                try Self.play(deployment, eventsPerSecond: 10)
                let key = try Self.prepare(deployment)
                // In a file: a failure names the arguments.
                let keyPath = deployment.file("page-key")
                try key.write(toFile: keyPath, atomically: true, encoding: .utf8)
                var arguments = [
                    "stories", "--key-file", keyPath, "--simulator", "http://127.0.0.1:\(deployment.simulatorPort)",
                ]
                if hasImages { arguments += ["--images", PackageRoot.path + "/docs/images"] }
                try Self.drive(deployment, arguments)
            }
        }

        /// Documents are listed, written, edited and deleted on the page, which says when they can be found.
        @Test(
            .enabled(if: canDrive, "needs chromedriver, and the wheels of make setup-tests"),
            .timeLimit(.minutes(5))) func documentsAreWritten() async throws
        {
            try await Deployment.run(environment: ["EMBED_ENABLED": "false"]) { deployment in
                func source(_ name: String, _ stages: String = "") -> String {
                    #"{"name":"\#(name)","connector":{"type":"documents"},"logic":{"type":"document"\#(stages),"fields":"#
                        + #"{"id":"id","title":"title","text":"text"}},"collection":{"attributes":"#
                        + #"{"price":{"type":"number"},"maker":{"type":"string"}}}}"#
                }
                let notes = #"{"sources":[\#(source("notes", #","text_characters_min":3"#)),\#(source("cards"))]}"#
                try File.replace(deployment.file("notes.json"), with: Array(notes.utf8))
                try deployment.start("up", environment: ["SOURCES_FILE": deployment.file("notes.json")])
                try deployment.wait(for: "the API") { try deployment.api.get("/health")["status"] != nil }
                let made = try deployment.command(["keys", "create", "page", "--role", "write", "--json"])
                let key = try #require(try JSONValue.parse(Array(made.utf8))["key"]?.string)
                let keyPath = deployment.file("page-key")
                try key.write(toFile: keyPath, atomically: true, encoding: .utf8)
                try Self.drive(deployment, ["documents", "--key-file", keyPath])
            }
        }

        /// Runs page_away.py, which starts processes of its own and takes parts of them away.
        private static func takeAway(_ parts: String, seconds: Int) async throws {
            try await Deployment.run { deployment in
                var environment = ["PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": deployment.file("")]
                for name in ["MODEL_DIR", "PG_BIN_DIR", "TEST_PORTS", "TEST_FOLDER", "TMPDIR"] {
                    if let value = getenv(name) { environment[name] = String(cString: value) }
                }
                let script = PackageRoot.path + "/Tests/PipelineTests/page_away.py"
                let process = try RunningProcess(
                    name: "page_away",
                    command: [PackageRoot.path + "/.deps/venv/bin/python", script, Deployment.executable, parts],
                    environment: environment, logPath: deployment.file("away.log"))
                let ending = try process.awaitEnd(seconds: seconds)
                #expect(ending == .exited(0), "\(process.output)")
                print(process.output)
            }
        }

        /// The source, the database and the server, with all roles in one process.
        @Test(
            .enabled(if: canDrive, "needs chromedriver, and the wheels of make setup-tests"),
            .timeLimit(.minutes(15))) func whatIsAwayIsSaidAndHeals() async throws
        {
            try await Self.takeAway("short", seconds: 800)
        }

        /// Stream job and indexer, as processes of their own: the first screen has all figures there, too, and names the one that
        /// is dead.
        @Test(
            .enabled(if: canDrive, "needs chromedriver, and the wheels of make setup-tests"),
            .timeLimit(.minutes(15))) func aStageThatIsDeadIsNamed() async throws
        {
            try await Self.takeAway("stream,index", seconds: 800)
        }

        /// Broker, database, models and shared cache, as processes of their own.
        @Test(
            .enabled(if: canDrive, "needs chromedriver, and the wheels of make setup-tests"),
            .enabled(if: LongTests.areWanted, Comment(rawValue: LongTests.reason)), .timeLimit(.minutes(30)))
        func eachPartAwayIsSaidAndHeals() async throws {
            try await Self.takeAway("broker,database-apart,embedder,model,cache", seconds: 1_700)
        }

        @Test(
            .enabled(if: canDrive, "needs chromedriver, and the wheels of make setup-tests"),
            .enabled(if: LongTests.areWanted, Comment(rawValue: LongTests.reason)), .timeLimit(.minutes(20)))
        func tenMinutesOfEventsLeaveTheTabAsSmallAsItWas() async throws {
            try await Deployment.run(environment: ["EMBED_ENABLED": "false"]) { deployment in
                try Self.play(deployment, eventsPerSecond: 100)
                _ = try Self.prepare(deployment)
                try Self.drive(deployment, ["soak", "--seconds", "600", "--rate", "100"])
            }
        }
    }
}
