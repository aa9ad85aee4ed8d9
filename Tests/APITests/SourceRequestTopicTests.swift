import Bytes
import Kafka
import KafkaAccess
import Records
import ServiceLifecycle
import Telemetry
import Testing

/// Requests to sources by their topic: from one process to those that heed them, also to one that starts later.
@Suite struct SourceRequestTopicTests {
    private static let plan = TopicPlan(name: "requests", partitions: 1, properties: TopicPlan.brokerTime)
    private static let logger = Logger("requests", level: .error)

    private static func request(_ id: String, _ action: SourceRequest.Action) -> SourceRequest {
        SourceRequest(id: id, source: "a", action: action, reason: "why", by: "Ann", atMilliseconds: 1)
    }

    /// A process that follows the topic, for as long as `body` runs.
    private func following(
        _ kafka: KafkaConfiguration, _ body: (SourceRequestBoard) async throws -> Void
    ) async throws {
        let board = SourceRequestBoard()
        let service = SourceRequestFollowing({ kafka }, plan: Self.plan, board: board, logger: Self.logger)
        let stop = StopSignal()
        async let end: Void = service.run(stop: stop)
        defer { stop.request() }
        try await body(board)
        stop.request()
        try await end
    }

    @Test func whoStartsLaterKnowsWhatWasAskedBefore() async throws {
        let scene = try IntakeScene()
        let kafka = scene.configuration
        let publisher = SourceRequestPublisher({ kafka }, plan: Self.plan, logger: Self.logger)
        #expect(SourceRequestBoard().wishes(of: "a") == nil, "nobody has read the topic")
        try await following(kafka) { board in
            try await eventually { board.wishes(of: "a") == SourceWishes() }
            try publisher.publish(Self.request("r-1", .pause), timeoutMilliseconds: 10_000)
            try await eventually { board.wishes(of: "a")?.pause?.by == "Ann" }
            #expect(board.wishes(of: "b") == SourceWishes())
        }
        let snapshot = Self.request("r-2", .snapshot(SourceKeyRange(from: "1", to: "2")))
        try publisher.publish(snapshot, timeoutMilliseconds: 10_000)
        try await following(kafka) { board in
            try await eventually { board.wishes(of: "a") != nil }
            #expect(board.wishes(of: "a")?.pause?.id == "r-1", "known as soon as anything is")
            #expect(board.wishes(of: "a")?.snapshots == [snapshot])
            scene.stopBroker()
            #expect(throws: KafkaError.self) {
                try publisher.publish(Self.request("r-3", .resume), timeoutMilliseconds: 1_000)
            }
            #expect(board.wishes(of: "a")?.pause != nil, "what was known holds")
            try scene.startBroker()
            try await eventually {
                (try? publisher.publish(Self.request("r-4", .resume), timeoutMilliseconds: 2_000)) != nil
            }
            try await eventually { board.wishes(of: "a")?.pause == nil }
        }
    }
}
