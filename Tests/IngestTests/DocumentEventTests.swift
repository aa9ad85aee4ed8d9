import Bytes
import IngestTesting
import Logic
import Sources
import Testing

@testable import Ingest

/// What a record of a stream of documents gets, whatever the event is.
@Suite struct DocumentEventTests {
    private static func path(_ text: String) throws -> FieldPath { try #require(FieldPath(text)) }

    private static func scan(
        eventID: String? = nil, time: String? = nil, key: String? = nil, id: String = "page_id",
        version: String? = nil
    ) throws -> DocumentEventScan {
        let mapping = DocumentMapping(
            id: try path(id), version: try version.map { try path($0) }, texts: [try path("comment")],
            time: try path("rev_timestamp"),
            deleted: try path("deleted"))
        return try DocumentEventScan(
            ServerSentEventsDeclaration(
                url: SecretURL("http://h/s"), eventID: try eventID.map { try path($0) },
                eventTime: try time.map { try path($0) }, key: try key.map { try path($0) }),
            DocumentSettings(mapping: mapping))
    }

    /// The facts of each event of a stream.
    private static func facts(_ stream: String, _ scan: DocumentEventScan) throws -> [EventFacts] {
        var parser = EventStreamParser()
        var facts: [EventFacts] = []
        Array(stream.utf8).withUnsafeBytes { bytes in
            parser.push(bytes) { facts.append(scan.scan($0)) }
        }
        return facts
    }

    private static func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    private static let whole =
        #"{"page_id":7,"page_title":"A","rev_timestamp":"2026-01-02T03:04:05Z","meta":{"stream":"s","id":"m-1","dt":"2026-01-02T03:04:06Z"}}"#

    @Test func unlessItIsDeclaredWikimediasPlacesHold() throws {
        let found = try #require(try Self.facts("id: 9\ndata: \(Self.whole)\n\n", try Self.scan()).first)
        #expect(Self.text(found.key) == "7" && Self.text(found.eventID) == "m-1")
        #expect(found.timeMilliseconds == 1_767_323_045_000, "the document's time")
        let declared = try Self.scan(eventID: "page_id", time: "meta.dt", key: "page_title")
        let other = try #require(try Self.facts("data: \(Self.whole)\n\n", declared).first)
        #expect(Self.text(other.key) == "A" && Self.text(other.eventID) == "7")
        #expect(other.timeMilliseconds == 1_767_323_046_000)
    }

    /// An id that an event inherits from an earlier one is not its own, and two events must not become one by it.
    @Test func theStreamsOwnIDStandsInWhereTheEventBringsOne() throws {
        let stream =
            "id: 5\ndata: {\"page_id\":1}\n\ndata: {\"page_id\":2}\n\nid: 5\ndata: {\"page_id\":1}\n\nid\ndata: {}\n\n"
        let found = try Self.facts(stream, try Self.scan())
        let ids = found.map { String(decoding: $0.eventID, as: UTF8.self) }
        #expect(ids[0].hasPrefix("5/") && ids[0].utf8.count == 34 && ids[2] == ids[0])
        #expect(ids[1] == "" && ids[3] == "")
        // Events of one transaction, to which a server gives one id.
        let both = try Self.facts(
            "id: 5\ndata: {\"page_id\":1}\n\nid: 5\ndata: {\"page_id\":2}\n\n", try Self.scan())
        #expect(both[0].eventID != both[1].eventID && both.allSatisfy { !$0.eventID.isEmpty })
        let long = "id: \(String(repeating: "9", count: 223))\ndata: {}\n\n"
        #expect(try Self.facts(long, try Self.scan()).first?.eventID == [])
        // Where a place is declared, nothing stands in for it.
        #expect(try Self.facts(stream, try Self.scan(eventID: "meta.id")).allSatisfy { $0.eventID.isEmpty })
    }

    /// Another stream's `meta.id` may be what an event is about, and the second one about it is no copy of the first.
    @Test func whatAnEventIsAboutIsNoIDOfIt() throws {
        let stream = (1...2).map { #"data: {"meta":{"id":"article-1"},"rev":\#($0)}"# + "\n\n" }.joined()
        for id in ["meta.id", "page_id"] {
            let found = try Self.facts(stream, try Self.scan(id: id))
            #expect(found.count == 2 && found.allSatisfy { $0.eventID.isEmpty })
        }
        // Versions tell that the place is a document's, whatever else the event has.
        let wikimedias = stream.replacing(#""id":"#, with: #""stream":"s","id":"#)
        let versions = try Self.scan(id: "meta.id", version: "rev")
        #expect(try Self.facts(wikimedias, versions).allSatisfy { $0.eventID.isEmpty })
        #expect(
            try Self.facts(wikimedias, try Self.scan(id: "meta.id")).map { Self.text($0.eventID) } == [
                "article-1", "article-1",
            ])
    }

    /// The stream job judges them, with their bytes; here they only lack what they do not tell.
    @Test(arguments: [
        "no JSON", "[1]", "7", "{", #"{"page_id":{},"meta":{"id":[],"dt":7}}"#,
        #"{"page_id":"","meta":{"id":"","dt":"yesterday"}}"#, #"{"page_id":1.5,"meta":"canary"}"#,
        #"{"page_id":"\#(String(repeating: "x", count: 256))","meta":{"id":"\#(String(repeating: "y", count: 256))"}}"#,
        String(repeating: #"{"page_id":"#, count: 200) + "1" + String(repeating: "}", count: 200),
        "{\"page_id\":\"\u{0}\"}",
    ])
    func hostileEventsLackWhatTheyDoNotTell(json: String) throws {
        let found = try #require(try Self.facts("data: \(json)\n\n", try Self.scan()).first)
        #expect(found.key == nil && found.eventID.isEmpty && found.timeMilliseconds == nil)
    }

    @Test func recordsCarryTheFacts() async throws {
        let scene = try ProducerScene()
        let mapping = DocumentMapping(
            id: try Self.path("meta.id"), texts: [try Self.path("x")], deleted: try Self.path("deleted"))
        let stream = ServerSentEventsDeclaration(url: scene.configuration.url, key: try Self.path("title"))
        let settings = DocumentSettings(mapping: mapping)
        let source = ScriptedSource(eventCount: 40, script: [.cut(afterBytes: 2_000), .play], seed: 3)
        try await scene.run(source: source, scan: { try DocumentEventScan(stream, settings) }) {
            source.seen.isPlayedOut && $0.inFlight == 0
        }
        #expect(try scene.content().ids == Array(1...40))
        for record in try scene.content().records {
            let number = try #require(record.headers["sse_id"].flatMap { Int($0) })
            #expect(record.headers["event_id"]?.hasPrefix("\(number)/") == true && record.key == "T\(number % 17)")
            #expect(record.value == ScriptedSource.payload(number))
        }
    }
}
