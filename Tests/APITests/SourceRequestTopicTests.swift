import Bytes
import Kafka
import KafkaAccess
import Records
import ServiceLifecycle
import Synchronization
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
            try publisher.publish(.request(Self.request("r-1", .pause)), timeoutMilliseconds: 10_000)
            try await eventually { board.wishes(of: "a")?.pause?.by == "Ann" }
            #expect(board.wishes(of: "b") == SourceWishes())
        }
        let snapshot = Self.request("r-2", .snapshot(SourceKeyRange(from: "1", to: "2")))
        try publisher.publish(.request(snapshot), timeoutMilliseconds: 10_000)
        try await following(kafka) { board in
            try await eventually { board.wishes(of: "a") != nil }
            #expect(board.wishes(of: "a")?.pause?.id == "r-1", "known as soon as anything is")
            #expect(board.wishes(of: "a")?.snapshots == [snapshot])
            scene.stopBroker()
            #expect(throws: KafkaError.self) {
                try publisher.publish(.request(Self.request("r-3", .resume)), timeoutMilliseconds: 1_000)
            }
            #expect(board.wishes(of: "a")?.pause != nil, "what was known holds")
            try scene.startBroker()
            try await eventually {
                (try? publisher.publish(.request(Self.request("r-4", .resume)), timeoutMilliseconds: 2_000)) != nil
            }
            try await eventually { board.wishes(of: "a")?.pause == nil }
        }
    }

    @Test func whatBecameOfRequestsIsKeptInTheTopic() async throws {
        let scene = try IntakeScene()
        let kafka = scene.configuration
        let publisher = SourceRequestPublisher({ kafka }, plan: Self.plan, logger: Self.logger)
        try await following(kafka) { board in
            let reporter = SourceOutcomeReporter(
                board: board, pushed: { ["a"] },
                publish: { try publisher.publish($0, timeoutMilliseconds: $1) }, logger: Self.logger)
            let stop = StopSignal()
            async let end: Void = reporter.run(stop: stop)
            defer { stop.request() }
            try publisher.publish(.request(Self.request("r-1", .pause)), timeoutMilliseconds: 10_000)
            // This process takes the documents of `a`: it heeds what it has read.
            try await eventually { board.wishes(of: "a")?.answer(to: "r-1")?.word == "taken" }
            let snapshot = Self.request("r-2", .snapshot(SourceKeyRange()))
            try publisher.publish(.request(snapshot), timeoutMilliseconds: 10_000)
            // While the broker is away it waits.
            scene.stopBroker()
            for _ in 0..<3 {
                reporter.note(
                    SourceOutcome(
                        request: "r-2", source: "a", state: .refused, reason: "no such key", atMilliseconds: 2))
            }
            try scene.startBroker()
            try await eventually { board.wishes(of: "a")?.answer(to: "r-2")?.word == "refused" }
            #expect(board.wishes(of: "a")?.answer(to: "r-2")?.outcome?.reason == "no such key")
            #expect(board.wishes(of: "a")?.snapshots.isEmpty == true, "it waits for nobody any more")
            stop.request()
            try await end
        }
        // A process that starts later knows it, too, and each is there once.
        try await following(kafka) { board in
            try await eventually { board.wishes(of: "a") != nil }
            #expect(board.wishes(of: "a")?.history.map(\.word) == ["taken", "refused"] && board.sources == ["a"])
            #expect(board.nextOffset == 4)
        }
    }

    /// What is read last may be known only a while after it was read, and nothing need come behind it.
    @Test func whatIsPushedIsToldOnceItIsKnown() async throws {
        let board = SourceRequestBoard()
        let requests = [Self.request("r-1", .pause), Self.request("r-2", .resume)]
        board.take(requests.enumerated().map { (Int64($0.offset) + 1, .request($0.element)) })
        let looks = Mutex(0)
        let told = Mutex<[String]>([])
        let reporter = SourceOutcomeReporter(
            board: board,
            pushed: {
                looks.withLock { $0 += 1 }
                return ["a"]
            },
            publish: { entry, _ in told.withLock { $0.append(entry.id) } }, logger: Self.logger)
        let stop = StopSignal()
        async let end: Void = reporter.run(stop: stop)
        defer { stop.request() }
        try await eventually { looks.withLock { $0 } >= 1 }
        board.caughtUp()
        try await eventually { !told.withLock { $0.isEmpty } }
        let before = looks.withLock { $0 }
        try await eventually { looks.withLock { $0 } >= before + 3 }
        stop.request()
        try await end
        #expect(told.withLock { $0 } == ["r-2/taken"], "nobody knows whether the pause was heeded; each is told once")
    }

    @Test func aTopicThatForgetsIsNamed() async throws {
        let scene = try IntakeScene()
        let kafka = scene.configuration
        _ = try KafkaAdmin(kafka).createTopic(
            Self.plan.name, partitions: 1, config: ["retention.ms": "604800000"], timeoutMilliseconds: 10_000)
        let board = SourceRequestBoard()
        var plan = Self.plan
        plan.properties["retention.ms"] = "-1"
        let service = SourceRequestFollowing({ kafka }, plan: plan, board: board, logger: Self.logger)
        let stop = StopSignal()
        async let end: Void = service.run(stop: stop)
        defer { stop.request() }
        try await eventually { board.wishes(of: "a") != nil }
        #expect(board.doubt?.contains("retention.ms=604800000") == true && board.fault == nil)
        stop.request()
        try await end
    }
}
