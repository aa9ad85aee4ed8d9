import JSONScan
import Records
import Retrieval
import Testing

@testable import API

/// What sources declare of themselves counts in a ranking, unless the request says otherwise.
@Suite struct ReputationTests {
    private let fixture: APIFixture

    init() {
        let declared = [("wikimedia.recentchange", 1.0), ("notes", 10), ("rumours", 0.1)].compactMap { name, weight in
            CollectionName(name).map {
                CollectionDeclaration(
                    name: $0, attributes: CollectionDeclaration.recentChangeAttributes, reputation: weight)
            }
        }
        fixture = APIFixture(configure: { $0.collections = CollectionCatalog(declared) })
        for (number, collection) in ["wikimedia.recentchange", "notes", "rumours"].enumerated() {
            for page in 0..<3 {
                fixture.index.add(
                    "d-\(number)-\(page)", title: "Gate \(page)", comment: "golden gate bridge towers",
                    collection: collection)
            }
        }
    }

    private func hits(_ more: String = "") async -> [JSONValue] {
        let body = #"{"query": "golden gate bridge towers", "top_k": 100, "explain": true\#(more)}"#
        let (status, reply) = await fixture.post(.search, body)
        #expect(status == 200)
        return reply["hits"]?.array ?? []
    }

    /// By collection, the factor that each hit's score says.
    private func factors(_ hits: [JSONValue]) -> [String: Double] {
        var factors: [String: Double] = [:]
        for hit in hits {
            let source = hit["explain"]?["parts"]?.array?.first { $0["name"]?.string == "source" }
            factors[hit["collection"]?.string ?? ""] = source?["weight"]?.double ?? 1
        }
        return factors
    }

    @Test func theDeclaredWeightCounts() async {
        let found = await hits()
        #expect(factors(found) == ["wikimedia.recentchange": 1, "notes": 10, "rumours": 0.1])
        #expect(found.count == 9 && found.prefix(3).allSatisfy { $0["collection"]?.string == "notes" })
        #expect(found.suffix(3).allSatisfy { $0["collection"]?.string == "rumours" })
        let fused = found.compactMap { $0["scores"]?["fused"]?.double }
        #expect(fused == fused.sorted(by: >))
    }

    @Test func aRequestMayChangeItOrSwitchItOff() async {
        let changed = await hits(#", "source_weights": {"notes": 1, "wikimedia.recentchange": 3}"#)
        #expect(factors(changed) == ["wikimedia.recentchange": 3, "notes": 1, "rumours": 0.1])
        let off = await hits(#", "reputation": false"#)
        #expect(factors(off) == ["wikimedia.recentchange": 1, "notes": 1, "rumours": 1])
        let own = await hits(#", "reputation": false, "source_weights": {"rumours": 2}"#)
        #expect(factors(own) == ["wikimedia.recentchange": 1, "notes": 1, "rumours": 2])
        let wrong = await fixture.post(.search, #"{"query": "gate", "reputation": 2}"#)
        #expect(wrong.status == 422 && wrong.body["error"]?["detail"]?[0]?["loc"]?[1]?.string == "reputation")
    }
}
