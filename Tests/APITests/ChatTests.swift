import Bytes
import Concurrency
import HTTPClient
import HTTPServer
import IndexTesting
import JSONScan
import PlatformTesting
import Synchronization
import Testing

@testable import API

/// `/answer` behind OpenAI's API.
@Suite struct ChatTests {
    private static let asked = "who repainted the golden gate bridge towers?"
    private static let honest = ModelServer.json([
        ("The towers section was repainted by Ann.", [1]), ("Ann added 999 bytes.", [1]),
    ])

    private static let hasTools = (try? PythonTool.run(["-c", "import openai"])) != nil

    private static func body(_ more: String = "", model: String = "medallion") -> String {
        #"{"model": "\#(model)", "messages": [{"role": "user", "content": "\#(asked)"}]\#(more)}"#
    }

    private func post(_ fixture: APIFixture, _ body: String) async throws -> (status: Int, body: JSONValue) {
        let reply = await fixture.reply(APIFixture.posting("/v1/chat/completions", body))
        return (reply.status, try JSONValue.parse(reply.body))
    }

    /// The data of the stream's frames.
    private func chunks(_ fixture: APIFixture, _ body: String) async throws -> [String] {
        let reply = await fixture.reply(APIFixture.posting("/v1/chat/completions", body))
        #expect(reply.headers["Content-Type"] == "text/event-stream")
        return String(decoding: reply.body, as: UTF8.self).split(separator: "\n\n").map {
            String($0.dropFirst("data: ".count))
        }
    }

