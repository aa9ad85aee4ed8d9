import Glibc

/// Finds lines and their source offsets in the text of a frame.
enum LineScan {
    private static let offsetName = Array(",\"offset\":".utf8)
    static let parentsName = Array("\"parents\":[".utf8)

    /// The source offset of a line.
    ///
    /// Bronze and quarantine lines name it before the payload, which may hold the same name; Silver and Gold lines
    /// name it only in their lineage, at the end, the record's own parent first. A quote inside a string is escaped, so text cannot be mistaken.
    static func offset(of line: ArraySlice<UInt8>, layer: Layer) -> Int64? {
        let position: Int?
        switch layer {
        case .bronze, .quarantine: position = firstPosition(in: line)
        case .silver, .gold: position = parentsStart(in: line).flatMap { firstPosition(in: line[$0...]) }
        }
        guard var index = position else { return nil }
        var value: Int64 = 0
        var digits = 0
        while index < line.endIndex, line[index] >= 0x30, line[index] <= 0x39, digits < 19 {
            value = value * 10 + Int64(line[index] - 0x30)
            digits += 1
            index += 1
        }
        return digits > 0 ? value : nil
    }

    /// Calls `body` with each line, without its line feed, until it returns false.
    static func forEachLine<Failure: Error>(
        _ text: [UInt8], _ body: (ArraySlice<UInt8>) throws(Failure) -> Bool
    ) throws(Failure) {
        var start = 0
        while start < text.count {
            let end = lineFeed(in: text, from: start) ?? text.count
            guard try body(text[start..<end]) else { return }
            start = end + 1
        }
    }

    /// `memchr`, since lines of Bronze are kilobytes and a replay reads all of them.
    private static func lineFeed(in text: [UInt8], from start: Int) -> Int? {
        text.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress, let found = memchr(base + start, 0x0A, bytes.count - start) else {
                return nil
            }
            return UnsafeRawPointer(found) - base
        }
    }

    /// The position behind the first occurrence of the name.
    private static func firstPosition(in line: ArraySlice<UInt8>) -> Int? {
        var index = line.startIndex
        let last = line.endIndex - offsetName.count
        while index <= last {
            if line[index] == offsetName[0] && matches(offsetName, line, at: index) { return index + offsetName.count }
            index += 1
        }
        return nil
    }

    /// Where the list of parents begins: the last occurrence, since nothing else of the kind follows.
    private static func parentsStart(in line: ArraySlice<UInt8>) -> Int? {
        var index = line.endIndex - parentsName.count
        while index >= line.startIndex {
            if line[index] == parentsName[0] && matches(parentsName, line, at: index) {
                return index + parentsName.count
            }
            index -= 1
        }
        return nil
    }

    private static func matches(_ name: [UInt8], _ line: ArraySlice<UInt8>, at index: Int) -> Bool {
        for position in 0..<name.count where line[index + position] != name[position] { return false }
        return true
    }
}
