import Files
import Ingest
import PlatformTesting
import Sources
import Testing

/// What is wrong with the files of a folder that is followed: the same as of those that are given.
@Suite("Files of a folder that cannot be read", .timeLimit(.minutes(2)))
struct FilesFaultTests {
    private let other = #"{"id":"other"}"#

    @Test("what cannot be read is named with its line, once, and the others are read", arguments: GivenFilesTests.cases)
    func hostile(_ trial: GivenFilesTests.Case) throws {
        let scene = try FilesScene()
        scene.ahead = 60_000
        try scene.write(trial.bytes, to: trial.name)
        try scene.write(other, to: "zz.jsonl")
        try scene.drain()
        #expect(scene.values.last == other)
        // Lines of JSONL are the logic's to judge: it keeps them, with the rule, in quarantine.
        let quarantined: Set<FileFault.Rule> = [.notJSON, .notAnObject, .tooDeep, .notUTF8, .binary]
        if trial.name.hasSuffix(".jsonl"), quarantined.contains(trial.rule) {
            #expect(scene.refusals.isEmpty && scene.topic.count > 1, "\(scene.refusals)")
            return
        }
        // A file of no line may be filled later.
        if trial.name.hasSuffix(".jsonl"), trial.rule == .empty {
            #expect(scene.refusals.isEmpty && scene.topic.count == 1, "\(scene.refusals)")
            return
        }
        #expect(scene.topic.count == trial.documents + 1)
        #expect(scene.refusals.first?.place == trial.place && Set(scene.refusals.map(\.rule)) == [trial.rule])
        let said = scene.refusals.count
        try scene.drain()
        #expect(scene.refusals.count == said, "\(scene.refusals)")
    }

    @Test("docs/sources.md has a row for each rule, and a test tries it")
    func everyRule() throws {
        let docs = String(decoding: try File.contents(of: PackageRoot.path + "/docs/sources.md"), as: UTF8.self)
        let rows = docs.split(separator: "\n").filter { $0.hasPrefix("| `") }.compactMap {
            $0.split(separator: "|").first
        }
        // These two have tests of their own.
        let tried = Set(GivenFilesTests.cases.map(\.rule)).union([.unreadable, .bomb])
        for rule in FileFault.Rule.allCases {
            #expect(rows.contains { $0.contains("`\(rule.rawValue)`") }, "\(rule.rawValue) has no row")
            #expect(tried.contains(rule), "\(rule.rawValue) is not tried")
        }
    }

    @Test("folders that lie too deep and names that are no UTF-8 are counted and said once")
    func unreadable() throws {
        let scene = try FilesScene()
        try scene.write(other + "\n", to: "zz.jsonl")
        try scene.write("deep", to: String(repeating: "d/", count: FolderWalk.depthMax) + "d.txt")
        let wrongName = WrongName(scene.path("e"))
        try #require(wrongName.create())
        defer { wrongName.remove() }
        try scene.drain()
        try scene.drain()
        #expect(scene.values == [other] && scene.refusals.map(\.rule) == [.unreadable])
        #expect(scene.refusals.first?.reason.hasPrefix("2 folders or names in it are left out") == true)
    }

    @Test("a row of names that is wrong is read again when it was mended, and no other row in its place")
    func header() throws {
        let scene = try FilesScene()
        scene.ahead = 60_000
        // Taken for names, the second row would do.
        try scene.write("id,\"te\"xt\nid,text\n1,a\n", to: "a.csv")
        try scene.drain()
        #expect(scene.values.isEmpty && scene.refusals.map(\.rule) == [.quote])
        #expect(scene.refusals.first?.reason.hasPrefix("its first row has a quote") == true)
        try scene.write("id,\"text\"\n1,a\n", to: "a.csv")
        scene.ahead = 120_000
        try scene.drain()
        #expect(scene.values == [#"{"id":"1","text":"a"}"#] && scene.refusals.count == 1)
    }
}
