import Bytes
import Console
import ServiceLifecycle

/// `medallion up`: all roles in one process, over the live stream.
struct UpCommand: Command {
    static let name = "up"
    static let summary = "Runs all roles in one process, with embedded broker and database unless others are set."
    static let table = ArgumentTable(options: [
        .init(name: "--url", value: "URL", help: "The stream, in place of the address that is declared.")
    ])

    private let url: SecretURL?

    init(_ arguments: ParsedArguments) throws {
        url = try StreamURL.read(arguments.value("--url"), named: "--url")
    }

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        let declarations = try Declarations(platform) { [url] in try $0.following(url, isStart: $1) }
        let pipeline = Pipeline(platform: platform, declarations: declarations, source: .live)
        try await context.run(try pipeline.services(), drainLimitSeconds: 40)
    }
}
