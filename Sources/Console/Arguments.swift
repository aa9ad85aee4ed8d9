import Bytes

/// What a subcommand takes: the table that parsing and `--help` share.
package struct ArgumentTable: Sendable {
    /// An option `--name VALUE` or a flag `--name`.
    package struct Option: Sendable {
        package let name: String
        /// What stands for the value in help; nil for a flag.
        package let value: String?
        package let help: String

        package init(name: String, value: String?, help: String) {
            self.name = name
            self.value = value
            self.help = help
        }
    }

    /// A word without dashes, by position.
    package struct Positional: Sendable {
        package let name: String
        package let isRequired: Bool
        package let help: String
        /// Whether all further words belong to it, too.
        package var takesRest: Bool

        package init(name: String, isRequired: Bool, help: String, takesRest: Bool = false) {
            self.name = name
            self.isRequired = isRequired
            self.help = help
            self.takesRest = takesRest
        }
    }

    /// What may stand anywhere in the line.
    package var options: [Option]
    package var positionals: [Positional]

    package init(options: [Option] = [], positionals: [Positional] = []) {
        self.options = options
        self.positionals = positionals
    }
}

/// Arguments that fit an ``ArgumentTable``; nothing here is unknown or doubled any more.
package struct ParsedArguments: Sendable {
    package private(set) var values: [String: String] = [:]
    package private(set) var flags: Set<String> = []
    package private(set) var words: [String] = []

    /// Reads `--name VALUE`, `--name=VALUE`, flags, words and `--`, after which everything is a word.
    package init(_ arguments: [String], _ table: ArgumentTable) throws(UsageError) {
        var rest = arguments[...]
        var onlyWords = false
        while let argument = rest.popFirst() {
            if onlyWords || !argument.hasPrefix("-") || argument == "-" {
                words.append(argument)
            } else if argument == "--" {
                onlyWords = true
            } else {
                let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let name = String(parts[0])
                guard let option = table.options.first(where: { $0.name == name }) else {
                    throw UsageError("unknown option \(name)")
                }
                guard values[name] == nil, !flags.contains(name) else { throw UsageError("\(name) is given twice") }
                if option.value == nil {
                    guard parts.count == 1 else { throw UsageError("\(name) takes no value") }
                    flags.insert(name)
                } else if parts.count == 2 {
                    values[name] = String(parts[1])
                } else if let value = rest.popFirst() {
                    values[name] = value
                } else {
                    throw UsageError("\(name) needs a value")
                }
            }
        }
        let takesRest = table.positionals.last?.takesRest == true
        if words.count > table.positionals.count && !takesRest {
            throw UsageError("unknown word “\(words[table.positionals.count])”")
        }
        let required = table.positionals.filter(\.isRequired)
        if words.count < required.count { throw UsageError("\(required[words.count].name) is missing") }
    }

    /// Whether a flag is given; an option's value; the word at a position.
    package func has(_ flag: String) -> Bool { flags.contains(flag) }
    package func value(_ name: String) -> String? { values[name] }
    package func word(_ index: Int) -> String? { index < words.count ? words[index] : nil }

    /// A whole number in a range.
    package func integer(_ name: String, in range: ClosedRange<Int>) throws(UsageError) -> Int? {
        guard let text = values[name] else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw UsageError("\(name) \(text): not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// A number in a range.
    package func number(_ name: String, in range: ClosedRange<Double>) throws(UsageError) -> Double? {
        guard let text = values[name] else { return nil }
        guard let value = Double(text), range.contains(value) else {
            throw UsageError("\(name) \(text): not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// A moment in RFC 3339, as milliseconds since 1970.
    package func time(_ name: String) throws(UsageError) -> Int64? {
        guard let text = values[name] else { return nil }
        guard let time = CivilTime.epochMilliseconds(text) else {
            throw UsageError("\(name) \(text): not a time like 2026-11-21T06:30:00Z")
        }
        return time
    }
}

/// Arguments that make no sense; exit code 64.
package struct UsageError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}
