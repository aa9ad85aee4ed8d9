import Glibc

/// What is known of a file without opening it.
package struct FileFacts: Equatable, Sendable {
    /// Bytes.
    package var size: Int
    package var device: UInt64
    /// The number of the file on its device.
    package var node: UInt64
    package var modifiedNanoseconds: Int64

    package init(size: Int, device: UInt64, node: UInt64, modifiedNanoseconds: Int64) {
        self.size = size
        self.device = device
        self.node = node
        self.modifiedNanoseconds = modifiedNanoseconds
    }

    fileprivate init(_ status: stat) {
        size = Int(status.st_size)
        device = UInt64(status.st_dev)
        node = UInt64(status.st_ino)
        modifiedNanoseconds = Int64(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_mtim.tv_nsec)
    }
}

extension File {
    /// What is known of the open file.
    package func facts() throws(FileError) -> FileFacts {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError("stat", path) }
        return FileFacts(status)
    }
}

extension Folder {
    /// What a path leads to.
    package enum Place: Sendable, Equatable {
        case file(FileFacts)
        case folder
        /// A pipe, a device, a socket.
        case other
    }

    /// The path from the root on, without links, and what lies there.
    package static func resolve(_ path: String) throws(FileError) -> (path: String, place: Place) {
        guard let found = realpath(path, nil) else { throw FileError("realpath", path) }
        defer { free(found) }
        guard let resolved = String(validatingCString: found) else { throw FileError("realpath", path, code: EILSEQ) }
        var status = stat()
        guard stat(found, &status) == 0 else { throw FileError("stat", path) }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return (resolved, .file(FileFacts(status)))
        case S_IFDIR: return (resolved, .folder)
        default: return (resolved, .other)
        }
    }
}

/// Goes through the regular files below a folder in steps of bounded size. Links are not followed, whatever they lead to, and
/// folders whose names begin with a dot are not entered: they hold what programs keep for themselves;
/// what vanishes meanwhile is passed by. Not thread-safe, hence not copyable.
package struct FolderWalk: ~Copyable {
    /// A regular file.
    package struct Entry: Sendable, Equatable {
        /// Relative to the walk's root, without a slash at its beginning.
        package let path: String
        package let facts: FileFacts
    }

    private struct Level {
        let folder: OpaquePointer
        /// Relative; empty for the root.
        let path: String
    }

    /// Folders one below the other; what lies deeper is counted in ``skippedFolders``.
    package static let depthMax = 16
    private let root: String
    private var levels: [Level] = []
    /// Folders that were too deep or could not be opened.
    package private(set) var skippedFolders = 0
    /// Names that are no UTF-8.
    package private(set) var skippedNames = 0

    /// - Throws: ``FileError`` where the root cannot be opened.
    package init(_ root: String) throws(FileError) {
        guard let folder = opendir(root) else { throw FileError("opendir", root) }
        self.root = root
        levels = [Level(folder: folder, path: "")]
    }

    deinit {
        for level in levels { closedir(level.folder) }
    }

    /// Whether everything was seen.
    package var isDone: Bool { levels.isEmpty }

    /// Looks at up to `namesMax` names and hands over the files among them, in no particular order.
    package mutating func step(namesMax: Int, _ body: (Entry) -> Void) throws(FileError) {
        var left = namesMax
        while left > 0, let level = levels.last {
            errno = 0
            guard let entry = readdir(level.folder) else {
                let code = errno
                closedir(level.folder)
                levels.removeLast()
                if code != 0 { throw FileError("readdir", root + "/" + level.path, code: code) }
                continue
            }
            left -= 1
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(validatingCString: $0) }
            }
            guard let name else {
                skippedNames += 1
                continue
            }
            if name == "." || name == ".." { continue }
            var status = stat()
            // Relative to the open folder: a folder that was replaced by a link meanwhile leads nowhere.
            guard fstatat(dirfd(level.folder), name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            let path = level.path.isEmpty ? name : level.path + "/" + name
            switch status.st_mode & S_IFMT {
            case S_IFREG: body(Entry(path: path, facts: FileFacts(status)))
            case S_IFDIR where name.hasPrefix("."): continue
            case S_IFDIR: enter(name, path, in: level)
            default: continue
            }
        }
    }

    private mutating func enter(_ name: String, _ path: String, in level: Level) {
        guard levels.count < Self.depthMax else {
            skippedFolders += 1
            return
        }
        let descriptor = openat(dirfd(level.folder), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else {
            skippedFolders += 1
            return
        }
        guard let folder = fdopendir(descriptor) else {
            close(descriptor)
            skippedFolders += 1
            return
        }
        levels.append(Level(folder: folder, path: path))
    }
}
