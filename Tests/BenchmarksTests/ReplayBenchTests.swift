import Console
import PlatformTesting
import Telemetry
import Testing

@testable import Benchmarks

/// The benchmark of replays in small: what it measures is done, and right.
@Suite struct ReplayBenchTests {
    private func run(_ parts: [ReplayBench.Part]) async throws -> [String: BenchFigure] {
        var options = ReplayBench.Options()
        options.parts = parts
        (options.events, options.documents, options.changed) = (2_000, 700, 150)
        options.commitIntervalMilliseconds = 50
        options.modelDirectory = PackageRoot.path + "/.deps/model"
        let report = try await ReplayBench(
            options: options, source: SearchScene.events(), logger: Logger("bench", level: .error)
        ).run()
        #expect(report.findings == [])
        return Dictionary(uniqueKeysWithValues: report.figures.map { ($0.name, $0) })
    }

    @Test(.timeLimit(.minutes(5))) func theLakesPartIsHeldAgainstTheStreamJob() async throws {
        let figures = try await run([.rate])
        let ratio = try #require(figures["replay to the stream job"])
        #expect(ratio.value > 0 && ratio.goal == .atLeast(1.5))
    }

    @Test(.timeLimit(.minutes(5))) func nothingIsEmbeddedWhereNothingChanges() async throws {
        let figures = try await run([.unchanged])
        #expect(figures["unchanged: documents"]?.value == 700)
        #expect(figures["unchanged: texts embedded"]?.value == 0)
        #expect(figures["unchanged: documents a second"]?.goal != nil)
    }

    @Test(.timeLimit(.minutes(5))) func whatChangesIsEmbeddedOnce() async throws {
        let figures = try await run([.changed])
        #expect(figures["changed: documents"]?.value == 150)
        #expect(figures["changed: texts embedded"]?.value ?? 0 > 0)
        #expect(figures["changed: replay to the embedding alone"]?.goal == .atMost(1.3))
    }

    @Test func itsPartsAreItsOwn() throws {
        func command(_ words: [String]) throws -> BenchCommand {
            try BenchCommand(try ParsedArguments(words, BenchCommand.table))
        }
        _ = try command(["replay", "--parts", "unchanged,rate", "--documents", "1000000", "--changed", "180000"])
        _ = try command(["search", "--parts", "recall"])
        #expect(throws: UsageError.self) { try command(["replay", "--parts", "recall"]) }
        #expect(throws: UsageError.self) { try command(["search", "--parts", "unchanged"]) }
        #expect(throws: UsageError.self) { try command(["replay", "--documents", "1"]) }
    }
}
