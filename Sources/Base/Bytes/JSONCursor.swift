/// A place in a JSON text. Recursion goes as deep as the text nests, `depthMax` at most.
struct JSONCursor {
    private let text: UnsafeRawBufferPointer
    private let depthMax: Int
    private var index = 0
    /// The name of a member that comes last and is not walked; nil where all are.
    private let last: StaticString?
    /// Where that one begins; nil where there is none.
    private(set) var lastStart: Int?

    init(_ text: UnsafeRawBufferPointer, depthMax: Int, last: StaticString? = nil) {
        self.text = text
        self.depthMax = depthMax
        self.last = last
    }

    /// The byte at hand; 0, which begins no token, at the end.
    var next: UInt8 { index < text.count ? text[index] : 0 }
    var isAtEnd: Bool { index == text.count }

    func fault(_ what: StaticString) -> JSONLineError { JSONLineError(what, at: index) }

    mutating func skipSpace() {
        while index < text.count {
            switch text[index] {
            case 0x20, 0x09, 0x0A, 0x0D: index += 1
            default: return
            }
        }
    }

    /// Reads a text that is an object and nothing else.
    mutating func wholeObject(_ body: (_ name: JSONSlice, _ value: JSONSlice) -> Void) throws(JSONLineError) {
        skipSpace()
        guard next == UInt8(ascii: "{") else { throw fault("no object") }
        try object(depth: 1, body)
        skipSpace()
        guard isAtEnd else { throw fault("something behind the object") }
    }

    /// The object that comes last, up to the brace that ends the text; nil where the member at hand is another one.
    private mutating func lastObject(_ name: JSONSlice, depth: Int) -> JSONSlice? {
        guard let last, depth == 1, next == UInt8(ascii: "{"), index + 3 <= text.count, name.equals(last),
            text[text.count - 1] == UInt8(ascii: "}"), text[text.count - 2] == UInt8(ascii: "}")
        else { return nil }
        let start = index
        lastStart = start
        index = text.count - 1
        return slice(.object, from: start)
    }

    /// Reads an object whose brace is at hand.
    mutating func object(
        depth: Int, _ body: (_ name: JSONSlice, _ value: JSONSlice) -> Void
    ) throws(JSONLineError) {
        guard depth <= depthMax else { throw fault("too deep a nesting") }
        index += 1
        skipSpace()
        if next == UInt8(ascii: "}") {
            index += 1
            return
        }
        while true {
            guard next == UInt8(ascii: "\"") else { throw fault("no member's name") }
            let name = try string()
            skipSpace()
            guard next == UInt8(ascii: ":") else { throw fault("no colon behind a member's name") }
            index += 1
            skipSpace()
            if let last = lastObject(name, depth: depth) {
                body(name, last)
            } else {
                body(name, try value(depth: depth))
            }
            skipSpace()
            switch next {
            case UInt8(ascii: ","): index += 1
            case UInt8(ascii: "}"):
                index += 1
                return
            default: throw fault("neither comma nor brace behind a member")
            }
            skipSpace()
        }
    }

    /// Reads an array whose bracket is at hand.
    mutating func array(depth: Int, _ body: (JSONSlice) -> Void) throws(JSONLineError) {
        guard depth <= depthMax else { throw fault("too deep a nesting") }
        index += 1
        skipSpace()
        if next == UInt8(ascii: "]") {
            index += 1
            return
        }
        while true {
            body(try value(depth: depth))
            skipSpace()
            switch next {
            case UInt8(ascii: ","): index += 1
            case UInt8(ascii: "]"):
                index += 1
                return
            default: throw fault("neither comma nor bracket behind an element")
            }
            skipSpace()
        }
    }

    /// - Parameter depth: of what the value stands in.
    private mutating func value(depth: Int) throws(JSONLineError) -> JSONSlice {
        let start = index
        switch next {
        case UInt8(ascii: "\""): return try string()
        case UInt8(ascii: "{"):
            try object(depth: depth + 1) { _, _ in }
            return slice(.object, from: start)
        case UInt8(ascii: "["):
            try array(depth: depth + 1) { _ in }
            return slice(.array, from: start)
        case UInt8(ascii: "t"):
            try literal("true")
            return slice(.bool, from: start)
        case UInt8(ascii: "f"):
            try literal("false")
            return slice(.bool, from: start)
        case UInt8(ascii: "n"):
            try literal("null")
            return slice(.null, from: start)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            try number()
            return slice(.number, from: start)
        default: throw fault("no value")
        }
    }

