/// A short piece of a passage for a list of hits: plain text, whole characters, no markup.
package enum Snippet {
    /// Characters (grapheme clusters) of a snippet, ellipses included.
    package static let charactersMax = 240
    /// UTF-8 bytes of a snippet: one character can be made of any number of combining marks.
    package static let bytesMax = 2_000

    /// `text` cut to `limit` characters, with `…` when it was cut; for titles and echoes of input.
    package static func head(of text: String, charactersMax limit: Int) -> String {
        let head = bounded(text.prefix(limit))
        return head.utf8.count == text.utf8.count ? head : head + "…"
    }

    fileprivate static func bounded(_ characters: some Sequence<Character>) -> String {
        var text = ""
        var count = 0
        for character in characters {
            count += character.utf8.count
            guard count <= bytesMax else { break }
            text.append(character)
        }
        return text
    }
}

/// What a query's snippets are to show.
package struct SnippetWords: Sendable {
    /// What finding a term in a text means: a word of the query, and how well it is met.
    fileprivate struct Meaning {
        var word: Int
        var weight: Double
    }

    fileprivate let terms: [String: Meaning]
    fileprivate let prefixes: [(prefix: String, word: Int)]
    /// What each word is worth: short ones say little.
    fileprivate let worths: [Double]
    /// The languages that the query's stems are of.
    fileprivate let languages: [String]

    package init(_ query: TextQuery, languages: [String]) {
        var terms: [String: Meaning] = [:]
        var worths: [Double] = []
        func add(_ term: String, _ weight: Double) {
            if weight > terms[term]?.weight ?? 0 { terms[term] = Meaning(word: worths.count, weight: weight) }
        }
        for word in query.words + query.phrases.flatMap(\.words) {
            for alternative in word.alternatives { add(alternative.term, alternative.weight) }
            // Each is a part of the word alone.
            for bigram in word.bigrams { add(bigram, QueryWeight.bigram / Double(word.bigrams.count)) }
            let isLong = word.text.utf8.count > 3
            worths.append((word.isExtra ? 0.5 : 1) * (isLong ? 1 : 0.3))
        }
        var prefixes: [(String, Int)] = []
        for prefix in query.prefixes {
            prefixes.append((prefix.prefix, worths.count))
            worths.append(1)
        }
        self.terms = terms
        self.prefixes = prefixes
        self.worths = worths
        self.languages = languages
    }

    fileprivate var isEmpty: Bool { worths.isEmpty }

    /// The query's words that a text's word is, each with how well.
    fileprivate func meanings(of word: TextWord) -> [Meaning] {
        var found = ([word.exact] + word.forms).compactMap { terms[$0] }
        for (prefix, index) in prefixes where word.exact.hasPrefix(prefix) {
            found.append(Meaning(word: index, weight: 1))
        }
        return found
    }
}

extension TextAnalyzer {
    /// The part of `text` that holds most of the query's words, however they are written there, with white space and
    /// control characters made single spaces, and `…` where something was left out.
    package func snippet(
        of text: String, showing wanted: SnippetWords, charactersMax limit: Int = Snippet.charactersMax
    ) -> String {
        let flat = FlatText(text)
        let count = flat.characters.count
        guard limit > 2, count > limit else { return Snippet.bounded(flat.characters.prefix(max(limit, 0))) }
        let words = wanted.isEmpty ? [] : self.words(of: text, languages: wanted.languages)
        let cuts = cuts(of: words, in: flat)
        let start = start(in: flat, words: words, wanted: wanted, cuts: cuts, width: limit - 2)
        var end = min(start + limit - 2, count)
        if end < count, let cut = cuts.last(in: start + limit / 2 + 1...end) { end = cut }
        while end > start, flat.characters[end - 1] == " " { end -= 1 }
        var piece = Snippet.bounded(flat.characters[start..<end])
        if start > 0 { piece = "…" + piece }
        if end < count { piece += "…" }
        return piece
    }

    /// Where a piece may begin or end: at spaces, and between the words of scripts that have none.
    private func cuts(of words: [TextWord], in flat: FlatText) -> Cuts {
        var places = flat.characters.indices.filter { flat.characters[$0] == " " }
        for word in words where !unspacedClusters(of: word.exact).isEmpty {
            places.append(flat.index(ofByte: word.range.lowerBound))
        }
        if words.isEmpty, places.isEmpty { return Cuts([]) }
        return Cuts(places)
    }

