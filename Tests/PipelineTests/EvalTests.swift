import Files
import JSONScan
import PlatformTesting
import Testing

/// `medallion eval` against a running platform.
@Suite struct EvalTests {
    private static let documents = """
        {"key": "d1", "heading": "Kettles", "body": "Two litres boil in four minutes.", "by": "ann"}
        {"key": "d2", "heading": "Teapots", "body": "Clay keeps tea warm for an hour.", "by": "bo"}
        {"key": "d3", "heading": "Grinders", "body": "Coffee is best ground just before it is brewed.", "by": "ann"}
        {"key": "d4", "heading": "Hammocks", "body": "A hammock hangs between two trees.", "by": "bo"}

        """
    private static let sources = """
        {"sources": [{"name": "notes", "connector": {"type": "files", "folder": "notes", "poll_seconds": 1},
          "logic": {"type": "document", "fields": {"id": "key", "title": "heading", "text": ["heading", "body"]}},
          "collection": {"attributes": {"by": {"type": "string"}}}}]}
        """
    private static let topics = """
        <top><num> Number: 1 <title> clay teapots </top>
        <top><num> Number: 2 <title> coffee ground </top>
        <top><num> Number: 3 <title> nobody judged this </top>
        """
    private static let lines = """
        {"id": "1", "query": "clay teapots", "relevant": {"d2": 2, "d1": 1}}
        {"id": "2", "query": "coffee ground", "relevant": {"d3": 1}, "filters": {"must": [{"attribute": "by", "equals": "bo"}]}}

        """

    /// The platform, with its documents searchable, and files beside it.
    private func run(_ body: @escaping @Sendable (Deployment, (String, String) throws -> String) throws -> Void)
        async throws
    {
        try await Deployment.run { deployment in
            try Folder.create(deployment.file("notes"))
            func put(_ name: String, _ text: String) throws -> String {
                try File.replace(deployment.file(name), with: Array(text.utf8))
                return deployment.file(name)
            }
            _ = try put("notes/all.jsonl", Self.documents)
            let declared = try put("sources.json", Self.sources)
            try deployment.start("up", environment: ["SOURCES_FILE": declared])
            try deployment.wait(for: "the documents") {
                try deployment.api.search("two", mode: "vector").count == 4
            }
            try body(deployment, put)
        }
    }

    @Test(.timeLimit(.minutes(4))) func setsAreJudgedAndRunsCompared() async throws {
        try await run { deployment, put in
            let set = try put("topics.txt", Self.topics)
            let qrels = try put("qrels.txt", "1 0 d2 1\n2 0 d3 1\n2 0 gone 1\n9 0 d1 1\n")
            let first = deployment.file("first.json")
            let table = try deployment.command([
                "eval", "--set", set, "--qrels", qrels, "--save", first, "--plot", deployment.file("a.svg"),
            ])
            let rows = table.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
            #expect(rows.contains { $0.prefix(2) == ["lexical", "0.807"] }, "\(table)")
            #expect(rows.contains { $0.prefix(2) == ["hybrid", "0.807"] }, "\(table)")
            for note in ["1 query was left out", "1 judged id is none", "of 1 looked up, 1 is not in the index"] {
                #expect(table.contains(note), "\(table)")
            }
            let picture = String(decoding: try File.contents(of: deployment.file("a.svg")), as: UTF8.self)
            #expect(picture.hasPrefix("<svg") && picture.contains("2 judged queries"))
            // The words alone, against themselves and against all arms.
            let json = try JSONValue.parse(
                Array(
                    try deployment.command([
                        "eval", "--set", set, "--qrels", qrels, "--against", deployment.api.url, "--json", "--at-once",
                        "1",
                    ]).utf8))
            let differences = json["comparison"]?.array ?? []
            #expect(differences.count == 9)
            #expect(differences.allSatisfy { $0["p"]?.double == 1 && $0["difference"]?.double == 0 })
            let words = try put("lines.jsonl", Self.lines)
            let second = deployment.file("second.json")
            let narrowed = try deployment.command(["eval", "--set", words, "--save", second, "--arms", "lexical"])
            #expect(!narrowed.contains("hybrid"))
            // The filter of the second query keeps its only relevant document out.
            let saved = try JSONValue.parse(try File.contents(of: second))
            #expect(saved["per_query"]?.array?.map { $0["lexical"]?["mrr"]?.double } == [1, 0])
            #expect(saved["generation"]?.integer == 1 && saved["notes"]?.array?.count == 1)
            let refused = try deployment.refusal(["eval", "--compare", first, second])
            #expect(refused.contains("judged by different sets"))
            let same = try deployment.command(["eval", "--compare", first, first])
            #expect(same.contains("difference") && same.contains("1.000"))
        }
    }

