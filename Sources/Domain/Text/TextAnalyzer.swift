/// Cuts text into the words that the word index holds and looks up.
///
/// Not for several threads at once: ICU's boundaries and the stemmers keep state. A lane has one of its own; tasks
/// that come and go borrow one from ``TextAnalyzers``.
package final class TextAnalyzer {
    /// Number of this way of cutting; an index made by another one is rebuilt.
    package static let version = 1
    /// Parts of a compound; of one with more, only the parts are found.
    static let partsMax = 32

    let table = CharacterTable.shared
    let forms: NormalForms
    private let boundaries: WordBoundaries
    private(set) var stemmers = Stemmers()
    /// Whether text that needs no normal form goes past ICU's, which finds the same.
    private let isPlainFast: Bool
    private var text = NormalizedText()
    private var compound = Compound()
    private var position = 0
    /// Whether the last word was too long for its exact form.
    private var isCut = false
    // Kept from word to word for their memory.
    private var bytes: [UInt8] = []
    private var scratch: [UInt8] = []
    private var folded: [UInt16] = []
    private var ends: [Int] = []
    private var clusters: [Int] = []

    /// Takes some milliseconds.
    package convenience init() throws(TextError) { try self.init(isPlainFast: true) }

    init(isPlainFast: Bool) throws(TextError) {
        forms = try NormalForms()
        boundaries = try WordBoundaries()
        self.isPlainFast = isPlainFast
    }

    /// The words of a text, in order. Texts that are the same in normal form KC have the same words.
    ///
    /// The time grows with the text's length and nothing else; what is behind its first MiB has no words.
    ///
    /// - Parameter languages: ISO 639 codes of the languages whose stems are added; unknown ones have none. See
    ///   ``StemLanguages``.
    package func words(of text: String, languages: [String]) -> [TextWord] {
        stemmers.choose(languages)
        var text = text
        text.withUTF8 { self.text.read($0, forms: forms, table: table, isPlainFast: isPlainFast) }
        position = 0
        compound.reset()
        var words: [TextWord] = []
        words.reserveCapacity(self.text.units.count / 5)
        var runs = WordRuns(self.text.units, table)
        while let run = runs.next() {
            if run.joint == .none { close(&words) }
            let first = words.count
            switch run.kind {
            case .plain: appendPlain(run, runs, to: &words)
            case .hangul: appendHangul(run, to: &words)
            case .unspaced: appendUnspaced(run, to: &words)
            case .symbol: appendWord(run.start, run.end, .any, to: &words)
            }
            if words.count > first { compound.append(run, firstWord: first) }
        }
        close(&words)
        return words
    }

    // MARK: Words

    private func appendPlain(_ run: WordRun, _ runs: WordRuns, to words: inout [TextWord]) {
        guard appendWord(run.start, run.end, run.isASCII ? .ascii : .any, to: &words) else { return }
        let place = words.count - 1
        if run.hasLetter && !run.hasDigit { addStems(isFoldable: run.isFoldable, to: &words[place].forms) }
        if !isCut && run.isFoldable { addFolds(of: folded, mark: .folded, to: &words[place].forms) }
        if run.hasLetter { addSymbols(run, runs, to: &words[place].forms) }
        if run.hasInnerCapital { appendCamelParts(run, to: &words) }
    }

    /// Appends one word without further forms, and leaves its exact form in `bytes` and, where it is not ASCII, in `folded`.
    @discardableResult
    private func appendWord(
        _ start: Int, _ end: Int, _ content: Content, sharesPosition: Bool = false, to words: inout [TextWord]
    ) -> Bool {
        fold(start, end, content)
        guard !bytes.isEmpty else { return false }
        isCut = TextTerm.bound(&bytes)
        if !sharesPosition { position += 1 }
        words.append(
            TextWord(
                position: max(position - 1, 0), range: text.range(start, end),
                exact: String(decoding: bytes, as: UTF8.self), forms: []))
        return true
    }

    /// What is known of the characters of a word before it is folded.
    private enum Content { case ascii, caseless, any }

    /// Sets `bytes` to the exact form of the units from `start` to `end`.
    private func fold(_ start: Int, _ end: Int, _ content: Content) {
        bytes.removeAll(keepingCapacity: true)
        if content == .ascii && isPlainFast {
            for unit in text.units[start..<end] where unit != 0x2C {
                let byte = UInt8(truncatingIfNeeded: unit)
                bytes.append(byte &- 0x41 < 26 ? byte | 0x20 : byte)
            }
        } else if content == .caseless && isPlainFast && text.isWhole && !text.units[start..<end].contains(0x345) {
            // The one mark that case folding changes is left to ICU.
            text.units.appendUTF8(start, end, to: &bytes)
        } else {
            folded.removeAll(keepingCapacity: true)
            text.units[start..<end].withUnsafeBufferPointer { forms.append($0, in: forms.caseFolded, to: &folded) }
            folded.removeAll { $0 == 0x2C }
            folded.appendUTF8(0, folded.count, to: &bytes)
        }
    }

    /// Stems of the word in `bytes`, where they differ from it.
    private func addStems(isFoldable: Bool, to added: inout [String]) {
        guard bytes.count > 2, !isCut else { return }
        for index in 0..<stemmers.count {
            let differs = stemmers.withStem(index, of: bytes) { stem in
                guard !stem.isEmpty, !stem.elementsEqual(bytes) else { return false }
                beginTerm(.stem)
                scratch.append(contentsOf: stem)
                return true
            }
            guard differs else { continue }
            let term = endTerm()
            if !added.contains(term) { added.append(term) }
            if isFoldable { addFolds(of: Array(term.utf16.dropFirst(2)), mark: .stem, to: &added) }
        }
    }

    private func addFolds(of word: [UInt16], mark: TextTerm.Mark, to added: inout [String]) {
        for digraphs in [false, true] {
            guard let plain = forms.folded(word, digraphs: digraphs), !plain.isEmpty else { continue }
            let term = TextTerm.marked(mark, String(decoding: plain, as: UTF16.self))
            if !added.contains(term) { added.append(term) }
        }
    }

    private func beginTerm(_ mark: TextTerm.Mark) {
        scratch.removeAll(keepingCapacity: true)
        scratch.append(mark.letter)
        scratch.append(UInt8(ascii: ":"))
    }

    private func endTerm() -> String {
        _ = TextTerm.bound(&scratch, from: 2)
        return String(decoding: scratch, as: UTF8.self)
    }

    /// `C++`, `C#` and `.NET`: names whose symbols are no joiners.
    private func addSymbols(_ run: WordRun, _ runs: WordRuns, to added: inout [String]) {
        let units = text.units
        func unit(_ place: Int) -> UInt16 { place >= 0 && place < units.count ? units[place] : 0x20 }
        var end = run.end
        if unit(end) == 0x2B && unit(end + 1) == 0x2B {
            end += 2
        } else if unit(end) == 0x23 {
            end += 1
        }
        if end > run.end, runs.kind(at: end).isOutside { added.append(whole(run.start, end)) }
        if unit(run.start - 1) == 0x2E, runs.kind(at: run.start - 2) == .separator {
            added.append(whole(run.start - 1, run.end))
        }
    }

    /// Words with capitals inside are found by their parts, too: `camelCase`, `HTTPServer`. Parts of one letter are none.
    private func appendCamelParts(_ run: WordRun, to words: inout [TextWord]) {
        let units = text.units
        var kinds: [(place: Int, kind: CharacterClass)] = []
        var place = run.start
        while place < run.end, kinds.count < 256 {
            let (scalar, width) = units.scalar(at: place)
            let kind = table.kind(scalar)
            if kind != .mark { kinds.append((place, kind)) }
            place += width
        }
        var cuts = [run.start]
        for index in kinds.indices.dropFirst() where kinds[index].kind == .upper {
            let before = kinds[index - 1].kind
            let isBeforeSmall = index + 1 < kinds.count && kinds[index + 1].kind == .letter
            if before == .letter || isBeforeSmall { cuts.append(kinds[index].place) }
        }
        guard cuts.count > 1, cuts.count <= Self.partsMax else { return }
        cuts.append(run.end)
        for (start, end) in zip(cuts, cuts.dropFirst()) where end - start > 1 {
            guard appendWord(start, end, run.isASCII ? .ascii : .any, sharesPosition: true, to: &words) else {
                continue
            }
            let place = words.count - 1
            if !run.hasDigit { addStems(isFoldable: run.isFoldable, to: &words[place].forms) }
            if !isCut && run.isFoldable { addFolds(of: folded, mark: .folded, to: &words[place].forms) }
        }
    }

    // MARK: Scripts without spaces

    private func appendHangul(_ run: WordRun, to words: inout [TextWord]) {
        guard appendWord(run.start, run.end, .caseless, to: &words) else { return }
        setClusters(run)
        var added: [String] = []
        added.reserveCapacity(clusters.count)
        for index in clusters.indices.dropLast(2) { added.append(bigram(clusters[index], clusters[index + 2])) }
        words[words.count - 1].forms = added
    }

    /// The dictionary's words of a run, each with the bigrams that begin in it.
    private func appendUnspaced(_ run: WordRun, to words: inout [TextWord]) {
        setClusters(run)
        setWordEnds(run)
        var cluster = 0
        var start = run.start
        for end in ends {
            defer { start = end }
            let firstCluster = cluster
            while clusters[cluster] < end { cluster += 1 }
            guard appendWord(start, end, .caseless, to: &words) else { continue }
            var added: [String] = []
            added.reserveCapacity(2 * (cluster - firstCluster))
            for index in firstCluster..<cluster {
                if index + 2 < clusters.count { added.append(bigram(clusters[index], clusters[index + 2])) }
                if cluster - firstCluster > 1, table.kind(text.units.scalar(at: clusters[index]).value) == .ideograph {
                    added.append(bigram(clusters[index], clusters[index + 1]))
                }
            }
            words[words.count - 1].forms = added
        }
    }

    /// Each time it stands there: how often counts.
    private func bigram(_ start: Int, _ end: Int) -> String {
        beginTerm(.bigram)
        text.units.appendUTF8(start, end, to: &scratch)
        return endTerm()
    }

    /// Sets `clusters` to where the characters of a run begin, marks with their letters, and at last its end.
    private func setClusters(_ run: WordRun) {
        clusters.removeAll(keepingCapacity: true)
        var place = run.start
        while place < run.end {
            let (scalar, width) = text.units.scalar(at: place)
            if clusters.isEmpty || table.kind(scalar) != .mark { clusters.append(place) }
            place += width
        }
        clusters.append(run.end)
    }

    /// Sets `ends` to where the dictionary's words of a run end.
    private func setWordEnds(_ run: WordRun) {
        var units = Array(text.units[run.start..<run.end])
        let places = SaraAm.compose(&units)
        boundaries.ends(of: units, into: &ends)
        for index in ends.indices {
            ends[index] = run.start + (places.isEmpty ? ends[index] : places[ends[index]])
        }
    }

    // MARK: Compounds

    /// Adds the whole forms of the compound that ends here to the first words of its parts.
    private func close(_ words: inout [TextWord]) {
        defer { compound.reset() }
        let parts = compound.parts
        guard parts.count > 1, parts.count <= Self.partsMax else { return }
        var from = 0
        for index in 1...parts.count where index == parts.count || parts[index].joint != .tight {
            if index - from > 1 { addTightWholes(parts[from..<index], to: &words[parts[from].firstWord].forms) }
            from = index
        }
        guard parts.contains(where: { $0.joint == .loose }) else { return }
        let term = whole(parts[0].start, parts[parts.count - 1].end)
        if !words[parts[0].firstWord].forms.contains(term) { words[parts[0].firstWord].forms.append(term) }
    }

    /// `Node.js` is found as `node.js` and as `nodejs`; numbers are not run together.
    private func addTightWholes(_ parts: ArraySlice<Compound.Part>, to added: inout [String]) {
        guard let first = parts.first, let last = parts.last else { return }
        added.append(whole(first.start, last.end))
        let units = text.units
        for (before, after) in zip(parts, parts.dropFirst()) {
            let kinds = (
                table.kind(units.scalar(at: before.end - 1).value), table.kind(units.scalar(at: after.start).value)
            )
            if kinds == (.digit, .digit) { return }
        }
        var joined: [UInt16] = []
        for part in parts { joined.append(contentsOf: units[part.start..<part.end]) }
        let form = foldedUnits(joined)
        added.append(wholeTerm(form))
        if parts.contains(where: \.isFoldable), form.count <= TextTerm.bytesMax {
            addFolds(of: form, mark: .whole, to: &added)
        }
    }

    /// The whole form of the units from `start` to `end`.
    private func whole(_ start: Int, _ end: Int) -> String {
        let units = text.units
        let joined = (start..<end).lazy.filter { units[$0] != 0x2C }.map { place in
            switch self.table.kind(UInt32(units[place])) {
            case .tight, .loose, .quote: JoinerFolding.canonical(units[place])
            default: units[place]
            }
        }
        return wholeTerm(foldedUnits(Array(joined)))
    }

    private func wholeTerm(_ form: [UInt16]) -> String {
        beginTerm(.whole)
        form.appendUTF8(0, form.count, to: &scratch)
        return endTerm()
    }

    private func foldedUnits(_ units: [UInt16]) -> [UInt16] {
        var result: [UInt16] = []
        units.withUnsafeBufferPointer { forms.append($0, in: forms.caseFolded, to: &result) }
        return result
    }
}

