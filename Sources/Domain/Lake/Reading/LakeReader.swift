import Files
package import Records

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
    /// Of the monotonic clock: reading from the object storage is given up by then; nil for its own limits.
    private let untilNanoseconds: Int64?
    private let readsObjects: Bool

    /// - Parameter readsObjects: false for a caller that must not wait for the object storage; it gets
    ///   ``LakeError/distant(url:)``.
    package init(layout: LakeLayout, untilNanoseconds: Int64? = nil, readsObjects: Bool = true) {
        self.layout = layout
        self.untilNanoseconds = untilNanoseconds
        self.readsObjects = readsObjects
    }

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
            var attempts = 0
            while position < part.range.end, let frames = try frames(from: position, layer, part, source: source) {
                var file: DataFileBytes?
                var failure: LakeError?
                for span in frames.spans {
                    let text: [UInt8]
                    // Only the reading is done again, never the lending of lines.
                    do throws(LakeError) {
                        let opened: DataFileBytes
                        if let file { opened = file } else { opened = try open(frames) }
                        file = opened
                        text = try self.text(of: opened, frames, span)
                    } catch {
                        failure = error
                        break
                    }
                    guard try lend(text, of: frames, layer, part.range, &position, body) else { return }
                }
                switch failure {
                case nil: attempts = 0
                // Retention gives derived files up only where no generation in use has them; Bronze is never left out
                // silently.
                case .some(.expired) where layer != .bronze: attempts = 0
                case .some(let error):
                    guard attempts < Self.attemptsMax, isWorthAnotherLook(frames, error) else { throw error }
                    attempts += 1
                    continue
                }
                position = max(position, frames.next)
            }
        }
    }

    /// Lends the lines of a frame's text that are wanted.
    ///
    /// - Parameter position: the first offset that is wanted; behind each line it is the next.
    /// - Returns: false when `body` wants no more.
    private func lend(
        _ text: [UInt8], of frames: Frames, _ layer: Layer, _ range: OffsetRange, _ position: inout Int64,
        _ body: (Int64, ArraySlice<UInt8>) throws(LakeError) -> Bool
    ) throws(LakeError) -> Bool {
        var goesOn = true
        var next = position
        try LineScan.forEachLine(text) { line throws(LakeError) in
            guard let offset = LineScan.offset(of: line, layer: layer) else {
                throw .damaged(path: frames.path, reason: "a line tells no source offset")
            }
            guard offset >= next, range.contains(offset) else { return true }
            next = offset + 1
            goesOn = try body(offset, line)
            return goesOn
        }
        position = next
        return goesOn
    }

    /// The next run of committed offsets of one lake hour that does not end before `offset`, cut to begin there; nil behind
    /// the log's end. Offsets that were never delivered lie between two runs, and are passed over at once.
    package func committedRun(
        _ source: TopicPartition, from offset: Int64
    ) throws(LakeError) -> (range: OffsetRange, hour: LakeHour)? {
        let path = layout.commitLog(source)
        guard Folder.exists(path) else { return nil }
        let log = try CommitLog(reading: path)
        guard let first = try log.firstEntry(beyond: offset) else { return nil }
        var run: (range: OffsetRange, hour: LakeHour)?
        var entries = 0
        try log.forEach(from: first.start) { record in
            guard record.kind == .commit else { return true }
            entries += 1
            guard let known = run else {
                run = (record.range, record.hour)
                return true
            }
            guard record.range.start == known.range.end, record.hour == known.hour, entries < Self.runEntriesMax,
                let longer = OffsetRange(start: known.range.start, end: record.range.end)
            else { return false }
            run = (longer, known.hour)
            return true
        }
        guard var found = run else { return nil }
        found.range.start = max(offset, found.range.start)
        return found
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

    /// How often a file is looked for anew that a seal, a rewrite or an upgrade moved meanwhile.
    private static let attemptsMax = 3
    /// Bounds the look ahead of ``committedRun(_:from:)``.
    private static let runEntriesMax = 4_096

    private struct Frames {
        var path: String
        var spans: [(start: Int, end: Int)]
        /// The first offset behind them.
        var next: Int64
        var log: String
        /// The offset that names the hour's files.
        var hourOffset: Int64
        var name: DataFileName?
        /// nil while the file is growing.
        var sealed: SealedFile?
        /// Of a growing file: CRC-32C of the bytes; nil in entries of version 1.
        var checksum: UInt32?
    }

    /// A sealed file may be in the object storage; a growing one is here.
    private func open(_ frames: Frames) throws(LakeError) -> DataFileBytes {
        guard let name = frames.name else { throw .notFound("\(frames.path) names no file") }
        guard let sealed = frames.sealed else { return try growing(name) }
        let file = try SealedFileSource(
            layout: layout, untilNanoseconds: untilNanoseconds, readsObjects: readsObjects
        ).open(name, contentSHA256: sealed.contentSHA256)
        let size = try file.size()
        guard size == sealed.bytes else {
            throw .damaged(path: file.place, reason: "it has \(size) bytes where the log says \(sealed.bytes)")
        }
        return file
    }

    /// Opens a growing file. Formats 1 and 2 named it otherwise; looking there first never takes a half seal of theirs for
    /// it, and never misses it while it gets its present name.
    func growing(_ name: DataFileName) throws(LakeError) -> DataFileBytes {
        do throws(FileError) {
            return try DataFileBytes(path: layout.formerOpenFile(name))
        } catch {
            guard error.isNotFound else { throw .file(error) }
        }
        do throws(FileError) { return try DataFileBytes(path: layout.dataFile(name)) } catch { throw .file(error) }
    }

    private func text(
        of file: DataFileBytes, _ frames: Frames, _ span: (start: Int, end: Int)
    ) throws(LakeError) -> [UInt8] {
        let text = try FrameReader.text(of: file, start: span.start, end: span.end, checksum: frames.checksum)
        // Without a sum only the log says that it was still the growing file that was opened.
        if frames.sealed == nil, frames.checksum == nil, hasMoved(frames) {
            throw .damaged(path: file.place, reason: "it was sealed while it was opened")
        }
        return text
    }

    /// Whether a failure to read may come from a file that changed its form since the log was read: a growing file is
    /// sealed, a sealed one rewritten, or moved away.
    private func isWorthAnotherLook(_ frames: Frames, _ error: LakeError) -> Bool {
        if case .file(let cause) = error, cause.isNotFound { return true }
        return hasMoved(frames)
    }

    private func hasMoved(_ frames: Frames) -> Bool {
        guard let seal = try? CommitLog(reading: frames.log).seal(ofFiles: frames.hourOffset) else { return false }
        guard let sealed = frames.sealed else { return true }
        return !seal.sealed.contains(sealed)
    }

    /// The frames with the lines of `position` and what follows: one commit's of a growing file, or those of a sealed
    /// file up to the segment's end. nil behind the log's end.
    private func frames(
        from position: Int64, _ layer: Layer, _ part: Segment, source: TopicPartition
    ) throws(LakeError) -> Frames? {
        guard Folder.exists(part.log) else { return nil }
        let log = try CommitLog(reading: part.log)
        guard let entry = try log.firstEntry(beyond: position) else { return nil }
        let record = entry.record
        if let seal = try log.seal(ofFiles: record.firstOffset) {
            return sealedFrames(seal, from: position, layer, part, source: source)
        }
        var range = record.bronze
        var firstOffset = record.firstOffset
        if let generation = part.generation {
            guard let written = record.parts.first(where: { $0.generation == generation }) else {
                return Frames(
                    path: part.log, spans: [], next: max(record.range.end, position + 1), log: part.log,
                    hourOffset: record.firstOffset)
            }
            range = written.range(layer)
            firstOffset = written.firstOffset
        }
        let name = DataFileName(
            layer: layer, generation: part.generation, source: source, hour: record.hour, firstOffset: firstOffset)
        return Frames(
            path: layout.dataFile(name), spans: range.isEmpty ? [] : [(range.start, range.end)],
            next: record.range.end, log: part.log, hourOffset: record.firstOffset, name: name, checksum: range.checksum)
    }

    private func sealedFrames(
        _ seal: CommitRecord, from position: Int64, _ layer: Layer, _ part: Segment, source: TopicPartition
    ) -> Frames {
        let next = min(seal.range.end, part.range.end)
        guard let file = seal.sealed.first(where: { $0.layer == layer && $0.generation == part.generation }) else {
            return Frames(path: part.log, spans: [], next: seal.range.end, log: part.log, hourOffset: seal.firstOffset)
        }
        let name = DataFileName(
            layer: layer, generation: part.generation, source: source, hour: seal.hour, firstOffset: file.firstOffset)
        var spans: [(start: Int, end: Int)] = []
        for (index, frame) in file.frames.enumerated() {
            let nextFrame = index + 1 < file.frames.count ? file.frames[index + 1] : (Int64.max, file.bytes)
            if nextFrame.0 > position && frame.offset < next { spans.append((frame.start, nextFrame.1)) }
        }
        return Frames(
            path: layout.dataFile(name), spans: spans, next: seal.range.end, log: part.log,
            hourOffset: seal.firstOffset, name: name, sealed: file)
    }

    private func find(
        _ layer: Layer, _ generation: Int64?, log: String, source: TopicPartition, offset: Int64
    ) throws(LakeError) -> LocatedLine? {
        guard let range = OffsetRange(start: offset, end: offset + 1) else { return nil }
        let part = Segment(range: range, generation: generation, log: log)
        var attempts = 0
        while let frames = try frames(from: offset, layer, part, source: source), !frames.spans.isEmpty {
            do throws(LakeError) {
                return try find(offset, in: frames, layer)
            } catch {
                guard attempts < Self.attemptsMax, isWorthAnotherLook(frames, error) else { throw error }
                attempts += 1
            }
        }
        return nil
    }

    private func find(_ offset: Int64, in frames: Frames, _ layer: Layer) throws(LakeError) -> LocatedLine? {
        let file = try open(frames)
        for span in frames.spans {
            let text = try text(of: file, frames, span)
            var found: [UInt8]?
            LineScan.forEachLine(text) { line in
                if LineScan.offset(of: line, layer: layer) == offset { found = Array(line) }
                return found == nil
            }
            if let found {
                return LocatedLine(
                    line: found, path: file.place, frameStart: span.start, frameEnd: span.end,
                    isSealed: frames.sealed != nil)
            }
        }
        return nil
    }

    /// Whether Bronze of these offsets lies in a file that was rewritten, so that lines may be gone for good.
    func hasRewrittenBronze(_ source: TopicPartition, in range: OffsetRange) throws(LakeError) -> Bool {
        let log = try CommitLog(reading: layout.commitLog(source))
        var position = range.start
        while position < range.end, let entry = try log.firstEntry(beyond: position),
            let seal = try log.seal(ofFiles: entry.record.firstOffset)
        {
            if seal.sealed.contains(where: { $0.layer == .bronze && $0.linesSealed != nil }) { return true }
            position = max(seal.range.end, position + 1)
        }
        return false
    }
}
