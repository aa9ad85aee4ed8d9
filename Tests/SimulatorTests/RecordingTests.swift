import Bytes
import Files
import JSONScan
import PlatformTesting
import Testing
import Zstd

@testable import Simulator

/// A file that goes away with the value.
private final class ScratchFile {
    let path: String
    private let folder: TemporaryFolder

    init(_ name: String, _ text: String, compressed: Bool = false) throws {
        folder = try TemporaryFolder()
        path = folder.file(name)
        var bytes = Array(text.utf8)
        if compressed {
            var frame: [UInt8] = []
            var compressor = try Compressor()
            _ = try bytes.withUnsafeBytes { try compressor.compressFrame($0, appendingTo: &frame) }
            bytes = frame
        }
        try File.replace(path, with: bytes)
    }
}

private func event(_ id: String, second: Int) -> String {
    #"{"meta":{"id":"\#(id)","dt":"2025-05-03T10:00:0\#(second)Z","topic":"codfw.mediawiki.recentchange"},"type":"edit"}"#
}

private let first = "0a52f2c6-7b9e-4d5c-8a64-0c1df2b1e111"
private let second = "ffffffff-7b9e-4d5c-8a64-0c1df2b1e222"

@Suite struct RecordingTests {
    private func payload(_ recording: Recording, _ index: Int) -> String {
        var bytes: [UInt8] = []
        recording.appendPayload(index, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(arguments: [false, true])
    func readsServerSentEvents(compressed: Bool) throws {
        let text =
            ":ok\n\nevent: message\nid: [1]\ndata: \(event(first, second: 1))\n\n: keep-alive\n\n"
            + "data:{\"two\":\ndata: 1}\r\n\r\nevent: message\nid: [2]\n\nevent: message\nid: [3]\nda"
        let file = try ScratchFile(compressed ? "r.sse.zst" : "r.sse", text, compressed: compressed)
        let recording = try Recording(path: file.path)
        #expect(recording.count == 2)
        #expect(payload(recording, 0) == event(first, second: 1))
        #expect(payload(recording, 1) == "{\"two\":\n1}")
        #expect(recording.tail == Array("event: message\nid: [3]\nda".utf8))
        #expect(recording.dataCentre(0) == 1)
    }

    @Test func laterRoundsHaveFreshIDs() throws {
        let lines = [event(first, second: 1), event(second, second: 2), event(first, second: 2), "not json"]
        let file = try ScratchFile("r.jsonl", lines.joined(separator: "\n") + "\n")
        let recording = try Recording(path: file.path, repeats: true)
        #expect(recording.count == nil)
        for (index, line) in lines.enumerated() { #expect(payload(recording, index) == line) }
        #expect(payload(recording, 4) != lines[0])
        #expect(payload(recording, 4).count == lines[0].count)
        #expect(payload(recording, 4) == payload(recording, 6).replacing("10:00:02", with: "10:00:01"))
        #expect(payload(recording, 4) != payload(recording, 8))
        #expect(payload(recording, 7) == "not json")
    }

    @Test func timesRunAsRecordedWithoutLongSilences() throws {
        let lines = [1, 1, 0, 3, 9].map { event(first, second: $0) }
        let file = try ScratchFile("r.jsonl", lines.joined(separator: "\n"))
        let recording = try Recording(path: file.path, repeats: true)
        #expect((0..<5).map { recording.due($0) } == [0, 333, 666, 2_000, 4_000])
        #expect(recording.due(5) == 5_000)
        #expect(recording.firstIndex(atOrAfter: 1_746_266_403_000) == 3)
    }

    @Test(arguments: ["x.txt", "x.jsonl", "x.jsonl.zst"])
    func refusesWhatItCannotPlay(name: String) throws {
        let file = try ScratchFile(name, name == "x.jsonl" ? "\n\n" : "plain")
        #expect(throws: SimulatorError.self) { _ = try Recording(path: file.path) }
        #expect(throws: (any Error).self) { _ = try Recording(path: "/nonexistent/\(name)") }
    }
}

@Suite struct ClientFeedTests {
    private func source() throws -> Recording {
        let lines = [0, 1, 2].map { event(first, second: $0) }
        let file = try ScratchFile("f.jsonl", lines.joined(separator: "\n"))
        return try Recording(path: file.path)
    }

    private func text(_ feed: inout ClientFeed, now: Int64, injections: [String] = []) -> (ClientFeed.Step, String) {
        var (bytes, scratch): ([UInt8], [UInt8]) = ([], [])
        let step = feed.advance(
            now: now, injections: injections.map { Array($0.utf8) }, into: &bytes, scratch: &scratch)
        return (step, String(decoding: bytes, as: UTF8.self))
    }

    @Test func sendsWhatIsDue() throws {
        var feed = ClientFeed(
            source: try source(), pace: .original(multiplier: 2), position: PlaybackPosition(), origin: 100)
        #expect(text(&feed, now: 99).0 == .wait(1))
        let (step, frame) = text(&feed, now: 100)
        #expect(step == .send)
        #expect(
            frame == "event: message\nid: [{\"topic\":\"eqiad.mediawiki.recentchange\",\"partition\":0,\"offset\":-1},"
                + "{\"topic\":\"codfw.mediawiki.recentchange\",\"partition\":0,\"offset\":0,\"timestamp\":1746266400000}]\n"
                + "data: \(event(first, second: 0))\n\n")
        #expect(text(&feed, now: 100).0 == .wait(500))
        #expect(text(&feed, now: 1_100).1.split(separator: "data: ").count == 3)
        #expect(text(&feed, now: 1_100).0 == .end)
    }

    @Test func injectedEventsGoFirstAndCountInTheID() throws {
        var feed = ClientFeed(source: try source(), pace: .fixed(1), position: PlaybackPosition(), origin: 0)
        _ = text(&feed, now: 0)
        let (_, frame) = text(&feed, now: 1, injections: ["{\"a\":1}"])
        #expect(frame.contains("{\"topic\":\"simulator.injected\",\"partition\":0,\"offset\":0}]\ndata: {\"a\":1}\n\n"))
        #expect(feed.position == PlaybackPosition(next: 1, injected: 1))
    }

    @Test func anIDLeadsToTheNextEvent() throws {
        let source = try source()
        for next in 1...3 {
            var bytes: [UInt8] = []
            let position = PlaybackPosition(next: next, injected: next)
            position.appendID(dataCentre: next % 2, timestamp: 5, to: &bytes)
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(try PlaybackPosition.parse(text, source: source, injectedNow: 9) == position)
        }
        let real =
            #"[{"topic":"eqiad.x","partition":0,"timestamp":1746266401000},{"topic":"codfw.x","partition":0,"offset":-1}]"#
        #expect(try PlaybackPosition.parse(real, source: source, injectedNow: 0).next == 1)
    }

    @Test(arguments: ["", "7", "[1]", "[{\"topic\":\"a\"}]", "[{}]", "[{\"topic\":\"a\",\"offset\":0}"])
    func wrongIDsAreRefused(text: String) throws {
        let source = try source()
        #expect(throws: PositionError.self) { try PlaybackPosition.parse(text, source: source, injectedNow: 0) }
    }

    @Test func lineEndsInsideAPayloadBecomeDataLines() {
        var bytes: [UInt8] = []
        SSEFrames.append(id: { $0.append(0x31) }, payload: Array("a\nb\rc".utf8)[...], to: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == "event: message\nid: 1\ndata: a\ndata: b\ndata: c\n\n")
    }

    @Test func injectionsAreBoundedAndTimed() {
        let log = InjectionLog()
        for number in 0..<InjectionLog.limit + 10 { #expect(log.add([UInt8(number % 250)]) == number) }
        #expect(log.events(from: 0).first == 10)
        #expect(log.events(from: log.count).payloads.isEmpty)
        log.noteWritten(from: 0, to: 12, at: 77)
        #expect(log.writtenAt(11) == 77 && log.writtenAt(12) == nil && log.writtenAt(3) == nil)
    }
}

/// The recorded captures; skipped where the shared data is absent.
@Suite struct CaptureTests {
    @Test(.enabled(if: Recordings.folder != nil, Comment(rawValue: Recordings.absence)))
    func everyRecordedEventIsThere() throws {
        let folder = try #require(Recordings.folder)
        for (name, count, hasTail) in [
            ("capture-2021-08-27.sse.zst", 1_950, false), ("capture-2021-09-10.sse", 341, false),
            ("capture-2021-09-30-truncated.sse", 62, true), ("edge-cases.jsonl", 94, false),
            ("invalid-utf8.jsonl", 4, false), ("recentchange-original.jsonl.zst", 2_777, false),
        ] {
            let recording = try Recording(path: "\(folder)/\(name)")
            #expect(recording.count == count, "\(name)")
            #expect(recording.tail.isEmpty != hasTail, "\(name)")
            #expect((1..<count).allSatisfy { recording.due($0 - 1) <= recording.due($0) })
        }
    }
}
