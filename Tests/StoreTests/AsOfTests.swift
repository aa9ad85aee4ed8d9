import API
import Bytes
import HTTPClient
import HTTPServer
import Health
import IndexTesting
import JSONScan
import PlatformTesting
import Records
import Retrieval
import ServiceLifecycle
import Store
import Telemetry
import Testing

/// What was asked once is found again as of then, whatever has happened to the index since. `TEST_SEED` replays another run.
@Suite(.timeLimit(.minutes(20))) struct AsOfTests {
    private static let limit = IndexFixture.limit
    private static let words = [
        "granite", "harbour", "river", "flood", "bridge", "castle", "comet", "glacier", "lantern", "meadow", "orchard",
        "quarry",
        "railway", "saddle", "tunnel", "valley", "willow", "anchor", "beacon", "cellar",
    ]

    /// Servers of one index, of which one searches in memory what it can.
    private struct Scene: Sendable {
        let fixture: IndexFixture
        let follower: ArmsFollower
        let api: SearchAPI

        init(_ fixture: IndexFixture) {
            self.fixture = fixture
            let (metrics, logger, database) = (
                MetricsRegistry(), Logger("test", level: .error), fixture.configuration
            )
            let follower = ArmsFollower(
                configuration: database, bytesMax: 1 << 30, filesFolder: nil, tenants: { [.standard] },
                registry: metrics, logger: logger)
            self.follower = follower
            var dependencies = SearchAPIDependencies(
                makeStore: {
                    ArmedStore(SearchStore(configuration: database, model: "test"), shared: follower.shared)
                },
                makeTraceSource: { throw Missing() },
                embedder: QueryEmbedder(modelName: "test") { texts in texts.map(AsOfTests.vector) },
                health: HealthRegistry(), metrics: metrics, logger: logger)
            dependencies.arms = follower
            dependencies.armsReader = ArmsReader(shared: follower.shared, model: "test")
            var configuration = SearchAPIConfiguration()
            configuration.cacheBytes = 1 << 20
            api = SearchAPI(configuration: configuration, dependencies: dependencies)
        }

        func serving(_ body: (UInt16) async throws -> Void) async throws { try await api.serving(body) }

        /// Waits until searches in memory see the newest version.
        func follow() async throws {
            let version = try fixture.store.status(timeoutMilliseconds: limit).indexVersion
            for _ in 0..<6_000 {
                if follower.shared.version(of: .standard) ?? -1 >= version { return }
                try await Task.sleep(for: .milliseconds(10))
            }
            throw Missing()
        }

        /// The passages that an answer was made of.
        func retrieved(_ id: String) throws -> Set<String> {
            let kept = try #require(
                try fixture.store.givenAnswer(id: id, tenant: .standard, timeoutMilliseconds: limit))
            return Set(
                try JSONValue.parse(kept.answer.retrievedJSON).array?.map {
                    "\($0["doc_id"]?.string ?? "") \($0["version"]?.integer ?? -1) \($0["passage"]?.integer ?? -1)"
                } ?? [])
        }
    }

    private struct Missing: Error {}

    /// Of texts with words in common near each other, and of no two equally near to a third one.
    private static func vector(_ text: String) -> [Float] {
        var generator = SeededGenerator(seed: StableHash.of(text.utf8))
        let words = FakeIndex.embed(text) + [Float](repeating: 0, count: 128)
        let values = words.map { $0 + Float.random(in: -0.04...0.04, using: &generator) }
        let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return values.map { $0 / length }
    }

    private static func text(_ generator: inout SeededGenerator) -> String {
        (0..<Int.random(in: 3...12, using: &generator)).map { _ in
            words[min(words.count - 1, Int(Double(words.count) * Double.random(in: 0..<1, using: &generator) * 1.1))]
        }.joined(separator: " ")
    }

    private static func document(
        _ number: Int, _ generator: inout SeededGenerator, version: Int64 = 1, generation: Int64 = 1
    ) -> IndexedDocument {
        let text = "The \(text(&generator)) was repainted in \(1900 + number % 90)."
        return IndexFixture.document(
            number, text: text, version: version, embedding: vector(text), generation: generation)
    }

    private static func post(_ port: UInt16, _ path: String, _ body: String) throws -> (status: Int, body: JSONValue) {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
        request.method = "POST"
        request.headers = [("Content-Type", "application/json")]
        request.body = Array(body.utf8)
        let reply = try HTTPClient().request(request, timeoutMilliseconds: 60_000)
        return (reply.status, try JSONValue.parse(reply.body))
    }

    private static func ids(_ body: JSONValue) -> [String] {
        body["hits"]?.array?.compactMap { $0["doc_id"]?.string } ?? []
    }

    /// New, changed and deleted documents, and a generation of them that takes the place of the first.
    private static func change(_ fixture: IndexFixture, _ generator: inout SeededGenerator) throws {
        var changed: [IndexedDocument] = []
        for number in 300..<420 { changed.append(document(number, &generator)) }
        for number in 0..<80 { changed.append(document(number, &generator, version: 2)) }
        for number in 80..<140 {
            var gone = document(number, &generator, version: 3)
            gone.document.operation = .delete
            gone.passages = []
            changed.append(gone)
        }
        let generations = fixture.generations
        let child = try generations.create(parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: limit)
        let handover = [IndexFixture.source: Int64(1_000)]
        let move = CheckpointMove(generation: 1, source: IndexFixture.source, expected: nil, next: 1_000)
        _ = try fixture.writer.write(changed, moving: [move], timeoutMilliseconds: limit)
        _ = try generations.copyParentRows(
            child: child, parent: 1, outside: [], handover: handover, timeoutMilliseconds: limit)
        try generations.finish(generation: child, handover: handover, timeoutMilliseconds: limit)
        _ = try fixture.writer.write(
            (140..<200).map { document($0, &generator, version: 4, generation: child) }, timeoutMilliseconds: limit)
        _ = try generations.promote(child, timeoutMilliseconds: limit)
        try fixture.countWords()
    }

    @Test(arguments: LongTests.seeds(1...1)) func whatWasAskedIsFoundAgain(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let fixture = try IndexFixture()
        let scene = Scene(fixture)
        _ = try fixture.writer.write(
            (0..<300).map { Self.document($0, &generator) }, timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        let questions = (0..<40).map { _ in
            (0..<Int.random(in: 1...3, using: &generator)).map { _ in
                Self.words[Int.random(in: 0..<Self.words.count, using: &generator)]
            }.joined(separator: " ")
        }
        try await scene.serving { port in
            try await scene.follow()
            let before = try fixture.store.status(timeoutMilliseconds: Self.limit).indexVersion
            var answers: [(question: String, id: String, hits: Set<String>)] = []
            var found: [[String]] = []
            for question in questions {
                let (status, body) = try Self.post(port, "/answer", #"{"query": "\#(question)", "debug": true}"#)
                #expect(status == 200)
                let id = try #require(body["answer_id"]?.string)
                answers.append((question, id, try scene.retrieved(id)))
                let search = try Self.post(port, "/search", #"{"query": "\#(question)", "as_of": \#(before)}"#)
                #expect(search.status == 200 && search.body["as_of"]?["index_version"]?.integer == before)
                found.append(Self.ids(search.body))
            }
            #expect(answers.contains { $0.hits.count > 50 } && found.allSatisfy { !$0.isEmpty })
            let time = CivilTime.rfc3339(SystemClock.epochMilliseconds())
            try await Task.sleep(for: .milliseconds(5))
            try Self.change(fixture, &generator)
            try await scene.follow()

            var isOther = false
            for (place, answer) in answers.enumerated() {
                let asked = #"{"query": "\#(answer.question)", "as_of": "\#(answer.id)"}"#
                var again: [Set<String>] = []
                for _ in 0..<(place.isMultiple(of: 4) ? 2 : 1) {
                    let (status, body) = try Self.post(port, "/answer", asked)
                    #expect(status == 200 && body["as_of"]?["generation"]?.integer == 1)
                    again.append(try scene.retrieved(try #require(body["answer_id"]?.string)))
                }
                let shared = Double(again[0].intersection(answer.hits).count)
                let all = Double(max(1, answer.hits.union(again[0]).count))
                #expect(
                    again[0] == again[again.count - 1] && shared / all >= 0.97,
                    "\(answer.question): \(shared) of \(all)")
                for moment in ["\(before)", #""\#(time)""#] {
                    let (_, body) = try Self.post(
                        port, "/search", #"{"query": "\#(answer.question)", "as_of": \#(moment)}"#)
                    #expect(Self.ids(body) == found[place] && body["source"]?.string == "index")
                }
                let now = try Self.post(port, "/search", #"{"query": "\#(answer.question)"}"#).body
                #expect(now["as_of"] == nil && now["generation"]?.integer == 2)
                isOther = isOther || Self.ids(now) != found[place]
            }
            #expect(isOther)
            try await Self.expectPages(port, questions[0], asOf: before)
            try await Self.expectRefusals(port, scene, answers[0].id, before)
        }
    }

    /// Pages are pages of one ranking.
    private static func expectPages(_ port: UInt16, _ question: String, asOf version: Int64) async throws {
        func page(_ more: String) throws -> JSONValue {
            let (status, body) = try post(port, "/search", #"{"query": "\#(question)", "as_of": \#(version)\#(more)}"#)
            #expect(status == 200)
            return body
        }
        let whole = try page(#", "top_k": 20"#)
        let first = try page(#", "top_k": 10"#)
        let cursor = try #require(first["next_cursor"]?.string)
        let second = try page(#", "top_k": 10, "cursor": "\#(cursor)""#)
        #expect(ids(first) + ids(second) == ids(whole) && ids(whole).count == 20)
        let other = try post(
            port, "/search", #"{"query": "\#(question)", "as_of": \#(version - 1), "cursor": "\#(cursor)"}"#)
        #expect(other.status == 422)
    }

    private static func expectRefusals(
        _ port: UInt16, _ scene: Scene, _ answer: String, _ version: Int64
    ) async throws {
        func status(_ asOf: String, _ more: String = "") throws -> Int {
            let body = #"{"query": "granite", "as_of": \#(asOf)\#(more)}"#
            let statuses = try ["/search", "/answer"].map { try post(port, $0, body).status }
            #expect(more != "" || statuses[0] == statuses[1])
            return statuses[0]
        }
        let store = scene.fixture.store
        let other = "ans_" + String(repeating: "0", count: 32)
        try store.save(
            StoredAnswer(
                id: other, tenant: try #require(TenantID("acme")), question: "q", createdAtMilliseconds: 1,
                generation: 1,
                indexVersion: version, isRefused: false, requestJSON: Array("{}".utf8), replyJSON: Array("{}".utf8),
                retrievedJSON: Array("[]".utf8)), timeoutMilliseconds: limit)
        #expect(try status(#""\#(other)""#) == 404)
        let newest = try store.status(timeoutMilliseconds: limit).indexVersion
        for wrong in [#""yesterday""#, "-1", "1.5", #""ans_""#, "[]", "\(newest + 10)", #""2999-01-01T00:00:00Z""#] {
            #expect(try status(wrong) == 422, "\(wrong)")
        }
        #expect(try status("\(version)", ", \"min_index_version\": 1") == 422)
        #expect(try status("\(version)") == 200)

        // The history reaches back to the newest version alone.
        let connection = try scene.fixture.connect()
        try connection.script(
            "UPDATE index_versions SET created_at = clock_timestamp() - interval '2 hours' WHERE version < \(newest)",
            timeoutMilliseconds: limit)
        let upkeep = IndexUpkeep(configuration: scene.fixture.configuration)
        while try upkeep.removeRetired(IndexRetention(historyHours: 1), rows: 100, timeoutMilliseconds: limit) > 0 {}
        for gone in ["\(version)", #""\#(answer)""#, #""2020-01-01T00:00:00Z""#] {
            #expect(try status(gone) == 410, "\(gone)")
        }
        #expect(try status("\(newest)") == 200)
        try connection.script("UPDATE index_history SET oldest_version = 0", timeoutMilliseconds: limit)
        try connection.script(
            "UPDATE generations SET state = 'pruned' WHERE generation = 1", timeoutMilliseconds: limit)
        let pruned = try post(port, "/search", #"{"query": "granite", "as_of": "\#(answer)"}"#)
        #expect(pruned.status == 410 && pruned.body["error"]?["type"]?.string == "generation_gone")
    }
}
