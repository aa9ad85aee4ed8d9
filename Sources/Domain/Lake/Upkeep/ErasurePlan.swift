import Bytes
import Files
import JSONScan
import ObjectStorage
import Records

/// Files that an erasure has prepared to take the place of a topic partition's sealed ones. Who writes holds the topic partition's
/// ``UpkeepLock``.
struct ErasurePlan {
    /// One file.
    struct Entry {
        /// The generation whose replay's log names it; nil for the topic partition's own.
        let replay: Int64?
        /// Lines that are taken out, or lose what they hold.
        let lines: Int
        /// Erased records in the file's range when it was prepared; nil where the plan does not have it.
        let records: Int64?
        let record: CommitRecord
        let rewrite: FileRewrite
        let name: DataFileName
    }

    private let layout: LakeLayout
    private let source: TopicPartition

    init(layout: LakeLayout, source: TopicPartition) {
        self.layout = layout
        self.source = source
    }

    private var log: RecordLog { RecordLog(path: layout.erasurePlan(source)) }

    /// What was prepared for an erasure; of a file that was prepared twice the last.
    func entries(of id: String) throws(LakeError) -> [Entry] {
        var entries: [Entry] = []
        for value in try log.read() where value["erasure"]?.string == id {
            guard let record = value["entry"].flatMap({ CommitRecord($0) }), let rewrite = record.rewrite,
                let lines = value["lines"]?.integer
            else { throw .damaged(path: log.path, reason: "an entry lacks a member") }
            let file = rewrite.file
            let name = DataFileName(
                layer: file.layer, generation: file.generation, source: source, hour: record.hour,
                firstOffset: file.firstOffset)
            entries.removeAll { $0.name == name }
            entries.append(
                Entry(
                    replay: value["replay"]?.integer, lines: Int(lines), records: value["records"]?.integer,
                    record: record, rewrite: rewrite, name: name))
        }
        return entries
    }

    /// Notes a file that is there, durably.
    func append(
        _ id: String, replay: Int64?, lines: Int, records: Int64, _ record: CommitRecord
    ) throws(LakeError) {
        var json = JSONWriter()
        json.beginObject()
        json.string("erasure", id)
        json.key("replay")
        if let replay { json.integer(replay) } else { json.null() }
        json.integer("lines", lines)
        json.integer("records", records)
        json.key("entry")
        json.raw(record.json)
        json.endObject()
        try log.append(json.bytes, in: layout)
    }

    /// Makes the present entries durable.
    func makeDurable() throws(LakeError) { try log.makeDurable(in: layout) }

    /// Forgets what was prepared for an erasure. Need not be durable: what comes back is of one that is done.
    func remove(_ id: String) throws(LakeError) {
        let left = try log.read().filter { $0["erasure"]?.string != id }
        guard Folder.exists(log.path) else { return }
        try LakeError.placed(log.path) {
            if left.isEmpty {
                try Folder.removeIfPresent(log.path)
            } else {
                _ = try RecordLog.replace(log.path, with: left.flatMap { LogLine.encode(Array($0.text.utf8)) })
            }
        }
    }
}

/// What erasures have written beside a sealed file. For who holds the topic partition's ``UpkeepLock``.
struct PreparedFiles {
    let layout: LakeLayout

    /// Removes those of a file, also one that was being written.
    ///
    /// - Parameter contents: the SHA-256 of those that stay.
    func remove(of name: DataFileName, except contents: Set<String>) throws(LakeError) {
        let folder = layout.folder(of: name)
        guard Folder.isFolder(folder) else { return }
        let writing = layout.rewritingFile(name)
        let kept = Set(contents.map { layout.rewrittenFile(name, contentSHA256: $0) })
        let stem = writing.dropLast("erasing".utf8.count)
        try LakeError.placed(folder) {
            for path in try Folder.list(folder).map({ folder + "/" + $0 })
            where path.hasPrefix(stem) && path.hasSuffix(".erasing") && !kept.contains(path) {
                try Folder.removeIfPresent(path)
            }
        }
    }
}

/// A sealed file's copy in the object storage, once the file was rewritten.
struct ErasedObject {
    let layout: LakeLayout
    let entry: ErasurePlan.Entry

    /// Puts the new file in the copy's place, and removes every other version of it.
    ///
    /// - Returns: versions that could not be removed, and why.
    func replace() throws(LakeError) -> [String] {
        let source = entry.name.source
        guard let tiered = try TierLog(layout: layout, source: source).entry(of: entry.name) else {
            guard let objects = layout.objects else { return [] }
            // A copy that a crash kept from being recorded.
            return try removeVersions(objects, objects.key(of: entry.name, in: layout), keepsLatest: false)
        }
        guard let objects = layout.objects, objects.storage.configuration.bucket == tiered.bucket else {
            throw .notFound(
                "\(tiered.url) is to be replaced; set LAKE_S3_BUCKET and the other LAKE_S3_ settings to it")
        }
        if Folder.exists(layout.dataFile(entry.name)) {
            let record = entry.record
            let range = OffsetRange(start: record.firstOffset, end: record.range.end) ?? record.range
            try Tiering(layout: layout).renew(
                ListedFile(
                    name: entry.name, file: entry.rewrite.file, range: range,
                    log: layout.commitLog(source, replay: entry.replay), ageHour: record.hour))
        }
        return try removeVersions(objects, tiered.key, keepsLatest: true)
    }

    private func removeVersions(
        _ objects: LakeObjects, _ key: String, keepsLatest: Bool
    ) throws(LakeError) -> [String] {
        let url = "s3://\(objects.storage.configuration.bucket)/\(key)"
        let versions: [ObjectVersion]
        do throws(ObjectStorageError) {
            versions = try objects.storage.versions(of: key)
        } catch {
            guard [.denied, .refused, .notFound].contains(error.kind) else { throw .storage(error) }
            // One that does not let us look may have some.
            if !keepsLatest { try LakeError.placed(url) { try objects.storage.delete(key) } }
            return error.kind == .notFound ? [] : ["\(url): its versions cannot be listed: \(error)"]
        }
        var remaining: [String] = []
        for version in versions where !(keepsLatest && version.isLatest) {
            do throws(ObjectStorageError) {
                try objects.storage.delete(key, version: version.id)
            } catch {
                guard [.denied, .refused].contains(error.kind) else { throw .storage(error) }
                remaining.append("\(url) version \(version.id): \(error)")
            }
        }
        return remaining
    }
}
