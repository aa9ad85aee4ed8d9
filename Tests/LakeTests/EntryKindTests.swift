import Bytes
import Files
import JSONScan
import PlatformTesting
import Records
import Testing

@testable import Lake

/// What newer versions may write, and what this one makes of it.
@Suite struct EntryKindTests {
    private let fixture: LakeFixture
    private let hour = LakeFixture.hourMilliseconds

    /// Two sealed hours and a growing one.
    init() throws {
        fixture = try LakeFixture.inMemory()
        _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        try fill(to: 50)
    }

    private func fill(to end: Int64) throws {
        var writer = try PartitionWriter.open(layout: fixture.layout, source: LakeFixture.source, logBytesMin: 0)
        if writer.nextOffset == nil { try writer.handOver(to: 1, at: 0) }
        while let start = writer.nextOffset, start < end {
            try writer.commit(try LakeFixture.batch(start, start + 5, time: start / 20 * hour + start, writer: writer))
        }
    }

    private var logPath: String { fixture.layout.commitLog(LakeFixture.source) }

    private func offsets(_ layer: Layer = .bronze, to end: Int64 = 50) throws -> [Int64] {
        var offsets: [Int64] = []
        let range = try #require(OffsetRange(start: 0, end: end))
        try fixture.reader.forEachLine(
            layer, generation: layer == .bronze ? nil : 1, source: LakeFixture.source, range: range
        ) { offset, _ in
            offsets.append(offset)
            return true
        }
        return offsets
    }

    private func findings() throws -> [String] {
        var findings: [String] = []
        _ = try LakeVerifier(layout: fixture.layout) { findings.append("\($0.place): \($0.problem)") }.run()
        return findings
    }

    /// The log with an entry of another kind behind each of its entries, about the same place.
    private func insert(_ members: String) throws -> Int {
        var bytes: [UInt8] = []
        let lines = try File.contents(of: logPath).split(separator: 0x0A)
        for line in lines {
            let record = try #require(LogLine.decode(line).flatMap { CommitRecord($0) })
            let added =
                #"{\#(members),"start_offset":\#(record.range.end),"next_offset":\#(record.range.end),"hour":\#(record.hour.number),"#
                + #""broker_time_max_ms":\#(record.brokerTimeMax),"first_offset":\#(record.firstOffset)}"#
            bytes += line + [0x0A] + LogLine.encode(Array(added.utf8))
        }
        try File.replace(logPath, with: bytes)
        return lines.count
    }

