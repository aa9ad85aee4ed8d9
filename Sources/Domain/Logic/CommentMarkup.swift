// Links, templates and tags of a comment.
extension CommentReader {
    /// Page titles are shorter.
    private static let targetBytesMax = 255
    private static let addressBytesMax = 2_048
    /// The namespace of categories in some languages, with ASCII letters in lower case.
    private static let categories: [StaticString] = [
        "category:", "kategorie:", "cat\u{E9}gorie:", "categor\u{ED}a:", "categoria:", "categorie:", "kategori:",
        "kategoria:",
        "\u{41A}атегория:",
    ]
    private static let tagBytesMax = 512

    mutating func openBracket() {
        if byte(index + 1) == UInt8(ascii: "[") {
            let isLink = isLink(at: index + 2)
            index += 2
            let isCategory = Self.categories.contains { bytes.stands($0, at: index) }
            if byte(index) == UInt8(ascii: ":") { index += 1 }
            guard isLink else { return }
            line.settle()
            push(isCategory ? .category : .link)
        } else if let end = addressEnd(from: index + 1) {
            if byte(end) == UInt8(ascii: "]") {
                line.append(bytes.source + index + 1, end - index - 1)
                index = end + 1
            } else if bracketEnds.next("]", in: bytes, from: end) != nil {
                line.settle()
                push(.externalLink)
                index = end
            } else {
                copy()
            }
        } else {
            plainBrackets += 1
            copy()
        }
    }

    mutating func closeBracket() {
        let isDouble = byte(index + 1) == UInt8(ascii: "]")
        if isDouble, let link = pop({ $0 != .externalLink && $0 != .template }) {
            switch link.kind {
            case .link, .category: tidyTarget(from: Int(link.start))
            case .sortKey: line.cut(to: Int(link.start))
            default: break
            }
            index += 2
        } else if pop({ $0 == .externalLink }) != nil {
            index += 1
        } else if plainBrackets > 0 || !isDouble {
            plainBrackets = max(0, plainBrackets - 1)
            copy()
        } else {
            index += 2
        }
    }

    /// Templates are named in summaries more often than used: the name and the parameters are what is read.
    mutating func openBrace() {
        let length = run()
        guard length > 1 else { return copy() }
        index += length
        if bytes.stands("safe", at: index), bytes.stands("subst:", at: index + 4) { index += 4 }
        if bytes.stands("subst:", at: index) { index += 6 }
        line.spaceAfterWord()
        for _ in 0..<min(length / 2, 16) { push(.template) }
    }

    mutating func closeBrace() {
        let length = run()
        guard length > 1 else { return copy() }
        for _ in 0..<min(length / 2, 16) {
            guard let template = pop({ $0 == .template }) else { break }
            dropEmptyParameter(from: Int(template.start))
        }
        index += length
        if CleanLine.beginsWord(byte(index)) { line.space() }
    }

    /// Of a link the last part is shown, of a template all.
    mutating func readBar() {
        guard depth > 0 else { return copy() }
        switch top.kind {
        case .link, .labelledLink:
            // `[[Target|]]` has no label: the target is shown.
            if byte(index + 1) != UInt8(ascii: "]") || byte(index + 2) != UInt8(ascii: "]") {
                line.cut(to: Int(top.start))
                top.kind = .labelledLink
            }
            index += 1
        case .category, .sortKey:
            // What stands behind a category's name sorts the page in it, and is not shown.
            if top.kind == .category {
                top.kind = .sortKey
                top.start = Int32(line.count)
            }
            line.space()
            index += 1
        case .template:
            dropEmptyParameter(from: Int(top.start))
            line.space()
            top.start = Int32(line.count)
            index += 1
        case .externalLink: copy()
        }
    }

    mutating func readTag() {
        if bytes.stands("<!--", at: index) {
            line.space()
            index = commentEnds.next("-->", in: bytes, from: index + 4).map { $0 + 3 } ?? index + 4
            return
        }
        guard let tag = HTMLTag(at: index, in: bytes, bytesMax: Self.tagBytesMax) else { return copy() }
        if tag.isReference && !tag.isClosed {
            // One that is not closed is what the comment is about, or was cut off.
            guard let end = referenceEnds.next("</ref", in: bytes, from: tag.end) else { return copy() }
            index = HTMLTag(at: end, in: bytes, bytesMax: Self.tagBytesMax)?.end ?? end + 5
        } else {
            if tag.breaksLine { line.space() }
            index = tag.end
        }
    }

