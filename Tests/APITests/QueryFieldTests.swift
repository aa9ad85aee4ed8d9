import JSONScan
import Records
import Retrieval
import Testing

@testable import API

/// `name:value` of a query, where the name is an attribute.
@Suite struct QueryFieldTests {
    private let fixture = APIFixture(configure: { configuration in
        let attributes = ["user", "wiki", "type", "note"].compactMap { AttributeName($0) }
        configuration.collections = CollectionCatalog(
            [CollectionName("wikimedia.recentchange")].compactMap(\.self).map { name in
                CollectionDeclaration(
                    name: name,
                    attributes: attributes.map { AttributeDeclaration($0, .string, isFilterable: $0.text != "note") })
            })
    })

    init() {
        fixture.fill()
        fixture.index.add("d-old", title: "Golden Gate", comment: "old", user: "Old Man")
    }

    private func ids(_ query: String, _ more: String = "") async -> Set<String> {
        let body = #"{"query": "\#(query.replacing("\"", with: "\\\""))", "mode": "lexical"\#(more)}"#
        let (status, reply) = await fixture.post(.search, body)
        #expect(status == 200, "\(query): \(reply)")
        return Set((reply["hits"]?.array ?? []).compactMap { $0["doc_id"]?.string })
    }

    private static let golden: Set<String> = ["d-bridge", "d-bot", "d-old"]

    private static let cases: [(query: String, found: Set<String>)] = [
        ("golden user:CatBot", ["d-bot"]), ("user:CatBot golden", ["d-bot"]),
        ("golden -user:CatBot", ["d-bridge", "d-old"]),
        (#"user:"Old Man" golden"#, ["d-old"]), ("golden lang:de", ["d-bot"]),
        ("golden -lang:de", ["d-bridge", "d-old"]),
        // Alternatives of one attribute, and both of two.
        ("golden user:CatBot user:Ann", ["d-bridge", "d-bot"]), ("golden user:Ann wiki:dewiki", []),
        ("golden wiki:dewiki lang:de", ["d-bot"]), ("type:new survey", []),
        ("golden collection:wikimedia.recentchange", golden), ("golden collection:others", []),
        ("title:lake user:Bob", ["d-tahoe"]),
        // Text: another case, another attribute, one that may not be asked for, a prefix, an address.
        ("golden User:CatBot", golden), ("golden colour:red", golden), ("golden note:zebra", golden),
        ("golden user:Cat*", golden), ("golden see://user:zebra", golden), ("golden user: CatBot", golden),
        ("golden is_bot:true", golden), ("golden event_time:2026", golden),
    ]

    @Test(arguments: cases.indices) func namedTestsBecomeFilters(number: Int) async {
        let (query, found) = Self.cases[number]
        #expect(await ids(query) == found, "\(query)")
    }

    /// Without other words the value is looked for, too, and by vectors all that pass are found.
    @Test func aTestAloneIsSearchedForAsWell() async {
        let (_, reply) = await fixture.post(.search, #"{"query": "user:CatBot"}"#)
        #expect(reply["hits"]?.array?.compactMap { $0["doc_id"]?.string } == ["d-bot"])
        #expect(fixture.embedded.texts.withLock { $0 } == ["CatBot"])
        // Nothing is found by exclusion alone.
        _ = await fixture.post(.search, #"{"query": "-user:CatBot"}"#)
        #expect(fixture.embedded.texts.withLock { $0.last } == "-user:CatBot")
    }

    @Test func theRequestsOwnFiltersHoldBeside() async throws {
        #expect(await ids("golden user:CatBot", #", "filters": {"wiki": "enwiki"}"#) == [])
        #expect(await ids("golden user:CatBot", #", "filters": {"wiki": "dewiki"}, "interpret": false"#) == ["d-bot"])
        // A page goes on with the same tests, and with no others.
        let body = #""query": "golden -user:CatBot", "top_k": 1"#
        let (_, first) = await fixture.post(.search, "{\(body)}")
        let cursor = try #require(first["next_cursor"]?.string)
        #expect(await fixture.post(.search, #"{\#(body), "cursor": "\#(cursor)"}"#).status == 200)
        let (status, _) = await fixture.post(
            .search, #"{"query": "golden", "top_k": 1, "cursor": "\#(cursor)"}"#)
        #expect(status == 422)
    }

    @Test func answersKeepTheQuestionAsItWasTyped() async throws {
        let (status, _) = await fixture.post(.answer, #"{"query": "lake depth user:Bob"}"#)
        #expect(status == 200)
        try await eventually { fixture.index.state.withLock { !$0.answers.isEmpty } }
        let kept = fixture.index.state.withLock { $0.answers.last }
        #expect(kept?.question == "lake depth user:Bob")
    }

    /// No attribute has such a value, and no filter takes it.
    @Test func whatNoFilterTakesStaysText() async {
        let long = String(repeating: "x", count: 300)
        #expect(await ids("golden user:\(long)") == Self.golden)
    }
}
