/// Text as words, for measuring overlap; in any script, without a dictionary.
package enum Words {
    /// The words of `text` in order: lower-cased runs of letters, digits and marks. Scripts that put no spaces between
    /// words (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar) give one word per character.
    package static func sequence(_ text: String) -> [String] {
        var words: [String] = []
        var current = ""
        for scalar in text.unicodeScalars {
            if scalar.isASCII {
                let value = UInt8(truncatingIfNeeded: scalar.value)
                switch value {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"):
                    current.unicodeScalars.append(Unicode.Scalar(value + 32))
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                    current.unicodeScalars.append(scalar)
                default: flush(&current, into: &words)
                }
            } else if isUnspaced(scalar) {
                flush(&current, into: &words)
                words.append(String(scalar))
            } else if isWordPart(scalar) {
                current += scalar.properties.lowercaseMapping
            } else {
                flush(&current, into: &words)
            }
        }
        flush(&current, into: &words)
        return words
    }

    /// The words of `text` that carry meaning, each reduced to its stem: without English function and question words.
    package static func content(_ text: String) -> Set<String> {
        var result: Set<String> = []
        for word in sequence(text) where !functionWords.contains(word) { result.insert(stem(word)) }
        return result
    }

    /// Drops common English endings, so that `edited`, `edits` and `editing` meet. Both sides of a comparison go
    /// through it, so that a wrong cut costs little.
    package static func stem(_ word: String) -> String {
        guard word.utf8.count > 4, word.utf8.allSatisfy({ $0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z") }) else {
            return word
        }
        for ending in ["ing", "ies", "ed", "es", "s"] where word.hasSuffix(ending) {
            let rest = word.dropLast(ending.count)
            guard rest.utf8.count >= 3, !(ending == "s" && rest.hasSuffix("s")) else { continue }
            return String(ending == "ies" ? rest + "y" : rest)
        }
        return word.hasSuffix("e") ? String(word.dropLast()) : word
    }

    private static func flush(_ current: inout String, into words: inout [String]) {
        guard !current.isEmpty else { return }
        words.append(current)
        current = ""
    }

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
