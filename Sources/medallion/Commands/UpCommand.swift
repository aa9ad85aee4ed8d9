import Bytes
import Console
import ServiceLifecycle

/// `medallion up`: all roles in one process, over the live stream.
struct UpCommand: Command {
    static let name = "up"
    static let summary = "Runs all roles in one process, with embedded broker and database unless others are set."
    static let table = ArgumentTable(options: [
        .init(name: "--url", value: "URL", help: "The stream, in place of WIKIMEDIA_SSE_URL.")
    ])

    private let url: SecretURL?

    init(_ arguments: ParsedArguments) throws {
        url = try StreamURL.read(arguments.value("--url"), named: "--url")
    }

    func run(_ context: Context) async throws {
        let pipeline = Pipeline(
            platform: Platform(context: context),
            source: .live(url ?? context.settings.wikimediaSSEURL))
        try await context.run(try pipeline.services(), drainLimitSeconds: 40)
    }
}
