import Bytes

/// A day of the calendar, at midnight UTC.
struct CivilDay: Sendable, Equatable {
    let year: Int
    let month: Int
    let day: Int

    init(_ year: Int, _ month: Int, _ day: Int) {
        self.year = year
        self.month = month
        self.day = day
    }

    var milliseconds: Int64 {
        var time = CivilTime(epochMilliseconds: 0)
        (time.year, time.month, time.day) = (year, month, day)
        return time.epochMilliseconds
    }

    var monthBefore: CivilDay { month == 1 ? CivilDay(year - 1, 12, 1) : CivilDay(year, month - 1, 1) }
    var monthAfter: CivilDay { month == 12 ? CivilDay(year + 1, 1, 1) : CivilDay(year, month + 1, 1) }
    /// Whether there is such a day.
    var exists: Bool {
        let time = CivilTime(epochMilliseconds: milliseconds)
        return (time.year, time.month, time.day) == (year, month, day)
    }
}

/// Dates and hours of a day in questions.
struct DatePhrases: Sendable {
    let question: QuestionText
    /// The year of the question.
    let lastYear: Int

    /// A day, a month or a year; from its first moment to the one after its last.
    struct Dated: Sendable {
        let from: Int64
        let to: Int64
        /// Behind its last token.
        let end: Int
        let isDay: Bool
        /// Whether it is written as programs do: `2021-10-03`.
        let isMachineForm: Bool
    }

    struct Hour: Sendable {
        let hour: Int
        let minute: Int
        /// `am`, `pm`; nil where it says neither.
        let isAfterNoon: Bool?
        let isClock: Bool
        let end: Int

        /// Whether it is a time of day for certain, and not just a number.
        var isMarked: Bool { isAfterNoon != nil || isClock }

        /// Of the day; a half of the day that the hour itself does not say is the other's.
        func minutes(afterNoon: Bool?) -> Int64 {
            let half = isAfterNoon ?? (isClock ? nil : afterNoon)
            let hours = half == nil ? hour : hour % 12 + (half == true ? 12 : 0)
            return Int64(hours * 60 + minute)
        }
    }

    /// Wikis have had edits since then, and 1848 is a topic's year.
    private static let firstYear = 2001
    private static let months = [
        "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
        "december",
    ]

    func date(at start: Int) -> Dated? {
        machineDate(start) ?? dayFirst(start) ?? monthFirst(start) ?? year(start)
    }

    private func dated(_ day: CivilDay, end: Int, isMachineForm: Bool = false) -> Dated? {
        guard day.exists, Self.firstYear...lastYear ~= day.year else { return nil }
        return Dated(
            from: day.milliseconds, to: day.milliseconds + 86_400_000, end: end, isDay: true,
            isMachineForm: isMachineForm)
    }

    private func dated(month: Int, of year: Int, end: Int, isMachineForm: Bool = false) -> Dated? {
        guard 1...12 ~= month, Self.firstYear...lastYear ~= year else { return nil }
        let first = CivilDay(year, month, 1)
        return Dated(
            from: first.milliseconds, to: first.monthAfter.milliseconds, end: end, isDay: false,
            isMachineForm: isMachineForm)
    }

    /// `2021-10-03`, `2021-10`, `2021-10-03T14:00:00Z`.
    private func machineDate(_ start: Int) -> Dated? {
        guard question.tokens.indices.contains(start), !question.tokens[start].isQuoted else { return nil }
        let original = question.tokens[start].original
        if let time = CivilTime.epochMilliseconds(original) {
            return Dated(from: time, to: time, end: start + 1, isDay: true, isMachineForm: true)
        }
        let parts = original.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3, parts[0].count == 4, parts.dropFirst().allSatisfy({ $0.count == 2 })
        else { return nil }
        let numbers = parts.compactMap { Int($0) }
        guard numbers.count == parts.count else { return nil }
        return numbers.count == 2
            ? dated(month: numbers[1], of: numbers[0], end: start + 1, isMachineForm: true)
            : dated(CivilDay(numbers[0], numbers[1], numbers[2]), end: start + 1, isMachineForm: true)
    }

    /// "3 October 2021", "3rd of October, 2021".
    private func dayFirst(_ start: Int) -> Dated? {
        guard let day = dayNumber(start) else { return nil }
        let place = question.word(start + 1) == "of" ? start + 2 : start + 1
        guard let month = month(place), let year = yearNumber(place + 1) else { return nil }
        return dated(CivilDay(year, month, day), end: place + 2)
    }

    /// "October 3, 2021", "October 2021".
    private func monthFirst(_ start: Int) -> Dated? {
        guard let month = month(start) else { return nil }
        if let day = dayNumber(start + 1), let year = yearNumber(start + 2) {
            return dated(CivilDay(year, month, day), end: start + 3)
        }
        return yearNumber(start + 1).flatMap { dated(month: month, of: $0, end: start + 2) }
    }

    private func year(_ start: Int) -> Dated? {
        guard let year = yearNumber(start), Self.firstYear...lastYear ~= year else { return nil }
        return Dated(
            from: CivilDay(year, 1, 1).milliseconds, to: CivilDay(year + 1, 1, 1).milliseconds, end: start + 1,
            isDay: false, isMachineForm: false)
    }

    private func yearNumber(_ index: Int) -> Int? {
        guard let word = question.word(index), word.utf8.count == 4 else { return nil }
        return Int(word).flatMap { 1_000...9_999 ~= $0 ? $0 : nil }
    }

    private func month(_ index: Int) -> Int? {
        guard let word = question.word(index), word.count >= 3 else { return nil }
        return Self.months.firstIndex {
            $0 == word || ($0.prefix(3) == word && $0 != "may") || (word == "sept" && $0 == "september")
        }
        .map { $0 + 1 }
    }

    /// "3", "3rd".
    private func dayNumber(_ index: Int) -> Int? {
        guard var word = question.word(index)?[...] else { return nil }
        for ending in ["st", "nd", "rd", "th"] where word.hasSuffix(ending) { word = word.dropLast(2) }
        return Int(word).flatMap { 1...31 ~= $0 && word.utf8.count <= 2 ? $0 : nil }
    }

    /// "2", "2 pm", "2pm", "14:30".
    func hour(at start: Int) -> Hour? {
        guard var word = question.word(start)?[...] else { return nil }
        var (end, isAfterNoon) = (start + 1, Bool?.none)
        for (mark, isAfter) in [("am", false), ("pm", true)] {
            if word.hasSuffix(mark) {
                word = word.dropLast(2)
                isAfterNoon = isAfter
            } else if question.word(end) == mark {
                end += 1
                isAfterNoon = isAfter
                break
            }
        }
        let parts = word.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, let hour = Int(parts[0]), parts[0].utf8.count <= 2,
            let minute = parts.count == 2 ? Int(parts[1]) : 0, 0...59 ~= minute,
            isAfterNoon == nil ? 0...24 ~= hour : 1...12 ~= hour
        else { return nil }
        if question.word(end) == "utc" { end += 1 }
        return Hour(hour: hour, minute: minute, isAfterNoon: isAfterNoon, isClock: parts.count == 2, end: end)
    }
}
