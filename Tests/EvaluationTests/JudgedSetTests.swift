import Evaluation
import JSONScan
import Testing

@Suite struct JudgedSetTests {
    private static let topics = """
        <top>
        <num> Number: 301
        <title> International
        Organized Crime

        <desc> Description:
        Identify organizations.
        </top>
        <top><num>302</num><title>Topic: poliomyelitis &amp; vaccines</title></top>
        <top>
        <num>Number:303
        <title>Hubble
        </top>
        """
    private static let qrels = "301 0 d1 1\n301 0 d2 0\r\n\n302\t0\td1\t2\n999 0 d7 1\n"

    private func fault(_ set: String, _ qrels: String? = nil) -> String? {
        do throws(JudgedSetError) {
            _ = try JudgedSet(Array(set.utf8), judgements: qrels.map { Array($0.utf8) })
            return nil
        } catch {
            return error.description
        }
    }

    @Test func topicsMeetTheirJudgements() throws {
        let set = try JudgedSet(Array(Self.topics.utf8), judgements: Array(Self.qrels.utf8))
        #expect(set.queries.map(\.id) == ["301", "302"])
        #expect(set.queries.map(\.text) == ["International Organized Crime", "poliomyelitis &amp; vaccines"])
        #expect(set.queries[0].grades == ["d1": 1, "d2": 0] && set.queries[1].grades == ["d1": 2])
        #expect(set.withoutRelevant == ["303"] && set.withoutText == ["999"])
        #expect(set.relevantDocuments == ["d1"])
    }

