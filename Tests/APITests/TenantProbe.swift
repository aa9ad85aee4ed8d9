import Bytes
import HTTPServer
import Records

@testable import API

/// A request that may be made with anybody's word: with the asker's own it finds something, with another tenant's it must get
/// the very reply that it gets with nobody's.
struct TenantProbe: Sendable, CustomStringConvertible {
    let description: String
    /// Whether the owner of the word finds what it asks for.
    let finds: Bool
    /// Whether administrators of the platform are told more.
    let isOfPlatform: Bool
    private let make: @Sendable (String) -> HTTPRequest

    init(
        _ description: String, finds: Bool = false, isOfPlatform: Bool = false,
        _ make: @escaping @Sendable (String) -> HTTPRequest
    ) {
        self.description = description
        self.finds = finds
        self.isOfPlatform = isOfPlatform
        self.make = make
    }

    func request(_ word: String) -> HTTPRequest { make(word) }

    /// A probe of any kind.
    static func random(using random: inout SeededGenerator) -> TenantProbe {
        switch Int.random(in: 0..<18, using: &random) {
        case 0..<5: search(using: &random)
        case 16: like(using: &random)
        case 17: batch(using: &random)
        case 5..<7: answer(using: &random)
        case 7..<10: recent(using: &random)
        case 10..<14: trace(using: &random)
        default: other(using: &random)
        }
    }

    private static func pick<T>(_ values: [T], _ random: inout SeededGenerator) -> T {
        values[Int.random(in: values.indices, using: &random)]
    }

    /// A body with the word in place of `@`.
    private static func posting(_ target: String, _ body: String, _ headers: HTTPHeaders = [:])
        -> @Sendable (String) ->
        HTTPRequest
    {
        { word in APIFixture.posting(target, body.replacing("@", with: word), headers) }
    }

    private static func getting(
        _ route: Route, _ query: [(name: String, value: String)] = [], path: [String: String] = [:],
        _ headers: HTTPHeaders = [:]
    ) -> @Sendable (String) -> HTTPRequest {
        { word in
            var request = APIFixture.request(
                route, query.map { ($0.name, $0.value.replacing("@", with: word)) },
                path: path.mapValues { $0.replacing("@", with: word) })
            for field in headers.fields { request.headers.add(field.name, field.value.replacing("@", with: word)) }
            return request
        }
    }

    // MARK: Retrieval

    private static let queries = [
        "lantern", "repainted lantern towers", "@flux", "the @flux of the lantern", "@ lantern section 3", "@user",
    ]
    /// All of them leave documents of the word's owner.
    private static let filters = [
        "{}", #"{"wiki": "@wiki"}"#, #"{"wiki": ["@wiki", "enwiki"]}"#,
        #"{"must": [{"attribute": "user", "equals": "@user"}]}"#,
        #"{"must": [{"attribute": "@_size", "between": {"from": 0}}]}"#,
        #"{"must_not": [{"attribute": "@_size", "absent": true}]}"#,
        #"{"must_not": [{"attribute": "wiki", "equals": "@wiki"}]}"#,
        #"{"must": [{"attribute": "collection", "one_of": ["@orders", "notes"]}]}"#,
        #"{"from": "2001-01-01T00:00:00Z", "must": [{"attribute": "namespace", "one_of": [1, 2, 3]}]}"#,
    ]
    private static let collections = [nil, nil, "notes", "@orders"]

