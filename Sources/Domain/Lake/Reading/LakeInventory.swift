import Files
package import Records
import Zstd

/// One data file as the commit log tells of it.
package struct InventoryFile: Sendable {
    /// A run of bytes that decompresses by itself.
    package struct Span: Sendable {
        package let start: Int
        package let end: Int
        /// Source offset of its first line; nil in an open file, where the commit's range bounds it.
        package let firstOffset: Int64?
        /// Of an open file: what the commit says of the run. A sealed file is summed as a whole.
        package let lines: Int?
        package let checksum: UInt32?
    }

    package let name: DataFileName
    /// Whether it never changes again.
    package let isSealed: Bool
    /// Bytes that count.
    package internal(set) var bytes: Int
    package internal(set) var lines: Int
    package internal(set) var spans: [Span]
    /// Of a sealed file.
    package let contentSHA256: String?
    package let checksum: UInt32?

    /// Where the file lies.
    package func path(in layout: LakeLayout) -> String {
        let former = layout.formerOpenFile(name)
        return isSealed || !Folder.exists(former) ? layout.dataFile(name) : former
    }
}

/// One hour of one topic partition, or of one generation's replay of it: its log entries and its files.
package struct InventoryHour: Sendable {
    package let source: TopicPartition
    /// The generation that was replayed; nil for what the stream job wrote.
    package let replay: Int64?
    package let hour: LakeHour
    package let firstOffset: Int64
    package internal(set) var commits: [CommitRecord] = []
    package internal(set) var seal: CommitRecord?

    /// Offsets of the hour.
    package var range: OffsetRange {
        seal?.range ?? OffsetRange(start: firstOffset, end: commits.last?.range.end ?? firstOffset)
            ?? OffsetRange.empty(at: firstOffset)
    }

    /// The hour's files that have lines, Bronze first.
    package var files: [InventoryFile] {
        guard let seal else { return openFiles }
        return seal.sealed.map { file in
            var spans: [InventoryFile.Span] = []
            for (index, frame) in file.frames.enumerated() {
                let end = index + 1 < file.frames.count ? file.frames[index + 1].start : file.bytes
                spans.append(
                    .init(start: frame.start, end: end, firstOffset: frame.offset, lines: nil, checksum: nil))
            }
            return InventoryFile(
                name: DataFileName(
                    layer: file.layer, generation: file.generation, source: source, hour: hour,
                    firstOffset: file.firstOffset),
                isSealed: true, bytes: file.bytes, lines: file.lines, spans: spans,
                contentSHA256: file.contentSHA256, checksum: file.checksum)
        }
    }

    private var openFiles: [InventoryFile] {
        var files: [InventoryFile] = []
        func add(_ layer: Layer, _ generation: Int64?, _ firstOffset: Int64, _ range: ByteRange) {
            guard !range.isEmpty else { return }
            let name = DataFileName(
                layer: layer, generation: generation, source: source, hour: hour, firstOffset: firstOffset)
            let span = InventoryFile.Span(
                start: range.start, end: range.end, firstOffset: nil, lines: range.lines, checksum: range.checksum)
            if let index = files.firstIndex(where: { $0.name == name }) {
                files[index].bytes = range.end
                files[index].lines += range.lines
                files[index].spans.append(span)
            } else {
                files.append(
                    InventoryFile(
                        name: name, isSealed: false, bytes: range.end, lines: range.lines, spans: [span],
                        contentSHA256: nil, checksum: nil))
            }
        }
        for commit in commits {
            add(.bronze, nil, firstOffset, commit.bronze)
            for part in commit.parts {
                for layer in Layer.derived { add(layer, part.generation, part.firstOffset, part.range(layer)) }
            }
        }
        return files
    }
}

