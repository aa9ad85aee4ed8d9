/// A number of a text, with what it counts.
struct ReadNumber: Equatable, Sendable {
    /// What it may mean: `1.234` is a bit more than one or more than a thousand.
    var values: [Double]
    /// 1 or -1 where a sign stands before it.
    var sign: Int?
    /// What it is measured in, in one spelling; nil where nothing known follows.
    var unit: String?
    /// 1 where it is a lower bound (`>`), -1 where it is an upper one.
    var limit: Int?
    /// UTF-8 offsets.
    var range: Range<Int>
    /// Digits as they stand there, without signs.
    var digits: String

    func equals(_ other: ReadNumber) -> Bool {
        if let sign, let theirs = other.sign, sign != theirs { return false }
        return values.contains { value in
            other.values.contains { abs($0 - value) <= 1e-9 * max(1, abs(value)) }
        }
    }
}

/// Finds the numbers of a text.
enum Numbers {
    /// The numbers of a text in order; those inside of names (`A380`, `1.2.3`) are none.
    static func all(in text: String) -> [ReadNumber] {
        let scalars = Array(text.unicodeScalars)
        var offsets: [Int] = []
        var offset = 0
        for scalar in scalars {
            offsets.append(offset)
            offset += UTF8.width(scalar)
        }
        offsets.append(offset)
        var numbers: [ReadNumber] = []
        var place = 0
        while place < scalars.count {
            guard digit(scalars[place]) != nil else {
                place += 1
                continue
            }
            let start = place
            var digits = ""
            while place < scalars.count {
                if let value = digit(scalars[place]) {
                    digits.append(String(value))
                } else if isSeparator(scalars, place) {
                    digits.unicodeScalars.append(scalars[place] == "," || scalars[place] == "." ? scalars[place] : "_")
                } else {
                    break
                }
                place += 1
            }
            let before = start > 0 ? scalars[start - 1] : " "
            if before.properties.isAlphabetic || before == "_" { continue }
            guard let values = values(digits), let unit = unit(after: place, scalars) else { continue }
            let scaled = unit.factor == 1 ? values : values.map { $0 * unit.factor }
            let currency = isSymbol(String(before)) ? units[String(before)] : nil
            let first = currency == nil ? start : start - 1
            numbers.append(
                ReadNumber(
                    values: scaled, sign: sign(before: first, scalars), unit: unit.name ?? currency,
                    limit: limit(before: first, scalars), range: offsets[start]..<offsets[place], digits: digits))
        }
        return numbers
    }

    private static func digit(_ scalar: Unicode.Scalar) -> Int? {
        guard scalar.properties.numericType == .decimal else { return nil }
        return scalar.properties.numericValue.map { Int($0) }
    }

    /// A point, comma, apostrophe or narrow space between digits.
    private static func isSeparator(_ scalars: [Unicode.Scalar], _ place: Int) -> Bool {
        guard place + 1 < scalars.count, digit(scalars[place + 1]) != nil else { return false }
        return [".", ",", "'", "’", "\u{A0}", "\u{202F}", "\u{2009}"].contains(scalars[place])
    }

    private static func sign(before start: Int, _ scalars: [Unicode.Scalar]) -> Int? {
        guard start > 0 else { return nil }
        let isFree = start < 2 || !(scalars[start - 2].properties.isAlphabetic || digit(scalars[start - 2]) != nil)
        switch scalars[start - 1] {
        case "+": return 1
        case "-", "−", "–": return isFree ? -1 : nil
        default: return nil
        }
    }

    /// What `<` and the like make of a number, a sign between them or not.
    private static func limit(before start: Int, _ scalars: [Unicode.Scalar]) -> Int? {
        for place in (max(0, start - 3)..<start).reversed() {
            switch scalars[place] {
            case "<", "≤": return -1
            case ">", "≥": return 1
            case " ", "+", "-", "−", "=", "\u{A0}": continue
            default: return nil
            }
        }
        return nil
    }

    /// Whether a unit is written as a sign, so that nobody leaves it out.
    static func isSymbol(_ unit: String) -> Bool { ["%", "$", "€", "£", "¥", "₽"].contains(unit) }

    /// The unit that a word names, in one spelling.
    static func unit(of word: String) -> String? { units[word] }

    /// What a word such as `million` multiplies the number before it by.
    static func factor(of word: String) -> Double? { factors[word] }

    /// What digits with separators may mean; nil for version numbers and addresses.
    static func values(_ digits: String) -> [Double]? {
        let plain = digits.replacing("_", with: "")
        let (points, commas) = (plain.count { $0 == "." }, plain.count { $0 == "," })
        func value(_ text: String) -> Double? { text.count <= 300 ? Double(text) : nil }
        func grouped(_ separator: Character) -> Bool {
            let parts: [Substring] = plain.split(separator: separator, omittingEmptySubsequences: false)
            return parts.dropFirst().allSatisfy { part in part.prefix(while: \.isNumber).count == 3 }
        }
        switch (points, commas) {
        case (0, 0): return value(plain).map { [$0] }
        case (1, 0):
            let whole = grouped(".") ? value(plain.replacing(".", with: "")) : nil
            return [value(plain), whole].compactMap { $0 }
        case (0, 1):
            let whole = grouped(",") ? value(plain.replacing(",", with: "")) : nil
            return [whole, value(plain.replacing(",", with: "."))].compactMap { $0 }
        case (0, _): return grouped(",") ? value(plain.replacing(",", with: "")).map { [$0] } : nil
        case (2, 0) where isDate(plain): return value(String(plain.suffix(4))).map { [$0] }
        case (_, 0): return grouped(".") ? value(plain.replacing(".", with: "")).map { [$0] } : nil
        default:
            guard let point = plain.lastIndex(of: "."), let comma = plain.lastIndex(of: ",") else { return nil }
            let text =
                point > comma
                ? plain.replacing(",", with: "") : plain.replacing(".", with: "").replacing(",", with: ".")
            return value(text).map { [$0] }
        }
    }

