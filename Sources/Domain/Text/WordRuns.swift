/// A run of characters that belong together, before dictionaries, camel case and compounds are looked at.
struct WordRun {
    enum Kind { case plain, hangul, unspaced, symbol }

    /// What holds a run and the one before it together.
    enum Joint { case none, tight, loose }

    var kind: Kind
    var start: Int
    var end: Int
    var joint: Joint
    var isASCII = true
    /// Whether it may have another form without accents.
    var isFoldable = false
    /// Whether a capital letter stands behind another letter or a digit.
    var hasInnerCapital = false
    var hasDigit = false
    var hasLetter = false
}

/// Cuts normalized text into runs by the classes of its characters. For texts in scripts with spaces these are ICU's words,
/// but for the punctuation inside of words, which compounds are made of here; a test compares them.
struct WordRuns {
    /// Joiners between two parts of a compound (`://`).
    private static let joinersMax = 3

    let units: [UInt16]
    private let table: CharacterTable
    private var place = 0
    private var previousEnd = -1

    init(_ units: [UInt16], _ table: CharacterTable) {
        self.units = units
        self.table = table
    }

    /// The class of the character at `place`, as if the text ended with a separator.
    func kind(at place: Int) -> CharacterClass {
        place >= 0 && place < units.count ? table.kind(units.scalar(at: place).value) : .separator
    }

    mutating func next() -> WordRun? {
        var joiners = 0
        var joint = WordRun.Joint.tight
        var isBroken = previousEnd < 0
        while place < units.count {
            let (scalar, width) = units.scalar(at: place)
            let kind = table.kind(scalar)
            switch kind {
            case .tight: joiners += 1
            case .loose:
                joiners += 1
                joint = .loose
            case .quote:
                joiners += 1
                isBroken = isBroken || !isBetweenHebrew(place)
            case .separator, .comma, .mark, .ignorable: isBroken = true
            default:
                let isJoined = !isBroken && (1...Self.joinersMax).contains(joiners) && (joiners == 1 || joint == .loose)
                let run = run(of: kind, joint: isJoined ? joint : .none)
                place = run.end
                previousEnd = run.end
                return run
            }
            place += width
        }
        return nil
    }

    /// Hebrew abbreviations have a quotation mark before their last letter.
    private func isBetweenHebrew(_ place: Int) -> Bool {
        place > 0 && place + 1 < units.count && (0x5D0...0x5EA).contains(units[place - 1])
            && (0x5D0...0x5EA).contains(units[place + 1])
    }

    private func run(of kind: CharacterClass, joint: WordRun.Joint) -> WordRun {
        switch kind {
        case .hangul: return sameRun(.hangul, joint) { $0 == .hangul }
        case .ideograph, .unspaced: return sameRun(.unspaced, joint) { $0 == .ideograph || $0 == .unspaced }
        case .symbol, .regional:
            var end = place + units.scalar(at: place).width
            if kind == .regional, self.kind(at: end) == .regional { end += units.scalar(at: end).width }
            while self.kind(at: end) == .mark { end += units.scalar(at: end).width }
            return WordRun(kind: .symbol, start: place, end: end, joint: joint, isASCII: false)
        default: return plainRun(joint)
        }
    }

    private func sameRun(
        _ kind: WordRun.Kind, _ joint: WordRun.Joint, _ belongs: (CharacterClass) -> Bool
    ) -> WordRun {
        var end = place
        while end < units.count {
            let (scalar, width) = units.scalar(at: end)
            let kind = table.kind(scalar)
            guard belongs(kind) || kind == .mark else { break }
            end += width
        }
        return WordRun(kind: kind, start: place, end: end, joint: joint, isASCII: false, hasLetter: true)
    }

    private func plainRun(_ joint: WordRun.Joint) -> WordRun {
        var run = WordRun(kind: .plain, start: place, end: place, joint: joint)
        var hasSmall = false
        while run.end < units.count {
            let (scalar, width) = units.scalar(at: run.end)
            let kind = table.kind(scalar)
            switch kind {
            case .letter:
                run.hasLetter = true
                hasSmall = true
            case .upper:
                if run.end > run.start { run.hasInnerCapital = true }
                run.hasLetter = true
            case .digit: run.hasDigit = true
            case .mark: break
            case .comma where !run.hasLetter && isGrouping(run.end, from: run.start): break
            default: return finished(run, hasSmall)
            }
            if scalar >= 0x80 {
                run.isASCII = false
                if table.isFoldable(scalar) { run.isFoldable = true }
            }
            run.end += width
        }
        return finished(run, hasSmall)
    }

    private func finished(_ run: WordRun, _ hasSmall: Bool) -> WordRun {
        var run = run
        run.hasInnerCapital = run.hasInnerCapital && hasSmall
        return run
    }

    /// Whether the comma at `place` parts thousands: one to three digits before it, or another group of three, and exactly
    /// three behind it.
    private func isGrouping(_ place: Int, from start: Int) -> Bool {
        func isDigit(_ place: Int) -> Bool { place < units.count && (0x30...0x39).contains(units[place]) }
        let head = units[start..<place].firstIndex(of: 0x2C) ?? place
        guard (1...3).contains(head - start), (start..<head).allSatisfy(isDigit) else { return false }
        guard isDigit(place + 1), isDigit(place + 2), isDigit(place + 3) else { return false }
        return kind(at: place + 4) != .digit
    }
}
