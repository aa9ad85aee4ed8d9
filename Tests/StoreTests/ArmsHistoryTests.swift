import IndexTesting
import Records
import Testing

@testable import Store

/// What is held in memory beside an index that is not what it was.
@Suite struct ArmsHistoryTests {
    private static let limit = IndexFixture.limit

    private static func write(_ number: Int, _ fixture: IndexFixture) throws {
        _ = try fixture.writer.write(
            [IndexFixture.document(number, text: "river \(number)", embedding: nil, model: "")],
            timeoutMilliseconds: limit)
    }

    private static func found(_ scene: ArmsScene) throws -> Set<String> {
        let query = IndexFixture.query("river")
        return Set(try scene.store.candidates(for: query, timeoutMilliseconds: limit).candidates.map(\.docID))
    }

    private static func dropped(_ scene: ArmsScene) -> [String] {
        scene.events.compactMap { if case .dropped(_, let why) = $0 { why } else { nil } }
    }

    /// A replica that lacked the last transactions took over: numbers of versions are given to others, at once or later.
    @Test(arguments: [false, true]) func anotherHistoryIsLoadedAnew(hasGoneOn: Bool) throws {
        let fixture = try IndexFixture()
        let scene = ArmsScene(fixture, model: "")
        try Self.write(1, fixture)
        try fixture.countWords()
        try scene.follow()
        try scene.follow()
        #expect(Self.dropped(scene) == [] && scene.size()?.passages == 1)
        try fixture.connect().script(
            "UPDATE index_versions SET created_at = created_at + interval '1 second'",
            timeoutMilliseconds: Self.limit)
        if hasGoneOn { try Self.write(2, fixture) }
        try scene.follow()
        #expect(Self.dropped(scene) == ["the index has another history"])
        try scene.follow()
        #expect(Self.dropped(scene).count == 1)
        #expect(try Self.found(scene) == (hasGoneOn ? ["doc-1", "doc-2"] : ["doc-1"]))
    }

    /// Rows that cannot be read are given up, and documents are found all the same.
    @Test func rowsThatCannotBeReadKeepNothingFromBeingFollowed() throws {
        let fixture = try IndexFixture()
        let scene = ArmsScene(fixture, model: "")
        try Self.write(1, fixture)
        try fixture.countWords()
        try scene.follow()
        try scene.follow()
        #expect(scene.size()?.rows == 1)
        // The address is read for rows alone.
        let connection = try fixture.connect()
        func allow(_ condition: String) throws {
            try connection.script(
                """
                DO $$ BEGIN
                    REVOKE SELECT ON documents FROM medallion_reader;
                    EXECUTE (
                        SELECT format('GRANT SELECT (%s) ON documents TO medallion_reader',
                            string_agg(quote_ident(column_name), ', '))
                        FROM information_schema.columns
                        WHERE table_schema = current_schema() AND table_name = 'documents' AND \(condition));
                END $$
                """, timeoutMilliseconds: Self.limit)
        }
        try allow("column_name <> 'url'")
        try Self.write(2, fixture)
        try scene.follow()
        #expect(scene.size()?.passages == 2 && scene.size()?.rows == 0)
        #expect(Self.dropped(scene) == [])
        #expect(scene.events.contains { if case .rowsGivenUp = $0 { true } else { false } })
        try allow("true")
        #expect(try Self.found(scene) == ["doc-1", "doc-2"])
    }
}
