import IndexTesting
import Indexer
import Lake
import Logic
import PlatformTesting
import Records
import Store
import Telemetry
import Testing

@testable import Replay

/// What a dry run says of recorded events of several sources is what the replay then does.
@Suite struct RecordedReplayTests {
    private static let reason = Comment(rawValue: Recordings.absence)
    private static let sources = [
        TopicPartition(topic: "changes", partition: 0), TopicPartition(topic: "changes", partition: 1),
        TopicPartition(topic: "edges", partition: 0), TopicPartition(topic: "products", partition: 0),
    ]

    private static func logic(_ topic: String, isNew: Bool) throws -> TopicLogic {
        guard topic != "products" else {
            return try SourceReplayTests.documentLogic(title: isNew ? "text" : "name")
        }
        let template =
            isNew ? "{title}[, with the remark: {comment}]. {type} by {user} on {domain}" : TextTemplate.standard
        var settings = TransformSettings(template: try TextTemplate(template))
        // Bots' edits are added, those outside of articles go.
        (settings.dropsBots, settings.namespaces) = isNew ? (false, [0]) : (true, [])
        return try TopicLogic(.recentChange(settings), tenant: .standard, collection: topic)
    }

    private static func values() throws -> [[[UInt8]]] {
        func lines(_ name: String) throws -> [[UInt8]] {
            try Recordings.bytes(name).split(separator: 0x0A).map { Array($0) }
        }
        let changes = try lines("recentchange-original.jsonl.zst").enumerated().filter { $0.offset % 3 == 1 }
        let products = (0..<60).map { number in
            // Half of them have one text as title and as name.
            Array(#"{"id":"p\#(number % 40)","name":"Text \#(number % 2)","text":"Text \#(number % 40 * 2 % 6)"}"#.utf8)
        }
        return [
            changes.filter { $0.offset % 2 == 0 }.map(\.element), changes.filter { $0.offset % 2 == 1 }.map(\.element),
            try lines("edge-cases.jsonl") + lines("invalid-utf8.jsonl"), products,
        ]
    }

    @Test(.enabled(if: Recordings.folder != nil, reason), .timeLimit(.minutes(5)))
    func theDryRunsCountsAreTheReplays() async throws {
        let database = try Place.database()
        let place = try Place(database)
        for (source, values) in zip(Self.sources, try Self.values()) {
            try SourceReplayTests.fill(place.layout, source, try Self.logic(source.topic, isNew: false), values)
        }
        let embedder = CountingEmbedder()
        let documents = DocumentIndexer(configuration: database, embedder: embedder)
        _ = try await IndexRebuild(
            layout: place.layout, database: database, index: documents, logger: Logger("rebuild", level: .error)
        ).run { _ in }
        let before = embedder.embedded.count
        var logics: [String: TopicLogic] = [:]
        for source in Self.sources { logics[source.topic] = try Self.logic(source.topic, isNew: true) }

        let trial = try await Replay.dryRun(layout: place.layout, logics: logics, scope: .all, needs: documents)
        #expect(embedder.embedded.count == before)
        let report = try await Replay(
            layout: place.layout, logics: logics, database: database, index: documents,
            logger: Logger("replay", level: .error)
        ).run(.all)

        #expect(report.difference == trial.difference)
        #expect(report.ranges == trial.ranges && Set(report.ranges.keys) == Set(Self.sources))
        #expect(report.samples == trial.samples && report.changes == trial.changes)
        #expect(report.embedded == trial.embeddingsNeeded && report.embedded == embedder.embedded.count - before)
        let difference = report.difference
        for count in [difference.added, difference.changed, difference.removed, difference.unchanged, report.embedded] {
            #expect(count > 0, "\(difference)")
        }
        // They are counts of the lines that are there.
        var counts: [Int: Int] = [:]
        for generation in [1, 2] {
            for (source, range) in report.ranges {
                try place.reader.forEachLine(.gold, generation: Int64(generation), source: source, range: range) {
                    _, _ in
                    counts[generation, default: 0] += 1
                    return true
                }
            }
        }
        #expect(counts[1] == difference.changed + difference.removed + difference.unchanged)
        #expect(counts[2] == difference.changed + difference.added + difference.unchanged)
    }
}
