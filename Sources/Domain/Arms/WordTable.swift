/// Texts by number and numbers by text, compared byte by byte: to Swift, two ways of writing `é` would be one word.
///
/// The texts stand in one array and the numbers in an open-addressed table over it, since there are hundreds of thousands,
/// of some bytes each.
struct WordTable: Sendable {
    private(set) var bytes: [UInt8] = []
    /// Where each text ends; it begins where the one before ends.
    private(set) var ends: [Int] = []
    /// Numbers plus 1, by hash; 0 is free.
    private var places = [UInt32](repeating: 0, count: 1_024)
    /// Numbers in the order of their texts' bytes: all but the last few, which cost a look each.
    var ordered: [UInt32] = []
    private var isOrdered: Bool
    private static let unorderedMax = 4_096

    /// - Parameter isOrdered: whether texts are looked for by what they begin with.
    init(isOrdered: Bool = false) { self.isOrdered = isOrdered }

    /// From now on keeps the order of texts.
    ///
    /// - Parameter known: the order of the first ones.
    mutating func order(as known: [UInt32]) {
        (ordered, isOrdered) = (known, true)
        if ends.count - ordered.count > Self.unorderedMax { order() }
    }

    var count: Int { ends.count }
    /// Bytes that it takes in memory.
    var memoryBytes: Int { bytes.capacity + 8 * ends.capacity + 4 * (places.count + ordered.capacity) }

    /// The number of a text; nil where it has none.
    func number(of text: String) -> Int? {
        var text = text
        return text.withUTF8 { utf8 in
            let place = place(of: utf8)
            return places[place] == 0 ? nil : Int(places[place] - 1)
        }
    }

    /// The number of a text, which gets one where it has none.
    mutating func add(_ text: String) -> Int {
        var text = text
        return text.withUTF8 { utf8 in
            let place = place(of: utf8)
            if places[place] != 0 { return Int(places[place] - 1) }
            bytes.append(contentsOf: utf8)
            ends.append(bytes.count)
            places[place] = UInt32(ends.count)
            if ends.count * 2 > places.count { grow() }
            if isOrdered, ends.count - ordered.count > Self.unorderedMax { order() }
            return ends.count - 1
        }
    }

    /// Where a text stands in the table, or would.
    private func place(of text: UnsafeBufferPointer<UInt8>) -> Int {
        let mask = places.count - 1
        var place = Int(truncatingIfNeeded: Self.hash(text)) & mask
        while places[place] != 0, !holds(Int(places[place] - 1), text) { place = (place + 1) & mask }
        return place
    }

    private func holds(_ number: Int, _ text: UnsafeBufferPointer<UInt8>) -> Bool {
        let start = start(of: number)
        guard ends[number] - start == text.count else { return false }
        for offset in 0..<text.count where bytes[start + offset] != text[offset] { return false }
        return true
    }

    func start(of number: Int) -> Int { number == 0 ? 0 : ends[number - 1] }

    /// The text of a number.
    func text(of number: Int) -> String { String(decoding: bytes[start(of: number)..<ends[number]], as: UTF8.self) }

    private mutating func grow() {
        var wider = [UInt32](repeating: 0, count: places.count * 2)
        let mask = wider.count - 1
        bytes.withUnsafeBufferPointer { bytes in
            for number in ends.indices {
                let start = number == 0 ? 0 : ends[number - 1]
                let text = UnsafeBufferPointer(rebasing: bytes[start..<ends[number]])
                var place = Int(truncatingIfNeeded: Self.hash(text)) & mask
                while wider[place] != 0 { place = (place + 1) & mask }
                wider[place] = UInt32(number + 1)
            }
        }
        places = wider
    }

    /// FNV-1a with its halves mixed, since tables take the low bits.
    private static func hash(_ text: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash ^ hash >> 29
    }
}
