import Bytes
import Files
import Logic
import PlatformTesting
import Records
import Testing

@testable import Retrieval

@Suite struct InterpretationTests {
    /// Thursday, 26 November 2026, 14:37:45.250 UTC.
    static let now = CivilTime.epochMilliseconds("2026-11-26T14:37:45.250Z") ?? 0
    private static let usual: Set<AttributeName> = [.eventTime, .wiki, .lang, .user]

    /// A question of the table with what is written below it.
    struct Case: Sendable, CustomTestStringConvertible {
        var question: String
        var open = usual
        var parts: [String] = []
        var query: String
        var testDescription: String { question }
    }

    static func cases() throws -> [Case] {
        let bytes = try File.contents(of: PackageRoot.path + "/Tests/RetrievalTests/Interpretation/questions.txt")
        var cases: [Case] = []
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where !line.hasPrefix("#") {
            guard line.hasPrefix("    ") else {
                var one = Case(question: String(line), query: String(line))
                if line.hasPrefix("PAGE ") {
                    one.question.removeFirst(5)
                    one.query = one.question
                    one.open.insert(Interpretation.pageAttribute)
                }
                cases.append(one)
                continue
            }
            let text = line.dropFirst(4)
            if text.hasPrefix("query: ") {
                cases[cases.count - 1].query = String(text.dropFirst(7))
            } else {
                cases[cases.count - 1].parts.append(String(text))
            }
        }
        return cases
    }

    private func read(_ question: String, open: Set<AttributeName>, now: Int64 = now) -> Interpretation {
        QuestionInterpreter(nowMilliseconds: now, isOpen: { open.contains($0) }).interpret(question)
    }

    private func shown(_ interpretation: Interpretation) -> [String] {
        interpretation.parts.map {
            "\($0.kind.rawValue): \($0.text) => \(String(decoding: $0.filter.asked, as: UTF8.self))"
        }
    }

    @Test func theTableIsLargeAndHasBothKinds() throws {
        let cases = try Self.cases()
        #expect(cases.count >= 200)
        #expect(cases.count { $0.parts.isEmpty } * 3 >= cases.count, "a third at least is left alone")
        #expect(Set(cases.map { "\($0.open.count) \($0.question)" }).count == cases.count)
    }

    @Test(arguments: try InterpretationTests.cases()) func questionsAreUnderstoodAsTheTableSays(one: Case) {
        let read = read(one.question, open: one.open)
        #expect(shown(read) == one.parts)
        #expect(read.query == one.query)
        #expect(read.asked == one.question)
    }

    /// What a filter may not be made of stays in the question, word for word.
    @Test func whatIsNotOpenStaysWords() throws {
        for one in try Self.cases() {
            #expect(read(one.question, open: []) == .none(one.question))
        }
        let read = read("bridge edits in the last hour on the German Wikipedia", open: [.wiki])
        #expect(read.query == "bridge edits in the last hour" && read.parts.map(\.kind) == [.wiki])
    }

    /// Reading is a function of the minute, and later minutes move only what is relative.
    @Test func relativeTimesAreCutToTheMinute() throws {
        let question = "bridge edits in the last hour"
        let first = read(question, open: Self.usual, now: 1_763_700_000_000)
        #expect(read(question, open: Self.usual, now: 1_763_700_059_999) == first)
        #expect(read(question, open: Self.usual, now: 1_763_700_060_000) != first)
        #expect(first.isRelative && !read("edits since 2021-10-03", open: Self.usual).isRelative)
        #expect(QuestionInterpreter(nowMilliseconds: -1, isOpen: { _ in true }).referenceMilliseconds == -60_000)
    }

