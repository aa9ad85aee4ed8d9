import Bytes
import Derivation
import Files
import Foundation
import JSONScan
import Lake
import Logic
import PlatformTesting
import Quarantine
import Records
import Replay
import Simulator
import StreamJob
import Testing

/// A small lake with all that a lake can hold: two generations, one of them replayed in part, a sealed
/// and an open hour, every kind of small poison, decisions about quarantine, a topic that has grown.
///
/// Generation 1 was made by the first code version, generation 2 by the second; the last record is a redriven one. It is
/// checked in once for each version of the format, and all of them must stay readable.
struct GoldenLake {
    /// Versions of the format: 2 sums the bytes of each frame in the commit log; in 3 the growing file has its final name,
    /// and the log may hold rewrites and entries of other kinds; in 4 commits say when they were written.
    static let versions = [1, 2, 3, 4]
    static func path(version: Int) -> String {
        PackageRoot.path + "/Tests/StreamJobTests/GoldenLake/version=\(version)"
    }
    static let source = TopicPartition(topic: "wikimedia.recentchange", partition: 0)
    static let hourStart: Int64 = 1_795_240_800_000
    static let records = 24
    /// Those that there were when the first golden lake was made; the payloads of all versions are the same.
    private static let kinds: [Poison] = [
        .brokenUTF8, .notJSON, .array, .missingMeta, .wrongType, .absurdTime, .null, .tooDeep, .unknownSchema,
    ]
    /// Where generation 2 is handed over to the stream job.
    static let handover: Int64 = 12
    /// The first offset of the second hour.
    static let secondHour: Int64 = 18

    let layout: LakeLayout

