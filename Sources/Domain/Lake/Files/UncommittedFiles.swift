import Files
import Records

/// Files of an hour whose first commit never came to be: a crash left them, and readers by pattern find them.
struct UncommittedFiles {
    private let layout: LakeLayout
    private let source: TopicPartition
    /// Where the log ends: files named by this offset or a later one hold nothing that was committed.
    private let nextOffset: Int64

    init(layout: LakeLayout, source: TopicPartition, nextOffset: Int64) {
        self.layout = layout
        self.source = source
        self.nextOffset = nextOffset
    }

    /// Removes them. Begins at the date of `hour`: the hour that was being begun must be no earlier one.
    ///
    /// A crash leaves files of one hour. Where there are more, the log is older than the files (somebody put an old copy
    /// there), and they are left for somebody to look at.
    func remove(from hour: LakeHour) throws(FileError) {
        let found = try find(from: hour)
        guard Self.areLeftOver(found) else { return }
        for file in found { try Folder.removeIfPresent(file.path) }
        try HourFiles.sync(Set(found.map { Folder.parent(of: $0.path) }))
    }

    /// Whether one crash can have left them.
    static func areLeftOver(_ files: [Found]) -> Bool {
        Set(files.map { Folder.parent(of: $0.path).suffix(hourLength) }).count <= 1
            && Set(files.filter { $0.layer == .bronze }.map(\.offset)).count <= 1
    }

    /// One such file.
    struct Found {
        let path: String
        let layer: Layer
        let offset: Int64
    }

    private static let hourLength = "date=2026-11-21/hour=06".count

    func find(from hour: LakeHour) throws(FileError) -> [Found] {
        let date = String(hour.path.prefix { $0 != "/" })
        var found: [Found] = []
        for layer in Layer.allCases {
            let folder = layout.root + "/" + layer.rawValue
            var parts = [""]
            if layer != .bronze {
                parts = try Self.list(folder).filter { $0.hasPrefix("generation=") }.map { "/" + $0 }
            }
            for part in parts {
                let own = folder + part + "/topic=\(source.topic)/partition=\(source.partition)"
                for day in try Self.list(own) where day.hasPrefix("date=") && day >= date {
                    for hour in try Self.list(own + "/" + day) {
                        let path = "\(own)/\(day)/\(hour)"
                        for name in try Self.list(path) {
                            guard let offset = Self.offset(ofFile: name), offset >= nextOffset else { continue }
                            found.append(Found(path: path + "/" + name, layer: layer, offset: offset))
                        }
                    }
                }
            }
        }
        return found
    }

    /// The offset that a data file's name begins with, in 20 digits; nil for another name.
    static func offset(ofFile name: String) -> Int64? {
        let digits = name.utf8.prefix { $0 >= 0x30 && $0 <= 0x39 }
        guard digits.count == 20, name.utf8.dropFirst(20).first == UInt8(ascii: ".") else { return nil }
        return Int64(String(decoding: digits, as: UTF8.self))
    }

    private static func list(_ folder: String) throws(FileError) -> [String] {
        Folder.isFolder(folder) ? try Folder.list(folder) : []
    }
}
