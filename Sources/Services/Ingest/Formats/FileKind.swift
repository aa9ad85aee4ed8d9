package import Sources

/// How a file's bytes are packed.
package enum FilePacking: CaseIterable, Sendable {
    case none, gzip, zstd

    fileprivate var suffix: String {
        switch self {
        case .none: ""
        case .gzip: ".gz"
        case .zstd: ".zst"
        }
    }
}

/// What a file holds, and how that is packed.
package struct FileKind: Hashable, Sendable {
    package var format: FileFormat
    package var packing: FilePacking

    package init(format: FileFormat, packing: FilePacking) {
        self.format = format
        self.packing = packing
    }

    /// By the file's name; nil for a file that is none of ours.
    ///
    /// - Parameter format: what it holds whatever its name says; the name still says how it is packed.
    package init?(path: String, format: FileFormat? = nil) {
        let name = path.split(separator: "/").last ?? ""
        // Names with a dot at their beginning are what editors and copying tools write before a file is whole.
        guard !name.isEmpty, !name.hasPrefix(".") else { return nil }
        let packing = FilePacking.allCases.last { !$0.suffix.isEmpty && name.hasSuffix($0.suffix) } ?? .none
        guard let format = format ?? FileFormat(name: name.dropLast(packing.suffix.count)) else { return nil }
        self.init(format: format, packing: packing)
    }

    /// How its pieces are told apart.
    var cut: LineReader.Cut {
        switch format {
        case .jsonLines: .lines
        case .csv: .rows
        case .markdown, .html, .text: .whole
        }
    }

    /// A file's name without folders and without what tells its kind.
    static func plainName(of path: String) -> String {
        var name = Substring(path.split(separator: "/").last ?? "")
        for packing in FilePacking.allCases where !packing.suffix.isEmpty && name.hasSuffix(packing.suffix) {
            name = name.dropLast(packing.suffix.count)
            break
        }
        let suffixes = FileFormat.allCases.flatMap(\.suffixes)
        let lowered = name.lowercased()
        if let suffix = suffixes.first(where: { lowered.hasSuffix($0) }), name.count > suffix.count {
            name = name.dropLast(suffix.count)
        }
        return String(name)
    }
}