    /// Where the piece of `width` characters begins that shows most.
    private func start(
        in flat: FlatText, words: [TextWord], wanted: SnippetWords, cuts: Cuts, width: Int
    ) -> Int {
        var found: [(start: Int, end: Int, meanings: [SnippetWords.Meaning])] = []
        var counts = [Int](repeating: 0, count: wanted.worths.count)
        for word in words {
            let meanings = wanted.meanings(of: word)
            guard !meanings.isEmpty else { continue }
            for meaning in meanings { counts[meaning.word] += 1 }
            let end = flat.index(ofByte: max(word.range.upperBound - 1, word.range.lowerBound))
            found.append((flat.index(ofByte: word.range.lowerBound), end + 1, meanings))
        }
        // A little of what is before the first word, for those who read.
        let context = width / 8
        let worths = zip(wanted.worths, counts).map { $0 / Double(1 + $1) }
        var window = Window(worths: worths)
        var best = (start: 0, worth: 0.0)
        var last = 0
        for first in found.indices {
            while last < found.count, found[last].end <= found[first].start + width - context {
                window.add(found[last].meanings)
                last += 1
            }
            // The first words of a passage hold its title: a window that starts there wins ties.
            if window.worth > best.worth + 1e-9 { best = (found[first].start, window.worth) }
            if last > first { window.remove(found[first].meanings) } else { last = first + 1 }
        }
        if best.start < width / 3 { return 0 }
        let start = max(0, min(best.start - context, flat.characters.count - width))
        guard start > 0 else { return 0 }
        guard start < best.start, let cut = cuts.first(in: start...best.start) else { return best.start }
        return flat.characters[cut] == " " ? cut + 1 : cut
    }
}

/// The words that a piece of text shows, each as well as it is shown best.
private struct Window {
    private let worths: [Double]
    /// How often each word is shown with each of its weights.
    private var shown: [[Double: Int]]
    private(set) var worth = 0.0

    init(worths: [Double]) {
        self.worths = worths
        shown = Array(repeating: [:], count: worths.count)
    }

    mutating func add(_ meanings: [SnippetWords.Meaning]) { change(meanings, by: 1) }
    mutating func remove(_ meanings: [SnippetWords.Meaning]) { change(meanings, by: -1) }

    private mutating func change(_ meanings: [SnippetWords.Meaning], by difference: Int) {
        for meaning in meanings {
            worth -= value(of: meaning.word)
            let count = shown[meaning.word][meaning.weight, default: 0] + difference
            shown[meaning.word][meaning.weight] = count > 0 ? count : nil
            worth += value(of: meaning.word)
        }
    }

    private func value(of word: Int) -> Double { worths[word] * (shown[word].keys.max() ?? 0) }
}

/// A text's characters with one space for every run of white space and controls, and none at the ends.
private struct FlatText {
    private(set) var characters: [Character] = []
    /// UTF-8 offset of each in the original text.
    private var offsets: [Int] = []

    init(_ text: String) {
        if let isASCII = text.utf8.withContiguousStorageIfAvailable({ takeASCII($0) }), isASCII { return }
        var offset = 0
        for character in text {
            if !Self.isBlank(character) {
                characters.append(character)
                offsets.append(offset)
            } else if let last = characters.last, last != " " {
                characters.append(" ")
                offsets.append(offset)
            }
            offset += character.utf8.count
        }
        dropLastBlank()
    }

    /// Takes a text of ASCII alone, where a character is a byte, or CR LF, which is blank either way; most texts are such,
    /// and asking Unicode's tables about each character was most of a snippet's time.
    ///
    /// - Returns: false where there is anything else, and nothing was taken.
    private mutating func takeASCII(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard bytes.allSatisfy({ $0 < 0x80 }) else { return false }
        characters.reserveCapacity(bytes.count)
        offsets.reserveCapacity(bytes.count)
        var isBehindBlank = true
        for (offset, byte) in bytes.enumerated() {
            let isBlank = Self.isBlank(byte)
            if !(isBlank && isBehindBlank) {
                characters.append(isBlank ? " " : Character(Unicode.Scalar(byte)))
                offsets.append(offset)
            }
            isBehindBlank = isBlank
        }
        dropLastBlank()
        return true
    }

    private mutating func dropLastBlank() {
        guard characters.last == " " else { return }
        characters.removeLast()
        offsets.removeLast()
    }

    /// White space and controls of ASCII.
    private static func isBlank(_ byte: UInt8) -> Bool { byte <= 0x20 || byte == 0x7F }

    private static func isBlank(_ character: Character) -> Bool {
        let bytes = character.utf8
        if let byte = bytes.first, byte < 0x80, bytes.count == 1 { return isBlank(byte) }
        return character.isWhitespace
            || character.unicodeScalars.allSatisfy { $0.properties.generalCategory == .control }
    }

    /// The character that the byte of the original text is in.
    func index(ofByte byte: Int) -> Int {
        var (low, high) = (0, offsets.count)
        while low < high {
            let middle = (low + high) / 2
            if offsets[middle] <= byte { low = middle + 1 } else { high = middle }
        }
        return max(low - 1, 0)
    }
}

/// Places in ascending order.
private struct Cuts {
    private let places: [Int]

    init(_ places: [Int]) { self.places = places.sorted() }

    func first(in range: ClosedRange<Int>) -> Int? {
        places.first { range.contains($0) }
    }

    func last(in range: ClosedRange<Int>) -> Int? {
        places.last { range.contains($0) }
    }
}
