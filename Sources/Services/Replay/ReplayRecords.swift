import Lake
import Records

/// The records of a topic partition, from Bronze into lake and index.
extension Replay {
    /// - Parameter indexedTo: where the index's part goes on; the lake's goes on behind what is sealed.
    func records(
        of source: TopicPartition, _ range: OffsetRange, _ child: LakeGeneration, _ run: ReplayRun?, indexedTo: Int64
    ) async throws {
        guard !range.isEmpty else { return }
        try await ReplayStages(deriving: derivingLane, writing: writingLane).run(
            onFailure: { [monitor] in monitor.cancel() },
            derive: { [self] put in try derive(source, range, child, indexedTo: indexedTo, put) },
            write: { [self] next, put in try write(source, child, run, end: range.end, next, put) }
        ) { chunk in
            let embedded = try await put(chunk, source, child)
            monitor.edit { $0.note(chunk, embedded: embedded) }
            try await keeper.note(monitor, of: child.number, position: (source, chunk.range.end))
        }
    }

    private func derive(
        _ source: TopicPartition, _ range: OffsetRange, _ child: LakeGeneration, indexedTo: Int64,
        _ put: ReplayStages.Put
    ) throws {
        let sealedTo = try ReplayWriter.sealedEnd(layout: layout, source: source, generation: child.number)
        let replay = rangeReplay(source, child)
        var watch = GenerationWatch(log: GenerationLog(layout: layout), number: child.number)
        for part in RestOfReplay.parts(range, sealedTo: sealedTo ?? range.start, indexedTo: indexedTo) {
            try replay.run(part.range, recordsMax: { monitor.stretchRecordsMax }) { chunk in
                try monitor.hold(records: chunk.records) { try watch.check() }
                var chunk = chunk
                (chunk.isForLake, chunk.isForIndex) = (part.isForLake, part.isForIndex)
                try put(chunk)
            }
        }
    }

    private func write(
        _ source: TopicPartition, _ child: LakeGeneration, _ run: ReplayRun?, end: Int64,
        _ next: () throws -> RangeReplay.Chunk?, _ put: ReplayStages.Put
    ) throws {
        let writer = try ReplayWriter(layout: layout, source: source, generation: child.number)
        try rangeReplay(source, child).compare(next, to: end) { chunk in
            if chunk.isForLake {
                try writer.append(chunk)
                run?.note(chunk, of: source)
            }
            if chunk.isForIndex { try put(chunk) }
        }
        try writer.finish(end: end)
    }

    private func rangeReplay(_ source: TopicPartition, _ child: LakeGeneration) -> RangeReplay {
        RangeReplay(
            reader: LakeReader(layout: layout), source: source, generation: child, parent: child.parent ?? 0,
            readingLane: readingLane)
    }

    /// Puts a chunk into the index: what the parent shows, too, by statements over sets, the rest document by document.
    ///
    /// - Returns: how many texts were embedded.
    private func put(
        _ chunk: RangeReplay.Chunk, _ source: TopicPartition, _ child: LakeGeneration
    ) async throws -> Int {
        var lines = chunk.gold.map { (offset: $0.offset, line: $0.bytes) }
        let same = lines.filter { chunk.unchanged.contains($0.offset) }
        if !same.isEmpty, let parent = child.parent {
            let shared = try await index.share(
                lines: same, generation: child.number, parent: parent, source: source)
            lines.removeAll { shared.contains($0.offset) }
        }
        guard !lines.isEmpty else { return 0 }
        return try await index.index(lines: lines, generation: child.number, source: source)
    }
}
