import Benchmarks
import Bytes
import Console
import Embeddings
import Files
import Glibc
import Metering
import ServiceLifecycle
import Settings
import Sources
import StreamJob
import Telemetry

/// Every subcommand that exists, in the order of the list that `--help` prints.
let allCommands: [any Command.Type] = [
    UpCommand.self,
    DemoCommand.self,
    SearchCommand.self,
    AnswerCommand.self,
    AnswersCommand.self,
    TraceCommand.self, ImpactCommand.self,
    MCPCommand.self,
    EvalCommand.self,
    ReplayCommand.self,
    SourcesCommand.self,
    IngestCommand.self,
    GenerationsCommand.self,
    PromoteCommand.self,
    LogicCommand.self,
    GoldenCommand.self,
    KeysCommand.self,
    SuppressCommand.self,
    EraseCommand.self,
    LakeCommand.self,
    DlqCommand.self,
    AuditCommand.self,
    BrokerCommand.self,
    ProducerCommand.self,
    StreamCommand.self,
    IndexCommand.self,
    ServeCommand.self,
    MigrateCommand.self,
    SimulateCommand.self,
    RecordCommand.self,
    BenchCommand.self,
    DoctorCommand.self,
    SettingsCommand.self,
]

@main
struct Medallion {
    /// Shown by `--version` and `/health`.
    static let version = Product.version

    static func main() async {
        LocalEmbedder.prepareProcess()
        ProcessLimits.raiseOpenFiles()
        exit(await run(Array(CommandLine.arguments.dropFirst())).rawValue)
    }

    private static func run(_ arguments: [String]) async -> ExitCode {
        guard let word = arguments.first else {
            Output.complain(overview)
            return .usage
        }
        if ["--help", "-h", "help"].contains(word) {
            Output.print(overview)
            return .success
        }
        if word == "--version" {
            Output.line("medallion \(version)")
            return .success
        }
        guard let command = allCommands.first(where: { $0.name == word }) else {
            Output.complain("medallion: unknown subcommand “\(LogText.escaped(word))”; see medallion --help\n")
            return .usage
        }
        let rest = Array(arguments.dropFirst())
        // After “--” it would be a word like any other.
        if rest.prefix(while: { $0 != "--" }).contains("--help") {
            Output.print(command.help)
            return .success
        }
        do {
            let value = try command.init(ParsedArguments(rest, command.table))
            try await value.run(context())
            return .success
        } catch {
            return report(error, command: command.name)
        }
    }

    private static func context() throws -> Context {
        let settings = try Settings(environment: Environment.variables())
        let level = LogLevel(rawValue: settings.telemetry.logLevel.rawValue) ?? .info
        let format = LogFormat(rawValue: settings.telemetry.logFormat.rawValue) ?? .text
        let sink = LogSink(format: format)
        let logger = Logger("medallion", level: level, sink: sink)
        // Another program's variable may have come along: whoever starts this sees what it is taken for.
        for (name, variable) in settings.givenByAlias.sorted(by: { $0.key < $1.key }) {
            logger.info("\(name) is taken from \(variable)")
        }
        for suspect in settings.suspects { logger.warning("\(suspect)") }
        let metrics = MetricsRegistry()
        ProcessMetrics.register(in: metrics, version: version, commit: Installation.commit)
        return Context(
            settings: settings, logger: logger, sink: sink, metrics: metrics,
            isTerminal: isatty(STDERR_FILENO) == 1 && format == .text)
    }

    private static func report(_ error: any Error, command: String) -> ExitCode {
        switch error {
        case let error as UsageError:
            Output.complain(
                "medallion \(command): \(LogText.escaped(error.description)); see medallion \(command) --help\n")
            return .usage
        case let error as SettingsError:
            Output.complain(
                "medallion \(command): "
                    + error.description.split(separator: "\n")
                    .map { LogText.escaped(String($0)) }.joined(separator: "\n") + "\n")
            return .usage
        case let error as DeclarationError:
            Output.complain(
                "medallion \(command): "
                    + error.description.split(separator: "\n")
                    .map { LogText.escaped(String($0)) }.joined(separator: "\n") + "\n")
            return .usage
        case let error as LogicError:
            Output.complain(
                "medallion \(command): \(LogText.escaped(error.description)); see medallion settings --help\n")
            return .usage
        case let error as LakeSettingsError:
            Output.complain(
                "medallion \(command): \(LogText.escaped(error.description)); see medallion settings --help\n")
            return .usage
        case let error as Failure:
            Output.complain("medallion \(command): \(error.description)\n")
            return error.code
        default:
            Output.complain("medallion \(command): \(LogText.escaped(String(describing: error)))\n")
            return Dependencies.isUnavailable(error) ? .dependencyUnavailable : .failure
        }
    }

    static var overview: String {
        let width = (allCommands.map { $0.name.count }.max() ?? 0) + 2
        let rows = allCommands.map { command in
            "  " + command.name + String(repeating: " ", count: width - command.name.count) + command.summary
        }
        return """
            usage: medallion SUBCOMMAND [options]

            Turns a live stream into files anyone can read, an index anyone can query, and answers that can be traced to
            the event they came from.

            \(rows.joined(separator: "\n"))

            medallion SUBCOMMAND --help tells its options; medallion settings --help the environment variables.
            Exit codes: 0 done, 1 failed, 64 wrong arguments or settings, 69 a dependency cannot be reached.

            """
    }
}
