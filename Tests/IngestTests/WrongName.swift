import Glibc

/// A file whose name is no UTF-8.
struct WrongName {
    private let path: [CChar]

    /// - Parameter start: what the path begins with.
    init(_ start: String) { path = Array(start.utf8CString.dropLast()) + [CChar(truncatingIfNeeded: 0xE9), 0] }

    /// - Returns: whether it was made.
    func create() -> Bool {
        let descriptor = open(path, O_CREAT | O_WRONLY, 0o600)
        return descriptor >= 0 && close(descriptor) == 0
    }

    /// What removes a tree knows names in UTF-8 alone.
    func remove() { unlink(path) }
}
