/// What a file of documents holds, by its name's end or as it is declared.
package enum FileFormat: String, CaseIterable, Sendable {
    /// One JSON object a line.
    case jsonLines = "jsonl"
    /// RFC 4180 with a row of names; each further row is a document.
    case csv
    case markdown
    case html
    case text

    /// How names of such files end, in lower case.
    package var suffixes: [String] {
        switch self {
        case .jsonLines: [".jsonl", ".ndjson"]
        case .csv: [".csv"]
        case .markdown: [".md", ".markdown"]
        case .html: [".html", ".htm"]
        case .text: [".txt"]
        }
    }

    /// Whether a file is one document.
    package var isWhole: Bool {
        switch self {
        case .jsonLines, .csv: false
        case .markdown, .html, .text: true
        }
    }

    /// What the end of an unpacked file's name says.
    package init?(name: some StringProtocol) {
        let name = name.lowercased()
        guard let format = Self.allCases.first(where: { $0.suffixes.contains { name.hasSuffix($0) } }) else {
            return nil
        }
        self = format
    }
}
