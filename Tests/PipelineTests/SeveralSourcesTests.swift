import Files
import Glibc
import JSONScan
import PlatformTesting
import Testing

/// A stream and a folder, side by side in one process.
@Suite struct SeveralSourcesTests {
    @Test(.timeLimit(.minutes(5))) func aFolderBesideAStream() async throws {
        let environment = ["EMBED_ENABLED": "false", "KAFKA_TOPIC_PARTITIONS": "1"]
        try await Deployment.run(environment: environment) { deployment in
            try Folder.create(deployment.file("products"))
            let lines = (0..<7).map { #"{"id":"p\#($0)","text":"a kettle of \#($0) litres"}"# + "\n" }
            try File.replace(deployment.file("products/a.jsonl"), with: Array(lines.joined().utf8))
            let declared = deployment.file("declared.json")
            let stream =
                #"{"name":"edits","connector":{"type":"sse","url":"\#(deployment.streamURL)"},"logic":{"type":"recent_change"}}"#
            let folder =
                #"{"name":"products","connector":{"type":"files","folder":"products","poll_seconds":0.1},"#
                + #""logic":{"type":"document","fields":{"id":"id","text":"text"}}}"#
            try File.replace(declared, with: Array(#"{"sources":[\#(stream),\#(folder)]}"#.utf8))
            try deployment.startSimulator(PipelineTests.PlaybackTests.handWritten)
            let up = try deployment.start("up", environment: ["SOURCES_FILE": declared])

            // Each is read, committed, found, and looked at on its own.
            func isFound(_ words: String) throws -> Bool { try !deployment.api.search(words).isEmpty }
            try deployment.wait(for: "both sources") {
                let sources = try deployment.api.get("/pipeline/status")["sources"]?.array ?? []
                return try sources.count == 2
                    && sources.allSatisfy { $0["phase"]?.string == "streaming" && $0["last_event"]?.string != nil }
                    && sources.allSatisfy { $0["freshness"]?.string == "fresh" && $0["events_behind"]?.integer == 0 }
                    && isFound("a kettle of 3 litres")
            }
            try deployment.wait(for: "all parts to be well") {
                let health = try deployment.api.get("/health")["dependencies"]
                return ["source", "delivery", "stream", "indexer"].allSatisfy { part in
                    ["edits", "products"].allSatisfy { health?["\(part) \($0)"]?["state"]?.string == "ok" }
                }
            }
            // The stream goes on while the folder is taken out and put back.
            try File.replace(declared, with: Array(#"{"sources":[\#(stream)]}"#.utf8))
            up.signal(SIGHUP)
            try deployment.wait(for: "one source") {
                try deployment.api.get("/pipeline/status")["sources"]?.array?.count == 1
            }
            try deployment.wait(for: "health without the folder") {
                try deployment.api.get("/health")["dependencies"]?["stream products"] == nil
            }
            try File.replace(declared, with: Array(#"{"sources":[\#(stream),\#(folder)]}"#.utf8))
            let more = #"{"id":"late","text":"a teapot"}"# + "\n"
            try File.replace(deployment.file("products/b.jsonl"), with: Array(more.utf8))
            up.signal(SIGHUP)
            try deployment.wait(for: "the new line") { try isFound("teapot") }
            #expect(try up.stop() == .exited(0))
            let raw = try deployment.command([
                "lake", "cat", "--topic", "products", "--raw", "--from", "0", "--to", "8",
            ])
            #expect(raw == lines.joined() + more)
        }
    }
}
