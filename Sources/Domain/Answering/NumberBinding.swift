/// Which of several numbers or days a word belongs to.
extension Comparison {
    /// Whether the passage has the number, and what the sentence says of it the passage says of another one of the same kind.
    func isBoundToAnother(_ number: ReadNumber) -> Bool {
        let year = Reading.year(of: number)
        func isAlike(_ other: ReadNumber) -> Bool {
            other.unit == number.unit && (Reading.year(of: other) != nil) == (year != nil)
        }
        var same = piece.numbers.filter { number.equals($0) }.map(\.range)
        var others = piece.numbers.filter { !number.equals($0) && isAlike($0) }.map(\.range)
        if let year {
            for (readings, range) in zip(piece.dates, piece.dateRanges) {
                if readings.contains(where: { $0.year == year }) { same.append(range) } else { others.append(range) }
            }
        }
        return isBoundToAnother(number.range, same: same, others: others)
    }

    /// The same of a day, month or year.
    func isBoundToAnother(_ readings: [ReadDate], _ range: Range<Int>) -> Bool {
        var (same, others): ([Range<Int>], [Range<Int>]) = ([], [])
        for (dates, range) in zip(piece.dates, piece.dateRanges) {
            let isSaid = readings.contains { date in dates.contains { date.isSaid(by: $0) } }
            if isSaid { same.append(range) } else { others.append(range) }
        }
        for number in piece.numbers {
            guard let year = Reading.year(of: number) else { continue }
            let isSaid = readings.contains { $0.year == year && $0.month == nil && $0.day == nil }
            if isSaid { same.append(number.range) } else { others.append(number.range) }
        }
        return isBoundToAnother(range, same: same, others: others)
    }

    /// The word nearest to what the sentence says decides; names are looked at by themselves, and units stand beside all.
    private func isBoundToAnother(_ range: Range<Int>, same: [Range<Int>], others: [Range<Int>]) -> Bool {
        guard !same.isEmpty, !others.isEmpty else { return false }
        let bytes = Array(said.text.utf8)
        let candidates = said.words.filter { word in
            word.isContent && (!word.isCapital || word.isFirst) && Numbers.unit(of: word.exact) == nil
                && !word.keys.isDisjoint(with: piece.keys)
        }
        let nearest = candidates.map { (word: $0, distance: Reading.distance($0.range, range, bytes)) }
            .min { $0.distance < $1.distance }
        guard let nearest, nearest.distance <= Self.boundBytesMax else { return false }
        let here = Array(piece.text.utf8)
        let places = piece.words.filter { !$0.keys.isDisjoint(with: nearest.word.keys) }.map(\.range)
        func distance(to ranges: [Range<Int>]) -> Int {
            var least = Int.max
            for place in places { for range in ranges { least = min(least, Reading.distance(place, range, here)) } }
            return least
        }
        return distance(to: others) < distance(to: same)
    }

    /// What stands farther from a number than this says nothing of it.
    private static let boundBytesMax = 40
}

extension Reading {
    /// Bytes between two places; what ends a clause or joins two counts as many.
    static func distance(_ first: Range<Int>, _ second: Range<Int>, _ bytes: [UInt8]) -> Int {
        let gap =
            first.lowerBound < second.lowerBound
            ? (first.upperBound, second.lowerBound) : (second.upperBound, first.lowerBound)
        guard gap.0 < gap.1, gap.1 <= bytes.count else { return 0 }
        guard gap.1 - gap.0 <= gapBytesMax else { return gap.1 - gap.0 + 100 * breakBytes }
        let between = bytes[gap.0..<gap.1]
        let breaks = between.count { ",;:.()\n".utf8.contains($0) }
        let joins = [" and ", " but ", " und ", " et ", " y ", " и "].count { join in
            between.firstRange(of: Array(join.utf8)) != nil
        }
        return between.count + breakBytes * (breaks + joins)
    }

    private static let gapBytesMax = 120
    private static let breakBytes = 60

    /// 1 where the number is a lower bound, -1 where it is an upper one: by a sign, or the words before it.
    func limit(of number: ReadNumber) -> Int? {
        if let limit = number.limit { return limit }
        let before = words.filter { $0.range.upperBound <= number.range.lowerBound }.suffix(3).map(\.exact)
        switch role(ofNumber: number.range) {
        case .below: return -1
        case .above: return 1
        case .than: return before.contains { ["less", "fewer", "lower", "smaller", "shorter"].contains($0) } ? -1 : 1
        default: return nil
        }
    }
}
