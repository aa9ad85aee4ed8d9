package import Events
import Files

/// One line of the lake and where it lies.
package struct LocatedLine: Sendable {
    /// Without its line feed.
    package let line: [UInt8]
    package let path: String
    /// The frame's bytes in the file.
    package let frameStart: Int
    package let frameEnd: Int
    package let isSealed: Bool
}

/// Reads the lake beside its writers, which never change what is committed.
package struct LakeReader: Sendable {
    package let layout: LakeLayout

    package init(layout: LakeLayout) { self.layout = layout }

    /// The topic partitions that have a commit log.
    package func sources() throws(LakeError) -> [TopicPartition] {
        let commits = layout.root + "/_commits"
        guard Folder.exists(commits) else { return [] }
        var sources: [TopicPartition] = []
        do throws(FileError) {
            for folder in try Folder.list(commits) where folder.hasPrefix("topic=") {
                for file in try Folder.list(commits + "/" + folder)
                where file.hasPrefix("partition=") && file.hasSuffix(".log") {
                    guard let partition = Int32(file.dropFirst(10).dropLast(4)) else { continue }
                    sources.append(TopicPartition(topic: String(folder.dropFirst(6)), partition: partition))
                }
            }
        } catch {
            throw .file(error)
        }
        return sources.sorted()
    }

    /// The offsets that a topic partition's commit log holds; nil where there is none.
    package func committedRange(_ source: TopicPartition) throws(LakeError) -> OffsetRange? {
        let path = layout.commitLog(source)
        guard Folder.exists(path) else { return nil }
        let log = try CommitLog(reading: path)
        var start: Int64?
        try log.forEach { record in
            start = record.range.start
            return false
        }
        guard let start, let end = try log.last()?.range.end else { return nil }
        return OffsetRange(start: start, end: end)
    }

    /// The Bronze line of an offset.
    ///
    /// - Throws: ``LakeError/notFound(_:)`` where the lake never took that offset in.
    package func bronze(_ source: TopicPartition, offset: Int64) throws(LakeError) -> LocatedLine {
        guard let line = try find(.bronze, nil, log: layout.commitLog(source), source: source, offset: offset) else {
            throw .notFound("the lake holds no \(source) offset \(offset)")
        }
        return line
    }

    /// The Silver, Gold or quarantine line that a generation made of an offset; nil where it made none.
    package func derived(
        _ layer: Layer, generation: Int64, source: TopicPartition, offset: Int64
    ) throws(LakeError) -> LocatedLine? {
        let generations = try GenerationLog(layout: layout).read()
        guard let range = OffsetRange(start: offset, end: offset + 1),
            let part = try segments(of: generation, in: range, source: source, generations: generations).first
        else { return nil }
        return try find(layer, part.generation, log: part.log, source: source, offset: offset)
    }

    /// Calls `body` with each line of a range of offsets, in order, until it returns false.
    ///
    /// - Parameter generation: nil for Bronze.
    package func forEachLine(
        _ layer: Layer, generation: Int64?, source: TopicPartition, range: OffsetRange,
        _ body: (Int64, ArraySlice<UInt8>) throws(LakeError) -> Bool
    ) throws(LakeError) {
        var parts = [Segment(range: range, generation: nil, log: layout.commitLog(source))]
        if let generation {
            let generations = try GenerationLog(layout: layout).read()
            parts = try segments(of: generation, in: range, source: source, generations: generations)
        }
        for part in parts {
            var position = part.range.start
            // An open file may be sealed between the look into the log and the look into the file: then look again.
            var attempts = 0
            while position < part.range.end, let frames = try frames(from: position, layer, part, source: source) {
                do throws(LakeError) {
                    guard try forEachLine(in: frames, layer, part.range, from: position, body) else { return }
                } catch {
                    switch error {
                    // Retention gives derived files up only where no generation in use has them; Bronze is never
                    // left out silently.
                    case .expired where layer != .bronze: break
                    case .file(let cause) where cause.isNotFound && attempts < 3:
                        attempts += 1
                        continue
                    default: throw error
                    }
                }
                attempts = 0
                position = frames.next
            }
        }
    }

    /// - Returns: false when `body` wants no more.
    private func forEachLine(
        in frames: Frames, _ layer: Layer, _ range: OffsetRange, from position: Int64,
        _ body: (Int64, ArraySlice<UInt8>) throws(LakeError) -> Bool
    ) throws(LakeError) -> Bool {
        guard !frames.spans.isEmpty else { return true }
        let file = try open(frames)
        for span in frames.spans {
            let text = try FrameReader.text(of: file, start: span.start, end: span.end)
            var goesOn = true
            try LineScan.forEachLine(text) { line throws(LakeError) in
                guard let offset = LineScan.offset(of: line, layer: layer) else {
                    throw .damaged(path: frames.path, reason: "a line tells no source offset")
                }
                guard offset >= position, range.contains(offset) else { return true }
                goesOn = try body(offset, line)
                return goesOn
            }
            guard goesOn else { return false }
        }
        return true
    }

    // MARK: - Where a generation's lines lie

    /// Offsets whose lines lie in one log's files.
    struct Segment {
        var range: OffsetRange
        /// nil for Bronze.
        var generation: Int64?
        var log: String
    }

    /// Cuts a range where a generation's lines change hands between replay, stream job and parents.
    func segments(
        of number: Int64, in range: OffsetRange, source: TopicPartition, generations: [LakeGeneration]
    ) throws(LakeError) -> [Segment] {
        guard !range.isEmpty else { return [] }
        guard let generation = generations.first(where: { $0.number == number }) else {
            throw .generation("the lake has no generation \(number)")
        }
        let live = layout.commitLog(source)
        guard let parent = generation.parent else { return [Segment(range: range, generation: number, log: live)] }
        let handover = generation.handovers[source] ?? 0
        var segments: [Segment] = []
        func clip(_ start: Int64, _ end: Int64) -> OffsetRange? {
            let clipped = OffsetRange(start: max(start, range.start), end: min(end, range.end))
            return clipped?.isEmpty == false ? clipped : nil
        }
        let replayed = generation.replayed[source] ?? OffsetRange(start: 0, end: 0)
        let (replayStart, replayEnd) = (replayed?.start ?? 0, min(replayed?.end ?? 0, handover))
        if let before = clip(0, min(replayStart, handover)) {
            segments += try self.segments(of: parent, in: before, source: source, generations: generations)
        }
        if let inside = clip(replayStart, replayEnd) {
            segments.append(
                Segment(range: inside, generation: number, log: layout.commitLog(source, replay: number)))
        }
        if let between = clip(max(replayStart, replayEnd), handover) {
            segments += try self.segments(of: parent, in: between, source: source, generations: generations)
        }
        if let after = clip(handover, Int64.max) {
            segments.append(Segment(range: after, generation: number, log: live))
        }
        return segments
    }

    // MARK: - Frames

    private struct Frames {
        var path: String
        var spans: [(start: Int, end: Int)]
        /// The first offset behind them.
        var next: Int64
        /// The sealed file's name; nil while the file is open.
        var sealed: DataFileName?
        var isSealed: Bool { sealed != nil }
    }

    /// A sealed file may be in the object storage; an open one is here.
    private func open(_ frames: Frames) throws(LakeError) -> DataFileBytes {
        if let name = frames.sealed { return try SealedFileSource(layout: layout).open(name) }
        do throws(FileError) { return try DataFileBytes(path: frames.path) } catch { throw .file(error) }
    }

    /// The frames with the lines of `position` and what follows: one commit's of an open file, or those of a sealed
    /// file up to the segment's end. nil behind the log's end.
    private func frames(
        from position: Int64, _ layer: Layer, _ part: Segment, source: TopicPartition
    ) throws(LakeError) -> Frames? {
        guard Folder.exists(part.log) else { return nil }
        let log = try CommitLog(reading: part.log)
        guard let entry = try log.firstEntry(beyond: position) else { return nil }
        let record = entry.record
        if let seal = try log.seal(ofFiles: record.firstOffset) {
            let next = min(seal.range.end, part.range.end)
            guard let file = seal.sealed.first(where: { $0.layer == layer && $0.generation == part.generation }) else {
                return Frames(path: part.log, spans: [], next: seal.range.end)
            }
            let name = DataFileName(
                layer: layer, generation: part.generation, source: source, hour: seal.hour,
                firstOffset: file.firstOffset)
            var spans: [(start: Int, end: Int)] = []
            for (index, frame) in file.frames.enumerated() {
                let nextFrame = index + 1 < file.frames.count ? file.frames[index + 1] : (Int64.max, file.bytes)
                if nextFrame.0 > position && frame.offset < next { spans.append((frame.start, nextFrame.1)) }
            }
            return Frames(path: layout.sealedFile(name), spans: spans, next: seal.range.end, sealed: name)
        }
        var range = record.bronze
        var firstOffset = record.firstOffset
        if let generation = part.generation {
            guard let written = record.parts.first(where: { $0.generation == generation }) else {
                return Frames(path: part.log, spans: [], next: max(record.range.end, position + 1))
            }
            range = written.range(layer)
            firstOffset = written.firstOffset
        }
        let name = DataFileName(
            layer: layer, generation: part.generation, source: source, hour: record.hour, firstOffset: firstOffset)
        return Frames(
            path: layout.openFile(name), spans: range.isEmpty ? [] : [(range.start, range.end)],
            next: record.range.end)
    }

    private func find(
        _ layer: Layer, _ generation: Int64?, log: String, source: TopicPartition, offset: Int64
    ) throws(LakeError) -> LocatedLine? {
        guard let range = OffsetRange(start: offset, end: offset + 1) else { return nil }
        let part = Segment(range: range, generation: generation, log: log)
        // An open file may be sealed between the look into the log and the look into the file: then look once more.
        for attempt in 0..<2 {
            do throws(LakeError) {
                guard let frames = try frames(from: offset, layer, part, source: source) else { return nil }
                guard !frames.spans.isEmpty else { return nil }
                let file = try open(frames)
                for span in frames.spans {
                    let text = try FrameReader.text(of: file, start: span.start, end: span.end)
                    var found: [UInt8]?
                    LineScan.forEachLine(text) { line in
                        if LineScan.offset(of: line, layer: layer) == offset { found = Array(line) }
                        return found == nil
                    }
                    if let found {
                        return LocatedLine(
                            line: found, path: file.place, frameStart: span.start, frameEnd: span.end,
                            isSealed: frames.isSealed)
                    }
                }
                return nil
            } catch {
                if case .file(let cause) = error, cause.isNotFound, attempt == 0 { continue }
                throw error
            }
        }
        return nil
    }
}
