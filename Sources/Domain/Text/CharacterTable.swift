import CICU

/// What a character is to the cutting of words.
enum CharacterClass: UInt8 {
    case separator, letter, upper, digit, mark
    /// Written with spaces, but with endings that other languages write apart: cut like letters, with bigrams.
    case hangul
    /// Han and other ideographs: each is nearly a word.
    case ideograph
    /// Letters of the other scripts that put no spaces between words.
    case unspaced
    case symbol
    /// Half of a flag.
    case regional
    /// Punctuation that holds the parts of one word together, one between two of them: `.`, `-`, `'` …
    case tight
    /// Punctuation of paths and addresses.
    case loose
    case comma
    case quote
    /// Not shown, and no part of any word.
    case ignorable
}

/// The class of every character, and whether accents can be taken from it. Read out of ICU's properties once.
struct CharacterTable: Sendable {
    /// Takes some milliseconds when it is first used.
    static let shared = CharacterTable()

    private static let foldable: UInt8 = 0x80
    private let entries: [UInt8]

    private init() {
        var status = U_ZERO_ERROR
        let decomposition = medallion_icu_nfd(&status)
        entries = (0..<0x10000).map { Self.entry(UInt32($0), decomposition) }
    }

    /// The class of a scalar value.
    @inline(__always)
    func kind(_ scalar: UInt32) -> CharacterClass {
        CharacterClass(rawValue: entry(scalar) & ~Self.foldable) ?? .separator
    }

    /// Whether ``AccentFolding`` may change a word for this character.
    @inline(__always)
    func isFoldable(_ scalar: UInt32) -> Bool { entry(scalar) & Self.foldable != 0 }

    @inline(__always)
    private func entry(_ scalar: UInt32) -> UInt8 {
        scalar < 0x10000 ? entries[Int(scalar)] : Self.entry(scalar, nil)
    }

    private static func entry(_ scalar: UInt32, _ decomposition: OpaquePointer?) -> UInt8 {
        let kind = classify(scalar)
        return kind.rawValue | (canFold(scalar, kind, decomposition) ? foldable : 0)
    }

    private static func canFold(_ scalar: UInt32, _ kind: CharacterClass, _ decomposition: OpaquePointer?) -> Bool {
        guard scalar >= 0x80 else { return false }
        switch kind {
        case .digit: return true
        case .mark: return AccentFolding.isAccent(scalar)
        case .letter, .upper:
            if AccentFolding.replacement(scalar) != nil { return true }
            if AccentFolding.composedLetters.contains(scalar) { return false }
            guard let decomposition else { return false }
            return medallion_icu_decomposes(decomposition, UChar32(scalar)) != 0
        default: return false
        }
    }

    private static func classify(_ scalar: UInt32) -> CharacterClass {
        if let special = special[scalar] { return special }
        let character = UChar32(scalar)
        if medallion_icu_is_ignorable(character) != 0 || medallion_icu_is_emoji_modifier(character) != 0 {
            return .ignorable
        }
        switch medallion_icu_category(character) {
        case Int32(U_UPPERCASE_LETTER.rawValue), Int32(U_TITLECASE_LETTER.rawValue): return .upper
        case Int32(U_LOWERCASE_LETTER.rawValue): return .letter
        case Int32(U_MODIFIER_LETTER.rawValue), Int32(U_OTHER_LETTER.rawValue), Int32(U_LETTER_NUMBER.rawValue),
            Int32(U_OTHER_NUMBER.rawValue), Int32(U_PRIVATE_USE_CHAR.rawValue):
            return letterKind(character)
        case Int32(U_DECIMAL_DIGIT_NUMBER.rawValue): return .digit
        case Int32(U_NON_SPACING_MARK.rawValue), Int32(U_COMBINING_SPACING_MARK.rawValue),
            Int32(U_ENCLOSING_MARK.rawValue):
            return .mark
        case Int32(U_FORMAT_CHAR.rawValue): return .ignorable
        case Int32(U_UNASSIGNED.rawValue): return unassignedKind(scalar)
        case Int32(U_OTHER_SYMBOL.rawValue), Int32(U_MATH_SYMBOL.rawValue), Int32(U_CURRENCY_SYMBOL.rawValue):
            return symbolKind(scalar)
        default: return medallion_icu_is_pictographic(character) != 0 && scalar > 0x2100 ? .symbol : .separator
        }
    }

