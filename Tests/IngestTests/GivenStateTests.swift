import Files
import Glibc
import Ingest
import JSONScan
import PlatformTesting
import Sources
import Testing

/// What is remembered of given files, and what is said of them.
@Suite(.timeLimit(.minutes(2)))
struct GivenStateTests {
    @Test("a state that is full forgets the oldest files, and can be read again")
    func fullState() throws {
        let scene = try GivenScene()
        scene.stateBytesMax = 20_000
        for number in 0..<300 { try scene.write("A text of \(number).", to: "\(number).txt") }
        #expect(try scene.run().documents == 300)
        #expect(try File.contents(of: scene.folder.file("state/files.jsonl")).count <= 20_000)
        let again = try scene.run()
        #expect(again.refused == 0 && again.documents > 0 && again.documents < 300)
    }

    @Test("a folder's state that is full is named, and nothing more is read")
    func fullFolder() throws {
        let scene = try FilesScene { $0.stateBytesMax = 20_000 }
        scene.ahead = 60_000
        for number in 0..<300 { try scene.write("A text of \(number).", to: "\(number).txt") }
        let error = #expect(throws: FilesConnectorError.self) { try scene.drain() }
        #expect(error?.description.contains("no room for more files") == true)
        #expect(try File.contents(of: scene.folder.file("state/files.jsonl")).count <= 20_000)
    }

    @Test("a look that keeps nothing reads all, makes no file, and forgets what it read")
    func forgetful() throws {
        let scene = try GivenScene()
        scene.isForgetful = true
        try scene.write("id,text\n1,a\n2\n", to: "a.csv")
        try scene.write("A text.", to: "b.txt")
        for _ in 0..<2 {
            let figures = try scene.run()
            #expect(figures.documents == 2 && figures.acknowledged == 2 && figures.refusals == ["columns": 1])
            #expect(!Folder.exists(scene.folder.file("state")))
        }
    }

    @Test("only what is acknowledged is counted as such")
    func acknowledged() throws {
        let scene = try GivenScene()
        try scene.write("id,text\n" + (0..<50).map { "\($0),a\n" }.joined(), to: "a.csv")
        var looks = 0
        let early = try scene.run(
            arriving: { 0 },
            isKilled: {
                looks += 1
                return looks == 5
            })
        #expect(early.documents == 50 && early.acknowledged == 0)
        let figures = try scene.run()
        #expect(figures.documents == 50 && figures.acknowledged == 50)
    }

    @Test("what was left out of a file is said again by its number, also where there is nothing new in it")
    func leftOutBefore() throws {
        let scene = try GivenScene()
        try scene.write("id,text\n1,a\n2\n3\n", to: "a.csv")
        #expect(try scene.run().refusals == ["columns": 2])
        let again = try scene.run()
        #expect(again.refusals.isEmpty && again.refusedBefore == 2, "\(again)")
        #expect(try scene.run(startsOver: true).refusedBefore == 0)
    }

    @Test("a file that was touched between a kill and the next run is sent under the same event id")
    func touched() throws {
        let scene = try GivenScene()
        try scene.write("One text.", to: "a.txt")
        var looks = 0
        try scene.run(
            arriving: { looks == 5 ? 9 : 0 },
            isKilled: {
                looks += 1
                return looks == 5
            })
        #expect(scene.topic.count == 1)
        let times = [timeval(tv_sec: 1_000_000_000, tv_usec: 0), timeval(tv_sec: 1_000_000_000, tv_usec: 0)]
        try #require(utimes(scene.path("a.txt"), times) == 0)
        try scene.run()
        #expect(scene.topic.count == 2 && scene.distinct.count == 1)
    }

    @Test("folders whose names begin with a dot are passed by, and two files of one id are named")
    func hiddenAndShared() throws {
        let scene = try GivenScene()
        for name in ["a/index.md", "b/index.md", "c.md", ".trash/d.md", "a/.git/e.md"] {
            try scene.write("# \(name)", to: name)
        }
        let all = GivenSearch.files([scene.path("")], format: nil, tally: FileTally())
        #expect(all.map(\.id) == ["a/index.md", "b/index.md", "c.md"])
        #expect(GivenSearch.sharedIDs(all).isEmpty)
        let apart = GivenSearch.files(
            [scene.path("a"), scene.path("b/index.md"), scene.path("c.md")], format: nil, tally: FileTally())
        let shared = GivenSearch.sharedIDs(apart)
        #expect(shared.map(\.id) == ["index.md"])
        #expect(shared.first?.names == [scene.path("a/index.md"), scene.path("b/index.md")])
    }

    @Test("a file that is one document has its id where the logic looks for it, or is left out by name")
    func otherID() throws {
        let scene = try GivenScene()
        scene.shape = DocumentShape(idPath: "sku")
        try scene.write("---\nsku: no\n---\nText.", to: "a.md")
        try scene.run()
        let value = try JSONValue.parse(try #require(scene.topic.first).value)
        #expect(value["sku"]?.string == "a.md" && value["id"] == nil && scene.topic.first?.key == Array("a.md".utf8))
        scene.shape = DocumentShape(idPath: "meta.id")
        try scene.write("Text.", to: "b.md")
        #expect(try scene.run().refusals == ["header": 1])
    }
}
