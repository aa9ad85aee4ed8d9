import Files
import JSONScan
import PlatformTesting
import Testing

/// A folder whose lines begin anew: only the new snapshot is found, whatever comes late, and by other logic, too.
@Suite struct NewSnapshotTests {
    private static func lines(_ ids: Range<Int>, version: Int, _ words: String) -> String {
        ids.map { #"{"id":"p\#($0)","v":\#(version),"name":"Thing \#($0)","text":"\#(words)"}"# + "\n" }.joined()
    }

    private static func logic(text: String) -> String {
        #"{"type":"document","fields":{"id":"id","version":"v","text":\#(text),"truncated":"all_gone"}}"#
    }

    @Test(.timeLimit(.minutes(5))) func onlyTheNewSnapshotIsFound() async throws {
        let environment = ["EMBED_ENABLED": "false", "KAFKA_TOPIC_PARTITIONS": "2"]
        try await Deployment.run(environment: environment) { deployment in
            func write(_ name: String, _ text: String) throws {
                try File.replace(deployment.file(name), with: Array(text.utf8))
            }
            func found(_ words: String) throws -> [String] { try deployment.api.search(words, hits: 50).sorted() }
            try Folder.create(deployment.file("products"))
            try write("products/1.jsonl", Self.lines(0..<9, version: 3, "a copper kettle"))
            try write(
                "sources.json",
                #"{"sources":[{"name":"products","connector":{"type":"files","folder":"products","poll_seconds":0.1},"#
                    + #""logic":\#(Self.logic(text: #""text""#))}]}"#)
            let declared = ["SOURCES_FILE": deployment.file("sources.json")]
            let up = try deployment.start("up", environment: declared)
            try deployment.wait(for: "the old snapshot") { try found("copper kettle").count == 9 }

            // A new snapshot with some of the ids, and a copy of an old line behind it.
            try write(
                "products/2.jsonl",
                #"{"v":5,"all_gone":true}"# + "\n" + Self.lines(4..<7, version: 5, "an iron kettle")
                    + Self.lines(0..<1, version: 3, "a copper kettle"))
            let ids = ["p4", "p5", "p6"]
            try deployment.wait(for: "the new snapshot") { try found("kettle") == ids }
            // Another late copy; what stands behind it tells that it was read, too.
            try write("products/3.jsonl", Self.lines(1..<3, version: 4, "a tin kettle"))
            try deployment.wait(for: "all lines") {
                let sources = try deployment.api.get("/pipeline/status")["sources"]?.array ?? []
                return try deployment.api.metrics().sum("medallion_index_documents_total") >= 16
                    && sources.first?["events_behind"]?.integer == 0
            }
            #expect(try found("kettle") == ids && found("copper").isEmpty && found("tin").isEmpty)
            let gold = try (0..<2).map { partition in
                try deployment.command([
                    "lake", "cat", "--layer", "gold", "--topic", "products", "--partition", "\(partition)", "--from",
                    "0",
                    "--to", "100",
                ])
            }
            let truncations = gold.joined().split(separator: "\n").filter {
                $0.contains(#""operation":"delete_below""#)
            }
            #expect(truncations.count == 1)

            // By other logic the same is gone.
            try write("logic.json", Self.logic(text: #"["name","text"]"#))
            try deployment.command(
                ["replay", "--all", "--logic", deployment.file("logic.json"), "--source", "products"],
                environment: declared)
            try deployment.command(["promote", "2"])
            try deployment.wait(for: "the other generation") { try found("thing") == ids }
            #expect(try found("kettle") == ids && found("copper").isEmpty)
            try deployment.command(["lake", "verify"])
            #expect(try up.stop() == .exited(0))
        }
    }
}
