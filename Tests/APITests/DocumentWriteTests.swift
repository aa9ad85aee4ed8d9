import HTTPServer
import JSONScan
import KafkaAccess
import Logic
import Records
import Sources
import Synchronization
import Testing

@testable import API
@testable import Access

/// Writing to `/documents` over a socket, with a broker of this process.
@Suite(.timeLimit(.minutes(2))) struct DocumentWriteTests {
    @Test func documentsAreAddedReplacedAndDeleted() async throws {
        let scene = try IntakeScene()
        try scene.declare("notes", .documents(DocumentsDeclaration()), hasVersions: true, id: "meta.id")
        try scene.declare("hooks", .webhook(WebhookDeclaration()))
        let key = try scene.keys.make(.write)
        @Sendable func document(_ id: String, _ version: Int) -> String {
            #"{"meta":{"id":"\#(id)","version":\#(version)},"text":"a kettle"}"#
        }
        try await withAPI(scene.fixture()) { port in
            func send(_ method: String, _ path: String, _ body: String = "") async throws -> IntakeScene.Reply {
                try await IntakeScene.send(port, path, body, method: method, key: key)
            }
            let added = try await send("POST", "/documents", document("a", 1))
            #expect(added.status == 202 && added.body["source"]?.string == "notes", "\(added)")
            #expect(try await send("PUT", "/documents/a?collection=notes-found", document("a", 2)).status == 202)
            #expect(try await send("DELETE", "/documents/a?version=3").status == 202)
            #expect(try await send("DELETE", "/documents/a%2Fb?version=2026-01-02T03:04:05Z").status == 202)

            let refused: [(Int, String, IntakeScene.Reply)] = [
                (422, "validation", try await send("PUT", "/documents/b", document("a", 2))),
                (422, "lines_refused", try await send("POST", "/documents", #"{"text":"no id"}"#)),
                (422, "lines_refused", try await send("POST", "/documents", #"{"meta":{"id":"a\u0000"}}"#)),
                (422, "lines_refused", try await send("POST", "/documents", #"{"meta":{"id":1.5}}"#)),
                (422, "validation", try await send("DELETE", "/documents/a")),
                (422, "validation", try await send("DELETE", "/documents/a?version=0")),
                (422, "validation", try await send("DELETE", "/documents/a?version=soon")),
                (422, "validation", try await send("POST", "/documents?wait=long", document("a", 1))),
                (404, "not_found", try await send("POST", "/documents?collection=hooks-found", document("a", 1))),
                (404, "not_found", try await send("DELETE", "/documents/a?collection=none&version=1")),
                (
                    415, "unsupported_media_type",
                    try await IntakeScene.send(
                        port, "/documents/a", document("a", 1), method: "PUT", key: key, type: IntakeScene.lines)
                ),
            ]
            for (number, (status, type, reply)) in refused.enumerated() {
                #expect(reply.status == status && reply.type == type, "\(number): \(reply)")
            }
        }
        let records = try scene.records("notes")
        let ofA = records.filter { $0.key == "a" }.sorted { $0.offset < $1.offset }
        #expect(ofA.map(\.value).prefix(2) == [document("a", 1), document("a", 2)])
        let deletion = try JSONValue.parse(Array((ofA.last?.value ?? "").utf8))
        #expect(deletion["meta"]?["id"]?.string == "a" && deletion["meta"]?["version"]?.integer == 3)
        #expect(deletion["meta"]?["deleted"]?.bool == true && deletion.object?.count == 1)
        #expect(Set(ofA.map(\.partition)).count == 1 && records.contains { $0.key == "a/b" } && records.count == 4)
        #expect(records.allSatisfy { $0.eventID?.count == 64 })
    }

    @Test func idsAndCursorsThatAreNoneAreNamed() async throws {
        let scene = try IntakeScene()
        try scene.declare("notes", .documents(DocumentsDeclaration()))
        let key = try scene.keys.make(.write)
        let long = String(repeating: "%C3%A9", count: 128)
        let cases: [(method: String, path: String, body: String, status: Int, says: String)] = [
            ("DELETE", "/documents/\(long)", "", 422, "doc_id"),
            (
                "PUT", "/documents/\(long)", #"{"id":"\#(String(repeating: "é", count: 128))","text":"x"}"#, 422,
                "lines_refused"
            ),
            ("PUT", "/documents/a", #"{"id":["a"],"text":"x"}"#, 422, "lines_refused"),
            ("PUT", "/documents/a", #"{"id":"a"}"# + "\n" + #"{"id":"a"}"#, 422, "lines_refused"),
            ("GET", "/documents?cursor=dYQ%3D%3D", "", 422, "cursor_invalid"),
            ("GET", "/documents?cursor=%27%3B--", "", 422, "cursor_invalid"),
            ("GET", "/documents?limit=0", "", 422, "limit"), ("GET", "/documents?limit=501", "", 422, "limit"),
            ("GET", "/documents?collection=none", "", 404, "not_found"),
        ]
        try await withAPI(scene.fixture()) { port in
            for one in cases {
                let reply = try await IntakeScene.send(port, one.path, one.body, method: one.method, key: key)
                #expect(reply.status == one.status && "\(reply.body)".contains(one.says), "\(one): \(reply)")
            }
        }
        #expect(try scene.records("notes").isEmpty)
    }

    @Test func whereThereAreSeveralOneIsNamed() async throws {
        let scene = try IntakeScene()
        for name in ["one", "two"] { try scene.declare(name, .documents(DocumentsDeclaration())) }
        let key = try scene.keys.make(.write)
        try await withAPI(scene.fixture()) { port in
            func send(_ path: String) async throws -> IntakeScene.Reply {
                try await IntakeScene.send(port, path, #"{"id":"a"}"#, key: key)
            }
            let unnamed = try await send("/documents")
            #expect(unnamed.status == 422 && "\(unnamed.body)".contains("one-found, two-found"), "\(unnamed)")
            #expect(try await send("/documents?collection=two-found").status == 202)
            // Nothing has versions here.
            let deletion = try await IntakeScene.send(
                port, "/documents/a?collection=two-found&version=1", "", method: "DELETE", key: key)
            #expect(deletion.status == 422)
            let right = try await IntakeScene.send(
                port, "/documents/a?collection=two-found", "", method: "DELETE", key: key)
            #expect(right.status == 202)
        }
        #expect(try scene.records("one").isEmpty && scene.records("two").count == 2)
    }

    @Test func aWriterMayWaitUntilItIsFound() async throws {
        let scene = try IntakeScene()
        try scene.declare("notes", .documents(DocumentsDeclaration()))
        let key = try scene.keys.make(.write)
        let lines = (0..<20).map { #"{"id":\#($0),"text":"x"}"# }.joined(separator: "\n")
        try await withAPI(scene.fixture()) { port in
            @Sendable func send(_ query: String) async throws -> IntakeScene.Reply {
                try await IntakeScene.send(port, "/documents?\(query)", lines, key: key, type: IntakeScene.lines)
            }
            // The index does not get there.
            let late = try await send("wait=searchable&wait_ms=50")
            #expect(late.status == 202 && late.body["state"]?.string == "accepted", "\(late)")
            #expect(late.body["index_version"]?.isNull == true)
            let waiting = Task { try await send("wait=searchable") }
            try await eventually { try scene.records("notes").count == 40 }
            for partition in 0...1 as ClosedRange<Int32> {
                scene.reached.withLock { $0[TopicPartition(topic: "notes", partition: partition)] = 40 }
            }
            let found = try await waiting.value
            #expect(found.status == 200 && found.body["state"]?.string == "searchable", "\(found)")
            #expect(found.body["index_version"]?.integer == 7 && found.body["indexed"]?.integer == 20)
        }
    }

    /// A broker may acknowledge a record that it was sent twice without saying where it lies.
    @Test func whereNobodyKnowsWhereTheyLieNothingIsWaitedFor() throws {
        let scene = try IntakeScene()
        try scene.declare("notes", .documents(DocumentsDeclaration()))
        let source = try #require(scene.sources.withLock { $0.first })
        func reply(_ offsets: [Int64]) -> TakenReply {
            TakenReply(Intake.Taken(source: source, places: offsets.map { PublishedPlace(partition: 0, offset: $0) }))
        }
        let known = reply([7, 9])
        #expect(known.nextOffsets == [TopicPartition(topic: "notes", partition: 0): 10])
        for offsets in [[-1], [7, -1]] as [[Int64]] {
            let unknown = reply(offsets)
            let place = try JSONValue.parse(unknown.json)["partitions"]?[0]
            #expect(unknown.nextOffsets == nil && place?["records"]?.integer == Int64(offsets.count))
            #expect(place?["first_offset"]?.isNull == true && place?["last_offset"]?.isNull == true)
        }
    }

    @Test func objectsHaveTheirValuesInTheirPlaces() throws {
        func path(_ text: String) throws -> FieldPath { try #require(FieldPath(text)) }
        let object = Documents.object([
            (try path("a.b.id"), .string("x")), (try path("a.b.gone"), .bool(true)), (try path("a.v"), .integer(3)),
            (try path("top"), .null),
        ])
        #expect(object.text == #"{"a":{"b":{"id":"x","gone":true},"v":3},"top":null}"#)
    }

    @Test func cursorsAreTheIdsThatTheyStandFor() {
        for id in ["a", "ab", "abc", "a/b?c", "Ω≈ç√", String(repeating: "é", count: 127)] {
            let cursor = DocumentCursor(docID: id)
            #expect(DocumentCursor(text: cursor.text) == cursor, "\(id)")
            #expect(cursor.text.utf8.allSatisfy { $0 != 0x2B && $0 != 0x2F && $0 != 0x3D })
        }
        for text in [
            "", "d", "dA", "YQ", "dYQ==", "dYR", "d_w", "dAA", "d!!", "d" + String(repeating: "A", count: 2_000),
        ] {
            #expect(DocumentCursor(text: text) == nil, "\(text.prefix(20))")
        }
    }
}
