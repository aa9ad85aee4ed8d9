import Bytes
import HTTPClient
import IndexTesting
import Synchronization
import Testing

@testable import Embeddings

/// What a server of embeddings may do, and what becomes of the texts.
@Suite struct RemoteEmbedderTests {
    private static let dimensions = 8

    private static func configuration(_ server: EmbeddingServer) -> RemoteEmbedderConfiguration {
        var configuration = RemoteEmbedderConfiguration(
            url: server.url, model: "m", key: "sk-secret-key", dimensions: dimensions)
        (configuration.textsMax, configuration.millisecondsMax) = (4, 5_000)
        return configuration
    }

    private static func texts(_ count: Int) -> [String] { (0..<count).map { "text \($0)" } }

    private static func expected(_ text: String) -> [Float] {
        let vector = EmbeddingServer.vector(text, dimensions: dimensions)
        let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return vector.map { $0 / length }
    }

    private static func areEqual(_ one: [Float], _ other: [Float]) -> Bool {
        one.count == other.count && zip(one, other).allSatisfy { abs($0 - $1) < 1e-5 }
    }

    private static func embed(
        _ texts: [String], by server: EmbeddingServer, priority: EmbeddingPriority = .batch,
        _ change: (inout RemoteEmbedderConfiguration) -> Void = { _ in }
    ) async throws -> [[Float]] {
        var configuration = configuration(server)
        change(&configuration)
        let embedder = RemoteEmbedder(configuration)
        defer { embedder.stop() }
        return try await embedder.embed(texts, priority: priority)
    }

    @Test(arguments: EmbeddingServer.Shape.allCases, [false, true])
    func repliesOfServersAreRead(shape: EmbeddingServer.Shape, isReversed: Bool) async throws {
        let server = try EmbeddingServer { request in
            .json(
                EmbeddingServer.reply(
                    request.texts, dimensions: Self.dimensions, shape, isReversed: isReversed))
        }
        defer { server.stop() }
        let texts = Self.texts(10)
        let vectors = try await Self.embed(texts, by: server)
        for (text, vector) in zip(texts, vectors) { #expect(Self.areEqual(vector, Self.expected(text))) }
        #expect(vectors.count == 10 && server.requests.count == 3)
        #expect(server.requests.allSatisfy { $0.authorization == "Bearer sk-secret-key" })
        #expect(server.requests.allSatisfy { $0.body["dimensions"] == nil && $0.body["model"]?.string == "m" })
    }

    /// Each is named, and none of its vectors is used.
    @Test(arguments: [
        ("{\"data\": []}", "0 vectors came for 2 texts"), ("no json", "has no \"data\""), ("{}", "has no \"data\""),
        (
            "{\"data\": [{\"index\": 0, \"embedding\": [1]}, {\"index\": 1, \"embedding\": [1]}]}",
            "a vector of 1 numbers"
        ),
        ("{\"data\": [{\"index\": 1, \"embedding\": []}, {\"index\": 7, \"embedding\": []}]}", "a vector of 0 numbers"),
        ("{\"data\": [{\"index\": 9, \"embedding\": [1]}, {\"index\": 1, \"embedding\": [1]}]}", "the index 9"),
        ("{\"data\": [{\"index\": 0, \"embedding\": \"AAAA\"}, {\"index\": 1}]}", "has no \"data\""),
    ])
    func unusableRepliesAreNamed(body: String, words: String) async throws {
        let server = try EmbeddingServer { _ in .json(body) }
        defer { server.stop() }
        let error = await #expect(throws: EmbeddingError.self) {
            try await Self.embed(Self.texts(2), by: server)
        }
        #expect(error?.kind == .inference && error?.description.contains(words) == true, "\(error as Any)")
        // As often as may be, and no more.
        #expect(server.requests.count == 3)
    }

    @Test func aReplyWithoutEndIsNotRead() async throws {
        let server = try EmbeddingServer { _ in .json(String(repeating: " ", count: 1 << 20)) }
        defer { server.stop() }
        let error = await #expect(throws: EmbeddingError.self) { try await Self.embed(["a"], by: server) }
        #expect(error?.kind == .unreachable && error?.description.contains("larger than allowed") == true)
    }

    enum Trouble: CaseIterable, Sendable { case failing, cut, limited, silent }

    /// What passes by itself is tried again, and nothing is lost or mixed up.
    @Test(arguments: Trouble.allCases) func troublePasses(trouble: Trouble) async throws {
        let server = try EmbeddingServer { request in
            if request.number == 0 {
                switch trouble {
                case .failing: return .json("{\"error\": \"busy\"}", status: 500)
                case .cut: return .cut
                case .limited: return .json("{}", status: 429, headers: [("retry-after-ms", "30")])
                case .silent: return .silence
                }
            }
            return .json(EmbeddingServer.reply(request.texts, dimensions: Self.dimensions))
        }
        defer { server.stop() }
        let vectors = try await Self.embed(Self.texts(3), by: server) { $0.millisecondsMax = 300 }
        #expect(zip(Self.texts(3), vectors).allSatisfy { Self.areEqual($1, Self.expected($0)) })
        // What a server fails with may be the texts' fault: they are tried in parts at once.
        #expect(server.requests.count == (trouble == .failing ? 3 : 2))
    }

