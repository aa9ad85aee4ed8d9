import PlatformTesting
import Testing

/// A C++ program that shares no code with ours makes the same lines of the same records: `medallion bench lake` fails
/// where one byte of Bronze, Silver or Gold differs.
@Suite struct IndependentWriterTests {
    private static func run(_ arguments: [String]) async throws {
        try await Deployment.run { deployment in
            let output = try deployment.command(
                ["bench", "lake", "--events", "2000", "--endurance", "2000", "--json"] + arguments, seconds: 300)
            for figure in ["ratio of the rates", "lake verify", "ratio of the sizes", "after all"] {
                #expect(output.contains(figure), "\(output)")
            }
        }
    }

    @Test func bothWriteTheSameLinesOfGeneratedEvents() async throws { try await Self.run([]) }

    @Test(
        .enabled(if: Recordings.folder != nil, Comment(rawValue: Recordings.absence)),
        arguments: ["recentchange-reshaped.jsonl.zst", "invalid-utf8.jsonl"])
    func bothWriteTheSameLinesOfRecordedEvents(name: String) async throws {
        try await Self.run(["--recording", (Recordings.folder ?? "") + "/" + name])
    }
}
