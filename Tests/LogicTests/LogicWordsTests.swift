import Testing

@testable import Logic

@Suite struct LogicWordsTests {
    private func changes(
        _ template: String = TextTemplate.standard, wikis: [String] = [], dropsBots: Bool = false
    ) throws -> LogicSettings {
        .recentChange(TransformSettings(template: try TextTemplate(template), wikis: wikis, dropsBots: dropsBots))
    }

    @Test func whatDiffersIsSaidAndNothingElse() throws {
        let before = try changes("{title}", wikis: ["enwiki", "frwiki"])
        let after = try changes("{title}: {comment}", wikis: ["dewiki", "enwiki"], dropsBots: true)
        #expect(before.changes(to: before) == [])
        let found = before.changes(to: after)
        #expect(found.map(\.setting) == ["template", "wikis", "drops_bots"])
        #expect(found[0].sentence == "template of the text: “{title}” → “{title}: {comment}”")
        #expect(found[1].sentence == "wikis whose changes become documents: adds dewiki; drops frwiki")
        #expect(found[2].sentence == "changes by bots: kept → left out")
        #expect(
            try changes().changes(to: changes(wikis: ["enwiki"])).map(\.sentence) == [
                "wikis whose changes become documents: all → enwiki"
            ])
    }

    /// Whatever changes the fingerprint is said.
    @Test func nothingIsLeftOut() throws {
        let id = try #require(FieldPath("id"))
        let deleted = try #require(FieldPath("deleted"))
        let name = try #require(FieldPath("name"))
        let plain = DocumentSettings(mapping: DocumentMapping(id: id, texts: [name], deleted: deleted))
        var others: [DocumentSettings] = []
        for edit: (inout DocumentSettings) -> Void in [
            { $0.mapping.title = name }, { $0.mapping.version = name }, { $0.mapping.texts = [id, name] },
            { $0.contentCharactersMax = 60 }, { $0.duplicates = .init(offsets: 1) },
            { $0.passages = .init(weightMax: 50) },
            { $0.mapping.url = name }, { $0.mapping.lang = name }, { $0.mapping.time = name }, { $0.mapping.id = name },
            { $0.mapping.truncated = name }, { $0.mapping.deleted = name }, { $0.envelope = .debezium },
            { $0.stages.textCharactersMin = 5 }, { $0.stages.nearDuplicates = .init(offsets: 5) },
            { $0.stages.detectsLanguage = true }, { $0.stages.reputation = 0.5 },
            { $0.stages = .init(passesOver: [PassedOver(name, .bool(true))]) },
        ] {
            var other = plain
            edit(&other)
            others.append(other)
        }
        for other in others {
            #expect(other.canonicalJSON != plain.canonicalJSON)
            let changes = LogicSettings.document(plain).changes(to: .document(other))
            #expect(!changes.isEmpty, "\(String(decoding: other.canonicalJSON, as: UTF8.self))")
            #expect(LogicSettings.document(other).changes(to: .document(plain)).count == changes.count)
        }
    }
}
