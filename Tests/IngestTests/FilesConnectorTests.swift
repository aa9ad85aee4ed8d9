import Bytes
import Files
import Glibc
import Ingest
import PlatformTesting
import Testing

@Suite(.timeLimit(.minutes(2)))
struct FilesConnectorTests {
    private let one = #"{"id":"a","v":1}"#
    private let two = #"{"id":"b","v":2}"#
    private let three = #"{"id":3}"#

    @Test("files are read in the order of their paths, with the id as key, and followed")
    func following() throws {
        let scene = try FilesScene()
        try scene.write(two + "\n", to: "2026-02.jsonl")
        try scene.write(one + "\n", to: "2026-01.jsonl")
        try scene.write("no line of ours\n", to: "notes.log")
        try scene.write("half copied\n", to: ".2026-03.jsonl")
        try scene.drain()
        #expect(scene.values == [one, two])
        #expect(scene.topic.map(\.key) == [Array("a".utf8), Array("b".utf8)])
        try scene.append(three + "\n", to: "2026-01.jsonl")
        try scene.write(#"{"id":"n"}"# + "\n", to: "deep/er/new.jsonl")
        try scene.drain()
        #expect(scene.values == [one, two, three, #"{"id":"n"}"#])
        #expect(scene.topic.count == 4 && scene.topic[2].key == Array("3".utf8))
        #expect(scene.topic.allSatisfy { !$0.mayRepeat } && scene.refusals.isEmpty)
    }

    @Test("nothing is read twice by a process that comes after, and what grew meanwhile is read on")
    func restarting() throws {
        let scene = try FilesScene()
        try scene.write(one + "\n", to: "a.jsonl")
        try scene.drain()
        try scene.kill()
        try scene.drain()
        #expect(scene.topic.count == 1)
        try scene.append(two + "\n", to: "a.jsonl")
        try scene.kill()
        try scene.drain()
        #expect(scene.topic.map { String(decoding: $0.value, as: UTF8.self) } == [one, two])
    }

    @Test("what was not acknowledged is read again with the same ids and marked")
    func repeating() throws {
        let scene = try FilesScene()
        try scene.write(one + "\n" + two + "\n" + three + "\n", to: "a.jsonl")
        while scene.inFlight.count < 3 { try scene.step() }
        try scene.deliver(1)
        try scene.kill { _ in true }
        try scene.drain()
        #expect(scene.topic.count == 5 && scene.values == [one, two, three])
        #expect(scene.topic.map(\.mayRepeat) == [false, false, false, true, true])
    }

    @Test(
        "a file that is written anew is read anew, also with a content that it had before; one that is touched is not")
    func rewriting() throws {
        let scene = try FilesScene()
        try scene.write(one + "\n", to: "a.jsonl")
        try scene.drain()
        let other = #"{"id":"a","v":9}"#
        try scene.write(other + "\n", to: "a.jsonl")
        try scene.drain()
        try scene.write(one + "\n", to: "a.jsonl")
        try scene.drain()
        #expect(scene.values == [one, other, one])
        try scene.write(one + "\n", to: "a.jsonl")
        // A copy under the same name, as tools make it that write beside and rename.
        try File.replace(scene.path("a.jsonl"), with: Array((one + "\n").utf8))
        try scene.drain()
        #expect(scene.topic.count == 3)
        try File.replace(scene.path("a.jsonl"), with: Array((one + "\n" + two + "\n").utf8))
        try scene.drain()
        #expect(scene.values == [one, other, one, two])
    }

    @Test("a file that comes back as it was is not read again, and one that went is no fault")
    func vanishing() throws {
        let scene = try FilesScene()
        try scene.write(one + "\n", to: "a.jsonl")
        try scene.write(two + "\n", to: "b.jsonl")
        try scene.drain()
        let bytes = try File.contents(of: scene.path("a.jsonl"))
        try Folder.remove(scene.path("a.jsonl"))
        try scene.drain()
        try scene.kill()
        try scene.write(bytes, to: "a.jsonl")
        try scene.drain()
        #expect(scene.topic.count == 2 && scene.refusals.isEmpty)
        try Folder.rename(scene.path("b.jsonl"), to: scene.path("c.jsonl"))
        try scene.drain()
        #expect(scene.values == [one, two, two], "under another name it is another file")
    }

    @Test(
        "a half-written last line waits for its end; a whole one without a line feed waits until the file is left alone"
    )
    func lastLine() throws {
        let scene = try FilesScene()
        try scene.write(one + "\n" + two.dropLast(4), to: "a.jsonl")
        try scene.drain()
        #expect(scene.values == [one])
        try scene.append(String(two.suffix(4)) + "\n" + three, to: "a.jsonl")
        try scene.drain()
        #expect(scene.values == [one, two])
        scene.ahead = 60_000
        try scene.drain()
        #expect(scene.values == [one, two, three] && scene.refusals.isEmpty)
        try scene.append("\n" + one, to: "a.jsonl")
        scene.ahead = 120_000
        try scene.drain()
        #expect(scene.values == [one, two, three, one])
        try scene.append("\n{\"id\":", to: "a.jsonl")
        scene.ahead = 240_000
        try scene.drain()
        #expect(scene.values.count == 4)
        #expect(scene.refusals.map(\.place) == ["a.jsonl"], "said once")
        try scene.append("5}\n", to: "a.jsonl")
        try scene.drain()
        #expect(scene.values.last == #"{"id":5}"#)
    }

    @Test("packed files are read, of several members too, and on where they grew; half of one waits for the rest")
    func packed() throws {
        let scene = try FilesScene()
        let lines = (0..<3_000).map { #"{"id":"p\#($0)","text":"\#(String(repeating: "word ", count: $0 % 90))"}"# }
        let text = Array((lines.joined(separator: "\n") + "\n").utf8)
        let gzip = Packing.gzip(text)
        let many = Array(repeating: one, count: 20)
        try scene.write(gzip + Packing.gzip(Array(many.map { $0 + "\n" }.joined().utf8)), to: "a.jsonl.gz")
        try scene.write(try Packing.zstd(text), to: "b.jsonl.zst")
        try scene.drain()
        #expect(scene.values == lines + many + lines)
        try scene.write(try Packing.zstd(text) + Packing.zstd(Array((two + "\n").utf8)), to: "b.jsonl.zst")
        try scene.write(Array(gzip.prefix(gzip.count / 2)), to: "c.jsonl.gz")
        try scene.drain()
        #expect(scene.values[(2 * lines.count + 20)...].first == two)
        try scene.kill()
        try scene.write(gzip, to: "c.jsonl.gz")
        try scene.drain()
        #expect(Array(scene.values.suffix(lines.count)) == lines)
        #expect(scene.topic.count == 3 * lines.count + 21)
    }

    @Test("a damaged packed file is reported by name, once, and read when it was mended")
    func damaged() throws {
        let scene = try FilesScene()
        try scene.write("this is no frame", to: "a.jsonl.zst")
        try scene.write("nor this a member, by far", to: "b.jsonl.gz")
        try scene.write(one + "\n", to: "c.jsonl")
        try scene.drain()
        try scene.drain()
        #expect(scene.values == [one])
        #expect(scene.refusals.map(\.place) == ["a.jsonl.zst", "b.jsonl.gz"])
        try scene.write(try Packing.zstd(Array((two + "\n").utf8)), to: "a.jsonl.zst")
        try scene.drain()
        #expect(scene.values == [one, two])
    }

    @Test("a line that is too long is left out by name and place, however long, and the others are read")
    func longLines() throws {
        let scene = try FilesScene { $0.lineBytesMax = 1_024 }
        let fits = #"{"id":"\#(String(repeating: "x", count: 1_024 - 9))"}"#
        #expect(fits.utf8.count == 1_024)
        let long = String(repeating: "y", count: 3_000_000)
        try scene.write(one + "\n" + fits + "\r\n" + fits + " \n" + long + "\n" + two + "\n", to: "a.jsonl")
        try scene.drain()
        #expect(scene.values == [one, fits, two])
        #expect(scene.refusals.map(\.place) == ["a.jsonl, line 3", "a.jsonl, line 4"])
        try scene.kill()
        try scene.drain()
        #expect(scene.topic.count == 3 && scene.refusals.count == 2)
    }

    @Test("blank lines, carriage returns and the mark at a file's beginning are no part of a document")
    func oddLines() throws {
        let scene = try FilesScene()
        try scene.write("\u{FEFF}" + one + "\r\n\r\n  \n\n" + two + "\n\n", to: "a.jsonl")
        try scene.write("\n\n\n", to: "b.jsonl")
        try scene.write("", to: "c.jsonl")
        try scene.write("not JSON\n[1]\n", to: "d.jsonl")
        try scene.drain()
        #expect(scene.values == [one, two, "not JSON", "[1]"], "what is no object is the stream job's to judge")
        try scene.kill()
        try scene.drain()
        #expect(scene.topic.count == 4)
    }

    @Test("links are not followed, and what is no file is passed by")
    func links() throws {
        let scene = try FilesScene()
        try Folder.create(scene.folder.file("outside"))
        try File.replace(scene.folder.file("outside/secret.jsonl"), with: Array((one + "\n").utf8))
        symlink(scene.folder.file("outside/secret.jsonl"), scene.path("a.jsonl"))
        symlink(scene.folder.file("outside"), scene.path("deep"))
        mkfifo(scene.path("b.jsonl"), 0o600)
        try Folder.create(scene.path("c.jsonl"))
        try scene.write(two + "\n", to: "c.jsonl/d.jsonl")
        try scene.drain()
        #expect(scene.values == [two] && scene.refusals.isEmpty)
    }

    @Test("a folder that is away is a fault, and all is as before when it is back")
    func folderAway() throws {
        let scene = try FilesScene()
        try scene.write(one + "\n", to: "a.jsonl")
        try scene.drain()
        try Folder.rename(scene.folder.file("in"), to: scene.folder.file("away"))
        #expect(throws: FileError.self) { try scene.step() }
        try Folder.rename(scene.folder.file("away"), to: scene.folder.file("in"))
        try scene.drain()
        #expect(scene.topic.count == 1)
    }

    @Test("a large folder is walked in bounded steps, and files beyond the limit are reported")
    func manyFiles() throws {
        let count = LongTests.areWanted ? 100_000 : 5_000
        let scene = try FilesScene { $0.filesMax = count }
        for number in 0..<count { try scene.write(#"{"id":\#(number)}"# + "\n", to: "\(number % 7)/\(number).jsonl") }
        var empty = 0
        while scene.inFlight.isEmpty {
            try scene.step()
            empty += 1
        }
        #expect(empty > count / 2_000, "a step looks at 2,000 names at most")
        #expect(scene.inFlight.count <= 256, "and opens 256 files at most")
        try scene.drain()
        #expect(Set(scene.values).count == count && scene.topic.count == count)
        try scene.write(one + "\n", to: "more.jsonl")
        try scene.drain()
        #expect(scene.topic.count == count)
        #expect(scene.refusals.map(\.place) == [scene.options.folder])
        try Folder.remove(scene.path("0/0.jsonl"))
        try scene.drain()
        #expect(scene.topic.count == count + 1, "there is room again")
    }

    @Test("of a long file that grew only the last line is compared, and one in whose place another stands is read anew")
    func longFile() throws {
        let scene = try FilesScene { $0.wholeCheckBytesMax = 10 }
        try scene.write(one + "\n" + two + "\n", to: "a.jsonl")
        scene.ahead = 60_000
        try scene.drain()
        try scene.append(three + "\n", to: "a.jsonl")
        try scene.drain()
        #expect(scene.values == [one, two, three])
        try scene.write(three + "\n" + three + "\n" + two + "\n" + two + "\n" + one + "\n", to: "a.jsonl")
        try scene.drain()
        #expect(scene.values.count == 8)
    }

    @Test("a folder is followed by one process")
    func twoProcesses() throws {
        let scene = try FilesScene()
        let error = #expect(throws: FilesConnectorError.self) {
            try FilesConnector(scene.options, scan: DocumentScan(idPath: "id"))
        }
        #expect(error?.description.contains("another process") == true)
    }

    @Test("a damaged state is an error that says what to do, and a torn last line of it is none")
    func damagedState() throws {
        let scene = try FilesScene()
        try scene.write(one + "\n", to: "a.jsonl")
        try scene.drain()
        let state = try File.contents(of: scene.options.statePath)
        try File.replace(scene.options.statePath, with: state + Array(#"{"file":"b.js"#.utf8))
        try scene.kill()
        try scene.drain()
        #expect(scene.topic.count == 1)
        try File.replace(scene.options.statePath, with: state + Array("{}\n".utf8))
        let error = #expect(throws: FilesConnectorError.self) { try scene.kill() }
        #expect(error?.description.contains("move the file away") == true)
        // A new state has another id, so that its event ids meet none from before.
        try Folder.remove(scene.options.statePath)
        try scene.kill()
        try scene.drain()
        #expect(scene.values == [one, one])
    }
}
