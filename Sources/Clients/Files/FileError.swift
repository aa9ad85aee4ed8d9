import Glibc

/// A failed file operation: what, on which path, and the system's reason.
package struct FileError: Error, CustomStringConvertible, Equatable {
    /// The system call or step, such as `open` or `fdatasync`.
    package let operation: String
    package let path: String
    /// The system's error number.
    package let code: Int32

    package init(_ operation: String, _ path: String, code: Int32 = errno) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    /// There is no such file or folder.
    package var isNotFound: Bool { code == ENOENT }
    /// Time or an operator can heal it: a full disk, a quota, too many open files, an interrupted call.
    package var isRetriable: Bool { [ENOSPC, EDQUOT, EMFILE, ENFILE, EINTR, EAGAIN].contains(code) }

    package var description: String {
        "\(operation) \(path): \(String(cString: strerror(code)))" + (hint.map { "; \($0)" } ?? "")
    }

    /// What an operator can do about it.
    package var hint: String? {
        switch code {
        case ENOSPC: "the disk is full: free some space; writing goes on by itself (docs/troubleshooting.md)"
        case EDQUOT: "the disk quota is used up: raise it or free some space"
        case EACCES, EPERM: "check the owner and the permissions"
        case ENOTDIR: "a part of the path is a file: choose another folder, or move that file away"
        case EROFS: "the file system is read-only: choose another folder or remount it"
        case EMFILE: "too many open files: raise `ulimit -n`"
        default: nil
        }
    }
}
