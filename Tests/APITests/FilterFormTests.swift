import Bytes
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
import Records
import Retrieval
import Testing

@testable import API

/// `filters` of `/search` and `/answer`, and `filter=` of the feed and the stream: one form.
@Suite struct FilterFormTests {
    /// `size` is a number to one collection, a text to another, a truth to a third; `due` is a time.
    private let fixture = APIFixture(configure: { $0.collections = CollectionCatalog(Self.collections) })

    private static let collections: [CollectionDeclaration] = {
        func collection(_ name: String, _ attributes: [(String, AttributeType)]) -> CollectionDeclaration? {
            CollectionName(name).map { name in
                CollectionDeclaration(
                    name: name,
                    attributes: attributes.compactMap { text, type in
                        AttributeName(text).map { AttributeDeclaration($0, type) }
                    })
            }
        }
        let recent = CollectionName("wikimedia.recentchange").map {
            CollectionDeclaration(name: $0, attributes: CollectionDeclaration.recentChangeAttributes)
        }
        let many = (0..<32).map { ("a\($0)", AttributeType.bool) }
        return [
            recent, collection("other", [("size", .number), ("due", .time)] + many),
            collection("words", [("size", .string)]),
            collection("truths", [("size", .bool), ("due", .string)]),
        ].compactMap(\.self)
    }()

    private func fill() {
        fixture.index.add("d-0", title: "Gate", comment: "", wiki: "enwiki", isBot: true, namespace: 0)
        fixture.index.add("d-1", title: "Gate", comment: "", wiki: "dewiki", user: "Bob", namespace: 4)
        fixture.index.add("d-2", title: "Gate", comment: "", wiki: "frwiki", namespace: 10, collection: "other")
        fixture.index.add("d-3", title: "Gate", comment: "", wiki: "enwiki", namespace: nil)
    }

