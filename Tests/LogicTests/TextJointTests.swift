import Testing

@testable import Logic

@Suite struct TextJointTests {
    private func render(_ template: String, _ values: [TextTemplate.Field: String]) throws -> String {
        var output: [UInt8] = []
        try TextTemplate(template).render(to: &output, tidiesJoints: true) { field, bytes in
            bytes.append(contentsOf: (values[field] ?? "").utf8)
        }
        return String(decoding: output, as: UTF8.self)
    }

    @Test(arguments: [
        ("CT and MD.", "A: CT and MD. edit"), ("CT", "A: CT. edit"), ("Why?", "A: Why? edit"), ("No!", "A: No! edit"),
        ("so..", "A: so. edit"), ("so...", "A: so... edit"), ("so…", "A: so… edit"), ("東。", "A: 東。 edit"),
        ("क।", "A: क। edit"), ("؟", "A: ؟ edit"), ("first,", "A: first. edit"), ("see:", "A: see. edit"),
        ("é", "A: é. edit"), ("😀", "A: 😀. edit"), (": reply", "A: reply. edit"), (":) ok", "A: :) ok. edit"),
        ("", "A. edit"),
        ("...and", "A: ...and. edit"),
    ])
    func noMarkStandsTwice(comment: String, expected: String) throws {
        #expect(
            try render("{title}[: {comment}]. {type}", [.title: "A", .comment: comment, .type: "edit"]) == expected)
    }

    @Test func theMarksOfTheTemplateItselfStay() throws {
        #expect(try render("{title}: {comment}", [.title: "St.", .comment: "x"]) == "St.: x")
        #expect(try render("{title}, {comment}", [.title: "a,", .comment: ", x"]) == "a, x")
        #expect(try render("{title}[: {comment}]. {type}", [.title: "Inc.", .type: "new"]) == "Inc. new")
        #expect(try render("...[ {comment}]. {type}", [.type: "new"]) == ".... new")
        #expect(try render("{comment}", [.comment: ". x"]) == ". x")
    }

    /// As texts were made before.
    @Test func withoutItTextsAreJoinedAsTheyAre() throws {
        var output: [UInt8] = []
        try TextTemplate("{title}: {comment}. x").render(to: &output) { field, bytes in
            bytes.append(contentsOf: (field == .title ? "A:" : ": b.").utf8)
        }
        #expect(String(decoding: output, as: UTF8.self) == "A:: : b.. x")
    }
}
