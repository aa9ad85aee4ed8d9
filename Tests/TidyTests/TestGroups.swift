import Testing

/// `make test` runs each target once: Tests/groups.txt has every test target of Package.swift, each in one group.
@Suite struct TestGroups {
    /// The targets of `name: Target …` lines, in their order.
    private static func grouped(_ text: String) -> [String] {
        text.split(separator: "\n").flatMap { line -> [String] in
            let words = line.prefix { $0 != "#" }.split(separator: " ")
            return words.first?.hasSuffix(":") == true ? words.dropFirst().map(String.init) : []
        }
    }

    @Test func everyTestTargetIsInOneGroup() throws {
        let package = try Repository.text("Package.swift")
        let declared = package.matches(of: /\btests\(\s*"(\w+)"/).map { String($0.output.1) }
        #expect(declared.count > 10 && Set(declared).count == declared.count)
        let grouped = Self.grouped(try Repository.text("Tests/groups.txt"))
        #expect(grouped.sorted() == declared.sorted())
        // A folder with tests that no target has would not be run at all.
        let folders = Set(try Repository.paths(in: "Tests").compactMap { $0.split(separator: "/").dropFirst().first })
        #expect(Set(folders.filter { $0.hasSuffix("Tests") }.map(String.init)) == Set(declared))
    }

    /// The runner starts Swift Testing alone, so that a test of the other kind would never run.
    @Test func allTestsAreSwiftTestings() throws {
        for file in try Repository.swiftFiles(in: "Tests")
        where Rules.imports(in: file).contains(where: { $0.1 == "XCTest" }) {
            Issue.record("\(file.path) imports XCTest")
        }
    }

    @Test func aTargetInTwoGroupsOrInNoneIsSeen() {
        #expect(Self.grouped("# A: b\na: X Y\na: Z\nb: X # and Y\n") == ["X", "Y", "Z", "X"])
    }
}
