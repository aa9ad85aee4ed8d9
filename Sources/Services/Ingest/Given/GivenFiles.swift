/// A file that was named, to be read once.
package struct GivenFile: Sendable, Equatable {
    /// From the root on, without links and without the slash at its beginning; `-` is standard input.
    package var path: String
    package var kind: FileKind
    /// Of the document, where the file is one: its path in the folder that was named, or its own name.
    package var id: String
    /// As it was named, for people.
    package var name: String
    /// Bytes, as it was when it was named; 0 where that is not known.
    package var bytes: Int

    /// The path of standard input.
    package static let standardInput = "-"

    package init(path: String, kind: FileKind, id: String, name: String, bytes: Int) {
        self.path = path
        self.kind = kind
        self.id = id
        self.name = name
        self.bytes = bytes
    }
}

/// Files that are read once, each to its present end.
package struct GivenFiles: Sendable {
    /// In the order in which they are read.
    package var files: [GivenFile]
    /// Whether what was read of them before is read again, as something new.
    package var startsOver: Bool
    /// Told how far it is; for a progress bar and a summary.
    package var tally: FileTally

    package init(_ files: [GivenFile], startsOver: Bool = false, tally: FileTally = FileTally()) {
        self.files = files
        self.startsOver = startsOver
        self.tally = tally
    }
}
