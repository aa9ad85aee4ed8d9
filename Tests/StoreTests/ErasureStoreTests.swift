import Hashing
import IndexTesting
import Postgres
import Records
import Retrieval
import Testing

@testable import Store

/// What is erased is in no table any more, nor in memory, and comes back by nothing.
@Suite struct ErasureStoreTests {
    private static let limit = IndexFixture.limit
    private static let user = "Zoë \"Quote\" Ünïcode' 例%_\\"
    private static let word = "zanzibarwort"
    private let fixture: IndexFixture
    private let scene: ArmsScene
    private let store: ErasureStore

    init() throws {
        fixture = try IndexFixture()
        scene = ArmsScene(fixture)
        store = ErasureStore(configuration: fixture.configuration)
    }

    private static func erasure(
        _ kind: ErasureTarget.Kind = .user, _ name: String = user, wiki: String? = nil, collection: String? = nil,
        tenant: TenantID = .standard, id: String = "e-0123456789abcdef"
    ) throws -> Erasure {
        var hasher = try SHA256Hasher()
        let digest = try Array(name.utf8).withUnsafeBytes { try hasher.hash($0).hex }
        let target = try #require(
            ErasureTarget(
                kind: kind, collection: collection ?? IndexFixture.collection.text, nameSHA256: digest, wiki: wiki))
        return Erasure(
            id: id, tenant: tenant, target: target, reason: "request 17", by: "ann", atMilliseconds: 1_700_000_000_000)
    }

    private static func records(_ start: Int64, _ end: Int64) throws -> [(source: TopicPartition, range: OffsetRange)] {
        [(IndexFixture.source, try #require(OffsetRange(start: start, end: end)))]
    }

    /// - Parameter end: up to where the lake was looked through.
    @discardableResult
    private func apply(
        _ erasure: Erasure, _ records: [(source: TopicPartition, range: OffsetRange)], until end: Int64 = 9
    ) throws -> Int64 {
        try store.apply(
            erasure, records, lookedTo: [IndexFixture.source: end], timeoutMilliseconds: Self.limit)
    }

    /// Every fourth one is the user's.
    private static func document(_ number: Int, version: Int64 = 1, generation: Int64 = 1) -> IndexedDocument {
        let isTheirs = number % 4 == 1
        let text = "river \(number) of version \(version)" + (isTheirs ? " \(word) by \(user)" : "")
        var document = IndexFixture.document(
            number, text: text, version: version, embedding: ArmsAgreementTests.vector(of: text), generation: generation
        )
        if isTheirs { document.document.attributes.set(.user, .string(user)) }
        return document
    }

    private func write(_ documents: [IndexedDocument]) throws {
        _ = try fixture.writer.write(documents, timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        try scene.follow()
        try scene.follow()
    }

    private func found() throws -> Set<String> {
        var query = IndexFixture.query(
            "river", vector: ArmsAgreementTests.vector(of: "river"), filter: .all(of: .standard))
        query.vectorScan = .exact
        let real = try fixture.store.candidates(for: query, timeoutMilliseconds: Self.limit)
        let armed = try scene.store.candidates(for: query, timeoutMilliseconds: Self.limit)
        #expect(Set(real.candidates.map(\.docID)) == Set(armed.candidates.map(\.docID)))
        return Set(real.candidates.map(\.docID))
    }

    private func save(_ id: String, _ documents: [String], question: String = "why?", retrieved: String = "[]") throws {
        var answer = StoredAnswer(
            id: id, tenant: .standard, question: question, createdAtMilliseconds: 1_700_000_000_000, generation: 1,
            indexVersion: 1, isRefused: false, requestJSON: Array("{}".utf8), replyJSON: Array("{}".utf8),
            retrievedJSON: Array(retrieved.utf8))
        answer.documents = documents.map {
            StoredAnswer.Source(collection: IndexFixture.collection.text, docID: $0, isCited: true)
        }
        try fixture.store.save(answer, timeoutMilliseconds: Self.limit)
    }

    private func answer(_ id: String) throws -> GivenAnswer? {
        try fixture.store.givenAnswer(id: id, tenant: .standard, timeoutMilliseconds: Self.limit)
    }

    /// The tables in which a text stands, in whatever column.
    private func tables(with text: String) throws -> [String] {
        let connection = try fixture.connect()
        let names = try connection.script(
            """
            SELECT c.oid::regclass FROM pg_class c
            WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace ORDER BY 1
            """, timeoutMilliseconds: Self.limit
        ).compactMap { $0[0] }
        let quoted = text.replacing("'", with: "''")
        return try names.filter { name in
            let count = try connection.script(
                "SELECT count(*) FROM \(name) t WHERE strpos(t::text, '\(quoted)') > 0", timeoutMilliseconds: Self.limit
            )
            return count[0][0] != "0"
        }
    }

    @Test func aUserLeavesEveryTable() throws {
        try write((0..<8).map { Self.document($0) })
        // Former contents count, too.
        try write([Self.document(1, version: 2)])
        try save("a-1", ["doc-1", "doc-2"])
        try save("a-2", ["doc-2"])
        try save("a-3", [], question: "what did \(Self.user) do?")
        try save("a-4", [], retrieved: #"[{"text":"by Zoë \"Quote\" Ünïcode' 例%_\\"}]"#)
        #expect(try found().count == 8)
        #expect(try tables(with: Self.word).isEmpty == false)
        let removed = try apply(try Self.erasure(), [])
        #expect(removed == 3)
        try scene.follow()
        try scene.follow()
        #expect(try found() == ["doc-0", "doc-2", "doc-3", "doc-4", "doc-6", "doc-7"])
        let told = #expect(throws: ErasedAnswer.self) { _ = try answer("a-1") }
        #expect(told?.erasure == "e-0123456789abcdef")
        #expect(try answer("a-2") != nil && answer("a-3") != nil)
        #expect(
            try store.eraseMentions(
                "e-0123456789abcdef", of: Self.user, timeoutMilliseconds: Self.limit) == 2)
        #expect(throws: ErasedAnswer.self) { try answer("a-3") }
        for text in [Self.word, "Ünïcode"] { #expect(try tables(with: text) == [], "\(text)") }
        // Known, and done.
        #expect(try store.known(timeoutMilliseconds: Self.limit) == ["e-0123456789abcdef": true])
        #expect(try apply(try Self.erasure(), []) == 0)
        // What comes later is another matter.
        try write([Self.document(9)])
        #expect(try found().contains("doc-9"))
    }

    @Test func aPageOfOneWiki() throws {
        var other = Self.document(2)
        other.document.title = "Title 0"
        other.document.attributes.set(.wiki, .string("dewiki"))
        try write([Self.document(0), other, Self.document(3)])
        for erasure in [
            try Self.erasure(.page, "Title 0", wiki: "frwiki", id: "e-0000000000000001"),
            try Self.erasure(.page, "Title 0", collection: "another", id: "e-0000000000000002"),
            try Self.erasure(.page, "Title 0", tenant: try #require(TenantID("acme")), id: "e-0000000000000003"),
            try Self.erasure(.page, "Unknown", id: "e-0000000000000004"),
        ] { #expect(try apply(erasure, []) == 0) }
        #expect(try found() == ["doc-0", "doc-2", "doc-3"])
        let one = try Self.erasure(.page, "Title 0", wiki: "enwiki", id: "e-0000000000000005")
        #expect(try apply(one, []) == 1)
        try scene.follow()
        try scene.follow()
        #expect(try found() == ["doc-2", "doc-3"])
        let all = try Self.erasure(.page, "Title 0", id: "e-0000000000000006")
        #expect(try apply(all, []) == 1)
        try scene.follow()
        try scene.follow()
        #expect(try found() == ["doc-3"])
    }

    /// The indexer may be behind the lake: what it brings of erased records is never shown, and goes.
    @Test func whatComesLateIsKeptOut() throws {
        try write((0..<4).map { Self.document($0) })
        let erasure = try Self.erasure()
        #expect(try apply(erasure, try Self.records(4, 7), until: 4) == 1)
        try write((4..<9).map { Self.document($0) })
        try write([Self.document(5, version: 2)])
        #expect(try found() == ["doc-0", "doc-2", "doc-3", "doc-7", "doc-8"])
        #expect(try tables(with: Self.word) != [])
        #expect(try store.removeErased(timeoutMilliseconds: Self.limit) == 4)
        #expect(try store.removeErased(timeoutMilliseconds: Self.limit) == 0)
        try scene.follow()
        #expect(try found() == ["doc-0", "doc-2", "doc-3", "doc-7", "doc-8"])
        #expect(try tables(with: Self.word) == [])
    }

    /// By the record alone, whatever its document says; and of what Postgres refused.
    @Test func recordsAreErasedWhateverTheySay() throws {
        try write((0..<4).map { Self.document($0) })
        try save("a-1", ["doc-2"])
        try fixture.connect().script(
            """
            INSERT INTO refused_documents (generation, source_topic, source_partition, source_offset, doc_id, code, reason,
                gold_line, refused_at)
            SELECT 1, '\(IndexFixture.source.topic)', 0, n, 'refused-' || n, '22021', 'a test', 'x', now()
            FROM generate_series(1, 4) n
            """, timeoutMilliseconds: Self.limit)
        #expect(
            try apply(try Self.erasure(.page, "Unknown"), try Self.records(2, 4)) == 2)
        try scene.follow()
        try scene.follow()
        #expect(try found() == ["doc-0", "doc-1"])
        #expect(throws: ErasedAnswer.self) { try answer("a-1") }
        // Who reads the Gold topic knows, too.
        let inForce = try SuppressionStore(configuration: fixture.configuration).inForce(
            timeoutMilliseconds: Self.limit)
        for offset in 1...4 as ClosedRange<Int64> {
            let subject = SuppressionSubject(
                topicPartition: IndexFixture.source, offset: offset, collection: IndexFixture.collection.text)
            #expect(inForce[.standard]?.covers(subject) == [2, 3].contains(offset))
        }
        let left = try fixture.connect().script(
            "SELECT source_offset FROM refused_documents ORDER BY 1", timeoutMilliseconds: Self.limit)
        #expect(left.map { $0[0] } == ["1", "4"])
    }

    /// Killed between two steps, it resumes where it was.
    @Test func stepsResume() throws {
        try write((0..<12).map { Self.document($0) })
        let connection = try fixture.connect()
        #expect(
            try connection.run(
                ApplyErasure(erasure: Self.erasure(), records: [], lookedTo: [IndexFixture.source: 12]),
                timeoutMilliseconds: Self.limit
            ).first == true)
        func step() throws -> Int64? {
            try connection.run(
                ContinueErasure(id: "e-0123456789abcdef", limit: 4), timeoutMilliseconds: Self.limit
            ).first ?? nil
        }
        #expect(try step() == 1)
        #expect(try store.known(timeoutMilliseconds: Self.limit) == ["e-0123456789abcdef": false])
        #expect(try apply(try Self.erasure(), []) == 2)
        #expect(try step() == nil)
        #expect(try tables(with: Self.word) == [])
    }

    @Test func aLookFindsMentions() throws {
        try write((0..<8).map { Self.document($0) })
        var other = IndexFixture.document(20, text: "about \(Self.user)", embedding: nil, model: "")
        other.document.title = "T"
        try write([other])
        try save("a-1", [], question: Self.user)
        let found = try store.mentions(
            of: Self.user, texts: [Self.user], try Self.erasure().target, tenant: .standard,
            timeoutMilliseconds: Self.limit)
        #expect(
            found == [
                IndexMention(kind: "answers", count: 1, example: "a-1"),
                IndexMention(kind: "documents", count: 1, example: "doc-20"),
                IndexMention(kind: "matches", count: 2, example: "doc-1"),
            ])
    }

    /// Tables in memory only grow: an erasure has them loaded anew.
    @Test func memoryIsLoadedAnew() throws {
        try write((0..<8).map { Self.document($0) })
        let before = scene.size()?.passages
        try apply(try Self.erasure(), [])
        try scene.follow()
        try scene.follow()
        let dropped = scene.events.contains { if case .dropped = $0 { true } else { false } }
        #expect(before == 8 && dropped && scene.size()?.passages == 6)
    }

    @Test func theWriteAheadLogsBoundsAreTold() throws {
        let bounds = try store.walBounds(timeoutMilliseconds: Self.limit)
        #expect(bounds.checkpointMilliseconds > 0 && bounds.slots == 0)
    }

    /// The planner keeps frequent values of columns.
    @Test func statisticsForget() throws {
        try write((0..<8).map { Self.document($0) })
        let connection = try fixture.connect()
        func count() throws -> String? {
            try connection.script(
                """
                SELECT count(*) FROM pg_stats s WHERE s.schemaname = current_schema()
                    AND strpos(concat(s.most_common_vals::text, s.histogram_bounds::text), 'Ünïcode') > 0
                """, timeoutMilliseconds: Self.limit)[0][0]
        }
        try connection.script("ANALYZE documents", timeoutMilliseconds: Self.limit)
        #expect(try count() != "0")
        try apply(try Self.erasure(), [])
        try store.vacuum(timeoutMilliseconds: Self.limit)
        #expect(try count() == "0")
    }

    /// Ranges of several erasures may cross; what either has is kept out.
    @Test func erasuresOverlap() throws {
        try apply(try Self.erasure(.page, "Unknown", id: "e-0000000000000001"), try Self.records(2, 8), until: 0)
        try apply(try Self.erasure(.page, "Nothing", id: "e-0000000000000002"), try Self.records(3, 4), until: 0)
        try apply(try Self.erasure(.page, "Nobody", id: "e-0000000000000003"), try Self.records(2, 3), until: 0)
        try write((0..<10).map { Self.document($0) })
        #expect(try found() == ["doc-0", "doc-1", "doc-8", "doc-9"])
        let inForce = try SuppressionStore(configuration: fixture.configuration).inForce(
            timeoutMilliseconds: Self.limit)
        for offset in 0..<10 as Range<Int64> {
            let subject = SuppressionSubject(
                topicPartition: IndexFixture.source, offset: offset, collection: IndexFixture.collection.text)
            #expect(inForce[.standard]?.covers(subject) == (2..<8).contains(offset))
        }
        #expect(try store.removeErased(timeoutMilliseconds: Self.limit) == 6)
    }

    /// No suppression takes what is erased for its own, nor does its lift bring it back.
    @Test func aLiftBringsNothingBack() throws {
        try apply(try Self.erasure(), try Self.records(4, 7))
        try write((4..<9).map { Self.document($0) })
        let suppressions = SuppressionStore(configuration: fixture.configuration)
        let target = SuppressionTarget.document(collection: IndexFixture.collection.text, docID: "doc-5")
        let suppression = Suppression(
            id: "s-0123456789abcdef", tenant: .standard, target: target, reason: "a test", by: "ann",
            atMilliseconds: 1_700_000_000_000)
        _ = try suppressions.apply(.suppress(suppression), timeoutMilliseconds: Self.limit)
        _ = try suppressions.apply(
            .lift(
                id: suppression.id, tenant: .standard, reason: "a test", by: "ann", atMilliseconds: 1_700_000_000_001),
            timeoutMilliseconds: Self.limit)
        #expect(try found() == ["doc-7", "doc-8"])
        #expect(try store.removeErased(timeoutMilliseconds: Self.limit) == 3)
        #expect(try tables(with: Self.word) == [])
    }

    /// What was written under the name after the lake was looked through is another matter.
    @Test func laterRecordsOfTheNameStay() throws {
        try write((0..<10).map { Self.document($0) })
        #expect(try apply(try Self.erasure(), try Self.records(1, 2), until: 5) == 1)
        try scene.follow()
        try scene.follow()
        #expect(try found() == ["doc-0", "doc-2", "doc-3", "doc-4", "doc-5", "doc-6", "doc-7", "doc-8", "doc-9"])
    }

    /// One that was asked before and is kept after is not.
    @Test func answersInFlightAreNotKept() throws {
        try write((0..<4).map { Self.document($0) })
        try apply(try Self.erasure(), [])
        try save("a-1", ["doc-1"])
        try save("a-2", ["doc-2"])
        #expect(try answer("a-1") == nil && answer("a-2") != nil)
    }

    /// A short name stands in many words, in names of members and in numbers.
    @Test(arguments: ["Al", "text", "17", "Al_", "例"]) func mentionsAreWords(name: String) throws {
        try write((0..<2).map { Self.document($0) })
        try apply(try Self.erasure(), [])
        let texts = ["by Al, \\n17 of them", "Alabama, \\u0000 textile", "x_text Al_", "之例子", "\\nAl"]
        for (index, text) in texts.enumerated() {
            try save("a-\(index)", [], retrieved: #"[{"text":"\#(text)","score":17}]"#)
        }
        let wanted = ["Al": ["a-0", "a-4"], "17": ["a-0"], "Al_": ["a-2"], "例": ["a-3"]][name] ?? []
        let told = try store.mentions(
            of: name, texts: [], try Self.erasure().target, tenant: .standard, timeoutMilliseconds: Self.limit)
        #expect(told.first { $0.kind == "answers" }.map(\.count) ?? 0 == Int64(wanted.count))
        #expect(
            try store.eraseMentions("e-0123456789abcdef", of: name, timeoutMilliseconds: Self.limit) == wanted.count)
        for id in wanted { #expect(throws: ErasedAnswer.self) { try answer(id) } }
    }
}