    /// A server that is too slow for so many texts is asked for fewer from then on.
    @Test func whatTakesTooLongIsAskedForInParts() async throws {
        let server = try EmbeddingServer { request in
            guard request.texts.count <= 2 else { return .silence }
            return .json(EmbeddingServer.reply(request.texts, dimensions: Self.dimensions))
        }
        defer { server.stop() }
        let vectors = try await Self.embed(Self.texts(8), by: server) { $0.millisecondsMax = 300 }
        #expect(zip(Self.texts(8), vectors).allSatisfy { Self.areEqual($1, Self.expected($0)) })
        // A request that was under way when it was learnt is asked again as well.
        #expect(server.requests.filter { $0.texts.count > 2 }.count <= 4)
    }

    /// Of a backlog every request is as large as may be, and none comes before its time.
    @Test func noRequestIsWasted() async throws {
        let window = Mutex<(began: Int64, count: Int)>((0, 0))
        let refusals = Mutex(0)
        let nanoseconds: Int64 = 1_000_000_000
        let server = try EmbeddingServer { request in
            let now = SystemClock.monotonicNanoseconds()
            let (isAllowed, left, reset) = window.withLock { window in
                if now - window.began >= nanoseconds { window = (now, 0) }
                window.count += 1
                return (window.count <= 3, max(0, 3 - window.count), window.began + nanoseconds - now)
            }
            let headers = [
                ("x-ratelimit-limit-requests", "3"), ("x-ratelimit-remaining-requests", "\(left)"),
                ("x-ratelimit-reset-requests", "\(reset / 1_000_000 + 1)ms"),
            ].map { (name: $0.0, value: $0.1) }
            guard isAllowed else {
                refusals.withLock { $0 += 1 }
                return .json("{}", status: 429, headers: headers)
            }
            return .json(EmbeddingServer.reply(request.texts, dimensions: Self.dimensions), headers: headers)
        }
        defer { server.stop() }
        let embedder = RemoteEmbedder(Self.configuration(server))
        defer { embedder.stop() }
        // Two calls, of which neither fills its last request: together they do.
        async let one = embedder.embed(Self.texts(18), priority: .batch)
        async let other = embedder.embed(Self.texts(14), priority: .batch)
        let vectors = try await (one, other)
        #expect(vectors.0.count == 18 && vectors.1.count == 14)
        #expect(vectors.0.allSatisfy { $0.count == Self.dimensions })
        #expect(refusals.withLock { $0 } == 0 && server.requests.count <= 9, "\(server.requests.count)")
    }

