import Bytes
import Files
import Glibc
import Hashing
import JSONScan
import PlatformTesting
import Testing
import Zstd

@Suite struct HashingTests {
    @Test func crcEqualsTheCheckValueOfTheStandard() {
        let bytes = Array("123456789".utf8)
        #expect(bytes.withUnsafeBytes { crc32c($0) } == 0xE306_9283)
    }

    @Test func theSumsOfTwoRunsGiveThatOfBoth() {
        var random = SeededGenerator(seed: 3)
        for count in [0, 1, 4_095, 4_096, 4_097, 20_000] {
            let bytes = (0..<count + 100).map { _ in UInt8.random(in: 0...255, using: &random) }
            for place in [0, 1, 100] {
                let first = bytes[..<place].withUnsafeBytes { crc32c($0) }
                let second = bytes[place...].withUnsafeBytes { crc32c($0) }
                let both = crc32c(first, followedBy: second, secondCount: bytes.count - place)
                #expect(both == bytes.withUnsafeBytes { crc32c($0) })
            }
        }
    }

    @Test func crcOfTwoPartsEqualsTheWhole() {
        let bytes = Array("a fairly long text that is cut in two".utf8)
        let whole = bytes.withUnsafeBytes { crc32c($0) }
        let parts = bytes.withUnsafeBytes { buffer in
            let head = crc32c(UnsafeRawBufferPointer(rebasing: buffer[..<7]))
            return crc32c(UnsafeRawBufferPointer(rebasing: buffer[7...]), seed: head)
        }
        #expect(whole == parts)
    }

    @Test func sha256EqualsTheExampleOfTheStandard() throws {
        var hasher = try SHA256Hasher()
        let digest = try Array("abc".utf8).withUnsafeBytes { try hasher.hash($0) }
        #expect(digest.hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }
}

@Suite struct ZstdTests {
    @Test(arguments: [0, 1, 1_000, 3_000_000]) func framesComeBack(count: Int) throws {
        var generator = SeededGenerator(seed: 7)
        let content = (0..<count).map { _ in UInt8(generator.next() % 7) }
        var compressor = try Compressor()
        var frames: [UInt8] = []
        for _ in 0..<2 { _ = try content.withUnsafeBytes { try compressor.compressFrame($0, appendingTo: &frames) } }
        var decompressor = try Decompressor()
        #expect(try frames.withUnsafeBytes { try decompressor.decompress($0) } == content + content)
        var stream = try StreamDecompressor()
        var streamed: [UInt8] = []
        for start in stride(from: 0, to: frames.count, by: 1_001) {
            try frames[start..<min(start + 1_001, frames.count)].withUnsafeBytes { piece in
                try stream.feed(piece) { streamed.append(contentsOf: $0) }
            }
        }
        #expect(streamed == content + content)
        let isAtFrameEnd = stream.isAtFrameEnd
        #expect(isAtFrameEnd)
    }

    @Test func aFlippedBitIsFound() throws {
        var compressor = try Compressor()
        var frame: [UInt8] = []
        _ = try Array("some content, some content".utf8).withUnsafeBytes {
            try compressor.compressFrame($0, appendingTo: &frame)
        }
        frame[frame.count - 1] ^= 1
        #expect(throws: ZstdError.self) {
            var decompressor = try Decompressor()
            _ = try frame.withUnsafeBytes { try decompressor.decompress($0) }
        }
    }

    @Test func aFrameThatSwellsPastTheLimitIsRefused() throws {
        var compressor = try Compressor()
        var frame: [UInt8] = []
        _ = try [UInt8](repeating: 0, count: 100_000).withUnsafeBytes {
            try compressor.compressFrame($0, appendingTo: &frame)
        }
        #expect(throws: ZstdError.self) {
            var decompressor = try Decompressor()
            _ = try frame.withUnsafeBytes { try decompressor.decompress($0, bytesMax: 99_999) }
        }
    }
}

@Suite struct JSONScanTests {
    private func error(_ text: String) throws -> JSONError.Kind? {
        var parser = try JSONFieldParser(paths: ["a"])
        return Array(text.utf8).withUnsafeBytes { parser.parseObject($0)?.kind }
    }

