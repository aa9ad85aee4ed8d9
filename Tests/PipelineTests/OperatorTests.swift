import Bytes
import Files
import Glibc
import HTTPClient
import JSONScan
import PlatformTesting
import Processes
import Testing

extension PipelineTests {
    /// What operators do, over HTTP against the running pipeline: look at a change, make it, serve it, take it back; and what
    /// lies in quarantine.
    @Suite(.serialized) struct OperatorTests {
        private static let template =
            "{title}[, with the remark: {comment}]. {type} by {user} on {domain}[ ({delta} bytes)]."
        private static let logic = #"{"type":"recent_change","template":"\#(template)"}"#

        /// The API by a key.
        struct Client {
            let base: String
            let key: String
            private let client = HTTPClient()

            init(_ base: String, _ key: String) {
                self.base = base
                self.key = key
            }

            func ask(_ method: String, _ path: String, _ body: String? = nil) throws -> (status: Int, body: JSONValue) {
                var headers = [("Authorization", "Bearer \(key)")]
                if body != nil { headers.append(("Content-Type", "application/json")) }
                let reply = try client.request(
                    HTTPClientRequest(
                        method: method, url: base + path, headers: headers, body: body.map { Array($0.utf8) } ?? []),
                    timeoutMilliseconds: 40_000)
                return (reply.status, try JSONValue.parse(reply.body, maxDepth: 64))
            }

            /// The bytes of a stream that ends.
            func text(_ path: String) throws -> String {
                let reply = try client.request(
                    HTTPClientRequest(url: base + path, headers: [("Authorization", "Bearer \(key)")]),
                    timeoutMilliseconds: 40_000)
                return String(decoding: reply.body, as: UTF8.self)
            }
        }

        @Test(.timeLimit(.minutes(5))) func aChangeOverHTTP() async throws {
            try await Deployment.run(environment: ["EMBED_ENABLED": "false"]) { deployment in
                let up = try PlaybackTests.play(PlaybackTests.handWritten, deployment)
                func key(_ name: String, _ role: String) throws -> String {
                    let made = try deployment.command(["keys", "create", name, "--role", role, "--json"])
                    return try #require(try JSONValue.parse(Array(made.utf8))["key"]?.string)
                }
                let writer = Client(deployment.api.url, try key("ops", "write"))
                let reader = Client(deployment.api.url, try key("page", "read"))
                try deployment.wait(for: "the keys") { try writer.ask("GET", "/replays").status == 200 }
                try deployment.wait(for: "the refusal") { try reader.ask("GET", "/replays").status == 403 }
                #expect(try deployment.api.get("/health")["status"] != nil)
                let trial = try Self.look(writer, deployment)
                try Self.make(writer, deployment, like: trial)
                try Self.serve(writer, deployment)
                try Self.empty(writer)
                #expect(try up.stop() == .exited(0))
            }
        }

        private static func isOver(_ replay: JSONValue) -> Bool {
            ["done", "failed", "interrupted"].contains(replay["state"]?.string ?? "")
        }

