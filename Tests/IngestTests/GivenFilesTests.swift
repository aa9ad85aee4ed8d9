import Bytes
import Files
import Glibc
import Ingest
import JSONScan
import Logic
import PlatformTesting
import Records
import Sources
import Testing

@Suite("Files that are given", .timeLimit(.minutes(2)))
struct GivenFilesTests {
    private func path(_ text: String) throws -> FieldPath { try #require(FieldPath(text)) }

    /// A logic that wants numbers and truths.
    private func logic() throws -> LogicSettings {
        .document(
            DocumentSettings(
                mapping: DocumentMapping(
                    id: try path("id"), version: try path("version"), texts: [try path("text")],
                    deleted: try path("gone")),
                attributes: [
                    MappedAttribute(try #require(AttributeName("price")), .number, at: try path("price")),
                    MappedAttribute(try #require(AttributeName("new")), .bool, at: try path("new")),
                    MappedAttribute(try #require(AttributeName("sku")), .string, at: try path("sku")),
                ]))
    }

    @Test("each format becomes documents of one form, packed or not, and a second run sends nothing")
    func formats() throws {
        let scene = try GivenScene()
        try scene.write("{\"id\":\"j1\",\"text\":\"one\"}\n\n{\"id\":\"j2\",\"text\":\"two\"}", to: "a.jsonl")
        try scene.write(
            Packing.gzip(Array((1...40).map { #"{"id":"g\#($0)","text":"x"}"# + "\n" }.joined().utf8)),
            to: "b.ndjson.gz")
        try scene.write("\u{FEFF}id,text\r\nc1,\"one, \"\"two\"\"\nthree\"\r\nc2,\r\n", to: "c.csv")
        try scene.write(
            Array("---\ntitle: 'The kettle'\nlang: en-GB\nlevel: 3\nid: no\n---\n# Head\n\nWater *boils*.\n".utf8),
            to: "deep/d.md")
        try scene.write(
            "<html lang=de><title>Kessel</title><link rel=canonical href=https://a.example/k><nav>no</nav><p>Wasser</p><p>kocht</p>",
            to: "e.html")
        try scene.write(
            try Packing.zstd(Array("First line\r\n\r\nThe second paragraph of an English text.\r\n".utf8)),
            to: "f.txt.zst")
        try scene.write("passed by", to: "g.bin")
        try scene.write("passed by", to: ".h.txt")
        let figures = try scene.run()
        #expect(figures.refusals.isEmpty && figures.files == 6 && figures.documents == 47)
        let documents = try scene.documents()
        #expect(documents["j2"]?["text"]?.string == "two")
        #expect(documents["c1"]?["text"]?.string == "one, \"two\"\nthree")
        #expect(documents["c2"]?.object?.count == 1)
        let markdown = documents["deep/d.md"]
        #expect(markdown?["title"]?.string == "The kettle" && markdown?["lang"]?.string == "en")
        #expect(markdown?["text"]?.string == "Head\n\nWater boils." && markdown?["level"]?.string == "3")
        #expect(markdown?["time"]?.string?.hasSuffix("Z") == true)
        let page = documents["e.html"]
        #expect(page?["title"]?.string == "Kessel" && page?["lang"]?.string == "de")
        #expect(page?["text"]?.string == "Wasser\n\nkocht" && page?["url"]?.string == "https://a.example/k")
        let plain = documents["f.txt.zst"]
        #expect(plain?["title"]?.string == "First line" && plain?["lang"]?.string == "en")
        #expect(plain?["text"]?.string == "First line\n\nThe second paragraph of an English text.")
        let again = try scene.run()
        #expect(again.documents == 0 && again.files == 6 && again.unchangedFiles == 6)
        #expect(try scene.run(startsOver: true).documents == 47)
        #expect(scene.distinct.count == 94)
    }

    @Test("cells and front matter are numbers and truths where the logic wants them, and texts elsewhere")
    func types() throws {
        let scene = try GivenScene()
        scene.shape = DocumentShape(try logic())
        try scene.write(
            "id,sku,version,price,new,gone,text\n1,007,12,-3.50e2,TRUE,false,5\n2,8,2026-01-01T00:00:00Z,0x1,yes,,6\n",
            to: "a.csv")
        try scene.write("---\nprice: 12.5\nsku: 12\nlist: [1]\n# no\n---\ntext\n", to: "b.md")
        try scene.run()
        let values = scene.topic.map { String(decoding: $0.value, as: UTF8.self) }
        #expect(
            values.prefix(2) == [
                #"{"id":"1","sku":"007","version":12,"price":-3.50e2,"new":true,"gone":false,"text":"5"}"#,
                #"{"id":"2","sku":"8","version":"2026-01-01T00:00:00Z","price":"0x1","new":"yes","text":"6"}"#,
            ])
        #expect(values.last?.contains(#","price":12.5,"sku":"12"}"#) == true)
        #expect(scene.topic.first?.key == Array("1".utf8))
    }

    /// A file, what is said of it, and how many documents of it arrive.
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var bytes: [UInt8]
        var rule: FileFault.Rule
        var place: String
        var documents = 0
        var testDescription: String { "\(name): \(rule.rawValue)" }

        init(_ name: String, _ text: String, _ rule: FileFault.Rule, _ place: String, documents: Int = 0) {
            self.init(name, Array(text.utf8), rule, place, documents: documents)
        }

        init(_ name: String, _ bytes: [UInt8], _ rule: FileFault.Rule, _ place: String, documents: Int = 0) {
            (self.name, self.bytes, self.rule, self.place) = (name, bytes, rule, place)
            self.documents = documents
        }
    }

    private static let good = #"{"id":"g"}"# + "\n"

    private static let manyColumns = "id," + (0..<1_000).map { "c\($0)" }.joined(separator: ",") + "\n1\n"
    private static let mixedTags = Packing.gzip(Array(String(repeating: "<b><div></b>", count: 30_000).utf8))
    private static let deepLines =
        String(repeating: "> ", count: 2_000) + String(repeating: "a\n", count: 200_000)

    static let cases: [Case] = [
        Case("empty.jsonl", "", .empty, "empty.jsonl"),
        Case("empty.md", "", .empty, "empty.md"),
        Case("blank.txt", " \n\r\n", .empty, "blank.txt"),
        Case("blank.html", "<nav>menu</nav>", .empty, "blank.html"),
        Case(
            "binary.csv", [0x7F, 0x45, 0x4C, 0x46, 0, 0, 0, 0, 1] + [UInt8](repeating: 7, count: 99), .binary,
            "binary.csv"),
        Case("binary.jsonl", [0x7F, 0x45, 0x4C, 0x46, 0, 0, 1, 0x0A], .binary, "binary.jsonl"),
        Case("wide.txt", [0xFF, 0xFE] + Array("text".utf8).flatMap { [$0, 0] }, .utf16, "wide.txt"),
        Case("wide2.txt", Array("some more text".utf8).flatMap { [$0, 0] }, .utf16, "wide2.txt"),
        Case("latin.txt", [0x63, 0x61, 0x66, 0xE9], .notUTF8, "latin.txt"),
        Case("latin.md", [0x63, 0x61, 0x66, 0xE9], .notUTF8, "latin.md"),
        Case("latin.html", [0x3C, 0x70, 0x3E, 0xE9], .notUTF8, "latin.html"),
        Case("late.md", [UInt8](repeating: 0x61, count: 5_000) + [0], .binary, "late.md"),
        Case(
            "latin.csv", Array("id,text\n1,".utf8) + [0xE9] + Array("\n2,b\n".utf8), .notUTF8, "latin.csv, line 2",
            documents: 1),
        Case(
            "latin.jsonl", Array("{\"id\":\"".utf8) + [0xE9] + Array("\"}\n\(good)".utf8), .notUTF8,
            "latin.jsonl, line 1", documents: 1),
        Case("bad.jsonl", good + "{\"id\":\n" + good, .notJSON, "bad.jsonl, line 2", documents: 2),
        Case("list.jsonl", good + "[1]\n", .notAnObject, "list.jsonl, line 2", documents: 1),
        Case(
            "deep.jsonl",
            String(repeating: "{\"a\":", count: 100_000) + "1" + String(repeating: "}", count: 100_000) + "\n" + good,
            .tooDeep, "deep.jsonl, line 1", documents: 1),
        Case(
            "long.jsonl", "{\"id\":\"" + String(repeating: "x", count: 3_000_000) + "\"}\n" + good, .tooLarge,
            "long.jsonl, line 1", documents: 1),
        Case("large.txt", [UInt8](repeating: 0x61, count: 9 << 20), .tooLarge, "large.txt"),
        Case("large.md", [UInt8](repeating: 0x61, count: 2 << 20), .tooLarge, "large.md"),
        Case("large.html", [UInt8](repeating: 0x61, count: 9 << 20), .tooLarge, "large.html"),
        Case(
            "long.csv", "id,text\n1," + String(repeating: "x", count: 3_000_000) + "\n2,b\n", .tooLarge,
            "long.csv, line 2", documents: 1),
        Case(
            "grown.csv", "id,text\n1," + String(repeating: "\\", count: 600_000) + "\n2,b\n", .tooLarge,
            "grown.csv, line 2", documents: 1),
        Case("deep.md", String(repeating: "<div>", count: 100_000) + "x", .tooDeep, "deep.md"),
        Case("complex.md", deepLines, .tooComplex, "complex.md"),
        Case("complex.html.gz", mixedTags, .tooComplex, "complex.html.gz"),
        Case("deep.html", String(repeating: "<div>", count: 100_000) + "x", .tooDeep, "deep.html"),
        Case("cut.jsonl", good + "{\"id\":\"b\"", .incomplete, "cut.jsonl", documents: 1),
        Case("unequal.csv", "id,text\n1,a,b\n2,b\n3\n", .columns, "unequal.csv, line 2", documents: 1),
        Case("quote.csv", "id,text\n1,\"a\n2,b\n3,c\n", .quote, "quote.csv, line 2", documents: 2),
        Case("quote2.csv", "id,text\n1,a\"b\n2,\"b\"x\n3,c\n", .quote, "quote2.csv, line 2", documents: 1),
        Case("header.csv", "name,text\n1,a\n", .header, "header.csv"),
        Case("header2.csv", "id,id\n1,a\n", .header, "header2.csv"),
        Case("header3.csv", "id,,text\n1,a,b\n", .header, "header3.csv"),
        Case("header4.csv", manyColumns, .header, "header4.csv"),
        Case("header5.csv", "id,\"te\"xt\n1,a\n", .quote, "header5.csv"),
        Case("header6.csv", "id,\"text\n1,a\n2,b\n", .quote, "header6.csv"),
        Case(
            "header7.csv", "id," + String(repeating: "x", count: 3_000_000) + "\n1,a\n", .header, "header7.csv"),
        Case("header8.csv", Array("id,caf".utf8) + [0xE9] + Array("\n1,a\n".utf8), .notUTF8, "header8.csv"),
        Case("damaged.jsonl.gz", "this is no member by far, not at all", .damaged, "damaged.jsonl.gz"),
        Case("damaged.jsonl.zst", "this is no frame by far, not at all", .damaged, "damaged.jsonl.zst"),
    ]

    @Test("what cannot be read is named with its line, and the others are read", arguments: cases)
    func hostile(_ trial: Case) throws {
        let scene = try GivenScene()
        try scene.write(trial.bytes, to: trial.name)
        try scene.write(#"{"id":"other"}"#, to: "zz.jsonl")
        let figures = try scene.run()
        #expect((figures.refusals[trial.rule.rawValue] ?? 0) > 0, "\(figures.firstRefusals)")
        #expect(figures.refusals.count == 1)
        #expect(
            figures.firstRefusals.first?.contains(scene.path(trial.place) + ": ") == true, "\(figures.firstRefusals)")
        #expect(figures.documents == trial.documents + 1)
    }

    @Test("packed files whose end is missing or whose sum is wrong are named, and the others are read")
    func cutPacked() throws {
        let scene = try GivenScene()
        let text = Array(String(repeating: "One text, which is packed. ", count: 50).utf8)
        let gzip = Packing.gzip(text)
        try scene.write(Array(gzip.dropLast(8)), to: "a.txt.gz")
        try scene.write(Array(try Packing.zstd(text).dropLast(3)), to: "b.txt.zst")
        var wrong = gzip
        wrong[wrong.count - 8] ^= 1
        try scene.write(wrong, to: "c.txt.gz")
        try scene.write(#"{"id":"other"}"#, to: "zz.jsonl")
        let figures = try scene.run()
        #expect(
            figures.refusals == ["incomplete": 2, "damaged": 1] && figures.documents == 1, "\(figures.firstRefusals)")
    }

    @Test("packed data under a name that does not say so is named as such")
    func packedUnderOtherNames() throws {
        let scene = try GivenScene()
        let text = Array(String(repeating: #"{"id":"a"}"# + "\n", count: 50).utf8)
        try scene.write(Packing.gzip(text), to: "a.jsonl")
        try scene.write(try Packing.zstd(text), to: "b.csv")
        let figures = try scene.run()
        #expect(figures.refusals == ["binary": 2] && figures.documents == 0)
        for words in ["is packed by gzip", "is packed by zstd"] {
            #expect(figures.firstRefusals.contains { $0.contains(words) }, "\(figures.firstRefusals)")
        }
    }

    @Test("a packed file that is much larger unpacked is given up, early")
    func bombs() throws {
        let scene = try GivenScene()
        // 90 MB of blanks in some 10 kB.
        let piece = [UInt8](repeating: 0x20, count: 30_000_000)
        let frame = try Packing.zstd(piece)
        try scene.write(frame + frame + frame, to: "a.jsonl.zst")
        try scene.write(frame + frame + frame, to: "b.txt.zst")
        try scene.write(#"{"id":"other"}"#, to: "zz.jsonl")
        let figures = try scene.run()
        #expect(figures.refusals == ["bomb": 1, "too_large": 1] && figures.documents == 1, "\(figures.firstRefusals)")
    }

    @Test("paths that lead nowhere, loops, folders that are closed and files that say no format are named")
    func paths() throws {
        let scene = try GivenScene()
        try scene.write(#"{"id":"a"}"#, to: "a.jsonl")
        try scene.write("no", to: "b.bin")
        try #require(symlink("loop", scene.path("loop")) == 0)
        try #require(symlink("..", scene.path("up")) == 0)
        try #require(mkfifo(scene.path("pipe.txt"), 0o600) == 0)
        try scene.write("hidden", to: ".c.txt")
        // Too deep, and a name that is no UTF-8: of a folder both are counted.
        try scene.write("deep", to: String(repeating: "d/", count: FolderWalk.depthMax) + "d.txt")
        let wrongName = WrongName(scene.path("e"))
        try #require(wrongName.create())
        defer { wrongName.remove() }
        let figures = try scene.run(["", "missing.jsonl", "loop", "b.bin", "pipe.txt", ".c.txt"])
        #expect(figures.documents == 1 && figures.refusals == ["unreadable": 6], "\(figures.firstRefusals)")
        for words in ["2 folders or names in it", "No such file", "say it with --format", "is a pipe", "with a dot"] {
            #expect(figures.firstRefusals.contains { $0.contains(words) }, "\(words): \(figures.firstRefusals)")
        }
        #expect(try scene.run(["b.bin"], format: .text).documents == 1)
    }

    @Test("a file of documents that grows is read on, one that is a document is sent again when it is another")
    func changes() throws {
        let scene = try GivenScene()
        try scene.write("id,text\n1,a\n", to: "a.csv")
        try scene.write("One text.", to: "b.txt")
        #expect(try scene.run().documents == 2)
        try File(scene.path("a.csv"), .append).append(Array("2,b\n".utf8))
        try File(scene.path("b.txt"), .append).append(Array(" And more.".utf8))
        #expect(try scene.run().documents == 2)
        #expect(scene.topic.map { String(decoding: $0.value, as: UTF8.self) }.contains(#"{"id":"2","text":"b"}"#))
        #expect(try scene.documents()["b.txt"]?["text"]?.string == "One text. And more.")
        // The same content with another time is no other document.
        try scene.write("One text. And more.", to: "b.txt")
        #expect(try scene.run().documents == 0)
    }

    @Test(
        "killed anywhere and run again, nothing is lost and each document is sent once",
        arguments: [UInt64(1), 2, 3, 17])
    func kills(named: UInt64) throws {
        let seed = LongTests.seed(named)
        var generator = SeededGenerator(seed: seed)
        let scene = try GivenScene()
        scene.eventsMax = 7
        var expected: Set<String> = []
        for file in 0..<6 {
            let ids = (0..<Int.random(in: 1...60, using: &generator)).map { "f\(file)-\($0)" }
            expected.formUnion(ids)
            let rows = "id,text\n" + ids.map { "\($0),\"two\nlines\"\n" }.joined()
            try scene.write(
                file % 2 == 0 ? Array(rows.utf8) : try Packing.zstd(Array(rows.utf8)),
                to: file % 2 == 0 ? "\(file).csv" : "\(file).csv.zst")
            try scene.write("A text of \(file).", to: "t/\(file).txt")
            expected.insert("t/\(file).txt")
        }
        for _ in 0..<40 {
            var left = Int.random(in: 1...12, using: &generator)
            try scene.run(
                arriving: { Int.random(in: 0...9, using: &generator) },
                isKilled: {
                    left -= 1
                    return left == 0
                })
        }
        try scene.run()
        let ids = try scene.distinct.map { try JSONValue.parse($0.value)["id"]?.string ?? "" }
        #expect(Set(ids) == expected && ids.count == expected.count, "seed \(seed)")
        #expect(try scene.run().documents == 0, "seed \(seed)")
    }
}