    @Test(.timeLimit(.minutes(4))) func answersAreJudgedByLabelledQuestions() async throws {
        try await run { deployment, put in
            let questions = try put(
                "questions.jsonl",
                """
                {"id": "1", "kind": "there", "question": "How long does clay keep tea warm?", "documents": ["d2"]}
                {"id": "2", "kind": "there", "question": "What does a hammock hang between?", "documents": ["d1"]}
                {"id": "3", "kind": "not there", "question": "Who won the chess tournament of 1921?", "documents": []}
                {"id": "4", "split": "other", "question": "When is coffee best ground?", "documents": ["d3"]}
                """)
            let all = try JSONValue.parse(
                Array(try deployment.command(["eval", "--answers", questions, "--json"]).utf8))
            // The second is labelled wrongly on purpose: its answer must count as none.
            #expect(all["answered"]?["count"]?.integer == 2 && all["answered"]?["of"]?.integer == 3, "\(all)")
            #expect(all["refused"]?["share"]?.double == 1)
            #expect(all["questions"]?.array?.map { $0["right"]?.bool } == [true, false, true, true], "\(all)")
            #expect(all["questions"]?.array?.first?["cited"]?.array?.first?.string == "d2")
            let table = try deployment.command(["eval", "--answers", questions, "--split", "other"])
            #expect(table.contains("1/1") && !table.contains("not there"), "\(table)")
            let refused = try deployment.refusal(["eval", "--answers", questions, "--split", "none"])
            #expect(refused.contains("there are other"))
            let wrong = try deployment.refusal(["eval", "--answers", questions, "--arms", "vector"])
            #expect(wrong.contains("--arms is for"))
            try Self.givenAnswersBecomeQuestions(deployment)
        }
    }

    /// The questions above were answered, and their answers are kept: listed, shown, and labelled.
    private static func givenAnswersBecomeQuestions(_ deployment: Deployment) throws {
        let listed = try deployment.command(["answers", "ls", "--cites", "d2"]).split(separator: "\n")
        let row = try #require(listed.first)
        #expect(listed.count == 1 && row.contains("How long does clay keep tea warm?"), "\(listed)")
        let id = try #require(row.split(separator: " ").first.map(String.init))
        let shown = try deployment.command(["answers", "show", id])
        #expect(shown.contains("Clay keeps tea warm for an hour."), "\(shown)")
        let refusal = try #require(
            try deployment.command(["answers", "ls", "--refused"]).split(separator: " ").first.map(String.init))
        let file = deployment.file("given.jsonl")
        for arguments in [[id], [refusal, "--split", "tune"]] {
            _ = try deployment.command(["eval", "add"] + arguments + ["--to", file])
        }
        let lines = String(decoding: try File.contents(of: file), as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 2 && lines[0].contains(#""documents":["d2"]"#), "\(lines)")
        #expect(lines.last?.contains(#""documents":[],"split":"tune""#) == true, "\(lines)")
        let json = try JSONValue.parse(
            Array(try deployment.command(["eval", "--answers", file, "--json"]).utf8))
        #expect(json["questions"]?.array?.map { $0["right"]?.bool } == [true, true], "\(json)")
        #expect(try deployment.refusal(["eval", "add", id, "--to", file]).contains("two questions have the id"))
        #expect(try deployment.refusal(["answers", "show", "ans_none"]).contains("no answer with this id is kept"))
    }

    @Test(.timeLimit(.minutes(4))) func whatCannotBeJudgedIsNamed() async throws {
        try await run { deployment, put in
            let set = try put("topics.txt", Self.topics)
            let lines = try put("bad.jsonl", #"{"id": "1", "query": "tea", "relevant": {"x1": 1, "x2": 1}}"#)
            let filtered = try put(
                "filtered.jsonl", #"{"id": "q7", "query": "tea", "relevant": {"d1": 1}, "filters": {"colour": 1}}"#)
            let empty = try put("empty.jsonl", "\n")
            for (arguments, says) in [
                (["--set", set], "--qrels FILE"), (["--set", deployment.file("none")], "none"),
                (["--set", set, "--qrels", deployment.file("none")], "the judgements (--qrels) cannot be read"),
                (["--set", empty], "the set is empty"),
                (["--set", lines], "knows none of the judged documents, such as x1"),
                (["--set", filtered, "--arms", "vector"], "query q7 (vector): 1 field is wrong"),
                ([], "--set FILE is missing"),
                (["--set", lines, "--arms", "vector,bm25"], "--arms"),
                (
                    ["--set", lines, "--url", "http://127.0.0.1:1"],
                    "is `medallion up` or `medallion serve` running there"
                ),
                (["--compare", set, set], "is no saved run"), (["--compare", set], "--compare needs RUN"),
            ] {
                let said = try deployment.refusal(["eval"] + arguments)
                #expect(said.contains(says), "\(arguments): \(said)")
            }
        }
    }
}