    @Test(.enabled(if: hasTools, "needs openai in .deps/venv")) func openAIsOwnClient() async throws {
        let keys = TestKeys()
        let key = try keys.make(.read)
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        let fixture = APIFixture(access: access, readKeys: keys.read)
        fixture.fill()
        let output = try await withAPI(fixture) { port in
            try await Lane(name: "openai").run {
                try PythonTool.run([
                    PackageRoot.path + "/Tests/APITests/openai_client.py", "http://127.0.0.1:\(port)", key,
                ])
            }
        }
        let seen = try JSONValue.parse(output)
        #expect(seen["models"]?.array?.compactMap(\.string) == ["medallion", "extractive"])
        #expect(seen["model"]?.string == "extractive" && seen["object"]?.string == "chat.completion")
        let whole = try #require(seen["whole"])
        let content = try #require(whole["content"]?.string)
        #expect(content.contains("repainted towers") && seen["finish"]?.string == "stop")
        let sentences = whole["medallion"]?["sentences"]?.array?.compactMap { $0["text"]?.string } ?? []
        #expect(content == sentences.joined(separator: " "))
        #expect(Set(whole["cited"]?.array?.compactMap(\.string) ?? []) == Set(sentences))
        let citation = whole["medallion"]?["citations"]?[0]
        #expect(whole["annotations"]?[0]?["url_citation"]?["url"] == citation?["url"])
        #expect(whole["annotations"]?[0]?["url_citation"]?["title"] == citation?["title"])
        #expect(whole["annotations"]?[0]?["trace"]?.string?.hasPrefix("/trace/d-bridge?collection=") == true)
        #expect((seen["usage"]?["total_tokens"]?.integer ?? 0) > 10)
        let stream = try #require(seen["stream"])
        #expect(stream["objects"] == .array([.string("chat.completion.chunk")]) && stream["ids"]?.integer == 1)
        #expect(stream["content"]?.string == content && stream["annotations"] == whole["annotations"])
        #expect(stream["role"]?.string == "assistant" && (stream["pieces"]?.integer ?? 0) > 3)
        #expect(stream["finish"]?.string == "stop" && stream["usage"] == seen["usage"])
        #expect(stream["refused"] == .array([.bool(false)]) && seen["helper"]?.string == content)
        #expect(seen["parts"]?.string == content)
        #expect(seen["refusal"]?["content"]?.string == "I don't have enough information.")
        #expect(seen["refusal"]?["medallion"]?["refused"]?.bool == true)
        #expect(seen["refusal"]?["annotations"] == .array([]))
        #expect(seen["filtered"]?["medallion"]?["refused"]?.bool == true)
        try errors(try #require(seen["errors"]))
        let stored = fixture.index.state.withLock { $0.answers.map(\.id) }
        #expect(stored.contains(whole["medallion"]?["answer_id"]?.string ?? ""), "it is kept as any other")
    }

    private func errors(_ errors: JSONValue) throws {
        let expected: [(name: String, class: String, status: Int64, code: String, param: String?)] = [
            ("key", "AuthenticationError", 401, "key_invalid", nil),
            ("model", "NotFoundError", 404, "model_not_found", "model"),
            ("retrieve", "NotFoundError", 404, "model_not_found", "model"),
            ("n", "UnprocessableEntityError", 422, "validation", "n"),
            ("tools", "UnprocessableEntityError", 422, "validation", "tools"),
            ("schema", "UnprocessableEntityError", 422, "validation", "response_format"),
            ("stop", "UnprocessableEntityError", 422, "validation", "stop"),
            ("part", "UnprocessableEntityError", 422, "validation", "messages.0.content.1"),
            ("nobody", "UnprocessableEntityError", 422, "validation", "messages"),
            ("filter", "UnprocessableEntityError", 422, "validation", "medallion.filter"),
            ("unknown", "UnprocessableEntityError", 422, "validation", "filters"),
            ("path", "NotFoundError", 404, "not_found", "path"),
            ("large", "APIStatusError", 413, "body_too_large", nil),
        ]
        for (name, kind, status, code, param) in expected {
            let error = try #require(errors[name], "\(name)")
            #expect(error["class"]?.string == kind && error["status"]?.integer == status, "\(name): \(error)")
            if name != "large" { #expect(error["code"]?.string == code, "\(name): \(error)") }
            if let param { #expect(error["param"]?.string == param, "\(name): \(error)") }
            #expect(error["message"]?.string?.isEmpty == false && error["type"]?.string != nil, "\(name)")
            #expect(error["request_id"]?.string?.isEmpty == false, "\(name)")
        }
    }

    /// What a model writes comes sentence by sentence, checked; `model` chooses whom is asked.
    @Test func modelsByName() async throws {
        let (first, second) = (try ModelServer(.says(Self.honest)), try ModelServer(.says(Self.honest)))
        defer {
            first.stop()
            second.stop()
        }
        let fixture = ModelAnswerTests.fixture([first, second])
        let names = await fixture.reply(HTTPRequest(target: "/v1/models"))
        #expect(
            try JSONValue.parse(names.body)["data"]?.array?.compactMap { $0["id"]?.string }
                == ["medallion", "model", "model_fallback", "extractive"])
        for (name, answerer) in [
            ("medallion", "model"), ("model", "model"), ("model_fallback", "model_fallback"),
            ("extractive", "extractive"),
        ] {
            let (status, body) = try await post(fixture, Self.body(model: name))
            #expect(status == 200 && body["model"]?.string == name)
            #expect(body["medallion"]?["answerer"]?["name"]?.string == answerer)
            let content = body["choices"]?[0]?["message"]?["content"]?.string
            #expect(content?.contains("999") == false && content?.contains("repainted") == true, "\(body)")
            let frames = try await chunks(fixture, Self.body(#", "stream": true"#, model: name))
            #expect(frames.last == "[DONE]")
            let said = try frames.dropLast().map { try JSONValue.parse(Array($0.utf8)) }
            let text = said.compactMap { $0["choices"]?[0]?["delta"]?["content"]?.string }.joined()
            #expect(text == content && said.allSatisfy { $0["usage"] == nil })
            #expect(said.last?["medallion"]?["answerer"]?["name"]?.string == answerer)
        }
        #expect(first.asked.withLock(\.count) == 4 && second.asked.withLock(\.count) == 2)
    }

    /// What is too late for a status is an error in the stream, without the mark of its end.
    @Test func aFaultInTheStream() async throws {
        let index = Mutex<FakeIndex?>(nil)
        let server = try ModelServer(
            .answers { _ in
                // The passages were found; the answer cannot be kept.
                index.withLock { $0 }?.state.withLock { $0.failure = FakeFailure() }
                return Self.honest
            })
        defer { server.stop() }
        let fixture = ModelAnswerTests.fixture([server])
        index.withLock { $0 = fixture.index }
        let frames = try await chunks(fixture, Self.body(#", "stream": true"#))
        let last = try JSONValue.parse(Array((frames.last ?? "").utf8))
        #expect(last["error"]?["type"]?.string == "server_error" && last["error"]?["code"]?.string == "unavailable")
        #expect(!frames.contains("[DONE]"))
    }

    /// The replies are as the document says.
    /// Clients want some key; where reading takes none, any will do that is not one of ours gone wrong.
    @Test func aPlaceholderIsNoKey() async throws {
        let keys = TestKeys()
        let key = try keys.make(.read)
        for isOpen in [true, false] {
            var access = AccessConfiguration()
            access.isAnonymousReadAllowed = isOpen
            let fixture = APIFixture(access: access, readKeys: keys.read)
            try await withAPI(fixture) { _ in }
            for (text, path, status) in [
                ("none", "/v1/models", isOpen ? 200 : 401), ("sk-abc", "/v1/models", isOpen ? 200 : 401),
                (key, "/v1/models", 200), (String(key.dropLast()), "/v1/models", 401),
                (String(key.dropLast()) + "~", "/v1/models", 401), ("none", "/events/recent", 401),
            ] {
                let request = HTTPRequest(target: path, headers: ["Authorization": "Bearer \(text)"])
                let reply = await fixture.reply(request)
                #expect(reply.status == status, "\(text) \(path) \(isOpen)")
                if status == 401 {
                    #expect(try JSONValue.parse(reply.body).text.contains("key_invalid"), "\(text) \(path)")
                }
            }
        }
    }

    @Test func repliesFitTheirSchemas() async throws {
        let fixture = APIFixture()
        fixture.fill()
        let document = SearchAPI.openAPI(of: fixture.api.endpoints()).json
        let whole = try await post(fixture, Self.body()).body
        let refused = try await post(fixture, Self.body(#", "n": 2, "medallion": 5"#))
        #expect(refused.status == 422)
        let frames = try await chunks(
            fixture, Self.body(#", "stream": true, "stream_options": {"include_usage": true}"#))
        var replies = [("ChatCompletion", whole), ("ChatError", refused.body)]
        for frame in frames.dropLast() { replies.append(("ChatChunk", try JSONValue.parse(Array(frame.utf8)))) }
        let models = await fixture.reply(HTTPRequest(target: "/v1/models"))
        replies.append(("ChatModels", try JSONValue.parse(models.body)))
        for (name, reply) in replies {
            let schema = try #require(document["components"]?["schemas"]?[name])
            #expect(SchemaCheck.misfits(reply, schema, in: document, at: name) == [])
        }
    }

    /// A client that leaves ends what a model writes for it: the connection to the model is closed.
    @Test func aClientThatLeavesEndsTheModelsWork() async throws {
        let half =
            #"{"refused": false, "sentences": [{"text": "The towers section was repainted by Ann.", "citations": [1]}, "#
        let server = try ModelServer(.hangs(half))
        defer { server.stop() }
        let fixture = ModelAnswerTests.fixture([server], milliseconds: 25_000)
        try await withAPI(fixture) { port in
            for round in 1...10 {
                let left = try await Lane(name: "reader").run {
                    let request = HTTPClientRequest(
                        method: "POST", url: "http://127.0.0.1:\(port)/v1/chat/completions",
                        headers: [("Content-Type", "application/json")],
                        body: Array(Self.body(#", "stream": true"#).utf8))
                    var text = ""
                    _ = try HTTPClient().stream(
                        request, connectTimeoutMilliseconds: 5_000, stallTimeoutMilliseconds: 30_000,
                        shouldStop: { text.contains("Ann.") }, onHead: { _, _ in true },
                        onBytes: { text += String(decoding: $0, as: UTF8.self) })
                    return SystemClock.monotonicNanoseconds()
                }
                try await eventually { server.left.withLock { $0.count == round } }
                let closed = server.left.withLock { $0.last ?? left }
                print("the model's connection was closed \((closed - left) / 1_000) µs after the client's")
            }
        }
        #expect(server.asked.withLock(\.count) == 10)
        #expect(fixture.index.state.withLock { $0.answers.isEmpty }, "nobody got it")
    }

    /// Limits are those of the caller, in the shape that clients read.
    @Test func refusalsHaveOpenAIsShape() async throws {
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        let closed = APIFixture(access: access, readKeys: { [] })
        for (method, target) in [
            (HTTPMethod.get, "/v1/models"), (.get, "/v1/models/x"), (.post, "/v1/chat/completions"),
        ] {
            let reply = await closed.reply(HTTPRequest(method: method, target: target))
            let error = try JSONValue.parse(reply.body)["error"]
            #expect(reply.status == 401 && reply.headers["WWW-Authenticate"] != nil, "\(target)")
            #expect(error?["message"]?.string != nil && error?["code"]?.string != nil && error?["param"] != nil)
        }
        let fixture = APIFixture(isAnswerEnabled: false)
        let (status, body) = try await post(fixture, Self.body())
        #expect(status == 503 && body["error"]?["type"]?.string == "server_error")
        let plain = await fixture.reply(
            HTTPRequest(
                method: .post, target: "/v1/chat/completions", headers: ["Content-Type": "text/plain"],
                body: Array(Self.body().utf8)))
        #expect(plain.status == 415)
        #expect(try JSONValue.parse(plain.body)["error"]?["type"]?.string == "invalid_request_error")
    }
}
