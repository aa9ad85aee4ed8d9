import Files
import HTTPServer
import JSONScan
import PlatformTesting
import Synchronization
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

    /// Two servers of language models that answer nothing of use, by the path of each: who asked with which key.
    private static func models(_ asked: AskedKeys) -> HTTPServer {
        var router = HTTPRouter()
        for name in ["first", "second"] {
            router.on(
                .post, "/\(name)/v1/chat/completions",
                sync: { request in
                    asked.keys.withLock { $0.append("\(name): \(request.headers["Authorization"] ?? "")") }
                    return .text("no", status: 401)
                })
        }
        return HTTPServer(configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0), router: router)
    }

    private final class AskedKeys: Sendable {
        let keys = Mutex<[String]>([])
    }

    /// What `up` needs to ask both models, each with a key out of a file.
    private func modelSettings(_ deployment: Deployment, port: UInt16) throws -> [String: String] {
        var settings: [String: String] = [:]
        for (name, prefix) in [("first", "LLM"), ("second", "LLM_FALLBACK")] {
            try File.replace(deployment.file("\(name).key"), with: Array("key-of-\(name)\n".utf8))
            settings["\(prefix)_URL"] = "http://127.0.0.1:\(port)/\(name)/v1"
            settings["\(prefix)_API_KEY_FILE"] = deployment.file("\(name).key")
        }
        return settings
    }

    @Test(.timeLimit(.minutes(4))) func everyOptionIsSentAndShown() async throws {
        let asked = AskedKeys()
        let models = Self.models(asked)
        let modelPort = try models.start()
        defer { models.stop(drainSeconds: 0) }
        try await Deployment.run { deployment in
            try Folder.create(deployment.file("notes"))
            try File.replace(deployment.file("notes/all.jsonl"), with: Array(Self.documents.utf8))
            try File.replace(deployment.file("sources.json"), with: Array(Self.sources.utf8))
            let settings = try modelSettings(deployment, port: modelPort)
            try deployment.start(
                "up",
                environment: ["SOURCES_FILE": deployment.file("sources.json")].merging(settings) { $1 })
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
            // Each model is asked with its own key.
            let answer = try JSONValue.parse(
                Array(try deployment.command(["answer", "what keeps tea warm?", "--json"]).utf8))
            #expect(answer["answerer"]?["name"]?.string == "extractive")
            #expect(asked.keys.withLock { $0 } == ["first: Bearer key-of-first", "second: Bearer key-of-second"])
            // What only the API can judge it refuses.
            _ = try deployment.refusal(["search", "two", "--facets", "colour"])
            let help = try deployment.command(["search", "--help"])
            for option in ["exact", "ef", "facets", "total", "like", "group-by", "sort", "min-score", "explain"] {
                #expect(help.contains("--\(option)"), "\(option)")
            }
        }
    }
}
