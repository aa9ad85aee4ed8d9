import Events
import Files
import Glibc
import Hashing
import ObjectStorage
import Zstd

/// Something in the lake that is not as its logs say.
package struct VerifyFinding: Sendable {
    /// File, and byte or offset in it.
    package let place: String
    package let problem: String
}

/// What was looked at, and what was found.
package struct VerifyReport: Sendable {
    package internal(set) var files = 0
    /// Those of ``files`` that are in the object storage only.
    package internal(set) var filesTiered = 0
    /// Files that retention gave up; not looked at.
    package internal(set) var filesExpired = 0
    package internal(set) var lines = 0
    /// Bytes in the files.
    package internal(set) var bytes = 0
    /// Bytes of text in them.
    package internal(set) var rawBytes = 0
    package internal(set) var logEntries = 0
    package internal(set) var findings = 0
}

/// Checks a lake from end to end: logs, checksums of bytes and of content, offsets, lineage, files too few and too many.
///
/// Reads only; may run beside a writer, whose newest commits it leaves out. An hour's Bronze digests (32 bytes a record)
/// and log entries are in memory at a time.
package final class LakeVerifier {
    let reader: LakeReader
    private let report: (VerifyFinding) -> Void
    private var totals = VerifyReport()
    private var known: Set<String> = []
    private var lines: LineVerifier

    /// - Parameter report: lent every finding as it is made.
    package init(layout: LakeLayout, report: @escaping (VerifyFinding) -> Void) throws {
        reader = LakeReader(layout: layout)
        self.report = report
        lines = try LineVerifier(reader: reader)
    }

    /// - Parameters:
    ///   - topic: nil for all; files that no log knows are looked for only then.
    ///   - partition: nil for all.
    /// - Throws: where the lake cannot be read at all; damage is a finding.
    package func run(topic: String? = nil, partition: Int32? = nil) throws(LakeError) -> VerifyReport {
        let sources = try reader.sources().filter {
            (topic == nil || $0.topic == topic) && (partition == nil || $0.partition == partition)
        }
        var replays: [(source: TopicPartition, generation: Int64)] = []
        do throws(LakeError) { replays = try reader.replays() } catch { find(reader.layout.generationLog, "\(error)") }
        verifyGenerationList()
        for source in sources {
            verifyLog(reader.layout.commitLog(source))
            verifyHours(source, replay: nil)
            for replay in replays where replay.source == source {
                verifyLog(reader.layout.commitLog(source, replay: replay.generation))
                verifyHours(source, replay: replay.generation)
            }
        }
        if topic == nil && partition == nil { try findOrphans() }
        return totals
    }

    func find(_ place: String, _ problem: String) {
        totals.findings += 1
        report(VerifyFinding(place: place, problem: problem))
    }

    // MARK: - Logs

    /// Every entry's checksum, and that entries follow one another.
    private func verifyLog(_ path: String) {
        do {
            let log = try CommitLog(reading: path)
            var next: Int64?
            var last: CommitRecord?
            try log.forEach { record throws(LakeError) in
                totals.logEntries += 1
                let place = "\(path), entry \(record.range)"
                if record.kind == .commit, let expected = next, (record.gap?.start ?? record.range.start) != expected {
                    find(place, "does not follow the entry before, which ends at \(expected)")
                }
                // A replay's entries tell no broker time: 0 throughout.
                if let last, record.firstOffset < last.firstOffset || record.brokerTimeMax < last.brokerTimeMax {
                    find(place, "names an earlier file or broker time than the entry before")
                }
                if record.kind != .seal || next == nil { next = record.range.end }
                last = record
                return true
            }
            let size = try LakeError.placed(path) { try File(path, .read).size() }
            if size > log.size {
                find("\(path), byte \(log.size)", "\(size - log.size) bytes behind the last whole entry")
            }
        } catch {
            find(path, "\(error)")
        }
    }

    // MARK: - Hours

    private func verifyHours(_ source: TopicPartition, replay: Int64?) {
        do throws(LakeError) {
            try reader.forEachHour(source, replay: replay) { hour throws(LakeError) in verify(hour) }
        } catch {
            find(reader.layout.commitLog(source, replay: replay), "\(error)")
        }
    }

    private func verify(_ hour: InventoryHour) {
        var hour = hour
        // A writer may seal it meanwhile: then it is looked at in its sealed form.
        if hour.seal == nil, hour.files.contains(where: { !Folder.exists($0.path(in: reader.layout)) }),
            let log = try? CommitLog(reading: reader.layout.commitLog(hour.source, replay: hour.replay)),
            let seal = try? log.seal(ofFiles: hour.firstOffset)
        {
            hour.seal = seal
        }
        var bronze = BronzeDigests(range: hour.range)
        if hour.replay != nil { load(&bronze, hour.source) }
        for file in hour.files {
            // Its other form is there for as long as a seal takes; the look at unknown files allows for that.
            known.insert(file.path(in: reader.layout))
            verify(file, hour, &bronze)
        }
        // A replay has no Bronze of its own.
        if hour.replay == nil { reportMissing(bronze, hour) }
        verifyGenerations(hour)
    }

    /// The Bronze digests that a replay's lines are compared with.
    private func load(_ bronze: inout BronzeDigests, _ source: TopicPartition) {
        do throws(LakeError) {
            try reader.forEachLine(.bronze, generation: nil, source: source, range: bronze.range) { offset, line in
                line.withUnsafeBytes { bytes in
                    if let digest = lines.valueDigest(bytes) { bronze[offset] = digest }
                }
                return true
            }
        } catch {
            if case .expired = error {
                bronze.isExpired = true
                return
            }
            find("\(source) \(bronze.range)", "its Bronze cannot be read: \(error)")
        }
    }

    private func reportMissing(_ bronze: BronzeDigests, _ hour: InventoryHour) {
        for missing in bronze.missing(committed: hour.commits.map(\.range)) {
            find("\(hour.source), offsets \(missing)", "no Bronze line")
        }
    }

    private func verify(_ file: InventoryFile, _ hour: InventoryHour, _ bronze: inout BronzeDigests) {
        let path = file.path(in: reader.layout)
        do {
            guard let handle = try open(file, &bronze) else { return }
            totals.files += 1
            let size = try handle.size()
            if size < file.bytes || (file.isSealed && size != file.bytes) {
                find(path, "has \(size) bytes where the log says \(file.bytes)")
            }
            var sum: UInt32 = 0
            var hasher = try SHA256Hasher()
            try hasher.begin()
            var decompressor = try Decompressor()
            var count = 0
            for span in file.spans {
                let place = "\(path), byte \(span.start)"
                let bytes = try handle.read(at: span.start, count: span.end - span.start)
                totals.bytes += bytes.count
                let spanSum = bytes.withUnsafeBytes { crc32c($0, seed: file.isSealed ? sum : 0) }
                if let expected = span.checksum, spanSum != expected {
                    find(place, "its bytes do not match the CRC-32C of the commit log")
                }
                sum = spanSum
                let text: [UInt8]
                do {
                    text = try bytes.withUnsafeBytes { try decompressor.decompress($0) }
                } catch {
                    find(place, "\(error)")
                    decompressor = try Decompressor()
                    continue
                }
                totals.rawBytes += text.count
                if file.isSealed { try text.withUnsafeBytes { try hasher.update($0) } }
                let found = verify(text, file, span, place, hour, &bronze)
                if let expected = span.lines, found != expected {
                    find(place, "holds \(found) lines where the log says \(expected)")
                }
                count += found
            }
            totals.lines += count
            if let expected = file.checksum, sum != expected {
                find(path, "its bytes do not match the CRC-32C of the seal")
            }
            if let expected = file.contentSHA256, try hasher.finish().hex != expected {
                find(path, "its text does not match the SHA-256 of the seal")
            }
            if count != file.lines { find(path, "holds \(count) lines where the log says \(file.lines)") }
        } catch {
            find(path, "\(error)")
        }
    }

    /// - Returns: nil where retention gave the file up.
    private func open(_ file: InventoryFile, _ bronze: inout BronzeDigests) throws(LakeError) -> DataFileBytes? {
        var isExpired = false
        if file.isSealed {
            switch try SealedFileSource(layout: reader.layout).place(of: file.name) {
            case .expired: isExpired = true
            case .tiered: totals.filesTiered += 1
            case .local, .missing: break
            }
        }
        if !isExpired {
            do throws(LakeError) { return try reader.bytes(of: file) } catch {
                // Retention may have come in between.
                guard case .expired = error else { throw error }
            }
        }
        totals.filesExpired += 1
        if file.name.layer == .bronze { bronze.isExpired = true }
        return nil
    }

    /// - Returns: lines in the text.
    private func verify(
        _ text: [UInt8], _ file: InventoryFile, _ span: InventoryFile.Span, _ place: String, _ hour: InventoryHour,
        _ bronze: inout BronzeDigests
    ) -> Int {
        var count = 0
        var last: Int64?
        text.withUnsafeBytes { text in
            var start = 0
            while start < text.count {
                let rest = UnsafeRawBufferPointer(rebasing: text[start...])
                guard let base = rest.baseAddress, let feed = memchr(base, 0x0A, rest.count) else {
                    find(place, "ends within a line")
                    return
                }
                let length = base.distance(to: UnsafeRawPointer(feed))
                let line = UnsafeRawBufferPointer(rebasing: rest[..<length])
                let offset = lines.verify(line, layer: file.name.layer, bronze: &bronze) { offset, problem in
                    find("\(place), \(file.name.source) offset \(offset.map(String.init) ?? "?")", problem)
                }
                if let offset {
                    if count == 0, let first = span.firstOffset, first != offset {
                        find(place, "begins with offset \(offset) where the frame index says \(first)")
                    }
                    if let last, offset <= last { find(place, "offset \(offset) stands behind \(last)") }
                    last = offset
                }
                count += 1
                start += length + 1
            }
        }
        return count
    }

    // MARK: - Files that no log knows

    private func findOrphans() throws(LakeError) {
        var paths: [String] = []
        do throws(FileError) {
            for layer in Layer.allCases {
                let folder = reader.layout.root + "/" + layer.rawValue
                if Folder.exists(folder) { try collect(folder, into: &paths) }
            }
        } catch {
            throw .file(error)
        }
        try findOrphanObjects()
        let unknown = try GenerationVerifier.withoutUnfinished(paths.filter { !known.contains($0) }, reader.layout)
        guard !unknown.isEmpty else { return }
        // A writer may have made or sealed files since the logs were read.
        var now = known
        for source in try reader.sources() {
            try? reader.forEachHour(source) { hour throws(LakeError) in
                for file in hour.files { now.insert(file.path(in: reader.layout)) }
            }
        }
        for path in unknown where !now.contains(path) && Folder.exists(path) {
            let written = isBeingWritten(path)
            if !written { find(path, "no log knows this file; what a crash left is removed at the next start") }
        }
    }

    /// Objects of the lake that no log knows. One that a crash left before it was recorded has its file's key.
    private func findOrphanObjects() throws(LakeError) {
        guard let objects = reader.layout.objects else { return }
        let root = reader.layout.root + "/"
        do throws(ObjectStorageError) {
            for layer in Layer.allCases {
                try objects.storage.forEach(prefix: objects.prefix + layer.rawValue + "/") { object in
                    if !known.contains(root + object.key.dropFirst(objects.prefix.count)) {
                        find("s3://\(objects.storage.configuration.bucket)/\(object.key)", "no log knows this object")
                    }
                    return true
                }
            }
        } catch {
            throw .storage(error)
        }
    }

    private func collect(_ folder: String, into paths: inout [String]) throws(FileError) {
        for name in try Folder.list(folder) {
            let path = folder + "/" + name
            if Folder.isFolder(path) { try collect(path, into: &paths) } else { paths.append(path) }
        }
    }

    /// Whether a writer holds the topic partition that a path belongs to: it may be sealing, or before a first commit.
    private func isBeingWritten(_ path: String) -> Bool {
        guard let sources = try? reader.sources() else { return false }
        return sources.contains { source in
            guard path.contains("/topic=\(source.topic)/partition=\(source.partition)/") else { return false }
            guard var lock = try? File(reader.layout.lock(source), .read) else { return false }
            return (try? lock.tryLock()) == false
        }
    }
}
