import Bytes
import EmbeddedPostgres
import Glibc
import IndexTesting
import PlatformTesting
import Postgres
import ServiceLifecycle
import Store
import Synchronization
import Telemetry
import Testing

/// The server dies or restarts while batches are written: none is lost, none is half there or there twice.
@Suite(.serialized, .timeLimit(.minutes(30))) struct ServerFaultTests {
    private enum Fault: CaseIterable {
        /// `kill -9` of the server.
        case killed
        /// `kill -9` of the writer's session, upon which the server ends all of them and recovers.
        case sessionKilled
        /// A restart that waits for nobody.
        case restarted
        /// A restart without a checkpoint.
        case aborted
    }

    @Test func whatBecomesOfTheServerLosesNothing() throws {
        let folder = try TemporaryFolder()
        chmod(folder.path, 0o711)
        var configuration = EmbeddedPostgresConfiguration(folder: folder.file("postgres"))
        configuration.memoryBytes = 128 << 20
        let server = EmbeddedPostgres(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("postgres", level: .error))
        try server.start()
        defer { server.shutDown() }
        let database = PostgresConfiguration(dsn: server.dsn, applicationName: "faults")
        try Migrator(
            connection: PostgresConnection(database, timeoutMilliseconds: IndexFixture.limit)
        ).migrate()
        let scene = try FaultScene(configuration: database)
        let faults = Array(repeating: Fault.allCases, count: LongTests.areWanted ? 8 : 1).flatMap(\.self)
        let batches = (0..<faults.count * 12).map { FaultScene.Batch(number: $0) }
        let progress = Progress()
        Self.harm(server, faults, progress, seed: LongTests.seed(1))
        let writer = IndexWriter(configuration: database)
        var failures = 0
        for batch in batches {
            progress.batches.store(batch.number, ordering: .releasing)
            failures += try Self.write(batch, by: writer)
        }
        // The last of them may come behind the last batch.
        for _ in 0..<6_000 where !progress.isDone.load(ordering: .acquiring) { usleep(10_000) }
        let isDone = progress.isDone.load(ordering: .acquiring)
        #expect(isDone)
        #expect(failures >= faults.count / 2, "the faults met writes")
        let last = FaultScene.Batch(number: batches.count)
        _ = try Self.write(last, by: writer)
        let wanted = try FaultScene.undisturbed(batches + [last])
        #expect(try scene.contents().differences(from: wanted) == [])
        #expect(try scene.rows.faults() == [:])
    }

    private final class Progress: Sendable {
        let batches = Atomic<Int>(0)
        let isDone = Atomic<Bool>(false)
    }

    /// Returns how often it failed.
    private static func write(_ batch: FaultScene.Batch, by writer: IndexWriter) throws -> Int {
        var failures = 0
        while true {
            do {
                _ = try batch.writeAgain(by: writer)
                return failures
            } catch let error as IndexError {
                #expect(error.isRetriable, "\(error)")
                failures += 1
                if failures > 3_000 { throw error }
                usleep(10_000)
            }
        }
    }

    /// One fault after the other, each once the writer has come to its batches and at a random moment of one.
    private static func harm(_ server: EmbeddedPostgres, _ faults: [Fault], _ progress: Progress, seed: UInt64) {
        let dsn = server.dsn
        CuttingProxy.start {
            var generator = SeededGenerator(seed: seed)
            for (number, fault) in faults.enumerated() {
                while progress.batches.load(ordering: .acquiring) < number * 12 + 6 { usleep(200) }
                usleep(UInt32.random(in: 0...20_000, using: &generator))
                guard let process = server.processID else { continue }
                switch fault {
                case .killed: kill(process, SIGKILL)
                case .restarted: kill(process, SIGINT)
                case .aborted: kill(process, SIGQUIT)
                case .sessionKilled: for session in sessions(dsn) { kill(session, SIGKILL) }
                }
            }
            progress.isDone.store(true, ordering: .releasing)
        }
    }

    private static func sessions(_ dsn: String) -> [Int32] {
        let rows = try? PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 10_000).script(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'faults'", timeoutMilliseconds: 10_000)
        return (rows ?? []).compactMap { $0.first?.flatMap { Int32($0) } }
    }
}
