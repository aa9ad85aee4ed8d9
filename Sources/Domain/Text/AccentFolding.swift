import CICU

/// Words without what people leave out when they type: accents, points and other marks; letters that decompose into
/// nothing simpler have plain ones in their stead, and digits are ASCII.
enum AccentFolding {
    /// Whether a mark changes no letter into another one of its script. Vowel signs and tones of Indic and South-East
    /// Asian scripts and the voiced marks of kana do, and have low combining classes.
    static func isAccent(_ scalar: UInt32) -> Bool {
        switch medallion_icu_combining_class(UChar32(scalar)) {
        case 1, 7, 10...36, 200...: return true
        default: return false
        }
    }

    /// Whether a mark makes a letter of its own of the one before it, which nobody types without: й, ў, ї.
    static func makesLetter(_ mark: UInt32, of letter: UInt16) -> Bool {
        mark == 0x306 && (letter == 0x438 || letter == 0x443) || mark == 0x308 && letter == 0x456
    }

    /// The composed forms of those letters.
    static let composedLetters: [UInt32] = [0x419, 0x439, 0x40E, 0x45E, 0x407, 0x457]

    /// What people type for a letter that has no accent to lose; nil where that is the letter itself.
    static func replacement(_ scalar: UInt32) -> String? {
        switch scalar {
        case 0xE6, 0xC6: "ae"
        case 0x153, 0x152: "oe"
        case 0xF8, 0xD8: "o"
        case 0x111, 0x110, 0xF0, 0xD0, 0x256, 0x257: "d"
        case 0x142, 0x141, 0x19A, 0x26B: "l"
        case 0xFE, 0xDE: "th"
        case 0xDF, 0x1E9E: "ss"
        case 0x131: "i"
        case 0x138: "k"
        case 0x127, 0x126: "h"
        case 0x14B, 0x14A, 0x272, 0x19E: "n"
        case 0x167, 0x166: "t"
        case 0x180, 0x253: "b"
        case 0x1B6: "z"
        case 0x1E5, 0x260: "g"
        case 0x199: "k"
        case 0x1B4: "y"
        case 0x259, 0x18F, 0x25B, 0x190: "e"
        case 0x254, 0x186: "o"
        case 0x268: "i"
        case 0x289: "u"
        // Arabic: the same letter at the end of a word, as it is typed in haste.
        case 0x649, 0x6CC: "\u{64A}"
        case 0x629: "\u{647}"
        case 0x6A9: "\u{643}"
        case 0x640: ""
        default: nil
        }
    }

    /// How the letters with two dots, rings and strokes are written where a keyboard lacks them.
    static func digraph(_ scalar: UInt32) -> String? {
        switch scalar {
        case 0xE4: "ae"
        case 0xF6, 0xF8: "oe"
        case 0xFC: "ue"
        case 0xE5: "aa"
        default: nil
        }
    }
}
