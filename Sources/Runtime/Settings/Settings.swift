/// The deployment's configuration, read once from the environment through ``table``.
///
/// The same table gives `--help`, docs/settings.md and the test that they agree. An empty variable counts as unset. Values and
/// their rows of the table stand in sections, a file each.
package struct Settings: Sendable {
    /// The sections, in the table's order.
    package internal(set) var source = Source()
    package internal(set) var logic = Logic()
    package internal(set) var broker = Broker()
    package internal(set) var topics = Topics()
    package internal(set) var reading = Reading()
    package internal(set) var kafka = Kafka()
    package internal(set) var folders = Folders()
    package internal(set) var lake = Lake()
    package internal(set) var database = Database()
    package internal(set) var index = Index()
    package internal(set) var fusion = Fusion()
    package internal(set) var embedding = Embedding()
    package internal(set) var rerank = Rerank()
    package internal(set) var languageModel = LanguageModel()
    package internal(set) var answers = Answers()
    package internal(set) var api = API()
    package internal(set) var caches = Caches()
    package internal(set) var lanes = Lanes()
    package internal(set) var freshness = Freshness()
    package internal(set) var access = Access()
    package internal(set) var telemetry = Telemetry()
    package internal(set) var demo = Demo()

    /// Values of settings that were set, by the setting's name, redacted; the others have their defaults.
    package private(set) var given: [String: String] = [:]
    /// The variables that gave them, where those have other names: aliases by the setting's name.
    package private(set) var givenByAlias: [String: String] = [:]
    /// Variables that are no settings and look as if they were meant to be.
    package private(set) var suspects: [SuspectVariable] = []

    /// Reads `environment`; variables that are neither in the table nor aliases are left alone.
    ///
    /// - Throws: all faults at once, each naming its variable.
    package init(environment: [String: String]) throws(SettingsError) {
        var faults: [SettingFault] = []
        for setting in Self.table {
            let (variable, text, contradiction) = setting.find(in: environment)
            if let contradiction {
                faults.append(contradiction)
                continue
            }
            if let text { given[setting.name] = setting.shown(text) }
            if let variable, variable != setting.name { givenByAlias[setting.name] = variable }
            if let reason = setting.apply(text ?? setting.defaultText, &self) {
                let found = String(setting.shown(text ?? setting.defaultText).prefix(200))
                let isAlias = variable != nil && variable != setting.name
                faults.append(
                    SettingFault(
                        name: variable ?? setting.name, found: found,
                        reason: reason.text + (isAlias ? " (it is read as \(setting.name))" : "")))
            }
        }
        if !faults.isEmpty { throw SettingsError(faults: faults) }
        languageModel.withholdForeignKey(givenByAlias: givenByAlias)
        suspects = SuspectVariable.all(in: environment, table: Self.table)
    }

    /// Every setting with its present value (redacted) and the variable that gave it; nil where that is the default.
    package var report: [(setting: Setting, value: String, variable: String?)] {
        Self.table.map { setting in
            let value = given[setting.name]
            let variable = value == nil ? nil : givenByAlias[setting.name] ?? setting.name
            return (setting, value ?? setting.shown(setting.defaultText), variable)
        }
    }
}

extension Settings: CustomStringConvertible {
    /// What was given, redacted: passwords are among the fields.
    package var description: String {
        given.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    }
}
