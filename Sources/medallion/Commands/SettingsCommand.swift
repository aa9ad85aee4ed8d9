import Bytes
import Console
import Settings

/// `medallion settings`: what the environment means.
struct SettingsCommand: Command {
    static let name = "settings"
    static let summary = "Shows every setting with its present value; --help explains them all."
    static let table = ArgumentTable(options: [
        .init(name: "--json", value: nil, help: "One JSON object."),
        .init(name: "--markdown", value: nil, help: "The reference, as in docs/settings.md."),
        .init(name: "--env", value: nil, help: "A file of variables to fill in, as infra/.env.example."),
    ])
    static var details: String { "Environment variables:\n\n" + SettingsReference.text() }

    private let arguments: ParsedArguments

    init(_ arguments: ParsedArguments) throws {
        guard arguments.flags.count <= 1 else { throw UsageError("one of --json, --markdown and --env, not several") }
        self.arguments = arguments
    }

    func run(_ context: Context) async throws {
        if arguments.has("--markdown") {
            Output.print(SettingsReference.markdown())
        } else if arguments.has("--env") {
            Output.print(SettingsEnvironment.text)
        } else if arguments.has("--json") {
            printJSON(context.settings)
        } else {
            for (setting, value, variable) in context.settings.report {
                let origin = variable.map { $0 == setting.name ? "" : "  (from \($0))" } ?? "  (default)"
                Output.line("\(setting.name)=\(value)\(origin)")
            }
        }
    }

    /// Settings by name. Where another name gave a value, the member `_from` says which.
    private func printJSON(_ settings: Settings) {
        var json = JSONWriter()
        json.beginObject()
        for (setting, value, _) in settings.report {
            json.key(dynamic: setting.name)
            json.string(value)
        }
        if !settings.givenByAlias.isEmpty {
            json.key("_from")
            json.beginObject()
            for (name, variable) in settings.givenByAlias.sorted(by: { $0.key < $1.key }) {
                json.key(dynamic: name)
                json.string(variable)
            }
            json.endObject()
        }
        json.endObject()
        Output.write(json.bytes + [0x0A])
    }
}
