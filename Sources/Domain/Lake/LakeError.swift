package import Files
package import ObjectStorage
package import Records
package import Zstd

/// A failure of the lake: what, where, and what to do.
package enum LakeError: Error, CustomStringConvertible {
    case file(FileError)
    case zstd(path: String, ZstdError)
    /// A file of the lake is not what its commit log says.
    case damaged(path: String, reason: String)
    /// Something in the lake was written by a newer version, which must be understood to go on.
    case unsupported(path: String, what: String)
    /// The object storage, which holds some sealed files, failed.
    case storage(ObjectStorageError)
    /// What was asked for was given up by retention.
    case expired(path: String, Expiry)
    /// What was asked for lies in the object storage, which this reader leaves alone.
    case distant(url: String)
    /// Another process writes this topic partition.
    case locked(source: TopicPartition, path: String, holder: String)
    /// A commit that overlaps what is there.
    case overlap(source: TopicPartition, nextOffset: Int64, range: OffsetRange)
    /// Something was asked for that the lake does not hold.
    case notFound(String)
    /// Generations are not in the state that the operation needs.
    case generation(String)
    /// Decisions about quarantined records cannot be made now.
    case quarantine(String)
    /// An erasure cannot continue now.
    case erasure(String)

    /// Time or an operator can heal it, and the same call may then succeed.
    package var isRetriable: Bool {
        switch self {
        case .file(let error): error.isRetriable
        case .storage(let error): error.isRetriable
        default: false
        }
    }

    package var description: String {
        switch self {
        case .file(let error): "\(error)"
        case .zstd(let path, let error): "\(path): \(error)"
        case .storage(let error): "\(error)"
        case .expired(let path, let expiry): "\(path) is gone: \(expiry)"
        case .distant(let url): "\(url) lies in the object storage, which is not asked now"
        case .damaged(let path, let reason):
            "\(path) is damaged: \(reason); restore it from a copy, or move the lake away and consume the topic again"
        case .unsupported(let path, let what):
            "\(path): \(what), which this version of Medallion does not know: a newer one wrote it; use that one or a "
                + "newer one"
        case .locked(let source, let path, let holder):
            "\(source) is being written by another process (\(holder)), which holds \(path); stop that one first "
                + "(docs/troubleshooting.md)"
        case .overlap(let source, let nextOffset, let range):
            "\(source): a commit of \(range) overlaps what is there up to \(nextOffset); nothing was written"
        case .notFound(let what): what
        case .generation(let reason), .quarantine(let reason), .erasure(let reason): reason
        }
    }
}
