import Glibc

/// Paths as people type them, made to begin at the root.
package enum AbsolutePath {
    /// The path from the root, without `.`, doubled slashes and slashes at its end. Links and `..` stay: only the file system
    /// knows what they lead to. A relative path stays one where the working folder cannot be told.
    package static func of(_ path: String) -> String {
        var parts: [Substring] = []
        if path.utf8.first != UInt8(ascii: "/") {
            guard let folder = workingFolder else { return path }
            parts = folder.split(separator: "/")
        }
        parts += path.split(separator: "/").filter { $0 != "." }
        return "/" + parts.joined(separator: "/")
    }

    private static var workingFolder: String? {
        guard let path = getcwd(nil, 0) else { return nil }
        defer { free(path) }
        // A folder that nobody can reach by name begins otherwise (getcwd(3)).
        return path.pointee == CChar(bitPattern: UInt8(ascii: "/")) ? String(cString: path) : nil
    }
}
