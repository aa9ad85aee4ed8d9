/// Postings in memory: for each word, the passages that have it, in the order of their slots, with what BM25 needs of each.
///
/// What each hundred or so of a word's postings add at most is kept beside them (``WordFloors``), so that a search
/// (``WordSearch``) leaves most postings of common words unread and the best are exactly the best all the same.
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
    /// The same of each ``blockPostings`` of them; a list's last ones, fewer than that, have none.
    private(set) var blocks: [[WordFloors]] = []
    var postingCount = 0

    /// Postings that have a bound of their own: few enough that it is tight, and so many that looking at it costs less than
    /// a fiftieth of reading them.
    static let blockPostings = 128

    /// Bytes that it takes in memory; arrays grow by doubling.
    var memoryBytes: Int {
        words.memoryBytes + 12 * postingCount + postingCount / Self.blockPostings * 24 + 108 * postings.count
    }

    /// - Parameters:
    ///   - id: the word's number in the index.
    func add(word text: String, id: Int32) {
        let number = words.add(text)
        numbers[id] = number
        if number == postings.count {
            postings.append([])
            live.append(0)
            bounds.append(WordBound())
            blocks.append([])
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
        if !isSorted {
            postings[number].sort()
            blocks[number].removeAll(keepingCapacity: true)
        }
        bound(number)
        live[number] += entries.count
        postingCount += entries.count
    }

    /// Gives a word's postings that have none yet their bounds.
    private func bound(_ number: Int) {
        let size = Self.blockPostings
        while (blocks[number].count + 1) * size <= postings[number].count {
            let first = blocks[number].count * size
            var floors = WordFloors()
            for posting in postings[number][first..<(first + size)] { floors.take(posting) }
            blocks[number].append(floors)
        }
    }

    /// Adds a word's postings as they were; they are in order.
    func add(read list: [UInt64], of number: Int) {
        postings[number].append(contentsOf: list)
        for posting in list { bounds[number].take(posting) }
        bound(number)
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
    func count(of word: Int, among set: SlotSet) -> Int {
        postings[word].reduce(0) { $0 + (set.contains(Int($1 >> 32)) ? 1 : 0) }
    }
}
