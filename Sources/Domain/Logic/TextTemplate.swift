/// How the text of a Gold document is made from a change.
///
/// `{name}` stands for a field; `[…]` is left out when a field inside it is empty; `\` takes the next character
/// literally. Fields: `title comment comment_verbatim user wiki domain type delta`, of which `comment` is ``CommentText``
/// from ``TransformSettings/CodeVersion/third`` on.
package struct TextTemplate: Sendable, Equatable {
    package enum Field: String, CaseIterable, Sendable {
        case title, comment, user, wiki, domain, type, delta
        /// The comment as it came, on one line.
        case commentVerbatim = "comment_verbatim"
    }

    /// A template is a flat list of these: followed for each document, it must not take references to be counted.
    private enum Step: Sendable, Equatable {
        /// Bytes of `literals`.
        case literal(Range<Int>)
        case field(Field)
        case beginOptional, endOptional
    }

    /// Why a template was refused.
    package struct Fault: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// The default: a sentence that names the page, says what was done, and by whom.
    package static let standard = "{title}[: {comment}]. {type} by {user} on {domain}[ ({delta} bytes)]."

    /// The template as it was written.
    package let source: String
    private let steps: [Step]
    private let literals: [UInt8]

    /// - Throws: ``Fault`` naming the unknown field or the unbalanced bracket and its position.
    package init(_ source: String) throws(Fault) {
        self.source = source
        var reader = Reader(characters: Array(source))
        try reader.read()
        steps = reader.steps
        literals = reader.literals
    }

    private struct Reader {
        let characters: [Character]
        var position = 0
        var steps: [Step] = []
        var literals: [UInt8] = []

        mutating func read() throws(Fault) {
            var isInOptional = false
            while position < characters.count {
                let character = characters[position]
                position += 1
                switch character {
                case "\\" where position < characters.count:
                    append(literal: characters[position])
                    position += 1
                case "{":
                    steps.append(.field(try field()))
                case "[" where !isInOptional:
                    isInOptional = true
                    steps.append(.beginOptional)
                case "[":
                    throw Fault(
                        description: "a [ inside […] at character \(position): write \\[ for the bracket itself")
                case "]" where isInOptional:
                    isInOptional = false
                    steps.append(.endOptional)
                case "]", "}":
                    throw Fault(description: "a \(character) without its opening at character \(position)")
                default:
                    append(literal: character)
                }
            }
            guard !isInOptional else { throw Fault(description: "a [ is not closed") }
        }

        mutating func append(literal character: Character) {
            var start = literals.count
            literals.append(contentsOf: character.utf8)
            if case .literal(let before) = steps.last {
                start = before.lowerBound
                steps.removeLast()
            }
            steps.append(.literal(start..<literals.count))
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
    /// - Parameters:
    ///   - tidiesJoints: whether ``TextJoints`` keeps punctuation from standing twice.
    ///   - value: appends a field's text, and appends nothing for an empty one.
    func render(to output: inout [UInt8], tidiesJoints: Bool = false, _ value: (Field, inout [UInt8]) -> Void) {
        literals.withUnsafeBufferPointer { literals in
            var optionalStart = 0
            var isComplete = true
            // Where the last field's text ended.
            var (fieldEnd, fieldEndBefore) = (-1, -1)
            for step in steps {
                switch step {
                case .literal(let range):
                    let literal = UnsafeBufferPointer(rebasing: literals[range])
                    if tidiesJoints && output.count == fieldEnd {
                        TextJoints.append(literal, behindField: &output)
                    } else {
                        output.append(contentsOf: literal)
                    }
                case .field(let field):
                    let start = output.count
                    value(field, &output)
                    if tidiesJoints { TextJoints.tidy(fieldFrom: start, in: &output) }
                    if output.count == start { isComplete = false } else { fieldEnd = output.count }
                case .beginOptional:
                    optionalStart = output.count
                    fieldEndBefore = fieldEnd
                    isComplete = true
                case .endOptional:
                    guard !isComplete else { continue }
                    output.removeLast(output.count - optionalStart)
                    fieldEnd = fieldEndBefore
                }
            }
        }
    }
}

/// Texts of a change as people read them: on one line, with runs of white space made single.
enum PlainText {
    /// Appends `text` with each run of ASCII white space and control characters folded to one space, none at the start.
    static func append(_ text: UnsafeBufferPointer<UInt8>, to output: inout [UInt8]) {
        output.appendRaw(upTo: text.count) { start in
            var line = Line(start: start)
            for byte in text { line.append(byte) }
            return line.count
        }
    }

    /// Appends the plain form of an edit summary: section marks and link brackets taken out.
    ///
    /// `/* History */ typo` becomes `History: typo`; `[[Rhine|the river]]` becomes `the river`.
    static func append(comment: UnsafeBufferPointer<UInt8>, to output: inout [UInt8]) {
        // What a section's end puts in is no longer than its mark, so the text never grows.
        output.appendRaw(upTo: comment.count) { start in
            var line = Line(start: start)
            var index = 0
            var isInSection = false
            // Where the text of the innermost open link began, to drop its target when a `|` follows.
            var linkStart: Int?
            while index < comment.count {
                let byte = comment[index]
                let next = index + 1 < comment.count ? comment[index + 1] : 0
                switch (byte, next) {
                case (UInt8(ascii: "/"), UInt8(ascii: "*")):
                    isInSection = true
                    index += 2
                case (UInt8(ascii: "*"), UInt8(ascii: "/")) where isInSection:
                    isInSection = false
                    index += 2
                    line.trim()
                    let hasMore = comment[index...].contains { $0 > 0x20 }
                    if hasMore && line.count > 0 {
                        line.append(UInt8(ascii: ":"))
                        line.append(0x20)
                    }
                case (UInt8(ascii: "["), UInt8(ascii: "[")):
                    linkStart = line.count
                    index += 2
                case (UInt8(ascii: "]"), UInt8(ascii: "]")):
                    linkStart = nil
                    index += 2
                case (UInt8(ascii: "|"), _) where linkStart != nil:
                    line.cut(to: linkStart ?? 0)
                    linkStart = nil
                    index += 1
                default:
                    line.append(byte)
                    index += 1
                }
            }
            line.trim()
            return line.count
        }
    }

    /// A text that is being written into room for all of it.
    private struct Line {
        let start: UnsafeMutablePointer<UInt8>
        private(set) var count = 0

        init(start: UnsafeMutablePointer<UInt8>) { self.start = start }

        /// Appends one byte, with runs of ASCII white space and control characters folded to one space.
        mutating func append(_ byte: UInt8) {
            if byte > 0x20 && byte != 0x7F {
                start[count] = byte
                count += 1
            } else if count > 0 && start[count - 1] != 0x20 {
                start[count] = 0x20
                count += 1
            }
        }

        mutating func cut(to place: Int) { count = min(count, place) }

        mutating func trim() {
            while count > 0 && start[count - 1] == 0x20 { count -= 1 }
        }
    }
}
