import Bytes
import Foundation
import HTTPServer
import JSONScan
import SearchAPI
import ServiceLifecycle
import Telemetry
import Testing

/// `GET /stream` over a topic in memory.
@Suite struct StreamTests {
    private let topic = FakeTopic()
    private let metrics = MetricsRegistry()
    private let hub: EventHub
    private let fixture: APIFixture

    init() {
        let topic = self.topic
        hub = EventHub(
            topic: topic, indexed: { topic.state.withLock { $0.indexed } }, metrics: metrics,
            logger: Logger("stream", level: .error))
        fixture = APIFixture(events: hub)
    }

    /// An event as a client sees it.
    struct Seen: Equatable {
        var id: String
        var document: String
    }

    private func parse(_ body: [UInt8]) -> [Seen] {
        String(decoding: body, as: UTF8.self).components(separatedBy: "\n\n").compactMap { frame in
            var (id, document) = ("", "")
            for line in frame.split(separator: "\n") {
                if line.hasPrefix("id: ") { id = String(line.dropFirst(4)) }
                if line.hasPrefix("data: ") {
                    document = (try? JSONValue.parse(Array(line.dropFirst(6).utf8)))?["doc_id"]?.string ?? "?"
                }
            }
            return document.isEmpty ? nil : Seen(id: id, document: document)
        }
    }

    /// Runs the hub while `feed` adds to topic and index; gives what each request saw.
    private func follow(
        _ requests: [HTTPRequest], first: Int = 0, feed: () -> Void, until count: Int
    ) async -> [HTTPResponse] {
        let stop = StopSignal()
        let running = Task { await hub.run(stop: stop) }
        while topic.state.withLock({ $0.opened }) == 0 { sleepMilliseconds(1) }
        if first > 0 { await wait(for: first) }
        let asked = requests.map { request in Task { await fixture.reply(request) } }
        try? await eventually { clients >= requests.count }
        feed()
        await wait(for: count)
        stop.request()
        await running.value
        var replies: [HTTPResponse] = []
        for task in asked { replies.append(await task.value) }
        return replies
    }

    private var clients: Int { figure("medallion_api_stream_clients") }

    private func figure(_ name: String) -> Int {
        String(decoding: metrics.render(), as: UTF8.self).split(separator: "\n").first { $0.hasPrefix(name + " ") }
            .flatMap { Int($0.dropFirst(name.count + 1)) } ?? 0
    }

    /// Events given out by the hub, whoever takes them.
    private func wait(for count: Int) async {
        try? await eventually { figure("medallion_api_stream_events_total") >= count }
    }

    @Test func eventsComeWhenTheyAreSearchableAndFiltersNarrow() async {
        let replies = await follow(
            [
                HTTPRequest(target: "/stream"), HTTPRequest(target: "/stream?wiki=dewiki,frwiki"),
                HTTPRequest(target: "/stream?bot=true"), HTTPRequest(target: "/stream?type=new&text=TEXT%203"),
            ],
            feed: {
                for offset in 0..<6 {
                    topic.add(
                        0, Int64(offset), wiki: offset == 2 ? "dewiki" : "enwiki", isBot: offset == 4)
                }
                // The sixth is in the topic and not yet in the index.
                topic.index([0: 5])
            }, until: 5)
        #expect(replies.allSatisfy { $0.status == 200 && $0.headers["Content-Type"] == "text/event-stream" })
        #expect(parse(replies[0].body).map(\.document) == ["0-0", "0-1", "0-2", "0-3", "0-4"])
        #expect(parse(replies[0].body).map(\.id) == ["0:1", "0:2", "0:3", "0:4", "0:5"])
        #expect(parse(replies[1].body) == [Seen(id: "0:3", document: "0-2")])
        #expect(parse(replies[2].body) == [Seen(id: "0:5", document: "0-4")])
        #expect(parse(replies[3].body) == [Seen(id: "0:4", document: "0-3")])
        #expect(String(decoding: replies[0].body, as: UTF8.self).contains(": heartbeat\n\n"))
    }

