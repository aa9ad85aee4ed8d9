import Files
import PlatformTesting
import Records
import Testing
import Zstd

@testable import Lake

/// Lakes of formats 1 and 2, in every state that their writers could leave behind, and half seals of the present one.
@Suite struct FormerFormatTests {
    private let hour = LakeFixture.hourMilliseconds

    private func fill(_ fixture: LakeFixture, to end: Int64) throws {
        if try GenerationLog(layout: fixture.layout).read().isEmpty {
            _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        }
        var writer = try fixture.open()
        if writer.nextOffset == nil { try writer.handOver(to: 1, at: 0) }
        while let start = writer.nextOffset, start < end {
            let time = start / 100 * hour + start
            try writer.commit(try LakeFixture.batch(start, start + 10, time: time, writer: writer))
        }
    }

    private func put(_ files: [String: [UInt8]], in fixture: LakeFixture) throws {
        for name in try fixture.contents().keys { try Folder.remove(fixture.layout.root + name) }
        for (name, content) in files { try File.replace(fixture.layout.root + name, with: content) }
    }

    /// The same lake as format 2 has it: growing files have another name, and no entry tells a format.
    private func former(_ files: [String: [UInt8]], growing hour: String, withoutChecksums: Bool = false) -> [String:
        [UInt8]]
    {
        var result: [String: [UInt8]] = [:]
        for (name, content) in files {
            if name.contains(hour) {
                result[name.replacing(".jsonl.zst", with: ".open.jsonl.zst")] = content
            } else if name == Self.log {
                result[name] = content.split(separator: 0x0A).flatMap { line -> [UInt8] in
                    guard let record = LogLine.decode(line).flatMap({ CommitRecord($0) }), record.kind != .format else {
                        return []
                    }
                    return LogLine.encode(withoutChecksums ? Self.first(record).json : record.json)
                }
            } else {
                result[name] = content
            }
        }
        return result
    }

    /// The entry as format 1 has it.
    private static func first(_ record: CommitRecord) -> CommitRecord {
        var record = record
        record.bronze.checksum = nil
        for index in record.parts.indices {
            record.parts[index].silver.checksum = nil
            record.parts[index].gold.checksum = nil
            record.parts[index].quarantine.checksum = nil
        }
        for index in record.sealed.indices { record.sealed[index].checksum = nil }
        return record
    }

    private static func dataFiles(_ files: [String: [UInt8]]) -> [String: [UInt8]] {
        files.filter { $0.key.hasSuffix(".zst") }
    }

    private static let log = "/_commits/topic=t.change/partition=0.log"

    private func check(_ fixture: LakeFixture, to end: Int64) throws {
        var offsets: [Int64] = []
        let all = try #require(OffsetRange(start: 0, end: end))
        try fixture.reader.forEachLine(.bronze, generation: nil, source: LakeFixture.source, range: all) { offset, _ in
            offsets.append(offset)
            return true
        }
        #expect(offsets == Array(0..<end))
        var findings: [String] = []
        _ = try LakeVerifier(layout: fixture.layout) { findings.append("\($0.place): \($0.problem)") }.run()
        #expect(findings == [])
        var seen: [Int64] = []
        for (name, content) in try fixture.contents().filter({ $0.key.hasPrefix("/bronze") && $0.key.hasSuffix(".zst") }
        ).sorted(
            by: { $0.key < $1.key })
        {
            #expect(!name.contains(".open."))
            try LakeFixture.forEachLine(content) { seen.append(LineScan.offset(of: $0, layer: .bronze) ?? -1) }
        }
        #expect(seen == Array(0..<end))
    }

