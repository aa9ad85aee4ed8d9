import API
import HTTPClient
import Health
import IndexTesting
import JSONScan
import Lake
import PlatformTesting
import Records
import Retrieval
import Store
import Telemetry
import Testing

/// What is suppressed is in no trace of an answer and in no list of what came of an event.
@Suite struct SuppressedTraceTests {
    private static let limit = IndexFixture.limit

    private static func api(_ fixture: IndexFixture, _ layout: LakeLayout) -> SearchAPI {
        let database = fixture.configuration
        let dependencies = SearchAPIDependencies(
            makeStore: { SearchStore(configuration: database, model: "") },
            makeTraceSource: { LakeTraceSource(configuration: database, layout: layout) }, embedder: nil,
            health: HealthRegistry(), metrics: MetricsRegistry(), logger: Logger("test", level: .error))
        return SearchAPI(configuration: SearchAPIConfiguration(), dependencies: dependencies)
    }

    private static func get(_ port: UInt16, _ path: String) throws -> (status: Int, body: JSONValue, text: String) {
        let reply = try HTTPClient().request(
            HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)"), timeoutMilliseconds: 60_000)
        return (
            reply.status, try JSONValue.parse(reply.body, maxDepth: 64), String(decoding: reply.body, as: UTF8.self)
        )
    }

    private static let reply = #"""
        {"sentences":[{"text":"The secret sentence.","citations":[1]},{"text":"The open sentence.","citations":[2]}],
        "citations":[
        {"n":1,"doc_id":"doc-0","collection":"wikimedia.recentchange","snippet":"secret snippet","title":"Title 0","passage":0,
        "lineage":{"logic_version":"l","parents":[{"topic":"secret-topic","partition":0,"offset":0,"event_id":"doc-0","bronze_sha256":"00"}]}},
        {"n":2,"doc_id":"doc-1","collection":"wikimedia.recentchange","snippet":"open snippet","title":"Title 1","passage":0,
        "lineage":{"logic_version":"l","parents":[{"topic":"open-topic","partition":0,"offset":1,"event_id":"doc-1","bronze_sha256":"00"}]}}]}
        """#

    @Test func whatIsSuppressedIsNotTraced() async throws {
        let fixture = try IndexFixture()
        let folder = try TemporaryFolder()
        let documents = (0..<2).map { number in
            var document = IndexFixture.document(
                number, text: "text \(number)", version: 1, embedding: nil, model: "")
            document.sourceOffset = Int64(number)
            return document
        }
        let version = try fixture.writer.write(documents, timeoutMilliseconds: Self.limit).indexVersion
        let id = "ans_" + String(repeating: "a", count: 32)
        var answer = StoredAnswer(
            id: id, question: "why?", createdAtMilliseconds: 1_700_000_000_000, generation: 1, indexVersion: version,
            isRefused: false, requestJSON: Array("{}".utf8), replyJSON: Array(Self.reply.utf8),
            retrievedJSON: Array("[]".utf8))
        answer.documents = (0..<2).map {
            StoredAnswer.Source(collection: "wikimedia.recentchange", docID: "doc-\($0)", isCited: true)
        }
        try fixture.store.save(answer, timeoutMilliseconds: Self.limit)
        let source = IndexFixture.source
        let record = "/impact?topic=\(source.topic)&partition=\(source.partition)&offset=0"
        try await Self.api(fixture, LakeLayout(root: folder.file("lake"))).serving { port in
            let before = try Self.get(port, "/answers/\(id)/trace")
            #expect(before.status == 200 && before.body["withheld"]?.integer == 0, "\(before)")
            #expect(before.body["citations"]?.array?.count == 2 && before.text.contains("secret"))
            #expect(try Self.get(port, record).body["documents"]?.array?.count == 1)

            try SuppressionStore(configuration: fixture.configuration).apply(
                .suppress(
                    Suppression(
                        id: "s-1", tenant: .standard, target: .eventID("doc-0"), reason: "a test", by: "ann",
                        atMilliseconds: 1_700_000_000_000)), timeoutMilliseconds: Self.limit)
            let after = try Self.get(port, "/answers/\(id)/trace")
            #expect(after.status == 200 && after.body["withheld"]?.integer == 1, "\(after)")
            #expect(after.body["citations"]?.array?.compactMap { $0["doc_id"]?.string } == ["doc-1"])
            #expect(after.body["sentences"]?.array?.count == 1)
            #expect(!after.text.contains("secret") && after.text.contains("The open sentence."))
            for way in [
                record, "/impact?event_id=doc-0", "/impact?user=User%200",
                "/impact?collection=wikimedia.recentchange&title=Title%200",
            ] {
                let impact = try Self.get(port, way)
                #expect(
                    impact.status == 200 && impact.body["documents"]?.array?.isEmpty == true || impact.status == 404)
            }
            // Two bytes each: what the index has no room for is told.
            let long = String(repeating: "%C3%A4", count: 513)
            #expect(try Self.get(port, "/impact?event_id=\(long)").status == 422)
        }
    }
}