    private static func question(using random: inout SeededGenerator) -> (body: String, mode: String) {
        let mode = pick(["hybrid", "lexical", "vector"], &random)
        let collection = pick(collections, &random).map { #", "collection": "\#($0)""# } ?? ""
        let body = #""query": "\#(pick(queries, &random))", "mode": "\#(mode)", "filters": \#(pick(filters, &random))"#
        return (body + collection, mode)
    }

    private static func search(using random: inout SeededGenerator) -> TenantProbe {
        let (question, _) = question(using: &random)
        let options = pick(options, &random)
        let body = #"{\#(question)\#(options), "top_k": \#(Int.random(in: 1...100, using: &random))}"#
        // A filter that names both collections differs from one that names one, which is a fault.
        let isOdd = body.contains("one_of\": [\"@orders") && body.contains(#""collection": ""#)
        return TenantProbe("search \(body)", finds: !isOdd, posting("/search", body))
    }

    /// None of them leaves a document of the word's owner out, or depends on when it is asked.
    private static let options = [
        "", "", #", "group_by": "@_size""#, #", "source_weights": {"@orders": 3}, "explain": true"#,
        #", "sort": "time", "group_by": "wiki""#, #", "min_score": 0.0001, "explain": true"#,
    ]

    private static func like(using random: inout SeededGenerator) -> TenantProbe {
        let number = Int.random(in: 0..<TenantScene.documents, using: &random)
        let filter = pick(["{}", #"{"wiki": ["@wiki", "enwiki"]}"#], &random)
        let body = #"{"mode": "like", "like": {"doc_id": "@-\#(number)"}, "filters": \#(filter)}"#
        return TenantProbe("like \(body)", finds: true, posting("/search", body))
    }

    private static func batch(using random: inout SeededGenerator) -> TenantProbe {
        let number = Int.random(in: 0..<TenantScene.documents, using: &random)
        let body = #"""
            {"searches": [{"query": "repainted lantern towers", "group_by": "@_size"},
             {"mode": "like", "like": {"doc_id": "@-\#(number)", "passage": 0}}, {"query": "@flux", "cursor": "@"}]}
            """#
        return TenantProbe("batch \(body)", finds: true, posting("/search/batch", body))
    }

    private static func answer(using random: inout SeededGenerator) -> TenantProbe {
        let (question, mode) = question(using: &random)
        let isDebug = Bool.random(using: &random)
        let headers: HTTPHeaders = Bool.random(using: &random) ? ["Accept": "text/event-stream"] : [:]
        let body = #"{\#(question), "debug": \#(isDebug)}"#
        // Whether it refuses depends on the words.
        return TenantProbe("answer \(mode) \(body)", posting("/answer", body, headers))
    }

    private static func recent(using random: inout SeededGenerator) -> TenantProbe {
        let possible: [(name: String, value: String)] = [
            ("wiki", "@wiki,enwiki"), ("text", "@flux"), ("text", "LANTERN"), ("type", "edit"), ("lang", "en"),
            ("filter", filters[Int.random(in: filters.indices, using: &random)]), ("is_bot", "false"),
            ("collection", "@orders"), ("after", "3"), ("limit", "\(Int.random(in: 1...200, using: &random))"),
        ]
        var query: [(name: String, value: String)] = []
        for one in possible where Int.random(in: 0..<3, using: &random) == 0 {
            if !query.contains(where: { $0.name == one.name }) { query.append(one) }
        }
        let words = query.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
        let isOdd = words.contains("namespace") || (words.contains("collection=") && words.contains("one_of"))
        return TenantProbe("recent \(words)", finds: !isOdd, getting(.recent, query))
    }

    private static func trace(using random: inout SeededGenerator) -> TenantProbe {
        let number = Int.random(in: 0..<TenantScene.documents, using: &random)
        let own = number.isMultiple(of: 3) ? "notes" : "@orders"
        let generation: [(name: String, value: String)] = Bool.random(using: &random) ? [("generation", "1")] : []
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
            return TenantProbe("trace shared", getting(.trace, generation, path: ["doc_id": "shared-\(number % 3)"]))
        case 1: return TenantProbe("trace twice", getting(.trace, generation, path: ["doc_id": "twice"]))
        case 2:
            let query = generation + [("collection", "@orders")]
            return TenantProbe("trace twice in one", finds: true, getting(.trace, query, path: ["doc_id": "twice"]))
        case 3:
            let query = generation + [("collection", own == "notes" ? "@orders" : "notes")]
            return TenantProbe("trace elsewhere", getting(.trace, query, path: ["doc_id": "@-\(number)"]))
        case 4:
            return TenantProbe(
                "trace in its collection", finds: true,
                getting(.trace, generation + [("collection", own)], path: ["doc_id": "@-\(number)"]))
        default:
            return TenantProbe("trace", finds: true, getting(.trace, generation, path: ["doc_id": "@-\(number)"]))
        }
    }

    // MARK: Operation

    private static func other(using random: inout SeededGenerator) -> TenantProbe {
        let all: [TenantProbe] = [
            TenantProbe("status", finds: true, getting(.status)),
            TenantProbe("metrics", isOfPlatform: true, getting(.metrics)),
            TenantProbe("keys", isOfPlatform: true, getting(.keys)),
            TenantProbe("health", isOfPlatform: true, getting(.health)),
            TenantProbe("ready", isOfPlatform: true, getting(.ready)),
            TenantProbe("live", getting(.live)), TenantProbe("page", getting(.page)),
            TenantProbe("docs", getting(.docs)), TenantProbe("document", getting(.document)),
            TenantProbe("no such file", getting(.pageFile, path: ["file": "@.js"])),
            TenantProbe("no such path", { HTTPRequest(target: "/documents/\($0)-1") }),
            TenantProbe("no such member", posting("/search", #"{"query": "lantern", "tenant": "@"}"#)),
            TenantProbe("no such filter", posting("/search", #"{"query": "lantern", "filters": {"tenant": "@"}}"#)),
            TenantProbe(
                "no such attribute",
                getting(.recent, [("filter", #"{"must": [{"attribute": "tenant", "equals": "@"}]}"#)])),
            TenantProbe("no such parameter", getting(.recent, [("tenant", "@")])),
            TenantProbe("no such generation", getting(.trace, [("generation", "9")], path: ["doc_id": "@-x"])),
            TenantProbe("no cursor", posting("/search", #"{"query": "lantern", "cursor": "@"}"#)),
            TenantProbe("no event's id", getting(.stream, [("last_event_id", "@")])),
        ]
        return pick(all, &random)
    }
}