    private static func letterKind(_ character: UChar32) -> CharacterClass {
        switch Int(medallion_icu_script(character)) {
        case Int(USCRIPT_HANGUL.rawValue): return .hangul
        case Int(USCRIPT_HAN.rawValue), Int(USCRIPT_TANGUT.rawValue), Int(USCRIPT_NUSHU.rawValue),
            Int(USCRIPT_KHITAN_SMALL_SCRIPT.rawValue):
            return .ideograph
        case Int(USCRIPT_HIRAGANA.rawValue), Int(USCRIPT_KATAKANA.rawValue), Int(USCRIPT_YI.rawValue),
            Int(USCRIPT_JAVANESE.rawValue), Int(USCRIPT_BALINESE.rawValue), Int(USCRIPT_BOPOMOFO.rawValue):
            return .unspaced
        default: return medallion_icu_is_complex(character) != 0 ? .unspaced : .letter
        }
    }

    /// Characters of later versions of Unicode than ICU's: most are letters, and the planes 2 and 3 are for ideographs.
    private static func unassignedKind(_ scalar: UInt32) -> CharacterClass {
        if scalar & 0xFFFE == 0xFFFE || (0xFDD0...0xFDEF).contains(scalar) { return .separator }
        return (0x20000..<0x40000).contains(scalar) ? .ideograph : .letter
    }

    /// Arrows, lines and blocks are decoration; they are in thousands of edit summaries.
    private static func symbolKind(_ scalar: UInt32) -> CharacterClass {
        switch scalar {
        case 0..<0x80, 0xA8, 0xAC, 0xAF, 0xB4, 0x2190...0x21FF, 0x2500...0x25FF, 0x27F0...0x27FF, 0x2900...0x297F,
            0xFFFC, 0xFFFD:
            return .separator
        default: return .symbol
        }
    }

    private static let special: [UInt32: CharacterClass] = {
        var table: [UInt32: CharacterClass] = [
            0x2C: .comma, 0x22: .quote, 0x05F4: .quote,
            // The zero width space is there to part words, of Khmer for example.
            0x200B: .separator,
            // Long vowels of kana, which belong to no script of their own.
            0x30FC: .unspaced, 0x30A0: .tight,
        ]
        for scalar: UInt32 in 0x1F1E6...0x1F1FF { table[scalar] = .regional }
        for scalar in JoinerFolding.tight { table[scalar] = .tight }
        for scalar in JoinerFolding.loose { table[scalar] = .loose }
        return table
    }()
}

/// Joiners that look the same are the same in a compound's whole form.
enum JoinerFolding {
    private static let apostrophes: [UInt32] = [
        0x27, 0x2018, 0x2019, 0x02B9, 0x02BB, 0x02BC, 0x02BE, 0x02BF, 0x05F3, 0xA78C,
    ]
    private static let hyphens: [UInt32] = [0x2D, 0x2010, 0x2011, 0x2013, 0x2212, 0x05BE]
    private static let dots: [UInt32] = [0xB7, 0x2027, 0x30FB]

    /// `.`, `_`, `&`, apostrophes, hyphens, middle dots, decimal separators of Arabic.
    static let tight = Array(".\u{5F}&\u{66B}\u{66C}".unicodeScalars.map(\.value)) + apostrophes + hyphens + dots
    static let loose = "/:@#?=+\\%~\u{2044}".unicodeScalars.map(\.value)

    /// The joiner that stands for `unit` in a whole form.
    static func canonical(_ unit: UInt16) -> UInt16 {
        guard unit >= 0x80 else { return unit }
        let scalar = UInt32(unit)
        if apostrophes.contains(scalar) { return 0x27 }
        if hyphens.contains(scalar) { return 0x2D }
        if dots.contains(scalar) { return 0xB7 }
        switch unit {
        case 0x05F4: return 0x22
        case 0x2044: return 0x2F
        case 0x66B: return 0x2E
        default: return unit
        }
    }
}
