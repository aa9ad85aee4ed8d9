import Sources

/// Turns the pieces of one file (lines, rows, or all of it) into documents.
struct FileDocuments {
    private enum State {
        case lines
        case rows(CSVDocuments)
        case whole(WholeDocument)
    }

    private var state: State

    /// - Parameter id: of a file that is one document.
    init(_ kind: FileKind, _ shape: DocumentShape, id: String, modifiedMilliseconds: Int64?) {
        switch kind.format {
        case .jsonLines: state = .lines
        case .csv: state = .rows(CSVDocuments(shape))
        case .markdown, .html, .text:
            state = .whole(
                WholeDocument(shape, id: id, format: kind.format, modifiedMilliseconds: modifiedMilliseconds))
        }
    }

    /// Whether the next piece is a row of names, without which no row behind it can be read.
    var wantsHeader: Bool {
        if case .rows(let rows) = state { return !rows.hasHeader }
        return false
    }

    /// The document of the next piece, which has no line feed and no mark at its beginning any more.
    ///
    /// - Returns: nil for a piece that is no document, such as a row of names.
    mutating func take(_ piece: [UInt8]) throws(FileFault) -> [UInt8]? {
        switch state {
        case .lines: return piece
        case .whole(let whole): return try whole.document(piece)
        case .rows(var rows):
            guard !rows.hasHeader else { return try rows.document(piece) }
            try rows.takeHeader(piece)
            state = .rows(rows)
            return nil
        }
    }

    /// What the first bytes of a file say against it; nil where they look like text.
    static func fault(inHead head: ArraySlice<UInt8>) -> FileFault? {
        if head.starts(with: [0xFF, 0xFE]) || head.starts(with: [0xFE, 0xFF]) {
            return FileFault(.utf16, "is UTF-16; convert it, such as by iconv -f UTF-16 -t UTF-8")
        }
        // RFC 1952 and RFC 8878.
        for (packing, mark) in [("gzip", [0x1F, 0x8B, 0x08]), ("zstd", [0x28, 0xB5, 0x2F, 0xFD] as [UInt8])]
        where head.starts(with: mark) {
            return FileFault(
                .binary,
                "is packed by \(packing), and its name does not say so; name it so, or unpack it on its way to standard input"
            )
        }
        guard head.contains(0) else { return nil }
        // Every other byte of UTF-16 without a mark is 0, where its letters are Latin.
        let zeros = head.reduce(0) { $0 + ($1 == 0 ? 1 : 0) }
        return zeros * 5 > head.count * 2 && zeros * 5 < head.count * 3
            ? FileFault(.utf16, "looks like UTF-16; convert it, such as by iconv -f UTF-16LE -t UTF-8")
            : FileFault(.binary, "has a byte 0, so it is no text")
    }
}