extension LakeReader {
    /// Calls `body` with every hour that a commit log tells of, in order.
    ///
    /// One hour's entries are in memory at a time: some 40 MB for ten commits a second.
    ///
    /// - Parameter replay: the generation whose replayed part is meant; nil for what the stream job wrote.
    package func forEachHour(
        _ source: TopicPartition, replay: Int64? = nil, _ body: (InventoryHour) throws(LakeError) -> Void
    ) throws(LakeError) {
        var current: InventoryHour?
        let log = try CommitLog(reading: layout.commitLog(source, replay: replay))
        try log.forEach { record throws(LakeError) in
            guard [.commit, .seal, .rewrite].contains(record.kind) else { return true }
            if let hour = current, hour.firstOffset != record.firstOffset {
                try body(hour)
                current = nil
            }
            var hour =
                current
                ?? InventoryHour(source: source, replay: replay, hour: record.hour, firstOffset: record.firstOffset)
            switch record.kind {
            case .commit: hour.commits.append(record)
            case .seal: hour.seal = record
            default:
                guard let rewrite = record.rewrite, let seal = hour.seal?.superseded(by: rewrite) else {
                    throw .damaged(
                        path: log.path, reason: "a rewrite of \(hour.range) supersedes no file of its seal")
                }
                hour.seal = seal
            }
            current = hour
            return true
        }
        if let current { try body(current) }
    }

    /// An hour whose files are open. A growing hour is one state: had it been sealed before all of its files were open, it
    /// is the sealed one.
    package struct OpenHour {
        /// As the log had it when the files were open.
        package let hour: InventoryHour
        private let reader: LakeReader
        private let growing: [DataFileName: Result<DataFileBytes, LakeError>]

        init(_ hour: InventoryHour, reader: LakeReader, growing: [DataFileName: Result<DataFileBytes, LakeError>]) {
            self.hour = hour
            self.reader = reader
            self.growing = growing
        }

        /// The bytes of one of the hour's files, wherever they are.
        package func bytes(of file: InventoryFile) throws(LakeError) -> DataFileBytes {
            if let opened = growing[file.name] { return try opened.get() }
            return try SealedFileSource(layout: reader.layout).open(file.name, contentSHA256: file.contentSHA256)
        }

        /// Bytes of text in a file, by its frames' headers; nil where retention gave it up.
        package func contentSize(of file: InventoryFile) throws(LakeError) -> Int? {
            let layout = reader.layout
            if file.isSealed, case .expired = try SealedFileSource(layout: layout).place(of: file.name) { return nil }
            return try LakeError.placed(layout.dataFile(file.name)) {
                let handle = try bytes(of: file)
                var size = 0
                for span in file.spans {
                    let header = try handle.read(at: span.start, count: min(18, span.end - span.start))
                    guard let content = header.withUnsafeBytes({ zstdContentSize(ofFrame: $0) }) else {
                        throw LakeError.damaged(path: handle.place, reason: "no frame begins at byte \(span.start)")
                    }
                    size += content
                }
                return size
            }
        }
    }

    /// Opens an hour's files.
    package func open(_ hour: InventoryHour) -> OpenHour {
        if hour.seal != nil {
            // Somebody may have rewritten it since.
            var now = hour
            let log = try? CommitLog(reading: layout.commitLog(hour.source, replay: hour.replay))
            if let seal = try? log?.seal(ofFiles: hour.firstOffset) { now.seal = seal }
            return OpenHour(now, reader: self, growing: [:])
        }
        var growing: [DataFileName: Result<DataFileBytes, LakeError>] = [:]
        for file in hour.files {
            do throws(LakeError) { growing[file.name] = .success(try self.growing(file.name)) } catch {
                growing[file.name] = .failure(error)
            }
        }
        // The seal comes into the log before the first file is replaced: without one, what was opened is what grows.
        let path = layout.commitLog(hour.source, replay: hour.replay)
        guard let seal = try? CommitLog(reading: path).seal(ofFiles: hour.firstOffset) else {
            return OpenHour(hour, reader: self, growing: growing)
        }
        var sealed = hour
        sealed.seal = seal
        return OpenHour(sealed, reader: self, growing: [:])
    }

    /// The topic partitions and generations that were replayed; of a replay that runs or broke off those that it came to.
    package func replays() throws(LakeError) -> [(source: TopicPartition, generation: Int64)] {
        try GenerationLog(layout: layout).read().flatMap { generation in
            generation.replayed.filter { !$0.value.isEmpty }.keys.sorted().filter { source in
                generation.state.isComplete || Folder.exists(layout.commitLog(source, replay: generation.number))
            }.map { (source: $0, generation: generation.number) }
        }
    }
}
