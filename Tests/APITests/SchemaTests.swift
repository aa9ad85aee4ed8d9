import BrokerTesting
import Files
import Glibc
import HTTPEndpoints
import HTTPServer
import Health
import JSONScan
import PlatformTesting
import Testing

@testable import API

/// The documented API and the real one are the same.
@Suite struct SchemaTests {
    private let document: JSONValue

    init() throws {
        document = try JSONValue.parse(File.contents(of: PackageRoot.path + "/schemas/openapi.json"))
    }

    /// `UPDATE_GOLDEN=1 swift test --filter SchemaTests` rewrites the document.
    @Test func theDocumentIsGenerated() throws {
        let fixture = APIFixture()
        let text = SearchAPI.openAPI(of: fixture.api.endpoints()).json.indented() + "\n"
        let path = PackageRoot.path + "/schemas/openapi.json"
        if getenv("UPDATE_GOLDEN").map({ String(cString: $0) }) == "1" {
            try File.replace(path, with: Array(text.utf8))
        }
        #expect(try File.contents(of: path) == Array(text.utf8))
    }

    @Test func theServedDocumentIsTheGenerated() async throws {
        let fixture = APIFixture()
        let (status, served) = await fixture.get(.document)
        #expect(status == 200)
        #expect(served == document)
    }

    /// Replies have the documented members, all of them, with the documented types, at every depth.
    @Test func repliesFitTheirSchemas() async throws {
        let fixture = APIFixture()
        fixture.fill()
        await fixture.health.checkAll()
        fixture.health.register("index", isRequired: true) { HealthReport(.ok, "x", detail: [("a", "b")]) }
        await fixture.health.checkAll()
        let question = #"{"query": "golden gate bridge towers", "debug": true}"#
        let replies = [
            ("SearchReply", await fixture.post(.search, #"{"query": "golden gate", "top_k": 2}"#).body),
            ("SearchReply", await fixture.post(.search, #"{"query": "golden gate in the last hour on enwiki"}"#).body),
            ("AnswerReply", await fixture.post(.answer, #"{"query": "golden gate bridge towers on enwiki"}"#).body),
            ("SearchReply", await APIFixture(hasEmbedder: false).post(.search, #"{"query": "golden"}"#).body),
            ("AnswerReply", await fixture.post(.answer, question).body),
            ("AnswerReply", await fixture.post(.answer, #"{"query": "mercury"}"#).body),
            ("RecentReply", await fixture.get(.recent).body),
            ("TraceReply", await fixture.get(.trace, path: ["doc_id": "d-hostile"]).body),
            ("HealthReply", await fixture.get(.health).body), ("ReadyReply", await fixture.get(.ready).body),
            ("LiveReply", await fixture.get(.live).body), ("PipelineStatusReply", await fixture.get(.status).body),
            ("Error", await fixture.post(.search, #"{"top_k": "x", "filters": {"wiki": [1]}}"#).body),
            ("Error", await fixture.get(.trace, path: ["doc_id": "none"]).body),
        ]
        for (name, reply) in replies {
            let schema = try #require(document["components"]?["schemas"]?[name])
            #expect(SchemaCheck.misfits(reply, schema, in: document, at: name) == [])
        }
    }

    /// Every payload of a stream of events has the schema that the document names for its event.
    @Test func payloadsOfStreamsFitTheirSchemas() async throws {
        let scene = StreamScene()
        scene.fixture.fill()
        for offset in 0..<3 as Range<Int64> {
            scene.topic.add(0, offset, line: GoldTopicFixture.line(offset, partition: 0, text: "text"))
        }
        scene.topic.addGap(.unreadable, 0, 3..<5)
        scene.topic.state.withLock { $0.openGaps = [1: .expired] }
        scene.topic.index([0: 5, 1: 2])
        let steps = StreamScene.request(after: "0:0,1:900,5:1", [("stages", "received,committed,searchable")])
        let seen = try await scene.follow(
            [steps, StreamScene.request(after: "e9;source/0:1"), StreamScene.request(after: "0:0")], frames: [16, 4, 8]
        ) {
            let step = StageStep(.received, docID: nil, partition: 0, offset: 5, atMilliseconds: 0)
            scene.topic.state.withLock { $0.steps = [step, step] }
            try await eventually { scene.topic.state.withLock { $0.steps.isEmpty } }
            scene.topic.add(0, 5, line: GoldTopicFixture.line(5, partition: 0, text: "text"))
            let deletion = """
                {"doc_id":"d","version":2,"operation":"delete","collection":"c","attributes":{},\
                "lineage":{"logic_version":"l","parents":[{"topic":"source","partition":0,"offset":6,\
                "event_id":"e","bronze_sha256":"00"}]}}
                """
            scene.topic.add(0, 6, line: deletion, operation: .delete)
            scene.topic.add(0, 7, line: GoldTopicFixture.truncation(7, version: 3), operation: .deleteBelow)
            scene.topic.index([0: 8, 1: 2])
            try await scene.given(3)
        }
        let question = Array(#"{"query": "who repainted the golden gate bridge towers?"}"#.utf8)
        let answer = await scene.fixture.reply(
            HTTPRequest(
                method: .post, target: "/answer",
                headers: ["Accept": "text/event-stream", "Content-Type": "application/json"], body: question))
        try check(seen.flatMap { $0 }, of: "get", "/stream")
        try check(SeenFrame.parse(answer.body), of: "post", "/answer")
    }

    /// - Parameter frames: hold every kind of event that the document names.
    private func check(_ frames: [SeenFrame], of method: String, _ path: String) throws {
        let reply = document["paths"]?[path]?[method]?["responses"]?["200"]
        let named = try #require(reply?["content"]?["text/event-stream"]?["schema"]?["x-events"]?.object)
        #expect(Set(frames.map(\.name)) == Set(named.map(\.key)))
        for frame in frames {
            let schema = try #require(named.first { $0.key == frame.name }?.value, "\(frame.name) is not documented")
            #expect(SchemaCheck.misfits(frame.data, schema, in: document, at: frame.name) == [])
        }
    }
}
