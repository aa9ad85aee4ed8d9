import Bytes
import PlatformTesting
import PostgresTesting
import Testing

@testable import Ingest

/// Change capture from servers of other versions than the embedded one: 16, and what Debian has.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct PostgresVersionTests {
    @Test(
        "the table, its changes and parts that are read again fit the log, over kills",
        arguments: LogicalPostgres.otherVersions)
    func following(programsFolder: String) throws {
        let scene = try CaptureScene(try LogicalPostgres(programsFolder: programsFolder))
        var random = SeededGenerator(seed: LongTests.seed(20))
        try scene.run("INSERT INTO things SELECT n, 'row ' || n FROM generate_series(1, 50) n")
        for _ in 0..<30 {
            try scene.write(2, &random)
            // A fault of a server process that is just going is what the next step is for.
            _ = try? scene.step()
            if Bool.random(using: &random) { try scene.deliver(Int.random(in: 0...10, using: &random)) }
            if Int.random(in: 0..<8, using: &random) == 0 {
                try scene.kill(arrived: Int.random(in: 0...10, using: &random))
            }
        }
        try scene.drain()
        try scene.run("TRUNCATE things")
        try scene.run("INSERT INTO things VALUES (1, 'after')")
        try scene.drain()
        #expect(try scene.shown() == ["1": #""after""#])
    }
}
