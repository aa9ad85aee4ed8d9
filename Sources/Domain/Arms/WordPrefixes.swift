import Glibc

extension WordTable {
    /// Texts of one beginning that are looked at: of a short one there may be very many.
    private static let lookedAtMax = 20_000

    /// The numbers of the texts that begin with others' bytes and are wanted, in the order of their bytes.
    ///
    /// - Parameters:
    ///   - limit: of the first in that order.
    ///   - isWanted: asked of each number.
    func numbers(beginningWith prefix: String, limit: Int, where isWanted: (Int) -> Bool) -> [Int] {
        var prefix = prefix
        return prefix.withUTF8 { prefix in
            var (low, high) = (0, ordered.count)
            while low < high {
                let middle = (low + high) / 2
                if compare(Int(ordered[middle]), prefix) < 0 { low = middle + 1 } else { high = middle }
            }
            var found: [Int] = []
            for number in ordered[low...].prefix(Self.lookedAtMax).lazy.map(Int.init) {
                guard begins(number, with: prefix), found.count < limit else { break }
                if isWanted(number) { found.append(number) }
            }
            let others = (ordered.count..<count).filter { begins($0, with: prefix) && isWanted($0) }
            guard !others.isEmpty else { return found }
            return Array((found + others).sorted(by: isBefore).prefix(limit))
        }
    }

    /// Brings the last texts in their places.
    mutating func order() {
        let others = (ordered.count..<count).map { UInt32($0) }.sorted { isBefore(Int($0), Int($1)) }
        var merged: [UInt32] = []
        merged.reserveCapacity(count)
        var next = 0
        for number in ordered {
            while next < others.count, isBefore(Int(others[next]), Int(number)) {
                merged.append(others[next])
                next += 1
            }
            merged.append(number)
        }
        merged.append(contentsOf: others[next...])
        ordered = merged
    }

    /// Whether a text's bytes come before another's.
    func isBefore(_ one: Int, _ other: Int) -> Bool {
        bytes.withUnsafeBufferPointer { bytes in
            compare(one, UnsafeBufferPointer(rebasing: bytes[start(of: other)..<ends[other]])) < 0
        }
    }

    /// Below 0 where a text's bytes come before others.
    private func compare(_ number: Int, _ text: UnsafeBufferPointer<UInt8>) -> Int {
        let (start, end) = (start(of: number), ends[number])
        let order = bytes.withUnsafeBufferPointer { bytes in
            let shared = min(end - start, text.count)
            guard shared > 0, let one = bytes.baseAddress, let other = text.baseAddress else { return 0 }
            return Int(memcmp(one + start, other, shared))
        }
        return order != 0 ? order : end - start - text.count
    }

    private func begins(_ number: Int, with prefix: UnsafeBufferPointer<UInt8>) -> Bool {
        let (start, end) = (start(of: number), ends[number])
        return end - start >= prefix.count && bytes[start..<(start + prefix.count)].elementsEqual(prefix)
    }
}

extension WordArm {
    /// Words that passages have and that begin in some way, those of most passages first, equal ones in the order of their bytes.
    ///
    /// - Parameters:
    ///   - among: how many are looked at, in the order of their bytes.
    ///   - limit: how many are wanted.
    func words(beginningWith prefix: String, among lookedAt: Int, limit: Int) -> [String] {
        let found = words.numbers(beginningWith: prefix, limit: lookedAt) { count(of: $0) > 0 }
        // Sorting keeps no order of equal ones by itself.
        let ranked = found.enumerated().sorted { one, other in
            let (a, b) = (count(of: one.element), count(of: other.element))
            return a != b ? a > b : one.offset < other.offset
        }
        return ranked.prefix(limit).map { words.text(of: $0.element) }
    }
}
