import Bytes

/// One page of `ListObjectsV2`.
struct ListPage {
    private(set) var objects: [ObjectSummary] = []
    /// Where the next page begins; nil on the last.
    let nextToken: String?

    /// Nil where the bytes are no listing.
    init?(_ body: [UInt8]) {
        let text = String(decoding: body, as: UTF8.self)
        guard text.contains("<ListBucketResult") else { return nil }
        var rest = text[...]
        while let entry = MarkupText.element("Contents", in: rest) {
            rest = text[entry.endIndex...]
            guard let key = MarkupText.element("Key", in: entry), let size = MarkupText.element("Size", in: entry),
                let bytes = Int(size), let decoded = URLText.decoded(MarkupText.plain(key))
            else { return nil }
            objects.append(ObjectSummary(key: decoded, bytes: bytes))
        }
        let isTruncated = MarkupText.element("IsTruncated", in: text[...]) == "true"
        let token = MarkupText.element("NextContinuationToken", in: text[...]).map(MarkupText.plain)
        if isTruncated && token == nil { return nil }
        nextToken = isTruncated ? token : nil
    }
}

/// One page of `ListObjectVersions`.
struct VersionPage {
    private(set) var versions: [(key: String, version: ObjectVersion)] = []
    /// Where the next page begins; nil on the last.
    let next: (key: String, version: String)?

    /// Nil where the bytes are no such listing.
    init?(_ body: [UInt8]) {
        let text = String(decoding: body, as: UTF8.self)
        guard text.contains("<ListVersionsResult") else { return nil }
        for (name, isDeletion) in [("Version", false), ("DeleteMarker", true)] {
            var rest = text[...]
            while let entry = MarkupText.element(name, in: rest) {
                rest = text[entry.endIndex...]
                guard let key = MarkupText.element("Key", in: entry).flatMap({ URLText.decoded(MarkupText.plain($0)) }),
                    let id = MarkupText.element("VersionId", in: entry)
                else { return nil }
                let isLatest = MarkupText.element("IsLatest", in: entry) == "true"
                versions.append(
                    (key, ObjectVersion(id: MarkupText.plain(id), isLatest: isLatest, isDeletion: isDeletion)))
            }
        }
        guard MarkupText.element("IsTruncated", in: text[...]) == "true" else {
            next = nil
            return
        }
        guard let key = MarkupText.element("NextKeyMarker", in: text[...]),
            let decoded = URLText.decoded(MarkupText.plain(key))
        else { return nil }
        next = (decoded, MarkupText.element("NextVersionIdMarker", in: text[...]).map(MarkupText.plain) ?? "")
    }
}

/// What an error's body says.
enum ErrorReply {
    private static let messageCharactersMax = 300

    /// S3's word, such as `NoSuchKey`; empty where there is none.
    static func code(_ body: [UInt8]) -> String {
        let text = String(decoding: body.prefix(65_536), as: UTF8.self)
        return MarkupText.element("Code", in: text[...]).map(MarkupText.plain) ?? ""
    }

    /// The sentence for people; of something else than S3's form its start, on one line.
    static func message(_ body: [UInt8]) -> String {
        let text = String(decoding: body.prefix(65_536), as: UTF8.self)
        let message = MarkupText.element("Message", in: text[...]).map(MarkupText.plain) ?? text
        return String(message.prefix(messageCharactersMax).filter { !$0.isNewline })
    }
}

/// As much XML as S3's replies need: elements that hold text or further elements, without attributes that matter.
enum MarkupText {
    /// The content of the first element of that name.
    static func element(_ name: String, in text: Substring) -> Substring? {
        guard let open = text.firstRange(of: "<\(name)>") else { return nil }
        let rest = text[open.upperBound...]
        guard let close = rest.firstRange(of: "</\(name)>") else { return nil }
        return rest[..<close.lowerBound]
    }

    /// Without the five entities that XML declares, and character numbers.
    static func plain(_ text: Substring) -> String {
        guard text.contains("&") else { return String(text) }
        var result = ""
        var rest = text
        while let ampersand = rest.firstIndex(of: "&"), let end = rest[ampersand...].firstIndex(of: ";") {
            result += rest[..<ampersand]
            let name = rest[rest.index(after: ampersand)..<end]
            result += character(name) ?? "&\(name);"
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }

    private static func character(_ name: Substring) -> String? {
        switch name {
        case "amp": return "&"
        case "lt": return "<"
        case "gt": return ">"
        case "quot": return "\""
        case "apos": return "'"
        default:
            guard name.hasPrefix("#") else { return nil }
            let digits = name.dropFirst()
            let number = digits.hasPrefix("x") ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
            return number.flatMap(Unicode.Scalar.init).map { String(Character($0)) }
        }
    }
}

/// Percent-encoding as AWS' signature wants it: all but letters, digits, `-`, `.`, `_`, `~`, in upper case.
enum URLText {
    private static let digits = Array("0123456789ABCDEF".utf8)

    static func encoded(_ text: String, keepsSlash: Bool = false) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            case UInt8(ascii: "/") where keepsSlash: bytes.append(byte)
            default:
                bytes.append(UInt8(ascii: "%"))
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 15)])
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Nil where a percent sign has no two digits.
    static func decoded(_ text: String) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                guard let value = Hex.bytes(rest.prefix(2)), value.count == 1 else { return nil }
                bytes.append(value[0])
                rest = rest.dropFirst(2)
            } else {
                // The form of HTML forms, which storages use here.
                bytes.append(byte == UInt8(ascii: "+") ? 0x20 : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
