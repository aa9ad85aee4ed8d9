import Bytes
import Files
import PlatformTesting
import Records
import Zstd

@testable import Lake

/// The lake of ``LakeRun`` with a replay beside it, out of which some records are erased.
struct ErasureScene {
    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    static let source = LakeFixture.source
    /// In both sealed hours and the last one; 9 and 19 are in quarantine, 3 has no Gold.
    static let erased: [Int64] = [1, 3, 9, 10, 19, 23]
    static let replayed = OffsetRange(start: 2, end: 12)
    static let layers: [(layer: Layer, generation: Int64?)] =
        [(.bronze, nil)] + [1, 2, 3].flatMap { generation in Layer.derived.map { ($0, generation) } }

    let fixture: LakeFixture
    let layout: LakeLayout

    init(_ fixture: LakeFixture, layout: LakeLayout? = nil) {
        self.fixture = fixture
        self.layout = layout ?? fixture.layout
    }

    static func erasure(_ id: String = "e-0123456789abcdef") throws -> Erasure {
        guard
            let target = ErasureTarget(
                kind: .user, collection: "t.change", nameSHA256: String(repeating: "0", count: 64))
        else { throw Violation(description: "no target") }
        return Erasure(
            id: id, tenant: .standard, target: target, reason: "a test", by: "ann", atMilliseconds: 1_700_000_000_000)
    }

    /// By the numbers in the values of Bronze and quarantine: what was made of them is known by the offset alone.
    static func match(_ offsets: [Int64]) -> ErasureMatch {
        let values = Set(offsets.map { Array(LakeFixture.value($0).utf8) })
        return ErasureMatch(record: { $0.value.map(values.contains) ?? false }, derived: { _ in false })
    }

    /// Three hours, of which the last grows where `isSealed` is false, and a generation that was replayed in part.
    func fill(isSealed: Bool = false) throws {
        try LakeRun(layout: fixture.layout, step: 4, logBytesMin: 0).run()
        let log = GenerationLog(layout: fixture.layout)
        _ = try log.createChild(of: 2, logic: .former(logicVersion: "v1-3", settings: "{}"))
        let replay = try ReplayWriter(layout: fixture.layout, source: Self.source, generation: 3)
        guard let range = Self.replayed else { return }
        try replay.begin(LakeHour(number: 0), firstOffset: range.start)
        for offset in range.start..<range.end where offset % 10 != 9 {
            let line = Array(LakeFixture.derived(offset, generation: 3).utf8)
            try replay.append(.silver, line: line)
            if offset % 3 != 0 { try replay.append(.gold, line: line) }
        }
        try replay.finish(end: range.end)
        var writer = try open()
        try writer.handOver(to: 3, at: LakeRun.end)
        try log.update(3, expecting: [.created]) { child in
            child.replayed[Self.source] = range
            child.handovers[Self.source] = LakeRun.end
            child.state = .candidate
        }
        try writer.commit(
            try LakeFixture.batch(
                24, 30, time: 3 * LakeFixture.hourMilliseconds, writer: writer, generations: [1, 2, 3]))
        if isSealed { try writer.seal() }
    }

    func open() throws -> PartitionWriter {
        try PartitionWriter.open(layout: layout, source: Self.source, logBytesMin: 0)
    }

    /// All of an erasure, from whatever is there.
    func erase(_ offsets: [Int64] = erased, id: String = "e-0123456789abcdef", prepares: Bool = true) throws {
        let erasure = try Self.erasure(id)
        let eraser = Eraser(layout: layout, source: Self.source)
        if try eraser.state(id) == nil { try eraser.log.append(.erase(erasure, parts: [Self.source])) }
        let match = Self.match(offsets)
        if prepares { try eraser.begin(erasure, match, try eraser.hold()) }
        if try eraser.state(id)?.isRewritten == false {
            var writer = try open()
            try writer.erase { _ throws(LakeError) in match }
        }
        try eraser.finish(id, now: 1_700_000_001_000)
    }