        private static func look(_ client: Client, _ deployment: Deployment) throws -> JSONValue {
            #expect(try client.ask("POST", "/replays", #"{"logic":{"type":"nonsense"},"dry_run":true}"#).status == 422)
            #expect(try client.ask("POST", "/replays", #"{"from":3}"#).status == 422)
            let started = try client.ask("POST", "/replays", #"{"logic":\#(logic),"dry_run":true}"#)
            #expect(started.status == 202 && started.body["id"]?.string == "dry-1", "\(started)")
            var shown = started.body
            try deployment.wait(for: "the dry run") {
                shown = try client.ask("GET", "/replays/dry-1").body
                return isOver(shown)
            }
            let report = try #require(shown["report"])
            #expect(report["changed"]?.integer == 19 && report["unchanged"]?.integer == 3, "\(shown)")
            #expect(report["logic_changes"]?.object?.first?.value.array?.first?["setting"]?.string == "template")
            #expect(report["samples"]?["changed"]?.array?.count == 5)
            let text = try client.text("/replays/dry-1/progress")
            #expect(text.hasPrefix("event: end\ndata: {") && text.contains(#""id":"dry-1""#), "\(text)")
            #expect(try client.ask("GET", "/replays/dry-9").status == 404)
            return report
        }

        private static func make(_ client: Client, _ deployment: Deployment, like trial: JSONValue) throws {
            let started = try client.ask("POST", "/replays", #"{"logic":\#(logic),"paused":true,"rate":100000}"#)
            #expect(started.status == 202 && started.body["id"]?.string == "2", "\(started)")
            #expect(
                try client.ask("POST", "/replays", #"{"dry_run":true}"#).body["error"]?["type"]?.string
                    == "replay_running")
            try deployment.wait(for: "the pause") {
                let shown = try client.ask("GET", "/replays/2").body
                return shown["state"]?.string == "paused" && shown["phase"]?.string == "records"
            }
            #expect(try client.ask("POST", "/generations/2/promote").status == 409)
            #expect(try client.ask("PATCH", "/replays/2", #"{"paused":false}"#).status == 200)
            let progress = try client.text("/replays/2/progress")
            #expect(progress.contains("event: end"), "\(progress)")
            let shown = try client.ask("GET", "/replays/2").body
            #expect(shown["state"]?.string == "done" && shown["key"]?.string?.isEmpty == false, "\(shown)")
            for name in ["added", "changed", "removed", "unchanged", "samples", "ranges", "logic_changes"] {
                #expect(shown["report"]?[name] == trial[name], "\(name): \(shown)")
            }
            #expect(try client.ask("PATCH", "/replays/2", #"{"paused":true}"#).status == 409)
            // What is done is not ended: its generation is there to be served.
            let ended = try client.ask("DELETE", "/replays/2")
            #expect(ended.status == 409 && ended.body["error"]?["type"]?.string == "replay_over", "\(ended)")
        }

        private static func serve(_ client: Client, _ deployment: Deployment) throws {
            let rows = try client.ask("GET", "/generations").body["generations"]?.array ?? []
            #expect(rows.map { $0["lake_state"]?.string } == ["active", "candidate"])
            let golden =
                #"{"name":"bridge","query":"golden gate bridge painted","options":{"mode":"lexical","top_k":3}}"#
            #expect(try client.ask("POST", "/golden", golden).status == 200)
            #expect(try client.ask("POST", "/golden", #"{"name":"x","query":"y","options":{"no":1}}"#).status == 422)
            let question = #"{"name":"who","kind":"answer","query":"who painted the golden gate bridge?"}"#
            #expect(try client.ask("POST", "/golden", question).status == 200)
            let compared = try client.ask("POST", "/generations/2/golden").body
            let queries = compared["queries"]?.array ?? []
            #expect(queries.map { $0["name"]?.string } == ["bridge", "who"], "\(compared)")
            #expect(queries.first?["changed"]?.bool == true && compared["left_out"]?.integer == 0)
            let after = (queries.first?["rewritten"]?.array ?? []).compactMap { $0["after"]?.string }
            #expect(after.contains { $0.contains("with the remark") }, "\(compared)")
            #expect(try client.ask("POST", "/generations/1/golden").body["changed"]?.integer == 0)
            #expect(try client.ask("POST", "/generations/9/golden").status == 409)
            #expect(try client.ask("DELETE", "/golden/bridge").status == 200)
            #expect(try client.ask("POST", "/generations/2/promote?wait_seconds=10").body["state"]?.string == "active")
            try deployment.wait(for: "the new logic") {
                try !deployment.api.search("\"with the remark\"", mode: "lexical").isEmpty
            }
            #expect(try client.ask("POST", "/generations/2/prune").status == 409)
            #expect(try client.ask("POST", "/generations/1/promote").status == 200)
            #expect(try client.ask("POST", "/generations/2/prune").body["state"]?.string == "pruned")
            #expect(try client.ask("POST", "/generations/2/golden").status == 409)
        }

        private static func empty(_ client: Client) throws {
            let list = try client.ask("GET", "/quarantine?limit=2").body
            let records = list["records"]?.array ?? []
            #expect(records.count == 2 && list["has_more"]?.bool == true, "\(list)")
            let first = try #require(records.first)
            let place = try #require(first["offset"]?.integer)
            let (topic, partition) = (first["topic"]?.string ?? "", first["partition"]?.integer ?? -1)
            let one = #""topic":"\#(topic)","partition":\#(partition),"offset":\#(place)"#
            let looked = try client.ask(
                "GET", "/quarantine/record?topic=\(topic)&partition=\(partition)&offset=\(place)"
            ).body
            #expect(
                looked["value_base64"]?.string?.isEmpty == false && looked["value_is_cut"]?.bool == false, "\(looked)")
            #expect(looked["rule"]?.string == first["rule"]?.string, "\(looked)")
            #expect(try client.ask("POST", "/quarantine/discard", "{}").status == 422)
            let planned = try client.ask("POST", "/quarantine/discard", "{\(one),\"dry_run\":true}").body
            #expect(planned["records"]?.array?.first?["outcome"]?.string == "planned", "\(planned)")
            let done = try client.ask("POST", "/quarantine/discard", "{\(one),\"reason\":\"a test\"}").body
            #expect(done["records"]?.array?.first?["outcome"]?.string == "discarded", "\(done)")
            let refused = try client.ask("POST", "/quarantine/redrive", "{\(one)}").body
            #expect(refused["records"]?.array?.first?["outcome"]?.string == "refused", "\(refused)")
            let second = try #require(records.last)
            let other =
                #"{"topic":"\#(topic)","partition":\#(second["partition"]?.integer ?? 0),"offset":\#(second["offset"]?.integer ?? 0)}"#
            let redriven = try client.ask("POST", "/quarantine/redrive", other).body
            #expect(redriven["records"]?.array?.first?["outcome"]?.string == "redriven", "\(redriven)")
        }
    }
}
