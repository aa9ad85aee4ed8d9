/// What two texts have in common that say the same: 64 bits of what is left of a text without case, white space and punctuation.
///
/// Either a hash, which equal ones alone share, or Charikar's SimHash ("Similarity estimation techniques from rounding
/// algorithms", STOC 2002) over runs of four characters, which differs the less the more runs two texts share. Manku, Jain and
/// Das Sarma ("Detecting near-duplicates for web crawling", WWW 2007) take pages for near duplicates where at most 3 of 64 bits
/// differ.
package struct TextFingerprint: Sendable {
    /// Letters, marks and digits of the text at hand, in lower case; keeps its storage.
    private var scalars: [UInt32] = []
    /// Counts how many runs have each bit: bit `n` of `planes[p]` is the digit 2^p of the count of bit `n`, so that a run
    /// takes a few additions for all 64 bits. A record of a mebibyte has fewer than 2^21 runs.
    private var planes = [UInt64](repeating: 0, count: 24)

    private static let runLength = 4

    package init() {}

    /// The SimHash of a text in UTF-8; nil where it has no letter or digit.
    package mutating func simHash(_ text: [UInt8]) -> UInt64? {
        normalise(text)
        guard !scalars.isEmpty else { return nil }
        for plane in planes.indices { planes[plane] = 0 }
        let length = min(Self.runLength, scalars.count)
        let runs = scalars.count - length + 1
        for start in 0..<runs {
            var hash: UInt64 = 0
            for scalar in scalars[start..<start + length] { hash = Self.mixed(hash ^ UInt64(scalar)) }
            count(hash)
        }
        var result: UInt64 = 0
        for bit in 0..<64 {
            var total = 0
            for (plane, word) in planes.enumerated() where word >> UInt64(bit) & 1 != 0 { total += 1 << plane }
            if 2 * total > runs { result |= 1 << UInt64(bit) }
        }
        return result
    }

    /// A hash that texts share which are equal but for case, white space and punctuation; nil where there is no letter or digit.
    package mutating func hash(_ text: [UInt8]) -> UInt64? {
        normalise(text)
        guard !scalars.isEmpty else { return nil }
        return scalars.reduce(UInt64(scalars.count)) { Self.mixed($0 ^ UInt64($1)) }
    }

    private mutating func count(_ hash: UInt64) {
        var carry = hash
        for plane in planes.indices {
            guard carry != 0 else { return }
            (planes[plane], carry) = (planes[plane] ^ carry, planes[plane] & carry)
        }
    }

    private mutating func normalise(_ text: [UInt8]) {
        scalars.removeAll(keepingCapacity: true)
        for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
            guard scalar.value >= 0x80 else {
                switch UInt8(truncatingIfNeeded: scalar.value) {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"): scalars.append(scalar.value | 0x20)
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                    scalars.append(scalar.value)
                default: break
                }
                continue
            }
            let properties = scalar.properties
            guard Self.isKept(properties.generalCategory) else { continue }
            if properties.changesWhenLowercased {
                for lower in properties.lowercaseMapping.unicodeScalars { scalars.append(lower.value) }
            } else {
                scalars.append(scalar.value)
            }
        }
    }

    private static func isKept(_ category: Unicode.GeneralCategory) -> Bool {
        switch category {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .nonspacingMark,
            .spacingMark, .decimalNumber, .letterNumber, .otherNumber:
            true
        default: false
        }
    }

    /// The finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), which is a bijection.
    private static func mixed(_ value: UInt64) -> UInt64 {
        var word = value &+ 0x9E37_79B9_7F4A_7C15
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }
}
