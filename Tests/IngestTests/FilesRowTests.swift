import Bytes
import Files
import Ingest
import PlatformTesting
import Testing

/// Rows that are being written while they are read, and rows that are wrong.
@Suite(.timeLimit(.minutes(2)))
struct FilesRowTests {
    private func row(_ id: String, _ text: String) -> String { #"{"id":"\#(id)","text":"\#(text)"}"# }

    @Test(
        "a row that was caught in the midst of being written is read again from its beginning",
        arguments: [false, true])
    func cutRow(isKilled: Bool) throws {
        let scene = try FilesScene()
        scene.ahead = 60_000
        try scene.write("id,text\n1,a\n7,hello wor", to: "a.csv")
        try scene.drain()
        #expect(scene.values == [row("1", "a"), row("7", "hello wor")])
        if isKilled { try scene.kill() }
        try scene.append("ld\n8,b\n9,c", to: "a.csv")
        scene.ahead = 120_000
        try scene.drain()
        #expect(scene.values.dropFirst(2) == [row("7", "hello world"), row("8", "b"), row("9", "c")])
        // What was a whole row is not sent again.
        try scene.append("\n10,d\n", to: "a.csv")
        scene.ahead = 180_000
        try scene.drain()
        #expect(scene.values.dropFirst(5) == [row("10", "d")] && scene.topic.count == 6 && scene.refusals.isEmpty)
    }

    @Test("a row that had too few cells when it was caught is not lost, and the row of names is read again, too")
    func cutCells() throws {
        let scene = try FilesScene()
        scene.ahead = 60_000
        try scene.write("id,text\n7", to: "a.csv")
        try scene.write("id,te", to: "b.csv")
        try scene.drain()
        #expect(scene.values.isEmpty && scene.refusals.map(\.place) == ["a.csv, line 2"])
        try scene.append(",x\n", to: "a.csv")
        try scene.append("xt\n1,a\n", to: "b.csv")
        scene.ahead = 120_000
        try scene.drain()
        #expect(scene.values == [row("7", "x"), row("1", "a")] && scene.refusals.count == 1)
    }

    @Test("of a packed file, too")
    func cutPacked() throws {
        let scene = try FilesScene()
        scene.ahead = 60_000
        let first = try Packing.zstd(Array("id,text\n1,a\n7,hello wor".utf8))
        try scene.write(first, to: "a.csv.zst")
        try scene.drain()
        try scene.write(first + Packing.zstd(Array("ld\n8,b\n".utf8)), to: "a.csv.zst")
        scene.ahead = 120_000
        try scene.drain()
        #expect(
            scene.values.dropFirst(2) == [row("7", "hello world"), row("8", "b")] && scene.refusals.isEmpty,
            "\(scene.values) \(scene.refusals)")
    }

    @Test("a file whose every line opens a quote is read in a time that grows with its size")
    func openQuotes() throws {
        let scene = try GivenScene()
        let lines = String(repeating: "a\",\"z\n", count: 60_000)
        try scene.write("id,text\n" + lines + "5,\"a\nb\"\n", to: "a.csv")
        let figures = try scene.run()
        #expect(figures.refusals == ["quote": 60_000] && figures.documents == 1)
        #expect(scene.topic.map { String(decoding: $0.value, as: UTF8.self) } == [row("5", #"a\nb"#)])
    }

    @Test("of a file's many bad rows the log has a few and their number, and they need no room while nothing arrives")
    func manyBadRows() throws {
        let scene = try FilesScene()
        try scene.write("id,text\n1,a\n" + String(repeating: "2\n", count: 5_000) + "3,b\n", to: "a.csv")
        var remarks: [String] = []
        for _ in 0..<50 { remarks += try scene.step().remarks }
        #expect(scene.refusals.count == 5_000 && scene.refusals.filter(\.isLogged).count == 20)
        #expect(remarks == ["a.csv: 4980 more of its lines or rows were left out"])
        #expect(scene.inFlight.count == 2)
        #expect(try scene.connector.outstandingCount <= 4)
        try scene.deliver(.max)
        #expect(try scene.connector.isSettled)
    }
}
