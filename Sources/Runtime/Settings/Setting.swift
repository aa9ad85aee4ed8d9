import Bytes

/// One row of the table: an environment variable, how its text is read, and what the reference says about it.
package struct Setting: Sendable {
    /// The environment variable.
    package let name: String
    /// Names from similar systems that mean the same and are accepted, too.
    package let aliases: [String]
    /// Why a deployment of several machines sets it; empty where the default may do.
    package let production: String
    /// The heading under which the reference lists it.
    package let section: Section
    /// What an unset or empty variable means, in the variable's own grammar; empty where the field's help says what
    /// an empty value means.
    package let defaultText: String
    /// What may be written, such as `1…1024` or `host:port`.
    package let grammar: String
    /// One or two sentences for an operator.
    package let help: String
    /// How the value is shown; never the raw text for secrets.
    package let shown: @Sendable (String) -> String
    /// Reads the text into the field.
    let apply: @Sendable (String, inout Settings) -> SettingFault.Reason?

    /// Headings of the reference, in its order.
    package enum Section: String, Sendable, CaseIterable {
        case source = "Source"
        case logic = "Logic"
        case broker = "Broker"
        case storage = "Storage"
        case database = "Database"
        case models = "Models"
        case api = "API"
        case logging = "Logging"
        case demo = "Demo"
    }

    /// - Parameters:
    ///   - field: where the value goes.
    ///   - shown: how the value is printed; as it is unless given, but for secrets of URLs in it.
    ///   - aliases: only names that mean exactly this, with the same grammar.
    init<Value>(
        _ name: String, _ section: Section, default defaultText: String, _ parser: SettingParser<Value>,
        _ field: any WritableKeyPath<Settings, Value> & Sendable, _ help: String,
        shown: @escaping @Sendable (String) -> String = Redaction.urls(in:), aliases: [String] = [],
        production: String = ""
    ) {
        self.name = name
        self.aliases = aliases
        self.production = production
        self.section = section
        self.defaultText = defaultText
        self.grammar = parser.grammar
        self.help = help
        self.shown = shown
        apply = { text, settings in
            switch parser.parse(text) {
            case .success(let value):
                settings[keyPath: field] = value
                return nil
            case .failure(let reason): return reason
            }
        }
    }
}

/// One wrong variable.
package struct SettingFault: Sendable, Equatable, CustomStringConvertible {
    /// The variable.
    package let name: String
    /// What was found there, redacted and cut; nil where it does not belong into a message.
    package let found: String?
    /// What is wrong with it.
    package let reason: String

    /// What a parser has against a text, such as `is not a whole number`.
    package struct Reason: Error, Equatable, ExpressibleByStringInterpolation {
        let text: String
        package init(stringLiteral text: String) { self.text = text }
    }

    package var description: String { name + (found.map { "=\($0) " } ?? " ") + reason }
}

/// All that is wrong with the environment; ends the start with exit code 64.
package struct SettingsError: Error, CustomStringConvertible {
    /// In the table's order; never empty.
    package let faults: [SettingFault]

    package var description: String {
        (["wrong settings:"] + faults.map { "  \($0)" } + ["see medallion settings --help or docs/settings.md"])
            .joined(separator: "\n")
    }
}
