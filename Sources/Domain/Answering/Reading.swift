import Retrieval
import Text

/// A word of a sentence that is judged, or of a passage's.
struct ReadWord: Sendable {
    /// The word itself and its stems and unaccented forms: two words are the same where they share one.
    var keys: Set<String>
    /// In lower case.
    var exact: String
    var range: Range<Int>
    /// Whether it is written with a capital or has digits or inner capitals, so that it may be a name.
    var isCapital = false
    var isFirst = false
    var isNegator = false
    var isFunction = false
    /// Which part between commas and the like it stands in.
    var clause = 0
    /// Whether `:` ends its clause: what stands before is what the rest is about.
    var isTopic = false
    /// What the preposition before it makes of it.
    var role: WordLists.Role?

    /// Whether its script has no capitals.
    var isCaseless: Bool {
        exact.unicodeScalars.contains { $0.properties.isAlphabetic && !$0.properties.isCased && $0.value > 0x2FF }
    }

    /// Whether it is a word by which things are told apart.
    var isContent: Bool { !isFunction && !isNegator }
}

/// A day, month or year.
struct ReadDate: Equatable, Sendable {
    var year: Int?
    var month: Int?
    var day: Int?

    /// Whether `other` says at least as much, and the same.
    func isSaid(by other: ReadDate) -> Bool {
        (year == nil || year == other.year) && (month == nil || month == other.month)
            && (day == nil || day == other.day)
    }
}

/// What stands between commas and the like.
struct ReadClause: Sendable {
    var place: Int
    /// Of each word of content.
    var keys: [Set<String>] = []
    /// In lower case, all of them.
    var words: Set<String> = []
    /// Whether it denies: any number of negators does, since in many languages two say what one says.
    var isNegated = false
    /// Whether two of them may cancel out: `not without`, `never fails to`.
    var isDoubled = false
    /// The last negator, and whether a conjunction came since.
    private var last: String?
    private var isJoined = false

    init(place: Int) { self.place = place }

    mutating func take(_ word: ReadWord) {
        words.insert(word.exact)
        if word.isNegator {
            let areOne =
                isJoined || WordLists.concordNegators.contains(word.exact)
                || last.map(WordLists.concordNegators.contains) == true
            if last != nil, !areOne { isDoubled = true }
            (last, isJoined, isNegated) = (word.exact, false, true)
        } else if WordLists.conjunctions.contains(word.exact) {
            isJoined = true
        } else if word.isContent {
            keys.append(word.keys)
        }
    }
}

/// A sentence taken apart.
struct Reading: Sendable {
    let text: String
    private(set) var words: [ReadWord] = []
    private(set) var numbers: [ReadNumber] = []
    /// Each with what else it may mean (`03/04/2024`).
    private(set) var dates: [[ReadDate]] = []
    /// Where they stand; UTF-8 offsets.
    private(set) var dateRanges: [Range<Int>] = []
    /// Links and names of hosts, in lower case.
    private(set) var links: [String] = []
    /// All keys of all words.
    private(set) var keys: Set<String> = []

    init(_ text: String, languages: [String], _ analyzer: TextAnalyzer) {
        self.text = text
        numbers = Numbers.all(in: text)
        let bytes = Array(text.utf8)
        readWords(bytes, languages, analyzer)
        readDates(bytes)
        readNumberWords(languages)
        assignRoles(bytes)
        links = text.split(whereSeparator: \.isWhitespace).compactMap(Self.link)
        for word in words { keys.formUnion(word.keys) }
    }

    var content: [ReadWord] { words.filter(\.isContent) }

    /// Indices of the words that name something: with a capital, unless it only begins the sentence.
    var names: [Int] { words.indices.filter { words[$0].isCapital && words[$0].isContent && !words[$0].isFirst } }

    /// The clauses that say something, by their numbers.
    var clauses: [Int: ReadClause] {
        var result: [Int: ReadClause] = [:]
        for word in words { result[word.clause, default: ReadClause(place: word.clause)].take(word) }
        return result
    }

