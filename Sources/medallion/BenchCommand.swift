import Bytes
import Simulator

/// `medallion bench`: measures this machine with the product's own parts.
struct BenchCommand: Command {
    static let name = "bench"
    static let summary = "Measures speed and memory; figures stand beside a baseline run in the same call."
    static let table = ArgumentTable(
        options: [
            .init(name: "--events", value: "N", help: "stream: events in the topic (default 500000)."),
            .init(name: "--recording", value: "FILE", help: "Events of a recording, repeated; else generated ones."),
            .init(name: "--partitions", value: "N", help: "stream: topic partitions (default 2)."),
            .init(name: "--json", value: nil, help: "One JSON object per benchmark."),
        ],
        positionals: [.init(name: "NAME", isRequired: false, help: "stream; all unless given.")])

    private let events: Int
    private let partitions: Int
    private let recording: String?
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        guard ["stream", nil].contains(arguments.word(0)) else { throw UsageError("NAME is stream") }
        events = try arguments.integer("--events", in: 1_000...100_000_000) ?? 500_000
        partitions = try arguments.integer("--partitions", in: 1...64) ?? 2
        recording = arguments.value("--recording")
        isJSON = arguments.has("--json")
    }

    func run(_ context: Context) async throws {
        let source: any PlayableSource =
            if let recording {
                try Recording(path: recording, repeats: true)
            } else {
                GeneratedSource(
                    generator: EventGenerator(
                        seed: 1, startMilliseconds: SystemClock.epochMilliseconds(), eventsPerSecond: 300))
            }
        let report = try await StreamBench(
            events: events, source: source, partitions: partitions,
            commitIntervalMilliseconds: context.settings.commitIntervalMilliseconds,
            logger: context.logger.scoped("bench")
        ).run()
        report.print(asJSON: isJSON)
    }
}
