/// A change to the file system, just before this module makes it.
package enum FileChange: Sendable {
    /// A file that was not there is made.
    case create(path: String)
    case write(path: String, bytes: [UInt8], offset: Int)
    case truncate(path: String, size: Int)
    /// Content and length are made durable; `site` is the caller's place in the code, such as `Lake/CommitLog.swift:70`.
    case sync(path: String, site: String)
    case makeFolder(path: String)
    /// The names in a folder are made durable.
    case syncFolder(path: String, site: String)
    case rename(path: String, target: String)
    case remove(path: String)
    case removeFolder(path: String)
}

/// Sees every change that a task makes through this module, and may refuse it.
///
/// For tests of what a crash or a broken disk leaves behind. In production there is none, which costs one task-local
/// look-up for each system call that changes something.
package protocol FileWitness: Sendable {
    /// - Throws: what the caller is to believe of the system; the change is then not made.
    func willMake(_ change: FileChange) throws(FileError)
}

/// Where the witness of the present task is found.
package enum FileWatch {
    @TaskLocal package static var witness: (any FileWitness)?
}
