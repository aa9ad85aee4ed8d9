import IndexTesting
import PlatformTesting
import Records
import Testing

@testable import Store

/// A small graph is searched with fewer candidates than a large one.
@Suite struct GraphCandidatesTests {
    @Test func theyGrowWithTheIndex() {
        let sizes: [Int64?] = [0, 20_000, 20_001, 50_000, 50_001, 10_000_000, nil]
        #expect(sizes.map { GraphCandidates.usual(passages: $0) } == [200, 200, 400, 400, 800, 800, 800])
    }

    @Test func passagesAreCountedNowAndThen() throws {
        var candidates = GraphCandidates(configured: nil)
        var counts = 0
        func usual(_ passages: Int64?) throws -> Int {
            try candidates.usual(of: .standard) {
                counts += 1
                return passages
            }
        }
        #expect(try usual(30_000) == 400)
        #expect(try usual(5) == 400)
        #expect(counts == 1)
        // Not counted yet is known for as long.
        candidates = GraphCandidates(configured: nil)
        #expect(try usual(nil) == 800)
        #expect(try usual(5) == 800)
        #expect(counts == 2)
    }

    @Test func whatIsSetHolds() throws {
        var candidates = GraphCandidates(configured: 77)
        #expect(try candidates.usual(of: .standard) { nil } == 77)
        #expect(candidates.ofSession == 77)
        #expect(GraphCandidates(configured: nil).ofSession == 800)
    }

    @Test func theTenantsPassagesAreCounted() throws {
        let fixture = try IndexFixture()
        let documents = (0..<3).map { IndexFixture.document($0, embedding: nil, model: "") }
        _ = try fixture.writer.write(documents, timeoutMilliseconds: IndexFixture.limit)
        try fixture.countWords()
        let connection = try fixture.connect()
        let other = try #require(TenantID("other"))
        for (tenant, count) in [(TenantID.standard, Int64(3)), (other, 0)] {
            let counted = try connection.run(
                CountShownPassages(tenant: tenant), timeoutMilliseconds: IndexFixture.limit)
            #expect(counted == [count])
        }
    }

    /// What is shown no more stays in the graph for a while.
    @Test func vectorsThatNothingShowsCount() throws {
        let fixture = try IndexFixture()
        for version in 0..<3 {
            let documents = (0..<4).map { number in
                IndexFixture.document(
                    number, text: "text \(number) of \(version)", version: Int64(version + 1),
                    embedding: [Float(number + 1), Float(version + 1), 1])
            }
            _ = try fixture.writer.write(documents, timeoutMilliseconds: IndexFixture.limit)
        }
        try fixture.countWords()
        let connection = try fixture.connect()
        let tenant = TenantID.standard
        #expect(
            try connection.run(CountShownPassages(tenant: tenant), timeoutMilliseconds: IndexFixture.limit) == [4])
        try connection.script("ANALYZE vectors_1", timeoutMilliseconds: IndexFixture.limit)
        #expect(
            try connection.run(CountShownPassages(tenant: tenant), timeoutMilliseconds: IndexFixture.limit) == [12])
    }
}
