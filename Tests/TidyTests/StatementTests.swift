import Testing

/// A statement that no test prepares against the schema is noticed by its user only.
struct StatementTests {
    @Test func everyStatementIsInTheList() throws {
        let files = try Repository.swiftFiles(in: "Sources/Domain/Store")
        #expect(Statements.conforming(in: files).sorted() == Statements.listed(try Repository.text(Statements.list)))
    }

    @Test func aStatementThatConformsByAnotherProtocolIsFound() {
        let file = SourceFile(
            path: "a.swift",
            text: """
                protocol Search: PostgresStatement where Row == Int {}
                package struct One: PostgresStatement {}
                // struct Never: PostgresStatement {}
                struct Two<Row>: Sendable, Search {}
                extension Three: Search {}
                struct Four: Sendable {}
                """)
        #expect(Statements.conforming(in: [file]) == ["One", "Two", "Three"])
        #expect(Statements.listed("[\n    One.self,\n    Two.self,\n]") == ["One", "Two"])
    }
}

private enum Statements {
    static let list = "Tests/StoreTests/StatementList.swift"

    /// The types that conform to `PostgresStatement`, also by a protocol that refines it.
    static func conforming(in files: [SourceFile]) -> [String] {
        var protocols: Set<String> = ["PostgresStatement"]
        var types: [(kind: Substring, name: String, bases: [String])] = []
        for file in files {
            for line in file.code {
                guard
                    let match = line.firstMatch(
                        of: /\b(struct|enum|class|protocol|extension) (\w+)(?:<[^>]*>)?\s*:\s*([^{]*)/)
                else { continue }
                let bases = match.3.prefix(upTo: match.3.firstRange(of: " where ")?.lowerBound ?? match.3.endIndex)
                types.append(
                    (
                        match.1, String(match.2),
                        bases.split(separator: ",").map { $0.trimmingPrefix(" ").split(separator: " ").joined() }
                    ))
            }
        }
        // As often as protocols may refine one another.
        for _ in 0..<4 {
            for type in types where type.kind == "protocol" && !protocols.isDisjoint(with: type.bases) {
                protocols.insert(type.name)
            }
        }
        return types.filter { $0.kind != "protocol" && !protocols.isDisjoint(with: $0.bases) }.map(\.name)
    }

    /// The names before `.self` in the list.
    static func listed(_ text: String) -> [String] {
        text.matches(of: /(?m)^ +(\w+)\.self,$/).map { String($0.1) }
    }
}
