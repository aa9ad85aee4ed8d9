/// Text as words, for measuring overlap; in any script, without a dictionary.
package enum Words {
    /// The words of `text` in order: lower-cased runs of letters, digits and marks. Scripts that put no spaces between
    /// words (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar) give one word per character.
    package static func sequence(_ text: String) -> [String] {
        var words: [String] = []
        forEach(text) { words.append($0) }
        return words
    }

    /// Calls `body` with each word of ``sequence(_:)``.
    static func forEach(_ text: String, _ body: (String) -> Void) {
        // Nearly all text is ASCII, which is read by bytes: an answer looks at some ten thousand words.
        var current: [UInt8] = []
        func flush() {
            guard !current.isEmpty else { return }
            body(String(decoding: current, as: UTF8.self))
            current.removeAll(keepingCapacity: true)
        }
        let scalars = text.unicodeScalars
        let bytes = text.utf8
        var place = bytes.startIndex
        while place < bytes.endIndex {
            let byte = bytes[place]
            guard byte < 0x80 else {
                let scalar = scalars[place]
                scalars.formIndex(after: &place)
                if isUnspaced(scalar) {
                    flush()
                    body(String(scalar))
                } else if isWordPart(scalar) {
                    current.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
                } else {
                    flush()
                }
                continue
            }
            bytes.formIndex(after: &place)
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): current.append(byte | 0x20)
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): current.append(byte)
            default: flush()
            }
        }
        flush()
    }

    /// The words of `text` that carry meaning, each reduced to its stem: without English function and question words.
    package static func content(_ text: String) -> Set<String> {
        var result: Set<String> = []
        forEach(text) { word in
            if !functionWords.contains(word) { result.insert(stem(word)) }
        }
        return result
    }

    /// Drops common English endings, so that `edited`, `edits` and `editing` meet. Both sides of a comparison go
    /// through it, so that a wrong cut costs little.
    package static func stem(_ word: String) -> String {
        let bytes = word.utf8
        guard bytes.count > 4, bytes.allSatisfy({ $0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z") }) else {
            return word
        }
        for ending in endings where bytes.suffix(ending.count).elementsEqual(ending) {
            let rest = bytes.dropLast(ending.count)
            guard rest.count >= 3, ending.count > 1 || rest.last != UInt8(ascii: "s") else { continue }
            let cut = String(decoding: rest, as: UTF8.self)
            return ending.starts(with: "ie".utf8) ? cut + "y" : cut
        }
        return bytes.last == UInt8(ascii: "e") ? String(decoding: bytes.dropLast(), as: UTF8.self) : word
    }

    private static let endings = ["ing", "ies", "ed", "es", "s"].map { Array($0.utf8) }

    private static func isWordPart(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .nonspacingMark,
            .spacingMark, .enclosingMark, .decimalNumber, .letterNumber, .otherNumber:
            true
        default: false
        }
    }

    /// Letters of scripts written without spaces.
    private static func isUnspaced(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x0E00...0x0EFF, 0x1000...0x109F, 0x1780...0x17FF, 0x3040...0x30FF, 0x3400...0x4DBF, 0x4E00...0x9FFF,
            0xF900...0xFAFF, 0x20000...0x3FFFF:
            isWordPart(scalar)
        default: false
        }
    }

    /// English words that say little of what a text is about.
    package static let functionWords: Set<String> = [
        "a", "about", "all", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could",
        "did", "do", "does", "for", "from", "had", "has", "have", "he", "her", "him", "his", "how", "i", "if", "in",
        "into", "is", "it", "its", "me", "my", "no", "not", "of", "on", "or", "our", "out", "s", "she", "should", "so",
        "some", "t", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to",
        "us", "was", "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will", "with",
        "would", "you", "your",
    ]
}