    @Test func fieldsAreFoundByPath() throws {
        var parser = try JSONFieldParser(paths: ["meta.id", "n", "gone", "meta", "z", "big", "f"])
        let text = #"{"n":-5,"meta":{"id":"a\u00e9\n","x":[{"id":1}]},"z":null,"big":18446744073709551615,"f":1.5}"#
        let error = Array(text.utf8).withUnsafeBytes { parser.parseObject($0) }
        #expect(error == nil)
        #expect(String(decoding: parser.field(0).text, as: UTF8.self) == "aé\n")
        #expect(parser.field(1).integer == -5)
        #expect(parser.field(2).kind == .absent)
        #expect(parser.field(3).kind == .object)
        #expect(parser.field(4).kind == .null)
        #expect(parser.field(5).kind == .unsigned)
        #expect(parser.field(6).double == 1.5)
    }

    @Test func theLastOfEqualNamesWins() throws {
        var parser = try JSONFieldParser(paths: ["a"])
        #expect(Array(#"{"a":1,"a":2}"#.utf8).withUnsafeBytes { parser.parseObject($0) } == nil)
        #expect(parser.field(0).integer == 2)
    }

    @Test func faultsHaveTheirKinds() throws {
        #expect(try error("[1]") == .notAnObject)
        #expect(try error(#"{"a":tru}"#) == .invalid)
        #expect(try error(#"{"a":1e999}"#) == .invalid)
        #expect(try error(#"{"a":"\ud800"}"#) == .invalid)
        #expect(try error("") == .invalid)
        #expect(
            try error(String(repeating: #"{"a":"#, count: 70) + "1" + String(repeating: "}", count: 70)) == .tooDeep)
        var parser = try JSONFieldParser(paths: ["a"])
        let broken: [UInt8] = Array(#"{"a":""#.utf8) + [0xC3, 0x28] + Array(#""}"#.utf8)
        #expect(broken.withUnsafeBytes { parser.parseObject($0)?.kind } == .invalidUTF8)
    }

    @Test func aParserGrowsAndGoesOn() throws {
        var parser = try JSONFieldParser(paths: ["a"])
        for length in [10, 100_000, 3, 2_000_000] {
            let text = #"{"a":""# + String(repeating: "x", count: length) + #""}"#
            #expect(Array(text.utf8).withUnsafeBytes { parser.parseObject($0) } == nil)
            #expect(parser.field(0).text.count == length)
        }
    }

    @Test func aTreeHoldsEverything() throws {
        let value = try JSONValue.parse(Array(#"{"a":[1,2.5,"x",null,true,{}],"b":{"c":"d"}}"#.utf8))
        #expect(value["a"]?.array?.count == 6)
        #expect(value["a"]?.array?[1].double == 2.5)
        #expect(value["b"]?["c"]?.string == "d")
        #expect(throws: JSONError.self) { try JSONValue.parse(Array("{".utf8)) }
        #expect(throws: JSONError.self) { try JSONValue.parse(Array(String(repeating: "[", count: 40).utf8)) }
    }
}

@Suite struct FilesTests {
    @Test func aReplacedFileHasTheNewContent() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("deep/er/file")
        try Folder.create(Folder.parent(of: path))
        try File.replace(path, with: Array("one".utf8))
        try File.replace(path, with: Array("two".utf8))
        #expect(try File.contents(of: path) == Array("two".utf8))
        #expect(try Folder.list(Folder.parent(of: path)) == ["file"])
    }

    @Test func aSecondLockIsRefusedUntilTheFirstIsGone() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("lock")
        do {
            var first = try File(path, .readWrite)
            #expect(try first.tryLock())
            var second = try File(path, .readWrite)
            #expect(try !second.tryLock())
        }
        var third = try File(path, .readWrite)
        #expect(try third.tryLock())
    }

    /// As a child has it between its start and its program's, when another thread closes the file.
    @Test func aLockIsGoneThoughACopyOfTheDescriptorIsStillOpen() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("lock")
        var copy: Int32 = -1
        do {
            var first = try File(path, .readWrite)
            #expect(try first.tryLock())
            copy = dup(first.descriptor)
        }
        #expect(copy >= 0)
        defer { close(copy) }
        var second = try File(path, .readWrite)
        #expect(try second.tryLock())
    }

    @Test func errorsNameOperationPathAndReason() {
        #expect { _ = try File("/nowhere/x", .read) } throws: { error in
            "\(error)" == "open /nowhere/x: No such file or directory"
        }
    }
}