    @Test(arguments: [false, true]) func aLakeOfFormatTwoIsReadAndContinuedInTheMiddleOfAnHour(isFirst: Bool) throws {
        let fixture = try LakeFixture.inMemory()
        try fill(fixture, to: 150)
        let middle = try fixture.contents()
        try fill(fixture, to: 210)
        let whole = try fixture.contents()
        let old = former(middle, growing: "hour=01", withoutChecksums: isFirst)
        #expect(old.keys.filter { $0.hasSuffix(".open.jsonl.zst") }.count == 4)
        try put(old, in: fixture)
        // As it is, by readers that come before any writer.
        #expect(try fixture.reader.bronze(LakeFixture.source, offset: 149).path.hasSuffix(".open.jsonl.zst"))
        var findings: [String] = []
        _ = try LakeVerifier(layout: fixture.layout) { findings.append("\($0.place): \($0.problem)") }.run()
        #expect(findings == [])
        try fill(fixture, to: 210)
        try check(fixture, to: 210)
        #expect(try Self.dataFiles(fixture.contents()) == Self.dataFiles(whole))
        // The hour in whose middle the format changed says so, too.
        let log = try CommitLog(reading: fixture.layout.root + Self.log)
        var formats: [Int64] = []
        try log.forEach { record in
            if record.kind == .format { formats.append(record.range.start) }
            return true
        }
        #expect(formats == [150, 200])
    }

    /// A crash between the entry that tells the format and any of the renames.
    @Test func anUpgradeThatIsInterruptedIsFinished() throws {
        let fixture = try LakeFixture.inMemory()
        try fill(fixture, to: 50)
        let present = try fixture.contents()
        try fill(fixture, to: 110)
        let whole = try fixture.contents()
        let old = former(present, growing: "hour=00")
        let names = old.keys.filter { $0.hasSuffix(".open.jsonl.zst") }.sorted()
        for count in 0...names.count {
            var files = old
            for name in names.prefix(count) {
                files[name.replacing(".open.jsonl.zst", with: ".jsonl.zst")] = files.removeValue(forKey: name)
            }
            try put(files, in: fixture)
            try fill(fixture, to: 110)
            try check(fixture, to: 110)
            #expect(try Self.dataFiles(fixture.contents()) == Self.dataFiles(whole))
        }
    }

    /// Every state in the middle of a seal: of format 2, which wrote the sealed files beside the open ones and removed
    /// those, and of the present format, with the log once without and once with the seal.
    @Test(arguments: [false, true], [0, 1, 2, 3, 4]) func aHalfSealIsUndoneOrFinished(isFormer: Bool, count: Int) throws
    {
        let fixture = try LakeFixture.inMemory()
        try fill(fixture, to: 100)
        let growing = try fixture.contents()
        do {
            var writer = try fixture.open()
            try writer.seal()
        }
        let sealed = try fixture.contents()
        try fill(fixture, to: 110)
        let whole = try fixture.contents()
        let names = growing.keys.filter { $0.hasSuffix(".jsonl.zst") }.sorted()
        #expect(names.count == 4)
        for hasSeal in [false, true] {
            var files = isFormer ? former(growing, growing: "hour=00") : growing
            if hasSeal { files[Self.log] = isFormer ? former(sealed, growing: "none")[Self.log] : sealed[Self.log] }
            for (index, name) in names.enumerated() {
                let isDone = index < count
                let sealing = name.replacing(".jsonl.zst", with: ".sealing")
                let open = name.replacing(".jsonl.zst", with: ".open.jsonl.zst")
                switch (isFormer, hasSeal) {
                // Some sealed files are written, the next one is being written.
                case (true, false):
                    if isDone { files[name] = sealed[name] }
                    if index == count { files[sealing] = Array("half".utf8) }
                // All are written, some open ones are removed.
                case (true, true):
                    files[name] = sealed[name]
                    if isDone { files[open] = nil }
                case (false, false):
                    if isDone { files[sealing] = sealed[name] }
                    if index == count { files[sealing] = Array("half".utf8) }
                // All are written, some are renamed.
                case (false, true):
                    if isDone { files[name] = sealed[name] } else { files[sealing] = sealed[name] }
                }
            }
            try put(files, in: fixture)
            // Readers are right before any writer comes, whatever is under which name.
            for offset in [Int64(0), 55, 99] {
                let line = try fixture.reader.bronze(LakeFixture.source, offset: offset)
                #expect(String(decoding: line.line, as: UTF8.self) == LakeFixture.bronze(offset))
                #expect(line.isSealed == hasSeal)
            }
            var findings: [String] = []
            _ = try LakeVerifier(layout: fixture.layout) { findings.append("\($0.place): \($0.problem)") }.run()
            if !isFormer, hasSeal, count == 0 {
                // Nobody takes the growing file for the sealed one.
                let plan = try Retention(layout: fixture.layout, windowOffsets: 0, windowMilliseconds: 0).plan(
                    .bronze, [LakeFixture.source], .bytesMax(0))
                #expect(plan.count == 1 && plan.allSatisfy { "\($0.verdict)".contains("its seal is not finished") })
            }
            // Format 2 shows lines twice in these states, which is said.
            #expect(findings.isEmpty || isFormer, "\(findings)")
            try fill(fixture, to: 110)
            try check(fixture, to: 110)
            #expect(try Self.dataFiles(fixture.contents()) == Self.dataFiles(whole))
            #expect(try fixture.contents().keys.allSatisfy { !$0.hasSuffix(".sealing") })
        }
    }

