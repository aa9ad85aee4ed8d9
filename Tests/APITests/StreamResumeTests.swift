import Bytes
import HTTPServer
import JSONScan
import Records
import Testing

@testable import API

/// What a client is told whose id does not fit, or asks for what is gone, and where the stream goes on.
@Suite struct StreamResumeTests {
    private let scene = StreamScene(logMilliseconds: 100)

    private func feed(_ partition: Int32, _ offsets: Range<Int64>) {
        for offset in offsets { scene.topic.add(partition, offset) }
    }

    @Test(arguments: ["e2;source/0:5", "e2;source/0:99,source/1:99", "e1;other/0:5", "e2;", "e1;other/0:1,source/0:1"])
    func anIDOfAnotherLogIsSaidAndTheStreamGoesOn(id: String) async throws {
        feed(0, 0..<10)
        scene.topic.index([0: 10])
        let seen = try await scene.follow([StreamScene.request(after: id), StreamScene.request()], frames: [4, 3]) {
            feed(0, 10..<13)
            scene.topic.index([0: 13])
            try await scene.given(3)
        }
        let frames = seen[0]
        #expect(frames.map(\.name) == ["reset", "event", "event", "event"])
        let reset = try #require(frames.first)
        #expect(reset.id.isEmpty)
        #expect(reset.data["reason"]?.string == "other_log")
        #expect(reset.data["continues_id"]?.string == FakeTopic.id([0: 10]))
        #expect(reset.data["oldest_id"]?.string == FakeTopic.id([0: 0]))
        #expect(frames.dropFirst().map(\.id) == (11...13).map { FakeTopic.id([0: $0]) })
        #expect(seen[1] == Array(frames.dropFirst()))
    }

    @Test(arguments: ["0:99999999,1:99999999", "e1;source/0:99999999,source/1:99999999"])
    func anIDAheadOfTheLogIsSaidAndTheStreamGoesOn(id: String) async throws {
        feed(0, 0..<4)
        feed(1, 0..<6)
        scene.topic.index([0: 4, 1: 6])
        let frames = try await scene.follow([StreamScene.request(after: id)], frames: [5]) {
            feed(0, 4..<6)
            feed(1, 6..<8)
            scene.topic.index([0: 6, 1: 8])
            try await scene.given(4)
        }[0]
        #expect(frames.map(\.name) == ["reset"] + Array(repeating: "event", count: 4))
        #expect(frames[0].data["reason"]?.string == "ahead")
        #expect(frames[0].data["partitions"]?.array?.compactMap { $0["wanted"]?.integer } == [99_999_999, 99_999_999])
        #expect(frames[0].data["partitions"]?.array?.compactMap { $0["available"]?.integer } == [4, 6])
        #expect(frames.last?.id == FakeTopic.id([0: 6, 1: 8]))
    }

    /// The second client asks while the answer for the first is on its way: it is told at once, too, and not after its
    /// patience is over.
    @Test func whoAsksDuringAQuestionIsAnsweredByTheNext() async throws {
        let scene = StreamScene(heartbeatMilliseconds: 30, logMilliseconds: 3_600_000)
        scene.topic.add(0, 0)
        scene.topic.index([0: 1])
        _ = try await scene.follow([], frames: []) {
            defer { scene.topic.state.withLock { $0.isLogHeld = false } }
            let before = scene.topic.state.withLock { state in
                state.isLogHeld = true
                return state.logQuestions
            }
            let request = StreamScene.request(after: FakeTopic.id([0: 99]))
            let first = try StreamReader(request, scene.fixture.api)
            try await eventually { scene.topic.state.withLock { $0.logQuestions } > before }
            let second = try StreamReader(request, scene.fixture.api)
            // Long enough for it to ask. Should it not have, there is nothing to be seen, and no harm.
            try await Task.sleep(for: .milliseconds(200))
            scene.topic.state.withLock { $0.isLogHeld = false }
            for reader in [first, second] {
                try await eventually { reader.frameCount >= 1 }
                #expect(reader.text.hasPrefix(": heartbeat\n\nevent: reset\n"), "the first that it hears")
                reader.leave()
                await reader.end()
            }
        }
    }

