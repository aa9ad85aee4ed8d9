extension Setting {
    /// The variable that gives the value, with its text; neither where none of the names is set. An empty variable counts as
    /// unset.
    ///
    /// - Returns: also a fault, where two of the names are set and differ: which one was meant nobody can know. It never
    ///   shows a value, since any of them may hold a secret.
    func find(in environment: [String: String]) -> (variable: String?, text: String?, contradiction: SettingFault?) {
        let set = ([name] + aliases).compactMap { variable in
            environment[variable].flatMap { $0.isEmpty ? nil : (variable: variable, text: $0) }
        }
        guard let first = set.first else { return (nil, nil, nil) }
        guard let other = set.first(where: { $0.text != first.text }) else { return (first.variable, first.text, nil) }
        let names = "\(first.variable) and \(other.variable)"
        let reason = "mean the same setting and have different values: unset one of them (docs/troubleshooting.md)"
        return (nil, nil, SettingFault(name: names, found: nil, reason: reason))
    }
}
