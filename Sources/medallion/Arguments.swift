/// What a subcommand takes: the table that parsing and `--help` share.
struct ArgumentTable: Sendable {
    /// An option `--name VALUE` or a flag `--name`.
    struct Option: Sendable {
        let name: String
        /// What stands for the value in help; nil for a flag.
        let value: String?
        let help: String
    }

    /// A word without dashes, by position.
    struct Positional: Sendable {
        let name: String
        let isRequired: Bool
        let help: String
        /// Whether all further words belong to it, too.
        var takesRest = false
    }

    var options: [Option] = []
    var positionals: [Positional] = []
}

/// Arguments that fit an ``ArgumentTable``; nothing here is unknown or doubled any more.
struct ParsedArguments: Sendable {
    private(set) var values: [String: String] = [:]
    private(set) var flags: Set<String> = []
    private(set) var words: [String] = []

    /// Reads `--name VALUE`, `--name=VALUE`, flags, words and `--`, after which everything is a word.
    init(_ arguments: [String], _ table: ArgumentTable) throws(UsageError) {
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

    func has(_ flag: String) -> Bool { flags.contains(flag) }
    func value(_ name: String) -> String? { values[name] }
    func word(_ index: Int) -> String? { index < words.count ? words[index] : nil }

    /// A whole number in a range.
    func integer(_ name: String, in range: ClosedRange<Int>) throws(UsageError) -> Int? {
        guard let text = values[name] else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw UsageError("\(name) \(text): not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// A number in a range.
    func number(_ name: String, in range: ClosedRange<Double>) throws(UsageError) -> Double? {
        guard let text = values[name] else { return nil }
        guard let value = Double(text), range.contains(value) else {
            throw UsageError("\(name) \(text): not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }
}

/// Arguments that make no sense; exit code 64.
struct UsageError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
