/// The reference of all settings, from the table.
package enum SettingsReference {
    /// docs/settings.md. A test compares the file with it.
    package static func markdown() -> String {
        var lines = [
            "# Settings", "",
            "Read once from the environment at the start. An empty variable counts as unset. Wrong values stop the",
            "start with exit code 64 and name every wrong variable. Written from the table in",
            "`Sources/Runtime/Settings/SettingsTable.swift`; rewrite it with `medallion settings --markdown`.",
            "`medallion settings --env` writes the same as a file of variables (`infra/.env.example`).",
        ]
        for section in Setting.Section.allCases {
            lines += [
                "", "## \(section.rawValue)", "", "| variable | default | accepts | meaning |",
                "| --- | --- | --- | --- |",
            ]
            for setting in Settings.table where setting.section == section {
                let defaultText = setting.defaultText.isEmpty ? "(empty)" : "`\(setting.defaultText)`"
                let names = ([setting.name] + setting.aliases).map { "`\($0)`" }.joined(separator: ", also ")
                lines.append(
                    "| \(names) | \(escaped(defaultText)) | \(escaped(setting.grammar)) | \(escaped(setting.help)) |")
            }
        }
        return (lines + namesFromElsewhere).joined(separator: "\n") + "\n"
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
                if !setting.aliases.isEmpty {
                    lines.append("      also read from: \(setting.aliases.joined(separator: ", "))")
                }
            }
        }
        return lines.dropFirst().joined(separator: "\n") + "\n"
    }

    /// What the page says of variables that are not in the tables.
    private static var namesFromElsewhere: [String] {
        [
            "", "## Names from elsewhere", "",
            "A name that stands behind “also” means the same as the one before it. Where several of them are set and differ, the",
            "start ends with exit code 64 and names both, without their values. `medallion settings` shows which one a value came",
            "from.", "",
            "Other variables are left alone. One that looks as if it were meant for Medallion is named once in a warning with the",
            "setting that is meant, and never with its value: a name that is a slip or two away from ours (`POSTGRES_DNS`), or has",
            "something put before or behind it (`MEDALLION_KAFKA_BROKERS`, `API_LISTEN_ADDR`), and these:", "",
        ] + foreignNames + [
            "",
            "Names that belong to other programs as well are neither taken nor warned of: `PORT`, `HOST`, `AWS_…` (requests to the",
            "lake's object storage are signed with `LAKE_S3_…`). libpq reads its own `PG…` variables for what `POSTGRES_DSN` leaves",
            "open.",
        ]
    }

    /// One line per setting that is meant.
    private static var foreignNames: [String] {
        let groups = Dictionary(grouping: ForeignName.table) { $0.value.meant }
        return groups.sorted { $0.key < $1.key }.map { meant, names in
            let list = names.map { "`\($0.key)`" }.sorted().joined(separator: ", ")
            return "- \(meant.isEmpty ? "no setting has their meaning" : "`\(meant)`"): \(list)"
        }
    }

    private static func escaped(_ text: String) -> String { text.replacing("|", with: "\\|") }
}
