import Files
import ObjectStorage

/// Where a sealed file's bytes are.
package enum SealedFilePlace: Sendable {
    /// On this file system, whether or not there is a copy in the object storage.
    case local(path: String)
    /// Only in the object storage.
    case tiered(TierEntry)
    /// Given up by retention.
    case expired(Expiry)
    /// Neither here nor recorded as being anywhere else.
    case missing(path: String)
}

/// Finds and reads sealed files, wherever they are.
package struct SealedFileSource: Sendable {
    private let layout: LakeLayout
    private let untilNanoseconds: Int64?
    private let readsObjects: Bool

    /// - Parameters:
    ///   - untilNanoseconds: of the monotonic clock: reading from the object storage is given up by then.
    ///   - readsObjects: false for a reader that must not wait for it; it gets ``LakeError/distant(url:)``.
    package init(layout: LakeLayout, untilNanoseconds: Int64? = nil, readsObjects: Bool = true) {
        self.layout = layout
        self.untilNanoseconds = untilNanoseconds
        self.readsObjects = readsObjects
    }

    /// Where a file is now. A local file goes only after its copy is recorded, so looking in this order never misses one.
    ///
    /// - Parameter contentSHA256: of its lines, as the log has it; see ``open(_:contentSHA256:)``.
    package func place(of name: DataFileName, contentSHA256: String? = nil) throws(LakeError) -> SealedFilePlace {
        let path = layout.dataFile(name)
        if let contentSHA256 {
            let rewritten = layout.rewrittenFile(name, contentSHA256: contentSHA256)
            if Folder.exists(rewritten) { return .local(path: rewritten) }
        }
        if Folder.exists(layout.sealingFile(name)) { return .local(path: layout.sealingFile(name)) }
        if Folder.exists(path) { return .local(path: path) }
        if let expiry = try RetentionLog(layout: layout, source: name.source).expiry(of: name) {
            return .expired(expiry)
        }
        if let entry = try TierLog(layout: layout, source: name.source).entry(of: name) { return .tiered(entry) }
        return .missing(path: path)
    }

    /// Opens a file for reading, whose seal is in the commit log.
    ///
    /// It has its temporary name until it is renamed over the growing file, or over the one that it was rewritten from; looking there
    /// first never takes that one for it.
    ///
    /// - Parameter contentSHA256: of its lines, as the log has it; nil where nothing can have been rewritten.
    /// - Throws: ``LakeError/file(_:)`` with ENOENT where it is missing, ``LakeError/expired(path:_:)`` where it was given
    ///   up.
    package func open(_ name: DataFileName, contentSHA256: String? = nil) throws(LakeError) -> DataFileBytes {
        let path = layout.dataFile(name)
        let rewritten = contentSHA256.map { layout.rewrittenFile(name, contentSHA256: $0) }
        for temporary in [rewritten, layout.sealingFile(name)].compactMap({ $0 }) {
            do throws(FileError) {
                return try DataFileBytes(path: temporary)
            } catch {
                guard error.isNotFound else { throw .file(error) }
            }
        }
        do throws(FileError) {
            return try DataFileBytes(path: path)
        } catch {
            guard error.isNotFound else { throw .file(error) }
            switch try place(of: name) {
            case .tiered(let entry): return try open(entry)
            case .expired(let expiry): throw .expired(path: path, expiry)
            case .local, .missing: throw .file(error)
            }
        }
    }

    /// Opens a file's copy in the object storage.
    package func open(_ entry: TierEntry) throws(LakeError) -> DataFileBytes {
        guard readsObjects else { throw .distant(url: entry.url) }
        guard let objects = layout.objects else {
            throw .notFound(
                "\(layout.dataFile(entry.name)) was moved to \(entry.url); set LAKE_S3_BUCKET and the other LAKE_S3_ "
                    + "settings to read it")
        }
        guard objects.storage.configuration.bucket == entry.bucket else {
            throw .notFound(
                "\(layout.dataFile(entry.name)) was moved to \(entry.url), but LAKE_S3_BUCKET is "
                    + objects.storage.configuration.bucket)
        }
        return DataFileBytes(
            key: entry.key, bytes: entry.bytes, storage: objects.storage, untilNanoseconds: untilNanoseconds)
    }
}

/// The bytes of one data file, from the disk or from the object storage. One thread at a time.
package final class DataFileBytes {
    /// A path, or `s3://bucket/key`.
    package let place: String
    private var file: File?
    private var object: (storage: ObjectStorage, key: String, bytes: Int)?
    private var untilNanoseconds: Int64?
    /// What was read ahead from the object storage.
    private var ahead: (start: Int, bytes: [UInt8]) = (0, [])
    private var lastEnd: Int?
    /// Whoever reads on from where the last read ended gets so much at once; it bounds the memory, too.
    private static let aheadBytesMax = 8 << 20

    /// Opens a local file.
    init(path: String) throws(FileError) {
        file = try File(path, .read)
        place = path
    }

    /// An object's bytes; nothing is asked for yet.
    init(key: String, bytes: Int, storage: ObjectStorage, untilNanoseconds: Int64?) {
        self.untilNanoseconds = untilNanoseconds
        object = (storage, key, bytes)
        place = "s3://\(storage.configuration.bucket)/\(key)"
    }

    /// The file's length.
    package func size() throws(LakeError) -> Int {
        if let object { return object.bytes }
        return try LakeError.placed(place) { try file?.size() ?? 0 }
    }

    /// Reads up to `count` bytes at `offset`; fewer at the end. From the object storage by one range request, so that
    /// one frame costs one frame.
    package func read(at offset: Int, count: Int) throws(LakeError) -> [UInt8] {
        guard let object else {
            return try LakeError.placed(place) { try file?.read(at: offset, count: count) ?? [] }
        }
        let end = min(offset + count, object.bytes)
        guard offset < end else { return [] }
        defer { lastEnd = end }
        if offset >= ahead.start, end <= ahead.start + ahead.bytes.count {
            return Array(ahead.bytes[(offset - ahead.start)..<(end - ahead.start)])
        }
        let isSequential = lastEnd == offset
        let wanted = isSequential ? min(max(end - offset, Self.aheadBytesMax), object.bytes - offset) : end - offset
        let bytes = try LakeError.placed(place) {
            try object.storage.get(object.key, start: offset, count: wanted, untilNanoseconds: untilNanoseconds)
        }
        if wanted == end - offset { return bytes }
        ahead = (offset, bytes)
        return Array(bytes[..<(end - offset)])
    }
}
