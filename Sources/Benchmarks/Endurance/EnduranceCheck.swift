import Comparison
import Console
import Files
import Hashing
import JSONScan
import Lake
import Postgres
import Records
import Store
import Zstd

/// What must be true at the end of a run; each line of ``findings`` is something that is not.
struct EnduranceCheck {
    private(set) var findings: [String] = []
    private(set) var figures: [BenchFigure] = []
    let scene: EnduranceScene
    let topic: String

    private static let linesMax = 20

    init(_ scene: EnduranceScene, topic: String) {
        self.scene = scene
        self.topic = topic
    }

    mutating func note(_ finding: String) { findings.append(finding) }

    /// Makes a check; one that cannot be made is a finding, and does not keep the others from being made.
    mutating func attempt(_ what: String, _ body: (inout EnduranceCheck) throws -> Void) {
        do {
            try body(&self)
        } catch {
            note("\(what) cannot be checked: \(error)")
        }
    }

    /// Bronze holds every offset once, everything that the broker acknowledged where it said, and every event.
    ///
    /// - Parameter highs: the end of each topic partition.
    mutating func bronze(_ events: EnduranceEvents, _ poison: EndurancePoison, highs: [Int32: Int64]) throws {
        let reader = LakeReader(layout: LakeLayout(root: scene.lakeFolder))
        var missing = events.digests
        var acknowledged = poison.acknowledged
        var hasher = try SHA256Hasher()
        var records = 0
        for (partition, high) in highs.sorted(by: { $0.key < $1.key }) where high > 0 {
            let source = TopicPartition(topic: topic, partition: partition)
            var next: Int64 = 0
            var lines = BronzeProblems()
            guard let range = OffsetRange(start: 0, end: high) else { continue }
            try reader.forEachLine(.bronze, generation: nil, source: source, range: range) {
                offset, line throws(LakeError) in
                if offset != next { lines.note("\(source): offset \(offset) where \(next) was expected") }
                next = offset + 1
                records += 1
                guard let record = BronzeLine.read(line), record.offset == offset else {
                    lines.note("\(source) offset \(offset): not a Bronze line")
                    return true
                }
                let digest = record.value.flatMap { value in try? value.withUnsafeBytes { try hasher.hash($0) } }
                if let digest { missing.remove(digest) }
                let place = EndurancePoison.Place(partition: partition, offset: offset)
                if let expected = acknowledged.removeValue(forKey: place), expected != digest {
                    lines.note("\(source) offset \(offset): not what the broker acknowledged there")
                }
                return true
            }
            if next != high { lines.note("\(source): Bronze ends at \(next), the topic at \(high)") }
            findings += lines.lines
        }
        for place in acknowledged.keys.prefix(Self.linesMax) {
            note("acknowledged at [\(place.partition)] \(place.offset), but not in Bronze")
        }
        if !missing.isEmpty { note("\(missing.count) of \(events.digests.count) events are not in Bronze") }
        figures += [
            BenchFigure("records in Bronze", Double(records), ""),
            BenchFigure("acknowledged poison found", Double(poison.acknowledged.count - acknowledged.count), ""),
        ]
    }

    /// Bronze lines become Silver, or are explained by quarantine, duplicates and canaries; Gold is in the index.
    mutating func explanation(dsn: String) throws {
        let reader = LakeReader(layout: LakeLayout(root: scene.lakeFolder))
        let indexed = try documents(dsn: dsn)
        let refused = try refusedPlaces(dsn: dsn)
        var totals = (bronze: 0, silver: 0, gold: 0, quarantine: 0, duplicates: 0, canaries: 0)
        var absent: Set<String> = []
        for source in try reader.sources() {
            guard let range = try reader.committedRange(source) else { continue }
            func count(_ layer: Layer, _ generation: Int64?) throws -> Int {
                var lines = 0
                try reader.forEachLine(layer, generation: generation, source: source, range: range) { _, _ in
                    lines += 1
                    return true
                }
                return lines
            }
            let (bronze, silver) = (try count(.bronze, nil), try count(.silver, 1))
            let quarantine = try count(.quarantine, 1)
            var left = (duplicates: 0, canaries: 0)
            try CommitLog(reading: reader.layout.commitLog(source)).forEach { record in
                left.duplicates += record.duplicates
                left.canaries += record.canaries
                return true
            }
            if bronze != silver + quarantine + left.duplicates + left.canaries {
                note(
                    "\(source): \(bronze) Bronze lines, but \(silver) of Silver, \(quarantine) in quarantine, "
                        + "\(left.duplicates) duplicates and \(left.canaries) canaries")
            }
            try reader.forEachLine(.gold, generation: 1, source: source, range: range) { offset, line in
                totals.gold += 1
                guard let id = (try? JSONValue.parse(Array(line), maxDepth: 64))?["doc_id"]?.string else {
                    absent.insert("\(source) offset \(offset): a Gold line without doc_id")
                    return true
                }
                if !indexed.contains(id), !refused.contains("\(source) \(offset)") {
                    absent.insert("\(id), \(source) offset \(offset)")
                }
                return true
            }
            totals = (
                totals.bronze + bronze, totals.silver + silver, totals.gold, totals.quarantine + quarantine,
                totals.duplicates + left.duplicates, totals.canaries + left.canaries
            )
        }
        for line in absent.sorted().prefix(Self.linesMax) { note("not in the index: \(line)") }
        if absent.count > Self.linesMax { note("\(absent.count) documents are not in the index") }
        figures += [
            BenchFigure("Silver lines", Double(totals.silver), ""),
            BenchFigure("Gold lines", Double(totals.gold), "", target: "what is not Gold is filtered"),
            BenchFigure("in quarantine", Double(totals.quarantine), ""),
            BenchFigure("duplicates", Double(totals.duplicates), ""),
            BenchFigure("canaries", Double(totals.canaries), ""),
            BenchFigure("documents in the index", Double(indexed.count), ""),
            BenchFigure("documents refused", Double(refused.count), ""),
        ]
    }

