import Glibc

/// Postings in memory: for each word, the passages that have it, in the order of their slots, with what BM25 needs of each.
///
/// A query's words are read rarest first. As soon as the words that are left could lift no further passage among the best,
/// they are only looked up for those found so far; so the best are exactly the best, and a common word costs little beside a
/// rare one.
///
/// Not thread-safe: who holds it lets one write or many read.
final class WordArm {
    /// One word of a query: a passage counts by the best of its forms.
    struct Group: Sendable {
        /// Numbers of words, and what each counts.
        var forms: [(word: Int, weight: Double)]
    }

    /// What the whole is like.
    struct Totals: Sendable {
        /// Passages.
        var passages: Double
        /// Words of a passage, on average.
        var length: Double
        /// BM25's parameters.
        var k1: Double
        var b: Double
    }

    struct Found: Sendable {
        var slot: UInt32
        var score: Double
    }

    /// Postings that one query reads at most, in a millisecond or two; of longer lists the newest. Only words that are all common
    /// in more than some hundred thousand passages come to it, and those of the newest passages are as good as any.
    static let postingsMax = 300_000

    var words = WordTable(isOrdered: true)
    /// Numbers of words by those of the index.
    var numbers: [Int32: Int] = [:]
    /// The number in the index that each word has had last.
    var ids: [Int32] = []
    /// Slot in the upper half; in the lower one the index's own weight: frequency in the text in bits 0 to 7, in the title
    /// in 8 to 15, the passage's length in 16 to 30.
    var postings: [[UInt64]] = []
    /// Passages that have each word and are there.
    var live: [Int] = []
    /// What no posting of each word goes beyond.
    private(set) var bounds: [WordBound] = []
    var postingCount = 0

    /// Bytes that it takes in memory; arrays grow by doubling.
    var memoryBytes: Int { words.memoryBytes + 12 * postingCount + 84 * postings.count }

    /// - Parameters:
    ///   - id: the word's number in the index.
    func add(word text: String, id: Int32) {
        let number = words.add(text)
        numbers[id] = number
        if number == postings.count {
            postings.append([])
            live.append(0)
            bounds.append(WordBound())
            ids.append(id)
        }
        ids[number] = id
    }

    /// Whether a word of the index is known.
    func knows(_ id: Int32) -> Bool { numbers[id] != nil }

    /// Adds what passages have of a word. Slots that are out of order are put in order: many at once cost little.
    func add(_ entries: [(slot: UInt32, weight: Int32)], of id: Int32) {
        guard let number = numbers[id], !entries.isEmpty else { return }
        var last = postings[number].last ?? 0
        var isSorted = true
        for (slot, weight) in entries {
            let posting = UInt64(slot) << 32 | UInt64(UInt32(bitPattern: weight))
            isSorted = isSorted && posting >= last
            last = posting
            postings[number].append(posting)
            bounds[number].take(posting)
        }
        if !isSorted { postings[number].sort() }
        live[number] += entries.count
        postingCount += entries.count
    }

    /// Adds a word's postings as they were; they are in order.
    func add(read list: [UInt64], of number: Int) {
        postings[number].append(contentsOf: list)
        for posting in list { bounds[number].take(posting) }
        postingCount += list.count
    }

    /// Notes that a passage with a word is no longer there.
    func forget(_ id: Int32) {
        if let number = numbers[id] { live[number] = max(0, live[number] - 1) }
    }

    /// The number of a form; nil where no passage has it.
    func number(of form: String) -> Int? { words.number(of: form) }

    /// Passages that have a word and are there.
    func count(of word: Int) -> Int { live[word] }

    /// Adds the passages that have one of some words to a set.
    func insert(_ some: [Int], into set: inout SlotSet, inTitleOnly: Bool) {
        for word in some {
            for posting in postings[word] where !inTitleOnly || posting >> 8 & 255 > 0 {
                set.insert(Int(posting >> 32))
            }
        }
    }

    /// Passages of a set that have a word.
    private func count(of word: Int, among set: SlotSet) -> Int {
        postings[word].reduce(0) { $0 + (set.contains(Int($1 >> 32)) ? 1 : 0) }
    }

