/// All settings as a file of variables, for shells, systemd and Compose: `medallion settings --env`, infra/.env.example.
package enum SettingsEnvironment {
    /// Variables that infra/docker-compose.yml takes from the file beside the settings, with what each is. A test holds them
    /// against it.
    package static let compose: [(name: String, value: String, help: String)] = [
        (
            "POSTGRES_PASSWORD", "",
            "The password of the database that Compose starts: any characters, in single quotes where it has others than "
                + "letters and digits. There is no default: set it."
        ),
        ("API_PORT", "8080", "The port of this machine, on 127.0.0.1, at which Compose shows the API and the page."),
        ("REDPANDA_PORT", "19092", "The same for the brokers."), ("MEDALLION_TAG", "latest", "The tag of our image."),
        ("SIMULATED_RATE", "50", "Invented events a second, with --profile simulated."),
    ]

    /// The file. Defaults are commented out, so that a copy changes nothing until a line is taken in; later releases may
    /// have other defaults.
    package static var text: String {
        var lines = [
            "# Settings of Medallion, as `medallion settings --env` writes them; docs/settings.md has the same as a page.",
            "#",
            "#   cp infra/.env.example infra/.env                   # read by infra/docker-compose.yml",
            "#   set -a; . infra/.env; set +a; medallion up         # read by a shell",
            "#",
            "# A line that begins with # changes nothing and shows the default. Take the # away to set a value. What a deployment",
            "# on several machines sets is marked PRODUCTION.",
        ]
        lines += ["", "# ---- Compose: only for infra/docker-compose.yml ----"]
        for variable in compose {
            lines += [""] + wrapped(variable.help)
            lines.append("#\(variable.name)=\(quoted(variable.value))")
        }
        for section in Setting.Section.allCases {
            lines += ["", "# ---- \(section.rawValue) ----"]
            for setting in Settings.table where setting.section == section {
                lines.append("")
                if !setting.production.isEmpty { lines += wrapped("PRODUCTION: \(setting.production)") }
                lines += wrapped(setting.help)
                lines += wrapped("Accepts: \(setting.grammar)")
                if !setting.aliases.isEmpty {
                    lines += wrapped("Also read from: \(setting.aliases.joined(separator: ", "))")
                }
                lines.append("#\(setting.name)=\(quoted(setting.defaultText))")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A value as a POSIX shell and Compose read it alike: in single quotes unless it is plain.
    static func quoted(_ value: String) -> String {
        let isPlain = value.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "_./:,@%+-".utf8.contains(byte)
            }
        }
        if isPlain { return value }
        if !value.contains("'") { return "'\(value)'" }
        var escaped = ""
        for character in value {
            if "\"\\$`".contains(character) { escaped.append("\\") }
            escaped.append(character)
        }
        return "\"\(escaped)\""
    }

    /// Comment lines of at most 120 characters.
    private static func wrapped(_ text: String) -> [String] {
        var lines: [String] = []
        var line = "#"
        for word in text.replacing("`", with: "").split(separator: " ") {
            if line.count + 1 + word.count > 120, line != "#" {
                lines.append(line)
                line = "#"
            }
            line += " \(word)"
        }
        return lines + [line]
    }
}
