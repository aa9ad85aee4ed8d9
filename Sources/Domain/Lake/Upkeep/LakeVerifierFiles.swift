import Files
import Glibc
import Hashing
import ObjectStorage
import Records
import Zstd

/// The bytes and lines of single files.
extension LakeVerifier {
    func verify(_ file: InventoryFile, _ opened: LakeReader.OpenHour, _ bronze: inout BronzeDigests) {
        let hour = opened.hour
        let path = file.path(in: reader.layout)
        do {
            guard let handle = try open(file, opened, &bronze) else { return }
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
    private func open(
        _ file: InventoryFile, _ opened: LakeReader.OpenHour, _ bronze: inout BronzeDigests
    ) throws(LakeError) -> DataFileBytes? {
        var isExpired = false
        if file.isSealed {
            switch try SealedFileSource(layout: reader.layout).place(
                of: file.name, contentSHA256: file.contentSHA256)
            {
            case .expired: isExpired = true
            case .tiered: totals.filesTiered += 1
            case .local, .missing: break
            }
        }
        if !isExpired {
            do throws(LakeError) { return try opened.bytes(of: file) } catch {
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
}

/// Files that no log knows.
extension LakeVerifier {
    /// What the logs say at present.
    private struct Present {
        var files: Set<String> = []
        /// Where each topic partition's commit log ends.
        var ends: [TopicPartition: Int64] = [:]
        /// The hour that each topic partition grows: a file of it without lines yet is one whose first commit is under way.
        var growing: [TopicPartition: (firstOffset: Int64, folder: String)] = [:]
        /// Generations whose files nobody reads: they are being made, or were given up.
        var unread: Set<Int64> = []
    }

    func findOrphans() throws(LakeError) {
        var paths: [String] = []
        do throws(FileError) {
            for layer in Layer.allCases {
                let folder = reader.layout.root + "/" + layer.rawValue
                if Folder.exists(folder) { try collect(folder, into: &paths) }
            }
        } catch {
            throw .file(error)
        }
        let unknown = paths.filter { !known.contains($0) }
        let objects = try unknownObjects()
        guard !unknown.isEmpty || !objects.isEmpty else { return }
        // A writer may have made or sealed files since the logs were read.
        let now = try present()
        let isErasing = try ErasureLog(layout: reader.layout).read().contains { !$0.isDone }
        var uncommitted: [TopicPartition: [UncommittedFiles.Found]] = [:]
        for path in unknown where !now.files.contains(path) && Folder.exists(path) {
            let place = PathPlace(path)
            // Nobody takes a file that is being sealed for a data file, and the next start removes what a crash left.
            if path.hasSuffix(".sealing"), now.files.contains(path.dropLast(8) + ".jsonl.zst") { continue }
            // Nor one that an erasure prepared; it knows what it has begun.
            if path.hasSuffix(".erasing"), isErasing { continue }
            if let generation = place.generation, place.offset != nil, now.unread.contains(generation) { continue }
            // The first lines of a layer in the growing hour, before the log has their commit; a start cuts them off.
            if let source = place.source, let hour = now.growing[source], place.offset == hour.firstOffset,
                path.contains("/\(hour.folder)/")
            {
                continue
            }
            if let source = place.source, let end = now.ends[source], let layer = place.layer,
                let offset = place.offset, offset >= end
            {
                uncommitted[source, default: []].append(.init(path: path, layer: layer, offset: offset))
                continue
            }
            find(path, "no log knows this file")
        }
        // The first lines of an hour, before its first commit; if a crash left them, the next start removes them.
        for files in uncommitted.values where !UncommittedFiles.areLeftOver(files) {
            for file in files { find(file.path, "no log knows this file: the commit log ends before it") }
        }
        for object in objects where !now.files.contains(object.path) {
            find(object.url, "no log knows this object")
        }
    }

    private func present() throws(LakeError) -> Present {
        var now = Present()
        // What cannot be read is a finding of its own.
        for generation in (try? GenerationLog(layout: reader.layout).read()) ?? [] where !generation.isRead {
            now.unread.insert(generation.number)
        }
        for source in try reader.sources() {
            do throws(LakeError) { now.ends[source] = try reader.committedRange(source)?.end ?? 0 } catch {}
            for replay in [nil] + (try reader.replays(source)).map(Optional.some) {
                try? reader.forEachHour(source, replay: replay) { hour throws(LakeError) in
                    for file in hour.files { now.files.insert(file.path(in: reader.layout)) }
                    if replay == nil {
                        now.growing[source] = hour.seal == nil ? (hour.firstOffset, hour.hour.path) : nil
                    }
                }
            }
        }
        return now
    }

    /// Objects of the lake that no log told of. One that a crash left before it was recorded has its file's key.
    private func unknownObjects() throws(LakeError) -> [(path: String, url: String)] {
        guard let objects = reader.layout.objects else { return [] }
        var unknown: [(path: String, url: String)] = []
        do throws(ObjectStorageError) {
            for layer in Layer.allCases {
                try objects.storage.forEach(prefix: objects.prefix + layer.rawValue + "/") { object in
                    let path = reader.layout.root + "/" + object.key.dropFirst(objects.prefix.count)
                    if !known.contains(path) {
                        unknown.append((path, "s3://\(objects.storage.configuration.bucket)/\(object.key)"))
                    }
                    return true
                }
            }
        } catch {
            throw .storage(error)
        }
        return unknown
    }

    private func collect(_ folder: String, into paths: inout [String]) throws(FileError) {
        for name in try Folder.list(folder) {
            let path = folder + "/" + name
            if Folder.isFolder(path) { try collect(path, into: &paths) } else { paths.append(path) }
        }
    }
}

/// What a data file's path says.
private struct PathPlace {
    private(set) var layer: Layer?
    private(set) var generation: Int64?
    private(set) var source: TopicPartition?
    private(set) var offset: Int64?

    init(_ path: String) {
        var topic: String?
        for part in path.split(separator: "/") {
            if let found = Layer(rawValue: String(part)), topic == nil { layer = found }
            if part.hasPrefix("generation=") { generation = Int64(part.dropFirst(11)) }
            if part.hasPrefix("topic=") { topic = String(part.dropFirst(6)) }
            if part.hasPrefix("partition="), let topic, let number = Int32(part.dropFirst(10)) {
                source = TopicPartition(topic: topic, partition: number)
            }
        }
        offset = path.split(separator: "/").last.flatMap { UncommittedFiles.offset(ofFile: String($0)) }
    }
}

extension LakeGeneration {
    /// Whether anybody reads its files, or will without a promise that they are complete.
    fileprivate var isRead: Bool { state != .created && state != .pruned }
}