    private mutating func readWords(_ bytes: [UInt8], _ languages: [String], _ analyzer: TextAnalyzer) {
        var clause = 0
        var end = 0
        for word in analyzer.words(of: text, languages: languages) {
            // The parts of camel case repeat their word, and numbers are read apart.
            guard word.range.lowerBound >= end, word.range.upperBound <= bytes.count else { continue }
            let gap = bytes[end..<word.range.lowerBound]
            let isAfterApostrophe = gap.elementsEqual([0x27]) || gap.elementsEqual([0xE2, 0x80, 0x99])
            let ends = Self.clauseEnd(gap)
            if ends != nil {
                if ends == .colon { markTopic(clause) }
                clause += 1
            }
            let surface = String(decoding: bytes[word.range], as: UTF8.self)
            end = word.range.upperBound
            if numbers.contains(where: { $0.range.overlaps(word.range) }) { continue }
            if WordLists.clauseWords.contains(word.exact) { clause += 1 }
            var read = ReadWord(keys: [word.exact], exact: word.exact, range: word.range)
            for form in word.forms where TextTerm.mark(of: form) != .bigram {
                read.keys.insert(String(form.dropFirst(2)))
            }
            read.clause = clause
            read.isFirst = words.isEmpty || ends == .stop
            let hasDigit = surface.contains(where: \.isNumber)
            read.isCapital =
                surface.first?.isUppercase == true || hasDigit || surface.dropFirst().contains(where: \.isUppercase)
            if hasDigit || surface.dropFirst().contains(where: \.isUppercase) { read.isFirst = false }
            let isContracted = word.exact == "t" && isAfterApostrophe && words.last?.exact.hasSuffix("n") == true
            let hasContraction = word.exact.hasSuffix("n't") || word.exact.hasSuffix("n’t")
            read.isNegator = isContracted || hasContraction || WordLists.negators.contains(word.exact)
            read.isFunction =
                Words.functionWords.contains(word.exact) || WordLists.functionWords.contains(word.exact)
                || word.exact.utf8.count == 1 || (isAfterApostrophe && word.exact.utf8.count <= 2)
            if isContracted, let last = words.indices.last { words[last].isFunction = true }
            words.append(read)
        }
        if Self.clauseEnd(bytes[end...]) == .colon { markTopic(clause) }
    }

    private mutating func markTopic(_ clause: Int) {
        for place in words.indices where words[place].clause == clause { words[place].isTopic = true }
    }

    private enum ClauseEnd { case comma, colon, stop }

    private static func clauseEnd(_ gap: ArraySlice<UInt8>) -> ClauseEnd? {
        var result: ClauseEnd?
        for character in String(decoding: gap, as: UTF8.self) {
            switch character {
            case ".", "!", "?", "。", "！", "？", "\n", "…": return .stop
            case ":", "：": result = .colon
            case ",", ";", "(", ")", "—", "–", "，", "；", "、", "（", "）", "،": result = result ?? .comma
            default: break
            }
        }
        return result
    }

    /// `three` is as good as `3`.
    private mutating func readNumberWords(_ languages: [String]) {
        let language = languages.first ?? "en"
        var used: Set<Int> = []
        for place in words.indices where !used.contains(place) {
            let word = words[place]
            // The digits before it took it in.
            let isFactor = Numbers.factor(of: word.exact) != nil
            if isFactor, numbers.contains(where: { (0...2).contains(word.range.lowerBound - $0.range.upperBound) }) {
                used.insert(place)
                continue
            }
            guard !word.isCapital || word.isFirst, var value = Numbers.word(word.exact, language: language) else {
                continue
            }
            // `one` is a number only where it counts something, since it also stands for somebody.
            let following = words.indices.contains(place + 1) ? words[place + 1] : nil
            if word.exact == "one", following.map({ !$0.isContent || $0.isCapital }) ?? true { continue }
            used.insert(place)
            var next = place + 1
            while next < words.count, next - place <= 3, isAdjacent(words[next - 1].range, words[next].range) {
                let more = Numbers.word(words[next].exact, language: language)
                if let factor = Numbers.factor(of: words[next].exact) {
                    value *= factor
                } else if let more, more < 10, value >= 20, value < 100, value.truncatingRemainder(dividingBy: 10) == 0
                {
                    value += more
                } else {
                    break
                }
                used.insert(next)
                next += 1
            }
            let isMeasured = next < words.count && isAdjacent(words[next - 1].range, words[next].range)
            numbers.append(
                ReadNumber(
                    values: [value], sign: nil, unit: isMeasured ? Numbers.unit(of: words[next].exact) : nil,
                    range: word.range.lowerBound..<words[next - 1].range.upperBound, digits: word.exact))
        }
        words = words.indices.filter { !used.contains($0) }.map { words[$0] }
        numbers.sort { $0.range.lowerBound < $1.range.lowerBound }
    }