    /// The best passages, best first; equal ones by `isBefore`.
    ///
    /// - Parameters:
    ///   - allowed: the passages that count.
    ///   - counted: among which passages a word's rarity is counted; nil for all that are there.
    ///   - isBefore: whether the first of two slots comes first where scores are equal.
    /// - Returns: the passages, and whether a bound kept it from reading all.
    func best(
        of groups: [Group], among allowed: SlotSet, counted: SlotSet?, totals: Totals, limit: Int,
        scratch: inout WordScratch, isBefore: (UInt32, UInt32) -> Bool
    ) -> (found: [Found], isBounded: Bool) {
        var ranked: [Ranked] = []
        for group in groups where !group.forms.isEmpty && limit > 0 {
            var count = 0
            for form in group.forms {
                count = max(count, counted.map { self.count(of: form.word, among: $0) } ?? live[form.word])
            }
            let n = Double(count)
            let idf = log(1 + max(totals.passages - n + 0.5, 0.5) / (n + 0.5))
            let most = group.forms.reduce(0) {
                max($0, WordMath(totals, weight: $1.weight, idf: idf).share(bounds[$1.word].posting))
            }
            ranked.append(
                Ranked(
                    group: group, idf: idf, most: most,
                    postings: group.forms.reduce(0) { $0 + postings[$1.word].count }, count: count))
        }
        ranked.sort { $0.count < $1.count }
        scratch.begin(slots: allowed.words.count * 64)
        var isBounded = false
        var left = Self.postingsMax
        var rest = ranked.reduce(0) { $0 + $1.most }
        for (place, word) in ranked.enumerated() {
            if place > 0, let least = scratch.score(ofPlace: limit, ifShorterThan: word.postings), rest < least {
                lookUp(ranked[place...], rest: rest, least: least, totals, &scratch)
                break
            }
            isBounded = read(word, among: allowed, totals, room: left, &scratch) || isBounded
            left = max(0, left - word.postings)
            rest -= word.most
        }
        return (scratch.best(limit, isBefore), isBounded)
    }

    /// A word with what it can add.
    private struct Ranked {
        let group: Group
        let idf: Double
        /// What it adds to a passage at most.
        let most: Double
        /// Postings of all its forms.
        let postings: Int
        /// Passages that have its most common form.
        let count: Int
    }

    /// - Returns: whether there was room for some only.
    private func read(
        _ word: Ranked, among allowed: SlotSet, _ totals: Totals, room: Int, _ scratch: inout WordScratch
    ) -> Bool {
        var isBounded = false
        var left = room
        let isOne = word.group.forms.count == 1
        allowed.words.withUnsafeBufferPointer { allowed in
            for form in word.group.forms {
                let list = postings[form.word]
                let first = max(0, list.count - left)
                left -= list.count - first
                isBounded = isBounded || first > 0
                let math = WordMath(totals, weight: form.weight, idf: word.idf)
                list.withUnsafeBufferPointer { list in
                    for index in first..<list.count {
                        let posting = list[index]
                        let slot = Int(posting >> 32)
                        guard allowed[slot >> 6] >> UInt64(slot & 63) & 1 == 1 else { continue }
                        let share = math.share(posting)
                        if isOne { scratch.add(share, to: slot) } else { scratch.propose(share, for: slot) }
                    }
                }
            }
        }
        if !isOne { scratch.addProposed() }
        return isBounded
    }

    /// Adds the shares of words to those passages alone that they can bring among the best.
    private func lookUp(
        _ words: ArraySlice<Ranked>, rest: Double, least: Double, _ totals: Totals, _ scratch: inout WordScratch
    ) {
        let candidates = scratch.slots(above: least - rest)
        for word in words {
            for slot in candidates {
                var best = 0.0
                for form in word.group.forms {
                    guard let posting = posting(of: form.word, at: slot) else { continue }
                    best = max(best, WordMath(totals, weight: form.weight, idf: word.idf).share(posting))
                }
                if best > 0 { scratch.add(best, to: Int(slot)) }
            }
        }
    }

    private func posting(of word: Int, at slot: UInt32) -> UInt64? {
        postings[word].withUnsafeBufferPointer { list in
            var (low, high) = (0, list.count)
            while low < high {
                let middle = (low + high) / 2
                if list[middle] >> 32 < UInt64(slot) { low = middle + 1 } else { high = middle }
            }
            return low < list.count && list[low] >> 32 == UInt64(slot) ? list[low] : nil
        }
    }
}

/// The highest frequency and the least length that postings of a word have: what one adds to a score is at most what one with
/// both would add. Texts are short, and most words stand in them once, so this is half of what no posting at all could go
/// beyond, and more words need only be looked up.
struct WordBound: Sendable {
    private var frequency: UInt32 = 0
    private var length: UInt32 = 0x7fff

    mutating func take(_ posting: UInt64) {
        let weight = UInt32(truncatingIfNeeded: posting)
        frequency = max(frequency, (weight & 255) + (weight >> 8 & 255))
        length = min(length, weight >> 16 & 0x7fff)
    }

    /// As a posting has it.
    var posting: UInt64 { UInt64(min(frequency, 255) | (frequency - min(frequency, 255)) << 8 | length << 16) }
}

/// Robertson and Zaragoza: "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, in the form of Lucene, as the
/// word arm in Postgres has it.
struct WordMath {
    private let gain: Double
    private let floor: Double
    private let slope: Double

    init(_ totals: WordArm.Totals, weight: Double, idf: Double) {
        gain = weight * (totals.k1 + 1) * idf
        floor = totals.k1 * (1 - totals.b)
        slope = totals.k1 * totals.b / max(totals.length, 1)
    }

    /// What a posting adds to its passage's score.
    func share(_ posting: UInt64) -> Double {
        let frequency = Double(posting & 255) + Double(posting >> 8 & 255)
        guard frequency > 0 else { return 0 }
        return gain * frequency / (frequency + floor + slope * Double(posting >> 16 & 0x7fff))
    }
}
