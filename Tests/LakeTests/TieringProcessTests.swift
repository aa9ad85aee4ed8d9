import Bytes
import Files
import Foundation
import JSONScan
import PlatformTesting
import Records
import Testing

@testable import Lake

/// `medallion lake tier` and `retain` as an operator runs them, killed in the middle.
@Suite(.serialized) struct TieringProcessTests {
    /// The executable that was built beside the tests.
    private static let executable: String = {
        let beside = (CommandLine.arguments.first.map { Folder.parent(of: $0) } ?? "") + "/medallion"
        return access(beside, X_OK) == 0 ? beside : PackageRoot.path + "/.build/debug/medallion"
    }()

    private func start(_ scene: TieringTests.Scene, _ arguments: [String]) throws -> (Process, Pipe) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.executable)
        process.arguments = ["lake"] + arguments
        let secret = scene.fixture.folder.file("secret")
        try File.replace(secret, with: Array("\(S3Server.secretAccessKey)\n".utf8))
        process.environment = [
            "LAKE_DIR": scene.layout.root, "LAKE_S3_BUCKET": S3Server.bucket, "LAKE_S3_ENDPOINT": scene.server.endpoint,
            "LAKE_S3_REGION": S3Server.region, "LAKE_S3_PREFIX": scene.layout.objects?.prefix ?? "",
            "LAKE_S3_ACCESS_KEY_ID": S3Server.accessKeyID, "LAKE_S3_SECRET_ACCESS_KEY_FILE": secret,
            "OPENLINEAGE_FILE": runs(scene),
        ]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        return (process, output)
    }

    /// What the commands tell OpenLineage.
    private func runs(_ scene: TieringTests.Scene) -> String { scene.fixture.folder.file("runs.jsonl") }

    /// Runs to the end.
    private func run(_ scene: TieringTests.Scene, _ arguments: [String]) throws -> (status: Int32, output: String) {
        let (process, output) = try start(scene, arguments)
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }

    @Test func killedInTheMiddleItIsFinishedByTheNextRun() throws {
        let scene = try TieringTests.Scene()
        let before = try scene.everything(scene.reader, single: [])
        let files = try scene.sealedFiles()
        for _ in 0..<4 {
            // Killed after some more requests: while it uploads, reads back, records or removes.
            let stop = try scene.server.requests().count + 7
            let (process, _) = try start(scene, ["tier"])
            while process.isRunning, try scene.server.requests().count < stop {}
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            let left = try scene.sealedFiles()
            let objects = try scene.objects()
            for (path, bytes) in files where left[path] == nil {
                #expect(objects[String(scene.layout.root.dropFirst() + path)] == bytes.count)
            }
            #expect(try scene.everything(scene.reader, single: []) == before)
        }
        let (status, output) = try run(scene, ["tier", "--json"])
        #expect(status == 0)
        #expect(output.contains(#""dry_run":false"#))
        #expect(try scene.sealedFiles().isEmpty)
        #expect(try scene.everything(scene.reader, single: []) == before)
        #expect(try run(scene, ["verify", "--json"]).status == 0)
    }

    /// OpenLineage is told what was moved, from where to where.
    @Test func whatIsMovedIsTold() throws {
        let scene = try TieringTests.Scene()
        #expect(try run(scene, ["tier"]).status == 0)
        let events = try File.contents(of: runs(scene)).split(separator: 0x0A).map {
            try JSONValue.parse(Array($0), maxDepth: 64)
        }
        #expect(events.first?["eventType"]?.string == "START" && events.last?["eventType"]?.string == "COMPLETE")
        #expect(events.allSatisfy { $0["job"]?["name"]?.string == "lake.tier" })
        #expect(Set(events.compactMap { $0["run"]?["runId"]?.string }).count == 1)
        for (member, namespace) in [("inputs", "file"), ("outputs", "s3://\(S3Server.bucket)")] {
            let datasets = events.flatMap { $0[member]?.array ?? [] }
            #expect(datasets.contains { $0["namespace"]?.string == namespace }, "\(member): \(datasets)")
            let ranges = datasets.flatMap { $0["facets"]?["medallionOffsets"]?["ranges"]?.array ?? [] }
            let topic = LakeFixture.source.topic
            #expect(ranges.contains { $0["topic"]?.string == topic && $0["start"]?.integer == 0 }, "\(ranges)")
        }
    }

    @Test func theCommandsSayWhatIsWrong() throws {
        let scene = try TieringTests.Scene()
        #expect(try run(scene, ["retain", "--layer", "bronze"]).status == 64)
        #expect(try run(scene, ["retain", "--older-than", "30d"]).status == 64)
        #expect(try run(scene, ["tier", "--older-than", "soon"]).status == 64)
        #expect(try run(scene, ["cat", "--offset", "1", "--apply"]).status == 64)
        let due = try run(scene, ["tier", "--dry-run"])
        #expect(due.status == 0 && due.output.contains("would be moved"))
        #expect(try scene.objects().isEmpty)
    }
}
