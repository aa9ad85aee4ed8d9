import Files
package import Records

/// One sealed file as the commit logs name it.
package struct ListedFile: Sendable {
    package let name: DataFileName
    package let file: SealedFile
    /// The offsets of the hour that it was made of.
    package let range: OffsetRange
    /// The path of the commit log that names it.
    package let log: String
    /// The hour by which its age counts: its own, or an earlier one that came after it, where its own lay too far ahead.
    /// So within a log it never falls.
    package let ageHour: LakeHour

    /// Later than every record in it whose time counts, in milliseconds of broker time.
    package var endMilliseconds: Int64 { (ageHour.number + 1) * 3_600_000 }
}

extension LakeReader {
    /// Calls `body` with each sealed file of a topic partition: those of its commit log in the order of offsets, then
    /// those of every replay. Ends when `body` returns false.
    package func forEachSealedFile(
        _ source: TopicPartition, _ body: (ListedFile) throws(LakeError) -> Bool
    ) throws(LakeError) {
        for path in try commitLogs(source) {
            let log = try CommitLog(reading: path)
            let resets = try hourResets(log)
            var next: Int64 = 0
            // From hour to hour by bisection: an hour may have many thousand commits.
            while let entry = try log.firstEntry(ofFilesFrom: next) {
                let first = entry.record.firstOffset
                next = first + 1
                guard let seal = try log.seal(ofFiles: first) else { continue }
                let ageHour = resets.reduce(seal.hour) { $1.offset > first ? min($0, $1.hour) : $0 }
                for file in seal.sealed {
                    let name = DataFileName(
                        layer: file.layer, generation: file.generation, source: source, hour: seal.hour,
                        firstOffset: file.firstOffset)
                    guard try body(ListedFile(name: name, file: file, range: seal.range, log: path, ageHour: ageHour))
                    else { return }
                }
            }
        }
    }

    /// The hours that follow a later one, since that lay too far ahead, with the offset that names their files.
    private func hourResets(_ log: borrowing CommitLog) throws(LakeError) -> [(offset: Int64, hour: LakeHour)] {
        guard try log.last()?.timeReset != nil else { return [] }
        var resets: [(offset: Int64, hour: LakeHour)] = []
        var before = LakeHour(number: 0)
        var next: Int64 = 0
        while let entry = try log.firstEntry(ofFilesFrom: next) {
            let record = entry.record
            if record.hour < before { resets.append((record.firstOffset, record.hour)) }
            before = record.hour
            next = record.firstOffset + 1
        }
        return resets
    }

    /// The commit log of a topic partition, then those of its replays by generation.
    package func commitLogs(_ source: TopicPartition) throws(LakeError) -> [String] {
        ([layout.commitLog(source)] + (try replays(source)).map { layout.commitLog(source, replay: $0) })
            .filter { Folder.exists($0) }
    }

    /// The generations that have a log of a replay of a topic partition.
    func replays(_ source: TopicPartition) throws(LakeError) -> [Int64] {
        let commits = layout.root + "/_commits"
        guard Folder.exists(commits) else { return [] }
        let names = try LakeError.placed(commits) { try Folder.list(commits) }
        return names.compactMap { name in
            name.hasPrefix("generation=") ? Int64(name.dropFirst("generation=".count)) : nil
        }.filter { Folder.exists(layout.commitLog(source, replay: $0)) }.sorted()
    }
}
