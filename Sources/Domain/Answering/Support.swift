import Bytes
package import Retrieval
package import Text

/// Why a passage does not support a sentence.
package enum SupportFault: String, Sendable, CaseIterable {
    /// The sentence cites nothing that was given.
    case citation
    /// Too few of its words are in the passage.
    case words
    /// A number that the passage does not have, or has of something else.
    case number
    /// The number is there in another unit.
    case unit
    case date
    /// A name, or a link, that the passage does not have.
    case name
    /// One of them says it and the other denies it, or says the opposite.
    case negation
    /// Who does what to whom, or what goes from where to where, is turned round.
    case direction
    /// The passage says it of what may be, was, or is only alleged, and the sentence of what is.
    case restriction
    /// The words stand in what orders its readers about.
    case instruction
    /// Its meaning is far from the passage's.
    case meaning
}

/// Whether a passage says what a sentence says, by what can be seen in the words.
///
/// What similarity cannot see comes first and has no threshold: each number, unit, date and name of the sentence is in the
/// passage and belongs to the same thing, both affirm or both deny, and directions agree. Then enough of the content words
/// are there. It is strict rather than clever: a true sentence in quite other words is dropped, which costs a sentence; a
/// false one costs trust.
///
/// One piece of evidence is a sentence of the passage with its title, or two in a row where the second names nobody else. So
/// facts are not put together from places that have nothing to do with one another.
package struct Support {
    private let analyzer: TextAnalyzer
    private let opposites: Opposites

    package init(_ analyzer: TextAnalyzer) {
        self.analyzer = analyzer
        opposites = .shared
    }

    /// A passage as evidence.
    package struct Evidence: Sendable {
        let pieces: [Reading]
        let title: Reading
        let languages: [String]
        /// In lower case, for links.
        let raw: String
        /// Whether there are sentences that order their reader about; they and what follows them are not among the pieces.
        let hasInstructions: Bool
        /// Keys of the words of those.
        let ordered: Set<String>
        /// Each sentence, folded.
        let quotes: Set<String>
        /// The day of the record, which is another than what the text speaks of.
        let recorded: ReadDate?
    }

    /// Takes a passage apart. Where it begins to give orders its evidence ends.
    package func evidence(_ hit: Hit) -> Evidence {
        let candidate = hit.candidate
        var languages = StemLanguages.ofDocument(candidate.language)
        if !languages.contains("en") { languages.append("en") }
        let all = [Sentences.split(candidate.text, joinsShort: false), Sentences.split(candidate.text)]
        var known: [String: Bool] = [:]
        func isInstruction(_ text: String) -> Bool {
            if let answer = known[text] { return answer }
            let answer = InstructionText.isInstruction(text)
            known[text] = answer
            return answer
        }
        // Where short sentences were joined, an order may stand in the middle.
        let clean = all.map { units in
            Array(
                units.prefix { unit in
                    !isInstruction(unit) && Sentences.split(unit, joinsShort: false).allSatisfy { !isInstruction($0) }
                })
        }
        let units = clean[0]
        let isTitleClean = !isInstruction(candidate.title)
        let single = units.map { Reading($0, languages: languages, analyzer) }
        var pieces = single
        let title = Reading(isTitleClean ? candidate.title : "", languages: languages, analyzer)
        let day = Reading(
            String(CivilTime.rfc3339(candidate.eventTimeMilliseconds).prefix(10)), languages: languages, analyzer)
        for place in single.indices.dropLast() {
            let (first, second) = (single[place], single[place + 1])
            let keys = first.keys.union(title.keys)
            let isAbout = second.content.allSatisfy { word in
                !word.isCapital || WordLists.openers.contains(word.exact) || !word.keys.isDisjoint(with: keys)
            }
            if isAbout { pieces.append(Reading(units[place] + " " + units[place + 1], languages: languages, analyzer)) }
        }
        return Evidence(
            pieces: pieces, title: title, languages: languages,
            raw: (candidate.title + " " + candidate.text + " " + candidate.url).lowercased(),
            hasInstructions: all[0].count > units.count || !isTitleClean,
            ordered: all[0].dropFirst(units.count).reduce(into: []) { keys, unit in
                keys.formUnion(Reading(unit, languages: languages, analyzer).keys)
            },
            quotes: Set(clean.joined().map(Self.folded)), recorded: day.dates.first?.first)
    }

    /// Only white space and case are left out, and a point at the end: any other character may be the fact.
    private static func folded(_ sentence: String) -> String {
        let text = sentence.lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return text.last == "." ? String(text.dropLast()) : text
    }

    /// Whether the words stand in the passage in a row; of a sentence that was cut, the last may be a part of one.
    private static func isRun(_ words: [String], isCut: Bool, in all: [String]) -> Bool {
        guard let last = words.last, words.count <= all.count else { return false }
        let head = words.dropLast()
        return (0...(all.count - words.count)).contains { start in
            let end = start + head.count
            return (all[end] == last || isCut && all[end].hasPrefix(last)) && all[start..<end].elementsEqual(head)
        }
    }

    /// The verdict over a sentence that somebody who obeys no text took from a passage; nil where its words do not stand there in a
    /// row. Needs no evidence, which takes most of an answer's time.
    package static func quoteVerdict(_ sentence: String, _ hit: Hit) -> Verdict? {
        let words = Words.sequence(sentence)
        guard !words.isEmpty,
            isRun(words, isCut: sentence.hasSuffix("…"), in: Words.sequence(hit.candidate.text))
        else { return nil }
        return Verdict(
            fault: nil, coverage: 1, piece: sentence, isQuote: true, hasCapitals: hasCapitals(sentence))
    }

    /// What one passage has against a sentence.
    package struct Verdict: Sendable {
        /// Nil where nothing is wrong but perhaps the share of words; the rest is for ``SupportThresholds``.
        package var fault: SupportFault?
        /// Share of the sentence's content words.
        package var coverage: Double
        /// The part of the passage that was compared, for the cosine.
        package var piece: String
        /// Whether the sentence is one of the passage's, word for word.
        package var isQuote: Bool
        /// Whether its script has capitals, so that names can be told.
        package var hasCapitals: Bool
    }

    /// The verdict over the piece of evidence that speaks most for the sentence.
    package func verdict(_ sentence: String, _ evidence: Evidence) -> Verdict {
        let said = Reading(sentence, languages: evidence.languages, analyzer)
        let hasCapitals = Self.hasCapitals(sentence)
        if evidence.quotes.contains(Self.folded(sentence)), !Words.sequence(sentence).isEmpty {
            return Verdict(fault: nil, coverage: 1, piece: sentence, isQuote: true, hasCapitals: hasCapitals)
        }
        var best: Verdict?
        for piece in evidence.pieces {
            let comparison = Comparison(
                said: said, piece: piece, title: evidence.title, recorded: evidence.recorded, raw: evidence.raw,
                hasCapitalNouns: evidence.languages.first == "de", opposites)
            let verdict = Verdict(
                fault: comparison.fault(), coverage: comparison.coverage, piece: piece.text, isQuote: false,
                hasCapitals: hasCapitals)
            if best.map({ Self.isBetter(verdict, $0) }) ?? true { best = verdict }
        }
        let none = Verdict(fault: .words, coverage: 0, piece: "", isQuote: false, hasCapitals: hasCapitals)
        var result = best ?? none
        // What it adds to the passage's facts is what the passage ordered.
        let isOrdered = said.content.contains { word in
            !word.keys.isDisjoint(with: evidence.ordered) && word.keys.isDisjoint(with: evidence.title.keys)
                && evidence.pieces.allSatisfy { word.keys.isDisjoint(with: $0.keys) }
        }
        if isOrdered || evidence.hasInstructions && result.fault != nil { result.fault = .instruction }
        return result
    }

    private static func isBetter(_ new: Verdict, _ old: Verdict) -> Bool {
        if (new.fault == nil) != (old.fault == nil) { return new.fault == nil }
        return new.coverage > old.coverage
    }

    private static func hasCapitals(_ text: String) -> Bool {
        let letters = text.unicodeScalars.filter(\.properties.isAlphabetic)
        return letters.count { $0.properties.isCased } * 2 > letters.count
    }
}

