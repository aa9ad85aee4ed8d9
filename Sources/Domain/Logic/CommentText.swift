import Bytes

/// An edit summary as people read it: `comment_text` of Silver, and what the text of a Gold document is made of; from
/// ``TransformSettings/CodeVersion/third`` on.
///
/// Wiki markup, HTML and MediaWiki's marks give way to the words in them, Wikibase's automatic summaries become words. One
/// pass over UTF-8: what it looks ahead is bounded or remembered, so that the time is linear whatever the text, and it
/// allocates nothing. Markup that is not closed loses its marks and keeps its words. What entities stand for is text, not
/// markup.
enum CommentText {
    /// How many bytes longer than the comment its text may be: by the words of one automatic summary.
    static let growthMax = 64

    /// Whether the comment is its own text, as most are.
    static func isPlain(_ comment: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let source = comment.baseAddress, let first = comment.first, let last = comment.last else { return true }
        // E2 begins the arrows that are taken from the front, and punctuation may be all there is.
        guard first > 0x20, last > 0x20, first != 0xE2, first != UInt8(ascii: "."), !isSeparator(first) else {
            return false
        }
        return CommentMarks.next(in: source, from: 0, to: comment.count) == comment.count
    }

    /// Appends the comment's text.
    static func append(_ comment: UnsafeBufferPointer<UInt8>, to output: inout [UInt8]) {
        guard let source = comment.baseAddress, comment.count > 0 else { return }
        output.appendRaw(upTo: comment.count + growthMax) { start in
            var reader = CommentReader(
                CommentBytes(source: source, count: comment.count), line: CleanLine(start: start))
            return reader.read()
        }
    }

    private static func isSeparator(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ":") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: ";")
    }
}

/// The bytes at which a comment's reader has something to do.
enum CommentMarks {
    // The bits of the ASCII characters: controls and & ' * < = in the first, [ ] { | } ~ and DEL in the second.
    private static let low: UInt64 = 0x3000_04C0_FFFF_FFFF
    private static let high: UInt64 = 0xF800_0000_2800_0000

    /// The place of the next mark, control character or space before another one; `end` where there is none.
    @inline(__always)
    static func next(in source: UnsafePointer<UInt8>, from begin: Int, to end: Int) -> Int {
        var index = begin
        // Eight bytes and the one behind them at a time.
        while index + 9 <= end {
            let place = UnsafeRawPointer(source + index)
            let found = marks(
                in: UInt64(littleEndian: place.loadUnaligned(as: UInt64.self)),
                before: UInt64(littleEndian: place.loadUnaligned(fromByteOffset: 1, as: UInt64.self)))
            if found != 0 { return index + found.trailingZeroBitCount >> 3 }
            index += 8
        }
        while index < end {
            let byte = source[index]
            if isMark(byte) || (byte == 0x20 && index + 1 < end && source[index + 1] == 0x20) { return index }
            index += 1
        }
        return end
    }

    /// The high bit of bytes that are marks: exact up to the first of them, which is in the lowest byte that is set
    /// (https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord).
    @inline(__always)
    private static func marks(in word: UInt64, before next: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        func zeros(_ word: UInt64) -> UInt64 { (word &- ones) & ~word }
        let lower = word | (ones &* 0x20)
        let odd = word | ones
        // [ and {, ] and }; & and ', < and =, ~ and DEL.
        let pairs =
            zeros(lower ^ (ones &* 0x7B)) | zeros(lower ^ (ones &* 0x7D)) | zeros(odd ^ (ones &* 0x27))
            | zeros(odd ^ (ones &* 0x3D)) | zeros(odd ^ (ones &* 0x7F))
        let single = zeros(word ^ (ones &* 0x2A)) | zeros(word ^ (ones &* 0x7C))
        let white = ((word &- ones &* 0x20) & ~word) | zeros((word ^ (ones &* 0x20)) | (next ^ (ones &* 0x20)))
        return (pairs | single | white) & (ones &* 0x80)
    }

    private static func isMark(_ byte: UInt8) -> Bool {
        byte < 0x80 && (byte < 0x40 ? low : high) >> UInt64(byte & 0x3F) & 1 != 0
    }
}

/// The bytes of one comment.
struct CommentBytes {
    let source: UnsafePointer<UInt8>
    let count: Int

    /// The byte at `place`, or 0 behind the end.
    func byte(_ place: Int) -> UInt8 { place < count ? source[place] : 0 }

    /// Whether `text`, which is in lower case, stands at `place` with ASCII letters of either case.
    func stands(_ text: StaticString, at place: Int) -> Bool {
        guard place + text.utf8CodeUnitCount <= count else { return false }
        for offset in 0..<text.utf8CodeUnitCount {
            var byte = source[place + offset]
            if byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") { byte |= 0x20 }
            if byte != text.utf8Start[offset] { return false }
        }
        return true
    }

    /// How many of the byte at `place` follow each other.
    func run(at place: Int) -> Int {
        var end = place + 1
        while end < count && source[end] == source[place] { end += 1 }
        return end - place
    }
}

/// Reads one comment and writes its text.
struct CommentReader {
    /// A bracket that was opened.
    struct Opening {
        enum Kind {
            case link, labelledLink, category, sortKey, externalLink, template
        }
        var kind = Kind.link
        /// Where the text of the link, or of the template's parameter, begins in the line.
        var start: Int32 = 0
    }

