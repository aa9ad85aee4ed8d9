import Bytes
import Settings

/// `medallion settings`: what the environment means.
struct SettingsCommand: Command {
    static let name = "settings"
    static let summary = "Shows every setting with its present value; --help explains them all."
    static let table = ArgumentTable(options: [
        .init(name: "--json", value: nil, help: "One JSON object."),
        .init(name: "--markdown", value: nil, help: "The reference, as in docs/settings.md."),
    ])
    static var details: String { "Environment variables:\n\n" + SettingsReference.text() }

    private let arguments: ParsedArguments

    init(_ arguments: ParsedArguments) throws {
        if arguments.has("--json") && arguments.has("--markdown") { throw UsageError("--json or --markdown, not both") }
        self.arguments = arguments
    }

    func run(_ context: Context) async throws {
        if arguments.has("--markdown") {
            Output.print(SettingsReference.markdown())
        } else if arguments.has("--json") {
            var json = JSONWriter()
            json.beginObject()
            for row in context.settings.report {
                json.key(dynamic: row.setting.name)
                json.string(row.value)
            }
            json.endObject()
            Output.write(json.bytes + [0x0A])
        } else {
            for row in context.settings.report {
                Output.line("\(row.setting.name)=\(row.value)\(row.isGiven ? "" : "  (default)")")
            }
        }
    }
}
