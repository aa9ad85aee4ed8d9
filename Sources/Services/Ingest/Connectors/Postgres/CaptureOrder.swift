/// Gives documents their versions: in the order in which transactions were committed.
///
/// What counts is where a transaction's commit stands in the log, not where its changes stand: a snapshot shows the transactions
/// that were committed before its point, and a change of another one may stand before that point, too. So a version is, from the
/// highest bit down:
///
/// - 5 bits: the number of the snapshot that the declaration asks for. After a restore the log may begin at an earlier place; with the
///   next number every version is higher than before.
/// - 48 bits: the place of the commit, in units of 32 bytes; a record of a commit is longer, so that no two share a unit.
/// - 10 bits: how many changes of the same key came before in the transaction.
///
/// A row of a snapshot gets the highest version below those of the transactions that the snapshot does not show. A truncation gets
/// one above all changes before it in its transaction, and at most that of those behind it.
///
/// Changes of a key are counted in a table of fixed size, by the key's sum: keys that share a place count together, which leaves
/// each of them in order and the memory bounded, whatever the transaction's size. Read again, a transaction gets the same numbers.
struct CaptureOrder {
    private static let countBits = 10
    private static let unitBits = 5
    private static let placeBits = 48
    private static let countMax = (1 << countBits) - 1
    /// Of a change that no truncation comes before, so that there is a number above it for one.
    private static let changesMax = countMax - 1
    private static let places = 1 << 16

    private let snapshot: Int
    private var commit: UInt64 = 0
    private var counts = [UInt16](repeating: 0, count: CaptureOrder.places)
    private var touched: [Int] = []
    /// The least number that a change may get now, and the least that none has got.
    private var floor = 0
    private var next = 0

    /// - Parameter snapshot: its number in the declaration.
    init(snapshot: Int) { self.snapshot = snapshot }

    /// Whether versions reach so far; no log of this world does.
    static func reaches(_ position: UInt64) -> Bool { position >> UInt64(unitBits + placeBits) == 0 }

    /// Begins a transaction.
    mutating func begin(commit: UInt64) {
        self.commit = commit
        for place in touched { counts[place] = 0 }
        touched.removeAll(keepingCapacity: touched.count < 4_096)
        (floor, next) = (0, 0)
    }

    /// The version of the next change of a key.
    mutating func version(of key: [UInt8]) -> Int64 {
        var sum: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key { sum = (sum ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        let place = Int((sum ^ sum >> 32) & UInt64(Self.places - 1))
        if counts[place] == 0 { touched.append(place) }
        let count = max(Int(counts[place]), floor)
        counts[place] = UInt16(min(count + 1, Self.changesMax))
        next = max(next, min(count + 1, Self.countMax))
        return Self.version(snapshot, commit, count)
    }

    /// The version below which the truncation at hand leaves nothing.
    mutating func versionOfTruncation() -> Int64 {
        floor = next
        return Self.version(snapshot, commit, floor)
    }

    /// The version of the rows of a snapshot that shows what was committed before `position`.
    static func version(ofSnapshot snapshot: Int, at position: UInt64) -> Int64 {
        version(snapshot, position, 0) - 1
    }

    private static func version(_ snapshot: Int, _ position: UInt64, _ count: Int) -> Int64 {
        let place = Int64(truncatingIfNeeded: position >> UInt64(unitBits)) & ((1 << placeBits) - 1)
        return Int64(snapshot) << (placeBits + countBits) | place << countBits | Int64(count)
    }
}