    /// Where something stands next, so that looking for it takes one pass over the comment however often it is asked for.
    struct Sight {
        private var place = -1

        mutating func next(_ text: StaticString, in bytes: CommentBytes, from begin: Int) -> Int? {
            if place < begin {
                place = begin
                while place < bytes.count && !bytes.stands(text, at: place) { place += 1 }
                if place >= bytes.count { place = .max }
            }
            return place == .max ? nil : place
        }
    }

    /// Brackets inside brackets are followed so deep; further ones lose their marks and keep their words.
    private static let depthMax = 16

    let bytes: CommentBytes
    var line: CleanLine
    /// How far the comment was read.
    var index = 0
    private var isInSection = false
    private var sectionStart = 0
    /// The end of the last mark: what comes after it was copied.
    private var markEnd = 0
    /// Single brackets that were copied and not closed yet.
    var plainBrackets = 0
    private(set) var depth = 0
    private var openings = InlineArray<16, Opening>(repeating: Opening())
    var bracketEnds = Sight()
    var commentEnds = Sight()
    var referenceEnds = Sight()

    init(_ bytes: CommentBytes, line: CleanLine) {
        self.bytes = bytes
        self.line = line
    }

    /// - Returns: bytes written.
    mutating func read() -> Int {
        if let end = WikibaseSummary.write(bytes, to: &line) {
            index = end
            markEnd = end
            line.joint()
        }
        while index < bytes.count {
            if line.count == 0 { skipArrows() }
            let end = CommentMarks.next(in: bytes.source, from: index, to: bytes.count)
            if end > index {
                line.append(bytes.source + index, end - index)
                index = end
            }
            guard index < bytes.count else { break }
            readMark(byte(index))
            markEnd = index
        }
        line.finish()
        return line.count
    }

    func byte(_ place: Int) -> UInt8 { bytes.byte(place) }

    /// How many of the byte at ``index`` follow each other.
    func run() -> Int { bytes.run(at: index) }

    /// Copies the byte at `index`.
    mutating func copy() {
        line.append(byte(index))
        index += 1
    }

    mutating func push(_ kind: Opening.Kind) {
        guard depth < Self.depthMax else { return }
        openings[depth] = Opening(kind: kind, start: Int32(line.count))
        depth += 1
    }

    /// The innermost opening; there must be one.
    var top: Opening {
        get { openings[depth - 1] }
        set { openings[depth - 1] = newValue }
    }

    /// Closes the innermost opening that `matches`, and all inside it.
    mutating func pop(_ matches: (Opening.Kind) -> Bool) -> Opening? {
        var place = depth
        while place > 0 {
            place -= 1
            if matches(openings[place].kind) {
                depth = place
                return openings[place]
            }
        }
        return nil
    }

    private mutating func readMark(_ mark: UInt8) {
        switch mark {
        case UInt8(ascii: "*"): readStar()
        case UInt8(ascii: "'"): readApostrophes()
        case UInt8(ascii: "["): openBracket()
        case UInt8(ascii: "]"): closeBracket()
        case UInt8(ascii: "{"): openBrace()
        case UInt8(ascii: "}"): closeBrace()
        case UInt8(ascii: "|"): readBar()
        case UInt8(ascii: "<"): readTag()
        case UInt8(ascii: "&"):
            if let (scalar, length) = CharacterEntities.scalar(at: index, in: bytes) {
                line.append(scalar: scalar)
                index += length
            } else {
                copy()
            }
        case UInt8(ascii: "="):
            // Two and more are the marks of a heading.
            let length = run()
            if length == 1 { return copy() }
            line.spaceAfterWord()
            index += length
        case UInt8(ascii: "~"):
            // Three to five are a signature.
            let length = run()
            if !(3...5).contains(length) { line.append(bytes.source + index, length) }
            index += length
        default:
            line.space()
            index += 1
        }
    }

    /// Takes off what MediaWiki puts before summaries of its own: `←`, `→` with a direction mark behind it.
    private mutating func skipArrows() {
        while index < bytes.count {
            if byte(index) == 0x20 {
                index += 1
            } else if byte(index) == 0xE2 {
                switch (byte(index + 1), byte(index + 2)) {
                case (0x86, 0x90), (0x86, 0x92), (0x80, 0x8E), (0x80, 0x8F): index += 3
                default: return
                }
            } else {
                return
            }
        }
    }

    /// `/* Section */`: its slash was copied already.
    private mutating func readStar() {
        if index > markEnd && byte(index - 1) == UInt8(ascii: "/") {
            line.removeLast()
            sectionStart = line.count
            isInSection = true
            index += 1
        } else if isInSection && byte(index + 1) == UInt8(ascii: "/") {
            isInSection = false
            if line.count > sectionStart { line.joint() } else { line.space() }
            index += 2
        } else {
            copy()
        }
    }

    /// Italics are two, bold is three, both are five; what is left over are apostrophes.
    private mutating func readApostrophes() {
        let length = run()
        let kept =
            switch length {
            case 1, 4: 1
            case 2, 3, 5: 0
            default: length - 5
            }
        if kept > 0 { line.append(bytes.source + index, kept) }
        index += length
    }
}