    /// Offsets that a layer has lines for in ``fill(isSealed:)``.
    static func expected(_ layer: Layer, _ generation: Int64?, end: Int64 = 30) -> [Int64] {
        (0..<end).filter { offset in
            switch layer {
            case .bronze: true
            case .gold: offset % 10 != 9 && offset % 3 != 0
            case .silver: offset % 10 != 9
            // The replay wrote none of its range.
            case .quarantine: offset % 10 == 9 && !(generation == 3 && Self.replayed?.contains(offset) == true)
            }
        }
    }

    func lines(_ layer: Layer, _ generation: Int64?, end: Int64 = 30) throws -> [Int64: [UInt8]] {
        try Self.lines(layer, generation, end: end, in: layout)
    }

    private static func lines(
        _ layer: Layer, _ generation: Int64?, end: Int64 = 30, in layout: LakeLayout
    ) throws -> [Int64: [UInt8]] {
        var lines: [Int64: [UInt8]] = [:]
        guard let range = OffsetRange(start: 0, end: end) else { return [:] }
        try LakeReader(layout: layout).forEachLine(
            layer, generation: generation, source: Self.source, range: range
        ) { offset, line in
            lines[offset] = Array(line)
            return true
        }
        return lines
    }

    /// What is not erased can be read, whatever an erasure is about to do.
    func checkReadable(without erased: [Int64]) throws { try Self.checkReadable(layout, without: erased) }

    static func checkReadable(_ layout: LakeLayout, without erased: [Int64]) throws {
        for (layer, generation) in layers {
            let found = try lines(layer, generation, in: layout)
            for offset in expected(layer, generation) where !erased.contains(offset) && found[offset] == nil {
                throw Violation(description: "\(layer) of \(generation ?? 0) lacks offset \(offset)")
            }
        }
    }

    /// - Throws: ``Violation`` where something is left, something else is gone, or the lake is not sound.
    func check(_ erased: [Int64] = erased, by id: String = "e-0123456789abcdef") throws {
        for (layer, generation) in Self.layers {
            let found = try lines(layer, generation)
            let wanted = Self.expected(layer, generation).filter { layer == .bronze || !erased.contains($0) }
            guard found.keys.sorted() == wanted else {
                throw Violation(description: "\(layer) of \(generation ?? 0) has offsets \(found.keys.sorted())")
            }
            for offset in erased where layer == .bronze {
                let line = found[offset] ?? []
                let left =
                    #"{"topic":"t.change","partition":0,"offset":\#(offset),"timestamp_ms":5,"headers":[],"erased":"\#(id)"}"#
                guard line == Array(left.utf8), BronzeLine.read(line[...])?.erasure == id else {
                    throw Violation(
                        description: "Bronze of offset \(offset) is \(String(decoding: line, as: UTF8.self))")
                }
            }
            for (offset, line) in found where layer == .bronze && !erased.contains(offset) {
                guard line == Array(LakeFixture.bronze(offset).utf8) else {
                    throw Violation(description: "Bronze of offset \(offset) is another line")
                }
            }
        }
        try checkFiles(erased)
        var findings: [String] = []
        let report = try LakeVerifier(layout: layout) { findings.append("\($0.place): \($0.problem)") }.run()
        guard findings.isEmpty, report.linesErased == erased.count, report.erasuresUnfinished == [] else {
            throw Violation(description: "verify: \(findings), \(report.linesErased) erased")
        }
    }

    /// No file holds anything of them, whoever reads it how.
    func checkFiles(_ erased: [Int64]) throws {
        let needles = erased.map { #""n":\#($0)}"# } + erased.map { LakeFixture.sha256(LakeFixture.value($0)) }
        for (name, bytes) in try fixture.contents() {
            var text = bytes
            if name.contains("/date=") && !name.hasPrefix("/_") {
                guard name.hasSuffix(".jsonl.zst") else { throw Violation(description: "\(name) is left over") }
                var stream = try StreamDecompressor()
                text = []
                try bytes.withUnsafeBytes { try stream.feed($0) { text += $0 } }
            }
            for needle in needles where String(decoding: text, as: UTF8.self).contains(needle) {
                throw Violation(description: "\(name) holds \(needle)")
            }
        }
    }
}
