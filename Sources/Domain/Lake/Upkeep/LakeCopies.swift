import Files
import Hashing
import ObjectStorage
import Records

/// Copies of small logs beside the files in the object storage, for readers without the lake's folder (``StoredLake``). The
/// lake itself never reads them.
struct LakeCopies {
    let objects: LakeObjects
    let layout: LakeLayout

    private static let bytesMax = 64 << 20

    /// Puts copies of the list of generations and of what retention gave up of a topic partition.
    func put(of source: TopicPartition) throws(LakeError) {
        for path in [layout.generationLog, layout.retentionLog(source)] where Folder.exists(path) { try put(path) }
    }

    private func put(_ path: String) throws(LakeError) {
        let key = objects.key(of: path, in: layout)
        try LakeError.placed(path) {
            // The open file stays the same if another process appends to the log or replaces it.
            let file = try File(path, .read)
            let bytes = try file.read(at: 0, count: min(try file.size(), Self.bytesMax))
            var hasher = try SHA256Hasher()
            let digest = try bytes.withUnsafeBytes { try hasher.hash($0) }
            try objects.storage.put(
                key, descriptor: file.descriptor, bytes: bytes.count, sha256: digest.withBytes { Array($0) },
                contentType: "application/x-ndjson")
        }
    }
}
