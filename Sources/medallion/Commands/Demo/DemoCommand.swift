import API
import Bytes
import Concurrency
import Console
import Files
import Settings
import Simulator
import Synchronization
import Telemetry

/// `medallion demo`: `up` over a source that is always there.
struct DemoCommand: Command {
    static let name = "demo"
    static let summary = "Runs all roles over RECORDING, else the live stream if it answers, else invented events."
    static let table = ArgumentTable(options: [
        .init(name: "--rate", value: "N", help: "Events a second of a recording or of invented events (default 50).")
    ])
    static let details =
        "With DEMO_SECONDS=N it ends by itself; exit code 0 only if search, answer and trace succeeded."

    private let rate: Double

    init(_ arguments: ParsedArguments) throws {
        rate = try arguments.number("--rate", in: 0.1...100_000) ?? 50
    }

    func run(_ context: Context) async throws {
        let settings = context.settings
        let platform = Platform(context: context)
        let declarations = try Declarations(platform)
        let source = try await chooseSource(context, declarations.current)
        let pipeline = Pipeline(platform: platform, declarations: declarations, source: source)
        var services = try pipeline.services()
        let url = settings.apiURL + "/"
        context.logger.info("the page is at \(url)")
        if settings.demo.seconds > 0 {
            services.append(DemoCheck(settings: settings, seconds: settings.demo.seconds))
        }
        try await context.run(services, drainLimitSeconds: 40)
    }

    private func chooseSource(
        _ context: Context, _ declared: DeclaredSources
    ) async throws -> Pipeline.Source {
        let settings = context.settings
        guard let url = declared.streams.first else {
            context.logger.info("source: what \(declared.file ?? "the environment") declares")
            return .live
        }
        if !settings.demo.recording.isEmpty {
            let path = settings.demo.recording
            let recording = try await Lane(name: "load").run { try Recording(path: path, repeats: true) }
            context.logger.info(
                "source: the recording \(path), \(recording.eventCount) events at \(rate)/s, then again with fresh ids")
            return .simulated(
                simulator([.recentChange: recording], context), .recording,
                name: String(path.split(separator: "/").last ?? ""))
        }
        let probe = LiveProbe(url: url, userAgent: settings.source.userAgent)
        context.logger.info("looking whether the live stream answers", ["url": "\(url)"])
        let refusal = try await Lane(name: "probe").run { probe.refusal() }
        guard let refusal else {
            context.logger.info("source: the live stream \(url)")
            return .live
        }
        // The seed goes on from run to run: with the same one, the same ids would come again and be dropped.
        let seed = UInt64(SystemClock.epochMilliseconds())
        context.logger.warning(
            "source: invented events at \(rate)/s, seed \(seed), since the live stream \(refusal)",
            ["url": "\(url)"])
        context.logger.warning("for real events: \(refusal.remedy)", ["more": "docs/troubleshooting.md"])
        var generated: [SimulatedStream: any PlayableSource] = [:]
        for stream in SimulatedStream.allCases {
            generated[stream] = GeneratedSource(
                generator: EventGenerator(
                    seed: seed, startMilliseconds: SystemClock.epochMilliseconds(), eventsPerSecond: rate,
                    stream: stream))
        }
        return .simulated(simulator(generated, context), .generated, name: "seed \(seed)")
    }

    private func simulator(
        _ sources: [SimulatedStream: any PlayableSource], _ context: Context
    ) -> Simulator {
        Simulator(
            configuration: SimulatorConfiguration(pace: .fixed(rate)), sources: sources, metrics: context.metrics,
            logger: context.logger.scoped("simulator"))
    }
}
