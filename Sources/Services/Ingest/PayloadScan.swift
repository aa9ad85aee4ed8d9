import Bytes

/// What the producer wants to know of an event's JSON; nothing of it decides whether the event is sent.
package struct PayloadScan: Equatable {
    /// `wiki:title`, UTF-8, escapes resolved; nil where either is missing or not a string, or both are longer than
    /// any real one.
    package var key: [UInt8]?
    /// Longest wiki and title together, in bytes; a title has at most 255.
    private static let keyBytesMax = 4_096
    /// `meta.dt` in milliseconds since 1970.
    package var eventTimeMilliseconds: Int64?

    /// Walks over the text once without building anything. It trusts that the text is JSON: what is not gives some
    /// result, usually none; the judgement is the stream job's.
    package init(_ json: UnsafeRawBufferPointer) {
        var scanner = Scanner(json: json)
        guard scanner.run() else { return }
        eventTimeMilliseconds = scanner.eventTime.flatMap { text in
            text.withMemoryRebound(to: UInt8.self) { CivilTime.epochMilliseconds(rfc3339: $0) }
        }
        if let wiki = scanner.wiki, let title = scanner.title, wiki.count + title.count <= Self.keyBytesMax {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(wiki.count + 1 + title.count)
            if Self.unescape(wiki, to: &bytes) {
                bytes.append(UInt8(ascii: ":"))
                if Self.unescape(title, to: &bytes) { key = bytes }
            }
        }
    }

    /// Appends the text of a JSON string without its quotes; false where an escape is broken.
    private static func unescape(_ text: UnsafeRawBufferPointer, to bytes: inout [UInt8]) -> Bool {
        var index = 0
        while index < text.count {
            let byte = text[index]
            index += 1
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            guard index < text.count else { return false }
            let escape = text[index]
            index += 1
            switch escape {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(escape)
            case UInt8(ascii: "b"): bytes.append(0x08)
            case UInt8(ascii: "f"): bytes.append(0x0C)
            case UInt8(ascii: "n"): bytes.append(0x0A)
            case UInt8(ascii: "r"): bytes.append(0x0D)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "u"):
                guard let scalar = codePoint(text, &index) else { return false }
                bytes.append(contentsOf: Character(scalar).utf8)
            default: return false
            }
        }
        return true
    }

    /// Reads the digits after `\u`, and those of a second escape where they are a surrogate pair.
    private static func codePoint(_ text: UnsafeRawBufferPointer, _ index: inout Int) -> Unicode.Scalar? {
        guard let high = hexadecimal(text, &index) else { return nil }
        guard (0xD800..<0xDC00).contains(high) else { return Unicode.Scalar(high) }
        guard index + 1 < text.count, text[index] == UInt8(ascii: "\\"), text[index + 1] == UInt8(ascii: "u") else {
            return nil
        }
        index += 2
        guard let low = hexadecimal(text, &index), (0xDC00..<0xE000).contains(low) else { return nil }
        return Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
    }

    private static func hexadecimal(_ text: UnsafeRawBufferPointer, _ index: inout Int) -> UInt32? {
        guard index + 4 <= text.count, let bytes = Hex.bytes(text[index..<index + 4]) else { return nil }
        index += 4
        return UInt32(bytes[0]) << 8 | UInt32(bytes[1])
    }
}

/// Walks over the members of the outermost object and of `meta`.
private struct Scanner {
    let json: UnsafeRawBufferPointer
    var position = 0
    var wiki: UnsafeRawBufferPointer?
    var title: UnsafeRawBufferPointer?
    var eventTime: UnsafeRawBufferPointer?

    init(json: UnsafeRawBufferPointer) {
        self.json = json
    }

    /// False where the text ends early or does not begin as an object.
    mutating func run() -> Bool {
        skipBlanks()
        guard position < json.count, json[position] == UInt8(ascii: "{") else { return false }
        var depth = 0
        var isInMeta = false
        while position < json.count {
            switch json[position] {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                position += 1
                if depth <= 1 { isInMeta = false }
                if depth == 0 { return true }
            case UInt8(ascii: "\""):
                guard let name = string() else { return false }
                guard depth == 1 || (depth == 2 && isInMeta) else { continue }
                skipBlanks()
                guard position < json.count, json[position] == UInt8(ascii: ":") else { continue }
                position += 1
                skipBlanks()
                guard position < json.count else { return false }
                if depth == 1 && json[position] == UInt8(ascii: "{") {
                    isInMeta = name.elementsEqual("meta".utf8)
                } else if json[position] == UInt8(ascii: "\"") {
                    guard let value = string() else { return false }
                    note(name, value, depth: depth)
                }
            default: position += 1
            }
        }
        return false
    }

    private mutating func note(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, depth: Int) {
        if depth == 2 {
            if name.elementsEqual("dt".utf8) { eventTime = value }
        } else if name.elementsEqual("wiki".utf8) {
            wiki = value
        } else if name.elementsEqual("title".utf8) {
            title = value
        }
    }

    /// What stands between the quote here and its partner; nil where there is none.
    private mutating func string() -> UnsafeRawBufferPointer? {
        let start = position + 1
        var end = start
        while end < json.count {
            let byte = json[end]
            if byte == UInt8(ascii: "\"") {
                position = end + 1
                return UnsafeRawBufferPointer(rebasing: json[start..<end])
            }
            end += byte == UInt8(ascii: "\\") ? 2 : 1
        }
        return nil
    }

    private mutating func skipBlanks() {
        while position < json.count, [0x20, 0x09, 0x0A, 0x0D].contains(json[position]) { position += 1 }
    }
}
