import Concurrency
import Files
import Foundation
import Lake
import PlatformTesting
import Records
import ServiceLifecycle
import Synchronization
import Testing

/// Whoever reads by pattern sees every line once: beside a seal, and after a kill at each of its steps.
@Suite(.serialized) struct LakeGlobTests {
    private static let source = TopicPartition(topic: "t", partition: 0)
    private static let hour: Int64 = 3_600_000
    private static let script = PackageRoot.path + "/Tests/StreamJobTests/lake_glob.py"

    /// Lets changes through up to one, and then none: what is on the disk then is what a kill leaves.
    private final class Killing: FileWitness {
        private let place: Int
        private let log = Mutex<[FileChange]>([])

        init(at place: Int) { self.place = place }

        var changes: [FileChange] { log.withLock { $0 } }

        func willMake(_ change: FileChange) throws(FileError) {
            let isMade = log.withLock { log in
                log.append(change)
                return log.count <= place
            }
            if !isMade { throw FileError("killed before", "\(change)", code: EIO) }
        }
    }

    private static func commit(
        _ range: Range<Int64>, hour: Int64, _ writer: inout PartitionWriter
    ) throws {
        var bronze = ""
        var gold = ""
        for offset in range {
            bronze +=
                #"{"topic":"t","partition":0,"offset":\#(offset),"timestamp_ms":5,"headers":[],"value":{}}"# + "\n"
            gold +=
                #"{"doc_id":"d\#(offset)","lineage":{"logic_version":"v1","parents":[{"topic":"t","partition":0,"offset":"#
                + #"\#(offset),"event_id":"e","bronze_sha256":""}]}}"# + "\n"
        }
        guard let offsets = OffsetRange(start: range.lowerBound, end: range.upperBound) else { return }
        let none: (text: [UInt8], lines: Int) = ([], 0)
        try writer.commit(
            CommitBatch(
                range: offsets, hour: LakeHour(number: hour), brokerTimeMax: hour * Self.hour, lastSHA256: "",
                duplicates: 0, canaries: 0, bronze: (Array(bronze.utf8), range.count),
                generations: [
                    GenerationLines(
                        generation: 1, logicVersion: "v1", silver: none, gold: (Array(gold.utf8), range.count),
                        quarantine: none, rejects: [:])
                ]))
    }

    @Test func everyToolSeesEveryLineOnceAfterAKillAtEachStepOfASeal() throws {
        let folder = try TemporaryFolder(in: Folder.exists("/dev/shm") ? "/dev/shm" : "/tmp")
        let base = folder.file("base")
        do {
            var writer = try PartitionWriter.open(
                layout: LakeLayout(root: base), source: Self.source, logBytesMin: 0)
            for start in stride(from: Int64(0), to: 30, by: 6) { try Self.commit(start..<start + 6, hour: 1, &writer) }
        }
        /// Seals the first hour and begins the second one, and is killed.
        func kill(_ root: String, at place: Int) throws -> [FileChange] {
            let witness = Killing(at: place)
            FileWatch.$witness.withValue(witness) {
                do {
                    var writer = try PartitionWriter.open(
                        layout: LakeLayout(root: root), source: Self.source, logBytesMin: 0)
                    try Self.commit(30..<35, hour: 2, &writer)
                } catch {
                    // As intended.
                }
            }
            return witness.changes
        }
        try FileManager.default.copyItem(atPath: base, toPath: folder.file("whole"))
        let changes = try kill(folder.file("whole"), at: .max)
        #expect(changes.count > 25)
        var lakes = [folder.file("whole")]
        for (place, change) in changes.enumerated() {
            // A sync changes nothing that a kill would take back.
            switch change {
            case .sync, .syncFolder: continue
            default: break
            }
            let root = folder.file("killed-\(place)")
            try FileManager.default.copyItem(atPath: base, toPath: root)
            _ = try kill(root, at: place)
            lakes.append(root)
        }
        let output = try PythonTool.run([Self.script, "states"] + lakes)
        let states = try JSONDecoder().decode([String: [String: [String: [Int]]]].self, from: Data(output))
        #expect(states.count == lakes.count && lakes.count > 12)
        for (lake, tools) in states {
            #expect(tools.count == 3)
            for (tool, layers) in tools {
                for (layer, offsets) in layers {
                    // The first hour exactly; of the second one what was written.
                    #expect(
                        offsets == Array(0..<30) || offsets == Array(0..<35), "\(lake), \(tool), \(layer): \(offsets)")
                }
            }
        }
        for lake in lakes {
            // And the product's own reader, before any writer comes.
            var offsets: [Int64] = []
            let range = try #require(OffsetRange(start: 0, end: 30))
            try LakeReader(layout: LakeLayout(root: lake)).forEachLine(
                .bronze, generation: nil, source: Self.source, range: range
            ) { offset, _ in
                offsets.append(offset)
                return true
            }
            #expect(offsets == Array(0..<30), "\(lake)")
        }
    }

    /// Hours are sealed as fast as can be while the tools read.
    @Test func everyToolSeesEveryLineOnceBesideSeals() async throws {
        let folder = try TemporaryFolder(in: Folder.exists("/dev/shm") ? "/dev/shm" : "/tmp")
        let over = folder.file("over")
        let layout = LakeLayout(root: folder.file("lake"))
        let stop = StopSignal()
        do {
            var writer = try PartitionWriter.open(layout: layout, source: Self.source, logBytesMin: 0)
            try Self.commit(0..<1, hour: 1, &writer)
        }
        struct Found: Decodable {
            let rounds: Int
            let torn: Int
            let seen: Int
            let problems: [String]
        }
        let found = try await withThrowingTaskGroup(of: Found?.self) { group in
            group.addTask {
                try await Lane(name: "writer").run {
                    var writer = try PartitionWriter.open(layout: layout, source: Self.source, logBytesMin: 0)
                    // Some hundred files are enough for every tool to open one that is just being sealed.
                    for round in Int64(1)..<800 where !stop.isRequested {
                        try Self.commit(round * 4 - 3..<round * 4 + 1, hour: 1 + round / 4, &writer)
                        usleep(2_000)
                    }
                    try File.replace(over, with: [])
                }
                return nil
            }
            group.addTask {
                defer { stop.request() }
                let output = try await Lane(name: "tools").run { [root = layout.root] in
                    try PythonTool.run([Self.script, "beside", root, over])
                }
                return try JSONDecoder().decode(Found.self, from: Data(output))
            }
            var found: Found?
            for try await result in group { found = result ?? found }
            return found
        }
        let result = try #require(found)
        #expect(result.problems == [])
        #expect(result.rounds >= 5 && result.seen > 100)
    }
}
