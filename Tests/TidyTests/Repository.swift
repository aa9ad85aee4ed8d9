import Foundation
import Testing

/// The repository as files, found from where this file was compiled.
enum Repository {
    /// The package's folder.
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Every Swift file below `folder`, sorted by path.
    static func swiftFiles(in folder: String) throws -> [SourceFile] {
        try paths(in: folder).filter { $0.hasSuffix(".swift") }.map { try SourceFile(path: $0) }
    }

    /// Paths, relative to the root, of all regular files below `folder`; none where it does not exist.
    static func paths(in folder: String) throws -> [String] {
        let base = root.appending(path: folder)
        guard let walk = FileManager.default.enumerator(atPath: base.path) else { return [] }
        var result: [String] = []
        for case let name as String in walk where !name.split(separator: "/").contains(where: { $0.hasPrefix(".") }) {
            var isFolder: ObjCBool = false
            let isThere = FileManager.default.fileExists(
                atPath: base.appending(path: name).path, isDirectory: &isFolder)
            if isThere && !isFolder.boolValue { result.append("\(folder)/\(name)") }
        }
        return result.sorted()
    }

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }
}

/// A Swift file, as written and with comments and string literals blanked out.
struct SourceFile: CustomTestStringConvertible {
    /// Relative to the repository's root.
    let path: String
    let lines: [Substring]
    /// As `lines`, with every character inside comments and literals replaced by a blank.
    let code: [Substring]

    init(path: String) throws {
        self.path = path
        let text = try Repository.text(path)
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        code = Self.split(CodeMask.mask(text))
    }

    /// For tests of the rules themselves.
    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        code = Self.split(CodeMask.mask(text))
    }

    private static func split(_ text: String) -> [Substring] {
        text.split(separator: "\n", omittingEmptySubsequences: false)
    }

    var testDescription: String { path }

    /// Layers of one module, whose folders are that module's own.
    static let singleModules: Set<String> = ["Console", "Benchmarks", "medallion"]

    /// `Services/Broker` → `Broker`; the executable is `medallion`.
    var module: String {
        let parts = path.split(separator: "/")
        return Self.singleModules.contains(layer) || parts.count < 4 ? layer : String(parts[2])
    }

    /// `Base`, `Clients`, `Runtime`, `Domain`, `Services`, and those of ``singleModules``.
    var layer: String { String(path.split(separator: "/")[1]) }
}

/// Blanks out what is not code.
enum CodeMask {
    static func mask(_ text: String) -> String {
        var scanner = Scanner(source: Array(text.utf8))
        scanner.code(until: nil)
        return String(decoding: scanner.output, as: UTF8.self)
    }

    private struct Scanner {
        let source: [UInt8]
        var output: [UInt8] = []
        var position = 0

        init(source: [UInt8]) {
            self.source = source
            output.reserveCapacity(source.count)
        }

        func starts(with text: String) -> Bool { source[position...].starts(with: text.utf8) }

        mutating func keep() {
            output.append(source[position])
            position += 1
        }

        mutating func blank(_ count: Int = 1) {
            for _ in 0..<count where position < source.count {
                output.append(source[position] == 0x0A ? 0x0A : 0x20)
                position += 1
            }
        }

        /// Copies code; with `until` set, up to and with the parenthesis that closes an interpolation.
        mutating func code(until closing: UInt8?) {
            var depth = 0
            while position < source.count {
                let isSlash = source[position] == UInt8(ascii: "/")
                if isSlash && starts(with: "//") {
                    while position < source.count && source[position] != 0x0A { blank() }
                } else if isSlash && starts(with: "/*") {
                    while position < source.count && !starts(with: "*/") { blank() }
                    blank(2)
                } else if let hashes = literalStart() {
                    literal(hashes: hashes)
                } else {
                    let byte = source[position]
                    if closing != nil {
                        if byte == UInt8(ascii: "(") { depth += 1 }
                        if byte == UInt8(ascii: ")") {
                            if depth == 0 {
                                blank()
                                return
                            }
                            depth -= 1
                        }
                    }
                    keep()
                }
            }
        }

        /// How many `#` stand before a quote here; nil where no literal starts.
        func literalStart() -> Int? {
            var index = position
            while index < source.count && source[index] == UInt8(ascii: "#") { index += 1 }
            return index < source.count && source[index] == UInt8(ascii: "\"") ? index - position : nil
        }

        mutating func literal(hashes: Int) {
            let pounds = String(repeating: "#", count: hashes)
            blank(hashes)
            let isLong = starts(with: "\"\"\"")
            let closing = (isLong ? "\"\"\"" : "\"") + pounds
            blank(isLong ? 3 : 1)
            while position < source.count {
                // Of a literal, nearly every byte is neither a quote nor a backslash.
                guard source[position] == UInt8(ascii: "\"") || source[position] == UInt8(ascii: "\\") else {
                    blank()
                    continue
                }
                if starts(with: closing) {
                    blank(closing.utf8.count)
                    return
                } else if starts(with: "\\" + pounds + "(") {
                    blank(2 + hashes)
                    code(until: UInt8(ascii: ")"))
                } else if starts(with: "\\" + pounds) {
                    blank(2 + hashes)
                } else {
                    blank()
                }
            }
        }
    }
}
