import Records
import Testing

/// A name is found as words of its own.
@Suite struct NamePatternTests {
    @Test(arguments: [
        ("Al", "by Al, today", true), ("Al", "Al", true), ("Al", "Alabama, Hal, Al_2, Älal", false),
        ("Al", "ÄAl Alä", false), ("Al", "Alabama and Al", true), ("例", "之例子", true), ("Al?", "Alx Al?x", true),
        ("Al", "", false), ("Ann Example", "/page/Ann Example/x", true),
    ])
    func isFound(name: String, text: String, wanted: Bool) {
        #expect(NamePattern.isFound(name, in: text) == wanted)
    }

    @Test func patternsAreEscaped() {
        #expect(NamePattern.postgres("a.b*") == #"(?<![[:alnum:]_])a\.b\*"#)
        #expect(NamePattern.postgres("例 x") == #"例\ x(?![[:alnum:]_])"#)
    }
}
