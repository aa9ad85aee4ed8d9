import Access
import Bytes
import HTTPServer
import PlatformTesting
import Records
import Retrieval
import ServiceLifecycle
import Testing

@testable import API

/// What clients of the stream cost each other.
@Suite struct StreamSharingTests {
    /// Everything is in the topic only: the process has just started, or memory does not reach back.
    private func fill(_ scene: StreamScene, _ count: Int64) {
        for offset in 0..<count { scene.topic.add(Int32(offset % 2), offset / 2) }
        scene.topic.index([0: count / 2, 1: count / 2])
    }

    /// Many clients at once from the beginning, and from here and there: the topic is read about once for all of them.
    @Test func clientsThatCatchUpShareTheReading() async throws {
        let scene = StreamScene()
        let count: Int64 = LongTests.areWanted ? 20_000 : 2_000
        fill(scene, count)
        let clients = 60
        // Where each begins, the same in both topic partitions.
        let places = (0..<clients).map { $0 < 50 ? Int64(0) : Int64($0) * 7 }
        let bodies = try await scene.bodies(
            of: places.map { StreamScene.request(after: FakeTopic.id([0: $0, 1: $0])) },
            frames: places.map { Int(count - 2 * $0) }
        ) {}
        #expect(bodies.prefix(50).allSatisfy { $0 == bodies[0] })
        for (place, body) in zip(places, bodies).dropFirst(49) {
            let frames = SeenFrame.parse(body)
            for partition in 0...1 {
                let got = frames.map(\.document).filter { $0.hasPrefix("\(partition)-") }
                #expect(got == (place..<count / 2).map { "\(partition)-\($0)" }, "from \(place)")
            }
            #expect(frames.last?.id == FakeTopic.id([0: count / 2, 1: count / 2]))
        }
        // The hub's own reader passes everything once, and so does that of the fifty. Each other place may cost a page.
        let read = scene.topic.state.withLock { $0.itemsRead }
        #expect(read <= 2 * Int(count) + 10 * 2_000, "\(read) items were read for \(clients) clients")
        let pages = scene.figure("medallion_api_stream_pages_read_total")
        #expect(pages <= Int(count) / 1_000 + 1 + 2 * 10, "\(pages) pages")
    }

    /// Those who come a little later, one after the other, get the pages that were read before.
    @Test func pagesAreKeptForLaterClients() async throws {
        let scene = StreamScene()
        fill(scene, 2_000)
        _ = try await scene.follow([StreamScene.request(after: "0:0,1:0")], frames: [2_000]) {
            let read = scene.topic.state.withLock { $0.itemsRead }
            for place in [0, 3, 500] as [Int64] {
                let reader = try StreamReader(
                    StreamScene.request(after: FakeTopic.id([0: place, 1: place])), scene.fixture.api)
                try await eventually { reader.frameCount == 2_000 - 2 * Int(place) }
                reader.leave()
                await reader.end()
            }
            // The first client's own reading may not be over when it was looked at.
            #expect(scene.topic.state.withLock { $0.itemsRead } <= read + 2_000)
        }
    }

    @Test func commentsComeWhileAClientCatchesUp() async throws {
        let scene = StreamScene(heartbeatMilliseconds: 30)
        fill(scene, 10)
        scene.topic.state.withLock { $0.isHeld = true }
        _ = try await scene.follow([StreamScene.request()], frames: [0]) {
            let reader = try StreamReader(StreamScene.request(after: "0:0,1:0"), scene.fixture.api)
            try await eventually { reader.text.split(separator: "\n").count { $0 == ": heartbeat" } >= 4 }
            #expect(reader.frameCount == 0)
            scene.topic.state.withLock { $0.isHeld = false }
            try await eventually { reader.frameCount == 10 }
            reader.leave()
        }
    }

    /// Hundreds of text filters: each text is made lower case once, by a client's task; the lane looks at none.
    @Test func textFiltersCostTheirClients() async throws {
        let scene = StreamScene()
        let filters = LongTests.areWanted ? 3_000 : 300
        let requests =
            [StreamScene.request()]
            + (0..<filters).map { StreamScene.request([("text", "TEXT \($0 % 20)"), ("type", "edit,new")]) }
        let wanted = (0..<filters).map { number in
            (0..<20).filter { "some text \($0)!".contains("text \(number % 20)") }.map { "0-\($0)" }
        }
        let before = FoldedText.folds.load(ordering: .relaxed)
        let seen = try await scene.follow(requests, frames: [20] + wanted.map(\.count)) {
            for offset in 0..<20 as Range<Int64> {
                scene.topic.add(0, offset, text: "Some text \(offset)!")
                scene.topic.index([0: offset + 1])
            }
        }
        #expect(seen[0].map(\.document) == (0..<20).map { "0-\($0)" })
        #expect(seen.dropFirst().map { $0.map(\.document) } == wanted)
        #expect(FoldedText.folds.load(ordering: .relaxed) - before == 20)
    }

