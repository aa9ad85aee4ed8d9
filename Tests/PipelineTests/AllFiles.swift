import Files
import Glibc

extension Folder {
    /// Every file below a folder, by its path from there.
    static func allFiles(_ root: String) throws -> [String] {
        var files: [String] = []
        var folders = [""]
        while let folder = folders.popLast() {
            for name in try list(root + "/" + folder) {
                let path = folder.isEmpty ? name : folder + "/" + name
                var status = stat()
                guard lstat(root + "/" + path, &status) == 0 else { continue }
                if status.st_mode & S_IFMT == S_IFDIR { folders.append(path) } else { files.append(path) }
            }
        }
        return files.sorted()
    }
}
