import Bytes
import Files
import Hashing
import ObjectStorage
package import Records
import Zstd

/// Moves sealed files to the object storage.
///
/// For each file: its lines are held against the seal's hash, it is uploaded with its checksum, read back and compared,
/// the tier log says where it is, durably, and only then it goes from the disk. A crash at any of these leaves the local
/// file, or a copy that was verified and recorded; the next run finishes.
package struct Tiering {
    /// What became of one file.
    package enum Outcome: Sendable {
        /// Would be moved; of a dry run.
        case due
        case moved(TierEntry)
        /// Stays, since it is not what its seal says.
        case refused(LakeError)
    }

    private let layout: LakeLayout
    private let objects: LakeObjects
    private let reader: LakeReader
    /// How much of a file is hashed or read back at once; bounds the memory.
    private static let windowBytes = 8 << 20
    /// How often a file is sent whose copy reads back differently.
    private static let uploadsMax = 3

    /// - Throws: ``LakeError/notFound(_:)`` where no object storage is set.
    package init(layout: LakeLayout) throws(LakeError) {
        guard let objects = layout.objects else {
            throw .notFound("no object storage is set; set LAKE_S3_BUCKET and the other LAKE_S3_ settings")
        }
        self.layout = layout
        self.objects = objects
        reader = LakeReader(layout: layout)
    }

    /// Moves the files of a topic partition whose hour ended at or before `cutoff`, oldest first.
    ///
    /// - Parameters:
    ///   - cutoff: broker time in milliseconds since 1970.
    ///   - report: called for each file that is here and due.
    /// - Throws: ``LakeError``, also where the object storage fails for good; what was moved until then stays moved.
    package func run(
        _ source: TopicPartition, until cutoff: Int64, isDryRun: Bool, report: (ListedFile, Outcome) -> Void
    ) throws(LakeError) {
        let lock = isDryRun ? nil : try UpkeepLock(source, in: layout)
        let expiries = try RetentionLog(layout: layout, source: source).read()
        try reader.forEachSealedFile(source) { listed throws(LakeError) in
            // What is given up waits for its removal.
            guard !expiries.contains(where: { $0.covers(listed.name) }) else { return true }
            // Until its seal is finished, the growing file has its name; the topic partition's writer does that.
            guard listed.endMilliseconds <= cutoff, !Folder.exists(layout.sealingFile(listed.name)),
                Folder.exists(layout.dataFile(listed.name))
            else { return true }
            if isDryRun {
                report(listed, .due)
                return true
            }
            do throws(LakeError) {
                report(listed, .moved(try move(listed)))
            } catch {
                guard case .damaged = error else { throw error }
                report(listed, .refused(error))
            }
            return true
        }
        if !isDryRun { try LakeCopies(objects: objects, layout: layout).put(of: source) }
        withExtendedLifetime(lock) {}
    }

    /// Puts a file that was rewritten in the place of its copy in the object storage. Who calls it holds the ``UpkeepLock``.
    func renew(_ listed: ListedFile) throws(LakeError) { _ = try move(listed) }

    private func move(_ listed: ListedFile) throws(LakeError) -> TierEntry {
        let log = TierLog(layout: layout, source: listed.name.source)
        // Recorded before, so its copy was verified then; it is verified again before the file goes. A copy of what the file was before
        // it was rewritten is none.
        if let entry = try log.entry(of: listed.name), entry.bucket == objects.storage.configuration.bucket,
            entry.contentSHA256 == listed.file.contentSHA256, try hash(of: entry) == entry.sha256
        {
            try log.makeDurable(hour: listed.name.hour)
            try removeLocal(listed.name)
            return entry
        }
        for _ in 0..<Self.uploadsMax {
            let entry = try upload(listed)
            guard try hash(of: entry) == entry.sha256 else { continue }
            try log.append(entry)
            try removeLocal(listed.name)
            return entry
        }
        throw .storage(
            ObjectStorageError(
                kind: .mismatch, operation: "keep", bucket: objects.storage.configuration.bucket,
                key: objects.key(of: listed.name, in: layout),
                reason: "other bytes came back than were sent, \(Self.uploadsMax) times; the local file stays"))
    }

    /// Checks the file against its seal and stores it.
    private func upload(_ listed: ListedFile) throws(LakeError) -> TierEntry {
        let path = layout.dataFile(listed.name)
        let key = objects.key(of: listed.name, in: layout)
        return try LakeError.placed(path) {
            let file = try File(path, .read)
            let size = try file.size()
            guard size == listed.file.bytes else {
                throw LakeError.damaged(path: path, reason: "it has \(size) bytes, its seal says \(listed.file.bytes)")
            }
            let digest = try Self.checkedHash(of: file, against: listed.file)
            try objects.storage.put(
                key, descriptor: file.descriptor, bytes: size, sha256: digest.withBytes { Array($0) })
            return TierEntry(
                name: listed.name, bucket: objects.storage.configuration.bucket, key: key, bytes: size,
                sha256: digest.hex, contentSHA256: listed.file.contentSHA256,
                atMilliseconds: SystemClock.epochMilliseconds())
        }
    }

    /// SHA-256 of the compressed bytes, having seen that the lines are those that were sealed.
    private static func checkedHash(
        of file: borrowing File, against sealed: SealedFile
    ) throws -> Digest256 {
        var compressed = try SHA256Hasher()
        var content = try SHA256Hasher()
        try compressed.begin()
        try content.begin()
        var stream = try StreamDecompressor()
        var position = 0
        var failure: (any Error)?
        while position < sealed.bytes {
            let window = try file.read(at: position, count: min(windowBytes, sealed.bytes - position))
            guard !window.isEmpty else {
                throw LakeError.damaged(path: file.path, reason: "it ends at byte \(position)")
            }
            position += window.count
            try window.withUnsafeBytes { bytes in
                try compressed.update(bytes)
                do {
                    try stream.feed(bytes) { text in
                        do { try content.update(text) } catch { failure = error }
                    }
                } catch {
                    throw LakeError.damaged(path: file.path, reason: "\(error)")
                }
            }
            if let failure { throw failure }
        }
        let digest = try content.finish().hex
        guard stream.isAtFrameEnd, digest == sealed.contentSHA256 else {
            throw LakeError.damaged(
                path: file.path,
                reason: "its lines have the SHA-256 \(digest), its seal says \(sealed.contentSHA256)")
        }
        return try compressed.finish()
    }

    /// SHA-256 of what the object storage gives back; nil where it has another length or nothing.
    private func hash(of entry: TierEntry) throws(LakeError) -> String? {
        try LakeError.placed(entry.url) {
            guard try objects.storage.head(entry.key)?.bytes == entry.bytes else { return nil }
            var hasher = try SHA256Hasher()
            try hasher.begin()
            var position = 0
            while position < entry.bytes {
                let window = try objects.storage.get(
                    entry.key, start: position, count: min(Self.windowBytes, entry.bytes - position))
                try window.withUnsafeBytes { try hasher.update($0) }
                position += window.count
            }
            return try hasher.finish().hex
        }
    }

    private func removeLocal(_ name: DataFileName) throws(LakeError) {
        try LakeError.placed(layout.dataFile(name)) {
            try Folder.removeIfPresent(layout.dataFile(name))
            try Folder.sync(layout.folder(of: name))
        }
    }
}
