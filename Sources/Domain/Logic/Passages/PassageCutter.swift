package import Records

/// Cuts texts into passages: parts that are embedded and found on their own. A pure function of text and settings.
///
/// A passage ends at a sentence where one ends in its second half, else between words, else between characters. It neither
/// begins nor ends with white space. Every character that is no white space is in one passage at least.
package struct PassageCutter {
    package let settings: PassageSettings
    // Of the text at hand; they keep their storage.
    private var scalars: [UInt32] = []
    /// Where in the bytes each scalar begins, and the end.
    private var places: [Int] = []

    package init(_ settings: PassageSettings) { self.settings = settings }

    /// - Parameters:
    ///   - text: UTF-8.
    ///   - passages: is filled in their order; stays empty where all of the text is one passage.
    package mutating func cut(_ text: UnsafeRawBufferPointer, into passages: inout [PassageRange]) {
        passages.removeAll(keepingCapacity: true)
        let room = 2 * settings.weightMax
        // No byte weighs more than two halves.
        guard 2 * text.count > room, weighsMore(text, than: room) else { return }
        decode(text)
        var start = skippingSpace(from: 0)
        var reached = start
        while start < scalars.count {
            let end = passageEnd(from: start, beyond: reached, room: room)
            let trimmed = trimmedEnd(start, end)
            // Behind the overlap there may be more white space than has room.
            if let last = passages.last, trimmed <= last.scalars.upperBound {
                start = skippingSpace(from: last.scalars.upperBound)
                continue
            }
            reached = end
            passages.append(PassageRange(scalars: start..<trimmed, bytes: places[start]..<places[trimmed]))
            guard skippingSpace(from: end) < scalars.count else { break }
            start = nextStart(after: start..<end)
        }
        // White space alone was too much: the text is one passage.
        if passages.count == 1 { passages.removeAll(keepingCapacity: true) }
    }

    // MARK: - Reading

    private func weighsMore(_ text: UnsafeRawBufferPointer, than room: Int) -> Bool {
        var weight = 0
        var index = 0
        while index < text.count {
            let (scalar, count) = Self.scalar(text, at: index)
            weight += PassageWeight.halves(of: scalar)
            if weight > room { return true }
            index += count
        }
        return false
    }

    private mutating func decode(_ text: UnsafeRawBufferPointer) {
        scalars.removeAll(keepingCapacity: true)
        places.removeAll(keepingCapacity: true)
        var index = 0
        while index < text.count {
            let (scalar, count) = Self.scalar(text, at: index)
            scalars.append(scalar)
            places.append(index)
            index += count
        }
        places.append(index)
    }

    /// The scalar at a place and its bytes. The rules let only well-formed UTF-8 pass; of any other nothing out of bounds is read.
    private static func scalar(_ text: UnsafeRawBufferPointer, at index: Int) -> (scalar: UInt32, count: Int) {
        let first = UInt32(text[index])
        let count = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        guard count > 1, index + count <= text.count else { return (first, 1) }
        var scalar = first & (0x7F >> UInt32(count))
        for offset in 1..<count { scalar = scalar << 6 | UInt32(text[index + offset] & 0x3F) }
        return (scalar, count)
    }

    // MARK: - Cutting

    /// - Parameter reached: the end of the last passage: this one ends behind it.
    private func passageEnd(from start: Int, beyond reached: Int, room: Int) -> Int {
        var weight = 0
        var (sentence, word) = (Int?.none, Int?.none)
        var index = start
        while index < scalars.count {
            let next = weight + PassageWeight.halves(of: scalars[index])
            if next > room { break }
            weight = next
            index += 1
            guard index > reached else { continue }
            if 2 * weight >= room, isSentenceEnd(before: index) { sentence = index }
            if index < scalars.count, Self.isSpace(scalars[index]), !Self.isSpace(scalars[index - 1]) { word = index }
        }
        guard index < scalars.count else { return index }
        return sentence ?? word ?? characterEnd(beyond: max(start, reached), index)
    }

    /// Where to cut a word that is too long: not before a mark that belongs to the character before.
    private func characterEnd(beyond floor: Int, _ end: Int) -> Int {
        var cut = end
        while cut > floor, cut < scalars.count, Self.joins(scalars[cut]) || scalars[cut - 1] == 0x200D { cut -= 1 }
        return cut > floor ? cut : max(end, floor + 1)
    }

    /// Where the next passage begins: at the first sentence of the overlap, else at its first word, else behind the last passage.
    private func nextStart(after passage: Range<Int>) -> Int {
        let behind = skippingSpace(from: passage.upperBound)
        var weight = 0
        var (sentence, word) = (Int?.none, Int?.none)
        var index = passage.upperBound
        while index > passage.lowerBound + 1 {
            weight += PassageWeight.halves(of: scalars[index - 1])
            if weight > 2 * settings.overlap { break }
            index -= 1
            guard !Self.isSpace(scalars[index]), Self.isSpace(scalars[index - 1]) || isSentenceEnd(before: index) else {
                continue
            }
            word = index
            if isSentenceEnd(before: trimmedEnd(passage.lowerBound, index)) { sentence = index }
        }
        return sentence ?? word ?? behind
    }

    /// Whether a sentence ends right before a place: `.`, `!`, `?`, `…` before white space or the end, but not before a
    /// lower-case ASCII letter; the full stops of other scripts anywhere; line ends.
    private func isSentenceEnd(before index: Int) -> Bool {
        guard index > 0 else { return true }
        var last = index - 1
        // No sentence ends in more of them, and a text may be nothing else.
        while last > 0, index - last <= Self.closersMax, Self.closes(scalars[last]) { last -= 1 }
        switch scalars[last] {
        case 0x0A, 0x0D, 0x2028, 0x2029: return true
        // 。！？｡।॥؟۔ and those of Burmese, Khmer, Ethiopic and Tibetan.
        case 0x3002, 0xFF01, 0xFF1F, 0xFF61, 0x0964, 0x0965, 0x061F, 0x06D4, 0x104B, 0x17D4, 0x1362, 0x0F0D: return true
        case 0x2E, 0x21, 0x3F, 0x2026:
            let next = skippingSpace(from: index)
            return next == scalars.count || next > index && !(0x61...0x7A).contains(scalars[next])
        default: return false
        }
    }

    private func skippingSpace(from start: Int) -> Int {
        var index = start
        while index < scalars.count, Self.isSpace(scalars[index]) { index += 1 }
        return index
    }

    private func trimmedEnd(_ start: Int, _ end: Int) -> Int {
        var index = end
        while index > start, Self.isSpace(scalars[index - 1]) { index -= 1 }
        return index
    }

    private static let closersMax = 4

    /// `"')]}”’»」』）`
    private static func closes(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x22, 0x27, 0x29, 0x5D, 0x7D, 0x201D, 0x2019, 0xBB, 0x300D, 0x300F, 0xFF09: true
        default: false
        }
    }

    /// Unicode's White_Space (PropList.txt).
    private static func isSpace(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x09...0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    /// Marks, joiners, variation selectors and skin tones, which continue the character before them.
    private static func joins(_ scalar: UInt32) -> Bool {
        if scalar == 0x200D || (0xFE00...0xFE0F).contains(scalar) || (0x1F3FB...0x1F3FF).contains(scalar) {
            return true
        }
        guard let scalar = Unicode.Scalar(scalar) else { return false }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: return true
        default: return false
        }
    }
}