    /// What comes while a question is under way is a question of its own.
    @Test func aWishIsTakenOnce() {
        let state = HubState()
        state.askForLog()
        #expect(state.takeLogWish() && !state.takeLogWish())
        state.askForLog()
        _ = state.note(nil, askedAt: 1, given: OffsetVector())
        #expect(state.takeLogWish())
    }

    /// The other topic partitions go on where the client was; one that is not there is dropped from its ids.
    @Test func oneTopicPartitionAheadIsTakenBackAlone() async throws {
        feed(0, 0..<4)
        feed(1, 0..<6)
        scene.topic.index([0: 4, 1: 6])
        let request = StreamScene.request(after: "e1;source/0:50,source/1:3,source/7:2")
        let frames = try await scene.follow([request], frames: [5]) {
            // Only when the client has what it missed.
            try await eventually { scene.figure("medallion_api_stream_pages_read_total") > 0 }
            feed(0, 4..<5)
            scene.topic.index([0: 5, 1: 6])
            try await scene.given(1)
        }[0]
        #expect(frames.first?.data["partitions"]?.array?.compactMap { $0["partition"]?.integer } == [0, 7])
        #expect(frames.first?.data["partitions"]?[1]?["available"]?.isNull == true)
        #expect(frames.dropFirst().map(\.document) == ["1-3", "1-4", "1-5", "0-4"])
        #expect(frames.last?.id == FakeTopic.id([0: 5, 1: 6]))
    }

    /// Another process may be ahead: what lies below the log's end is no fault, and neither is what nobody knows.
    @Test(arguments: [true, false]) func aLittleAheadOfThisProcessIsNotAheadOfTheLog(tellsEnds: Bool) async throws {
        feed(0, 0..<8)
        scene.topic.index([0: 4])
        scene.topic.state.withLock { $0.tellsEnds = tellsEnds }
        let frames = try await scene.follow([StreamScene.request(after: FakeTopic.id([0: 6]))], frames: [2]) {
            scene.topic.index([0: 8])
            try await scene.given(4)
        }[0]
        #expect(frames.map(\.name) == ["event", "event"])
        #expect(frames.map(\.document) == ["0-6", "0-7"])
    }

    /// What retention deleted, to the client that asks for it; nothing to one that was further.
    @Test func whatIsGoneIsSaid() async throws {
        scene.topic.addGap(.expired, 0, 0..<5)
        feed(0, 5..<8)
        scene.topic.state.withLock { $0.openGaps = [1: .expired] }
        scene.topic.index([0: 8, 1: 4])
        let seen = try await scene.follow(
            [StreamScene.request(after: "0:2,1:0"), StreamScene.request(after: FakeTopic.id([0: 6, 1: 4]))],
            frames: [5, 2]
        ) { try await scene.told("expired", times: 2) }
        let frames = seen[0]
        #expect(frames.map(\.name) == ["gap", "event", "event", "event", "gap"])
        func numbers(_ frame: SeenFrame) -> [Int64?] {
            ["partition", "wanted", "available", "missing"].map { frame.data[$0]?.integer }
        }
        #expect(numbers(frames[0]) == [0, 2, 5, 3])
        #expect(numbers(frames[4]) == [1, 0, 4, 4])
        #expect(frames.allSatisfy { $0.name == "event" || $0.id.isEmpty })
        #expect(frames[3].id.contains("source/0:8"))
        #expect(seen[1].map(\.document) == ["0-6", "0-7"])
    }

    /// In the middle of the log: told to those who listen, and to those who come back from before it.
    @Test func whatCannotBeReadIsSaidToAll() async throws {
        let frames = try await scene.follow([StreamScene.request()], frames: [6]) {
            feed(0, 0..<3)
            scene.topic.addGap(.unreadable, 0, 3..<6)
            feed(0, 6..<8)
            scene.topic.index([0: 8])
            try await scene.given(5)
            try await scene.told("unreadable")
        }[0]
        #expect(frames.map(\.name) == ["event", "event", "event", "gap", "event", "event"])
        #expect(frames[3].data["reason"]?.string == "unreadable" && frames[3].data["missing"]?.integer == 3)
        let again = try await StreamScene.copy(of: scene).follow(
            [
                StreamScene.request(after: FakeTopic.id([0: 2])), StreamScene.request(after: FakeTopic.id([0: 3])),
                StreamScene.request(after: FakeTopic.id([0: 7])),
            ], frames: [4, 3, 1]
        ) {}
        let names = [["event", "gap", "event", "event"], ["gap", "event", "event"], ["event"]]
        #expect(again.map { $0.map(\.name) } == names)
    }

