import Bytes
import Records
import Testing

@testable import Retrieval

/// Filters and declarations of several tenants.
@Suite struct TenantFilterTests {
    /// The tenant is a part of the filter's identity, and stays with it, whatever is added or taken apart. The standard one
    /// changes no encoding of before.
    @Test func aFilterIsOfOneTenant() throws {
        let acme = try #require(TenantID("acme"))
        let tests = [AttributeTest.texts(.wiki, ["enwiki"]), .equals(.namespace, .integer(4))]
        let (ours, theirs) = (
            try Filter(must: tests), try Filter(scope: Filter.Scope(tenant: acme), must: tests)
        )
        #expect(ours.description == theirs.description.replacing(#""tenant":"acme","#, with: ""))
        #expect(ours != theirs && ours.hashValue != theirs.hashValue && theirs.asked == ours.encoding)
        #expect(ours.asked == ours.encoding && Filter.all.description == "{}")
        #expect(Filter.all(of: acme).description == #"{"tenant":"acme"}"# && Filter.all(of: acme).takesAll)
        #expect(Filter.all(of: .standard) == .all && Filter.all(of: acme) != .all)
        #expect(
            SearchRequest(query: "a", filter: ours).fingerprint != SearchRequest(query: "a", filter: theirs).fingerprint
        )
        for filter in [theirs, Filter.all(of: acme)] {
            let narrowed = try filter.adding(must: [.equals(.collection, .string("c")), .texts(.lang, ["en"])])
            let (index, others) = narrowed.split { $0.attribute == .lang }
            for part in [narrowed, index, others, filter.split { _ in false }.others] {
                #expect(part.scope.tenant == acme)
            }
        }
    }

    @Test func theCatalogTellsTenantsApart() throws {
        let (acme, name) = (try #require(TenantID("acme")), try #require(CollectionName("c")))
        let size = try #require(AttributeName("size"))
        func collection(_ type: AttributeType) -> CollectionDeclaration {
            CollectionDeclaration(name: name, attributes: [AttributeDeclaration(size, type)])
        }
        let catalog = CollectionCatalog([acme: [collection(.integer)]])
        #expect(catalog.declared(of: acme).declarations(of: size).map(\.type) == [.integer])
        #expect(catalog.declared(of: .standard).declarations(of: size).isEmpty && catalog.tenants == [acme])
        #expect(catalog.declared(of: .standard).tenant == .standard && catalog.declared(of: acme).tenant == acme)
        catalog.replace(with: [.standard: [collection(.string)]])
        #expect(catalog.declared(of: acme).declarations(of: size).isEmpty)
        #expect(catalog.declared(of: .standard).declarations(of: size, in: ["c"]).map(\.type) == [.string])
        #expect(catalog.tenants == [acme, .standard], "none goes again")
    }
}
