import Bytes
import Concurrency
import Console
import ServiceLifecycle
import Simulator

/// `medallion record`: a stream into a file.
struct RecordCommand: Command {
    static let name = "record"
    static let summary = "Writes the events of a stream to a file that simulate can play."
    static let table = ArgumentTable(
        options: [
            .init(name: "--output", value: "FILE", help: ".sse (raw) or .jsonl, either with .zst; must not exist yet."),
            .init(name: "--events", value: "N", help: "Stop after N events."),
            .init(name: "--seconds", value: "N", help: "Stop after N seconds."),
        ],
        positionals: [.init(name: "URL", isRequired: false, help: "The stream (default: WIKIMEDIA_SSE_URL).")])

    private let url: SecretURL?
    private let output: String
    private let events: Int?
    private let seconds: Int?

    init(_ arguments: ParsedArguments) throws {
        url = try StreamURL.read(arguments.word(0), named: "URL")
        guard let output = arguments.value("--output") else { throw UsageError("--output is missing") }
        let name = output.hasSuffix(".zst") ? String(output.dropLast(4)) : output
        guard name.hasSuffix(".sse") || name.hasSuffix(".jsonl") else {
            throw UsageError("--output \(output): ends in neither .sse nor .jsonl (each possibly with .zst)")
        }
        self.output = output
        events = try arguments.integer("--events", in: 1...Int.max)
        seconds = try arguments.integer("--seconds", in: 1...31_536_000)
    }

    func run(_ context: Context) async throws {
        let settings = context.settings
        var options = RecorderOptions(
            url: url ?? settings.source.url, userAgent: settings.source.userAgent, output: output)
        options.eventsMax = events
        options.secondsMax = seconds
        options.timeoutMilliseconds = Int(settings.source.requestTimeoutSeconds * 1_000)
        let stop = StopSignal()
        _ = StopRequests.listen { _, _ in stop.request() }
        let recorder = Recorder(options: options, logger: context.logger.scoped("record"))
        let summary = try await Lane(name: "record").run { try recorder.record(stop: stop) }
        Output.line("\(output): \(summary.events) events, \(summary.bytes) bytes, \(summary.reconnects) reconnects")
        if summary.events == 0 { throw Failure("the stream sent no event", code: .dependencyUnavailable) }
    }
}
