import Files
import JSONScan
import PlatformTesting
import Testing

/// `medallion search` asks for whatever the API can be asked for.
@Suite struct SearchCommandTests {
    private static let documents = """
        {"key": "d1", "heading": "Kettles", "body": "Two litres boil in four minutes.", "by": "ann"}
        {"key": "d2", "heading": "Teapots", "body": "Clay keeps tea warm, two pots of it.", "by": "bo"}
        {"key": "d3", "heading": "Hammocks", "body": "A hammock hangs between two trees.", "by": "bo"}

        """
    private static let sources = """
        {"sources": [{"name": "notes", "connector": {"type": "files", "folder": "notes", "poll_seconds": 1},
          "logic": {"type": "document", "fields": {"id": "key", "title": "heading", "text": ["heading", "body"]}},
          "collection": {"attributes": {"by": {"type": "string"}}}}]}
        """

    @Test(.timeLimit(.minutes(4))) func everyOptionIsSentAndShown() async throws {
        try await Deployment.run { deployment in
            try Folder.create(deployment.file("notes"))
            try File.replace(deployment.file("notes/all.jsonl"), with: Array(Self.documents.utf8))
            try File.replace(deployment.file("sources.json"), with: Array(Self.sources.utf8))
            try deployment.start("up", environment: ["SOURCES_FILE": deployment.file("sources.json")])
            try deployment.wait(for: "the documents") {
                try deployment.api.search("two", mode: "vector").count == 3
            }
            let text = try deployment.command([
                "search", "two", "--total", "--facets", "by,lang", "--explain", "--exact",
            ])
            #expect(text.contains("documents: 3\n") && text.contains("by: bo 2, ann 1\n"), "\(text)")
            #expect(text.contains("= vector ") && text.contains(" (place 1)"), "\(text)")
            let like = try deployment.command(["search", "--like", "d1", "--like-passage", "0", "--ef", "50", "--json"])
            let hits = try JSONValue.parse(Array(like.utf8))["hits"]?.array ?? []
            #expect(Set(hits.compactMap { $0["doc_id"]?.string }) == ["d2", "d3"], "\(like)")
            let groups = try deployment.command(
                ["search", "two", "by:bo", "--group-by", "by", "--sort", "time", "--min-score", "0.001", "--json"])
            let found = try JSONValue.parse(Array(groups.utf8))["hits"]?.array ?? []
            #expect(found.count == 1 && found[0]["group"]?["others"]?.integer == 1, "\(groups)")
            for wrong in [
                ["search"], ["search", "--total"], ["search", "two", "--like", "d1"], ["search", "two", "--ef", "0"],
                ["search", "--like", "d1", "--mode", "lexical"], ["search", "two", "--like-passage", "1"],
                ["search", "two", "--min-score", "much"], ["search", "two", "--exact=yes"],
            ] {
                let failure = #expect(throws: PipelineFailure.self) { try deployment.command(wrong) }
                #expect(failure?.description.contains("64") == true, "\(wrong)")
            }
            // What only the API can judge it refuses.
            _ = try deployment.refusal(["search", "two", "--facets", "colour"])
            let help = try deployment.command(["search", "--help"])
            for option in ["exact", "ef", "facets", "total", "like", "group-by", "sort", "min-score", "explain"] {
                #expect(help.contains("--\(option)"), "\(option)")
            }
        }
    }
}
