import Glibc

/// One search among the postings of some words, for the best passages.
///
/// Slots are read window by window, the newest first, and in a window word by word, the rarest first. Once as many passages
/// as are wanted have been found, the worst of them is a bar. A block of postings is read where one of it could bring a
/// passage over the bar that no rarer word led to; else it is only looked up for the passages that rarer words led to and
/// that can still get there. So the best are exactly the best, though few postings of common words are read. See Turtle and
/// Flood: "Query Evaluation: Strategies and Optimizations" (MaxScore), 1995, and ``WordFloors``.
struct WordSearch {
    /// Postings that one query reads, or as much as looking up instead takes, in a millisecond or two. Words that are all common
    /// in more than some hundred thousand passages may come to it. In older passages only the rarest words are then read, and at
    /// last nothing: the newest passages are as good as any.
    static let postingsMax = 300_000
    /// Of the rarest words in older passages.
    private let olderPostingsMax: Int
    private let olderMax: Int
    /// What looking one passage up takes, in postings read.
    private static let lookUpCost = 8
    /// Fewer postings are read without asking whether they can be of use.
    private static let askedMin = 16
    /// Sums of the same numbers in another order are not quite equal.
    private static let slack = 1 - 1e-9

    private struct Form {
        let place: Int
        let list: [UInt64]
        let blocks: [WordFloors]
        let math: WordMath
        let frequency: UInt32
        /// Behind those that were not read yet.
        var end: Int
    }

    private let allowed: SlotSet
    private let rests: WordRests
    private var forms: [Form] = []
    /// The forms of each word.
    private var formsOf: [Range<Int>] = []
    /// Postings of each word and all rarer ones.
    private var postingsUpTo: [Int] = []
    private var heap: WordHeap
    private var bar = -Double.infinity
    /// Words that may lead to passages.
    private var leading: Int
    private var left: Int
    private var isBounded = false
    private var isDone = false

    /// A word, the rarest first.
    struct Word {
        var idf: Double
        var forms: [(word: Int, weight: Double)]
    }

    /// - Parameter postingsMax: that are read, see ``postingsMax``.
    init(
        _ words: [Word], of arm: WordArm, among allowed: SlotSet, totals: WordArm.Totals, heap: WordHeap,
        postingsMax: Int
    ) {
        self.allowed = allowed
        (left, olderPostingsMax, olderMax) = (postingsMax, postingsMax / 4, postingsMax / 2)
        self.heap = heap
        leading = words.count
        var bounds: [[(math: WordMath, bound: WordBound)]] = []
        var postings = 0
        for (place, word) in words.enumerated() {
            let first = forms.count
            for form in word.forms {
                let list = arm.postings[form.word]
                postings += list.count
                forms.append(
                    Form(
                        place: place, list: list, blocks: arm.blocks[form.word],
                        math: WordMath(totals, weight: form.weight, idf: word.idf),
                        frequency: arm.bounds[form.word].frequency, end: list.count))
            }
            bounds.append([])
            for (form, known) in zip(forms[first...], word.forms) {
                bounds[place].append((form.math, arm.bounds[known.word]))
            }
            formsOf.append(first..<forms.count)
            postingsUpTo.append(postings)
        }
        rests = WordRests(bounds)
    }

    /// - Returns: the best, best first, and whether a bound kept it from some.
    mutating func found(_ scratch: inout WordScratch) -> (found: [WordArm.Found], isBounded: Bool) {
        let size = WordScratch.window
        let slots = allowed.words.count * 64
        for window in (0..<((slots + size - 1) / size)).reversed() where !isDone {
            let first = window * size
            let last = min(slots, first + size)
            guard allowed.words[(first / 64)..<(last / 64)].contains(where: { $0 != 0 }) else { continue }
            read(first, last, &scratch)
            if left <= 0 { save() }
        }
        return (heap.sorted, isBounded)
    }

    /// Where enough was read.
    private mutating func save() {
        guard forms.contains(where: { $0.end > 0 }) else { return isDone = true }
        let rare = postingsUpTo.prefix { $0 <= olderPostingsMax }.count
        isDone = leading == rare || rare == 0
        isBounded = isBounded || isDone
        (leading, left) = (rare, olderMax)
    }

