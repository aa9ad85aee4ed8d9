import Bytes
import Concurrency
package import Lake
package import Postgres
package import Records
package import Store
import Synchronization

/// The indexer's parts that an audit compares with and repairs by; the executable hands them over.
package protocol AuditIndex: Sendable {
    /// Name that vectors are stored under; empty without an embedder.
    var modelName: String { get }
    /// The passages of a document, without vectors.
    func passages(of document: GoldDocument) throws -> [IndexedPassage]
    /// What tells texts apart that the model sees, in their order; empty without an embedder.
    func inputHashes(of texts: [String]) throws -> [String]
    /// Vectors of texts in their order; empty ones for texts that the embedder refuses.
    func embed(_ texts: [String]) async throws -> [[Float]]
    /// Embeds Gold lines as the indexer would; then takes what stands in their place out of the index and writes them, in one index
    /// transaction, so that no document is missing in between.
    ///
    /// - Returns: how many texts were embedded.
    func replace(
        lines: [(offset: Int64, line: [UInt8])], hiding: AuditHiding, source: TopicPartition
    ) async throws -> Int
}

/// An audit that could not be made.
package struct AuditError: Error, CustomStringConvertible {
    package let description: String
}

/// What is asked of an audit.
package struct AuditOptions: Sendable {
    /// Nil: the active one.
    package var generation: Int64?
    /// Passages whose vectors are made again, about; nil for all of them.
    package var sample: Int64? = 200
    /// Whether what is wrong is put right.
    package var isRepairing = false
    /// How long documents of a collection are kept.
    package var expiries: [IndexRetention.Expiry] = []

    package init() {}
}