    private func isAdjacent(_ first: Range<Int>, _ second: Range<Int>) -> Bool {
        second.lowerBound - first.upperBound == 1
    }

    private mutating func assignRoles(_ bytes: [UInt8]) {
        var role: WordLists.Role?
        var distance = 0
        var lastClause = 0
        for place in words.indices {
            let word = words[place]
            if word.clause != lastClause { role = nil }
            lastClause = word.clause
            if let found = WordLists.roles[word.exact] {
                role = found
                distance = 0
                continue
            }
            distance += 1
            guard distance <= 3 else {
                role = nil
                continue
            }
            if word.isContent {
                // In the election of 1998 Ann …: the preposition has had its year.
                if word.isCapital, let last = words[..<place].last, isYearBetween(last.range, word.range) { role = nil }
                words[place].role = role
                // All words of a name share what was said of the first.
                if !word.isCapital { role = nil } else { distance = 0 }
            }
        }
    }

    private func isYearBetween(_ first: Range<Int>, _ second: Range<Int>) -> Bool {
        let years = numbers.filter { Self.year(of: $0) != nil }.map(\.range) + dateRanges
        return years.contains { $0.lowerBound >= first.upperBound && $0.upperBound <= second.lowerBound }
    }

    /// The role that a preposition gives the number at `range`: within two words before it.
    func role(ofNumber range: Range<Int>) -> WordLists.Role? {
        let before = words.filter { $0.range.upperBound <= range.lowerBound }.suffix(2)
        return before.reversed().lazy.compactMap { WordLists.roles[$0.exact] }.first
    }

    private static func link(_ word: Substring) -> String? {
        let bare = word.lowercased().drop { !$0.isLetter && !$0.isNumber }
        var trimmed = Substring(bare)
        while let last = trimmed.last, !last.isLetter, !last.isNumber, last != "/" { trimmed.removeLast() }
        if trimmed.contains("://") || trimmed.hasPrefix("www.") { return String(trimmed) }
        let parts = trimmed.prefix { $0 != "/" }.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count > 1,
            parts.allSatisfy({ $0.count >= 2 && $0.allSatisfy { $0.isASCII && ($0.isLetter || $0 == "-") } })
        else { return nil }
        return String(trimmed)
    }
}

// MARK: Dates

extension Reading {
    /// Takes dates out of the numbers and words that they are made of.
    fileprivate mutating func readDates(_ bytes: [UInt8]) {
        var used: Set<Int> = []
        readNumericDates(bytes, &used)
        for word in words {
            guard let month = Self.months[word.exact] else { continue }
            let before = numbers.last { $0.range.upperBound <= word.range.lowerBound }
            let after = numbers.filter { $0.range.lowerBound >= word.range.upperBound }.prefix(2)
            var date = ReadDate(month: month)
            var last = word.range.upperBound
            if let before, isNear(before.range.upperBound, word.range.lowerBound, bytes), let day = Self.day(before) {
                date.day = day
                used.insert(before.range.lowerBound)
            }
            for number in after where isNear(last, number.range.lowerBound, bytes) {
                if date.day == nil, let day = Self.day(number) {
                    date.day = day
                } else if date.year == nil, let year = Self.year(number) {
                    date.year = year
                } else {
                    continue
                }
                used.insert(number.range.lowerBound)
                last = number.range.upperBound
            }
            guard date.day != nil || date.year != nil else { continue }
            dates.append([date])
            let isBehind = date.day != nil && before.map { used.contains($0.range.lowerBound) } == true
            let first = isBehind ? before?.range.lowerBound ?? word.range.lowerBound : word.range.lowerBound
            dateRanges.append(first..<max(last, word.range.upperBound))
            used.insert(word.range.lowerBound)
        }
        numbers.removeAll { used.contains($0.range.lowerBound) }
        words.removeAll { used.contains($0.range.lowerBound) }
    }

