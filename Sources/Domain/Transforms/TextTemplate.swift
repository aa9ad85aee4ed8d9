/// How the text of a Gold document is made from a change.
///
/// `{name}` stands for a field; `[…]` is left out when a field inside it is empty; `\` takes the next character
/// literally. Fields: `title comment user wiki domain type delta`.
package struct TextTemplate: Sendable, Equatable {
    package enum Field: String, CaseIterable, Sendable {
        case title, comment, user, wiki, domain, type, delta
    }

    enum Part: Sendable, Equatable {
        case literal([UInt8])
        case field(Field)
        case optional([Part])
    }

    /// Why a template was refused.
    package struct Fault: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// The default: a sentence that names the page, says what was done, and by whom.
    package static let standard = "{title}[: {comment}]. {type} by {user} on {domain}[ ({delta} bytes)]."

    /// The template as it was written.
    package let source: String
    let parts: [Part]

    /// - Throws: ``Fault`` naming the unknown field or the unbalanced bracket and its position.
    package init(_ source: String) throws(Fault) {
        self.source = source
        var reader = Reader(characters: Array(source))
        parts = try reader.parts(isNested: false)
    }

    private struct Reader {
        let characters: [Character]
        var position = 0

        mutating func parts(isNested: Bool) throws(Fault) -> [Part] {
            var parts: [Part] = []
            var literal = ""
            func flush(_ literal: inout String) {
                if !literal.isEmpty { parts.append(.literal(Array(literal.utf8))) }
                literal = ""
            }
            while position < characters.count {
                let character = characters[position]
                position += 1
                switch character {
                case "\\" where position < characters.count:
                    literal.append(characters[position])
                    position += 1
                case "{":
                    flush(&literal)
                    parts.append(.field(try field()))
                case "[" where !isNested:
                    flush(&literal)
                    parts.append(.optional(try self.parts(isNested: true)))
                case "[":
                    throw Fault(
                        description: "a [ inside […] at character \(position): write \\[ for the bracket itself")
                case "]" where isNested:
                    flush(&literal)
                    return parts
                case "]", "}":
                    throw Fault(description: "a \(character) without its opening at character \(position)")
                default:
                    literal.append(character)
                }
            }
            guard !isNested else { throw Fault(description: "a [ is not closed") }
            flush(&literal)
            return parts
        }

        mutating func field() throws(Fault) -> Field {
            guard let end = characters[position...].firstIndex(of: "}") else {
                throw Fault(description: "a { is not closed")
            }
            let name = String(characters[position..<end])
            position = end + 1
            guard let field = Field(rawValue: name) else {
                let known = Field.allCases.map(\.rawValue).joined(separator: " ")
                throw Fault(description: "unknown field {\(name)}; there are: \(known)")
            }
            return field
        }
    }

    /// Appends the text.
    ///
    /// - Parameter value: appends a field's text, and appends nothing for an empty one.
    func render(to output: inout [UInt8], _ value: (Field, inout [UInt8]) -> Void) {
        _ = render(parts, to: &output, value)
    }

    /// - Returns: false when a field came out empty.
    private func render(
        _ parts: [Part], to output: inout [UInt8], _ value: (Field, inout [UInt8]) -> Void
    ) -> Bool {
        var isComplete = true
        for part in parts {
            switch part {
            case .literal(let bytes): output.append(contentsOf: bytes)
            case .field(let field):
                let start = output.count
                value(field, &output)
                if output.count == start { isComplete = false }
            case .optional(let inner):
                let start = output.count
                if !render(inner, to: &output, value) { output.removeLast(output.count - start) }
            }
        }
        return isComplete
    }
}

/// An edit summary as people read it: section marks and link brackets taken out, white space made single.
enum PlainComment {
    /// Appends the plain form of `comment`.
    ///
    /// `/* History */ typo` becomes `History: typo`; `[[Rhine|the river]]` becomes `the river`.
    static func append(_ comment: UnsafeBufferPointer<UInt8>, to output: inout [UInt8]) {
        let start = output.count
        var index = 0
        var isInSection = false
        // Where the text of the innermost open link began, to drop its target when a `|` follows.
        var linkStart: Int?
        func isAt(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Bool {
            index + 1 < comment.count && comment[index] == UInt8(ascii: first)
                && comment[index + 1] == UInt8(ascii: second)
        }
        while index < comment.count {
            if isAt("/", "*") {
                isInSection = true
                index += 2
            } else if isInSection && isAt("*", "/") {
                isInSection = false
                index += 2
                trimSpaces(&output, from: start)
                let hasMore = comment[index...].contains { $0 > 0x20 }
                if hasMore && output.count > start { output.append(contentsOf: ": ".utf8) }
            } else if isAt("[", "[") {
                linkStart = output.count
                index += 2
            } else if isAt("]", "]") {
                linkStart = nil
                index += 2
            } else if comment[index] == UInt8(ascii: "|"), let begin = linkStart {
                output.removeLast(output.count - begin)
                linkStart = nil
                index += 1
            } else {
                appendFolded(comment[index], to: &output, from: start)
                index += 1
            }
        }
        trimSpaces(&output, from: start)
    }

    /// Appends one byte, with runs of ASCII white space and control characters folded to one space.
    static func appendFolded(_ byte: UInt8, to output: inout [UInt8], from start: Int) {
        if byte <= 0x20 || byte == 0x7F {
            if output.count > start && output[output.count - 1] != 0x20 { output.append(0x20) }
        } else {
            output.append(byte)
        }
    }

    private static func trimSpaces(_ output: inout [UInt8], from start: Int) {
        while output.count > start && output[output.count - 1] == 0x20 { output.removeLast() }
    }
}
