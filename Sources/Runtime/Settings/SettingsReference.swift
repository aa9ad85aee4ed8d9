/// The reference of all settings, from the table.
package enum SettingsReference {
    /// docs/settings.md. A test compares the file with it.
    package static func markdown() -> String {
        var lines = [
            "# Settings", "",
            "Read once from the environment at the start. An empty variable counts as unset. Wrong values stop the",
            "start with exit code 64 and name every wrong variable. Written from the table in",
            "`Sources/Runtime/Settings/SettingsTable.swift`; rewrite it with `medallion settings --markdown`.",
        ]
        for section in Setting.Section.allCases {
            lines += [
                "", "## \(section.rawValue)", "", "| variable | default | accepts | meaning |",
                "| --- | --- | --- | --- |",
            ]
            for setting in Settings.table where setting.section == section {
                let defaultText = setting.defaultText.isEmpty ? "(empty)" : "`\(setting.defaultText)`"
                lines.append(
                    "| `\(setting.name)` | \(escaped(defaultText)) | \(escaped(setting.grammar)) | \(escaped(setting.help)) |"
                )
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The same for a terminal.
    package static func text() -> String {
        var lines: [String] = []
        for section in Setting.Section.allCases {
            lines += ["", section.rawValue]
            for setting in Settings.table where setting.section == section {
                let defaultText = setting.defaultText.isEmpty ? "(empty)" : setting.defaultText
                lines.append("  \(setting.name)  (default: \(defaultText))")
                lines.append("      \(setting.help.replacing("`", with: ""))")
                lines.append("      accepts: \(setting.grammar.replacing("`", with: ""))")
            }
        }
        return lines.dropFirst().joined(separator: "\n") + "\n"
    }

    private static func escaped(_ text: String) -> String { text.replacing("|", with: "\\|") }
}
