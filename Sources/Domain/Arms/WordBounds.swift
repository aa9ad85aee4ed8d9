import Glibc

/// Of some postings, the least length of a passage for each frequency, which says what they add at most whatever BM25's
/// parameters and the average length are. Frequencies are told apart as far as they matter: texts are short.
///
/// Ding and Suel have blocks with the largest score ("Faster Top-k Document Retrieval Using Block-Max Indexes", 2011), Lucene
/// pairs of frequency and length as here ("impacts"), since scores change with the collection. Postings of passages that are
/// gone may make a bound higher than it need be, never lower.
struct WordFloors: Sendable, Equatable {
    /// The highest frequency of each class; the last one has no end.
    private static let tops: [UInt32] = [1, 2, 3, 4, 6, 9, 15, .max]
    static let classes = tops.count
    static let none = UInt16.max

    /// By class; ``none`` where no posting has such a frequency.
    private(set) var lengths = SIMD8<UInt16>(repeating: none)

    @inline(__always) mutating func take(_ posting: UInt64) {
        let frequency = WordMath.frequency(posting)
        guard frequency > 0 else { return }
        var place = Int(min(frequency, 4)) - 1
        while frequency > Self.tops[place] { place += 1 }
        lengths[place] = min(lengths[place], WordMath.length(posting))
    }

    /// The highest frequency of a class.
    ///
    /// - Parameter most: of all of the word's postings.
    static func top(_ place: Int, most: UInt32) -> Double { Double(min(tops[place], most)) }
}

/// What no posting of a word goes beyond.
struct WordBound: Sendable {
    private(set) var floors = WordFloors()
    private(set) var frequency: UInt32 = 0

    mutating func take(_ posting: UInt64) {
        floors.take(posting)
        frequency = max(frequency, WordMath.frequency(posting))
    }
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

    /// In the text and in the title.
    @inline(__always) static func frequency(_ posting: UInt64) -> UInt32 {
        let weight = UInt32(truncatingIfNeeded: posting)
        return weight & 255 + weight >> 8 & 255
    }

    /// Of the passage, in words.
    @inline(__always) static func length(_ posting: UInt64) -> UInt16 {
        UInt16(truncatingIfNeeded: posting >> 16 & 0x7fff)
    }

    /// What a posting adds to its passage's score.
    @inline(__always) func share(_ posting: UInt64) -> Double {
        share(Double(Self.frequency(posting)), Double(Self.length(posting)))
    }

    /// Grows with the frequency and shrinks with the length.
    @inline(__always) func share(_ frequency: Double, _ length: Double) -> Double {
        frequency > 0 ? gain * frequency / (frequency + floor + slope * length) : 0
    }
}

/// What the words of a query from some place on add at most to a passage, by its length: of a long one they add less, and
/// the length is known from its first posting.
struct WordRests {
    private static let (single, step, count) = (64, 16, 128)

    /// The part of the table that a length belongs to.
    @inline(__always) static func part(_ length: UInt16) -> Int {
        let length = Int(length)
        return length < single ? length : min(count - 1, single + (length - single) / step)
    }

    private static func first(_ part: Int) -> Int { part < single ? part : single + (part - single) * step }

    /// For each place, and one behind all, ``count`` sums: of passages of such a length.
    private var sums: [Double]
    /// The same of passages of at least such a length.
    private var longer: [Double]

    /// - Parameter words: by place, the forms of each, with the bound of each form's postings.
    init(_ words: [[(math: WordMath, bound: WordBound)]]) {
        let size = Self.count
        sums = [Double](repeating: 0, count: (words.count + 1) * size)
        longer = sums
        for place in words.indices.reversed() {
            for part in 0..<size {
                let last = part + 1 < size ? Self.first(part + 1) - 1 : Int(UInt16.max) - 1
                let most = words[place].reduce(0.0) {
                    max($0, Self.most($1.math, $1.bound, lengths: Self.first(part)...last))
                }
                sums[place * size + part] = sums[(place + 1) * size + part] + most
            }
            var most = 0.0
            for part in (0..<size).reversed() {
                most = max(most, sums[place * size + part])
                longer[place * size + part] = most
            }
        }
    }

    private static func most(_ math: WordMath, _ bound: WordBound, lengths: ClosedRange<Int>) -> Double {
        var most = 0.0
        for place in 0..<WordFloors.classes {
            let least = Int(bound.floors.lengths[place])
            guard least != Int(WordFloors.none), least <= lengths.upperBound else { continue }
            let frequency = WordFloors.top(place, most: bound.frequency)
            most = max(most, math.share(frequency, Double(max(least, lengths.lowerBound))))
        }
        return most
    }

    /// Of a passage of a length.
    @inline(__always) func of(_ length: UInt16, from place: Int) -> Double {
        sums[place * Self.count + Self.part(length)]
    }

    /// Of any passage of at least a length.
    @inline(__always) func atLeast(_ length: UInt16, from place: Int) -> Double {
        longer[place * Self.count + Self.part(length)]
    }

    /// Of any passage.
    func any(from place: Int) -> Double { longer[place * Self.count] }

    /// What postings of the word before a place add at most, with all from that place on.
    func most(_ floors: WordFloors, _ math: WordMath, frequency: UInt32, before place: Int) -> Double {
        var most = 0.0
        for number in 0..<WordFloors.classes where floors.lengths[number] != WordFloors.none {
            let length = floors.lengths[number]
            let share = math.share(WordFloors.top(number, most: frequency), Double(length))
            most = max(most, share + atLeast(length, from: place))
        }
        return most
    }
}
