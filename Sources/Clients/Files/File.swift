import Glibc

/// An open file. One owner, closed at the end of its life; positions are explicit, so there is no shared cursor.
package struct File: ~Copyable {
    /// How a file is opened.
    package enum Mode: Sendable {
        case read
        /// Read and write; made when absent.
        case readWrite
        /// Read and write; must not be there yet.
        case create
        /// Write behind what is there, whoever else does, too; made when absent. For ``append(_:)``.
        case append
    }

    /// As it was opened or renamed.
    package private(set) var path: String
    /// The system's number, valid for this value's life.
    package let descriptor: Int32
    private var holdsLock = false

    /// - Parameter permissions: of a file that is made, before the umask.
    /// - Throws: ``FileError`` with the system's reason.
    package init(_ path: String, _ mode: Mode, permissions: UInt32 = 0o640) throws(FileError) {
        let flags =
            switch mode {
            case .read: O_RDONLY
            case .readWrite: O_RDWR | O_CREAT
            case .create: O_RDWR | O_CREAT | O_EXCL
            case .append: O_WRONLY | O_CREAT | O_APPEND
            }
        if mode != .read, let witness = FileWatch.witness, access(path, F_OK) != 0 {
            try witness.willMake(.create(path: path))
        }
        let descriptor = open(path, flags | O_CLOEXEC, permissions)
        guard descriptor >= 0 else { throw FileError("open", path) }
        self.path = path
        self.descriptor = descriptor
    }

    /// A copy of a descriptor that is open already, such as standard output, which may be no file but a socket.
    ///
    /// - Parameter name: for errors.
    package init(copyOf descriptor: Int32, name: String) throws(FileError) {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw FileError("dup", name) }
        path = name
        self.descriptor = copy
    }

    deinit {
        // A child that another thread is just starting has this open file, too, until it runs its program: closing alone
        // would leave the lock with it for that while.
        if holdsLock { flock(descriptor, LOCK_UN) }
        close(descriptor)
    }

    /// The file's length in bytes.
    package func size() throws(FileError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError("stat", path) }
        return Int(status.st_size)
    }

    /// Whether `path` still names this file: not once it is gone, or another was renamed over it.
    package var bearsItsName: Bool {
        var (own, named) = (stat(), stat())
        return fstat(descriptor, &own) == 0 && lstat(path, &named) == 0 && own.st_dev == named.st_dev
            && own.st_ino == named.st_ino
    }

    /// What file this is, and how long.
    package func state() throws(FileError) -> FileState {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError("stat", path) }
        return FileState(size: Int(status.st_size), device: UInt64(status.st_dev), node: UInt64(status.st_ino))
    }

    /// Reads up to `count` bytes at `offset`; fewer at the end of the file.
    package func read(at offset: Int, count: Int) throws(FileError) -> [UInt8] {
        var failure: FileError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            var done = 0
            while done < count {
                let got = pread(descriptor, buffer.baseAddress.map { $0 + done }, count - done, off_t(offset + done))
                if got < 0 {
                    if errno == EINTR { continue }
                    failure = FileError("read", path)
                    break
                }
                if got == 0 { break }
                done += got
            }
            initialized = done
        }
        if let failure { throw failure }
        return bytes
    }

    /// Reads what a pipe, a terminal or a socket has next, up to `count` bytes; none at its end.
    ///
    /// - Returns: nil where nothing came in for that long.
    package func readNext(count: Int, timeoutMilliseconds: Int) throws(FileError) -> [UInt8]? {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = poll(&waiting, 1, Int32(clamping: timeoutMilliseconds))
        if ready < 0, errno != EINTR { throw FileError("poll", path) }
        guard ready > 0 else { return nil }
        var failure: FileError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            while true {
                let got = Glibc.read(descriptor, buffer.baseAddress, count)
                if got < 0, errno == EINTR { continue }
                if got < 0 { failure = FileError("read", path) }
                initialized = max(0, got)
                return
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
        try FileWatch.witness?.willMake(.write(path: path, bytes: Array(bytes), offset: offset))
        var done = 0
        while done < bytes.count {
            let written = pwrite(
                descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
            if written < 0 {
                if errno == EINTR { continue }
                throw FileError("write", path)
            }
            done += written
        }
    }

    /// Writes all of `bytes` at the end of a file that was opened to append; also to a pipe. For logs of which nothing
    /// depends: it is not shown to ``FileWatch``.
    package func append(_ bytes: [UInt8]) throws(FileError) {
        var done = 0
        while done < bytes.count {
            let written = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done)
            }
            if written < 0 {
                if errno == EINTR { continue }
                throw FileError("write", path)
            }
            done += written
        }
    }

    /// Cuts the file to `size` bytes.
    package func truncate(to size: Int) throws(FileError) {
        try FileWatch.witness?.willMake(.truncate(path: path, size: size))
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw FileError("truncate", path) }
    }

    /// Makes content and length durable (fdatasync).
    package func sync(file: StaticString = #fileID, line: UInt = #line) throws(FileError) {
        try FileWatch.witness?.willMake(.sync(path: path, site: "\(file):\(line)"))
        guard fdatasync(descriptor) == 0 else { throw FileError("fdatasync", path) }
    }

    /// Gives the file another name, over what is there; the new name is durable with the folder's ``Folder/sync(_:file:line:)``.
    package mutating func rename(to target: String) throws(FileError) {
        try Folder.rename(path, to: target)
        path = target
    }

    /// Takes the exclusive lock without waiting; it lasts as long as the file is open, and no longer than the process.
    ///
    /// - Returns: false when another open file holds it.
    package mutating func tryLock() throws(FileError) -> Bool {
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 {
            holdsLock = true
            return true
        }
        guard errno == EWOULDBLOCK else { throw FileError("lock", path) }
        return false
    }

    /// The whole content of the file at `path`.
    ///
    /// - Parameter bytesMax: a larger file is refused with EFBIG.
    package static func contents(of path: String, bytesMax: Int = 1 << 30) throws(FileError) -> [UInt8] {
        let file = try File(path, .read)
        let size = try file.size()
        guard size <= bytesMax else { throw FileError("read", path, code: EFBIG) }
        return try file.read(at: 0, count: size)
    }

    /// Writes a file so that after a crash either the old or the new content is there: temporary file, fsync, rename,
    /// fsync of the folder.
    package static func replace(_ path: String, with bytes: [UInt8]) throws(FileError) {
        _ = try put(bytes, at: path)
        try Folder.sync(Folder.parent(of: path))
    }

    /// Puts a new file with this content, which is durable, in the place of what is at `path`; nothing is left of one that
    /// failed. Its name is durable only when the folder is synced.
    ///
    /// - Returns: the new file, open to read and write.
    package static func put(_ bytes: [UInt8], at path: String) throws(FileError) -> File {
        let temporary = path + ".tmp"
        try Folder.removeIfPresent(temporary)
        var file = try File(temporary, .create)
        do throws(FileError) {
            var failure: FileError?
            bytes.withUnsafeBytes { buffer in
                do throws(FileError) { try file.write(buffer, at: 0) } catch { failure = error }
            }
            if let failure { throw failure }
            try file.sync()
            try file.rename(to: path)
            return file
        } catch {
            try? Folder.removeIfPresent(temporary)
            throw error
        }
    }
}

