package import Files
package import Lake
import Records

/// What one lake holds that another one should hold, too.
package enum LakeComparison {
    /// Every file, byte for byte, of two lakes that are sealed. Commit logs and generations are about how, not what.
    ///
    /// - Parameter generation: the one whose derived files count; nil for those of all.
    /// - Returns: a line for each difference, and how many files are as expected.
    package static func differences(
        found: String, expected: String, generation: Int64? = nil
    ) throws(FileError) -> (lines: [String], equalFiles: Int) {
        let wanted = try dataFiles(expected, generation: generation)
        let there = try dataFiles(found, generation: generation)
        var lines = Set(wanted).subtracting(there).sorted().map { "\($0) is missing" }
        lines += Set(there).subtracting(wanted).sorted().map { "\($0) is one too many" }
        var equalFiles = 0
        let both = Set(there)
        for path in wanted where both.contains(path) {
            let (left, right) = (
                try File.contents(of: found + "/" + path), try File.contents(of: expected + "/" + path)
            )
            if left == right {
                equalFiles += 1
            } else {
                lines.append("\(path) differs: \(left.count) bytes, expected \(right.count)")
            }
        }
        return (lines, equalFiles)
    }

    /// Whether a generation holds the lines of another one that was made by the same logic, wherever its files begin.
    ///
    /// - Returns: a line for each topic partition and layer that differs.
    package static func differences(
        _ reader: LakeReader, generation: Int64, from other: Int64
    ) throws(LakeError) -> [String] {
        var lines: [String] = []
        for source in try reader.sources() {
            guard let range = try reader.committedRange(source) else { continue }
            for layer in [Layer.silver, .gold, .quarantine] {
                let found = try Summary(reader, layer, generation, source, range)
                let expected = try Summary(reader, layer, other, source, range)
                if found != expected {
                    lines.append(
                        "generation \(generation), \(layer.rawValue) of \(source): \(found), generation \(other) has "
                            + "\(expected)")
                }
            }
        }
        return lines
    }

    /// All lines of a layer in short: their number, where the last one lies, and a checksum over them in order.
    private struct Summary: Equatable, CustomStringConvertible {
        var lines = 0
        var lastOffset: Int64 = -1
        var checksum: UInt64 = 0xCBF2_9CE4_8422_2325

        init(
            _ reader: LakeReader, _ layer: Layer, _ generation: Int64, _ source: TopicPartition, _ range: OffsetRange
        ) throws(LakeError) {
            var summary = (lines: 0, lastOffset: Int64(-1), checksum: checksum)
            try reader.forEachLine(layer, generation: generation, source: source, range: range) {
                offset, line throws(LakeError) in
                summary.lines += 1
                summary.lastOffset = offset
                // FNV-1a.
                for byte in line { summary.checksum = (summary.checksum ^ UInt64(byte)) &* 0x100_0000_01B3 }
                return true
            }
            (lines, lastOffset, checksum) = summary
        }

        var description: String { "\(lines) lines up to offset \(lastOffset) (\(String(checksum, radix: 16)))" }
    }

    /// Every data file by its path from the root, sorted.
    private static func dataFiles(_ root: String, generation: Int64?) throws(FileError) -> [String] {
        var files: [String] = []
        var folders = [""]
        while let folder = folders.popLast() {
            for name in try Folder.list(root + "/" + folder) {
                let path = folder.isEmpty ? name : folder + "/" + name
                if path.hasPrefix("_") { continue }
                if Folder.isFolder(root + "/" + path) { folders.append(path) } else { files.append(path) }
            }
        }
        guard let generation else { return files.sorted() }
        return files.filter { $0.hasPrefix("bronze/") || $0.contains("/generation=\(generation)/") }.sorted()
    }
}
