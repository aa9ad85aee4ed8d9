import Files
import Glibc
import Records

/// Held by whoever moves or removes sealed files of a topic partition. Writers and readers do not ask for it: they never
/// touch a sealed file but to read it.
struct UpkeepLock: ~Copyable {
    private let file: File

    /// - Throws: ``LakeError/locked(source:path:holder:)`` where another process holds it.
    init(_ source: TopicPartition, in layout: LakeLayout) throws(LakeError) {
        let path = layout.upkeepLock(source)
        file = try LakeError.placed(path) {
            try Folder.create(Folder.parent(of: path), isDurable: false)
            var file = try File(path, .readWrite)
            guard try file.tryLock() else {
                let holder = String(decoding: try file.read(at: 0, count: 64), as: UTF8.self)
                throw LakeError.locked(source: source, path: path, holder: holder)
            }
            try file.truncate(to: 0)
            try Array("pid \(getpid())".utf8).withUnsafeBytes { bytes in try file.write(bytes, at: 0) }
            return file
        }
    }
}