/// Words of opposite meaning, by the forms that they are found by.
struct Opposites: Sendable {
    static let shared = Opposites()
    private var sides: [String: [Int]] = [:]

    init() {
        for (number, pair) in WordLists.opposites.enumerated() {
            for (side, words) in [pair.0, pair.1].enumerated() {
                for word in words.split(separator: " ") { sides[String(word), default: []].append(2 * number + side) }
            }
        }
    }

    /// Whether one of the sentence's own words says the opposite of what the passage has.
    func areOpposed(_ word: ReadWord, to piece: Reading) -> Bool {
        let wanted = Set((sides[word.exact] ?? []).map { $0 ^ 1 })
        if !wanted.isEmpty {
            for other in piece.words where !(sides[other.exact] ?? []).allSatisfy({ !wanted.contains($0) }) {
                return true
            }
        }
        return Self.prefixes.contains { prefix in
            if word.exact.hasPrefix(prefix), word.exact.utf8.count > prefix.utf8.count + 3 {
                let rest = String(word.exact.dropFirst(prefix.count))
                if piece.words.contains(where: { $0.exact == rest }) { return true }
            }
            return word.exact.utf8.count > 3 && piece.words.contains { $0.exact == prefix + word.exact }
        }
    }

    private static let prefixes = ["un", "dis", "non", "in", "im", "ir", "il"]
}