    @Test func aTopicPartitionThatTheIDDoesNotNameBeginsAtItsBeginning() async throws {
        feed(0, 0..<3)
        feed(1, 0..<2)
        scene.topic.index([0: 3, 1: 2])
        let frames = try await scene.follow([StreamScene.request(after: FakeTopic.id([0: 3]))], frames: [2]) {}[0]
        #expect(frames.map(\.document) == ["1-0", "1-1"])
        #expect(frames.last?.id == FakeTopic.id([0: 3, 1: 2]))
    }

    /// The topic is made anew, or loses its end, while clients listen.
    @Test(arguments: [true, false]) func aLogMadeAnewIsSaidToThoseWhoListen(hasOtherEpoch: Bool) async throws {
        feed(0, 0..<4)
        scene.topic.index([0: 4])
        let seen = try await scene.follow(
            [StreamScene.request(), StreamScene.request(after: "0:2")], frames: [3, 5]
        ) {
            try await eventually { scene.figure("medallion_api_stream_pages_read_total") > 0 }
            let epoch = hasOtherEpoch ? "e2" : "e1"
            scene.topic.state.withLock { state in
                state.items = []
                state.indexed.offsets = OffsetVector([0: 0])
                state.epoch = epoch
                state.ends = [0: 0]
            }
            try await scene.told(hasOtherEpoch ? "other_log" : "ahead", times: 2)
            scene.topic.state.withLock { $0.ends = nil }
            feed(0, 0..<2)
            scene.topic.index([0: 2])
            try await scene.given(2)
        }
        for frames in seen.map({ $0.suffix(3) }) {
            #expect(frames.map(\.name) == ["reset", "event", "event"])
            #expect(frames.last?.id == FakeTopic.id([0: 2], epoch: hasOtherEpoch ? "e2" : "e1"))
        }
    }

    @Test func theQueryNamesAnIDAsWellAndTheHeaderIsStronger() async throws {
        feed(0, 0..<5)
        scene.topic.index([0: 5])
        let seen = try await scene.follow(
            [
                StreamScene.request([("last_event_id", "e1;source/0:3")]),
                StreamScene.request(after: "e1;source/0:4", [("last_event_id", "e1;source/0:0")]),
            ], frames: [2, 1]
        ) {}
        #expect(seen.map { $0.map(\.document) } == [["0-3", "0-4"], ["0-4"]])
    }

    @Test(arguments: [
        "x", "0", "0:", "0:1,0:2", "0:-1", "-1:1", "0:1,", "a:b", "0:99999999999999999999", ";0:1", "e;0:1", "e;t/0",
        "e;t/0:1,t/0:2", "e;t/0:1,0:2", "e;/0:1", "e;t/:1", "a;b;t/0:1", "e f;t/0:1", "e;t t/0:1", "e;t/0:1,",
        "0:1;e",
    ])
    func aWrongIDIsRefused(id: String) async {
        for request in [StreamScene.request(after: id), StreamScene.request([("last_event_id", id)])] {
            let reply = await scene.fixture.reply(request)
            #expect(reply.status == 422)
            #expect(String(decoding: reply.body, as: UTF8.self).contains("cursor_invalid"))
        }
    }

    @Test func anIDIsReadAsItIsWritten() {
        for text in ["0:1", "0:1,7:9", "e1;", "3f-_A;a.b-c/0:0,a.b-c/12:9", "e;a/0:1,b/0:2"] {
            #expect(StreamID(text: text)?.text == text)
        }
        let logs = StreamLogs([StreamLog(epoch: "e", source: FakeTopic.source)])
        #expect(logs.text(OffsetVector([2: 5, 0: 1])) == "e;source/0:1,source/2:5")
        #expect(StreamID(text: (0..<1_025).map { "\($0):1" }.joined(separator: ",")) == nil)
    }
}

extension StreamScene {
    /// Another process over the same topic, which has read nothing yet.
    static func copy(of scene: StreamScene) -> StreamScene {
        let copy = StreamScene()
        let state = scene.topic.state.withLock { $0 }
        copy.topic.state.withLock { $0 = state }
        copy.topic.state.withLock { $0.opened = 0 }
        return copy
    }
}