    /// Filters in the general form, and who of the four above passes.
    private static let filters: [(json: String, passing: [Int])] = [
        (#"{}"#, [0, 1, 2, 3]),
        (#"{"must": [{"attribute": "wiki", "one_of": ["enwiki", "dewiki"]}]}"#, [0, 1, 3]),
        (#"{"must": [{"attribute": "wiki", "equals": "enwiki"}], "is_bot": false}"#, [3]),
        (#"{"must_not": [{"attribute": "wiki", "equals": "enwiki"}]}"#, [1, 2]),
        (#"{"must": [{"attribute": "namespace", "between": {"from": 0, "to": 10}}]}"#, [0, 1]),
        (#"{"must": [{"attribute": "namespace", "between": {"from": 4}}]}"#, [1, 2]),
        (#"{"must": [{"attribute": "namespace", "absent": true}]}"#, [3]),
        (#"{"must_not": [{"attribute": "namespace", "absent": true}], "wiki": ["enwiki"]}"#, [0]),
        (#"{"must": [{"attribute": "namespace", "one_of": [4.0, 10]}]}"#, [1, 2]),
        (#"{"must": [{"attribute": "collection", "equals": "other"}]}"#, [2]),
        (#"{"must_not": [{"attribute": "collection", "equals": "other"}], "collection": null}"#, [0, 1, 3]),
        (#"{"must": [{"attribute": "event_time", "between": {"to": "2001-01-01T00:00:00Z"}}]}"#, []),
        (#"{"must": [{"attribute": "user", "equals": "Bob", "between": null}]}"#, [1]),
        (
            #"{"must": [{"attribute": "size", "absent": true}], "must_not": [{"attribute": "size", "equals": 3}]}"#,
            [0, 1, 2, 3]
        ),
        (#"{"must": [{"attribute": "size", "equals": 3}]}"#, []),
    ]

    @Test(arguments: filters.indices) func theGeneralFormNarrowsBoth(number: Int) async throws {
        let (json, passing) = Self.filters[number]
        fill()
        let wanted = passing.map { "d-\($0)" }
        let (status, found) = await fixture.post(.search, #"{"query": "gate", "filters": \#(json)}"#)
        #expect(status == 200, "\(found)")
        #expect(Set(found["hits"]?.array?.compactMap { $0["doc_id"]?.string } ?? []) == Set(wanted))
        let (recentStatus, recent) = await fixture.get(.recent, [("filter", json)])
        #expect(recentStatus == 200, "\(recent)")
        #expect(recent["events"]?.array?.compactMap { $0["doc_id"]?.string } == wanted.reversed())
    }

    /// The stream and the feed choose the same, together with today's parameters too.
    @Test func theStreamTakesTheGeneralForm() async throws {
        let scene = StreamScene()
        let filter =
            #"{"must": [{"attribute": "namespace", "between": {"from": 1, "to": 9}}], "must_not": [{"attribute": "lang", "one_of": ["de", "fr"]}]}"#
        let time = #"{"from": "2023-11-14T22:13:22Z"}"#
        let requests = [
            [("filter", filter)], [("filter", filter), ("wiki", "bwiki")], [("filter", filter), ("namespace", "0")],
            [("filter", time)],
        ].map { StreamScene.request($0) }
        let seen = try await scene.follow(requests, frames: [3, 1, 0, 2]) {
            for offset in 0..<4 as Range<Int64> {
                scene.topic.add(
                    0, offset, wiki: offset == 3 ? "bwiki" : "awiki", language: offset == 1 ? "de" : "en",
                    namespace: [4, 4, 4, 8][Int(offset)])
            }
            scene.topic.index([0: 4])
            try await scene.given(4)
        }
        #expect(seen.map { $0.map(\.document) } == [["0-0", "0-2", "0-3"], ["0-3"], [], ["0-2", "0-3"]])
    }

    /// Every fault has its type and names its place.
    @Test(arguments: [
        (#"{"must": {}}"#, "must", "list_type"),
        (#"{"must": [{}]}"#, "must.0.attribute", "missing"),
        (#"{"must": [{"attribute": "wiki"}]}"#, "must.0", "missing"),
        (#"{"must": [{"attribute": "wiki", "equals": "a", "absent": true}]}"#, "must.0", "test_ambiguous"),
        (#"{"must": [{"attribute": "Wiki", "equals": "a"}]}"#, "must.0.attribute", "attribute_name"),
        (#"{"must": [{"attribute": "", "equals": "a"}]}"#, "must.0.attribute", "string_too_short"),
        (#"{"must_not": [{"attribute": "wiki", "equals": 5}]}"#, "must_not.0.equals", "string_type"),
        (#"{"must": [{"attribute": "is_bot", "one_of": [true, "yes"]}]}"#, "must.0.one_of.1", "bool_type"),
        (#"{"must": [{"attribute": "namespace", "one_of": [1.5]}]}"#, "must.0.one_of.0", "int_type"),
        (#"{"must": [{"attribute": "namespace", "one_of": []}]}"#, "must.0.one_of", "too_short"),
        (#"{"must": [{"attribute": "namespace", "one_of": 4}]}"#, "must.0.one_of", "list_type"),
        (#"{"must": [{"attribute": "namespace", "one_of": [[]]}]}"#, "must.0.one_of.0", "scalar_type"),
        (#"{"must": [{"attribute": "namespace", "equals": 1e300}]}"#, "must.0.equals", "int_type"),
        (#"{"must": [{"attribute": "size", "equals": 1e300}]}"#, "must.0", "number_range"),
        (#"{"must": [{"attribute": "event_time", "equals": "today"}]}"#, "must.0.equals", "datetime_parsing"),
        (#"{"must": [{"attribute": "colour", "equals": "red"}]}"#, "must.0.attribute", "attribute_unknown"),
        (#"{"must_not": [{"attribute": "colour", "absent": true}]}"#, "must_not.0.attribute", "attribute_unknown"),
        (
            #"{"collection": "words", "must": [{"attribute": "wiki", "equals": "a"}]}"#, "must.0.attribute",
            "attribute_unknown"
        ),
        (
            #"{"collection": "other", "must": [{"attribute": "size", "equals": "5"}]}"#, "must.0.equals", "float_type"
        ),
        (
            #"{"must": [{"attribute": "collection", "equals": "other"}, {"attribute": "size", "one_of": [5, true]}]}"#,
            "must.1.one_of.1", "float_type"
        ),
        (#"{"must": [{"attribute": "due", "equals": 5}]}"#, "must.0.equals", "attribute_type"),
        (#"{"must": [{"attribute": "due", "between": {"from": "soon"}}]}"#, "must.0.between.from", "between_type"),
        (#"{"must": [{"attribute": "wiki", "between": {"from": "a"}}]}"#, "must.0.between.from", "between_type"),
        (#"{"must": [{"attribute": "namespace", "between": {}}]}"#, "must.0", "between_open"),
        (
            #"{"must": [{"attribute": "namespace", "between": {"from": 4, "to": 4}}]}"#, "must.0.between.to",
            "range_empty"
        ),
        (
            #"{"must": [{"attribute": "size", "between": {"from": 4, "below": 5}}]}"#, "must.0.between.below",
            "extra_forbidden"
        ),
        (#"{"must": [{"attribute": "wiki", "absent": false}]}"#, "must.0.absent", "absent_false"),
        (#"{"must": [{"attribute": "user", "equals": "a\u0000"}]}"#, "must.0.equals", "string_pattern_mismatch"),
    ]) func faultsNameTheirPlace(json: String, place: String, type: String) async {
        func faults(_ body: JSONValue) -> [String] {
            body["error"]?["detail"]?.array?.map { fault in
                let steps = fault["loc"]?.array?.map { $0.string ?? String($0.integer ?? -1) } ?? []
                return "\(steps.joined(separator: ".")) \(fault["type"]?.string ?? "")"
            } ?? []
        }
        for route in [Route.search, .answer] {
            let (status, body) = await fixture.post(route, #"{"query": "gate", "filters": \#(json)}"#)
            #expect(status == 422 && faults(body) == ["body.filters.\(place) \(type)"], "\(faults(body))")
        }
        let (status, body) = await fixture.get(.recent, [("filter", json)])
        #expect(status == 422 && faults(body) == ["query.filter.\(place) \(type)"], "\(faults(body))")
        let scene = StreamScene(collections: CollectionCatalog(Self.collections))
        let reply = await scene.fixture.reply(StreamScene.request([("filter", json)]))
        #expect(reply.status == 422)
    }

    @Test func boundsAndOddTextsAreRefused() async throws {
        let test = #"{"attribute": "wiki", "equals": "a"}"#
        let many = Array(repeating: test, count: 20).joined(separator: ",")
        let (status, body) = await fixture.post(
            .search, #"{"query": "gate", "filters": {"must": [\#(many)], "must_not": [\#(many)]}}"#)
        #expect(status == 422 && body["error"]?["detail"]?[0]?["type"]?.string == "too_long")
        for odd in ["", "{", "5", "null", "[]"] {
            let (status, body) = await fixture.get(.recent, [("filter", odd)])
            #expect(status == 422 && body["error"]?["detail"]?[0]?["loc"]?[1]?.string == "filter", "\(odd)")
        }
        // Each is a filter, and both are too much.
        let different = (0..<32).map { #"{"attribute": "a\#($0)", "absent": true}"# }.joined(separator: ",")
        let (single, _) = await fixture.get(.recent, [("filter", #"{"must": [\#(different)]}"#)])
        #expect(single == 200)
        let (both, fault) = await fixture.get(.recent, [("filter", #"{"must": [\#(different)]}"#), ("wiki", "a")])
        #expect(both == 422 && fault["error"]?["detail"]?[0]?["loc"]?[1]?.string == "filter")
    }

    @Test func anAttributeThatIsNotFilterableIsRefusedByName() throws {
        let (size, name) = (try #require(AttributeName("size")), try #require(CollectionName("c")))
        let declared = DeclaredAttributes([
            CollectionDeclaration(
                name: name, attributes: [AttributeDeclaration(size, .integer, isFilterable: false)])
        ])
        var reading = InputReading()
        let input = AttributeTestInput(attribute: "size", equals: .integer(5))
        #expect(input.test(declared, in: nil, &reading) == nil)
        #expect(reading.faults.map(\.type) == ["attribute_not_filterable"])
        #expect(reading.faults.first?.location == [.name("attribute")])
    }

    /// Declarations that were read anew count from the next request on.
    @Test func declarationsMayChangeWhileItRuns() async throws {
        let catalog = CollectionCatalog.recentChanges()
        let fixture = APIFixture(configure: { $0.collections = catalog })
        let body = #"{"query": "gate", "filters": {"must": [{"attribute": "due", "equals": "2026-01-01T00:00:00Z"}]}}"#
        #expect(await fixture.post(.search, body).status == 422)
        catalog.replace(with: [.standard: Self.collections])
        #expect(await fixture.post(.search, body).status == 200)
    }

    /// What collections declare differently is asked of each as its own type; documents of both may pass.
    @Test func anAttributeOfSeveralTypesPassesAsAnyOfThem() async throws {
        let (size, due) = (try #require(AttributeName("size")), try #require(AttributeName("due")))
        let time = "2026-01-01T00:00:00.000Z"
        let documents: [(String, AttributeName, AttributeValue)] = [
            ("other", size, .number(2.5)), ("words", size, .string("2.5")), ("truths", size, .bool(true)),
            ("other", due, .string(time)), ("truths", due, .string("2026-01-01T01:00:00+01:00")),
        ]
        for (number, (collection, name, value)) in documents.enumerated() {
            fixture.index.add(
                "d-\(number)", title: "Gate", comment: "", collection: collection, others: AttributeList([name: value]),
                isChange: false)
        }
        for (test, wanted) in [
            (#"{"attribute": "size", "equals": 2.5}"#, [0]), (#"{"attribute": "size", "equals": "2.5"}"#, [1]),
            (#"{"attribute": "size", "one_of": [true, "2.5"]}"#, [1, 2]),
            (#"{"attribute": "due", "equals": "2026-01-01T01:00:00+01:00"}"#, [3, 4]),
            (#"{"attribute": "due", "between": {"from": "2025-12-31T00:00:00Z", "to": "2026-01-02T00:00:00Z"}}"#, [3]),
        ] {
            let (status, body) = await fixture.post(.search, #"{"query": "gate", "filters": {"must": [\#(test)]}}"#)
            let found = Set(body["hits"]?.array?.compactMap { $0["doc_id"]?.string } ?? [])
            #expect(status == 200 && found == Set(wanted.map { "d-\($0)" }), "\(test): \(body)")
        }
    }

    /// A hit of another collection shows its attributes with their types, and nothing of recent changes.
    @Test func hitsShowTheAttributesOfTheirCollection() async throws {
        let size = try #require(AttributeName("size"))
        fixture.index.add(
            "d-0", title: "Gate", comment: "", collection: "other", others: AttributeList([size: .number(2.5)]),
            isChange: false)
        fixture.index.add("d-1", title: "Gate", comment: "", namespace: 4)
        let (_, found) = await fixture.post(.search, #"{"query": "gate", "collection": "other"}"#)
        let hit = try #require(found["hits"]?[0])
        #expect(hit["collection"]?.string == "other" && hit["attributes"]?["size"]?.double == 2.5)
        #expect(["wiki", "type", "user", "is_bot"].allSatisfy { hit[$0] == nil })
        let (_, recent) = await fixture.get(.recent, [("collection", "wikimedia.recentchange")])
        let event = try #require(recent["events"]?[0])
        #expect(event["wiki"]?.string == "enwiki" && event["attributes"]?["wiki"]?.string == "enwiki")
        #expect(event["attributes"]?["namespace"]?.integer == 4 && event["is_bot"]?.bool == false)
    }

    /// What an answer keeps of its request is the filter's encoding, and asking with it again is asking the same.
    @Test func theKeptFilterCanBeAskedAgain() async throws {
        fill()
        let json =
            #"{"wiki": ["enwiki", "dewiki"], "is_bot": false, "from": "2001-01-01T00:00:00+01:00", "collection": "wikimedia.recentchange", "must_not": [{"attribute": "namespace", "between": {"from": 11}}, {"attribute": "user", "one_of": ["y", "x"]}]}"#
        let (status, body) = await fixture.post(.answer, #"{"query": "gate", "filters": \#(json)}"#)
        #expect(status == 200, "\(body)")
        let kept = try #require(fixture.index.state.withLock { $0.answers.last })
        let filters = try #require(try JSONValue.parse(kept.requestJSON)["filters"])
        var writer = JSONWriter()
        writer.value(filters)
        let again = String(decoding: writer.bytes, as: UTF8.self)
        #expect(await fixture.post(.answer, #"{"query": "gate", "filters": \#(again)}"#).status == 200)
        let second = try #require(fixture.index.state.withLock { $0.answers.last })
        #expect(second.requestJSON == kept.requestJSON)
        #expect(again.contains(#""must":[{"attribute":"collection","one_of":["wikimedia.recentchange"]}"#), "\(again)")
    }

    /// A page's cursor goes on with the same filter in another form, and not with another filter.
    @Test func aCursorKnowsItsFilterInEveryForm() async throws {
        fill()
        func page(_ filters: String, _ cursor: String?) async -> (status: Int, body: JSONValue) {
            let rest = cursor.map { #", "cursor": "\#($0)""# } ?? ""
            return await fixture.post(.search, #"{"query": "gate", "top_k": 1, "filters": \#(filters)\#(rest)}"#)
        }
        let first = await page(#"{"wiki": ["enwiki", "dewiki"]}"#, nil)
        let cursor = try #require(first.body["next_cursor"]?.string)
        let other = #"{"must": [{"attribute": "wiki", "one_of": ["dewiki", "enwiki", "dewiki"]}]}"#
        #expect(await page(other, cursor).status == 200)
        let wrong = await page(#"{"must_not": [{"attribute": "wiki", "one_of": ["dewiki", "enwiki"]}]}"#, cursor)
        #expect(wrong.status == 422)
        #expect(wrong.body["error"]?["detail"]?[0]?["type"]?.string == "cursor_mismatch")
    }
}
