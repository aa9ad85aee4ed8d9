import Comparison
import Files
import PlatformTesting
import Processes
import Synchronization
import Testing

extension PipelineTests {
    /// `medallion bench endure`: everything at once goes wrong, and nothing is lost.
    @Suite(.serialized) struct EnduranceTests {
        /// `TEST_SEED` replays another run.
        @Test(.enabled(if: LongTests.areWanted, Comment(rawValue: LongTests.reason)), .timeLimit(.minutes(30)))
        func twoMinutesOfEverything() async throws {
            let (ending, output) = try await Self.endure(minutes: 2, [])
            #expect(ending == .exited(0), "\(output)")
            for name in [
                "events of the source", "killed: ", "paused: ", "replay done", "records in Bronze",
                "acknowledged poison found", "Silver lines", "Gold lines", "in quarantine", "duplicates",
                "documents in the index", "files equal", "rows compared", "complete generations", "searches answered",
            ] {
                let figures = Self.figures(name, in: output)
                #expect(!figures.isEmpty && figures.allSatisfy { $0 > 0 }, "\(name): \(figures) in \(output)")
            }
        }

        /// The figures whose names begin so.
        private static func figures(_ name: String, in output: String) -> [Double] {
            output.split(separator: "\n").filter { $0.hasPrefix("  " + name) }.map { line in
                let parts: [Substring] = line.split(separator: "  ")
                let value: Substring = parts.dropFirst().first?.split(separator: " ").first ?? ""
                return Double(value.replacing(",", with: "")) ?? 0
            }
        }

        @Test func figuresAreRead() {
            let output = "title\n  killed: broker   9.0 \n  killed: index  0.0    (x)\n  Gold lines    6,322    (y)\n"
            #expect(Self.figures("killed: ", in: output) == [9, 0])
            #expect(Self.figures("Gold lines", in: output) == [6_322])
            #expect(Self.figures("absent", in: output) == [])
        }

        /// A trial that cannot fail proves nothing.
        @Test(
            .enabled(if: LongTests.areWanted, Comment(rawValue: LongTests.reason)), .timeLimit(.minutes(30)),
            arguments: [
                ("lake", "gold/generation=1/"), ("index", "missing: "), ("crash", "serve was ended by signal 4"),
            ])
        func damageIsNoticed(spoilt: String, finding: String) async throws {
            let (ending, output) = try await Self.endure(minutes: 0.2, ["--spoil", spoilt])
            #expect(ending == .exited(1))
            let findings = output.split(separator: "\n").filter { $0.contains("WRONG: ") }
            #expect(findings.contains { $0.contains(finding) }, "\(output)")
        }

        private static func endure(
            minutes: Double, _ arguments: [String]
        ) async throws -> (ChildProcess.Ending?, String) {
            let seed = LongTests.seed(20_270)
            let result = Results()
            try await Deployment.run { deployment in
                let process = try deployment.start(
                    "bench",
                    ["endure", "--minutes", "\(minutes)", "--rate", "80", "--seed", "\(seed)"] + arguments)
                let ending = try process.awaitEnd(seconds: 1_500)
                result.value.withLock { $0 = (ending, process.output) }
            }
            return result.value.withLock { $0 }
        }

        @Test func aMissingAChangedAndAForeignFileAreNoticed() throws {
            let folder = try TemporaryFolder()
            let (found, expected) = (folder.file("found"), folder.file("expected"))
            for root in [found, expected] {
                for path in ["bronze/a", "gold/generation=1/b", "gold/generation=1/c", "_commits/d"] {
                    try Folder.create(Folder.parent(of: root + "/" + path), isDurable: false)
                    try File.replace(root + "/" + path, with: Array(path.utf8))
                }
            }
            try File.replace(found + "/_commits/d", with: [1])
            let none = try LakeComparison.differences(found: found, expected: expected)
            #expect(none.lines == [] && none.equalFiles == 3)
            try File.replace(found + "/bronze/a", with: Array("bronze/x".utf8))
            try Folder.remove(found + "/gold/generation=1/b")
            try Folder.create(found + "/gold/generation=2", isDurable: false)
            try File.replace(found + "/gold/generation=2/e", with: [1])
            let all = try LakeComparison.differences(found: found, expected: expected)
            #expect(
                all.lines == [
                    "gold/generation=1/b is missing", "gold/generation=2/e is one too many",
                    "bronze/a differs: 8 bytes, expected 8",
                ])
            #expect(all.equalFiles == 1)
            let first = try LakeComparison.differences(found: found, expected: expected, generation: 1)
            #expect(first.lines.count == 2)
        }
    }
}

/// What a run on another thread found.
private final class Results: Sendable {
    let value = Mutex<(ChildProcess.Ending?, String)>((nil, ""))
}