    /// `12.03.2024`, of which ``Reading`` makes a date.
    private static func isDate(_ text: String) -> Bool {
        let parts = text.split(separator: ".")
        return parts.count == 3 && parts[0].count <= 2 && parts[1].count <= 2 && parts[2].count == 4
    }

    /// What follows a number: its unit, a factor and its unit; nil where letters follow at once that make a name of it.
    private static func unit(after place: Int, _ scalars: [Unicode.Scalar]) -> (name: String?, factor: Double)? {
        let isTouching = place < scalars.count && scalars[place].properties.isAlphabetic
        let (word, end) = Self.word(after: place, scalars)
        if let factor = factors[word] { return (units[Self.word(after: end, scalars).text], factor) }
        if let name = units[word] { return (name, 1) }
        if ordinalEndings.contains(word) { return (nil, 1) }
        return isTouching && !isUnspaced(scalars[place]) ? nil : (nil, 1)
    }

    /// The letters and signs behind a place, in lower case, and where they end.
    private static func word(after place: Int, _ scalars: [Unicode.Scalar]) -> (text: String, end: Int) {
        var next = place
        while next < scalars.count, [" ", "\u{A0}", "\u{202F}", "-"].contains(scalars[next]), next - place < 2 {
            next += 1
        }
        var word = ""
        while next < scalars.count, word.unicodeScalars.count < 16,
            scalars[next].properties.isAlphabetic || scalars[next] == "°" || scalars[next] == "%"
                || "$€£¥₽".unicodeScalars.contains(scalars[next])
        {
            word.unicodeScalars.append(scalars[next])
            next += 1
        }
        return (word.lowercased(), next)
    }

    /// Letters of scripts that put no space behind a number.
    private static func isUnspaced(_ scalar: Unicode.Scalar) -> Bool { scalar.value >= 0x2E80 }

    private static let ordinalEndings: Set<String> = ["st", "nd", "rd", "th", "er", "e", "s"]
    private static let factors: [String: Double] = [
        "hundred": 100, "dozen": 12, "thousand": 1e3, "million": 1e6, "millions": 1e6, "millionen": 1e6, "mio": 1e6,
        "millones": 1e6, "billion": 1e9,
        "billions": 1e9, "bn": 1e9, "milliarden": 1e9, "milliards": 1e9, "tausend": 1e3, "mille": 1e3, "mil": 1e3,
        "тысяч": 1e3, "миллионов": 1e6, "万": 1e4, "亿": 1e8,
    ]
    /// Spellings of units, one of which stands for all.
    private static let units: [String: String] = {
        let families = [
            "% percent prozent pourcent", "$ usd dollar dollars", "€ eur euro euros", "£ gbp pound pounds", "¥ yen jpy",
            "₽ rub rubles", "km kilometre kilometres kilometer kilometers", "m metre metres meter meters",
            "cm centimetre centimetres centimeter centimeters", "mm millimetre millimetres millimeter millimeters",
            "mi mile miles", "ft foot feet", "inch inches", "kg kilogram kilograms", "g gram grams",
            "t ton tons tonne tonnes",
            "lb lbs", "b byte bytes octets", "kb kilobyte kilobytes", "mb megabyte megabytes", "gb gigabyte gigabytes",
            "sec second seconds sekunden secondes segundos", "min minute minutes minuten minutos",
            "h hour hours stunden heures horas", "day days tage tagen jours días", "week weeks wochen semaines semanas",
            "month months monate monaten mois meses", "year years jahre jahren ans años", "°c celsius", "°f fahrenheit",
            "ms milliseconds", "kw kilowatt kilowatts", "mw megawatt megawatts", "l litre litres liter liters",
        ]
        var result: [String: String] = [:]
        for family in families {
            let words = family.split(separator: " ").map(String.init)
            for word in words { result[word] = words[0] }
        }
        return result
    }()

    /// Numbers written as words; the small ones are also articles or pronouns in one language or other.
    static func word(_ text: String, language: String) -> Double? {
        english[text] ?? (language == "en" ? nil : others[language]?[text])
    }

    private static let english: [String: Double] = [
        "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
        "eleven": 11,
        "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18,
        "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
        "ninety": 90, "twice": 2, "dozen": 12, "zero": 0, "half": 0.5, "one": 1, "hundred": 100, "thousand": 1_000,
        "million": 1e6, "billion": 1e9, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
        "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "twentieth": 20,
    ]
    private static let others: [String: [String: Double]] = [
        "de": ["zwei": 2, "drei": 3, "vier": 4, "fünf": 5, "sechs": 6, "sieben": 7, "acht": 8, "neun": 9, "zehn": 10],
        "fr": ["deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "sept": 7, "huit": 8, "neuf": 9, "dix": 10],
        "es": ["dos": 2, "tres": 3, "cuatro": 4, "cinco": 5, "seis": 6, "siete": 7, "ocho": 8, "nueve": 9, "diez": 10],
        "ru": [
            "два": 2, "три": 3, "четыре": 4, "пять": 5, "шесть": 6, "семь": 7, "восемь": 8, "девять": 9, "десять": 10,
        ],
    ]
}