/// The parts of a compound as they come.
private struct Compound {
    struct Part {
        var start: Int
        var end: Int
        var joint: WordRun.Joint
        var firstWord: Int
        var isFoldable: Bool
    }

    private(set) var parts: [Part] = []

    mutating func reset() { parts.removeAll(keepingCapacity: true) }

    mutating func append(_ run: WordRun, firstWord: Int) {
        // What is too long for a compound needs not be kept.
        guard parts.count <= TextAnalyzer.partsMax else { return }
        parts.append(
            Part(
                start: run.start, end: run.end, joint: run.joint, firstWord: firstWord, isFoldable: run.isFoldable))
    }
}

/// Normal form KC takes the vowel AM of Thai and Lao apart, which the dictionaries have in one piece.
enum SaraAm {
    /// Composes it again.
    ///
    /// - Returns: for each unit and the end, where it stood; empty where nothing was composed.
    static func compose(_ units: inout [UInt16]) -> [Int] {
        guard units.contains(0xE4D) || units.contains(0xECD) else { return [] }
        var result: [UInt16] = []
        var places: [Int] = []
        var place = 0
        while place < units.count {
            // A tone may stand between the halves, as some type it, or before them.
            let next = place + 1 < units.count ? units[place + 1] : 0
            let second = place + 2 < units.count ? units[place + 2] : 0
            let am: UInt16? = units[place] == 0xE4D ? 0xE32 : units[place] == 0xECD ? 0xEB2 : nil
            places.append(place)
            if let am, next == am {
                result.append(am + 1)
                place += 2
            } else if let am, second == am, (0xE48...0xE4B).contains(next) || (0xEC8...0xECB).contains(next) {
                result.append(next)
                places.append(place + 2)
                result.append(am + 1)
                place += 3
            } else {
                result.append(units[place])
                place += 1
            }
        }
        places.append(units.count)
        units = result
        return places
    }
}

extension CharacterClass {
    /// Whether a word or compound ends before it.
    var isOutside: Bool { self == .separator || self == .comma || self == .quote || self == .loose || self == .tight }
}
