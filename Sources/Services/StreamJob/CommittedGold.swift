import Derivation
import Lake
import Records
import Telemetry

/// The Gold of one topic partition as its commits hold it, from which the Gold topic can be filled again: the commit log is
/// the outbox.
struct CommittedGold {
    let layout: LakeLayout
    let topicPartition: TopicPartition
    let logger: Logger

    /// Publishes the documents and markers of all commits from `marker` up to `end`.
    ///
    /// - Parameters:
    ///   - marker: the next offset of the last marker on the Gold topic; nil where it has none.
    ///   - handovers: from which offset on each generation is fed.
    func publish(
        after marker: Int64?, before end: Int64, handovers: [Int64: Int64], to publisher: GoldPublisher
    ) throws {
        let reader = LakeReader(layout: layout)
        let start = try marker ?? reader.committedRange(topicPartition)?.start ?? 0
        guard start < end else { return }
        let log = try CommitLog(reading: layout.commitLog(topicPartition))
        guard let first = try log.firstEntry(beyond: start) else { return }
        logger.info(
            "publishing commits again",
            ["topic_partition": "\(topicPartition)", "from": String(start), "to": String(end)])
        // A list that was put back from a copy may lack a generation that the log names: nobody is served it, and its lines
        // cannot be placed.
        let listed = Set(try GenerationLog(layout: layout).read().map(\.number))
        let known = handovers.filter { listed.contains($0.key) }
        var unlisted: Set<Int64> = []
        var failure: (any Error)?
        try log.forEach(from: first.start) { [topicPartition] record throws(LakeError) in
            // An entry of the log may be many commits, of which the first were published.
            guard record.kind == .commit,
                let range = OffsetRange(start: max(record.range.start, start), end: record.range.end)
            else { return true }
            for part in record.parts where !listed.contains(part.generation) { unlisted.insert(part.generation) }
            let parts = record.parts.filter { listed.contains($0.generation) }
            if parts.isEmpty, !record.parts.isEmpty { return true }
            do {
                for part in parts {
                    try reader.forEachLine(
                        .gold, generation: part.generation, source: topicPartition, range: range
                    ) { offset, line throws(LakeError) in
                        do { try publish(line, part.generation, offset, to: publisher) } catch { failure = error }
                        return failure == nil
                    }
                    if let failure { throw failure }
                }
                try publisher.publish(
                    CommitMarker(
                        generations: parts.map(\.generation), topicPartition: topicPartition, range: range,
                        handovers: known))
            } catch {
                failure = error
            }
            return failure == nil
        }
        if let failure { throw failure }
        if !unlisted.isEmpty {
            logger.warning(
                "commits name generations that the lake's list lacks; their documents were left out",
                [
                    "topic_partition": "\(topicPartition)",
                    "generations": unlisted.sorted().map(String.init).joined(separator: ", "),
                ])
        }
    }

    private func publish(
        _ line: ArraySlice<UInt8>, _ generation: Int64, _ offset: Int64, to publisher: GoldPublisher
    ) throws {
        try line.withUnsafeBytes { bytes in
            try GoldLine.Fields(bytes)[.docID].withText { id in
                let place = GoldTopic.Place(
                    generation: generation, topicPartition: topicPartition, offset: offset)
                try publisher.publish(GoldPublisher.Document(place: place, id: id, line: bytes))
            }
        }
    }
}

extension GoldTopic.Place {
    /// Of a line that was made just now.
    init(_ entry: GoldEntry, of source: TopicPartition, generation: Int64) {
        self.init(
            generation: generation, topicPartition: source, offset: entry.sourceOffset,
            timestampMilliseconds: entry.sourceTimestampMilliseconds, receivedMilliseconds: entry.receivedMilliseconds)
    }
}
