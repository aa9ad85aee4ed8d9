import Foundation

/// A real S3 server (moto) of a test's own, behind a proxy that checks every signature with botocore and makes faults
/// on demand. It ends with this value, or with the process.
package final class S3Server: Sendable {
    package static let bucket = "lake-bucket"
    package static let accessKeyID = "AKIATEST"
    package static let secretAccessKey = "se/cret+Key=1"
    package static let region = "eu-central-1"

    /// What the proxy does to requests; `s3_server.py` tells more.
    package enum Fault: String, Sendable, CaseIterable {
        case busy
        case cutRequest = "cut_request"
        case lostReply = "lost_reply"
        case cutReply = "cut_reply"
        case hang
        case spoilRequest = "spoil_request"
        case spoilReply = "spoil_reply"
    }

    /// Where the proxy listens.
    package let endpoint: String
    private let process: Process
    /// Its end ends the server, also when this process is killed.
    private let input: Pipe

    /// - Parameter isVersioned: whether the bucket keeps former versions of objects.
    package init(isVersioned: Bool = false) throws {
        process = Process()
        input = Pipe()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: PackageRoot.path + "/.deps/venv/bin/python")
        process.arguments = [
            PackageRoot.path + "/Tests/PlatformTesting/s3_server.py", Self.bucket, Self.accessKeyID,
            Self.secretAccessKey, Self.region, isVersioned ? "versioned" : "plain",
        ]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        // One line, or the end of the output where the script failed.
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let port = UInt16(line.prefix { $0.isNumber }) else {
            throw PythonTool.Failure(description: "s3_server.py tells no port")
        }
        endpoint = "http://127.0.0.1:\(port)"
    }

    deinit {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    /// The next `count` requests of the method, after `skip` others, meet a fault.
    package func fail(_ method: String, _ fault: Fault, count: Int = 1, skip: Int = 0) throws {
        _ = try control("/_fault?method=\(method)&kind=\(fault.rawValue)&count=\(count)&skip=\(skip)")
    }

    /// The requests so far but those of this class.
    package func requests() throws -> [(method: String, path: String, status: Int)] {
        let rows = try JSONSerialization.jsonObject(with: control("/_log")) as? [[Any]] ?? []
        return rows.compactMap { row in
            guard row.count == 3, let method = row[0] as? String, let path = row[1] as? String,
                let status = row[2] as? Int
            else { return nil }
            return (method, path, status)
        }
    }

    private func control(_ path: String) throws -> Data {
        let tool = Process()
        tool.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        tool.arguments = ["curl", "-sf", "--max-time", "20", endpoint + path]
        let output = Pipe()
        tool.standardOutput = output
        try tool.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        tool.waitUntilExit()
        guard tool.terminationStatus == 0 else { throw PythonTool.Failure(description: "s3_server.py: \(path)") }
        return data
    }
}
