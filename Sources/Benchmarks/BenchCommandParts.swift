import Console

/// What options say of the parts of benchmarks.
extension BenchCommand {
    /// - Parameter listed: parts by commas; nil for all.
    static func replay(_ arguments: ParsedArguments, parts listed: String?) throws -> ReplayBench.Options {
        var options = ReplayBench.Options()
        options.parts = try parts(listed)
        options.events = try arguments.integer("--events", in: 1_000...100_000_000) ?? options.events
        options.partitions = try arguments.integer("--partitions", in: 1...64) ?? options.partitions
        options.documents = try arguments.integer("--documents", in: 100...10_000_000) ?? options.documents
        options.changed = try arguments.integer("--changed", in: 100...10_000_000) ?? options.changed
        options.passages = try arguments.integer("--passages", in: 1_000...10_000_000) ?? options.passages
        options.seconds = try arguments.integer("--seconds", in: 1...86_400) ?? options.seconds
        return options
    }

    /// - Parameter listed: parts by commas; nil for all.
    static func sources(_ arguments: ParsedArguments, parts listed: String?) throws -> SourcesBench.Options {
        var options = SourcesBench.Options()
        options.parts = try parts(listed)
        options.rows = try arguments.integer("--rows", in: 1_000...100_000_000) ?? options.rows
        options.seconds = try arguments.integer("--seconds", in: 1...86_400) ?? options.seconds
        return options
    }

    /// The names of a benchmark's parts, by commas.
    static func names<Part: CaseIterable & RawRepresentable<String>>(_ part: Part.Type) -> String {
        part.allCases.map(\.rawValue).joined(separator: ", ")
    }

    /// - Throws: `UsageError` where a word names no part.
    static func parts<Part: CaseIterable & RawRepresentable<String>>(_ listed: String?) throws -> [Part] {
        guard let listed else { return Array(Part.allCases) }
        let words = listed.split(separator: ",").map(String.init)
        let parts = Part.allCases.filter { words.contains($0.rawValue) }
        guard !words.isEmpty, parts.count == Set(words).count else {
            throw UsageError("--parts are of \(names(Part.self))")
        }
        return parts
    }
}