/// Compares a generation's Gold in the lake with the index, both ways, up to the index's checkpoints.
///
/// Streams through ranges of source offsets of some hundred lines each, so that it takes no more memory for a larger lake. The index
/// goes on meanwhile: what has been replaced or deleted since is told by its version.
package struct Auditor: Sendable {
    let layout: LakeLayout
    let database: PostgresConfiguration
    let index: any AuditIndex
    let options: AuditOptions
    private let lane = Lane(name: "audit")

    private static let linesMax = 500, bytesMax = 8 << 20
    private static let offsetsMax: Int64 = 20_000
    /// Passages that a repair writes in one transaction, but for a document that has more.
    private static let passagesMax = 1_000
    /// Documents that are told once, however many lines say so; beyond, each line counts.
    private static let toldMax = 100_000

    package init(layout: LakeLayout, database: PostgresConfiguration, index: any AuditIndex, options: AuditOptions) {
        self.layout = layout
        self.database = database
        self.index = index
        self.options = options
    }

    /// - Parameter found: called for each finding.
    /// - Returns: what it came to, which is kept in the database, too.
    /// - Throws: ``AuditError`` where there is no such generation; `LakeError`, `IndexError`.
    package func run(_ found: @Sendable (AuditFinding) -> Void) async throws -> AuditReport {
        let store = AuditLane(lane, AuditStore(configuration: database))
        guard let generation = try await store.run({ [options] in try $0.generation(options.generation) }) else {
            throw AuditError(
                description: options.generation.map { "generation \($0) is not in the index, or was pruned" }
                    ?? "the index has no active generation; run `medallion migrate`")
        }
        try checkModel(generation)
        var report = AuditReport(generation: generation.generation)
        var told: Set<String> = []
        let ranges = try await ranges(generation.generation)
        for (source, range) in ranges {
            var next = range.start
            while next < range.end {
                let from = next
                let window = try await lane.run { [self] in
                    try read(generation.generation, source, from: from, to: range.end)
                }
                report.lines += Int64(window.lines.count)
                var places = try await look(at: window, generation, store, &report, &told, found)
                // Those that share a vector that was found wrong, wherever they lie: what was looked at before as well.
                while let place = places.popFirst() {
                    guard ranges.contains(where: { $0.0 == place.source && $0.1.contains(place.offset) }) else {
                        continue
                    }
                    let window = try await lane.run { [self] in
                        try read(generation.generation, place.source, from: place.offset, to: place.offset + 1)
                    }
                    places.formUnion(
                        try await look(at: window, generation, store, &report, &told, found, isAgain: true))
                }
                next = window.range.end
            }
        }
        report.outside = try await store.run { try $0.rowsOutside(ranges, generation: generation.generation) }
        report.faults[.extra, default: 0] += report.outside
        report.orphans = try await store.run { try $0.orphans(model: generation.model) }
        if options.isRepairing, report.orphans.sum > 0 {
            report.orphans = try await store.run {
                try $0.removeOrphans(model: generation.model)
                return try $0.orphans(model: generation.model)
            }
        }
        let kept = report
        try await store.run {
            try $0.save(
                kept.generation, documents: kept.documents, drift: kept.drift, reportJSON: kept.json)
        }
        return report
    }

    /// What is repaired is embedded again: by another model nothing fits, and without one it would lose its vectors.
    private func checkModel(_ generation: AuditedGeneration) throws {
        let isEmpty = generation.model == 0 && generation.passages == 0
        guard options.isRepairing, !isEmpty, generation.modelName != index.modelName else { return }
        func name(_ model: String) -> String { model.isEmpty ? "no model" : "model \(model)" }
        throw AuditError(
            description:
                "generation \(generation.generation) was indexed with \(name(generation.modelName)), and here is "
                + "\(name(index.modelName)): repair it with its own (EMBED_ENABLED, MODEL_DIR, EMBED_DIMS)")
    }

    /// Compares a range, and repairs it where that is asked for.
    ///
    /// - Parameter isAgain: whether its documents are counted already.
    /// - Returns: where the generation shows documents with a vector that was found wrong, after a repair.
    private func look(
        at window: AuditWindow, _ generation: AuditedGeneration, _ store: AuditLane, _ report: inout AuditReport,
        _ told: inout Set<String>, _ found: @Sendable (AuditFinding) -> Void, isAgain: Bool = false
    ) async throws -> Set<AuditedPlace> {
        try Task.checkCancellation()
        let outcome = try await AuditComparison(
            window: window, generation: generation, index: index, options: options, store: store
        ).run()
        // Of a document that is missing every version that the lake has is.
        let fresh = outcome.findings.filter { told.count >= Self.toldMax || told.insert($0.document).inserted }
        report.add(outcome, fresh, isAgain: isAgain)
        fresh.forEach(found)
        guard options.isRepairing else { return [] }
        try await repair(outcome, generation, window, store)
        report.repaired += Int64(fresh.count)
        let vectors = outcome.repairs.flatMap(\.vectors)
        return Set(
            try await store.run { try $0.places(generation.generation, ofVectors: vectors, model: generation.model) })
    }

    /// The lake's ranges of what the index has taken in.
    ///
    /// - Throws: ``AuditError`` where the lake has less than the index: there is nothing to compare with.
    private func ranges(_ generation: Int64) async throws -> [(source: TopicPartition, range: OffsetRange)] {
        try await lane.run { [self] in
            let checkpoints = try GenerationStore(configuration: database).checkpoints(timeoutMilliseconds: 60_000)
            let reader = LakeReader(layout: layout)
            return try checkpoints.filter { $0.generation == generation && $0.nextOffset > 0 }
                .sorted { $0.source < $1.source }.compactMap { reached in
                    let committed = try reader.committedRange(reached.source)
                    guard let committed, committed.end >= reached.nextOffset else {
                        throw AuditError(
                            description:
                                "the index has taken in \(reached.source) up to offset \(reached.nextOffset), the "
                                + "lake at \(layout.root) "
                                + (committed.map { "has it up to \($0.end)" } ?? "has nothing of it")
                                + ": it is another lake, or a part of it is missing (LAKE_DIR)")
                    }
                    return OffsetRange(start: committed.start, end: reached.nextOffset).map { (reached.source, $0) }
                }
        }
    }

    private func read(
        _ generation: Int64, _ source: TopicPartition, from start: Int64, to last: Int64
    ) throws -> AuditWindow {
        var end = min(last, start + Self.offsetsMax)
        var lines: [AuditWindow.Line] = []
        var bytes = 0
        if let range = OffsetRange(start: start, end: end) {
            try LakeReader(layout: layout).forEachLine(.gold, generation: generation, source: source, range: range) {
                offset, line in
                // Lines of one record stay together.
                if lines.count >= Self.linesMax || bytes >= Self.bytesMax, lines.last?.offset != offset {
                    end = offset
                    return false
                }
                lines.append(AuditWindow.Line(offset: offset, bytes: Array(line)))
                bytes += line.count
                return true
            }
        }
        guard let range = OffsetRange(start: start, end: end) else {
            throw AuditError(description: "\(source) ends before it begins")
        }
        for place in lines.indices {
            lines[place].document = try lines[place].bytes.withUnsafeBytes { try GoldLine.decode($0) }
        }
        return AuditWindow(source: source, range: range, lines: lines)
    }

    /// What is too much goes. What is wrong goes in the transaction in which the right is written, by the indexer's own writer.
    private func repair(
        _ outcome: AuditOutcome, _ generation: AuditedGeneration, _ window: AuditWindow, _ store: AuditLane
    ) async throws {
        var extra = AuditHiding(generation: generation.generation, model: generation.model)
        extra.documents = outcome.repairs.filter { $0.place == nil }.compactMap(\.hidden)
        if !extra.documents.isEmpty {
            let hiding = extra
            try await store.run { try $0.hide(hiding) }
        }
        for isDamaged in [true, false] {
            let repairs = outcome.repairs.filter { $0.place != nil && $0.isDamaged == isDamaged }
            for part in try parts(repairs, window) {
                var hiding = AuditHiding(generation: generation.generation, model: generation.model)
                hiding.documents = part.compactMap(\.hidden)
                hiding.damaged = isDamaged ? hiding.documents : []
                hiding.vectors = part.flatMap(\.vectors)
                let lines = part.compactMap(\.place).map { (window.lines[$0].offset, window.lines[$0].bytes) }
                _ = try await index.replace(lines: lines, hiding: hiding, source: window.source)
            }
        }
    }

    /// Repairs in the order of their lines, cut so that each part is one transaction.
    private func parts(_ repairs: [AuditRepair], _ window: AuditWindow) throws -> [[AuditRepair]] {
        var parts: [[AuditRepair]] = []
        var passages = 0
        for repair in repairs.sorted(by: { ($0.place ?? 0) < ($1.place ?? 0) }) {
            let document = repair.place.flatMap { window.lines[$0].document }
            let count = try document.map { try index.passages(of: $0).count } ?? 0
            if parts.isEmpty || passages + count > Self.passagesMax {
                parts.append([])
                passages = 0
            }
            parts[parts.count - 1].append(repair)
            passages += count
        }
        return parts
    }
}

/// Lines of a range of source offsets.
struct AuditWindow: Sendable {
    struct Line: Sendable {
        let offset: Int64
        let bytes: [UInt8]
        /// Nil until it is decoded.
        var document: GoldDocument?
    }
    let source: TopicPartition
    let range: OffsetRange
    let lines: [Line]
}

/// A store on the thread that it is confined to.
final class AuditLane: Sendable {
    private let lane: Lane
    private let store: Mutex<AuditStore>

    init(_ lane: Lane, _ store: sending AuditStore) {
        self.lane = lane
        self.store = Mutex(store)
    }

    func run<R: Sendable>(_ body: @escaping @Sendable (AuditStore) throws -> R) async throws -> R {
        try await lane.run { [self] in try store.withLock { try body($0) } }
    }
}

extension AuditReport {
    /// - Parameter fresh: findings about documents that were not told of before.
    /// - Parameter isAgain: whether the range was looked at before, as one of others.
    mutating func add(_ outcome: AuditOutcome, _ fresh: [AuditFinding], isAgain: Bool) {
        if !isAgain {
            documents += outcome.documents
            refused += outcome.refused
        }
        embedded += outcome.embedded
        for finding in fresh { faults[finding.fault, default: 0] += 1 }
    }
}
