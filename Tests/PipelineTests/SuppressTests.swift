import Bytes
import Files
import Glibc
import JSONScan
import PlatformTesting
import Postgres
import Processes
import Testing

extension PipelineTests {
    /// What is suppressed leaves two servers, stays away from a replay's generation and from an index made anew, and survives kills.
    @Suite(.serialized) struct SuppressTests {
        private static let reason = ["--reason", "a test"]

        @Test(.timeLimit(.minutes(8))) func suppressedEverywhere() async throws {
            try await Deployment.run(environment: ["EMBED_ENABLED": "false", "ARMS_FILES_ENABLED": "false"]) {
                deployment in
                var up = try PlaybackTests.play(PlaybackTests.handWritten, deployment)
                let port = try TestPorts.free()
                try deployment.start("serve", environment: ["API_LISTEN": "127.0.0.1:\(port)"])
                let servers = [deployment.api, API(port: port)]
                func found(_ api: API, _ word: String) throws -> Bool {
                    try !api.search(word, mode: "lexical").isEmpty
                }
                func wait(_ word: String, _ isThere: Bool, _ servers: [API], _ why: String) throws {
                    let start = SystemClock.monotonicNanoseconds()
                    try deployment.wait(for: "\(why): \(word)") {
                        try servers.allSatisfy { try found($0, word) == isThere && recent($0, word) == isThere }
                    }
                    print("\(why), \(word): \((SystemClock.monotonicNanoseconds() - start) / 1_000_000) ms")
                }
                func recent(_ api: API, _ word: String) throws -> Bool {
                    let events = try api.get("/events/recent?limit=200")["events"]?.array ?? []
                    return events.contains { $0["text"]?.string?.lowercased().contains(word) == true }
                }
                try wait("chlorophyll", true, servers, "both servers find it")
                try wait("lava", true, servers, "both servers find it")

                // An event, by where it stands, and a user.
                let event = try Self.event("chlorophyll", deployment.api)
                let made = try deployment.command(
                    ["suppress", "--event", "\(event.topic)/\(event.partition)/\(event.offset)", "--json"] + Self.reason
                )
                let first = try #require(try JSONValue.parse(Array(made.utf8))["id"]?.string)
                try wait("chlorophyll", false, servers, "suppressed by its event")
                #expect(try found(deployment.api, "lava"))
                let collection = event.collection
                _ = try deployment.command(
                    ["suppress", "--user", "Cleo", "--collection", collection] + Self.reason)
                try wait("lava", false, servers, "suppressed by its user")

                // Killed between the topic's acknowledgement and what follows from it.
                _ = try deployment.command(
                    ["suppress", "--page", "Golden Gate Bridge", "--collection", collection] + Self.reason)
                up.signal(SIGKILL)
                _ = try up.awaitEnd(seconds: 20)
                deployment.forget(up)
                up = try deployment.start("up", ["--url", deployment.streamURL], name: "up-again")
                try deployment.wait(for: "the API") { try deployment.api.get("/health")["status"] != nil }
                try wait("international", false, [deployment.api], "suppressed before the kill")
                try deployment.wait(for: "the lake's log") {
                    try Self.lines(of: deployment.lakeFolder + "/_suppressions.log").count == 3
                }
                #expect(try deployment.command(["suppress", "ls"]).split(separator: "\n").count == 3)
                _ = try deployment.command(["lake", "verify"])

                // Another generation shows nothing of it either.
                _ = try deployment.command(
                    ["replay", "--all", "--json"], environment: ["TEXT_TEMPLATE": "{title}. {comment}"], seconds: 120)
                _ = try deployment.command(["promote", "2"])
                try deployment.wait(for: "the new generation") {
                    try deployment.api.get("/events/recent?limit=1")["generation"]?.integer == 2
                }
                for word in ["chlorophyll", "lava", "international"] {
                    try wait(word, false, [deployment.api], "in the new generation")
                }
                _ = try deployment.command(["suppress", "lift", first] + Self.reason)
                try wait("chlorophyll", true, [deployment.api], "lifted")

                try Self.rebuild(deployment)
                #expect(try up.stop() == .exited(0))
            }
        }

        /// An index made of the lake alone applies the log.
        private static func rebuild(_ deployment: Deployment) throws {
            let environment = ["POSTGRES_DSN": try make("anew", deployment)]
            _ = try deployment.command(["index", "--rebuild"], environment: environment, seconds: 120)
            let port = try TestPorts.free()
            try deployment.start(
                "serve", name: "serve-anew",
                environment: environment.merging(["API_LISTEN": "127.0.0.1:\(port)"]) { $1 })
            let api = API(port: port)
            try deployment.wait(for: "the new index") { try !api.search("chlorophyll", mode: "lexical").isEmpty }
            for word in ["lava", "international"] {
                #expect(try api.search(word, mode: "lexical").isEmpty, "\(word)")
            }
        }

        private static func make(_ database: String, _ deployment: Deployment) throws -> String {
            let dsn = try #require(deployment.dsn())
            let connection = try PostgresConnection(
                PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 10_000)
            _ = try connection.script("CREATE DATABASE \(database)", timeoutMilliseconds: 60_000)
            return try #require(deployment.dsn(database: database))
        }

        private static func event(
            _ word: String, _ api: API
        ) throws -> (topic: String, partition: Int64, offset: Int64, collection: String) {
            let events = try api.get("/events/recent?limit=200")["events"]?.array ?? []
            let event = try #require(events.first { $0["text"]?.string?.lowercased().contains(word) == true })
            let parent = try #require(event["lineage"]?["parents"]?.array?.first)
            return (
                try #require(parent["topic"]?.string), try #require(parent["partition"]?.integer),
                try #require(parent["offset"]?.integer), try #require(event["collection"]?.string)
            )
        }

        private static func lines(of path: String) throws -> [ArraySlice<UInt8>] {
            guard Folder.exists(path) else { return [] }
            return try File.contents(of: path).split(separator: UInt8(ascii: "\n"))
        }
    }
}
