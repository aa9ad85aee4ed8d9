import Files
package import Records

/// When an entry's offsets were taken in, by the machine's clock, milliseconds since 1970.
package struct CommitTime: Equatable, Sendable {
    /// Of an entry that stands for several commits: the first one's.
    package var from: Int64
    /// The last one's.
    package var at: Int64

    package init(from: Int64, at: Int64) {
        self.from = from
        self.at = at
    }

    /// Of one commit.
    package init(at: Int64) { self.init(from: at, at: at) }
}

extension LakeReader {
    /// When the lake took an offset in; nil where it did not, or an earlier version wrote its entry.
    package func commitTime(_ source: TopicPartition, offset: Int64) throws(LakeError) -> CommitTime? {
        let path = layout.commitLog(source)
        guard Folder.exists(path), let record = try CommitLog(reading: path).firstEntry(beyond: offset)?.record,
            record.range.contains(offset)
        else { return nil }
        return record.committed
    }
}
