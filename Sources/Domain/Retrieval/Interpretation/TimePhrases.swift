import Bytes
import Records

/// Times in questions. A filter on time is about when a document's event happened: of a change of a wiki, when it was edited.
/// "What happened in 1848" asks for a topic, so dates count only beside words of editing.
struct TimePhrases: Sendable {
    let question: QuestionText
    /// To the minute.
    let now: CivilTime

    /// What may follow a time: more of where and what, and nothing that says of what it was the last hour.
    private static let followers: Set<String> = [
        "about", "regarding", "concerning", "by", "on", "in", "to", "with", "that", "which", "mentioning", "from",
        "for",
    ]
    /// After "in the last hour" and its like, which need no word of editing, less may follow.
    private static let narrowFollowers: Set<String> = ["about", "regarding", "concerning", "mentioning", "by"]
    private static let topical: Set<String> = ["of", "history", "like", "called", "named", "titled", "since", "the"]
    private static let units: [String: Int64] = [
        "minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "week": 604_800_000, "month": 2_592_000_000,
        "year": 31_536_000_000,
    ]
    private static let numbers: [String: Int64] = [
        "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
        "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "sixty": 60,
    ]
    private static let weekdays = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    private static let dayMilliseconds: Int64 = 86_400_000

    /// The phrase that begins at a token; nil where none does.
    func phrase(at index: Int) -> Phrase? {
        lastUnits(index) ?? sinceRelative(index) ?? between(index) ?? dated(index) ?? named(index)
    }

    private func phrase(
        _ tokens: Range<Int>, _ range: Filter.TimeRange, isRelative: Bool, need: Phrase.Need,
        followers: Set<String> = followers
    ) -> Phrase? {
        guard let filter = try? Filter(time: range) else { return nil }
        return Phrase(
            kind: .time, attribute: .eventTime, tokens: tokens, filter: filter, isRelative: isRelative, need: need,
            followers: followers, refused: Self.topical)
    }

    // MARK: Relative to now

    /// "in the last hour", "over the past 24 hours".
    private func lastUnits(_ start: Int) -> Phrase? {
        var index = start
        guard let word = question.word(index), ["in", "during", "within", "over", "for"].contains(word) else {
            return nil
        }
        index += 1
        if question.word(index) == "the" { index += 1 }
        guard ["last", "past"].contains(question.word(index)) else { return nil }
        index += 1
        var count: Int64?
        if let word = question.word(index), let number = Self.numbers[word] ?? Int64(word), 1...1_000 ~= number {
            count = number
            index += 1
        }
        guard let word = question.word(index) else { return nil }
        let isPlural = word.hasSuffix("s")
        guard let unit = Self.units[isPlural ? String(word.dropLast()) : word], (count ?? 1) > 1 ? isPlural : !isPlural
        else { return nil }
        // Those who ask for months and years ask for a topic's, as often as not.
        let isLong = unit > 604_800_000
        return phrase(
            start..<index + 1, Filter.TimeRange(from: now.epochMilliseconds - unit * (count ?? 1)), isRelative: true,
            need: isLong ? .editing : .nothing, followers: isLong ? Self.followers : Self.narrowFollowers)
    }

    /// "since yesterday", "since Monday", "since midnight".
    private func sinceRelative(_ start: Int) -> Phrase? {
        guard question.word(start) == "since", var word = question.word(start + 1) else { return nil }
        var end = start + 2
        let from: Int64?
        switch word {
        case "yesterday": from = today - Self.dayMilliseconds
        case "today", "midnight": from = today
        case "this", "last":
            word = question.word(start + 2) ?? ""
            end += 1
            from = span(question.word(start + 1) ?? "", word)?.from
        default: from = weekday(word)
        }
        guard let from else { return nil }
        return phrase(
            start..<end, Filter.TimeRange(from: from), isRelative: true, need: .nothing,
            followers: Self.narrowFollowers)
    }

    /// "today", "yesterday", "this week", "last month", "on Monday": beside something that happens.
    private func named(_ start: Int) -> Phrase? {
        guard let word = question.word(start) else { return nil }
        let (end, range): (Int, Filter.TimeRange)
        switch word {
        case "today": (end, range) = (start + 1, Filter.TimeRange(from: today))
        case "yesterday": (end, range) = (start + 1, Filter.TimeRange(from: today - Self.dayMilliseconds, to: today))
        case "this", "last":
            guard let unit = question.word(start + 1), let found = span(word, unit) else { return nil }
            (end, range) = (start + 2, found)
        case "on":
            guard let day = question.word(start + 1).flatMap(weekday) else { return nil }
            (end, range) = (start + 2, Filter.TimeRange(from: day, to: day + Self.dayMilliseconds))
        default: return nil
        }
        return phrase(start..<end, range, isRelative: true, need: .happening)
    }

