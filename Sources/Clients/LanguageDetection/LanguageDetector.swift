import CCLD2

/// Finds the language of a text, by CLD2. A pure function of the text and of the library's tables; any thread may call it.
package enum LanguageDetector {
    /// A language that was found.
    package struct Finding: Equatable, Sendable {
        /// ISO 639 code, without region or script, as `lang` holds it elsewhere.
        package let code: String
        /// The library is sure, and most of the text is in this language. What is not reliable is better taken for unknown.
        package let isReliable: Bool
    }

    /// More of a text than this is not looked at, bytes: some ten pages tell its language as well as all of it.
    package static let bytesMax = 16_384

    /// The library's version and the date of its tables: another one may find other languages.
    package static var version: String { cld_version().map { String(cString: $0) } ?? "" }

    /// The language of plain text in UTF-8; nil where none is found, as in very short texts, and where it is no UTF-8. Some 20 µs
    /// for a sentence.
    package static func detect(_ text: [UInt8]) -> Finding? {
        text.withUnsafeBufferPointer { detect(utf8: $0) }
    }

    /// The language of plain text; nil where none is found, as in very short texts.
    package static func detect(_ text: String) -> Finding? {
        var text = text
        return text.withUTF8 { detect(utf8: $0) }
    }

    private static func detect(utf8 text: UnsafeBufferPointer<UInt8>) -> Finding? {
        guard let start = text.baseAddress, !text.isEmpty else { return nil }
        var result = cld_result()
        guard cld_detect(start, wholeCharacters(of: text), &result) != 0, let found = result.code else { return nil }
        guard let code = canonical(String(cString: found)) else { return nil }
        return Finding(code: code, isReliable: result.is_reliable != 0 && result.percent > 50)
    }

    /// How many of the first ``bytesMax`` bytes are whole characters.
    private static func wholeCharacters(of text: UnsafeBufferPointer<UInt8>) -> Int {
        guard text.count > bytesMax else { return text.count }
        var end = bytesMax
        // A character begins at most three bytes before the byte that follows.
        while end > bytesMax - 4, text[end] & 0xc0 == 0x80 { end -= 1 }
        return end
    }

    /// The library's code as others write it; nil where it names a script and no language, or a joke.
    static func canonical(_ code: String) -> String? {
        let language = code.prefix { $0 != "-" }
        switch language {
        case "iw": return "he"
        case "jw": return "jv"
        case "in": return "id"
        case "mo": return "ro"
        case "xx", "un", "zzb", "zze", "zzh", "zzp", "tlh", "": return nil
        default: return String(language)
        }
    }
}
