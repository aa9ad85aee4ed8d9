import Retrieval

/// Reads the query string of a GET, as strictly as ``BodyDecoder`` reads bodies.
struct QueryParameters {
    private let values: [(name: String, value: String)]
    private(set) var faults: [FieldFault] = []

    init(_ values: [(name: String, value: String)], known: Set<String>) {
        self.values = values
        for (name, value) in values.prefix(64) where !known.contains(name) {
            faults.append(
                FieldFault(
                    type: "extra_forbidden", location: ["query", .name(Snippet.head(of: name, charactersMax: 60))],
                    message: "is not known; known are \(known.sorted().joined(separator: ", "))",
                    inputJSON: RequestRules.echo(value)))
        }
    }

    /// All values of `name`: given several times, or one time with commas.
    mutating func list(_ name: String) -> [String] {
        var result: [String] = []
        for value in values where value.name == name {
            result += value.value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        faults += RequestRules.faults(values: result, at: ["query", .name(name)])
        return result
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let text = single(name) else { return nil }
        guard let number = Int64(text) else {
            add("int_parsing", name, "must be a whole number", text)
            return nil
        }
        let found = RequestRules.faults(number, in: range, at: ["query", .name(name)])
        faults += found
        return found.isEmpty ? Int(number) : nil
    }

    mutating func bool(_ name: String) -> Bool? {
        guard let text = single(name) else { return nil }
        switch text {
        case "true", "1": return true
        case "false", "0": return false
        default:
            add("bool_parsing", name, "must be true or false", text)
            return nil
        }
    }

    private mutating func single(_ name: String) -> String? {
        let found = values.filter { $0.name == name }
        if found.count > 1 { add("duplicate", name, "is given \(found.count) times", found[1].value) }
        return found.first?.value
    }

    private mutating func add(_ type: String, _ name: String, _ message: String, _ input: String) {
        faults.append(
            FieldFault(
                type: type, location: ["query", .name(name)], message: message, inputJSON: RequestRules.echo(input)))
    }

    /// Throws all faults, if there are any.
    func check() throws(APIError) {
        guard faults.isEmpty else { throw .invalid(faults) }
    }
}
