package import Events
import Files

/// One sealed file as the commit logs name it.
package struct ListedFile: Sendable {
    package let name: DataFileName
    package let file: SealedFile
    /// The offsets of the hour that it was made of.
    package let range: OffsetRange
    /// The path of the commit log that names it.
    package let log: String

    /// Later than every record in it, in milliseconds of broker time.
    package var endMilliseconds: Int64 { (name.hour.number + 1) * 3_600_000 }
}

extension LakeReader {
    /// Calls `body` with each sealed file of a topic partition: those of its commit log in the order of offsets, then
    /// those of every replay. Ends when `body` returns false.
    package func forEachSealedFile(
        _ source: TopicPartition, _ body: (ListedFile) throws(LakeError) -> Bool
    ) throws(LakeError) {
        for path in try commitLogs(source) {
            let log = try CommitLog(reading: path)
            var next: Int64 = 0
            // From hour to hour by bisection: an hour may have many thousand commits.
            while let entry = try log.firstEntry(ofFilesFrom: next) {
                let first = entry.record.firstOffset
                next = first + 1
                guard let seal = try log.seal(ofFiles: first) else { continue }
                for file in seal.sealed {
                    let name = DataFileName(
                        layer: file.layer, generation: file.generation, source: source, hour: seal.hour,
                        firstOffset: file.firstOffset)
                    guard try body(ListedFile(name: name, file: file, range: seal.range, log: path)) else { return }
                }
            }
        }
    }

    /// The commit log of a topic partition, then those of its replays by generation.
    package func commitLogs(_ source: TopicPartition) throws(LakeError) -> [String] {
        let commits = layout.root + "/_commits"
        guard Folder.exists(commits) else { return [] }
        let names = try LakeError.placed(commits) { try Folder.list(commits) }
        let replays = names.compactMap { name in
            name.hasPrefix("generation=") ? Int64(name.dropFirst("generation=".count)) : nil
        }.sorted()
        return ([layout.commitLog(source)] + replays.map { layout.commitLog(source, replay: $0) })
            .filter { Folder.exists($0) }
    }
}