    private func slice(_ kind: JSONSlice.Kind, from start: Int, hasEscapes: Bool = false) -> JSONSlice {
        JSONSlice(kind: kind, bytes: UnsafeRawBufferPointer(rebasing: text[start..<index]), hasEscapes: hasEscapes)
    }

    private mutating func literal(_ word: StaticString) throws(JSONLineError) {
        let count = word.utf8CodeUnitCount
        guard index + count <= text.count else { throw fault("a word that JSON does not have") }
        for place in 0..<count where text[index + place] != word.utf8Start[place] {
            throw fault("a word that JSON does not have")
        }
        index += count
    }

    /// Reads a string whose quote is at hand.
    private mutating func string() throws(JSONLineError) -> JSONSlice {
        let start = index
        var hasEscapes = false
        index += 1
        while true {
            skipPlainText()
            switch next {
            case UInt8(ascii: "\""):
                index += 1
                return slice(.string, from: start, hasEscapes: hasEscapes)
            case UInt8(ascii: "\\"):
                hasEscapes = true
                try escape()
            default:
                throw isAtEnd ? fault("the end within a string") : fault("a control character within a string")
            }
        }
    }

    /// Goes to the next quote, backslash or control character.
    private mutating func skipPlainText() {
        guard let start = text.baseAddress else { return }
        while index + 8 <= text.count {
            let word = (start + index).loadUnaligned(as: UInt64.self)
            let special = JSONText.specialBytes(of: UInt64(littleEndian: word))
            guard special == 0 else {
                index += special.trailingZeroBitCount >> 3
                return
            }
            index += 8
        }
        while index < text.count {
            let byte = text[index]
            if byte < 0x20 || byte == 0x22 || byte == 0x5C { return }
            index += 1
        }
    }

    private mutating func escape() throws(JSONLineError) {
        guard index + 1 < text.count else { throw fault("the end within an escape") }
        switch text[index + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            index += 2
        case UInt8(ascii: "u"):
            guard let unit = Self.hexadecimal(text, at: index + 2) else {
                throw fault("an escape without four hexadecimal digits")
            }
            guard unit & 0xF800 == 0xD800 else {
                index += 6
                return
            }
            guard unit < 0xDC00, index + 7 < text.count, text[index + 6] == UInt8(ascii: "\\"),
                text[index + 7] == UInt8(ascii: "u"), let low = Self.hexadecimal(text, at: index + 8),
                low & 0xFC00 == 0xDC00
            else { throw fault("half a surrogate pair") }
            index += 12
        default: throw fault("an escape that JSON does not have")
        }
    }

    /// The value of four hexadecimal digits; nil where they are not there.
    static func hexadecimal(_ text: UnsafeRawBufferPointer, at start: Int) -> UInt32? {
        guard start + 4 <= text.count else { return nil }
        var value: UInt32 = 0
        for place in start..<start + 4 {
            let byte = text[place]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: return nil
            }
            value = value << 4 | UInt32(digit)
        }
        return value
    }

    private mutating func number() throws(JSONLineError) {
        let start = index
        if next == UInt8(ascii: "-") { index += 1 }
        let first = index
        guard digits() > 0 else { throw fault("a number without digits") }
        if text[first] == UInt8(ascii: "0"), index > first + 1 { throw fault("a number that begins with 0") }
        var isWhole = true
        if next == UInt8(ascii: ".") {
            isWhole = false
            index += 1
            guard digits() > 0 else { throw fault("a fraction without digits") }
        }
        if next | 0x20 == UInt8(ascii: "e") {
            isWhole = false
            index += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { index += 1 }
            guard digits() > 0 else { throw fault("an exponent without digits") }
        }
        let written = UnsafeRawBufferPointer(rebasing: text[start..<index])
        guard isWhole ? DecimalText.fits64Bits(written) : DecimalText.isFinite(written) else {
            throw fault("a number that is too large")
        }
    }

    private mutating func digits() -> Int {
        let start = index
        while index < text.count, text[index] >= 0x30, text[index] <= 0x39 { index += 1 }
        return index - start
    }
}