    /// The first lines of an hour whose first commit a crash prevented, after which the topic no longer has them.
    @Test func linesThatWereNeverCommittedGoAtTheNextStart() throws {
        let fixture = try LakeFixture.inMemory()
        try fill(fixture, to: 100)
        let before = try fixture.contents()
        try fill(fixture, to: 120)
        let after = try fixture.contents()
        // As if the power went before the commit record came to the disk, with the first hour sealed.
        var files = after
        let log = try #require(after[Self.log]).split(separator: 0x0A)
        let seal = try #require(log.firstIndex { LogLine.decode($0).flatMap { CommitRecord($0) }?.kind == .seal })
        files[Self.log] = Array(log[...seal].joined(separator: [0x0A])) + [0x0A]
        try put(files, in: fixture)
        do {
            var writer = try fixture.open()
            let next = writer.nextOffset
            #expect(next == 100)
            #expect(try fixture.contents().keys.allSatisfy { !$0.contains("hour=01") })
            // The records from 100 to 105 have expired.
            try writer.commit(try LakeFixture.batch(105, 120, time: hour + 105, writer: writer))
        }
        var seen: [Int64] = []
        for (name, content) in try fixture.contents().sorted(by: { $0.key < $1.key }) where name.hasPrefix("/bronze") {
            try LakeFixture.forEachLine(content) { seen.append(LineScan.offset(of: $0, layer: .bronze) ?? -1) }
        }
        #expect(seen == Array(0..<100) + Array(105..<120))
        // With an old copy of the log put there, nothing goes that somebody may still want.
        try put(after, in: fixture)
        try fill(fixture, to: 310)
        var mixed = try fixture.contents()
        for (name, content) in before { mixed[name] = content }
        try put(mixed, in: fixture)
        let next = try fixture.open().nextOffset
        #expect(next == 100)
        #expect(try fixture.contents().keys.filter { $0.hasPrefix("/bronze") }.count == 4)
        var findings: [String] = []
        _ = try LakeVerifier(layout: fixture.layout) { findings.append($0.problem) }.run()
        #expect(findings.contains { $0.contains("the commit log ends before it") })
    }
}

extension LakeFixture {
    /// The lines of a whole file.
    static func forEachLine(_ bytes: [UInt8], _ body: (ArraySlice<UInt8>) -> Void) throws {
        var stream = try StreamDecompressor()
        var text: [UInt8] = []
        try bytes.withUnsafeBytes { try stream.feed($0) { text += $0 } }
        for line in text.split(separator: 0x0A) { body(line) }
    }
}
