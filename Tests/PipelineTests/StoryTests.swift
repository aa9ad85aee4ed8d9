import Bytes
import Files
import HTTPClient
import JSONScan
import PlatformTesting
import Testing

extension PipelineTests {
    /// One story on the running platform, by commands and once more over HTTP: a wrong answer is traced to its event, which is taken out;
    /// the logic is changed, looked at, made and served; the question is asked again, and as of before; and all of it is taken back.
    @Suite(.serialized) struct StoryTests {
        private static let question = "What colour was the Golden Gate Bridge painted in?"
        private static let fact = "international orange"
        private static let template =
            "{title}[, with the remark: {comment}]. {type} by {user} on {domain}[ ({delta} bytes)]."
        private static let logic = #"{"type":"recent_change","template":"\#(template)"}"#

        @Test(.timeLimit(.minutes(6))) func aWrongAnswer() async throws {
            try await Deployment.run(environment: ["EMBED_ENABLED": "false"]) { deployment in
                let up = try PlaybackTests.play(PlaybackTests.handWritten, deployment)
                let made = try deployment.command(["keys", "create", "ops", "--role", "write", "--json"])
                let key = try #require(try JSONValue.parse(Array(made.utf8))["key"]?.string)
                let http = HTTPHands(base: deployment.api.url, key: key)
                let hands: [any Hands] = [CommandHands(deployment: deployment), http]
                try deployment.wait(for: "the key") { try http.generations().count == 1 }
                for (number, hand) in hands.enumerated() {
                    try Self.tell(hand, deployment, generation: Int64(number) + 2)
                }
                try Self.expectRunsToBeTold(deployment, key)
                #expect(try up.stop() == .exited(0))
            }
        }

        /// A server that is asked for a replay tells OpenLineage of it, with what it read and wrote.
        private static func expectRunsToBeTold(_ deployment: Deployment, _ key: String) throws {
            let (port, runs) = (try TestPorts.free(), deployment.file("serve-runs.jsonl"))
            let server = try deployment.start(
                "serve", environment: ["API_LISTEN": "127.0.0.1:\(port)", "OPENLINEAGE_FILE": runs])
            let http = HTTPHands(base: "http://127.0.0.1:\(port)", key: key)
            try deployment.wait(for: "the other server") { try !http.generations().isEmpty }
            _ = try http.replay(logic, isDryRun: false)
            #expect(try server.stop() == .exited(0))
            let events = try File.contents(of: runs).split(separator: 0x0A).map {
                try JSONValue.parse(Array($0), maxDepth: 64)
            }
            #expect(events.first?["eventType"]?.string == "START" && events.last?["eventType"]?.string == "COMPLETE")
            #expect(Set(events.compactMap { $0["run"]?["runId"]?.string }).count == 1)
            for member in ["inputs", "outputs"] {
                let datasets = events.flatMap { $0[member]?.array ?? [] }
                let ranges = datasets.flatMap { $0["facets"]?["medallionOffsets"]?["ranges"]?.array ?? [] }
                #expect(ranges.contains { $0["topic"]?.string == deployment.topic }, "\(member): \(events)")
            }
        }

        private static func says(_ answer: JSONValue) -> String {
            (answer["sentences"]?.array ?? []).compactMap { $0["text"]?.string }.joined(separator: " ")
        }

        private static func tell(_ hand: any Hands, _ deployment: Deployment, generation: Int64) throws {
            var first = JSONValue.null
            try deployment.wait(for: "the answer") {
                first = try hand.answer(question, asOf: nil)
                return says(first).contains(fact)
            }
            let id = try #require(first["answer_id"]?.string)

            // Where it comes from, and what else came of that.
            let trace = try hand.trace(id)
            #expect(trace["complete"]?.bool == true, "\(trace)")
            let bronze = try #require(trace["citations"]?.array?.first?["bronze"]?.array?.first)
            #expect(bronze["hash_ok"]?.bool == true)
            let place = Place(
                topic: try #require(bronze["topic"]?.string), partition: try #require(bronze["partition"]?.integer),
                offset: try #require(bronze["offset"]?.integer))
            let answers = try hand.impact(place)["answers"]?.array ?? []
            #expect(answers.contains { $0["answer_id"]?.string == id }, "\(answers)")

            // Out of every reply, and the answer that was given withholds what came of it.
            let suppression = try hand.suppress(place)
            try deployment.wait(for: "the answer without it") {
                try !says(hand.answer(question, asOf: nil)).contains(fact)
            }
            try deployment.wait(for: "the given answer without it") {
                try !deployment.api.get("/answers/\(id)").text.contains(fact)
            }

            // Another logic, looked at first.
            let trial = try hand.replay(logic, isDryRun: true)
            #expect(trial["changed"]?.integer == 19, "\(trial)")
            let report = try hand.replay(logic, isDryRun: false)
            for name in ["added", "changed", "removed", "unchanged"] { #expect(report[name] == trial[name], "\(name)") }
            try hand.promote(generation)
            try deployment.wait(for: "the new logic") {
                let hits = try deployment.api.post("/search", [("query", .string("\"with the remark\""))])
                return hits["generation"]?.integer == generation && hits["hits"]?.array?.isEmpty == false
            }
            let again = try hand.answer(question, asOf: nil)
            #expect(!says(again).contains(fact), "\(again)")

            // As of the first answer: its generation, without what is suppressed by now.
            let before = try hand.answer(question, asOf: id)
            #expect(before["as_of"]?["generation"]?.integer == 1, "\(before)")
            #expect(before["as_of"]?["index_version"]?.integer == first["index_version"]?.integer, "\(before)")
            #expect(!says(before).contains(fact), "\(before)")
            try hand.lift(suppression)
            try deployment.wait(for: "the lifted event, as of before") {
                try says(hand.answer(question, asOf: id)) == says(first)
            }

            // Back to what was.
            try hand.promote(1)
            try deployment.wait(for: "the first answer") {
                let back = try hand.answer(question, asOf: nil)
                return back["generation"]?.integer == 1 && says(back) == says(first)
            }
            try hand.prune(generation)
        }
    }
}

/// Where an event stands.
private struct Place {
    let topic: String
    let partition: Int64
    let offset: Int64
}

/// What an operator does, by whatever means.
private protocol Hands {
    func answer(_ question: String, asOf: String?) throws -> JSONValue
    func trace(_ answer: String) throws -> JSONValue
    func impact(_ place: Place) throws -> JSONValue
    /// - Returns: its id.
    func suppress(_ place: Place) throws -> String
    func lift(_ suppression: String) throws
    /// - Returns: the report.
    func replay(_ logic: String, isDryRun: Bool) throws -> JSONValue
    func promote(_ generation: Int64) throws
    func prune(_ generation: Int64) throws
}

private struct CommandHands: Hands {
    let deployment: Deployment