    /// A topic that cannot be read for a moment ends nobody's stream.
    @Test func aFailureWhileCatchingUpIsTriedAgain() async throws {
        let scene = StreamScene(heartbeatMilliseconds: 30)
        fill(scene, 10)
        let seen = try await scene.follow([StreamScene.request()], frames: [1]) {
            scene.topic.state.withLock { $0.failures = 5 }
            let reader = try StreamReader(StreamScene.request(after: "0:0,1:0"), scene.fixture.api)
            try await eventually { reader.frameCount == 10 }
            scene.topic.add(0, 5)
            scene.topic.index([0: 6, 1: 5])
            try await eventually { reader.frameCount == 11 }
            reader.leave()
        }
        #expect(seen[0].map(\.document) == ["0-5"])
    }

    /// Whichever vector a client comes with, halving finds the first entry that it lacks.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func theFirstEntryThatIsLackingIsFound(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var recent = RecentEvents(from: OffsetVector([0: 5, 1: 9]), countMax: 50, bytesMax: 1 << 20)
        var end = recent.start
        var entries: [StreamEntry] = []
        for _ in 0..<Int.random(in: 0..<4_000, using: &random) {
            let partition = Int32.random(in: 0...1, using: &random)
            end[partition] += Int64.random(in: 1...3, using: &random)
            let event = TopicEvent(
                generation: 1, partition: partition, offset: end[partition] - 1, line: [],
                attributes: AttributeList(), text: "")
            entries.append(StreamEntry(.event(event), end: end, id: nil))
            recent.append(entries[entries.count - 1])
        }
        for _ in 0..<50 {
            let seen = OffsetVector([
                0: end[0] - Int64.random(in: -2...60, using: &random),
                1: end[1] - Int64.random(in: -2...60, using: &random),
            ])
            guard let number = recent.number(after: seen) else {
                #expect(!seen.covers(recent.start))
                continue
            }
            let slice = recent.slice(from: number, countMax: 1_000, bytesMax: .max)
            let first = entries.firstIndex { $0.item.next > seen[$0.item.partition] } ?? entries.count
            #expect(number == first)
            #expect(slice?.entries.count == entries.count - first && slice?.next == entries.count)
        }
        #expect(recent.slice(from: -1, countMax: 1, bytesMax: 1) == nil)
    }

    @Test(arguments: [true, false]) func aCallerMayHaveSoManyStreams(isKey: Bool) async throws {
        let keys = TestKeys()
        let key = try keys.make(.read)
        let scene = StreamScene()
        let fixture = APIFixture(
            streamsPerKeyMax: 2, streamsPerAddressMax: 3, events: scene.hub, readKeys: keys.read)
        fixture.api.access.use(KeyRing(keys.read()))
        let address = try #require(IPAddress("192.0.2.7"))
        let other = try #require(IPAddress("192.0.2.8"))
        func request(_ address: IPAddress, withKey: Bool) -> HTTPRequest {
            HTTPRequest(target: "/stream", headers: withKey ? ["X-API-Key": key] : [:], client: address)
        }
        let limit = isKey ? 2 : 3
        _ = try await scene.follow([], frames: []) {
            let open = try (0..<limit).map { _ in try StreamReader(request(address, withKey: isKey), fixture.api) }
            try await eventually { scene.clients == limit }
            let refused = await fixture.reply(request(isKey ? other : address, withKey: isKey))
            #expect(refused.status == 429 && refused.headers["Retry-After"] != nil)
            #expect(String(decoding: refused.body, as: UTF8.self).contains("too_many_streams"))
            // Others are not concerned.
            let free = try StreamReader(request(other, withKey: false), fixture.api)
            try await eventually { scene.clients == limit + 1 }
            for reader in open { reader.leave() }
            try await eventually { scene.clients == 1 }
            // Those who left made room.
            let again = try StreamReader(request(address, withKey: isKey), fixture.api)
            try await eventually { scene.clients == 2 }
            again.leave()
            free.leave()
        }
    }
}