    /// Two topic partitions interleaved in any way, repeats after a crash, a second generation, a client that breaks off
    /// anywhere and comes back to this process or another one: each event once and in its topic partition's order.
    @Test(arguments: 1...6 as ClosedRange<UInt64>) func resumesWithoutGapOrRepeat(seed: UInt64) async {
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
        let last = "0:\(seen[0] ?? 0),1:\(seen[1] ?? 0)"
        let total = [0, 1].map { Int(next[$0] - (start[Int32($0)] ?? 0)) }.reduce(0, +)
        let end = [Int32(0): next[0], 1: next[1]]
        let replies = await follow(
            [HTTPRequest(target: "/stream", headers: ["Last-Event-ID": last])], feed: { topic.index(end) },
            until: total)
        let events = parse(replies[0].body)
        for partition in [Int32(0), 1] {
            let got = events.map(\.document).filter { $0.hasPrefix("\(partition)-") }
            let from = seen[partition] ?? 0
            #expect(got == (from..<(end[partition] ?? 0)).map { "\(partition)-\($0)" }, "partition \(partition)")
        }
        // Ids never go back, so that whichever was the last one seen is the place to go on.
        var position = OffsetVector(seen)
        for event in events {
            let id = OffsetVector(text: event.id) ?? OffsetVector()
            #expect(id.covers(position), "\(event)")
            position = id
        }
    }

    @Test func aFailureIsTriedAgainAndNothingIsLost() async {
        topic.state.withLock { $0.failures = 2 }
        let replies = await follow(
            [HTTPRequest(target: "/stream?x=1"), HTTPRequest(target: "/stream")].suffix(1).map { $0 },
            feed: {
                for offset in 0..<3 { topic.add(0, Int64(offset)) }
                topic.index([0: 3])
                topic.state.withLock { $0.failures = 1 }
            }, until: 3)
        #expect(parse(replies[0].body).map(\.document) == ["0-0", "0-1", "0-2"])
    }

    @Test(arguments: ["x", "0", "0:", "0:1,0:2", "0:-1", "-1:1", "0:1,", "a:b", "0:99999999999999999999"])
    func aWrongIDIsRefused(id: String) async {
        let reply = await fixture.reply(HTTPRequest(target: "/stream", headers: ["Last-Event-ID": id]))
        #expect(reply.status == 422)
    }

    @Test func anIdKeepsWhatATopicMayHave() {
        let known = OffsetVector([0: 5, 2: 7])
        #expect(OffsetVector([0: 1, 5: 2, 900: 3]).limited(by: known) == OffsetVector([0: 1, 5: 2]))
        // Numbers of topic partitions come from records' headers.
        let seen = OffsetVector([0: 1, .max: 2])
        #expect(seen.limited(by: OffsetVector([.max: 1])) == seen)
    }

    @Test func thereIsABoundOfStreams() async {
        let fixture = APIFixture(streamsMax: 2, events: hub)
        let stop = StopSignal()
        let running = Task { await hub.run(stop: stop) }
        while topic.state.withLock({ $0.opened }) == 0 { sleepMilliseconds(1) }
        let first = (0..<2).map { _ in Task { await fixture.reply(HTTPRequest(target: "/stream")) } }
        try? await eventually { clients >= 2 }
        let third = await fixture.reply(HTTPRequest(target: "/stream"))
        #expect(third.status == 503)
        stop.request()
        await running.value
        for task in first { #expect(await task.value.status == 200) }
    }

    @Test func withoutAHubTheStreamSaysSo() async {
        let reply = await APIFixture().reply(HTTPRequest(target: "/stream"))
        #expect(reply.status == 503)
        let early = await fixture.reply(HTTPRequest(target: "/stream"))
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
