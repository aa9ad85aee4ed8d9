import Bytes
import Files
import Glibc
import HTTPClient
import JSONScan
import Kafka
import PlatformTesting
import Postgres
import Processes
import Synchronization
import Testing
import Zstd

extension PipelineTests {
    /// A user is erased beside a running platform and searches, and nothing of them is left in files, database, object storage and caches.
    @Suite(.serialized) struct EraseTests {
        private static let user = "Cleo"
        private static let word = "lava"

        @Test(.timeLimit(.minutes(8))) func erasedEverywhere() async throws {
            let files = try TemporaryFolder()
            let redis = RedisServer.isInstalled ? try RedisServer(in: files.path) : nil
            let (log, lineage) = (files.file("access.log"), files.file("lineage.jsonl"))
            var environment = ["EMBED_ENABLED": "false", "API_ACCESS_LOG": log, "OPENLINEAGE_FILE": lineage]
            if let redis { environment["REDIS_URL"] = "unix://\(redis.socket)" }
            try await Deployment.run(environment: environment) { deployment in
                let up = try PlaybackTests.play(PlaybackTests.handWritten, deployment)
                try deployment.wait(for: "the user's documents") { try Self.found(deployment) > 0 }
                let collection = try Self.collection(deployment)
                let answer = try Self.answer(deployment)
                _ = try deployment.api.get("/impact?user=\(Self.user)&collection=\(collection)")
                let dry = try deployment.command(["erase", "--user", Self.user, "--collection", collection])
                #expect(dry.contains("match  bronze") && dry.contains("match  documents of the index"))
                #expect(try Self.found(deployment) > 0)
                #expect(try Self.holders(deployment).contains("bronze"))
                // Nobody of that name, and no such collection.
                let unknown = try deployment.command([
                    "erase", "--page", "No \"such\" pagé", "--collection", collection,
                ])
                #expect(unknown.isEmpty)
                let refused = try deployment.refusal(["erase", "--page", "x", "--collection", "nothing"])
                #expect(refused.contains("has no collection nothing") && refused.contains(collection))

                let searches = Searches(deployment.api)
                let told = try deployment.command(
                    [
                        "erase", "--user", Self.user, "--collection", collection, "--apply", "--reason", "request 17",
                        "--topics",
                        "--json",
                    ], seconds: 120)
                #expect(told.contains(#""kind":"remains","place":"freed pages of Postgres""#), "\(told)")
                try deployment.wait(for: "nothing to be found") { try Self.found(deployment) == 0 }
                let (made, failed) = await searches.end()
                #expect(made > 0 && failed == [])
                #expect(try Self.holders(deployment) == [])
                #expect(try Self.tables(deployment) == [])
                #expect(!String(decoding: try File.contents(of: log), as: UTF8.self).contains(Self.user))
                let verified = try deployment.command(["lake", "verify"])
                #expect(verified.contains("all well") && verified.contains("records erased by e-"))
                for path in ["/answers/\(answer)", "/answers/\(answer)/trace"] {
                    let reply = try HTTPClient().request(
                        HTTPClientRequest(url: deployment.api.url + path), timeoutMilliseconds: 30_000)
                    let text = String(decoding: reply.body, as: UTF8.self)
                    #expect(reply.status == 410 && text.contains("by the erasure e-"), "\(path): \(text)")
                }
                let events = String(decoding: try File.contents(of: lineage), as: UTF8.self)
                #expect(
                    events.split(separator: "\n").contains {
                        $0.contains(#""name":"erase""#) && $0.contains("COMPLETE")
                    })
                #expect(try deployment.command(["erase", "ls"]).contains("done  user of"))
                #expect(try Self.topicsAreSilent(deployment))
                #expect(try up.stop() == .exited(0))
            }
        }

        private static func found(_ deployment: Deployment) throws -> Int {
            try deployment.api.search(word, mode: "lexical").count
        }

        private static func collection(_ deployment: Deployment) throws -> String {
            let events = try deployment.api.get("/events/recent?limit=1")["events"]?.array ?? []
            return try #require(events.first?["collection"]?.string)
        }

