import Bytes
import Files
import Foundation
import Lake
import PlatformTesting
import Records
import Testing
import Zstd

/// Any change that was made to a lake behind its back is found.
@Suite struct LakeVerifierTests {
    private let fixture: LakeFixture

    /// Two sealed hours and an open one, two generations.
    init() throws {
        fixture = try LakeFixture(in: Folder.exists("/dev/shm") ? "/dev/shm" : "/tmp")
        let log = GenerationLog(layout: fixture.layout)
        _ = try log.createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        var writer = try fixture.open()
        try writer.handOver(to: 1, at: 0)
        for start in stride(from: Int64(0), to: 30, by: 5) {
            if start == 10 {
                _ = try log.createChild(of: 1, logic: .former(logicVersion: "v1-2", settings: "{}"))
                try writer.handOver(to: 2, at: start)
                try log.update(2, expecting: [.created]) { $0.handovers[LakeFixture.source] = start }
            }
            try writer.commit(
                try LakeFixture.batch(
                    start, start + 5, time: start / 12 * LakeFixture.hourMilliseconds, writer: writer,
                    generations: start >= 10 ? [1, 2] : [1]))
        }
    }

    private func findings() throws -> [VerifyFinding] {
        var found: [VerifyFinding] = []
        let report = try LakeVerifier(layout: fixture.layout) { found.append($0) }.run()
        #expect(report.findings == found.count)
        return found
    }

    /// Replaces a file's bytes, verifies, and puts the file back.
    private func findings(with bytes: [UInt8], in name: String) throws -> [VerifyFinding] {
        let path = fixture.layout.root + name
        let before = try File.contents(of: path)
        try File.replace(path, with: bytes)
        defer { try? File.replace(path, with: before) }
        return try findings()
    }

    @Test func aSoundLakeHasNoFindings() throws {
        var lines = 0
        let report = try LakeVerifier(layout: fixture.layout) { Issue.record("\($0.place): \($0.problem)") }.run()
        for (layer, generation) in [(Layer.bronze, Int64?.none), (.silver, 1), (.gold, 1), (.quarantine, 1)] {
            let range = try #require(OffsetRange(start: 0, end: 30))
            try fixture.reader.forEachLine(
                layer, generation: generation, source: LakeFixture.source, range: range
            ) { _, _ in
                lines += 1
                return true
            }
        }
        #expect(lines == 30 + 27 + 18 + 3)
        #expect(report.lines > lines && report.files >= 12 && report.rawBytes > report.bytes)
    }

    /// In data files and commit logs; the generation log has a test of its own.
    @Test func anyFlippedBitIsFound() throws {
        let files = try fixture.contents().filter { !$0.key.hasSuffix("_generations.log") }
        let isLong = ProcessInfo.processInfo.environment["MEDALLION_LONG_TESTS"] != nil
        var random = SeededGenerator(seed: 8)
        for (name, bytes) in files.sorted(by: { $0.key < $1.key }) {
            let all = Array(0..<bytes.count * 8)
            for bit in isLong ? all : all.shuffled(using: &random).prefix(30).map({ $0 }) {
                var flipped = bytes
                flipped[bit / 8] ^= 1 << UInt8(bit % 8)
                let found = try findings(with: flipped, in: name)
                #expect(!found.isEmpty, "bit \(bit % 8) of byte \(bit / 8) in \(name)")
                #expect(found.contains { $0.place.contains(name) || $0.place.contains("t.change") })
            }
        }
    }

    /// The bits of a frame's header that no decoder looks at.
    @Test func unusedBitsOfFramesCount() throws {
        for (name, bytes) in try fixture.contents() where name.hasSuffix(".zst") {
            var flipped = bytes
            flipped[4] ^= 1 << 4
            #expect(!(try findings(with: flipped, in: name)).isEmpty, "\(name)")
        }
    }

    @Test func missingAndUnknownFilesAreFound() throws {
        for (name, bytes) in try fixture.contents() where name.hasSuffix(".zst") {
            try Folder.remove(fixture.layout.root + name)
            #expect((try findings()).contains { $0.place.contains(name) }, "\(name) is gone")
            try File.replace(fixture.layout.root + name, with: bytes)
            let copy = name.replacingOccurrences(of: ".jsonl.zst", with: "9.jsonl.zst")
            try File.replace(fixture.layout.root + copy, with: bytes)
            #expect((try findings()).contains { $0.place.contains(copy) }, "\(copy) is too much")
            try Folder.remove(fixture.layout.root + copy)
        }
        #expect(try findings().isEmpty)
    }

    /// What a careful forger would write: frames and sums are right, lines are not.
    @Test(arguments: ["missing", "doubled", "parent", "hash", "content"])
    func wrongLinesAreFoundBehindRightSums(kind: String) throws {
        let other = try LakeFixture(in: "/tmp")
        _ = try GenerationLog(layout: other.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        var writer = try other.open()
        try writer.handOver(to: 1, at: 0)
        var batch = try LakeFixture.batch(0, 5, time: 5, writer: writer)
        func edit(_ content: inout (text: [UInt8], lines: Int), _ body: (inout [String]) -> Void) {
            var lines = String(decoding: content.text, as: UTF8.self).split(separator: "\n").map(String.init)
            body(&lines)
            content = (Array((lines.joined(separator: "\n") + "\n").utf8), lines.count)
        }
        switch kind {
        case "missing": edit(&batch.bronze) { $0.remove(at: 2) }
        case "doubled": edit(&batch.bronze) { $0[3] = $0[2] }
        case "parent": edit(&batch.generations[0].silver) { $0[1] = LakeFixture.derived(40, generation: 1) }
        case "hash":
            edit(&batch.generations[0].silver) {
                $0[1] = $0[1].replacingOccurrences(
                    of: LakeFixture.sha256(LakeFixture.value(1)), with: LakeFixture.sha256("x"))
            }
        default: edit(&batch.generations[0].gold) { $0[0] = $0[0].replacingOccurrences(of: "say", with: "sat") }
        }
        try writer.commit(batch)
        var found: [String] = []
        _ = try LakeVerifier(layout: other.layout) { found.append("\($0.place): \($0.problem)") }.run()
        let expected = [
            "missing": "offsets [2, 3): no Bronze line", "doubled": "offset 2: is there twice",
            "parent": "offset 40: lies outside", "hash": "offset 1: names another SHA-256",
            "content": "does not match its content_hash",
        ]
        #expect(found.contains { $0.contains(expected[kind] ?? "?") }, "\(found)")
    }
}
