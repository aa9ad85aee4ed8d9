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
    /// Writes Gold lines as the indexer would.
    ///
    /// - Returns: how many texts were embedded.
    func index(
        lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
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
        var report = AuditReport(generation: generation.generation)
        var told: Set<String> = []
        for (source, range) in try await ranges(generation.generation) {
            var next = range.start
            while next < range.end {
                try Task.checkCancellation()
                let from = next
                let window = try await lane.run { [self] in
                    try read(generation.generation, source, from: from, to: range.end)
                }
                let comparison = AuditComparison(
                    window: window, generation: generation, index: index, options: options, store: store)
                let outcome = try await comparison.run()
                // Of a document that is missing every version that the lake has is.
                let fresh = outcome.findings.filter { told.count >= Self.toldMax || told.insert($0.document).inserted }
                report.add(outcome, fresh, lines: window.lines.count)
                fresh.forEach(found)
                if options.isRepairing {
                    try await repair(outcome, generation, window, store)
                    report.repaired += Int64(fresh.count)
                }
                next = window.range.end
            }
        }
        if options.isRepairing { try await store.run { try $0.removeOrphans() } }
        report.orphans = try await store.run { try $0.orphans(model: generation.model) }
        let kept = report
        try await store.run {
            try $0.save(
                kept.generation, documents: kept.documents, drift: kept.drift, reportJSON: kept.json)
        }
        return report
    }

    /// What of each topic partition both have.
    private func ranges(_ generation: Int64) async throws -> [(TopicPartition, OffsetRange)] {
        try await lane.run { [self] in
            let reader = LakeReader(layout: layout)
            let checkpoints = try GenerationStore(configuration: database).checkpoints(timeoutMilliseconds: 60_000)
            return try reader.sources().compactMap { source in
                guard let committed = try reader.committedRange(source),
                    let reached = checkpoints.first(where: { $0.generation == generation && $0.source == source }),
                    let range = OffsetRange(start: committed.start, end: min(committed.end, reached.nextOffset))
                else { return nil }
                return (source, range)
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

    /// First what is wrong goes, then what is right is written by the indexer's own writer.
    private func repair(
        _ outcome: AuditOutcome, _ generation: AuditedGeneration, _ window: AuditWindow, _ store: AuditLane
    ) async throws {
        if !outcome.hidden.isEmpty {
            try await store.run {
                try $0.hide(
                    outcome.hidden, damaged: outcome.damaged, generation: generation.generation,
                    model: generation.model,
                    vectors: outcome.vectors)
            }
        }
        let lines = outcome.rewritten.sorted().map { (window.lines[$0].offset, window.lines[$0].bytes) }
        if !lines.isEmpty {
            _ = try await index.index(
                lines: lines, generation: generation.generation, source: window.source)
        }
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
    mutating func add(_ outcome: AuditOutcome, _ fresh: [AuditFinding], lines: Int) {
        self.lines += Int64(lines)
        documents += outcome.documents
        embedded += outcome.embedded
        refused += outcome.refused
        for finding in fresh { faults[finding.fault, default: 0] += 1 }
    }
}
