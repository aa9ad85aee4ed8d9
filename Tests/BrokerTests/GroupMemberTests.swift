import Broker
import Kafka
import PlatformTesting
import Telemetry
import Testing

/// Membership in a group without reading.
@Suite(.serialized, .timeLimit(.minutes(1)))
final class GroupMemberTests {
    private let folder: TemporaryFolder
    private let server: BrokerServer
    let configuration: KafkaConfiguration

    init() throws {
        folder = try TemporaryFolder()
        var broker = BrokerConfiguration(directory: folder.path)
        broker.port = 0
        server = try BrokerServer(
            configuration: broker, metrics: MetricsRegistry(), logger: Logger("broker", level: .error))
        configuration = KafkaConfiguration(brokers: "127.0.0.1:\(try server.start())", clientID: "test")
        try KafkaAdmin(configuration).createTopic("t", partitions: 4, timeoutMilliseconds: 10_000)
    }

    deinit { server.stop() }

    /// Polls members in turn, keeps what each holds, and lets go at once of what is taken.
    private func poll(
        _ members: [GroupMember], _ held: inout [Set<Int32>], until isDone: ([Set<Int32>]) -> Bool
    ) throws {
        for _ in 0..<400 where !isDone(held) {
            for (index, member) in members.enumerated() {
                switch try member.next(timeoutMilliseconds: 20) {
                case .assigned(let partitions): held[index].formUnion(partitions)
                case .revoked(let partitions, _):
                    held[index].subtract(partitions)
                    member.letGo()
                case nil: break
                }
            }
        }
        #expect(isDone(held), "\(held)")
    }

    private func member() throws -> GroupMember {
        try GroupMember(configuration, groupID: "g", topic: "t", sessionMilliseconds: 2_000)
    }

    @Test("members share the topic partitions, none belongs to two, and one that leaves leaves its own to the others")
    func sharing() throws {
        let first = try member()
        var held: [Set<Int32>] = [[]]
        try poll([first], &held) { $0[0] == [0, 1, 2, 3] }
        let second = try member()
        held.append([])
        try poll([first, second], &held) { $0[0].count == 2 && $0[1].count == 2 && $0[0].isDisjoint(with: $0[1]) }
        try first.offsets.commit([("t", 0, 12)])
        #expect(first.offsets.commitResults(timeoutMilliseconds: 10_000).succeeded == 1)
        #expect(
            try second.offsets.committed([("t", 0)], timeoutMilliseconds: 10_000).map(\.nextOffset) == [12])
        second.leave()
        var left = [held[0]]
        try poll([first], &left) { $0[0] == [0, 1, 2, 3] }
        first.leave()
    }

    @Test("what is taken waits until it is let go of")
    func waiting() throws {
        let first = try member()
        var held: [Set<Int32>] = [[]]
        try poll([first], &held) { $0[0].count == 4 }
        let second = try member()
        var taken: [Int32] = []
        for _ in 0..<300 where taken.isEmpty {
            if case .revoked(let partitions, let isLost) = try first.next(timeoutMilliseconds: 20) {
                #expect(!isLost)
                taken = partitions
            }
            if case .assigned(let partitions) = try second.next(timeoutMilliseconds: 20) { #expect(partitions.isEmpty) }
        }
        #expect(taken.count == 2)
        for _ in 0..<20 {
            if case .assigned(let partitions) = try second.next(timeoutMilliseconds: 20) { #expect(partitions.isEmpty) }
        }
        first.letGo()
        held = [Set(0..<4).subtracting(taken), []]
        try poll([first, second], &held) { $0[1] == Set(taken) }
        first.leave()
        second.leave()
    }

    @Test("a wrong property is named")
    func wrongProperty() throws {
        var configuration = configuration
        configuration.extra["session.timeout.ms"] = "soon"
        let error = #expect(throws: KafkaError.self) {
            _ = try GroupMember(configuration, groupID: "g", topic: "t")
        }
        #expect(error?.kind == .configuration && error?.subject == "session.timeout.ms")
    }
}
