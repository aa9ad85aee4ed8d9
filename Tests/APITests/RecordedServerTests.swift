import Bytes
import Files
import Glibc
import IndexTesting
import JSONScan
import Retrieval
import Telemetry
import Testing

@testable import API

/// What real servers of chat said, played to the client byte for byte.
@Suite struct RecordedServerTests {
    private static let sentence = "The towers section was repainted by Ann."
    private static let goldenPath = Recording.folder + "/requests.json"

    /// An answer of the API whose model is the recorded server, and what the server was asked.
    private func answer(
        _ server: Recording.Server, _ names: [String], pieceBytes: Int? = nil, more: Int = 0
    ) async throws -> (reply: JSONValue, asked: [JSONValue]) {
        let recording = try Recording(of: server)
        let played = try RecordedServer(names.map(recording.exchange), pieceBytes: pieceBytes)
        defer { played.stop() }
        let fixture = APIFixture(adjust: { dependencies in
            dependencies.models.append(
                ChatAnswerer(
                    ChatConfiguration(name: "model", url: played.url, model: "tiny", key: "sk-recorded"),
                    metrics: dependencies.metrics, logger: Logger("api", level: .error)))
        })
        // At times of their own, so that the prompt is the same each day.
        for (id, title, comment) in [
            ("d-bridge", "Golden Gate Bridge", "repainted towers section"),
            ("d-bay", "Bay Bridge", "lights and cables"),
        ] {
            fixture.index.add(id, title: title, comment: comment, eventTime: 1_760_000_000_000)
        }
        let filler = String(repeating: "golden gate bridge towers ", count: 110)
        for number in 0..<more {
            fixture.index.add("d-more-\(number)", title: "Golden Gate \(number)", comment: filler)
        }
        let (status, body) = await fixture.post(
            .answer, #"{"query": "who repainted the golden gate bridge towers?", "debug": true}"#)
        #expect(status == 200)
        return (body, played.asked)
    }

    /// A request without what is different each time.
    private func normalized(_ request: JSONValue) throws -> JSONValue {
        let user = request["messages"]?[1]?["content"]?.string ?? ""
        let boundary = try #require(user.split(separator: " ").first { $0.hasPrefix("#") })
        let text = request.indented().replacing(boundary, with: "#boundary")
        return try JSONValue.parse(Array(text.utf8), maxDepth: 64)
    }

    private func texts(_ reply: JSONValue) -> [String] {
        (reply["sentences"]?.array ?? []).compactMap { $0["text"]?.string }
    }

    private func expectHonest(_ reply: JSONValue, _ form: String, _ comment: Comment) {
        #expect(texts(reply) == [Self.sentence], comment)
        #expect(reply["citations"]?[0]?["doc_id"]?.string == "d-bridge", comment)
        #expect(reply["answerer"]?["name"]?.string == "model", comment)
        #expect(reply["answerer"]?["incomplete"]?.bool == false, comment)
        #expect(reply["debug"]?["citation_check"]?["form"]?.string == form, comment)
    }

    /// What servers were asked when they were recorded is what they are asked now.
    ///
    /// `UPDATE_GOLDEN=1` writes what they are asked; `tools/record_servers.py` asks real ones anew.
    @Test func theyWereAskedWhatIsAskedNow() async throws {
        let (_, json) = try await answer(.llamaCpp, ["stream with a schema"])
        let (_, both) = try await answer(.llamaCpp, ["a schema that is none", "stream of marks"])
        let now = try (json: normalized(#require(json.first)), marks: normalized(#require(both.last)))
        if getenv("UPDATE_GOLDEN").map({ String(cString: $0) }) == "1" {
            let chat = JSONValue.object([("json", now.json), ("marks", now.marks)])
            let embeddings = try JSONValue.parse(File.contents(of: Self.goldenPath))["embeddings"] ?? .null
            let text = JSONValue.object([("chat", chat), ("embeddings", embeddings)]).indented() + "\n"
            try File.replace(Self.goldenPath, with: Array(text.utf8))
        }
        let golden = try JSONValue.parse(File.contents(of: Self.goldenPath), maxDepth: 64)
        #expect(golden["chat"]?["json"] == now.json && golden["chat"]?["marks"] == now.marks)
        for server in Recording.Server.allCases {
            let recording = try Recording(of: server)
            #expect(try recording.exchange("stream with a schema").body == now.json, "\(server)")
            #expect(try recording.exchange("stream of marks").body == now.marks, "\(server)")
        }
    }

    /// As it came, and cut elsewhere.
    @Test(arguments: Recording.Server.allCases, [nil, 1, 7, 100_000])
    func answersAreRead(server: Recording.Server, pieceBytes: Int?) async throws {
        for name in ["stream with a schema", "whole with a schema", "stream of marks", "whole of marks"] {
            let (reply, asked) = try await answer(server, [name], pieceBytes: pieceBytes)
            let comment: Comment = "\(server) \(name): \(reply)"
            expectHonest(reply, name.contains("schema") ? "json" : "marks", comment)
            #expect(asked.count == 1, comment)
        }
    }

    /// llama.cpp's words for a schema that it cannot use.
    @Test func aSchemaThatIsRefusedBringsMarks() async throws {
        let (reply, asked) = try await answer(.llamaCpp, ["a schema that is none", "stream of marks"])
        expectHonest(reply, "marks", "\(reply)")
        #expect(asked.map { $0["response_format"] != nil } == [true, false])
    }

    @Test func aParameterThatIsRefusedIsLeftOut() async throws {
        let (reply, asked) = try await answer(.llamaCpp, ["a parameter of another type", "stream with a schema"])
        expectHonest(reply, "json", "\(reply)")
        #expect(asked.map { $0["temperature"] != nil } == [true, false])
    }

    /// Where passages are longer than the model's context there are fewer of them.
    @Test func aContextThatIsTooLongIsMadeShorter() async throws {
        let (reply, asked) = try await answer(
            .llamaCpp, ["too long a context", "too long a context", "stream with a schema"], more: 8)
        expectHonest(reply, "json", "\(reply)")
        let lengths = asked.map { $0["messages"]?[1]?["content"]?.string?.utf8.count ?? 0 }
        #expect(lengths.count == 3 && lengths == lengths.sorted(by: >) && Set(lengths).count == 3, "\(lengths)")
    }

    private static let failures: [(Recording.Server, String, ModelFault.Kind, times: Int)] = [
        (.llamaCpp, "few tokens", .garbage, 1), (.transformers, "few tokens", .garbage, 1),
        (.llamaCpp, "no key", .unauthorized, 1), (.transformers, "a parameter that nobody knows", .refused, 1),
        // What it says of a model that it does not have.
        (.transformers, "no such model", .serverError, 3),
        (.transformers, "too long a context", .garbage, 1),
    ]

    /// Another answers then, and the reply says why.
    @Test func failuresAreNamed() async throws {
        for (server, name, kind, times) in Self.failures {
            let (reply, asked) = try await answer(server, [name])
            #expect(reply["answerer"]?["name"]?.string == "extractive", "\(server) \(name)")
            #expect(reply["answerer"]?["reason"]?.string == kind.rawValue, "\(server) \(name): \(reply)")
            #expect(asked.count == times, "\(server) \(name)")
            #expect(!texts(reply).contains(Self.sentence), "\(server) \(name)")
        }
    }
}
