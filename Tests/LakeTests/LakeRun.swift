import Bytes
import Files
import Foundation
import Records
import Synchronization
import Zstd

@testable import Lake

/// A small life of a lake, the same however often it is interrupted: two generations, three hours, seals, a promotion.
struct LakeRun {
    /// What a crash must not take back.
    struct Acknowledged: Sendable {
        var nextOffset: Int64 = 0
        var generations = 0
        var active: Int64?
    }

    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    static let end: Int64 = 24
    private static let childFrom: Int64 = 8
    private static let hourEnds: [Int64] = [12, 20, 24]

    let layout: LakeLayout
    /// Offsets in one commit; sealed bytes must not depend on it.
    let step: Int64
    /// From which size on the commit log is compacted.
    var logBytesMin = PartitionWriter.logBytesMin
    /// Called after each thing that was acknowledged.
    var acknowledged: (Acknowledged) -> Void = { _ in }
    /// Called where a commit failed, before it is tried again.
    var failed: (Acknowledged) throws -> Void = { _ in }

    /// Goes on from whatever is there to the end, and seals.
    func run() throws {
        var known = Acknowledged()
        func note() { acknowledged(known) }
        let log = GenerationLog(layout: layout)
        _ = try log.createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        known.generations = try log.read().count
        known.active = try log.active()?.number
        note()
        var writer = try PartitionWriter.open(layout: layout, source: LakeFixture.source, logBytesMin: logBytesMin)
        try writer.handOver(to: 1, at: 0)
        known.nextOffset = writer.nextOffset ?? 0
        while let next = writer.nextOffset, next < Self.end {
            if next >= Self.childFrom {
                if try log.read().count == 1 {
                    _ = try log.createChild(of: 1, logic: .former(logicVersion: "v1-2", settings: "{}"))
                }
                known.generations = 2
                note()
                try writer.handOver(to: 2, at: next)
                if let child = try log.read().last, child.state == .created {
                    let handover = writer.handovers[2]
                    try log.update(2, expecting: [.created]) { child in
                        child.handovers[LakeFixture.source] = handover
                        child.state = .candidate
                    }
                }
            }
            let ends = [next + step - next % step, Self.childFrom] + Self.hourEnds
            let end = ends.filter { $0 > next }.min() ?? Self.end
            let hour = Int64(Self.hourEnds.firstIndex { end <= $0 } ?? 0)
            let batch = try LakeFixture.batch(
                next, end, time: hour * LakeFixture.hourMilliseconds + next, writer: writer,
                generations: next >= Self.childFrom ? [1, 2] : [1])
            // As the stream job does: a failed commit is tried again, anything else starts anew.
            do { try writer.commit(batch) } catch {
                try failed(known)
                try writer.commit(batch)
            }
            known.nextOffset = end
            note()
            if end == 16 {
                try log.promote(2)
                known.active = 2
                note()
            }
        }
        try log.promote(2)
        known.active = 2
        note()
        try writer.seal()
    }

    /// - Throws: ``Violation`` where something acknowledged is gone, and whatever opening throws.
    func checkKept(_ kept: Acknowledged) throws {
        let log = GenerationLog(layout: layout)
        let generations = try log.read()
        guard generations.count >= kept.generations else {
            throw Violation(description: "\(generations.count) generations where \(kept.generations) were acknowledged")
        }
        if let active = kept.active, let found = try log.active()?.number, found < active {
            throw Violation(description: "generation \(found) is active, \(active) was promoted")
        }
        if kept.active != nil, try log.active() == nil { throw Violation(description: "no generation is active") }
        let writer = try PartitionWriter.open(layout: layout, source: LakeFixture.source, logBytesMin: logBytesMin)
        let next: Int64 = writer.nextOffset ?? 0
        guard next >= kept.nextOffset else {
            throw Violation(description: "the lake ends at \(next), but \(kept.nextOffset) was acknowledged")
        }
    }

