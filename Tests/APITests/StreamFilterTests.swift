import Bytes
import HTTPServer
import JSONScan
import Testing

@testable import API

/// `/stream` and `/events/recent` take the same filters by the same names.
@Suite struct StreamFilterTests {
    /// Each filter, and which of the five events below pass it.
    private static let filters: [(name: String, value: String, passing: [Int])] = [
        ("wiki", "dewiki,frwiki", [1, 2]), ("lang", "de", [1]), ("type", "new", [1, 3]),
        ("namespace", "4,10", [3, 4]),
        ("namespace", "-1", []), ("is_bot", "true", [2]), ("collection", "other", [4]),
        ("text", "GOLDEN gate", [0, 4]),
        ("text", "ÄRGER", [3]),
    ]

    @Test(arguments: filters.indices) func bothEndpointsPassTheSame(filter: Int) async throws {
        let (name, value, passing) = Self.filters[filter]
        let scene = StreamScene()
        let texts = ["The Golden Gate", "Lake", "River", "ärger", "a golden gate"]
        let wikis = ["enwiki", "dewiki", "frwiki", "enwiki", "enwiki"]
        let languages = ["en", "de", "fr", "en", "en"]
        let collections = ["changes", "changes", "changes", "changes", "other"]
        let namespaces: [Int64?] = [0, 0, nil, 4, 10]
        let seen = try await scene.follow([StreamScene.request([(name, value)])], frames: [passing.count]) {
            for number in 0..<5 {
                scene.topic.add(
                    0, Int64(number), wiki: wikis[number], isBot: number == 2, text: texts[number],
                    language: languages[number], namespace: namespaces[number], collection: collections[number])
                scene.fixture.index.add(
                    "0-\(number)", title: texts[number], comment: "", wiki: wikis[number],
                    language: languages[number], type: number.isMultiple(of: 2) ? "edit" : "new",
                    isBot: number == 2, namespace: namespaces[number], collection: collections[number])
            }
            scene.topic.index([0: 5])
            try await scene.given(5)
        }
        let wanted = passing.map { "0-\($0)" }
        #expect(seen[0].map(\.document) == wanted)
        let (status, reply) = await scene.fixture.get(.recent, [(name, value)])
        #expect(status == 200)
        #expect(reply["events"]?.array?.compactMap { $0["doc_id"]?.string } == wanted.reversed())
    }

    @Test func theDocumentNamesTheSameFilters() throws {
        let document = SearchAPI.openAPI(of: APIFixture().api.endpoints()).json
        func names(_ path: String) -> [String] {
            document["paths"]?[path]?["get"]?["parameters"]?.array?.compactMap { $0["name"]?.string } ?? []
        }
        let shared = ["wiki", "lang", "type", "namespace", "is_bot", "collection", "text", "filter"]
        #expect(names("/stream").prefix(8) == shared[...])
        #expect(names("/events/recent").suffix(9) == shared + ["Medallion-Tenant"])
    }

    @Test func theFormerNameOfIsBotStays() async throws {
        let scene = StreamScene()
        let requests = [[("bot", "true")], [("bot", "true"), ("is_bot", "true")]].map { StreamScene.request($0) }
        let seen = try await scene.follow(requests, frames: [1, 1]) {
            for offset in 0..<2 { scene.topic.add(0, Int64(offset), isBot: offset == 1) }
            scene.topic.index([0: 2])
        }
        #expect(seen.map { $0.map(\.document) } == [["0-1"], ["0-1"]])
        let reply = await scene.fixture.reply(StreamScene.request([("bot", "true"), ("is_bot", "false")]))
        #expect(reply.status == 422 && String(decoding: reply.body, as: UTF8.self).contains("is_bot"))
    }

