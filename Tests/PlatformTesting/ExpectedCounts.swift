import Foundation

/// What a script that shares no code with the product says should become of a recording.
package struct ExpectedCounts: Decodable, Sendable {
    package let records: Int
    package let accepted: Int
    package let gold: Int
    package let duplicates: Int
    package let canaries: Int
    package let rules: [String: Int]

    /// The counts for one of the ``Recordings``.
    package static func of(_ name: String) throws -> ExpectedCounts {
        try of(path: (Recordings.folder ?? "") + "/" + name)
    }

    /// The counts for one recording.
    package static func of(path: String) throws -> ExpectedCounts {
        let script = PackageRoot.path + "/Tests/StreamJobTests/expected_counts.py"
        let output = try PythonTool.run([script, path])
        let counts = try JSONDecoder().decode([String: ExpectedCounts].self, from: Data(output))
        guard let count = counts.first?.value else { throw PythonTool.Failure(description: "no counts for \(path)") }
        return count
    }
}

/// The checkout that the tests were built from.
package enum PackageRoot {
    package static let path = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

    /// The `medallion` executable built beside the test bundle.
    package static let executable: String = {
        let beside = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
            .map { String($0[..<($0.lastIndex(of: "/") ?? $0.startIndex)]) + "/medallion" }
        if let beside, FileManager.default.isExecutableFile(atPath: beside) { return beside }
        return path + "/.build/debug/medallion"
    }()
}

/// Runs scripts with the Python of the set-up, so that its wheels are there.
package enum PythonTool {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Runs a script to its end and gives what it printed.
    package static func run(_ arguments: [String]) throws -> [UInt8] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: PackageRoot.path + "/.deps/venv/bin/python")
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure(description: "\(arguments.joined(separator: " ")) ended with \(process.terminationStatus)")
        }
        return Array(data)
    }
}