    @Test func jsonLinesBringTheirJudgements() throws {
        let lines = """
            {"id": "q1", "query": "golden gate", "relevant": {"d1": 2, "d2": 1}}

            {"id": 2, "query": "tahoe", "relevant": {"d3": 1}, "filters": {"wiki": ["dewiki"], "is_bot": false}}
            """
        let set = try JudgedSet(Array(lines.utf8), judgements: nil)
        #expect(set.queries.map(\.id) == ["q1", "2"] && set.queries[0].grades == ["d1": 2, "d2": 1])
        #expect(set.queries[0].filters == nil)
        #expect(set.queries[1].filters == Array(#"{"wiki":["dewiki"],"is_bot":false}"#.utf8))
        let judged = try JudgedSet(Array(#"{"id": "q", "query": "a"}"#.utf8), judgements: Array("q 0 d 1".utf8))
        #expect(judged.queries[0].grades == ["d": 1])
    }

    @Test(
        arguments: [
            ("", nil, "the set is empty"), (topics, nil, "--qrels FILE"),
            ("<top><num>1<title>a", "1 0 d 1", "no </top>"),
            ("<top><title>a</top>", "1 0 d 1", "no <num>"), ("<top><num>7</top>", "1 0 d 1", "(7) has no <title>"),
            ("hello", "1 0 d 1", "neither JSON lines nor a <top>"), (topics, "", "judgements are empty"),
            (topics, "301 0 d1 1\n301 0 d1", "line 2 of the judgements"), (topics, "301 0 d1 0.5", "line 1"),
            (topics, "4 0 d1 1", "none of the 3 queries has a relevant document"),
            (#"{"id": "1", "query": "a", "relevant": {"d": 1}, "k": 3}"#, nil, "“k”"),
            (#"{"id": "1", "query": "a", "relevant": ["d"]}"#, nil, "no object of grades"),
            (#"{"id": "1", "query": "a", "relevant": {"d": "x"}}"#, nil, "the grade of d"),
            (#"{"id": "1", "query": " "}"#, nil, "has no query"), (#"{"query": "a"}"#, nil, "has no id"),
            ("{\"id\": \"1\", \"query\": \"a\", \"relevant\": {\"d\": 1}}\n{", nil, "line 2 of the set is no JSON"),
            (
                "{\"id\": 1, \"query\": \"a\", \"relevant\": {\"d\": 1}}\n{\"id\": \"1\", \"query\": \"b\"}", nil,
                "two queries have the id 1"
            ),
        ] as [(String, String?, String)]) func faultsAreNamed(set: String, qrels: String?, says: String)
    {
        let said = fault(set, qrels)
        #expect(said?.contains(says) == true, "\(said ?? "nothing")")
    }

    @Test func aSetIsKnownByWhatItAsks() throws {
        func print(_ text: String) throws -> String { try JudgedSet(Array(text.utf8), judgements: nil).fingerprint }
        let (one, other) = (
            #"{"id": "1", "query": "a", "relevant": {"d": 1}}"#, #"{"id": "2", "query": "b", "relevant": {"e": 1}}"#
        )
        #expect(try print(one + "\n" + other) == print(other + "\n" + one))
        #expect(try print(one) != print(#"{"id": "1", "query": "a", "relevant": {"d": 2}}"#))
        #expect(try print(one) != print(#"{"id": "1", "query": "a", "relevant": {"d": 1}, "filters": {"lang": "fr"}}"#))
    }
}

@Suite struct EvaluationRunTests {
    static func run(_ name: String = "http://127.0.0.1:8080", shift: Double = 0, set: String = "s") -> EvaluationRun {
        func scores(_ value: Double) -> EvaluationRun.Scores {
            [.ndcg10: value + shift, .recall: value / 2 + shift, .reciprocalRank: value + shift]
        }
        return EvaluationRun(
            origin: EvaluationRun.Origin(
                name: name, set: set, depth: 100, generation: 3, indexVersion: 71,
                askedAtMilliseconds: 1_763_700_000_000),
            queries: ["1", "2", "3"],
            arms: [
                "hybrid": [0.5, 0.25, 0.125].map(scores), "vector": [0.4, 0.2, 0.1].map(scores),
                "lexical": [0.3, 0.1, 0].map(scores),
            ], notes: ["a note"])
    }

    @Test func aSavedRunIsReadAsItWas() throws {
        let run = Self.run()
        #expect(try EvaluationRun(file: run.file(seed: 1)) == run)
        for bad in [
            "", "[]", "{}", #"{"format": 2}"#,
            #"{"format":1,"set":"s","depth":9,"arms":{"x":{}},"per_query":[{"id":"1"}]}"#,
        ] {
            #expect(throws: JudgedSetError.self) { try EvaluationRun(file: Array(bad.utf8)) }
        }
    }

    @Test func runsOfOneSetAreCompared() throws {
        let comparison = try EvaluationComparison(Self.run(), Self.run("other", shift: 0.1), seed: 1)
        #expect(comparison.rows.map(\.arm) == ["vector", "lexical", "hybrid"].flatMap { [$0, $0, $0] })
        for row in comparison.rows {
            #expect(abs(row.paired.difference.mean - 0.1) < 1e-9 && row.paired.better == 3)
            // Of three queries all eight exchanges are known: two of them are as large.
            #expect(abs(row.paired.p - 0.25) < 0.02)
        }
        let json = try JSONValue.parse(comparison.json(seed: 1))
        #expect(json["comparison"]?.array?.count == 9 && json["second"]?["name"]?.string == "other")
        #expect(throws: JudgedSetError.self) { try EvaluationComparison(Self.run(), Self.run(set: "t"), seed: 1) }
        var shallow = Self.run()
        shallow.origin.depth = 10
        #expect(throws: JudgedSetError.self) { try EvaluationComparison(Self.run(), shallow, seed: 1) }
        var other = Self.run()
        other.arms = ["bm25": other.arms["lexical"] ?? []]
        #expect(throws: JudgedSetError.self) { try EvaluationComparison(Self.run(), other, seed: 1) }
    }

    @Test func tablesSayWhatWasMeasured() throws {
        let table = EvaluationTable.text(Self.run(), seed: 1)
        let lines = table.split(separator: "\n")
        #expect(lines[0] == "http://127.0.0.1:8080, generation 3, 3 queries")
        #expect(lines[1].split(separator: " ").map(String.init) == ["arm", "ndcg@10", "recall@100", "mrr"])
        #expect(lines[4].hasPrefix("  hybrid   0.292 [0.125, 0.500]"))
        let comparison = try EvaluationComparison(Self.run(), Self.run("other", shift: 0.1), seed: 1)
        #expect(EvaluationTable.text(comparison).contains("+0.100 [+0.100, +0.100]"))
    }

    /// Any XML parser reads it, whatever a run is called.
    @Test func thePictureHasABarForEachValue() throws {
        let hostile = "</text><script>\u{1}\"&"
        let svg = EvaluationPlot.svg([Self.run(hostile), Self.run("b", shift: 0.1)], seed: 1)
        #expect(!svg.contains("<script>") && svg.contains("&lt;script&gt;\u{FFFD}&quot;&amp;"))
        #expect(svg.matches(of: /fill-opacity/).count == 2 * 3 * 3)
        #expect(svg.matches(of: /<path d/).count == 2 * 3 * 3)
        #expect(svg.contains(">recall@100<") && svg.contains(">0.292<"))
    }
}