    /// `2024-03-12`, `12.03.2024`, `3/12/2024`.
    private mutating func readNumericDates(_ bytes: [UInt8], _ used: inout Set<Int>) {
        for number in numbers where number.digits.split(separator: ".").count == 3 {
            // Points belong to the number as it was read, so that nothing else is made of it.
            let parts = number.digits.split(separator: ".").compactMap { Int($0) }
            guard parts.count == 3, parts[2] > 31 else { continue }
            dates.append([ReadDate(year: parts[2], month: parts[1], day: parts[0])])
            dateRanges.append(number.range)
            used.insert(number.range.lowerBound)
        }
        guard numbers.count >= 3 else { return }
        for place in 0..<(numbers.count - 2) {
            let three = Array(numbers[place..<(place + 3)])
            guard !used.contains(three[0].range.lowerBound) else { continue }
            let gaps = [
                bytes[three[0].range.upperBound..<three[1].range.lowerBound],
                bytes[three[1].range.upperBound..<three[2].range.lowerBound],
            ]
            guard gaps[0].count == 1, gaps[0].elementsEqual(gaps[1]), let separator = gaps[0].first,
                [0x2D, 0x2F, 0x2E].contains(separator)
            else { continue }
            let values = three.compactMap { Int($0.digits) }
            guard values.count == 3 else { continue }
            if values[0] > 31, (1...12).contains(values[1]), (1...31).contains(values[2]) {
                dates.append([ReadDate(year: values[0], month: values[1], day: values[2])])
            } else if values[2] > 31 {
                dates.append(
                    [(values[0], values[1]), (values[1], values[0])].filter { (1...12).contains($0.1) }
                        .map { ReadDate(year: values[2], month: $0.1, day: $0.0) })
            } else {
                continue
            }
            dateRanges.append(three[0].range.lowerBound..<three[2].range.upperBound)
            for number in three { used.insert(number.range.lowerBound) }
        }
    }

    private func isNear(_ end: Int, _ start: Int, _ bytes: [UInt8]) -> Bool {
        guard start - end <= 6, start >= end else { return false }
        let gap = String(decoding: bytes[end..<start], as: UTF8.self)
        return gap.allSatisfy { " .,".contains($0) || "stndrhdeof年月".contains($0) }
    }

    private static func day(_ number: ReadNumber) -> Int? {
        guard let value = Int(number.digits), (1...31).contains(value), number.digits.count <= 2 else { return nil }
        return value
    }

    private static func year(_ number: ReadNumber) -> Int? {
        guard let value = Int(number.digits), number.digits.count == 4, (1_000...2_199).contains(value) else {
            return nil
        }
        return value
    }

    /// The year that a number may be.
    static func year(of number: ReadNumber) -> Int? { number.unit == nil ? year(number) : nil }

    private static let months: [String: Int] = {
        let names = [
            "january jan januar janvier enero gennaio janeiro января", "february feb februar février febrero февраля",
            "march mar märz mars marzo março марта", "april apr avril abril апреля", "may mai mayo maggio maio мая",
            "june jun juni juin junio июня", "july jul juli juillet julio июля", "august aug août agosto августа",
            "september sep sept septembre septiembre setembro сентября", "october oct oktober octobre octubre октября",
            "november nov novembre noviembre ноября", "december dec dezember décembre diciembre декабря",
        ]
        var result: [String: Int] = [:]
        for (index, name) in names.enumerated() {
            for word in name.split(separator: " ") { result[String(word)] = index + 1 }
        }
        return result
    }()
}