        /// An answer that cites one of the user's documents.
        private static func answer(_ deployment: Deployment) throws -> String {
            let reply = try deployment.api.post(
                "/answer", [("query", .string("What did \(user) write about \(word)?"))])
            return try #require(reply["answer_id"]?.string)
        }

        /// The layers with a file in which the user or their words stand.
        private static func holders(_ deployment: Deployment) throws -> Set<String> {
            var holders: Set<String> = []
            func look(_ folder: String, _ layer: String) throws {
                for name in try Folder.list(folder) {
                    let path = folder + "/" + name
                    if Folder.isFolder(path) {
                        try look(path, layer)
                        continue
                    }
                    var text = try File.contents(of: path)
                    if name.hasSuffix(".zst") {
                        var stream = try StreamDecompressor()
                        var plain: [UInt8] = []
                        try text.withUnsafeBytes { try stream.feed($0) { plain += $0 } }
                        text = plain
                    }
                    if String(decoding: text, as: UTF8.self).contains(user) { holders.insert(layer) }
                }
            }
            for layer in try Folder.list(deployment.lakeFolder) {
                let path = deployment.lakeFolder + "/" + layer
                if Folder.isFolder(path) { try look(path, layer) }
            }
            return holders
        }

        private static func tables(_ deployment: Deployment) throws -> [String] {
            let connection = try PostgresConnection(
                PostgresConfiguration(dsn: try #require(deployment.dsn())), timeoutMilliseconds: 10_000)
            let names = try connection.script(
                """
                SELECT c.oid::regclass FROM pg_class c
                WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace ORDER BY 1
                """, timeoutMilliseconds: 60_000
            ).compactMap { $0[0] }
            return try names.filter { name in
                let count = try connection.script(
                    "SELECT count(*) FROM \(name) t WHERE strpos(lower(t::text), lower('\(user)')) > 0",
                    timeoutMilliseconds: 60_000)
                return count[0][0] != "0"
            }
        }

        /// No record of a topic holds the user's name any more.
        private static func topicsAreSilent(_ deployment: Deployment) throws -> Bool {
            let consumer = try KafkaConsumer(try deployment.kafka())
            for topic in [deployment.topic, "wikimedia.gold"] {
                let partitions =
                    try KafkaAdmin(try deployment.kafka()).metadata(
                        topic: topic, timeoutMilliseconds: 10_000
                    ).topics.first?.partitions ?? []
                for partition in partitions {
                    let marks = try consumer.watermarks(topic: topic, partition: partition, timeoutMilliseconds: 10_000)
                    guard marks.high > marks.low else { continue }
                    try consumer.assign([(topic: topic, partition: partition, offset: .beginning)])
                    let queue = try #require(consumer.queue(topic: topic, partition: partition))
                    var next = marks.low
                    for _ in 0..<100 where next < marks.high {
                        var isTheirs = false
                        queue.next(maxRecords: 10_000, timeoutMilliseconds: 200) { batch in
                            for index in 0..<batch.count {
                                next = batch[index].offset + 1
                                let value = batch[index].value.map { String(decoding: $0, as: UTF8.self) } ?? ""
                                if value.contains(user) { isTheirs = true }
                            }
                        }
                        if isTheirs { return false }
                    }
                    // One that could not be read to its end is not silent.
                    if next < marks.high { return false }
                }
            }
            return true
        }
    }
}

/// Searches one after the other, until somebody ends them.
private final class Searches: Sendable {
    private let isOver = Mutex(false)
    private let task: Mutex<Task<(Int, [String]), Never>?>

    init(_ api: API) {
        task = Mutex(nil)
        let running = Task.detached { [self] in
            var (made, failed) = (0, [String]())
            while !isOver.withLock({ $0 }), failed.count < 5 {
                do {
                    _ = try api.search("river painted bridge", mode: "lexical")
                    made += 1
                } catch { failed.append("\(error)") }
                try? await Task.sleep(for: .milliseconds(20))
            }
            return (made, failed)
        }
        task.withLock { $0 = running }
    }

    /// - Returns: how many there were, and what failed.
    func end() async -> (made: Int, failed: [String]) {
        isOver.withLock { $0 = true }
        guard let running = task.withLock({ $0 }) else { return (0, []) }
        let (made, failed) = await running.value
        return (made, failed)
    }
}
