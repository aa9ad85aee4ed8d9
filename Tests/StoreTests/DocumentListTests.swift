import Bytes
import IndexTesting
import PlatformTesting
import Records
import Retrieval
import Testing

@testable import Store

/// Documents by their ids.
@Suite struct DocumentListTests {
    private let limit = IndexFixture.limit
    private let collection = IndexFixture.collection.text

    private func document(_ number: Int, version: Int64 = 1) -> IndexedDocument {
        IndexFixture.document(number, version: version, embedding: nil, model: "")
    }

    /// All ids, a page at a time.
    private func pages(
        _ store: SearchStore, of limit: Int, between: () throws -> Void = {}
    ) throws -> (ids: [String], pages: Int) {
        var (ids, count, after): ([String], Int, String?) = ([], 0, "")
        while let place = after {
            let page = try store.documents(
                of: .standard, collection: collection, after: place, limit: limit, timeoutMilliseconds: self.limit)
            #expect(page.documents.count <= limit)
            ids += page.documents.map(\.first.docID)
            count += 1
            after = page.next
            try between()
        }
        return (ids, count)
    }

    @Test func aPageIsFollowedByTheNext() throws {
        let fixture = try IndexFixture()
        _ = try fixture.writer.write((1...25).map { document($0) }, timeoutMilliseconds: limit)
        let store = fixture.store
        // By bytes: doc-10 is before doc-2.
        let expected = (1...25).map { "doc-\($0)" }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        for size in [1, 7, 25, 500] {
            let found = try pages(store, of: size)
            #expect(found.ids == expected, "\(size)")
            #expect(found.pages == (25 + size - 1) / size, "\(size)")
        }
        #expect(
            try store.documents(of: .standard, collection: "none", after: "", limit: 5, timeoutMilliseconds: limit)
                == DocumentPage(documents: [], next: nil))
        let acme = try #require(TenantID("acme"))
        #expect(
            try store.documents(of: acme, collection: collection, after: "", limit: 5, timeoutMilliseconds: limit)
                == DocumentPage(documents: [], next: nil))
    }

    /// Whatever is written between two pages, a document that stays comes once. `TEST_SEED` replays another run.
    @Test(arguments: LongTests.seeds(1...1)) func writesBetweenPagesDisturbNobody(seed: UInt64) throws {
        let fixture = try IndexFixture()
        let (writer, store) = (fixture.writer, fixture.store)
        var random = SeededGenerator(seed: seed)
        // Even numbers stay, and some of them change; odd ones come meanwhile.
        let count = LongTests.areWanted ? 10_000 : 60
        for start in stride(from: 1, through: count, by: 500) {
            let numbers = start...min(start + 499, count)
            _ = try writer.write(numbers.map { document($0 * 2) }, timeoutMilliseconds: limit)
        }
        var (next, version): (Int, Int64) = (1, 1)
        let pageCount = LongTests.areWanted ? 1 : 3
        let found = try pages(store, of: pageCount) {
            version += 1
            let changed = Int.random(in: 1...count, using: &random) * 2
            _ = try writer.write([document(changed, version: version), document(next)], timeoutMilliseconds: limit)
            next += 2
        }
        let even = found.ids.filter { Int($0.dropFirst(4)).map { $0.isMultiple(of: 2) } == true }
        #expect(even.count == count && Set(even).count == count, "seed \(seed)")
        #expect(found.ids == Array(Set(found.ids)).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
    }

    /// However many contents a document has had, it and those behind it are listed.
    @Test func aDocumentOfManyContentsIsListed() throws {
        let fixture = try IndexFixture()
        let store = fixture.store
        // More than a page walks stand before what doc-2 shows: of the document itself, and of one that shows nothing.
        _ = try fixture.writer.write([document(1), document(2)], timeoutMilliseconds: limit)
        for (source, id, number) in [("doc-2", "doc-2", -10_000), ("doc-1", "doc-10", -20_000)] {
            _ = try fixture.connect().script(
                """
                INSERT INTO documents (id, key_id, tenant, collection_id, doc_id, content_hash, model_id, text_hash, title, url,
                    lang, event_time, attributes, quality_flags)
                SELECT \(number) + n, \(number), tenant, collection_id, '\(id)', content_hash || n, model_id, text_hash, title,
                    url, lang, event_time, attributes, quality_flags
                FROM documents CROSS JOIN generate_series(1, \(DocumentPage.rowsMax + 500)) n WHERE doc_id = '\(source)'
                """, timeoutMilliseconds: limit)
        }
        _ = try fixture.writer.write([document(3)], timeoutMilliseconds: limit)
        for size in [1, 2, 500] {
            #expect(try pages(store, of: size).ids == ["doc-1", "doc-2", "doc-3"], "\(size)")
        }
    }

    @Test func aDocumentIsShownAsItIsNow() throws {
        let fixture = try IndexFixture()
        let store = fixture.store
        #expect(try store.document("doc-1", of: .standard, collection: collection, timeoutMilliseconds: limit) == nil)
        _ = try fixture.writer.write([document(1), document(2)], timeoutMilliseconds: limit)
        let second = try fixture.writer.write([document(1, version: 2)], timeoutMilliseconds: limit)
        let found = try #require(
            try store.document("doc-1", of: .standard, collection: collection, timeoutMilliseconds: limit))
        #expect(found.first.version == 2 && found.fromVersion == second.indexVersion)
        #expect(found.passagesJSON.map { String(decoding: $0, as: UTF8.self) } == #"["text number 1"]"#)
        #expect(found.first.attributes.value(of: .wiki) == .string("enwiki"))
        let sizes = try store.collectionSizes(
            of: .standard, names: [collection, "none"], timeoutMilliseconds: limit)
        #expect(sizes.map(\.name) == [collection] && sizes[0].documents == 2 && sizes[0].isComplete)
        #expect(try store.collectionSizes(of: .standard, names: [], timeoutMilliseconds: limit).isEmpty)
        let acme = try #require(TenantID("acme"))
        #expect(try store.document("doc-1", of: acme, collection: collection, timeoutMilliseconds: limit) == nil)
        #expect(try store.collectionSizes(of: acme, names: [collection], timeoutMilliseconds: limit).isEmpty)
    }

    @Test func recordsThatHaveDocumentsAreCounted() throws {
        let fixture = try IndexFixture()
        _ = try fixture.writer.write([document(1), document(2), document(5)], timeoutMilliseconds: limit)
        _ = try fixture.writer.write([document(7, version: 2)], timeoutMilliseconds: limit)
        func count(_ offsets: [Int64], _ tenant: TenantID = .standard) throws -> Int {
            try fixture.store.shownCount(
                of: offsets, in: IndexFixture.source, tenant: tenant, timeoutMilliseconds: limit)
        }
        #expect(try count([1, 2, 3, 4, 5]) == 3 && count([]) == 0 && count([9]) == 0 && count([7, 7]) == 2)
        #expect(try count([1, 2], #require(TenantID("acme"))) == 0)
    }
}
