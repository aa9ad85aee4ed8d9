package import Bytes
import Files
package import Logic

/// A folder of files that hold documents.
package struct FilesDeclaration: ConnectorMembers {
    /// Absolute.
    package let folder: String
    /// Milliseconds between two looks at the folder.
    package let pollMilliseconds: Int
    /// How long a file must be unchanged before its last line counts without a line feed, in milliseconds.
    package let settleMilliseconds: Int
    /// Longer lines are left out and reported, bytes.
    package let lineBytesMax: Int
    /// Files that are followed at once.
    package let filesMax: Int
    /// Files of other formats are passed by.
    package let formats: [FileFormat]

    /// What may be set.
    package enum Bounds {
        package static let pollMilliseconds: ClosedRange<Int64> = 100...3_600_000
        package static let settleMilliseconds: ClosedRange<Int64> = 100...3_600_000
        // A record of one mebibyte is the largest that logic takes.
        package static let lineBytes: ClosedRange<Int64> = 1_024...1_048_576
        package static let files: ClosedRange<Int64> = 1...200_000
    }

    package init(
        folder: String, pollMilliseconds: Int = 2_000, settleMilliseconds: Int = 5_000,
        lineBytesMax: Int = 1_000_000, filesMax: Int = 100_000, formats: [FileFormat] = FileFormat.allCases
    ) {
        self.folder = folder
        self.pollMilliseconds = pollMilliseconds
        self.settleMilliseconds = settleMilliseconds
        self.lineBytesMax = lineBytesMax
        self.filesMax = filesMax
        self.formats = formats
    }

    /// - Parameter folder: what a relative folder begins at.
    init?(_ reader: DeclarationReader, folder parent: String) {
        guard
            let members = reader.members(
                required: ["type", "folder"],
                optional: ["poll_seconds", "settle_seconds", "line_bytes_max", "files_max", "formats"])
        else { return nil }
        let standard = FilesDeclaration(folder: "")
        let folder = members["folder"]?.folder(below: parent)
        let poll = members["poll_seconds"].given(standard.pollMilliseconds) {
            $0.seconds(milliseconds: Bounds.pollMilliseconds)
        }
        let settle = members["settle_seconds"].given(standard.settleMilliseconds) {
            $0.seconds(milliseconds: Bounds.settleMilliseconds)
        }
        let lineBytes = members["line_bytes_max"].given(standard.lineBytesMax) {
            $0.integer(Bounds.lineBytes).map { Int($0) }
        }
        let files = members["files_max"].given(standard.filesMax) { $0.integer(Bounds.files).map { Int($0) } }
        let formats = members["formats"].given(standard.formats) { Self.formats($0) }
        guard let folder, let poll, let settle, let lineBytes, let files, let formats else { return nil }
        self.init(
            folder: folder, pollMilliseconds: poll, settleMilliseconds: settle, lineBytesMax: lineBytes,
            filesMax: files, formats: formats)
    }

    private static func formats(_ reader: DeclarationReader) -> [FileFormat]? {
        guard let elements = reader.elements(1...FileFormat.allCases.count) else { return nil }
        let chosen = elements.compactMap { $0.choice(FileFormat.self) }
        guard chosen.count == elements.count else { return nil }
        return FileFormat.allCases.filter { chosen.contains($0) }
    }

    package var place: String { folder }

    package func write(to json: inout JSONWriter) { json.string("folder", folder) }

    package func refusal(of logic: LogicSettings) -> String? {
        if case .document(let settings) = logic {
            guard settings.envelope != nil else { return nil }
            return "the connector \"files\" reads documents as they are; \"envelope\" goes with \"postgres\" and "
                + "\"none\""
        }
        return "the connector \"files\" goes with the logic \"document\"; a recording of recent changes is played by "
            + "`medallion simulate`"
    }

    package func look() -> [DeclarationFault] {
        do throws(FileError) {
            // The first step tells whether it can be opened and read.
            var walk = try FolderWalk(folder)
            try walk.step(namesMax: 1) { _ in }
            return []
        } catch {
            return [
                DeclarationFault(
                    place: "folder", reason: "cannot be read: \(error); make the folder, or correct the path")
            ]
        }
    }
}
