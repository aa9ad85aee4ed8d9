import Bytes
import Foundation
import HTTPServer
import JSONScan
import Records
import ServiceLifecycle
import Telemetry
import Testing

@testable import API

/// `GET /stream` over a topic in memory.
@Suite struct StreamTests {
    private let scene = StreamScene()
    private var topic: FakeTopic { scene.topic }

    @Test func eventsComeWhenTheyAreSearchableAndFiltersNarrow() async throws {
        let seen = try await scene.follow(
            [
                StreamScene.request(), StreamScene.request([("wiki", "dewiki,frwiki")]),
                StreamScene.request([("is_bot", "true")]), StreamScene.request([("type", "new"), ("text", "TEXT 3")]),
            ], frames: [5, 1, 1, 1]
        ) {
            for offset in 0..<6 {
                topic.add(0, Int64(offset), wiki: offset == 2 ? "dewiki" : "enwiki", isBot: offset == 4)
            }
            // The sixth is in the topic and not yet in the index.
            topic.index([0: 5])
            try await scene.given(5)
        }
        func expected(_ offsets: ClosedRange<Int64>) -> [[String]] {
            offsets.map { [FakeTopic.id([0: $0 + 1]), "event", "0-\($0)"] }
        }
        let found = seen.map { $0.map { [$0.id, $0.name, $0.document] } }
        #expect(found == [expected(0...4), expected(2...2), expected(4...4), expected(3...3)])
    }

    @Test func aStreamIsOneToHTTPAsWell() async throws {
        _ = try await scene.follow([], frames: []) {
            let asked = Task { await scene.fixture.reply(HTTPRequest(target: "/stream")) }
            try await eventually { scene.clients == 1 }
            asked.cancel()
            let reply = await asked.value
            #expect(reply.status == 200 && reply.headers["Content-Type"] == "text/event-stream")
            #expect(String(decoding: reply.body, as: UTF8.self) == ": heartbeat\n\n")
        }
    }

    /// Two topic partitions interleaved in any way, repeats after a crash, a second generation, a client that breaks off
    /// anywhere and comes back to this process or another one: each event once and in its topic partition's order.
    @Test(arguments: 1...6 as ClosedRange<UInt64>) func resumesWithoutGapOrRepeat(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        var next: [Int64] = [0, 0]
        for _ in 0..<30 {
            let partition = Int.random(in: 0...1, using: &random)
            let from = max(0, next[partition] - Int64.random(in: 0...3, using: &random))
            let to = next[partition] + Int64.random(in: 1...4, using: &random)
            for generation in [1, 2] as [Int64] {
                for offset in from..<to { topic.add(Int32(partition), offset, generation: generation) }
            }
            next[partition] = to
        }
        // The index is part of the way at the start: what is below is in the topic only.
        let start = [Int32(0): next[0] / 2, 1: next[1] / 3]
        topic.index(start)
        let seen = [
            Int32(0): Int64.random(in: 0...next[0], using: &random), 1: Int64.random(in: 0...next[1], using: &random),
        ]
        // The form of old, too.
        let last = seed.isMultiple(of: 2) ? FakeTopic.id(seen) : "0:\(seen[0] ?? 0),1:\(seen[1] ?? 0)"
        let end = [Int32(0): next[0], 1: next[1]]
        let missed = [0, 1].map { Int((end[$0] ?? 0) - (seen[$0] ?? 0)) }.reduce(0, +)
        let events = try await scene.follow([StreamScene.request(after: last)], frames: [missed]) {
            topic.index(end)
        }[0]
        for partition in [Int32(0), 1] {
            let got = events.map(\.document).filter { $0.hasPrefix("\(partition)-") }
            let from = seen[partition] ?? 0
            #expect(got == (from..<(end[partition] ?? 0)).map { "\(partition)-\($0)" }, "partition \(partition)")
        }
        // Ids never go back, so that whichever was the last one seen is the place to go on.
        var position = OffsetVector(seen)
        for event in events {
            let id = StreamID(text: event.id)?.vector ?? OffsetVector()
            #expect(id.covers(position), "\(event)")
            position = id
        }
    }

    @Test func aFailureIsTriedAgainAndNothingIsLost() async throws {
        topic.state.withLock { $0.failures = 2 }
        let seen = try await scene.follow([StreamScene.request()], frames: [3]) {
            for offset in 0..<3 { topic.add(0, Int64(offset)) }
            topic.index([0: 3])
            topic.state.withLock { $0.failures = 1 }
        }
        #expect(seen[0].map(\.document) == ["0-0", "0-1", "0-2"])
    }

    @Test func thereIsABoundOfStreams() async throws {
        let fixture = APIFixture(streamsMax: 2, events: scene.hub)
        _ = try await scene.follow([], frames: []) {
            let readers = try (0..<2).map { _ in try StreamReader(StreamScene.request(), fixture.api) }
            try await eventually { scene.clients == 2 }
            #expect(await fixture.reply(StreamScene.request()).status == 503)
            for reader in readers { reader.leave() }
            try await eventually { scene.clients == 0 }
            let again = try StreamReader(StreamScene.request(), fixture.api)
            try await eventually { scene.clients == 1 }
            again.leave()
        }
    }

    @Test func withoutAHubTheStreamSaysSo() async {
        let reply = await APIFixture().reply(HTTPRequest(target: "/stream"))
        #expect(reply.status == 503)
        let early = await scene.fixture.reply(HTTPRequest(target: "/stream"))
        #expect(early.status == 503, "nothing was read yet")
    }
}

@Suite struct AnswerStreamTests {
    @Test func tokensThenCitationsThenDone() async throws {
        let fixture = APIFixture()
        fixture.fill()
        let body = #"{"query": "who repainted the golden gate bridge towers?"}"#
        let streamed = await fixture.reply(
            APIFixture.posting("/answer", body, ["Accept": "text/event-stream"]))
        let whole = await fixture.reply(APIFixture.posting("/answer", body))
        #expect(streamed.headers["Content-Type"] == "text/event-stream")
        var events: [(name: String, data: JSONValue)] = []
        for frame in String(decoding: streamed.body, as: UTF8.self).components(separatedBy: "\n\n") where !frame.isEmpty
        {
            let lines = frame.split(separator: "\n")
            let data = try JSONValue.parse(Array(lines[1].dropFirst(6).utf8))
            events.append((String(lines[0].dropFirst(7)), data))
        }
        let reply = try JSONValue.parse(whole.body)
        #expect(events.map(\.name).suffix(2) == ["citations", "done"])
        #expect(events.dropLast(2).allSatisfy { $0.name == "token" })
        let text = events.dropLast(2).compactMap { $0.data["text"]?.string }.joined()
        let sentences = reply["sentences"]?.array?.compactMap { $0["text"]?.string } ?? []
        #expect(text == sentences.map { $0 + " " }.joined())
        let citations = events[events.count - 2].data
        #expect(citations["sentences"] == reply["sentences"])
        #expect(citations["citations"]?[0]?["doc_id"]?.string == "d-bridge")
        let done = events[events.count - 1].data
        #expect(done["refused"]?.bool == false && done["answer_id"]?.string?.hasPrefix("ans_") == true)
        #expect(fixture.index.state.withLock { $0.answers.count } == 2, "both are kept")
    }

    @Test func aFaultBeforeTheFirstTokenIsAPlainReply() async throws {
        let reply = await APIFixture(isAnswerEnabled: false).reply(
            APIFixture.posting("/answer", #"{"query": "x"}"#, ["Accept": "text/event-stream"]))
        #expect(reply.status == 503 && reply.headers["Content-Type"] == "application/json")
    }
}
