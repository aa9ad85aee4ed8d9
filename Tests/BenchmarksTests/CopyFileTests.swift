import Files
import PlatformTesting
import Testing

@testable import Benchmarks

/// What Postgres reads with `COPY … (FORMAT binary)`.
@Suite struct CopyFileTests {
    private static let header: [UInt8] =
        Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0x00] + [UInt8](repeating: 0, count: 8)

    @Test func rowsAreInTheServersFormat() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/rows.copy"
        var file = try CopyFile(path)
        try file.row(fields: 5)
        file.add(Int64(-2))
        file.add(Int32(258))
        file.add("a\0é")
        file.add([Int32(7), -1])
        file.add(halves: [0x3C00, 0x8000])
        try file.end()
        var wanted = Self.header + [0, 5]
        wanted += [0, 0, 0, 8] + [UInt8](repeating: 0xFF, count: 7) + [0xFE]
        wanted += [0, 0, 0, 4, 0, 0, 1, 2]
        // Texts cannot hold U+0000.
        wanted += [0, 0, 0, 3, 0x61, 0xC3, 0xA9]
        // One dimension, no null, `int4`, two elements from 1.
        wanted += [0, 0, 0, 36, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1]
        wanted += [0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, 4, 0xFF, 0xFF, 0xFF, 0xFF]
        wanted += [0, 0, 0, 8, 0, 2, 0, 0, 0x3C, 0x00, 0x80, 0x00]
        wanted += [0xFF, 0xFF]
        #expect(try File.contents(of: path) == wanted)
    }

    @Test func manyRowsAreWrittenInPieces() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/rows.copy"
        var file = try CopyFile(path)
        let text = String(repeating: "x", count: 100_000)
        for _ in 0..<25 {
            try file.row(fields: 1)
            file.add(text)
        }
        try file.end()
        let bytes = try File.contents(of: path)
        #expect(bytes.count == Self.header.count + 25 * (2 + 4 + 100_000) + 2)
        #expect(bytes.suffix(3) == [0x78, 0xFF, 0xFF])
    }
}