    private mutating func read(_ first: Int, _ last: Int, _ scratch: inout WordScratch) {
        var hasTouched = false
        for place in formsOf.indices {
            let matters = rests.any(from: place) >= bar
            let isLeading = matters && place < leading
            guard isLeading || hasTouched else {
                // Of no use for this window; those of the next ones are in other places.
                if matters { isBounded = isBounded || formsOf[place].contains { forms[$0].end > 0 } }
                break
            }
            if hasTouched, bar > -.infinity { hasTouched = prune(from: place, &scratch) }
            for form in formsOf[place] {
                let end = start(of: UInt64(last) << 32, in: form, before: forms[form].end)
                let start = start(of: UInt64(first) << 32, in: form, before: end)
                forms[form].end = start
                guard start < end else { continue }
                if isLeading {
                    hasTouched = scan(start..<end, form, first, &scratch) || hasTouched
                } else {
                    isBounded = isBounded || matters
                    lookUp(start..<end, form, first, &scratch)
                }
            }
            if formsOf[place].count > 1 { scratch.addProposed() }
        }
        guard hasTouched else { return }
        var heap = heap
        scratch.drain { heap.take(UInt32(first + $0), $1) }
        self.heap = heap
        bar = heap.bar.map { $0 * Self.slack } ?? -.infinity
    }

    /// The first of a form's postings up to `end` that is not below a key, looked for from the end on.
    private func start(of key: UInt64, in form: Int, before end: Int) -> Int {
        forms[form].list.withUnsafeBufferPointer { list in
            var (low, high, step) = (end - 1, end, 1)
            while low >= 0, list[low] >= key {
                high = low
                low -= step
                step *= 2
            }
            low = max(low, -1)
            while high - low > 1 {
                let middle = (low + high) / 2
                if list[middle] >= key { high = middle } else { low = middle }
            }
            return high
        }
    }

    /// Leaves those passages out that words from a place on cannot bring over the bar.
    ///
    /// - Returns: whether some are left.
    private func prune(from place: Int, _ scratch: inout WordScratch) -> Bool {
        var hasSome = false
        for index in scratch.touched.indices where scratch.touched[index] != 0 {
            var kept = scratch.touched[index]
            WordScratch.forEach(of: kept, index) { slot in
                guard scratch.scores[slot] + rests.of(scratch.lengths[slot], from: place) < bar else { return }
                scratch.scores[slot] = 0
                kept &= ~(1 << UInt64(slot & 63))
            }
            scratch.touched[index] = kept
            hasSome = hasSome || kept != 0
        }
        return hasSome
    }

    /// Reads the blocks that can lead to passages, and looks the others up.
    ///
    /// - Returns: whether some were read.
    private mutating func scan(
        _ range: Range<Int>, _ number: Int, _ first: Int, _ scratch: inout WordScratch
    ) -> Bool {
        let (form, size) = (forms[number], WordArm.blockPostings)
        guard bar > -.infinity, range.count >= Self.askedMin else {
            add(range, number, first, &scratch)
            return true
        }
        var hasRead = false
        var (index, skipped) = (range.lowerBound, range.lowerBound)
        while index < range.upperBound {
            let block = index / size
            let end = min((block + 1) * size, range.upperBound)
            if block >= form.blocks.count
                || rests.most(form.blocks[block], form.math, frequency: form.frequency, before: form.place + 1) >= bar
            {
                if skipped < index { lookUp(skipped..<index, number, first, &scratch) }
                add(index..<end, number, first, &scratch)
                (skipped, hasRead) = (end, true)
            }
            index = end
        }
        if skipped < range.upperBound { lookUp(skipped..<range.upperBound, number, first, &scratch) }
        return hasRead
    }

