/// Finds a name as words of its own: `Al` is in "by Al, today", and not in "Alabama".
package enum NamePattern {
    /// Scripts below this code point put something between words; in others a name stands directly beside the next word.
    private static let unspacedMin: UInt32 = 0x0E00

    /// A regular expression of Postgres (an ARE).
    package static func postgres(_ name: String) -> String {
        var escaped = ""
        for scalar in name.unicodeScalars {
            if scalar.isASCII, !isWord(scalar) { escaped += "\\" }
            escaped.unicodeScalars.append(scalar)
        }
        let scalars = name.unicodeScalars
        return (scalars.first.map(isWord) == true ? #"(?<![[:alnum:]_])"# : "") + escaped
            + (scalars.last.map(isWord) == true ? #"(?![[:alnum:]_])"# : "")
    }

    /// Whether a name stands in a text as words of its own.
    package static func isFound(_ name: String, in text: String) -> Bool {
        let (wanted, scalars) = (Array(name.unicodeScalars), Array(text.unicodeScalars))
        guard let first = wanted.first, let last = wanted.last, wanted.count <= scalars.count else { return false }
        for start in 0...(scalars.count - wanted.count) where scalars[start] == first {
            let end = start + wanted.count
            guard scalars[start..<end].elementsEqual(wanted) else { continue }
            let isCutBefore = start > 0 && isWord(first) && isWord(scalars[start - 1])
            let isCutAfter = end < scalars.count && isWord(last) && isWord(scalars[end])
            if !isCutBefore, !isCutAfter { return true }
        }
        return false
    }

    private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < unspacedMin
            && (scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
    }
}
