import Files
import Foundation
import PlatformTesting

@testable import Embeddings

/// The converted model and the Python that has the reference libraries; both are made by `make setup`.
enum Model {
    static let root: String = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
    static let directory = root + "/.deps/model"
    static let python = root + "/.deps/venv/bin/python"
    static let tokenizer = Result { try WordPieceTokenizer(vocabularyPath: directory + "/vocab.txt") }

    /// Runs a script of `tools/` with Python and gives what it printed.
    static func run(_ script: String, _ arguments: [String], input: [UInt8]) throws -> [UInt8] {
        let folder = try TemporaryFolder()
        try File.replace(folder.file("input"), with: input)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = [root + "/tools/" + script] + arguments
        process.standardInput = FileHandle(forReadingAtPath: folder.file("input"))
        // A file, not a pipe: the answer may be larger than a pipe holds.
        try File.replace(folder.file("output"), with: [])
        process.standardOutput = FileHandle(forWritingAtPath: folder.file("output"))
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw ScriptFailure(script: script) }
        return try File.contents(of: folder.file("output"))
    }

    /// What the reference tokenizer makes of texts, which must not hold NUL.
    static func referenceTokens(_ texts: [String], maxTokens: Int = 256) throws -> [[Int32]] {
        var input: [UInt8] = []
        for text in texts {
            input += text.utf8
            input.append(0)
        }
        let output = try run("reference_tokens.py", [String(maxTokens)], input: input)
        return output.withUnsafeBytes { bytes in
            let numbers = Array(bytes.bindMemory(to: Int32.self))
            var rows: [[Int32]] = []
            var position = 0
            while position < numbers.count {
                let end = position + 1 + Int(numbers[position])
                rows.append(Array(numbers[position + 1..<end]))
                position = end
            }
            return rows
        }
    }
}

struct ScriptFailure: Error {
    let script: String
}