    /// Adds postings to the passages' scores.
    private mutating func add(_ range: Range<Int>, _ number: Int, _ first: Int, _ scratch: inout WordScratch) {
        left -= range.count
        let form = forms[number]
        let isOne = formsOf[form.place].count == 1
        let math = form.math
        form.list.withUnsafeBufferPointer { list in
            allowed.words.withUnsafeBufferPointer { allowed in
                scratch.withPointers(isOne: isOne) { scores, lengths, touched in
                    for index in range {
                        let posting = list[index]
                        let slot = Int(posting >> 32)
                        guard allowed[slot >> 6] >> UInt64(slot & 63) & 1 == 1 else { continue }
                        let place = slot - first
                        let share = math.share(posting)
                        scores[place] = isOne ? scores[place] + share : max(scores[place], share)
                        lengths[place] = WordMath.length(posting)
                        touched[place >> 6] |= (share > 0 ? 1 : 0) << UInt64(place & 63)
                    }
                }
            }
        }
    }

    /// Adds postings of those passages that have a score already.
    private mutating func lookUp(_ range: Range<Int>, _ number: Int, _ first: Int, _ scratch: inout WordScratch) {
        let form = forms[number]
        let isOne = formsOf[form.place].count == 1
        let math = form.math
        let touchedBefore = scratch.touched
        let spent = form.list.withUnsafeBufferPointer { list in
            let (from, to) = (Int(list[range.lowerBound] >> 32) - first, Int(list[range.upperBound - 1] >> 32) - first)
            let candidates = (from / 64...to / 64).reduce(0) { $0 + touchedBefore[$1].nonzeroBitCount }
            guard candidates > 0 else { return 0 }
            return scratch.withPointers(isOne: isOne) { scores, _, touched in
                func take(_ posting: UInt64, _ place: Int) {
                    let share = math.share(posting)
                    scores[place] = isOne ? scores[place] + share : max(scores[place], share)
                    touched[place >> 6] |= (share > 0 ? 1 : 0) << UInt64(place & 63)
                }
                if candidates * Self.lookUpCost > range.count {
                    for index in range {
                        let place = Int(list[index] >> 32) - first
                        if touchedBefore[place >> 6] >> UInt64(place & 63) & 1 == 1 { take(list[index], place) }
                    }
                    return range.count
                }
                var low = range.lowerBound
                for word in from / 64...to / 64 where touchedBefore[word] != 0 {
                    WordScratch.forEach(of: touchedBefore[word], word) { place in
                        let key = UInt64(first + place) << 32
                        var high = range.upperBound
                        while low < high {
                            let middle = (low + high) / 2
                            if list[middle] < key { low = middle + 1 } else { high = middle }
                        }
                        if low < range.upperBound, list[low] >> 32 == UInt64(first + place) { take(list[low], place) }
                    }
                }
                return candidates * Self.lookUpCost
            }
        }
        left -= spent
    }
}

extension WordArm {
    /// The best passages, best first; equal ones by `isBefore`.
    ///
    /// - Parameters:
    ///   - allowed: the passages that count.
    ///   - counted: among which passages a word's rarity is counted; nil for all that are there.
    ///   - isBefore: whether the first of two slots comes first where scores are equal.
    /// - Returns: the passages, and whether a bound kept it from reading all that could matter.
    func best(
        of groups: [Group], among allowed: SlotSet, counted: SlotSet?, totals: Totals, limit: Int,
        scratch: inout WordScratch, postingsMax: Int = WordSearch.postingsMax,
        isBefore: @escaping (UInt32, UInt32) -> Bool
    ) -> (found: [Found], isBounded: Bool) {
        guard limit > 0 else { return ([], false) }
        var ranked: [(word: WordSearch.Word, count: Int)] = []
        for group in groups where !group.forms.isEmpty {
            var count = 0
            for form in group.forms {
                count = max(count, counted.map { self.count(of: form.word, among: $0) } ?? live[form.word])
            }
            let n = Double(count)
            let idf = log(1 + max(totals.passages - n + 0.5, 0.5) / (n + 0.5))
            ranked.append((WordSearch.Word(idf: idf, forms: group.forms), count))
        }
        ranked.sort { $0.count < $1.count }
        var search = WordSearch(
            ranked.map(\.word), of: self, among: allowed, totals: totals,
            heap: WordHeap(limit: limit, isBefore: isBefore), postingsMax: postingsMax)
        return search.found(&scratch)
    }
}
