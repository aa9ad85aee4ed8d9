import Files
import Ingest
import IngestTesting
import Kafka
import PlatformTesting
import Records
import ServiceLifecycle
import Telemetry
import Testing

/// Given files through librdkafka into its mock cluster.
@Suite(.timeLimit(.minutes(2)))
struct GivenConnectorTests {
    private let scene: ProducerScene
    private let folder: TemporaryFolder

    init() throws {
        scene = try ProducerScene()
        folder = try TemporaryFolder()
        try Folder.create(folder.file("in"))
    }

    /// One run to its end.
    private func run(startsOver: Bool = false) async throws -> (figures: FileTally.Figures, isComplete: Bool) {
        var configuration = ProducerConfiguration(
            kafka: scene.configuration.kafka, topic: ProducerScene.topic, topicPartitions: ProducerScene.partitions)
        // The mock cluster tells none.
        configuration.topicProperties = [:]
        let tally = FileTally()
        let files = GivenSearch.files([folder.file("in")], format: nil, tally: tally)
        let given = GivenFiles(files, startsOver: startsOver, tally: tally)
        let outcome = GivenConnector.Outcome()
        let statePath = folder.file("state/files.jsonl")
        let service = ConnectorService(
            source: "notes", configuration: configuration, metrics: MetricsRegistry(),
            logger: Logger("test", level: .error)
        ) {
            try GivenConnector(
                given, statePath: statePath, shape: DocumentShape(idPath: "id"), lineBytesMax: 1_000_000,
                outcome: outcome)
        }
        try await service.run(stop: StopSignal())
        return (tally.figures, outcome.isComplete)
    }

    @Test(
        "the documents arrive with their ids as keys and ids of their own, the service ends, and a second run sends none"
    )
    func arriving() async throws {
        let rows = (0..<2_500).map { "c\($0),text \($0)\n" }.joined()
        try File.replace(folder.file("in/a.csv"), with: Array(("id,text\n" + rows).utf8))
        try File.replace(folder.file("in/b.txt"), with: Array("A text.\n".utf8))
        try File.replace(folder.file("in/c.txt"), with: [0xE9])
        let first = try await run()
        #expect(first.isComplete && first.figures.documents == 2_501)
        #expect(first.figures.refusals == ["not_utf_8": 1])
        let records = try scene.content().records
        #expect(records.count == 2_501)
        #expect(Set(records.compactMap { $0.headers[EventIDHeader.header] }).count == 2_501)
        #expect(Set(records.compactMap(\.key)).count == 2_501)
        #expect(records.allSatisfy { $0.headers["ingest_time_ms"] != nil && $0.headers[RepeatMark.header] == nil })
        let second = try await run()
        #expect(second.isComplete && second.figures.documents == 0 && second.figures.unchangedFiles == 3)
        #expect(try await run(startsOver: true).figures.documents == 2_501)
        #expect(try scene.content().records.count == 5_002)
    }

    @Test("a state that is damaged ends the run with a word, and is left as it is")
    func damagedState() async throws {
        try Folder.create(folder.file("state"))
        try File.replace(folder.file("state/files.jsonl"), with: Array("no state\n".utf8))
        #expect(throws: FilesConnectorError.self) {
            try GivenConnector(
                GivenFiles([]), statePath: folder.file("state/files.jsonl"), shape: DocumentShape(idPath: "id"),
                lineBytesMax: 1_000_000, outcome: GivenConnector.Outcome())
        }
        #expect(try File.contents(of: folder.file("state/files.jsonl")) == Array("no state\n".utf8))
    }
}
