/// What a character costs of a passage's weight, in halves.
///
/// The model's vocabulary (BERT's, uncased) has whole words and syllables of Latin script, single letters of most other
/// scripts, and none of the syllables of Hangul, which it takes apart into up to three letters. So a Latin letter is half a
/// token at most times, a letter of another script one, and a Hangul syllable three. The weights were held against the model
/// over real and invented texts of many scripts: at most one passage in a thousand has more tokens than the model reads.
enum PassageWeight {
    static let other = 2
    private static let latinLetter = 1
    private static let hangulSyllable = 6

    static func halves(of scalar: UInt32) -> Int {
        if scalar < 0x80 { return isASCIILetter(scalar) ? latinLetter : other }
        switch scalar {
        // Latin-1 letters to Latin Extended-B, and Latin Extended Additional.
        case 0xC0...0x24F, 0x1E00...0x1EFF: return scalar == 0xD7 || scalar == 0xF7 ? other : latinLetter
        // Combining marks: the model drops those of Latin.
        case 0x300...0x36F: return latinLetter
        case 0xAC00...0xD7A3: return hangulSyllable
        default: return other
        }
    }

    private static func isASCIILetter(_ scalar: UInt32) -> Bool {
        (0x61...0x7A).contains(scalar | 0x20)
    }
}
