import Bytes
import Events
import Files
import Foundation
import Synchronization

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

    /// Goes on from whatever is there to the end, and seals.
    func run() throws {
        var known = Acknowledged()
        func note() { acknowledged(known) }
        let log = GenerationLog(layout: layout)
        _ = try log.createFirst(logicVersion: "v1-1", settings: "{}")
        known.generations = try log.read().count
        known.active = try log.active()?.number
        note()
        var writer = try PartitionWriter.open(layout: layout, source: LakeFixture.source, logBytesMin: logBytesMin)
        try writer.handOver(to: 1, at: 0)
        known.nextOffset = writer.nextOffset ?? 0
        while let next = writer.nextOffset, next < Self.end {
            if next >= Self.childFrom {
                if try log.read().count == 1 { _ = try log.createChild(of: 1, logicVersion: "v1-2", settings: "{}") }
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
            do { try writer.commit(batch) } catch { try writer.commit(batch) }
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
            let expected = (0..<end).filter { offset in
                switch layer {
                case .bronze: true
                case .gold: offset % 10 != 9 && offset % 3 != 0
                case .silver, .quarantine: offset % 10 != 9
                }
            }
            guard offsets == Array(expected) else {
                throw Violation(description: "\(layer) of \(generation ?? 0) reads offsets \(offsets)")
            }
        }
        guard try GenerationLog(layout: fixture.layout).active()?.number == 2 else {
            throw Violation(description: "generation 2 is not active at the end")
        }
    }
}