    @Test func anUnknownKindThatIsOptionalIsPassedOverAndKept() throws {
        let before = try offsets(.silver)
        let count = try insert(#""kind":"weather","optional":true,"temperature":[17,{"of":"the sea"}]"#)
        #expect(count >= 8)
        #expect(try offsets() == Array(0..<50))
        #expect(try offsets(.silver) == before)
        #expect(try findings() == [])
        let line = try fixture.reader.bronze(LakeFixture.source, offset: 17)
        #expect(String(decoding: line.line, as: UTF8.self) == LakeFixture.bronze(17) && line.isSealed)
        // The writer goes on, seals and compacts.
        try fill(to: 70)
        #expect(try offsets(to: 70) == Array(0..<70))
        #expect(try findings() == [])
        let text = String(decoding: try File.contents(of: logPath), as: UTF8.self)
        #expect(text.split(separator: "\n").filter { $0.contains(#""kind":"weather""#) }.count == count)
        #expect(text.contains(#"[17,{"of":"the sea"}]"#))
    }

    @Test(arguments: [
        (#""kind":"weather""#, "`weather`"), (#""kind":"weather","optional":false"#, "`weather`"),
        (#""kind":"unknown""#, "`unknown`"), (#""kind":"format","format":4"#, "format 4"),
    ]) func anyOtherIsRefusedByName(members: String, name: String) throws {
        let before = try fixture.contents()
        _ = try insert(members)
        let log = try File.contents(of: logPath)
        func refusal(_ body: () throws -> Void) -> String {
            do {
                try body()
                return "nothing was refused"
            } catch {
                return "\(error)"
            }
        }
        for words in [
            refusal { _ = try fixture.open().nextOffset }, refusal { _ = try offsets() },
            refusal { _ = try CommitLog(reading: logPath).last() }, try findings().joined(),
        ] {
            #expect(words.contains(name) && words.contains("a newer one wrote it"), "\(words)")
        }
        // And nothing was touched.
        let key = String(logPath.dropFirst(fixture.layout.root.count))
        var expected = before
        expected[key] = log
        #expect(try fixture.contents() == expected)
    }

    /// Writes a file of the first hour anew without some offsets, and the entry that says so.
    private func rewrite(
        _ layer: Layer, without gone: Set<Int64>, old: String? = nil, linesToo: Int = 0
    ) throws {
        let log = try CommitLog(reading: logPath)
        let seal = try #require(try log.seal(ofFiles: 0))
        let file = try #require(seal.sealed.first { $0.layer == layer })
        let name = DataFileName(
            layer: layer, generation: file.generation, source: LakeFixture.source, hour: seal.hour, firstOffset: 0)
        var kept: [[UInt8]] = []
        try FrameReader.forEachLine(path: fixture.layout.dataFile(name), end: file.bytes) { line in
            if let offset = LineScan.offset(of: line, layer: layer), !gone.contains(offset) { kept.append(Array(line)) }
        }
        var writer = try SealedFileWriter(layout: fixture.layout, name: name)
        for line in kept { try writer.append(line: line[...]) }
        var next = try writer.finish()
        next.lines += linesToo
        var record = CommitRecord(
            kind: .rewrite, range: .empty(at: seal.range.end), hour: seal.hour, brokerTimeMax: seal.brokerTimeMax,
            firstOffset: 0)
        record.rewrite = FileRewrite(
            reason: "erasure", request: "request 17 of 2026-11-21", oldContentSHA256: old ?? file.contentSHA256,
            file: next)
        var bytes: [UInt8] = []
        var isBehindSeal = false
        var isIn = false
        for line in try File.contents(of: logPath).split(separator: 0x0A) {
            let entry = try #require(LogLine.decode(line).flatMap { CommitRecord($0) })
            if !isIn, isBehindSeal, entry.kind != .rewrite {
                bytes += LogLine.encode(record.json)
                isIn = true
            }
            if entry.kind == .seal, entry.firstOffset == 0 { isBehindSeal = true }
            bytes += line + [0x0A]
        }
        try File.replace(logPath, with: bytes)
    }

    @Test func aRewriteIsWhatReadersAndVerifyGoBy() throws {
        try rewrite(.bronze, without: [3])
        try rewrite(.silver, without: [3])
        #expect(try findings() == [])
        // Twice the same file: the last one holds.
        try rewrite(.bronze, without: [4, 5])
        try rewrite(.gold, without: [1, 2, 4, 5])
        #expect(try findings() == [])
        #expect(try offsets() == (0..<50).filter { ![3, 4, 5].contains($0) })
        #expect(try offsets(.silver) == (0..<50).filter { $0 != 3 && $0 % 10 != 9 })
        #expect(throws: LakeError.self) { try fixture.reader.bronze(LakeFixture.source, offset: 3) }
        let line = try fixture.reader.bronze(LakeFixture.source, offset: 6)
        #expect(String(decoding: line.line, as: UTF8.self) == LakeFixture.bronze(6))
        // It survives compaction, and the writer goes on.
        try fill(to: 90)
        #expect(try findings() == [])
        #expect(try offsets(to: 90).count == 87)
        let rewrites = try CommitLog(reading: logPath).seal(ofFiles: 0)?.sealed.filter { $0.linesSealed != nil }
        #expect(rewrites?.map(\.layer) == [.bronze, .silver, .gold])
    }

    @Test func aRewriteThatSupersedesNothingIsDamage() throws {
        try rewrite(.bronze, without: [3], old: String(repeating: "0", count: 64))
        #expect(try findings().contains { $0.contains("supersedes no file of its seal") })
        #expect(throws: LakeError.self) { try offsets() }
    }

    @Test func aFileThatWasNotRewrittenAsTheLogSaysIsFound() throws {
        // The log knows of a line less than the file, and of one more than it lost.
        try rewrite(.bronze, without: [3], linesToo: -1)
        let found = try findings()
        #expect(found.contains { $0.contains("holds 19 lines where the log says 18") }, "\(found)")
        #expect(found.contains { $0.contains("1 Bronze lines are gone where rewrites took 2") }, "\(found)")
    }
}