    /// Whether a target begins here that ends at `|` or `]]`.
    private func isLink(at begin: Int) -> Bool {
        for place in begin..<max(begin, min(bytes.count, begin + Self.targetBytesMax + 1)) {
            switch bytes.source[place] {
            case UInt8(ascii: "|"): return true
            case UInt8(ascii: "]"): return byte(place + 1) == UInt8(ascii: "]")
            case UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "<"), UInt8(ascii: ">"),
                0..<0x20:
                return false
            default: continue
            }
        }
        return false
    }

    /// The end of a web address that begins here and ends at a space or `]`.
    private func addressEnd(from begin: Int) -> Int? {
        guard bytes.stands("http://", at: begin) || bytes.stands("https://", at: begin) || bytes.stands("//", at: begin)
        else { return nil }
        for place in begin..<min(bytes.count, begin + Self.addressBytesMax) {
            switch bytes.source[place] {
            case UInt8(ascii: "]"), 0x20: return place
            case UInt8(ascii: "["), UInt8(ascii: "<"), UInt8(ascii: ">"), 0..<0x20, 0x7F: return nil
            default: continue
            }
        }
        return nil
    }

    /// Takes back `name =` of a parameter without a value.
    private mutating func dropEmptyParameter(from start: Int) {
        if line.count > start && line.last == UInt8(ascii: "=") { line.cut(to: start) }
    }

    /// Makes the target of a link that has no label readable: spaces for `_`, `P31` for `Property:P31` and
    /// `d:Special:EntityPage/P31`.
    private mutating func tidyTarget(from start: Int) {
        line.replaceUnderscores(from: start)
        let target = line.written(from: start)
        var digits = target.count
        while digits > 0 && (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(target[digits - 1]) { digits -= 1 }
        guard digits < target.count, digits > 1 else { return }
        let prefix = UnsafeBufferPointer(rebasing: target[..<(digits - 1)])
        let names =
            switch target[digits - 1] {
            case UInt8(ascii: "P"): Self.endsIn("Property:", prefix)
            case UInt8(ascii: "L"): Self.endsIn("Lexeme:", prefix)
            case UInt8(ascii: "Q"): Self.endsIn("Item:", prefix)
            default: false
            }
        if names || Self.endsIn("Special:EntityPage/", prefix) { line.remove(digits - 1, at: start) }
    }

    private static func endsIn(_ text: StaticString, _ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        bytes.count >= text.utf8CodeUnitCount
            && bytes.suffix(text.utf8CodeUnitCount).elementsEqual(
                UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}

/// A tag of HTML or of a MediaWiki extension, as it stands in a comment.
struct HTMLTag {
    /// The place behind `>`.
    let end: Int
    /// Whether it is `<…/>` or `</…>`.
    let isClosed: Bool
    /// Whether words on its two sides are apart.
    let breaksLine: Bool
    /// Whether it is `<ref>`, whose content is no prose.
    let isReference: Bool

    private static let nameBytesMax = 16

    /// Only names that are known are tags: `<your name here>` is text.
    init?(at index: Int, in bytes: CommentBytes, bytesMax: Int) {
        var place = index + 1
        let isEnd = bytes.byte(place) == UInt8(ascii: "/")
        if isEnd { place += 1 }
        var name: UInt64 = 0
        let nameStart = place
        while place - nameStart < Self.nameBytesMax, let letter = Self.nameByte(bytes.byte(place)) {
            // Eight letters tell all known names apart.
            if place - nameStart < 8 { name = name << 8 | UInt64(letter) }
            place += 1
        }
        guard place > nameStart, let breaksLine = Self.known[name] else { return nil }
        switch bytes.byte(place) {
        case UInt8(ascii: ">"), UInt8(ascii: "/"), 0x20: break
        default: return nil
        }
        let limit = min(bytes.count, index + bytesMax)
        while place < limit && bytes.byte(place) != UInt8(ascii: ">") {
            if bytes.byte(place) == UInt8(ascii: "<") { return nil }
            place += 1
        }
        guard place < limit else { return nil }
        end = place + 1
        isClosed = isEnd || bytes.byte(place - 1) == UInt8(ascii: "/")
        self.breaksLine = breaksLine
        isReference = name == Self.packed("ref")
    }

    private static func nameByte(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        default: nil
        }
    }

    private static func packed(_ name: some StringProtocol) -> UInt64 {
        name.utf8.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// By the first eight letters of the name, whether the tag breaks the line.
    private static let known: [UInt64: Bool] = {
        let breaking = """
            br p div ul ol li dl dt dd table caption tr td th tbody thead hr h1 h2 h3 h4 h5 h6 blockquote pre center gallery \
            poem references
            """
        let inline = """
            a abbr b bdi bdo big button ce chem cite code data del dfn em font form graph hiero i iframe imagemap img \
            includeonly indicator input inputbox ins kbd languages mapframe maplink mark math noinclude nowiki onlyinclude q \
            rb ref rp rt ruby s samp score script section small source span strike strong style sub sup svg \
            syntaxhighlight templatedata templatestyles time timeline translate tt tvar u var video wbr
            """
        var known: [UInt64: Bool] = [:]
        for name in breaking.split(separator: " ") { known[packed(name)] = true }
        for name in inline.split(separator: " ") { known[packed(name)] = false }
        return known
    }()
}
