import JSONScan
import Retrieval
import Testing

@testable import API

/// What nobody should type, over `POST /search`: a named error, or an honest reply.
@Suite struct BadQueryReplyTests {
    private static let cases: [(name: String, query: String, type: String?)] = [
        ("one character", "x", nil), ("2,000 characters", String(repeating: "é ", count: 1_000), nil),
        ("2,001 characters", String(repeating: "é", count: 2_001), "string_too_long"),
        ("8,000 characters", String(repeating: "word ", count: 1_600), "string_too_long"),
        ("2,000 distinct words", (0..<2_000).map { "w\($0)" }.joined(separator: " "), "string_too_long"),
        ("stop words alone", "the and of who what", nil), ("punctuation alone", "?!.,;:()[]{}<>-…'“”/@#$%^&*~`", nil),
        ("control characters", "golden\\u0001\\u0007\\u001b[0m\\u202e", nil),
        ("a null character", "golden\\u0000", "string_pattern_mismatch"), ("lone marks", "\u{301}\u{302}\u{303}", nil),
        ("half of a pair", "golden \\ud800", "json_invalid"),
        ("an open quote", "\\\"golden gate", nil), ("quotes alone", "\\\"\\\"\\\"", nil),
        ("white space", " \\t\\n ", "string_too_short"),
        ("exclusions alone", "-golden -gate", nil), ("operators alone", "- * -* title: user: lang:", nil),
        ("a test without a value", "golden lang:\\\"\\\"", nil),
    ]

    @Test(arguments: cases.indices) func isAnswered(number: Int) async {
        let (name, query, type) = Self.cases[number]
        let fixture = APIFixture()
        fixture.fill()
        for mode in ["hybrid", "vector", "lexical"] {
            let (status, body) = await fixture.post(
                .search, #"{"query": "\#(query)", "mode": "\#(mode)", "total": true}"#)
            if let type {
                #expect(status == (type == "json_invalid" ? 400 : 422), "\(name): \(body)")
                #expect(body["error"]?["detail"]?[0]?["type"]?.string == type, "\(name): \(body)")
            } else {
                #expect(status == 200 && body["hits"]?.array != nil && body["total"] != nil, "\(name): \(body)")
            }
        }
        #expect(await fixture.post(.search, #"{"query": "golden"}"#).status == 200)
    }

    /// A cursor of a version that is no longer kept, as of another day.
    @Test func aCursorOfLongAgoIsGone() async {
        let fixture = APIFixture()
        fixture.fill()
        let (_, first) = await fixture.post(.search, #"{"query": "golden", "top_k": 1}"#)
        let cursor = first["next_cursor"]?.string ?? ""
        fixture.index.state.withLock { $0.failure = IndexVersionGone(version: 5, oldest: 9) }
        let (status, body) = await fixture.post(.search, #"{"query": "golden", "top_k": 1, "cursor": "\#(cursor)"}"#)
        #expect(status == 410 && body["error"]?["type"]?.string == "index_version_gone")
    }
}
