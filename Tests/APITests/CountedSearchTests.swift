import Bytes
import JSONScan
import Records
import Retrieval
import Testing

@testable import API

/// `exact`, `ef`, `facets` and `total` of `POST /search`.
@Suite struct CountedSearchTests {
    private let fixture = APIFixture(configure: { configuration in
        let name = CollectionName("other")
        let declared = [("size", AttributeType.number, true), ("note", .string, false)]
        configuration.collections = CollectionCatalog(
            [
                CollectionName("wikimedia.recentchange").map {
                    CollectionDeclaration(name: $0, attributes: CollectionDeclaration.recentChangeAttributes)
                },
                name.map { name in
                    CollectionDeclaration(
                        name: name,
                        attributes: declared.compactMap { text, type, isFilterable in
                            AttributeName(text).map { AttributeDeclaration($0, type, isFilterable: isFilterable) }
                        })
                },
            ].compactMap(\.self))
    })

    private func fill() {
        fixture.index.add("d-0", title: "Gate", comment: "golden", wiki: "enwiki", isBot: true)
        fixture.index.add("d-1", title: "Gate", comment: "iron", wiki: "dewiki", language: "de", user: "Bob")
        fixture.index.add("d-2", title: "Gate", comment: "", wiki: "enwiki")
        fixture.index.add("d-3", title: "Bridge", comment: "", wiki: "enwiki")
        fixture.index.add("d-4", title: "Gate", comment: "", wiki: "enwiki", tenant: TenantID("acme") ?? .standard)
    }