    static func payload(_ offset: Int) throws -> [UInt8]? {
        let events = try File.contents(of: PackageRoot.path + "/schemas/examples/events.jsonl").split(separator: 0x0A)
        if offset < events.count { return Array(events[offset]) }
        let place = offset - events.count
        // The seventh, corrected.
        if offset == records - 1 { return Array(change(id: "6b1f3a52-0000-4000-8000-000000000007").utf8) }
        if place < kinds.count { return kinds[place].payload(of: Array(change(id: "golden-\(offset)").utf8)) }
        return Array(change(id: "golden-\(offset)", ["unknown": #"{"kept":[1.0,1e5,"\u0041"]}"#]).utf8)
    }

    static func settings(_ generation: Int64) throws -> TransformSettings {
        TransformSettings(
            codeVersion: generation == 1 ? .first : .second,
            template: try TextTemplate(generation == 1 ? TextTemplate.standard : "{title} [{comment}]"))
    }

    /// - Parameter version: before 3 there are no rewrites.
    func make(version: Int) throws {
        var hasher = try LibraryHasher()
        let log = GenerationLog(layout: layout)
        func text(_ settings: TransformSettings) -> String { String(decoding: settings.canonicalJSON, as: UTF8.self) }
        let first = try Self.settings(1)
        let active = try log.createFirst(
            .former(logicVersion: try first.logicVersion(hasher: &hasher), settings: text(first)))
        var processor = try RecordProcessor(source: Self.source, writesBronze: true)
        try processor.add(active)
        var writer = try PartitionWriter.open(layout: layout, source: Self.source)
        try writer.handOver(to: 1, at: 0)
        var child: LakeGeneration?
        for (start, end) in [(0, 7), (7, 12), (12, 18), (18, 21), (21, 24)] as [(Int64, Int64)] {
            if start == Self.handover {
                let second = try Self.settings(2)
                let made = try log.createChild(
                    of: 1,
                    logic: .former(logicVersion: try second.logicVersion(hasher: &hasher), settings: text(second)))
                try writer.handOver(to: 2, at: start)
                try processor.add(made)
                // The second logic's window is as wide as the first's, so nothing must be read again.
                child = made
            }
            try commit(start, end, &processor, &writer)
        }
        if let child { try replay(child, log) }
        _ = try log.note(TopicSize(topic: Self.source.topic, partitions: 1, offsets: [:]))
        _ = try log.note(TopicSize(topic: Self.source.topic, partitions: 2, offsets: [0: Int64(Self.records)]))
        try QuarantineLog(layout: layout, source: Self.source).update { session in
            func decision(_ kind: QuarantineDecision.Kind, _ offset: Int64) -> QuarantineDecision {
                QuarantineDecision(
                    kind: kind, offset: offset, timeMilliseconds: Self.hourStart, rule: "wrong_type", bronzeSHA256: "")
            }
            var done = decision(.redriven, 7)
            done.redrivenTo = 23
            try session.append([decision(.redrive, 7), done, decision(.discard, 8), decision(.redrive, 9)])
        }
        if version >= 3 { try rewrite() }
    }

    /// Takes a discarded record out of the first hour's quarantine, and adds a remark that only a later version knows.
    private func rewrite() throws {
        let path = layout.commitLog(Self.source)
        let seal = try #require(try CommitLog(reading: path).seal(ofFiles: 0))
        let file = try #require(seal.sealed.first { $0.layer == .quarantine && $0.generation == 1 })
        let name = DataFileName(
            layer: .quarantine, generation: 1, source: Self.source, hour: seal.hour, firstOffset: 0)
        let kept = try lines(.quarantine, 1, to: seal.range.end).filter { !$0.contains(",\"offset\":8,") }
        #expect(kept.count == file.lines - 1)
        var writer = try SealedFileWriter(layout: layout, name: name)
        for line in kept { try writer.append(line: Array(line.utf8)[...]) }
        var record = CommitRecord(
            kind: .rewrite, range: .empty(at: seal.range.end), hour: seal.hour, brokerTimeMax: seal.brokerTimeMax,
            firstOffset: 0)
        record.rewrite = FileRewrite(
            reason: "erasure", request: "request 17 of 2026-11-21", oldContentSHA256: file.contentSHA256,
            file: try writer.finish())
        let remark =
            #"{"kind":"remark","optional":true,"start_offset":\#(seal.range.end),"next_offset":\#(seal.range.end),"#
            + #""hour":\#(seal.hour.number),"broker_time_max_ms":\#(seal.brokerTimeMax),"first_offset":0,"text":"later"}"#
        var bytes: [UInt8] = []
        for line in try File.contents(of: path).split(separator: 0x0A) {
            bytes += line + [0x0A]
            if LogLine.decode(line)?["kind"]?.string == "seal" {
                bytes += LogLine.encode(record.json) + LogLine.encode(Array(remark.utf8))
            }
        }
        try File.replace(path, with: bytes)
    }

    private func commit(
        _ start: Int64, _ end: Int64, _ processor: inout RecordProcessor, _ writer: inout PartitionWriter
    ) throws {
        var time: Int64 = 0
        for offset in start..<end {
            time = Self.hourStart + offset * 60_000 + (offset >= Self.secondHour ? 2_520_000 : 0)
            let headers = try headers(offset)
            let key = Array("key \(offset)".utf8)
            let value = try Self.payload(Int(offset))
            try key.withUnsafeBytes { key in
                func run(_ value: UnsafeRawBufferPointer?) throws {
                    _ = try headers.json.withUnsafeBytes { json in
                        try processor.process(
                            SourceRecord(
                                topic: Self.source.topic, partition: 0, offset: offset, timestampMilliseconds: time,
                                key: key, headers: json, origin: headers.origin, value: value))
                    }
                }
                if let value { try value.withUnsafeBytes { try run($0) } } else { try run(nil) }
            }
        }
        guard let range = OffsetRange(start: start, end: end) else { return }
        try writer.commit(
            CommitBatch(
                range: range, hour: LakeHour(containing: time), brokerTimeMax: time,
                lastSHA256: processor.lastSHA256, duplicates: processor.duplicateCount,
                canaries: processor.canaryCount, bronze: (processor.bronze, processor.bronzeCount),
                generations: processor.generations.map { generation in
                    let lines = generation.lines
                    return GenerationLines(
                        generation: generation.number, logicVersion: generation.logic.logicVersion,
                        silver: (lines.silver, lines.silverCount), gold: (lines.gold, lines.goldCount),
                        quarantine: (lines.quarantine, lines.quarantineCount),
                        rejects: Dictionary(uniqueKeysWithValues: lines.rejects.map { ($0.key.rawValue, $0.value) }))
                }))
        processor.removeLines()
    }

    private func headers(_ offset: Int64) throws -> RecordHeaderText {
        var pairs = [("sse_id", "[\(offset)]")]
        if offset == Self.records - 1 {
            var hasher = try LibraryHasher()
            var digest: [UInt8] = []
            try Self.payload(7)?.withUnsafeBytes { try hasher.appendHexDigest(of: $0, to: &digest) }
            pairs.append((RedriveOrigin.header, "\(Self.source.topic)/0/7"))
            pairs.append((RedriveOrigin.hashHeader, String(decoding: digest, as: UTF8.self)))
        }
        var headers = RecordHeaderText()
        for (name, value) in pairs {
            Array(name.utf8).withUnsafeBufferPointer { name in
                Array(value.utf8).withUnsafeBytes { headers.add(name, $0) }
            }
        }
        return headers
    }

    private func replay(_ child: LakeGeneration, _ log: GenerationLog) throws {
        guard let range = OffsetRange(start: 3, end: Self.handover) else { return }
        let writer = try ReplayWriter(layout: layout, source: Self.source, generation: 2)
        let replay = RangeReplay(
            reader: LakeReader(layout: layout), source: Self.source, generation: child, parent: 1)
        try replay.run(range) { chunk in
            for hour in chunk.hours {
                try writer.begin(hour.hour, firstOffset: hour.firstOffset)
                for line in hour.silver { try writer.append(.silver, line: line.bytes) }
                for line in hour.gold { try writer.append(.gold, line: line.bytes) }
                for line in hour.quarantine { try writer.append(.quarantine, line: line.bytes) }
            }
        }
        try writer.finish(end: range.end)
        try log.update(child.number, expecting: [.created]) { child in
            child.replayed = [Self.source: range]
            child.handovers = [Self.source: Self.handover]
            child.state = .candidate
        }
    }

    func lines(_ layer: Layer, _ generation: Int64?, to end: Int64 = Int64(records)) throws -> [String] {
        guard let range = OffsetRange(start: 0, end: end) else { return [] }
        var lines: [String] = []
        try LakeReader(layout: layout).forEachLine(
            layer, generation: generation, source: Self.source, range: range
        ) { _, line in
            lines.append(String(decoding: line, as: UTF8.self))
            return true
        }
        return lines
    }
}

/// Lakes that were made by earlier versions stay readable.
@Suite(.serialized) struct GoldenLakeTests {
    private static let views: [(Layer, Int64?)] = [
        (.bronze, nil), (.silver, 1), (.gold, 1), (.quarantine, 1), (.silver, 2), (.gold, 2), (.quarantine, 2),
    ]

    /// A copy of the lake, since opening one for writing repairs it. `UPDATE_GOLDEN=1` makes a present one that is not
    /// there; one that is there never changes.
    private func copy(version: Int, to folder: TemporaryFolder) throws -> GoldenLake {
        let path = GoldenLake.path(version: version)
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1", version == GoldenLake.versions.last,
            !Folder.exists(path)
        {
            try Folder.create(path)
            try GoldenLake(layout: LakeLayout(root: path)).make(version: version)
            for file in try FileManager.default.subpathsOfDirectory(atPath: path) where file.hasSuffix(".lock") {
                try Folder.remove(path + "/" + file)
            }
        }
        try FileManager.default.copyItem(atPath: path, toPath: folder.file("lake"))
        return GoldenLake(layout: LakeLayout(root: folder.file("lake")))
    }

    /// The code version of old stays selectable: from the same events it makes the same lines as then.
    @Test(arguments: GoldenLake.versions) func theSameEventsStillGiveItsLines(version: Int) throws {
        let folder = try TemporaryFolder()
        let golden = try copy(version: version, to: folder)
        let present = GoldenLake(layout: LakeLayout(root: folder.file("present")))
        try present.make(version: version)
        for (layer, generation) in Self.views {
            let lines = try golden.lines(layer, generation)
            #expect(!lines.isEmpty)
            #expect(try present.lines(layer, generation) == lines, "\(layer) of generation \(generation ?? 0)")
        }
        #expect(try golden.lines(.bronze, nil).count == GoldenLake.records)
        #expect(
            try GenerationLog(layout: golden.layout).sizes(of: GoldenLake.source.topic).map(\.partitions) == [1, 2])
    }

    @Test(arguments: GoldenLake.versions) func aReplayOfItGivesItsLines(version: Int) throws {
        let folder = try TemporaryFolder()
        let golden = try copy(version: version, to: folder)
        let reader = LakeReader(layout: golden.layout)
        for generation in try GenerationLog(layout: golden.layout).read() {
            // Before the replayed range generation 2 shows its parent's lines.
            let start: Int64 = generation.number == 1 ? 0 : 3
            let range = try #require(OffsetRange(start: start, end: Int64(GoldenLake.records)))
            var made: [String] = []
            let replay = RangeReplay(reader: reader, source: GoldenLake.source, generation: generation, parent: 1)
            try replay.run(range) { chunk in made += chunk.gold.map { String(decoding: $0.bytes, as: UTF8.self) } }
            let held = try golden.lines(.gold, generation.number)
            #expect(made == held.suffix(made.count))
            #expect(made.count >= held.count - 2 && made.count > 3)
        }
    }

    @Test(arguments: GoldenLake.versions) func itsQuarantineIsReadAndItsWriterGoesOn(version: Int) throws {
        let folder = try TemporaryFolder()
        let golden = try copy(version: version, to: folder)
        let quarantine = try QuarantineReader(layout: golden.layout)
        var states: [Int64: QuarantineState] = [:]
        try quarantine.forEach(QuarantineQuery()) { record in
            states[record.offset] = record.state
            return true
        }
        #expect(states.count == (try golden.lines(.quarantine, 1).count))
        #expect([7, 9, 10].map { states[$0] } == [.redriven, .pending, .open])
        let before = try Self.views.map { try golden.lines($0.0, $0.1) }
        do {
            var writer = try PartitionWriter.open(layout: golden.layout, source: GoldenLake.source)
            #expect(writer.nextOffset == Int64(GoldenLake.records))
            #expect(writer.handovers.keys.sorted() == [1, 2])
            try writer.seal()
        }
        #expect(try Self.views.map { try golden.lines($0.0, $0.1) } == before)
        // Whatever the format was, every line is now in a file of the present one.
        let files = try FileManager.default.subpathsOfDirectory(atPath: golden.layout.root)
        #expect(files.allSatisfy { !$0.hasSuffix(".open.jsonl.zst") && !$0.hasSuffix(".sealing") })
    }

    @Test(arguments: GoldenLake.versions) func itIsVerified(version: Int) throws {
        let folder = try TemporaryFolder()
        let golden = try copy(version: version, to: folder)
        var problems: [String] = []
        let verifier = try LakeVerifier(layout: golden.layout) { problems.append("\($0.place): \($0.problem)") }
        let report = try verifier.run()
        #expect(problems == [])
        #expect(report.lines > GoldenLake.records && report.logEntries > 8)
    }

    /// The format as docs/lake.md and schemas/ tell it, read with no code of the product.
    @Test(arguments: GoldenLake.versions) func itFitsTheSchemas(version: Int) throws {
        let folder = try TemporaryFolder()
        let golden = try copy(version: version, to: folder)
        let page = PackageRoot.path + "/docs/lake.md"
        let findings = try Findings(["lake", golden.layout.root, page, "\(version)"])
        #expect(findings.problems == [])
        #expect(findings.lines["bronze"] == GoldenLake.records)
        let silver = try JSONValue.parse(Array(#require(try golden.lines(.silver, 2).last).utf8))
        // For the first code version it was a duplicate of the record that it stands for.
        #expect(try golden.lines(.silver, 1).count + 1 == golden.lines(.silver, 2).count)
        #expect(silver["lineage"]?["parents"]?.array?.map { $0["offset"]?.integer } == [23, 7])
    }
}