    /// The lake against that of an undisturbed stream job, both sealed, and by `lake verify`.
    mutating func lakes(reference: String) throws {
        for lake in [scene.lakeFolder, reference] {
            let (isSuccess, output) = try scene.runCommand(["lake", "verify"], ["LAKE_DIR": lake], seconds: 900)
            if !isSuccess { note("lake verify of \(lake): \(output.suffix(1_000))") }
        }
        let (lines, equal) = try LakeComparison.differences(
            found: scene.lakeFolder, expected: reference, generation: 1)
        findings += lines.prefix(Self.linesMax)
        if lines.count > Self.linesMax { note("\(lines.count) files differ from an undisturbed run") }
        if equal == 0 && lines.isEmpty { note("the undisturbed lake holds no file") }
        figures.append(BenchFigure("files equal to an undisturbed run", Double(equal), ""))
    }

    /// The index against that of an undisturbed indexer.
    mutating func indexes(dsn: String, reference: String) throws {
        let result = try IndexComparison.compare(
            found: .init(dsn: dsn, generation: 1), expected: .init(dsn: reference, generation: 1))
        findings += result.lines
        if result.rows == 0 { note("the index is empty") }
        figures += [
            BenchFigure("rows compared with an undisturbed run", Double(result.rows), ""),
            BenchFigure("worst cosine", result.worstCosine, "", target: "wanted: at least 0.9999"),
        ]
    }

    /// Every complete generation holds what the first one does, since the logic is the same.
    mutating func generations(_ numbers: [Int64], dsn: String) throws {
        let reader = LakeReader(layout: LakeLayout(root: scene.lakeFolder))
        for number in numbers where number != 1 {
            findings += try LakeComparison.differences(reader, generation: number, from: 1)
            let result = try IndexComparison.compare(
                found: .init(dsn: dsn, generation: number), expected: .init(dsn: dsn, generation: 1))
            findings += result.lines.map { "generation \(number) in the index: \($0)" }
        }
        figures.append(BenchFigure("complete generations compared", Double(numbers.count), ""))
    }

    /// Where the documents come from that the first generation lacks with a reason.
    private func refusedPlaces(dsn: String) throws -> Set<String> {
        var query = RefusedDocumentQuery()
        query.generation = 1
        var places: Set<String> = []
        try RefusedDocumentStore(configuration: PostgresConfiguration(dsn: dsn)).forEach(
            query, timeoutMilliseconds: 120_000
        ) { row in _ = places.insert("\(row.document.source) \(row.document.sourceOffset)") }
        return places
    }

    private func documents(dsn: String) throws -> Set<String> {
        let connection = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 10_000)
        defer { connection.close() }
        let rows = try connection.script(
            """
            SELECT DISTINCT p.doc_id FROM generation_passages g JOIN passages p ON p.id = g.passage_id
            WHERE g.generation = 1 AND g.to_version IS NULL
            """, timeoutMilliseconds: 120_000)
        return Set(rows.compactMap { $0.first.flatMap { $0 } })
    }
}

/// The first problems of a topic partition.
private struct BronzeProblems {
    private(set) var lines: [String] = []

    mutating func note(_ line: String) {
        if lines.count < 20 { lines.append(line) }
    }
}

/// Damage done on purpose before the checks, to see that they notice.
enum EnduranceSpoil: String, CaseIterable, Sendable {
    /// The last line of a sealed Gold file.
    case lake
    /// A row of the index.
    case index
    /// No data: a role that ends by a signal which is not the bench's.
    case crash

    func inLake(_ root: String) throws {
        var folders = [root + "/gold/generation=1"]
        while let folder = folders.popLast() {
            for name in try Folder.list(folder).sorted() {
                let path = folder + "/" + name
                guard !Folder.isFolder(path) else {
                    folders.append(path)
                    continue
                }
                var decompressor = try Decompressor()
                var text = try File.contents(of: path).withUnsafeBytes { try decompressor.decompress($0) }
                guard let end = text.dropLast().lastIndex(of: 0x0A) else { continue }
                text.removeSubrange((end + 1)...)
                var compressor = try Compressor()
                var bytes: [UInt8] = []
                _ = try text.withUnsafeBytes { try compressor.compressFrame($0, appendingTo: &bytes) }
                return try File.replace(path, with: bytes)
            }
        }
        throw Failure("no Gold file to spoil")
    }

    func inIndex(dsn: String) throws {
        let connection = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 10_000)
        defer { connection.close() }
        try connection.script(
            """
            DELETE FROM generation_passages WHERE ctid =
                (SELECT min(ctid) FROM generation_passages WHERE generation = 1 AND to_version IS NULL)
            """, timeoutMilliseconds: 60_000)
    }
}
