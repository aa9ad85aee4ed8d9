import Files
import Glibc
package import Settings

/// Where set-up put what the program uses: beside the program or the working folder, or in a folder above either.
package enum Installation {
    /// The first readable file of that path below one of these folders; nil where there is none.
    package static func path(_ relative: String) -> String? {
        searchRoots().map { $0 + "/" + relative }.first { access($0, R_OK) == 0 }
    }

    /// The commit that the program was built from, as `make build` wrote it beside it; empty where nobody did.
    package static var commit: String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard length > 0 else { return "" }
        buffer[length] = 0
        guard let bytes = try? File.contents(of: text(of: buffer) + ".commit", bytesMax: 256) else { return "" }
        let word = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace).first ?? ""
        let isPlain = word.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x2D }
        return isPlain ? String(word.prefix(64)) : ""
    }

    /// `MODEL_DIR`, else `.deps/model` in the working folder or beside the program, or in a folder above either.
    package static func modelDirectory(_ settings: Settings) throws -> String {
        if !settings.embedding.modelDirectory.isEmpty { return settings.embedding.modelDirectory }
        if let file = path(".deps/model/model.xml") { return Folder.parent(of: file) }
        throw Failure(
            "no embedding model was found in .deps/model beside the program or the working folder: run `make setup`, set "
                + "MODEL_DIR, or set EMBED_ENABLED=false; see docs/troubleshooting.md", code: .dependencyUnavailable)
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