    /// What `zstdcat` over a pattern shows of the lake as it is: every committed line once, in order. Only behind them, in the
    /// newest file, there may be more, and half a frame at the end.
    static func checkByPattern(_ fixture: LakeFixture, committed: Int64) throws {
        let contents = try fixture.contents()
        for (layer, generation) in [
            (Layer.bronze, Int64?.none), (.silver, 1), (.gold, 1), (.quarantine, 1), (.silver, 2), (.gold, 2),
        ] {
            let folder = "/\(layer.rawValue)/" + (generation.map { "generation=\($0)/" } ?? "")
            let files = contents.filter {
                $0.key.hasPrefix(folder) && $0.key.hasSuffix(".jsonl.zst")
            }.sorted { $0.key.suffix(30) < $1.key.suffix(30) }
            var offsets: [Int64] = []
            for (index, file) in files.enumerated() {
                let (found, isWhole) = try zstdcat(file.value, layer)
                guard isWhole || index == files.count - 1 else {
                    throw Violation(description: "\(file.key) ends in the middle, and is not the newest")
                }
                offsets += found
            }
            guard zip(offsets, offsets.dropFirst()).allSatisfy({ $0 < $1 }) else {
                throw Violation(description: "whoever reads \(folder) by pattern finds offsets \(offsets)")
            }
            let start = generation == 2 ? childFrom : 0
            let expected = (start..<max(start, end)).filter { isExpected($0, layer) }
            guard expected.starts(with: offsets), offsets.count >= expected.filter({ $0 < committed }).count else {
                throw Violation(
                    description: "whoever reads \(folder) by pattern finds offsets \(offsets), \(committed) is next")
            }
        }
    }

    private static func isExpected(_ offset: Int64, _ layer: Layer) -> Bool {
        switch layer {
        case .bronze: true
        case .gold: offset % 10 != 9 && offset % 3 != 0
        case .silver: offset % 10 != 9
        case .quarantine: offset % 10 == 9
        }
    }

    /// The offsets of the lines that can be decompressed, and whether the file ends with a frame.
    private static func zstdcat(_ bytes: [UInt8], _ layer: Layer) throws -> (offsets: [Int64], isWhole: Bool) {
        var stream = try StreamDecompressor()
        var text: [UInt8] = []
        var isWhole = true
        do { try bytes.withUnsafeBytes { try stream.feed($0) { text += $0 } } } catch { isWhole = false }
        let whole = text.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        isWhole = isWhole && stream.isAtFrameEnd && whole == text.count
        return (text[..<whole].split(separator: 0x0A).compactMap { LineScan.offset(of: $0, layer: layer) }, isWhole)
    }

    /// Files that a finished lake holds, without the logs, whose entries depend on the commit sizes.
    static func dataFiles(_ fixture: LakeFixture) throws -> [String: [UInt8]] {
        try fixture.contents().filter { !$0.key.hasPrefix("/_") }
    }

    /// - Throws: ``Violation`` where the finished lake differs from the undisturbed one.
    static func check(_ fixture: LakeFixture, against undisturbed: [String: [UInt8]]) throws {
        let found = try dataFiles(fixture)
        for name in Set(found.keys).symmetricDifference(undisturbed.keys).sorted() {
            throw Violation(description: "\(name) is \(found[name] == nil ? "missing" : "too much")")
        }
        for (name, bytes) in found where undisturbed[name] != bytes {
            throw Violation(description: "\(name) has other bytes")
        }
        guard let all = OffsetRange(start: 0, end: end) else { return }
        for (layer, generation) in [(Layer.bronze, Int64?.none), (.gold, 1), (.gold, 2), (.silver, 2)] {
            var offsets: [Int64] = []
            try fixture.reader.forEachLine(
                layer, generation: generation, source: LakeFixture.source, range: all
            ) { offset, _ in
                offsets.append(offset)
                return true
            }
            guard offsets == (0..<end).filter({ isExpected($0, layer) }) else {
                throw Violation(description: "\(layer) of \(generation ?? 0) reads offsets \(offsets)")
            }
        }
        guard try GenerationLog(layout: fixture.layout).active()?.number == 2 else {
            throw Violation(description: "generation 2 is not active at the end")
        }
    }
}