    /// Whatever the text: every part is found in it, and reading ends.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func oddTextsAreRead(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let words = [
            "in", "the", "last", "hour", "2", "since", "on", "dewiki", "French", "\"", "“", "2021", "pm", "and",
        ]
        for _ in 0..<200 {
            var text = ""
            for _ in 0..<Int.random(in: 0...12, using: &generator) {
                text += (words.randomElement(using: &generator) ?? "") + " "
                text += randomText(&generator, lengthMax: 2)
            }
            let read = read(text, open: Self.usual)
            #expect(read.parts.allSatisfy { text.contains($0.text) })
            #expect(Set(read.parts.map(\.kind)).count == read.parts.count)
        }
    }

    /// Each language has a Wikipedia of the name that the rules make, and its documents have the code.
    @Test func languagesAreThoseOfTheWikis() {
        #expect(LanguageNames.table.count > 80)
        for (name, language) in LanguageNames.table {
            var wiki = language.wikiPrefix + "wiki"
            let code = wiki.withUTF8 { String(decoding: WikiLanguage.code(wiki: $0), as: UTF8.self) }
            #expect(code == language.code, "\(name)")
        }
    }

    @Test func filtersOfTheRequestAreNarrowed() throws {
        let read = read("edits by \"Ann\" since 2021-10-03", open: Self.usual)
        let filter = read.narrow(
            try Filter(scope: .init(collections: ["a"]), must: [.equals(.wiki, .string("dewiki"))]))
        #expect(
            filter.description == #"{"from":"2021-10-03T00:00:00.000Z","must":["#
                + #"{"attribute":"collection","one_of":["a"]},{"attribute":"user","one_of":["Ann"]},"#
                + #"{"attribute":"wiki","one_of":["dewiki"]}]}"#)
    }

    /// The request's own filters, and what collections declare, decide what is left to the question.
    @Test func explicitFiltersComeFirst() throws {
        let declared = CollectionCatalog.recentChanges().declared(of: .standard)
        func asked(_ query: String, _ filter: Filter = .all, cursor: SearchCursor? = nil) -> SearchRequest {
            SearchRequest(query: query, filter: filter, cursor: cursor)
                .interpreted(declared, nowMilliseconds: Self.now)
        }
        let query = "edits on dewiki in the last hour"
        #expect(asked(query).interpretation?.parts.map(\.kind) == [.wiki, .time])
        #expect(asked(query).query == "edits" && asked(query).asked == query)
        let wiki = try Filter(must: [.equals(.wiki, .string("frwiki"))])
        #expect(asked(query, wiki).interpretation?.parts.map(\.kind) == [.time])
        let notDomain = try Filter(mustNot: [.equals(.domain, .string("x"))])
        #expect(asked(query, notDomain).interpretation?.parts.map(\.kind) == [.time])
        let time = try Filter(time: .init(to: 0))
        #expect(asked(query, time).interpretation?.parts.map(\.kind) == [.wiki])
        let notTime = try Filter(mustNot: [.init(.eventTime, .between(from: .time(0), to: nil))])
        #expect(asked(query, notTime).interpretation?.parts.map(\.kind) == [.wiki])
        // A collection without wikis has no filter on them.
        let notes = DeclaredAttributes(
            [
                CollectionDeclaration(
                    name: try #require(CollectionName("notes")),
                    attributes: [
                        AttributeDeclaration(.user, .string, isFilterable: false),
                        AttributeDeclaration(.wiki, .integer),
                    ])
            ])
        let plain = SearchRequest(query: "edits by \"Ann\" on dewiki").interpreted(notes, nowMilliseconds: Self.now)
        #expect(plain == SearchRequest(query: "edits by \"Ann\" on dewiki"))
    }

    /// A cursor carries the moment of its first page, so that a later page asks the same.
    @Test func cursorsKeepTheMoment() throws {
        let declared = CollectionCatalog.recentChanges().declared(of: .standard)
        let query = "edits in the last hour"
        let first = SearchRequest(query: query).interpreted(declared, nowMilliseconds: Self.now)
        let cursor = SearchCursor(
            generation: 1, indexVersion: 5, offset: 10, fingerprint: first.fingerprint, notes: [],
            referenceMilliseconds: first.referenceMilliseconds, rest: [])
        let read = try #require(SearchCursor(text: cursor.text))
        #expect(read == cursor && read.referenceMilliseconds == Self.now - Self.now % 60_000)
        let later = SearchRequest(query: query, cursor: read)
            .interpreted(declared, nowMilliseconds: Self.now + 3_600_000)
        #expect(later.fingerprint == first.fingerprint && later.filter == first.filter)
        var plain = cursor
        plain.referenceMilliseconds = nil
        #expect(try #require(SearchCursor(text: plain.text)) == plain)
        #expect(SearchCursor(text: String(cursor.text.dropLast(2))) == nil)
    }
}
