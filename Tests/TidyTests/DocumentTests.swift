import Bytes
import Foundation
import Testing

/// What pages say of the repository itself.
@Suite struct DocumentTests {
    static func pages() throws -> [String] {
        let top = try FileManager.default.contentsOfDirectory(atPath: Repository.root.path)
        let below = try Repository.paths(in: "docs") + Repository.paths(in: "examples")
        return (top + below).filter { $0.hasSuffix(".md") }.sorted()
    }

    /// The anchors of a page: its headings as hosts write them, in small letters, words joined by dashes.
    static func anchors(in text: String) -> Set<String> {
        Set(
            text.matches(of: /(?m)^#+ (.+)$/).map { match in
                String(match.output.1.lowercased().filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" })
                    .replacing(" ", with: "-")
            })
    }

    /// Links to a file or a heading that is not there.
    static func deadLinks(in page: String) throws -> [String] {
        let text = try Repository.text(page)
        let base = Repository.root.appending(path: page).deletingLastPathComponent()
        return try text.matches(of: /\]\(([^)#\s]*)(?:#([^)\s]*))?\)/).compactMap { match in
            let (link, anchor) = (String(match.output.1), match.output.2.map(String.init))
            guard !link.contains("://") else { return nil }
            let target = link.isEmpty ? Repository.root.appending(path: page) : base.appending(path: link)
            guard FileManager.default.fileExists(atPath: target.path) else { return "\(page): \(link) is not there" }
            guard let anchor, link.isEmpty || link.hasSuffix(".md") else { return nil }
            let found = try anchors(in: String(contentsOf: target, encoding: .utf8))
            return found.contains(anchor) ? nil : "\(page): \(link) has no heading for #\(anchor)"
        }
    }

    @Test func everyLinkLeadsSomewhere() throws {
        let pages = try Self.pages()
        #expect(pages.contains("README.md") && pages.contains("docs/limits.md"))
        for dead in try pages.flatMap({ try Self.deadLinks(in: $0) }) { Issue.record("\(dead)") }
    }

    @Test func anchorsAreThoseOfHosts() {
        #expect(
            Self.anchors(in: "# The lake's files\ntext\n## `GET /stream`, again\n") == [
                "the-lakes-files", "get-stream-again",
            ])
    }

    /// The version stands in `Product` alone, and everything else that names it agrees.
    @Test func theVersionStandsInOnePlace() throws {
        let home = "Sources/Base/Bytes/Product.swift"
        for path in try Repository.paths(in: "Sources") where path.hasSuffix(".swift") {
            let text = try Repository.text(path)
            let isNamed =
                text.range(of: "\"\(Product.version)\"") != nil
                || text.range(of: "medallion/[0-9]", options: .regularExpression) != nil
            #expect(isNamed == (path == home), "\(path)")
        }
        let document = try JSONSerialization.jsonObject(with: Data(Repository.text("schemas/openapi.json").utf8))
        let information = (document as? [String: Any])?["info"] as? [String: Any]
        #expect(information?["version"] as? String == Product.version)
        #expect(try Repository.text("CHANGELOG.md").contains(Product.version))
    }
}