/// Tells whether a path leads to the same file as before, and whether that has grown.
package struct FileState: Equatable, Sendable {
    /// Bytes.
    package let size: Int
    package let device: UInt64
    /// The number of the file on its device.
    package let node: UInt64
}

/// Operations on names: folders and what is in them.
package enum Folder {
    /// Makes the names of a folder and of those above it durable, up to and with those in `root`.
    ///
    /// For a folder that may have been found rather than made: whoever made it may have been killed before its name was
    /// durable. `root` may belong to another user, who lets this one pass through but not open it; the names in it are then
    /// taken as that user left them.
    package static func syncNames(
        from path: String, upTo root: String, file: StaticString = #fileID, line: UInt = #line
    ) throws(FileError) {
        var folder = path
        while true {
            do throws(FileError) {
                try sync(folder, file: file, line: line)
            } catch {
                guard error.code == EACCES, folder == root, folder != path else { throw error }
            }
            let above = parent(of: folder)
            // Of a relative path the topmost is `.`, the folder that holds its first name.
            if folder == root || above == folder { return }
            folder = above
        }
    }

    /// Makes the folder and its parents.
    ///
    /// - Parameter isDurable: makes each new name durable; false where the caller does that for the whole path.
    package static func create(
        _ path: String, mode: UInt32 = 0o750, isDurable: Bool = true
    ) throws(FileError) {
        if exists(path) { return }
        let parent = parent(of: path)
        if parent != path { try create(parent, mode: mode, isDurable: isDurable) }
        try FileWatch.witness?.willMake(.makeFolder(path: path))
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw FileError("mkdir", path) }
        if isDurable { try sync(parent) }
    }

    /// Whether the path names anything that can be reached.
    package static func exists(_ path: String) -> Bool {
        access(path, F_OK) == 0
    }

    /// Whether the path is a folder; a link to one is not.
    package static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Makes the names in a folder durable.
    package static func sync(_ path: String, file: StaticString = #fileID, line: UInt = #line) throws(FileError) {
        try FileWatch.witness?.willMake(.syncFolder(path: path, site: "\(file):\(line)"))
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("open", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw FileError("fsync", path) }
    }

    /// Renames within a file system; a target that exists is replaced.
    package static func rename(_ source: String, to target: String) throws(FileError) {
        try FileWatch.witness?.willMake(.rename(path: source, target: target))
        guard Glibc.rename(source, target) == 0 else { throw FileError("rename", source) }
    }

    /// Removes a file.
    package static func remove(_ path: String) throws(FileError) {
        try FileWatch.witness?.willMake(.remove(path: path))
        guard unlink(path) == 0 else { throw FileError("unlink", path) }
    }

    /// Removes a file; one that is not there is fine.
    package static func removeIfPresent(_ path: String) throws(FileError) {
        if let witness = FileWatch.witness, exists(path) { try witness.willMake(.remove(path: path)) }
        guard unlink(path) == 0 || errno == ENOENT else { throw FileError("unlink", path) }
    }

    /// The names in a folder but `.` and `..`, sorted by their bytes.
    package static func list(_ path: String) throws(FileError) -> [String] {
        guard let folder = opendir(path) else { throw FileError("opendir", path) }
        defer { closedir(folder) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw FileError("readdir", path) }
        return names.sorted()
    }

    /// Removes a folder with all that is in it; links are removed, not followed.
    package static func removeTree(_ path: String) throws(FileError) {
        for name in try list(path) {
            let child = path + "/" + name
            var status = stat()
            guard lstat(child, &status) == 0 else { throw FileError("lstat", child) }
            if status.st_mode & S_IFMT == S_IFDIR { try removeTree(child) } else { try remove(child) }
        }
        try FileWatch.witness?.willMake(.removeFolder(path: path))
        guard rmdir(path) == 0 else { throw FileError("rmdir", path) }
    }

    /// The path without slashes at its end, but for the root's own.
    package static func withoutTrailingSlashes(_ path: String) -> String {
        var path = path[...]
        while path.count > 1, path.last == "/" { path.removeLast() }
        return String(path)
    }

    /// The folder that holds `path`; `.` of a name alone.
    package static func parent(of path: String) -> String {
        let path = withoutTrailingSlashes(path)
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
