import IndexTesting
import Postgres
import Records
import Retrieval
import Store
import Testing

/// Lists of answers, and what is said of them, in the database itself.
@Suite struct GivenAnswerTests {
    private let limit = 60_000
    private let start: Int64 = 1_700_000_000_000

    /// Three answers at every moment, so that times alone are no order.
    private func answer(_ number: Int, _ tenant: TenantID = .standard) -> StoredAnswer {
        var answer = StoredAnswer(
            id: "a-\(number)", tenant: tenant, question: "why \(number)?",
            createdAtMilliseconds: start + Int64(number / 3), generation: 1, indexVersion: 5,
            isRefused: number.isMultiple(of: 4), requestJSON: Array("{}".utf8), replyJSON: Array("{}".utf8),
            retrievedJSON: Array("[]".utf8))
        answer.documents = [
            StoredAnswer.Source(collection: "notes", docID: "d-\(number % 5)", isCited: !number.isMultiple(of: 2)),
            StoredAnswer.Source(collection: "other", docID: "d-1", isCited: number == 10),
        ]
        return answer
    }

    private func pages(_ store: SearchStore, _ query: AnswerListQuery) throws -> [[AnswerSummary]] {
        var query = query
        var pages: [[AnswerSummary]] = []
        while pages.count < 100 {
            let page = try store.givenAnswers(query, timeoutMilliseconds: limit)
            guard let last = page.last else { break }
            pages.append(page)
            query.after = last.place
        }
        return pages
    }

    @Test func pagesShowEveryAnswerOnceTheNewestFirst() throws {
        let store = try IndexFixture().store
        let all = (0..<50).map { answer($0) }
        for one in all { try store.save(one, timeoutMilliseconds: limit) }
        let newest = all.sorted { ($0.createdAtMilliseconds, $0.id) > ($1.createdAtMilliseconds, $1.id) }
        func ids(_ change: (inout AnswerListQuery) -> Void) throws -> [String] {
            var query = AnswerListQuery(tenant: .standard, limit: 7)
            change(&query)
            return try pages(store, query).flatMap { $0.map(\.id) }
        }
        func expected(_ isWanted: (StoredAnswer) -> Bool) -> [String] { newest.filter(isWanted).map(\.id) }
        #expect(try ids { _ in } == newest.map(\.id))
        #expect(try ids { $0.isRefused = true } == expected(\.isRefused))
        #expect(try ids { $0.isRefused = false } == expected { !$0.isRefused })
        let (from, to) = (start + 3, start + 9)
        #expect(
            try ids { ($0.sinceMilliseconds, $0.beforeMilliseconds) = (from, to) }
                == expected { (from..<to).contains($0.createdAtMilliseconds) })
        func cites(_ answer: StoredAnswer, _ document: String, _ collection: String?) -> Bool {
            answer.documents.contains {
                $0.isCited && $0.docID == document && $0.collection == collection ?? $0.collection
            }
        }
        #expect(try ids { $0.citedDocID = "d-1" } == expected { cites($0, "d-1", nil) })
        #expect(try ids { ($0.citedDocID, $0.citedCollection) = ("d-1", "other") } == ["a-10"])
        #expect(
            try ids { ($0.citedDocID, $0.isRefused, $0.sinceMilliseconds) = ("d-3", false, from) }
                == expected { cites($0, "d-3", nil) && !$0.isRefused && $0.createdAtMilliseconds >= from })
        #expect(try ids { $0.citedDocID = "none" } == [])
        let first = try #require(
            try store.givenAnswers(AnswerListQuery(tenant: .standard, limit: 1), timeoutMilliseconds: limit).first)
        #expect(first.question == newest.first?.question && first.indexVersion == 5 && first.up == 0)
    }

    @Test func aTenantSeesAndJudgesItsOwn() throws {
        let store = try IndexFixture().store
        let acme = try #require(TenantID("acme"))
        try store.save(answer(1), timeoutMilliseconds: limit)
        try store.save(answer(2, acme), timeoutMilliseconds: limit)
        for (tenant, mine, other) in [(TenantID.standard, "a-1", "a-2"), (acme, "a-2", "a-1")] {
            let listed = try store.givenAnswers(
                AnswerListQuery(tenant: tenant, limit: 10), timeoutMilliseconds: limit)
            #expect(listed.map(\.id) == [mine])
            let said = AnswerFeedback(verdict: .up, note: "", keyID: "k", givenAtMilliseconds: start)
            #expect(try store.save(said, of: mine, tenant: tenant, timeoutMilliseconds: limit) == .kept)
            #expect(try store.save(said, of: other, tenant: tenant, timeoutMilliseconds: limit) == .unknownAnswer)
            #expect(try store.givenAnswer(id: other, tenant: tenant, timeoutMilliseconds: limit) == nil)
            #expect(
                try store.givenAnswer(id: mine, tenant: tenant, timeoutMilliseconds: limit)?.feedback == [said])
        }
    }

    @Test func whatAKeySaysAgainTakesThePlaceOfWhatItSaid() throws {
        let fixture = try IndexFixture()
        let store = fixture.store
        try store.save(answer(1), timeoutMilliseconds: limit)
        func say(_ verdict: AnswerFeedback.Verdict, _ note: String, _ key: String, _ at: Int64) throws -> AnswerFeedback
        {
            let said = AnswerFeedback(verdict: verdict, note: note, keyID: key, givenAtMilliseconds: start + at)
            #expect(try store.save(said, of: "a-1", tenant: .standard, timeoutMilliseconds: limit) == .kept)
            return said
        }
        _ = try say(.up, "", "k1", 1)
        let anonymous = try say(.down, "it’s the\u{0} other \u{202E}bridge", "", 2)
        let again = try say(.down, "no", "k1", 3)
        var found = try #require(
            try store.givenAnswer(id: "a-1", tenant: .standard, timeoutMilliseconds: limit)?.feedback)
        #expect(found.first == again && found.count == 2)
        #expect(found.last?.keyID == "" && found.last?.note.contains("\u{0}") == false)
        #expect(found.last?.note.hasPrefix("it’s the") == true && anonymous.verdict == found.last?.verdict)
        // Beyond the bound only who spoke before is heard.
        for number in 2..<AnswerFeedback.keptMax { _ = try say(.up, "", "more\(number)", 10) }
        let late = AnswerFeedback(verdict: .up, note: "", keyID: "late", givenAtMilliseconds: start + 11)
        #expect(try store.save(late, of: "a-1", tenant: .standard, timeoutMilliseconds: limit) == .full)
        let last = try say(.up, "now it is right", "k1", 20)
        found = try #require(
            try store.givenAnswer(id: "a-1", tenant: .standard, timeoutMilliseconds: limit)?.feedback)
        #expect(found.count == AnswerFeedback.keptMax && found.first == last)
        let summary = try #require(
            try store.givenAnswers(AnswerListQuery(tenant: .standard, limit: 1), timeoutMilliseconds: limit).first)
        #expect(summary.up == Int64(AnswerFeedback.keptMax) - 1 && summary.down == 1)
        // It goes with its answer.
        try fixture.writer.removeAnswers(beforeMilliseconds: start + 1_000_000, timeoutMilliseconds: limit)
        #expect(
            try fixture.connect().script("SELECT count(*) FROM answer_feedback", timeoutMilliseconds: limit) == [["0"]])
    }
}