    private var today: Int64 { now.epochMilliseconds - (now.epochMilliseconds % Self.dayMilliseconds) }

    /// Days since Monday; 1970 began on a Thursday.
    private var dayOfWeek: Int64 { (today / Self.dayMilliseconds + 3) % 7 }

    /// The last such day, today included; nil where it is no name of a day.
    private func weekday(_ word: String) -> Int64? {
        guard let number = Self.weekdays.firstIndex(of: word) else { return nil }
        return today - (dayOfWeek - Int64(number) + 7) % 7 * Self.dayMilliseconds
    }

    /// "this week", "last month"; weeks begin on Mondays, and all of it is UTC.
    private func span(_ which: String, _ unit: String) -> Filter.TimeRange? {
        let isLast = which == "last"
        switch unit {
        case "morning" where !isLast: return Filter.TimeRange(from: today)
        case "night" where isLast: return nil
        case "week":
            let monday = today - dayOfWeek * Self.dayMilliseconds
            return isLast
                ? Filter.TimeRange(from: monday - 7 * Self.dayMilliseconds, to: monday) : Filter.TimeRange(from: monday)
        case "month":
            let first = CivilDay(now.year, now.month, 1)
            return isLast
                ? Filter.TimeRange(from: first.monthBefore.milliseconds, to: first.milliseconds)
                : Filter.TimeRange(from: first.milliseconds)
        case "year":
            let first = CivilDay(now.year, 1, 1).milliseconds
            return isLast
                ? Filter.TimeRange(from: CivilDay(now.year - 1, 1, 1).milliseconds, to: first)
                : Filter.TimeRange(from: first)
        default:
            guard isLast, let day = weekday(unit) else { return nil }
            let before = day == today ? day - 7 * Self.dayMilliseconds : day
            return Filter.TimeRange(from: before, to: before + Self.dayMilliseconds)
        }
    }

    // MARK: Dates and hours

    /// "since 2021-10-03", "before 2020", "on 3 October 2021", "in October 2021".
    private func dated(_ start: Int) -> Phrase? {
        guard let word = question.word(start) else { return nil }
        let dates = DatePhrases(question: question, lastYear: now.year)
        guard let date = dates.date(at: start + 1) else { return nil }
        let tokens = start..<date.end
        // Nobody writes a topic's time like this.
        let need: Phrase.Need = date.isMachineForm ? .nothing : .documents
        switch word {
        case "since", "after":
            let from = word == "since" ? date.from : date.to
            return phrase(tokens, Filter.TimeRange(from: from), isRelative: false, need: need)
        case "before": return phrase(tokens, Filter.TimeRange(to: date.from), isRelative: false, need: need)
        case "on" where date.isDay, "in" where !date.isDay, "during" where !date.isDay:
            return phrase(tokens, Filter.TimeRange(from: date.from, to: date.to), isRelative: false, need: .editing)
        default: return nil
        }
    }

    /// "between 2019 and 2020", "from 1 May 2021 to 3 May 2021", "between 2 and 5 pm yesterday".
    private func between(_ start: Int) -> Phrase? {
        let joints: [String: Set<String>] = ["between": ["and"], "from": ["to", "until", "till"]]
        guard let word = question.word(start), let joint = joints[word] else { return nil }
        let dates = DatePhrases(question: question, lastYear: now.year)
        if let first = dates.date(at: start + 1), let middle = question.word(first.end), joint.contains(middle),
            let second = dates.date(at: first.end + 1), first.from < second.to
        {
            return phrase(
                start..<second.end, Filter.TimeRange(from: first.from, to: second.to), isRelative: false,
                need: first.isMachineForm && second.isMachineForm ? .nothing : .documents)
        }
        guard let first = dates.hour(at: start + 1), let middle = question.word(first.end), joint.contains(middle),
            let second = dates.hour(at: first.end + 1), second.isMarked || first.isMarked
        else { return nil }
        var (end, day) = (second.end, today)
        if question.word(end) == "yesterday" {
            (end, day) = (end + 1, today - Self.dayMilliseconds)
        } else if question.word(end) == "today" {
            end += 1
        }
        let to = second.minutes(afterNoon: nil)
        var from = first.minutes(afterNoon: second.isAfterNoon)
        // From 11 to 2 pm.
        if from >= to { from = first.minutes(afterNoon: nil) }
        guard from < to else { return nil }
        return phrase(
            start..<end, Filter.TimeRange(from: day + from * 60_000, to: day + to * 60_000), isRelative: true,
            need: .editing)
    }
}