    private func json(_ arguments: [String], seconds: Int = 120) throws -> JSONValue {
        try JSONValue.parse(Array(try deployment.command(arguments + ["--json"], seconds: seconds).utf8), maxDepth: 64)
    }

    func answer(_ question: String, asOf: String?) throws -> JSONValue {
        try json(["answer"] + (asOf.map { ["--as-of", $0] } ?? []) + [question])
    }

    func trace(_ answer: String) throws -> JSONValue { try json(["trace", answer]) }

    func impact(_ place: Place) throws -> JSONValue {
        try json([
            "impact", "--topic", place.topic, "--partition", "\(place.partition)", "--offset", "\(place.offset)",
        ])
    }

    func suppress(_ place: Place) throws -> String {
        let event = "\(place.topic)/\(place.partition)/\(place.offset)"
        return try #require(try json(["suppress", "--event", event, "--reason", "it is wrong"])["id"]?.string)
    }

    func lift(_ suppression: String) throws {
        try deployment.command(["suppress", "lift", suppression, "--reason", "it was right"])
    }

    func replay(_ logic: String, isDryRun: Bool) throws -> JSONValue {
        let file = deployment.file("logic.json")
        try File.replace(file, with: Array(logic.utf8))
        return try json(["replay", "--all", "--logic", file] + (isDryRun ? ["--dry-run"] : []))
    }

    func promote(_ generation: Int64) throws { try deployment.command(["promote", "\(generation)"]) }
    func prune(_ generation: Int64) throws { try deployment.command(["generations", "--prune", "\(generation)"]) }
}

private struct HTTPHands: Hands {
    let base: String
    let key: String
    private let client = HTTPClient()

    init(base: String, key: String) {
        self.base = base
        self.key = key
    }

    private func ask(_ method: String, _ path: String, _ body: JSONValue? = nil) throws -> JSONValue {
        var headers = [("Authorization", "Bearer \(key)")]
        if body != nil { headers.append(("Content-Type", "application/json")) }
        let reply = try client.request(
            HTTPClientRequest(
                method: method, url: base + path, headers: headers, body: body.map { Array($0.text.utf8) }),
            timeoutMilliseconds: 40_000)
        try reply.requireSuccess()
        return try JSONValue.parse(reply.body, maxDepth: 64)
    }

    func answer(_ question: String, asOf: String?) throws -> JSONValue {
        try ask(
            "POST", "/answer",
            .object([("query", .string(question))] + (asOf.map { [("as_of", .string($0))] } ?? [])))
    }

    func trace(_ answer: String) throws -> JSONValue { try ask("GET", "/answers/\(answer)/trace") }

    func impact(_ place: Place) throws -> JSONValue {
        try ask("GET", "/impact?topic=\(place.topic)&partition=\(place.partition)&offset=\(place.offset)")
    }

    func suppress(_ place: Place) throws -> String {
        let made = try ask(
            "POST", "/suppressions",
            .object([
                ("target", .string("event")), ("topic", .string(place.topic)), ("partition", .integer(place.partition)),
                ("offset", .integer(place.offset)), ("reason", .string("it is wrong")),
            ]))
        return try #require(made["id"]?.string)
    }

    func lift(_ suppression: String) throws {
        _ = try ask("DELETE", "/suppressions/\(suppression)?reason=it%20was%20right")
    }

    func replay(_ logic: String, isDryRun: Bool) throws -> JSONValue {
        let started = try ask(
            "POST", "/replays",
            .object([("logic", try JSONValue.parse(Array(logic.utf8))), ("dry_run", .bool(isDryRun))]))
        let id = try #require(started["id"]?.string)
        // It ends when the replay does.
        let reply = try client.request(
            HTTPClientRequest(url: base + "/replays/\(id)/progress", headers: [("Authorization", "Bearer \(key)")]),
            timeoutMilliseconds: 120_000)
        try reply.requireSuccess()
        let shown = try ask("GET", "/replays/\(id)")
        #expect(shown["state"]?.string == "done", "\(shown)")
        return try #require(shown["report"])
    }

    func promote(_ generation: Int64) throws {
        _ = try ask("POST", "/generations/\(generation)/promote?wait_seconds=10", .object([]))
    }

    func prune(_ generation: Int64) throws { _ = try ask("POST", "/generations/\(generation)/prune", .object([])) }
    func generations() throws -> [JSONValue] { try ask("GET", "/generations")["generations"]?.array ?? [] }
}
