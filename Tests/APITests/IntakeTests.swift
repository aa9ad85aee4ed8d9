import HTTPEndpoints
import HTTPServer
import JSONScan
import KafkaAccess
import PlatformTesting
import Records
import Sources
import Testing

@testable import API
@testable import Access

/// `POST /ingest/{source}` over a socket, with a broker of this process.
@Suite(.timeLimit(.minutes(2))) struct IntakeTests {
    @Test func aBatchIsInTheTopicWhenItIsAnswered() async throws {
        let scene = try IntakeScene()
        try scene.declare("hooks", .webhook(WebhookDeclaration()))
        let key = try scene.keys.make(.write)
        let lines = (1...40).map { #"{"id":"d\#($0)","text":"a kettle of \#($0) litres, and some more words"}"# }
        let body = Array((lines[0] + "\r\n\n" + lines[1...].joined(separator: "\n")).utf8)
        try await withAPI(scene.fixture()) { port in
            let headers = [("Idempotency-Key", "batch-1")]
            let first = try await IntakeScene.send(
                port, "/ingest/hooks", body, key: key, headers, type: IntakeScene.lines)
            #expect(first.status == 202 && first.body["accepted"]?.integer == 40, "\(first)")
            #expect(first.body["topic"]?.string == "hooks" && first.body["collection"]?.string == "hooks-found")
            #expect(first.body["state"]?.string == "accepted" && first.body["indexed"]?.isNull == true)
            let places = first.body["partitions"]?.array ?? []
            #expect(places.reduce(0) { $0 + ($1["records"]?.integer ?? 0) } == 40)
            // Packed and sent again, it has the same ids.
            let second = try await IntakeScene.send(
                port, "/ingest/hooks", Packing.gzip(body), key: key, headers + [("Content-Encoding", "gzip")],
                type: IntakeScene.lines)
            #expect(second.status == 202, "\(second)")
        }
        let records = try scene.records("hooks")
        #expect(records.count == 80 && records.allSatisfy { $0.mayRepeat })
        #expect(Set(records.map(\.value)) == Set(lines))
        let byKey = Dictionary(grouping: records) { $0.key ?? "" }
        #expect(byKey.count == 40)
        for (key, copies) in byKey {
            #expect(copies.count == 2 && copies[0].eventID == copies[1].eventID, "\(key)")
            #expect(copies[0].partition == copies[1].partition, "\(key)")
        }
        let ids = Set(records.compactMap(\.eventID))
        #expect(ids.count == 40 && ids.allSatisfy { $0.hasPrefix("batch-1:") && $0.utf8.count == 40 })
    }

    /// A key makes copies of what is the same, wherever it stands, and of nothing else.
    @Test func anotherLineUnderAUsedKeyIsAnotherEvent() async throws {
        let scene = try IntakeScene()
        try scene.declare("notes", .documents(DocumentsDeclaration()))
        let key = try scene.keys.make(.write)
        let (a, b) = (#"{"id":"a","text":"x"}"#, #"{"id":"b","text":"x"}"#)
        let used = [("Idempotency-Key", String(repeating: "k", count: 200))]
        try await withAPI(scene.fixture()) { port in
            func send(_ method: String, _ path: String, _ body: String) async throws {
                let type = method == "POST" ? IntakeScene.lines : IntakeScene.json
                let reply = try await IntakeScene.send(
                    port, path, body, method: method, key: key, used, type: type)
                #expect(reply.status == 202, "\(reply)")
            }
            try await send("POST", "/documents", a + "\n" + b + "\n" + a)
            // In another order, with a blank line more.
            try await send("POST", "/documents", b + "\n\n" + a)
            try await send("PUT", "/documents/a", #"{"id":"a","text":"y"}"#)
            try await send("DELETE", "/documents/a", "")
        }
        let byValue = Dictionary(grouping: try scene.records("notes"), by: \.value)
        #expect(byValue[b]?.count == 2 && Set(byValue[b]?.map(\.eventID) ?? []).count == 1)
        // What one request says twice is not a copy.
        #expect(byValue[a]?.count == 3 && Set(byValue[a]?.map(\.eventID) ?? []).count == 2)
        let ids = Set(byValue.values.flatMap { $0.compactMap(\.eventID) })
        #expect(byValue.count == 4 && ids.count == 5 && ids.allSatisfy { $0.utf8.count <= 255 })
    }

    @Test func copiesWithoutAnIdMeetInOneTopicPartition() async throws {
        let scene = try IntakeScene()
        try scene.declare("hooks", .webhook(WebhookDeclaration()))
        let key = try scene.keys.make(.write)
        let lines = (1...30).map { #"{"text":"no id \#($0)"}"# }.joined(separator: "\n")
        try await withAPI(scene.fixture()) { port in
            for _ in 0..<2 {
                let reply = try await IntakeScene.send(
                    port, "/ingest/hooks", lines, key: key, [("Idempotency-Key", "once")], type: IntakeScene.lines)
                #expect(reply.status == 202, "\(reply)")
            }
        }
        let copies = Dictionary(grouping: try scene.records("hooks"), by: \.eventID)
        #expect(copies.count == 30 && Set(copies.values.flatMap { $0.map(\.partition) }) == [0, 1])
        for (id, both) in copies {
            #expect(both.count == 2 && both[0].partition == both[1].partition && both[0].key == id, "\(id ?? "")")
        }
    }

    /// Without a key, what is said twice is known by its bytes where documents have versions, and else by nothing.
    @Test func withoutAKeyVersionsDecide() async throws {
        let scene = try IntakeScene()
        try scene.declare("versioned", .webhook(WebhookDeclaration()), hasVersions: true)
        try scene.declare("plain", .webhook(WebhookDeclaration()))
        let key = try scene.keys.make(.write)
        let document = #"{"id":7,"text":"x","meta":{"version":3}}"#
        try await withAPI(scene.fixture()) { port in
            for source in ["versioned", "plain"] {
                for body in [document, document, document + " "] {
                    let reply = try await IntakeScene.send(port, "/ingest/\(source)", body, key: key)
                    #expect(reply.status == 202, "\(reply)")
                }
            }
        }
        let versioned = try scene.records("versioned")
        #expect(versioned.count == 3 && versioned.allSatisfy { $0.key == "7" && $0.mayRepeat })
        #expect(Set(versioned.map(\.eventID)).count == 2 && versioned[0].eventID?.count == 64)
        let plain = try scene.records("plain")
        #expect(plain.count == 3 && plain.allSatisfy { $0.eventID == nil && !$0.mayRepeat })
    }

    /// A body that is wrong, with what is replied: the status, the type, and the lines.
    private struct Refused: Sendable {
        var body: [UInt8]
        var headers: [(String, String)] = []
        var isLines = false
        var status: Int
        var says: [String]

        init(
            _ body: [UInt8], _ status: Int, _ says: String..., headers: [(String, String)] = [], isLines: Bool = false
        ) {
            (self.body, self.headers, self.isLines) = (body, headers, isLines)
            (self.status, self.says) = (status, says)
        }

        init(
            _ text: String, _ status: Int, _ says: String..., headers: [(String, String)] = [], isLines: Bool = false
        ) {
            (body, self.headers, self.isLines) = (Array(text.utf8), headers, isLines)
            (self.status, self.says) = (status, says)
        }
    }

    private static func refusedTexts() -> [Refused] {
        let nested = String(repeating: "[", count: 80) + String(repeating: "]", count: 80)
        let deep = #"{"id":"a","x":\#(nested)}"#
        let long = #"{"id":"a","text":"\#(String(repeating: "x", count: 1_000_000))"}"#
        let broken = "{\"id\":1}\n{\"id\":\n\n{\"id\":3}\nnull"
        let bytes: [UInt8] = [0x7B, 0x22, 0x69, 0x64, 0x22, 0x3A, 0x22, 0xFF, 0xFE, 0x22, 0x7D]
        return [
            Refused("", 422, "validation"), Refused("\n \r\n\t\n", 422, "validation", isLines: true),
            Refused("[1]", 422, "lines_refused", "1 object_type"), Refused("7", 422, "lines_refused", "1 object_type"),
            Refused("{} {}", 422, "lines_refused", "1 json_invalid"),
            Refused(broken, 422, "lines_refused", "2 json_invalid", "5 object_type", isLines: true),
            Refused(bytes, 422, "lines_refused", "1 utf8_invalid", isLines: true),
            Refused(deep, 422, "lines_refused", "1 too_deep"),
            Refused("{\"id\":\"a\u{0}\"}", 422, "lines_refused", "1 json_invalid"),
            Refused(long, 413, "body_too_large", "1 too_large"),
            Refused(String(repeating: "{}\n", count: 10_001), 413, "body_too_large", isLines: true),
            Refused(String(repeating: "\n", count: 100_001), 413, "body_too_large", isLines: true),
            Refused("{}", 422, "validation", headers: [("Idempotency-Key", String(repeating: "k", count: 201))]),
            Refused("{}", 422, "validation", headers: [("Idempotency-Key", "a b")]),
        ]
    }

    private static func refusedPacks() -> [Refused] {
        let bomb = Packing.gzip([UInt8](repeating: 0x20, count: 20 << 20))
        let small = Packing.gzip(Array(#"{"id":"a","text":"\#(String(repeating: "x", count: 200))"}"#.utf8))
        let array = Packing.gzip(Array("[1\(String(repeating: " ", count: 200))]".utf8))
        var spoilt = small
        spoilt[spoilt.count - 6] ^= 0xFF
        let gzip = [("Content-Encoding", "gzip")]
        return [
            Refused("{}", 400, "gzip_invalid", headers: gzip), Refused(spoilt, 400, "gzip_invalid", headers: gzip),
            Refused(Array(small.dropLast(9)), 400, "gzip_invalid", headers: gzip),
            Refused(small + small, 400, "gzip_invalid", headers: gzip),
            Refused(bomb, 413, "body_too_large", headers: gzip, isLines: true),
            Refused("", 400, "gzip_invalid", headers: gzip),
            Refused(Array(small.prefix(5)), 400, "gzip_invalid", headers: gzip),
            Refused(small + [0], 400, "gzip_invalid", headers: gzip),
            // What gzip makes of nothing.
            Refused(
                [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 0xFF, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0], 422, "validation", headers: gzip),
            Refused(array, 422, "lines_refused", "1 object_type", headers: gzip),
            Refused(small, 415, "unsupported_content_encoding", headers: [("Content-Encoding", "br")]),
            Refused(small, 415, "unsupported_content_encoding", headers: [("Content-Encoding", "gzip, gzip")]),
            Refused(small, 415, "unsupported_content_encoding", headers: gzip + gzip),
        ]
    }

    @Test func nothingIsTakenWhereSomethingIsWrong() async throws {
        let scene = try IntakeScene()
        try scene.declare("hooks", .webhook(WebhookDeclaration()))
        let key = try scene.keys.make(.write)
        let fixture = scene.fixture()
        try await withAPI(fixture) { port in
            for (number, one) in (Self.refusedTexts() + Self.refusedPacks()).enumerated() {
                let reply = try await IntakeScene.send(
                    port, "/ingest/hooks", one.body, key: key, one.headers,
                    type: one.isLines ? IntakeScene.lines : IntakeScene.json)
                #expect(reply.status == one.status, "\(number): \(reply)")
                #expect(reply.type == one.says[0], "\(number): \(reply)")
                if one.says.count > 1 { #expect(reply.lines == Array(one.says[1...]), "\(number): \(reply)") }
            }
            let typed = try await IntakeScene.send(port, "/ingest/hooks", "{}", key: key, type: "text/plain")
            #expect(typed.status == 415)
            // Text that JSON lets be an id is the logic's business, and a key of the record as it is.
            let odd = try await IntakeScene.send(
                port, "/ingest/hooks", #"{"id":"a\u0000b"}"# + "\n" + #"{"text":"no id"}"#, key: key,
                type: IntakeScene.lines)
            #expect(odd.status == 202, "\(odd)")
            // More than other endpoints take.
            let large = #"{"id":"large","text":"\#(String(repeating: "x", count: 900_000))"}"#
            #expect(try await IntakeScene.send(port, "/ingest/hooks", large, key: key).status == 202)
            let health = try await IntakeScene.send(port, "/sources", "", method: "GET", key: key)
            let source = health.body["sources"]?[0]
            #expect(source?["phase"]?.string == "listening" && source?["position"]?.integer == 3, "\(health)")
            #expect(source?["connector"]?.string == "webhook" && source?["last_event"]?.string != nil)
            #expect(source?["last_error_at"]?.string != nil && source?["freshness"]?.string == "unknown")
        }
        let records = try scene.records("hooks")
        #expect(Set(records.map(\.key)) == ["a\u{0}b", nil, "large"] && records.count == 3)
    }

    @Test func whoMayNotIsRefusedAndToldOnlyOfHisOwn() async throws {
        let scene = try IntakeScene()
        let acme = try #require(TenantID("acme"))
        try scene.declare("ours", .webhook(WebhookDeclaration()))
        try scene.declare("theirs", .webhook(WebhookDeclaration()), tenant: acme)
        try scene.declare("written", .documents(DocumentsDeclaration()))
        let (reader, writer) = (try scene.keys.make(.read), try scene.keys.make(.write, tenant: .standard))
        try await withAPI(scene.fixture()) { port in
            func status(_ path: String, _ key: String?) async throws -> IntakeScene.Reply {
                try await IntakeScene.send(port, path, #"{"id":1}"#, key: key)
            }
            #expect(try await status("/ingest/ours", nil).status == 401)
            #expect(try await status("/ingest/ours", reader).status == 403)
            #expect(try await status("/ingest/ours", writer).status == 202)
            for path in ["/ingest/theirs", "/ingest/none", "/ingest/written"] {
                let reply = try await status(path, writer)
                #expect(reply.status == 404 && reply.type == "not_found")
                let message = reply.body["error"]?["message"]?.string ?? ""
                #expect(message.contains("ours") && !message.contains("theirs"), "\(message)")
            }
            #expect(try await status("/documents", reader).status == 403)
        }
        #expect(try scene.records("theirs").isEmpty && scene.records("written").isEmpty)
    }

    @Test func aQuotaIsOneSourcesAlone() async throws {
        let scene = try IntakeScene()
        try scene.declare("slow", .webhook(WebhookDeclaration(documentsPerSecond: 1)))
        try scene.declare("fast", .webhook(WebhookDeclaration()))
        let key = try scene.keys.make(.write)
        let lines = (0..<100).map { #"{"id":\#($0)}"# }.joined(separator: "\n")
        try await withAPI(scene.fixture()) { port in
            func send(_ source: String) async throws -> IntakeScene.Reply {
                try await IntakeScene.send(port, "/ingest/\(source)", lines, key: key, type: IntakeScene.lines)
            }
            #expect(try await send("slow").status == 202)
            let refused = try await send("slow")
            #expect(refused.status == 429 && refused.type == "quota_exceeded", "\(refused)")
            let seconds = Int(refused.header("retry-after") ?? "") ?? 0
            #expect((2...100).contains(seconds), "\(seconds)")
            for _ in 0..<3 { #expect(try await send("fast").status == 202) }
        }
        // What was not taken is not paid for.
        let quotas = IntakeQuotas(clock: { 0 })
        for _ in 0..<3 {
            try quotas.take(100, of: "slow", rate: 1)
            #expect(throws: EndpointError.self) { try quotas.take(1, of: "slow", rate: 1) }
            quotas.giveBack(100, of: "slow")
        }
        quotas.giveBack(100, of: "none")
        #expect(try scene.records("slow").count == 100 && scene.records("fast").count == 300)
    }

    @Test func whileTheBrokerIsAwayNothingIsTakenForGiven() async throws {
        let scene = try IntakeScene()
        try scene.declare("hooks", .webhook(WebhookDeclaration()))
        try scene.declare("new", .webhook(WebhookDeclaration()))
        let key = try scene.keys.make(.write)
        try await withAPI(scene.fixture()) { port in
            func send(_ source: String, _ id: Int) async throws -> IntakeScene.Reply {
                try await IntakeScene.send(
                    port, "/ingest/\(source)", #"{"id":\#(id)}"#, key: key, [("Idempotency-Key", "k\(id)")])
            }
            #expect(try await send("hooks", 1).status == 202)
            scene.stopBroker()
            // Of a topic that is known to be there, it may have arrived; of another one nothing was sent.
            let (known, new) = (try await send("hooks", 2), try await send("new", 3))
            #expect(known.status == 503 && ["unconfirmed", "unavailable"].contains(known.type), "\(known)")
            #expect(new.status == 503 && new.type == "unavailable" && new.header("retry-after") == "1", "\(new)")
            let said = "\(known.body)\(new.body)"
            #expect(!said.contains("127.0.0.1"), "\(said)")
            try scene.startBroker()
            // A client that goes on until it is heard.
            for (source, id) in [("hooks", 2), ("new", 3)] {
                try await eventually { try await send(source, id).status == 202 }
            }
        }
        let hooks = try scene.records("hooks")
        #expect(Set(hooks.map { $0.eventID?.prefix(3) }) == ["k1:", "k2:"])
        let new = try scene.records("new")
        #expect(Set(hooks.map(\.eventID)).count == 2 && Set(new.map(\.eventID)).count == 1)
    }

    /// A batch of which a part is in the queue waits for room for the rest.
    @Test func aFullQueueLeavesNoHalfOfABatch() async throws {
        let scene = try IntakeScene { $0.queueMaxRecords = 20 }
        try scene.declare("hooks", .webhook(WebhookDeclaration()))
        let key = try scene.keys.make(.write)
        let lines = (0..<500).map { #"{"id":\#($0)}"# }.joined(separator: "\n")
        try await withAPI(scene.fixture()) { port in
            let reply = try await IntakeScene.send(port, "/ingest/hooks", lines, key: key, type: IntakeScene.lines)
            #expect(reply.status == 202, "\(reply)")
        }
        #expect(try scene.records("hooks").count == 500)
    }

    @Test func shortDocumentsCostWhatTheyHold() throws {
        let room = IntakeRoom()
        let body = Array(String(repeating: "{\"id\":1}\n", count: 10_000).utf8)
        let request = HTTPRequest(
            method: .post, target: "/documents", headers: ["Content-Type": IntakeScene.lines], body: body)
        var shares: [IntakeRoom.Share] = []
        func enter() throws {
            let share = try room.enter(bytes: body.count)
            _ = try IntakeBody(request, idPath: "id", needsID: true, share: share)
            shares.append(share)
        }
        #expect(throws: EndpointError.self) { for _ in 0..<256 { try enter() } }
        #expect((5..<RecordPublisher.Bounds().queueMaxRecords / 10_000).contains(shares.count), "\(shares.count)")
    }

    @Test func theRoomIsBounded() throws {
        let room = IntakeRoom(requestsMax: 2, bytesMax: 100)
        var first: IntakeRoom.Share? = try room.enter(bytes: 60)
        #expect(throws: APIError.self) { try room.enter(bytes: 41) }
        #expect(room.load.requests == 1 && room.load.bytes == 60)
        let second = try room.enter(bytes: 40)
        #expect(throws: APIError.self) { try room.enter(bytes: 0) }
        #expect(throws: APIError.self) { try second.grow(by: 1) }
        first = nil
        try second.grow(by: 60)
        #expect(room.load.requests == 1 && room.load.bytes == 100 && first == nil)
        withExtendedLifetime(second) {}
    }
}
