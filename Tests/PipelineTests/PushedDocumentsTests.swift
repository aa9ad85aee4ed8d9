import Concurrency
import Files
import Glibc
import HTTPClient
import JSONScan
import PlatformTesting
import Synchronization
import Testing

/// Documents that come over HTTP, from the request to the hit.
@Suite struct PushedDocumentsTests {
    private static let environment = ["EMBED_ENABLED": "false", "KAFKA_TOPIC_PARTITIONS": "2"]

    private static func logic(_ more: String = "") -> String {
        #"{"type":"document","fields":{"id":"id","text":"text"\#(more)}}"#
    }

    /// - Returns: the variables that name the file.
    private static func declare(_ sources: String..., in deployment: Deployment) throws -> [String: String] {
        let path = deployment.file("pushed.json")
        try File.replace(path, with: Array(#"{"sources":[\#(sources.joined(separator: ","))]}"#.utf8))
        return ["SOURCES_FILE": path]
    }

    private static func makeKey(_ deployment: Deployment) throws -> String {
        let made = try JSONValue.parse(
            Array(try deployment.command(["keys", "create", "writer", "--role", "write", "--json"]).utf8))
        return try #require(made["key"]?.string)
    }

    private struct Client: Sendable {
        let port: Int
        let key: String

        func send(
            _ method: String, _ path: String, _ body: String? = nil, type: String = "application/json",
            _ headers: [(String, String)] = []
        ) throws -> (status: Int, body: JSONValue) {
            var all: [(name: String, value: String)] = [(name: "Authorization", value: "Bearer \(key)")]
            if body != nil { all.append((name: "Content-Type", value: type)) }
            all += headers.map { (name: $0.0, value: $0.1) }
            let reply = try HTTPClient().request(
                HTTPClientRequest(
                    method: method, url: "http://127.0.0.1:\(port)\(path)", headers: all,
                    body: body.map { Array($0.utf8) }),
                timeoutMilliseconds: 30_000)
            return (reply.status, (try? JSONValue.parse(reply.body, maxDepth: 64)) ?? .null)
        }
    }

    /// The ids of a collection's documents, page by page.
    private static func list(_ collection: String, _ client: Client, limit: Int = 500) throws -> [String] {
        var (ids, cursor): ([String], String?) = ([], "")
        while let place = cursor {
            let page = try client.send(
                "GET",
                "/documents?collection=\(collection)&limit=\(limit)" + (place.isEmpty ? "" : "&cursor=\(place)"))
            ids += (page.body["documents"]?.array ?? []).compactMap { $0["doc_id"]?.string }
            cursor = page.body["next_cursor"]?.string
        }
        return ids
    }

    // MARK: Documents

    @Test(.timeLimit(.minutes(4))) func aDocumentIsWrittenFoundChangedAndGone() async throws {
        try await Deployment.run(environment: Self.environment) { deployment in
            let secret = "a secret of the sender, 1234"
            try File.replace(deployment.file("secret"), with: Array((secret + "\n").utf8))
            let declared = try Self.declare(
                #"{"name":"notes","connector":{"type":"documents"},"logic":\#(Self.logic(#","title":"name","version":"v""#)),"#
                    + #""collection":{"attributes":{"price":{"type":"number"}}}}"#,
                #"{"name":"hooks","connector":{"type":"webhook","secret_file":"secret","documents_per_second":100},"logic":\#(Self.logic())}"#,
                in: deployment)
            let key = try Self.makeKey(deployment)
            let up = try deployment.start("up", environment: declared)
            try deployment.wait(for: "the API") { try deployment.api.get("/health")["status"] != nil }
            let client = Client(port: deployment.apiPort, key: key)
            try deployment.wait(for: "the stream jobs") {
                let health = try deployment.api.get("/health")["dependencies"]
                return ["notes", "hooks"].allSatisfy { health?["stream \($0)"]?["state"]?.string == "ok" }
            }

            func note(_ id: String, _ version: Int, _ text: String, price: String = "7.5") -> String {
                #"{"id":"\#(id)","v":\#(version),"name":"Note \#(id)","text":"\#(text)","price":\#(price)}"#
            }
            func search(_ words: String, _ version: JSONValue?) throws -> [String] {
                let least = version?.integer ?? -1
                let reply = try deployment.api.post(
                    "/search", raw: Array(#"{"query":"\#(words)","mode":"lexical","min_index_version":\#(least)}"#.utf8)
                )
                return (reply["hits"]?.array ?? []).compactMap { $0["doc_id"]?.string }
            }
            let wait = "?collection=notes&wait=searchable&wait_ms=30000"
            let added = try client.send("POST", "/documents" + wait, note("n1", 1, "a copper kettle"))
            #expect(added.status == 200 && added.body["indexed"]?.integer == 1, "\(added)")
            #expect(try search("copper", added.body["index_version"]) == ["n1"])
            let changed = try client.send("PUT", "/documents/n1" + wait, note("n1", 2, "an iron kettle"))
            #expect(changed.status == 200, "\(changed)")
            #expect(try search("iron", changed.body["index_version"]) == ["n1"])
            #expect(try search("copper", changed.body["index_version"]).isEmpty)
            let shown = try client.send("GET", "/documents/n1?collection=notes")
            #expect(
                shown.body["version"]?.integer == 2 && shown.body["passages"]?.array?.first?.string == "an iron kettle",
                "\(shown)")
            #expect(shown.body["attributes"]?["price"]?.double == 7.5 && shown.body["title"]?.string == "Note n1")
            // What goes to quarantine is told apart.
            let odd = try client.send("POST", "/documents" + wait, note("n2", 1, "a kettle", price: #""much""#))
            #expect(odd.status == 200 && odd.body["indexed"]?.integer == 0, "\(odd)")
            let deleted = try client.send("DELETE", "/documents/n1" + wait + "&version=3")
            #expect(deleted.status == 200, "\(deleted)")
            #expect(try search("iron", deleted.body["index_version"]).isEmpty)
            #expect(try client.send("GET", "/documents/n1?collection=notes").status == 404)

            let many = (0..<45).map { note("m\($0)", 1, "a teapot") }.joined(separator: "\n")
            let batch = try client.send("POST", "/documents" + wait, many, type: "application/x-ndjson")
            #expect(batch.status == 200 && batch.body["indexed"]?.integer == 45, "\(batch)")
            #expect(try Self.list("notes", client, limit: 20) == (0..<45).map { "m\($0)" }.sorted())
            let collections = try client.send("GET", "/collections").body["collections"]?.array ?? []
            #expect(collections.map { $0["name"]?.string } == ["hooks", "notes"])
            #expect(collections.last?["documents"]?.integer == 45)
            #expect(collections.last?["attributes"]?.array?.first?["type"]?.string == "number")

            try Self.sendSigned(secret, deployment)
            try deployment.wait(for: "the webhook's document") { try deployment.api.search("signed").count == 1 }
            let sources = try client.send("GET", "/sources").body["sources"]?.array ?? []
            #expect(sources.map { $0["phase"]?.string } == ["listening", "listening"])
            #expect(sources.map { $0["position"]?.integer } == [49, 1])
            // A file that is spoiled meanwhile changes neither what runs nor what is told of it.
            try File.replace(deployment.file("pushed.json"), with: Array("{".utf8))
            let logics = try client.send("GET", "/logics")
            #expect(logics.status == 200, "\(logics)")
            #expect(logics.body["logics"]?.array?.map { $0["source"]?.string } == ["notes", "hooks"])
            #expect(try up.stop() == .exited(0))
        }
    }

    /// As docs/sources.md says it to people with a shell.
    private static func sendSigned(_ secret: String, _ deployment: Deployment) throws {
        let lines = """
            body='{"id":"s1","text":"a signed kettle"}' key=delivery-1 t=$(date +%s)
            v1=$(printf '%s.%s.%s' "$t" "$key" "$body" | openssl dgst -sha256 -hmac '\(secret)' | sed 's/^.* //')
            curl -sS --fail-with-body "http://127.0.0.1:\(deployment.apiPort)/ingest/hooks" \
                -H 'Content-Type: application/json' -H "Idempotency-Key: $key" \
                -H "Medallion-Signature: t=$t,v1=$v1" -d "$body"

            """
        let run = try deployment.shell(lines, in: deployment.dataFolder, name: "signed")
        let ending = try run.awaitEnd(seconds: 60)
        #expect(ending.isSuccess, "\(run.output)")
    }

    // MARK: Kills

    /// Clients that send each batch until it is accepted, and some of them again, as if the reply had been lost, while all of the
    /// platform is killed over and over: every document is in the lake once, and found.
    @Test(.timeLimit(.minutes(LongTests.areWanted ? 60 : 6))) func nothingIsLostOrDoubledOverKills() async throws {
        let kills = LongTests.areWanted ? 100 : 5
        try await Deployment.run(environment: Self.environment) { deployment in
            let declared = try Self.declare(
                #"{"name":"hooks","connector":{"type":"webhook"},"logic":\#(Self.logic())}"#, in: deployment)
            let key = try Self.makeKey(deployment)
            var up = try deployment.start("up", environment: declared)
            let sender = Sender(Client(port: deployment.apiPort, key: key))
            let clients = (0..<2).map { number in
                Task { try await Lane(name: "sender").run { try sender.run(number) } }
            }
            for _ in 0..<kills {
                let before = sender.accepted
                try deployment.wait(for: "some batches") { sender.accepted >= before + 4 }
                usleep(UInt32.random(in: 0...30_000))
                try up.kill9()
                up = try deployment.start("up", environment: declared)
            }
            sender.finish()
            for client in clients { try await client.value }
            let sent = sender.documents
            let reader = Client(port: deployment.apiPort, key: key)
            try deployment.wait(for: "all documents") {
                let sources = try deployment.api.get("/pipeline/status")["sources"]?.array ?? []
                return try sources.first?["events_behind"]?.integer == 0 && Set(Self.list("hooks", reader)) == sent
            }
            #expect(try up.stop() == .exited(0))
            let silver = try (0..<2).flatMap { partition in
                try deployment.command([
                    "lake", "cat", "--layer", "gold", "--topic", "hooks", "--partition", "\(partition)", "--from", "0",
                    "--to", "1000000",
                ]).split(separator: "\n")
            }
            let ids = try silver.map { try #require(try JSONValue.parse(Array($0.utf8))["doc_id"]?.string) }
            #expect(ids.count == sent.count && Set(ids) == sent, "\(ids.count) lines, \(sent.count) documents")
            // Copies were there to be left out, those that the kills made aside.
            let raw = try (0..<2).map { partition in
                try deployment.command([
                    "lake", "cat", "--topic", "hooks", "--partition", "\(partition)", "--raw", "--from", "0", "--to",
                    "1000000",
                ]).split(separator: "\n").count
            }
            #expect(sender.copies > 0 && raw.reduce(0, +) >= sent.count + sender.copies, "\(raw), \(sent.count)")
            try deployment.command(["lake", "verify"])
        }
    }

    /// Sends batches until it is told that there are enough, each until it is accepted.
    private final class Sender: Sendable {
        private struct State {
            var accepted = 0
            /// Documents that were accepted a second time.
            var copies = 0
            var isFinished = false
            var documents: Set<String> = []
        }

        private let client: Client
        private let state = Mutex(State())

        init(_ client: Client) { self.client = client }

        var accepted: Int { state.withLock { $0.accepted } }
        var copies: Int { state.withLock { $0.copies } }
        var documents: Set<String> { state.withLock { $0.documents } }
        func finish() { state.withLock { $0.isFinished = true } }

        func run(_ number: Int) throws {
            for batch in 0..<100_000 where !state.withLock({ $0.isFinished }) {
                let ids = (0..<20).map { "c\(number)-b\(batch)-\($0)" }
                let lines = ids.map { #"{"id":"\#($0)","text":"a kettle of \#($0)"}"# }.joined(separator: "\n")
                try send(lines, key: "c\(number)-b\(batch)")
                state.withLock { state in
                    state.accepted += 1
                    state.documents.formUnion(ids)
                }
                if batch % 4 == 1 {
                    try send(lines, key: "c\(number)-b\(batch)")
                    state.withLock { $0.copies += ids.count }
                }
                usleep(20_000)
            }
        }

        private func send(_ lines: String, key: String) throws {
            for _ in 0..<4_000 {
                let reply = try? client.send(
                    "POST", "/ingest/hooks", lines, type: "application/x-ndjson", [("Idempotency-Key", key)])
                if reply?.status == 202 { return }
                if let reply, reply.status != 503 {
                    throw PipelineFailure("a batch was answered with \(reply)")
                }
                usleep(30_000)
            }
            throw PipelineFailure("a batch was never accepted")
        }
    }
}