    /// What a client does not want moves its id nevertheless, once for each move and without an event.
    @Test func whatIsLeftOutMovesTheID() async throws {
        let scene = StreamScene(heartbeatMilliseconds: 20)
        for offset in 0..<2 as Range<Int64> { scene.topic.add(0, offset) }
        scene.topic.index([0: 2])
        func ids(_ reader: StreamReader) -> [String] {
            reader.text.split(separator: "\n").filter { $0.hasPrefix("id: ") }.map { String($0.dropFirst(4)) }
        }
        _ = try await scene.follow([], frames: []) {
            let filter = [(name: "wiki", value: "dewiki")]
            let fromNow = try StreamReader(StreamScene.request(filter), scene.fixture.api)
            // It catches up from the topic.
            let fromStart = try StreamReader(
                StreamScene.request(after: FakeTopic.id([0: 0]), filter), scene.fixture.api)
            let all = try StreamReader(StreamScene.request(after: FakeTopic.id([0: 2])), scene.fixture.api)
            let readers = [fromNow, fromStart, all]
            try await eventually { [fromNow, fromStart].allSatisfy { ids($0) == [FakeTopic.id([0: 2])] } }
            for offset in 2..<5 as Range<Int64> { scene.topic.add(0, offset) }
            scene.topic.index([0: 5])
            try await eventually { readers.allSatisfy { ids($0).last == FakeTopic.id([0: 5]) } }
            scene.topic.add(0, 5, wiki: "dewiki")
            scene.topic.index([0: 6])
            try await eventually { readers.allSatisfy { ids($0).last == FakeTopic.id([0: 6]) } }
            let beats = readers.map(\.heartbeatCount)
            try await eventually { zip(readers, beats).allSatisfy { $0.heartbeatCount >= $1 + 3 } }
            for reader in [fromNow, fromStart] {
                #expect(reader.text.contains("\n\nid: \(FakeTopic.id([0: 5]))\n\n"), "a frame without data")
                #expect(ids(reader).filter { $0 == FakeTopic.id([0: 5]) }.count == 1)
                #expect(SeenFrame.parse(reader.body).map(\.document) == ["0-5"])
            }
            #expect(ids(all) == (3...6).map { FakeTopic.id([0: $0]) }, "events' own ids are enough")
            for reader in readers {
                reader.leave()
                await reader.end()
            }
        }
    }

    /// A filter that lets little through looks at a bounded number of documents, and the cursor goes on behind them.
    @Test func aRareTextIsFoundOverPages() async throws {
        let fixture = APIFixture()
        for number in 0..<1_200 {
            fixture.index.add("d-\(number)", title: number % 400 == 7 ? "Needle" : "Hay", comment: "")
        }
        var (found, cursor, pages): ([String], String?, Int) = ([], nil, 0)
        repeat {
            let (status, page) = await fixture.get(
                .recent, [("text", "needle"), ("limit", "2")] + (cursor.map { [("cursor", $0)] } ?? []))
            #expect(status == 200)
            found += page["events"]?.array?.compactMap { $0["doc_id"]?.string } ?? []
            cursor = page["next_cursor"]?.string
            pages += 1
        } while cursor != nil && pages < 20
        #expect(found == ["d-807", "d-407", "d-7"])
        #expect(pages >= 3 && pages < 8)
    }
}

/// Data that others wrote never begins a frame.
@Suite struct EventFrameTests {
    @Test(arguments: ["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n", "\n\r"])
    func aLineEndInDataBeginsNoFrame(end: String) async throws {
        let scene = StreamScene()
        let hostile = "{\"doc_id\":\"0-0\",\(end)event: reset\(end)id: e9;source/0:9\(end)data: {}\(end)\"a\":1}"
        // Not JSON here, which only shows that bytes are never taken for fields.
        let spread = "{\"doc_id\":\(end)\"0-1\",\(end)\"list\":[1,\(end)2]}"
        let frames = try await scene.follow([StreamScene.request()], frames: [2]) {
            scene.topic.add(0, 0, line: hostile)
            scene.topic.add(0, 1, line: spread)
            scene.topic.index([0: 2])
            try await scene.given(2)
        }[0]
        #expect(frames.map(\.name) == ["event", "event"])
        #expect(frames.map(\.id) == [FakeTopic.id([0: 1]), FakeTopic.id([0: 2])])
        #expect(try JSONValue.parse(Array(spread.utf8)) == frames[1].data)
        func isNoLineEnd(_ byte: UInt8) -> Bool { byte != 0x0A && byte != 0x0D }
        #expect(frames[0].text.utf8.filter(isNoLineEnd) == hostile.utf8.filter(isNoLineEnd))
    }
}
