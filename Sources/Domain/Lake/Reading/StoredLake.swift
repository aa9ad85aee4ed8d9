import JSONScan
import ObjectStorage
package import Records

/// What a reader without the lake's folder finds of it in the object storage: sealed files that were moved there, the list of
/// generations and what retention gave up (``LakeCopies``), as they were when files were moved or given up last.
package struct StoredLake: Sendable {
    private let objects: LakeObjects
    private let layout: LakeLayout
    private let untilNanoseconds: Int64?

    private static let logBytesMax = 64 << 20

    /// - Parameter untilNanoseconds: of the monotonic clock: reading is given up by then.
    package init(objects: LakeObjects, untilNanoseconds: Int64?) {
        self.objects = objects
        self.untilNanoseconds = untilNanoseconds
        // Only for the names below it.
        layout = LakeLayout(root: "s3://\(objects.storage.configuration.bucket)/\(objects.prefix)")
    }

    /// All generations; none where no list was put there yet.
    package func generations() throws(LakeError) -> [LakeGeneration] {
        try GenerationLog(layout: layout).generations(records(of: layout.generationLog))
    }

    /// What gave up the Bronze of an offset; nil where nothing did.
    package func expiry(_ source: TopicPartition, offset: Int64) throws(LakeError) -> Expiry? {
        let path = layout.retentionLog(source)
        var found: Expiry?
        for value in try records(of: path) {
            guard let expiry = Expiry(value) else { throw .damaged(path: path, reason: "an entry lacks a field") }
            if expiry.layer == .bronze, expiry.range.contains(offset) { found = expiry }
        }
        return found
    }

    /// The Bronze line of an offset, from the file that begins last before it. The frames' places stand in the commit log,
    /// which is not here; so the file is read from its start.
    ///
    /// - Returns: nil where no file has it.
    package func bronze(_ source: TopicPartition, offset: Int64) throws(LakeError) -> LocatedLine? {
        let folder = layout.folder(of: .bronze, generation: nil, source: source) + "/"
        var newest: (firstOffset: Int64, object: ObjectSummary)?
        try LakeError.placed(folder) {
            try objects.storage.forEach(
                prefix: objects.key(of: folder, in: layout), untilNanoseconds: untilNanoseconds
            ) { object in
                if let first = LakeLayout.firstOffset(ofFileAt: object.key), first <= offset,
                    first > newest?.firstOffset ?? -1
                {
                    newest = (first, object)
                }
                return true
            }
        }
        guard let object = newest?.object else { return nil }
        let file = DataFileBytes(
            key: object.key, bytes: object.bytes, storage: objects.storage, untilNanoseconds: untilNanoseconds)
        guard let found = try FrameReader.find(offset, .bronze, in: file) else { return nil }
        return LocatedLine(
            line: found.line, path: file.place, frameStart: found.start, frameEnd: found.end, isSealed: true)
    }

    /// The entries of a copied log; none where there is no copy.
    private func records(of path: String) throws(LakeError) -> [JSONValue] {
        let key = objects.key(of: path, in: layout)
        let bytes = try LakeError.placed(path) { () -> [UInt8] in
            guard let object = try objects.storage.head(key, untilNanoseconds: untilNanoseconds) else { return [] }
            guard object.bytes <= Self.logBytesMax else {
                throw LakeError.damaged(
                    path: path, reason: "it has \(object.bytes) bytes, \(Self.logBytesMax) at most are read")
            }
            return try objects.storage.get(key, start: 0, count: object.bytes, untilNanoseconds: untilNanoseconds)
        }
        return try RecordLines(bytes, path: path).records
    }
}
