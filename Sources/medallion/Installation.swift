import Files
import Glibc

/// Where set-up put what the program uses: beside the program or the working folder, or in a folder above either.
enum Installation {
    /// The first readable file of that path below one of these folders; nil where there is none.
    static func path(_ relative: String) -> String? {
        searchRoots().map { $0 + "/" + relative }.first { access($0, R_OK) == 0 }
    }

    private static func searchRoots() -> [String] {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        var starts: [String] = []
        if getcwd(&buffer, buffer.count) != nil { starts.append(text(of: buffer)) }
        let length = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        if length > 0 {
            buffer[length] = 0
            starts.append(Folder.parent(of: text(of: buffer)))
        }
        var roots: [String] = []
        for start in starts {
            var folder = start
            while folder.count > 1 {
                roots.append(folder)
                folder = Folder.parent(of: folder)
            }
        }
        return roots
    }

    private static func text(of buffer: [CChar]) -> String {
        String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