    @Test func whatIsAskedForIsCounted() async throws {
        fill()
        let (status, reply) = await fixture.post(
            .search, #"{"query": "gate", "total": true, "facets": ["wiki", "is_bot", "collection", "wiki"]}"#)
        #expect(status == 200, "\(reply)")
        #expect(reply["total"] == .object([("value", .integer(3)), ("relation", .string("eq"))]))
        func counts(_ name: String) -> [String] {
            reply["facets"]?[name]?["values"]?.array?.map { "\($0["value"] ?? .null) \($0["count"]?.integer ?? 0)" }
                ?? []
        }
        #expect(counts("wiki").count == 2 && counts("wiki").first?.hasSuffix(" 2") == true)
        #expect(counts("is_bot").count == 2 && counts("collection").count == 1)
        #expect(reply["facets"]?["wiki"]?["relation"]?.string == "eq")
        #expect(reply["facets"]?["wiki"]?["has_more"] == .bool(false))

        let (_, filtered) = await fixture.post(
            .search, #"{"query": "gate", "total": true, "filters": {"lang": "de"}}"#)
        #expect(filtered["total"]?["value"]?.integer == 1 && filtered["facets"] == nil)
        let (_, plain) = await fixture.post(.search, #"{"query": "gate", "total": false}"#)
        #expect(plain["total"] == nil && plain["facets"] == nil)
        let (_, none) = await fixture.post(.search, #"{"query": "nowhere", "facets": "lang"}"#)
        #expect(none["facets"]?["lang"]?["values"]?.array?.isEmpty == true && none["total"] == nil)
    }

    @Test func laterPagesAreCountedToo() async throws {
        fill()
        let body = #""query": "gate", "top_k": 1, "total": true, "facets": ["lang"]"#
        let (_, first) = await fixture.post(.search, "{\(body)}")
        let cursor = try #require(first["next_cursor"]?.string)
        let (status, second) = await fixture.post(.search, #"{\#(body), "cursor": "\#(cursor)"}"#)
        #expect(status == 200 && second["total"] == first["total"] && second["facets"] == first["facets"])
    }

    @Test func anExactSearchIsDoneExactlyAndFirst() async throws {
        fill()
        let (status, _) = await fixture.post(.search, #"{"query": "gate", "exact": true}"#)
        #expect(status == 200)
        #expect(fixture.index.state.withLock { $0.scans } == [.exact])
        let (_, other) = await fixture.post(.search, #"{"query": "gate", "ef": 1000}"#)
        #expect(other["hits"]?.array?.isEmpty == false)
        #expect(fixture.index.state.withLock { $0.scans } == [.exact, .approximate])
    }

    @Test func anExactSearchWithoutTheTimeForItSaysSo() async throws {
        let fixture = APIFixture(configure: { $0.exactMillisecondsMax = 30 })
        fixture.fill()
        fixture.index.state.withLock { $0.exactDelayMilliseconds = 60_000 }
        let (status, reply) = await fixture.post(.search, #"{"query": "golden", "exact": true}"#)
        #expect(status == 200 && reply["hits"]?.array?.isEmpty == false)
        #expect(reply["incomplete_arms"]?.array?.compactMap(\.string) == ["vector"])
        #expect(fixture.index.state.withLock { $0.scans } == [.exact, .approximate])
    }

    /// Half of the request's time at most, so that there is some left for the other way.
    @Test func anExactSearchLeavesTimeForAnother() async throws {
        fill()
        fixture.index.state.withLock { $0.exactDelayMilliseconds = 60_000 }
        let (status, reply) = await fixture.post(.search, #"{"query": "gate", "exact": true, "timeout_ms": 1000}"#)
        #expect(status == 200 && reply["incomplete_arms"]?.array?.compactMap(\.string) == ["vector"])
        let limits = fixture.index.state.withLock { $0.exactTimeouts }
        #expect(limits.count == 1 && limits.allSatisfy { $0 <= 500 }, "\(limits)")
    }

    /// Where nobody waits any more when its time is over, it is not done in the other way.
    @Test func aCancelledExactSearchIsTheLast() async throws {
        let fixture = APIFixture(configure: { ($0.exactMillisecondsMax, $0.filteredLanes) = (500, 1) })
        fixture.fill()
        fixture.index.state.withLock { ($0.exactDelayMilliseconds, $0.isExactDeaf) = (60_000, true) }
        let asking = Task { await fixture.post(.search, #"{"query": "golden", "exact": true}"#) }
        try await eventually { fixture.index.state.withLock { $0.scans } == [.exact] }
        asking.cancel()
        _ = await asking.value
        // Whoever comes next on the lane comes behind it.
        fixture.index.state.withLock { ($0.exactDelayMilliseconds, $0.isExactDeaf) = (0, false) }
        for _ in 0..<4 { _ = await fixture.post(.search, #"{"query": "golden", "exact": true}"#) }
        #expect(fixture.index.state.withLock { $0.scans.allSatisfy { $0 == .exact } })
    }

    /// A cursor continues the ranking that it came from, and no other.
    @Test func aCursorIsOfOneWayOfLooking() async throws {
        fill()
        let (_, first) = await fixture.post(.search, #"{"query": "gate", "top_k": 1, "ef": 50}"#)
        let cursor = try #require(first["next_cursor"]?.string)
        for (more, wanted) in [(#""ef": 50"#, 200), (#""ef": 51"#, 422), (#""ef": 50, "exact": true"#, 422)] {
            let (status, _) = await fixture.post(
                .search, #"{"query": "gate", "top_k": 1, \#(more), "cursor": "\#(cursor)"}"#)
            #expect(status == wanted, "\(more)")
        }
    }

    private static let refused: [(body: String, type: String)] = [
        (#""ef": 0"#, "greater_than_equal"), (#""ef": 1001"#, "less_than_equal"), (#""ef": "many""#, "int_type"),
        (#""exact": "yes""#, "bool_type"), (#""total": 1"#, "bool_type"),
        (#""facets": ["nothing"]"#, "attribute_unknown"), (#""facets": ["note"]"#, "attribute_not_filterable"),
        (#""facets": ["event_time"]"#, "facet_time"), (#""facets": ["a b"]"#, "attribute_name"),
        (#""facets": ["size"], "collection": "wikimedia.recentchange""#, "attribute_unknown"),
        (#""facets": [1]"#, "string_type"),
        (#""facets": ["a1","a2","a3","a4","a5","a6","a7","a8","a9"]"#, "too_long"),
        (#""filters": {"must": [{"attribute": "nothing", "equals": 1}]}"#, "attribute_unknown"),
        (#""filters": {"must": [{"attribute": "size", "equals": "large"}]}"#, "float_type"),
        (
            #""filters": {"wiki": [\#((0..<1_000).map { #""w\#($0)""# }.joined(separator: ","))]}"#, "too_long"
        ),
    ]

    @Test(arguments: refused.indices) func whatCannotBeAskedIsRefusedByName(number: Int) async {
        let (body, type) = Self.refused[number]
        let (status, reply) = await fixture.post(.search, #"{"query": "gate", \#(body)}"#)
        #expect(status == 422)
        let types = reply["error"]?["detail"]?.array?.compactMap { $0["type"]?.string } ?? []
        #expect(types.contains(type), "\(types)")
    }

    /// Tests that exclude each other leave nothing, which is no error.
    @Test func aContradictionFindsNothing() async {
        fill()
        let (status, reply) = await fixture.post(
            .search,
            #"{"query": "gate", "total": true, "filters": {"wiki": "enwiki", "must_not": [{"attribute": "wiki", "equals": "enwiki"}]}}"#
        )
        #expect(status == 200 && reply["hits"]?.array?.isEmpty == true && reply["total"]?["value"]?.integer == 0)
    }
}