    /// A query takes the next turn, though documents wait for some.
    @Test func queriesGoAhead() async throws {
        let server = try EmbeddingServer { request in
            .json(
                EmbeddingServer.reply(request.texts, dimensions: Self.dimensions),
                headers: [
                    ("x-ratelimit-limit-requests", "1"), ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "100ms"),
                ])
        }
        defer { server.stop() }
        let embedder = RemoteEmbedder(Self.configuration(server))
        defer { embedder.stop() }
        async let documents = embedder.embed(Self.texts(40), priority: .batch)
        while server.requests.isEmpty { try await Task.sleep(for: .milliseconds(2)) }
        let query = try await embedder.embed(["who was it?"], priority: .query)
        let place = try #require(server.requests.firstIndex { $0.texts == ["who was it?"] })
        #expect(Self.areEqual(query[0], Self.expected("who was it?")) && place <= 3)
        #expect(try await documents.count == 40)
    }

    /// A replay's texts wait for documents, too.
    @Test func documentsGoAheadOfAReplay() async throws {
        let server = try EmbeddingServer { request in
            .json(
                EmbeddingServer.reply(request.texts, dimensions: Self.dimensions),
                headers: [
                    ("x-ratelimit-limit-requests", "1"), ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "100ms"),
                ])
        }
        defer { server.stop() }
        let embedder = RemoteEmbedder(Self.configuration(server))
        defer { embedder.stop() }
        async let replay = embedder.embed(Self.texts(40), priority: .replay)
        while server.requests.isEmpty { try await Task.sleep(for: .milliseconds(2)) }
        #expect(try await embedder.embed(["a new edit"], priority: .batch).count == 1)
        let place = try #require(server.requests.firstIndex { $0.texts == ["a new edit"] })
        #expect(place <= 3)
        #expect(try await replay.count == 40)
    }

    enum Poison: CaseIterable, Sendable { case badRequest, tooLarge, llamaCpp, ollama, notNumber, zero }

    /// A text that a server refuses, whatever it is asked with, stops none of the others.
    @Test(arguments: Poison.allCases) func onePoisonedTextIsLeftOut(poison: Poison) async throws {
        let server = try EmbeddingServer { request in
            guard request.texts.contains("text 5") else {
                return .json(EmbeddingServer.reply(request.texts, dimensions: Self.dimensions))
            }
            switch poison {
            case .badRequest: return .json("{\"error\": {\"message\": \"bad\"}}", status: 400)
            case .tooLarge: return .json("{}", status: 413)
            case .ollama: return .json("{\"error\": \"unsupported value: NaN\"}", status: 500)
            case .llamaCpp:
                return .json(
                    "{\"error\":{\"code\":500,\"message\":\"input is too large to process\"}}", status: 500)
            case .notNumber, .zero:
                let spoilt = poison == .zero ? "[0, 0, 0, 0, 0, 0, 0, 0]" : "[null, 1, 1, 1, 1, 1, 1, 1]"
                return .json(
                    EmbeddingServer.reply(
                        request.texts, dimensions: Self.dimensions, vector: { $0 == "text 5" ? spoilt : nil }))
            }
        }
        defer { server.stop() }
        let notes = Mutex<[String]>([])
        let embedder = RemoteEmbedder(Self.configuration(server)) { message, detail in
            notes.withLock { $0.append(message + detail) }
        }
        defer { embedder.stop() }
        let vectors = try await embedder.embed(Self.texts(12), priority: .batch)
        for (number, vector) in vectors.enumerated() {
            #expect(number == 5 ? vector.isEmpty : Self.areEqual(vector, Self.expected("text \(number)")))
        }
        #expect(embedder.refusedTexts == 1 && notes.withLock { $0.count } == 1)
    }

    /// A server that takes few texts at once is asked for as many as it takes from then on.
    @Test func whatIsTooMuchAtOnceIsLearnt() async throws {
        let server = try EmbeddingServer { request in
            guard request.texts.count <= 2 else { return .json("{\"error\": \"batch size\"}", status: 413) }
            return .json(EmbeddingServer.reply(request.texts, dimensions: Self.dimensions))
        }
        defer { server.stop() }
        let embedder = RemoteEmbedder(Self.configuration(server))
        defer { embedder.stop() }
        // Twice, as a refusal may have another reason.
        for _ in 0..<2 { _ = try await embedder.embed(Self.texts(4), priority: .batch) }
        let before = server.requests.count
        let vectors = try await embedder.embed(Self.texts(8), priority: .batch)
        #expect(before == 6 && server.requests.count == 10 && vectors.allSatisfy { $0.count == Self.dimensions })
        #expect(embedder.refusedTexts == 0)
    }

    /// Where it refuses whatever it is asked, that is no text's fault.
    @Test(arguments: [400, 401, 404]) func aServerThatRefusesAllIsNoPoison(status: Int) async throws {
        let server = try EmbeddingServer { request in
            .json("{\"error\": \"no model for \(request.authorization ?? "")\"}", status: status)
        }
        defer { server.stop() }
        let error = await #expect(throws: EmbeddingError.self) { try await Self.embed(Self.texts(9), by: server) }
        let shown = "\(error as Any)"
        #expect(error?.kind == .model && shown.contains("EMBED_MODEL") && !shown.contains("sk-secret"), "\(shown)")
    }

    /// It is asked for fewer numbers where it gives more, and only then.
    @Test func dimensionsAreAskedForWhereTheyAreNotGiven() async throws {
        let server = try EmbeddingServer { request in
            let count = request.body["dimensions"]?.integer.map { Int($0) } ?? 32
            return .json(EmbeddingServer.reply(request.texts, dimensions: count))
        }
        defer { server.stop() }
        let vectors = try await Self.embed(Self.texts(2), by: server)
        #expect(vectors.allSatisfy { $0.count == Self.dimensions } && server.requests.count == 2)
    }

    /// A server that fails is left alone, and calls fail at once.
    @Test func aServerThatFailsIsLeftAlone() async throws {
        let server = try EmbeddingServer { _ in .json("{}", status: 503, headers: [("retry-after-ms", "1")]) }
        defer { server.stop() }
        let embedder = RemoteEmbedder(Self.configuration(server))
        defer { embedder.stop() }
        for _ in 0..<4 {
            await #expect(throws: EmbeddingError.self) { try await embedder.embed(["a"], priority: .batch) }
        }
        #expect(server.requests.count == CircuitBreaker.failuresMax)
    }

    @Test func nobodyWaitsForEver() async throws {
        let server = try EmbeddingServer { _ in
            .json("{\"error\": \"tokens per day\"}", status: 429, headers: [("Retry-After", "3600")])
        }
        defer { server.stop() }
        let error = await #expect(throws: EmbeddingError.self) {
            try await Self.embed(["a"], by: server, priority: .query) { $0.queryMillisecondsMax = 200 }
        }
        #expect(error?.kind == .overloaded && server.requests.count == 1)
        #expect(error?.reason.contains("tokens per day") == true, "\(error as Any)")
    }

    /// No time brings back what is not paid for.
    @Test func anEmptyAccountIsToldAtOnce() async throws {
        let server = try EmbeddingServer { _ in .json("{\"code\": \"insufficient_quota\"}", status: 429) }
        defer { server.stop() }
        let error = await #expect(throws: EmbeddingError.self) { try await Self.embed(["a"], by: server) }
        #expect(error?.kind == .model && server.requests.count == 1 && error?.hint.contains("quota") == true)
    }
}
