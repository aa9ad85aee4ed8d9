import Bytes
import Forms
import HTTPEndpoints
import HTTPServer

/// The endpoint that `medallion bench http` measures, with the same rules and replies as tools/bench/fastapi_endpoint.py.
struct BenchQuery: Sendable {
    enum Mode: String, Sendable, CaseIterable { case hybrid, vector, lexical }
    struct Filters: Sendable {
        var wikis: [String] = []
        var isBot: Bool?
    }

    var query = ""
    var topK = 10
    var mode = Mode.hybrid
    var filters = Filters()

    private static let filtersForm = Form<Filters>.object(
        Filters(),
        [
            Field("wiki", \.wikis, .list(of: .string(), countMax: 64)),
            Field("is_bot", \.isBot, Form<Bool>.bool.optional),
        ])

    private static let endpoint = Endpoint(
        .post, "/search", id: "search", tag: "Bench", summary: "Hits that are made up",
        input: InputForm(
            BenchQuery(),
            body: BodyForm(
                \.self,
                .object(
                    BenchQuery(),
                    [
                        Field("query", \.query, .string(1...2_000), isRequired: true),
                        Field("top_k", \.topK, .integer(1...100)), Field("mode", \.mode, .choice),
                        Field("filters", \.filters, filtersForm),
                    ]))),
        replies: [.json(200, "Hits.", .anyObject())])

    /// The endpoint, and a reply without any reading at `/plain`.
    static func router() -> HTTPRouter {
        var set = EndpointSet()
        set.add(endpoint, inline: { input, _ in .json(input.reply()) })
        var router = set.router()
        let plain = Array(#"{"status":"ok","generation":1,"index_version":123456}"#.utf8)
        router.on(.get, "/plain", sync: { _ in .json(plain) })
        return router
    }

    private func reply() -> [UInt8] {
        var json = JSONWriter(capacity: 300 * (topK + 1))
        json.beginObject()
        json.key("query")
        json.string(query)
        json.key("mode")
        json.string(mode.rawValue)
        json.key("hits")
        json.beginArray()
        for number in 1...topK {
            let text = String(number)
            json.beginObject()
            json.key("doc_id")
            json.string("5fa5fd08-19b7-4aeb-92c5-" + String(1_000_000_000_000 + number).dropFirst())
            json.key("title")
            json.string("Golden Gate Bridge " + text)
            json.key("url")
            json.string("https://en.wikipedia.org/wiki/Golden_Gate_Bridge_" + text)
            json.key("snippet")
            json.string("repainted towers section, new source for the opening date")
            json.key("wiki")
            json.string(filters.wikis.first ?? "enwiki")
            json.key("is_bot")
            json.bool(filters.isBot ?? false)
            json.key("rank")
            json.integer(number)
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }
}
