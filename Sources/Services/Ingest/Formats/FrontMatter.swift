/// What stands at the head of a Markdown or text file between two lines `---`: lines `key: value`. Of YAML that is all that is
/// read; lists, objects and texts of several lines are passed by.
struct FrontMatter {
    /// In their order; a later one of the same name is passed by.
    private(set) var members: [(name: String, value: String)] = []
    /// What comes behind it.
    private(set) var rest: Substring

    private static let bytesMax = 65_536
    private static let membersMax = 100
    private static let nameBytesMax = 63
    private static let valueBytesMax = 4_096

    init(_ text: String) {
        rest = text[...]
        guard let first = Self.line(rest), first.line == "---" else { return }
        var place = first.rest
        var found: [(name: String, value: String)] = []
        while let next = Self.line(place) {
            guard text.utf8.distance(from: text.startIndex, to: place.startIndex) <= Self.bytesMax else { return }
            place = next.rest
            if next.line == "---" || next.line == "..." {
                (members, rest) = (found, place)
                return
            }
            guard found.count < Self.membersMax, let member = Self.member(next.line) else { continue }
            if !found.contains(where: { $0.name == member.name }) { found.append(member) }
        }
        // Nothing closes it: a line is drawn there, and what follows is text.
    }

    subscript(_ name: String) -> String? { members.first { $0.name == name }?.value }

    /// The first line without its end, and what comes behind; nil where there is none.
    private static func line(_ text: Substring) -> (line: Substring, rest: Substring)? {
        guard !text.isEmpty else { return nil }
        guard let end = text.utf8.firstIndex(of: 0x0A) else { return (trimmed(text), text[text.endIndex...]) }
        return (trimmed(text[..<end]), text[text.utf8.index(after: end)...])
    }

    private static func trimmed(_ line: Substring) -> Substring {
        var line = line
        while let last = line.utf8.last, last == 0x20 || last == 0x09 || last == 0x0D {
            line = line[..<line.utf8.index(before: line.endIndex)]
        }
        return line
    }

    private static func member(_ line: Substring) -> (name: String, value: String)? {
        guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let name = line[..<colon]
        let isName =
            !name.isEmpty && name.utf8.count <= nameBytesMax
            && name.utf8.allSatisfy { byte in
                byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z") || byte == UInt8(ascii: "_")
                    || byte == UInt8(ascii: "-") || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
            }
        guard isName else { return nil }
        var value = line[line.utf8.index(after: colon)...]
        while let first = value.utf8.first, first == 0x20 || first == 0x09 { value = value.dropFirst() }
        guard let first = value.utf8.first, value.utf8.count <= valueBytesMax else { return nil }
        if first == UInt8(ascii: "\"") || first == UInt8(ascii: "'") {
            guard value.utf8.count >= 2, value.utf8.last == first else { return nil }
            return (String(name), String(value.dropFirst().dropLast()))
        }
        // Lists, objects, texts of several lines, references, tags, comments.
        guard !"[{|>&*!#%@`".utf8.contains(first) else { return nil }
        return (String(name), String(value))
    }
}
