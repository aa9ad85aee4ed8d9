/// Finds rows and fields of CSV (RFC 4180), byte by byte.
///
/// Not by a library: the connector has to know at which byte a row ends, to go on there after a crash, and where the line
/// ends in which a quote went wrong, to read the lines behind it.
enum CSVRows {
    /// What lies at the beginning of some bytes.
    enum Row: Equatable {
        /// A whole row; its line feed stands there.
        case whole(end: Int)
        /// A row with a quote where none may be, or one that is not at its end in as many bytes behind its first line as may be looked
        /// through. The line feed of its first line stands at `end`; up to `seen` was looked.
        case malformed(end: Int, seen: Int)
        /// The row is not at its end yet.
        case unfinished(hasOpenQuote: Bool)
    }

    private static let quote = UInt8(ascii: "\"")
    private static let comma = UInt8(ascii: ",")
    private static let lineFeed: UInt8 = 0x0A
    private static let carriageReturn: UInt8 = 0x0D

    private enum Place {
        case fieldStart
        case plain
        case quoted
        /// Behind a quote inside of quotes: it is the end, or the first of two that stand for one.
        case quoteInQuotes
    }

    /// The row that begins at `start`.
    ///
    /// - Parameter lookAheadBytes: of a row of several lines, as much is looked at behind the first one.
    static func row(
        _ bytes: UnsafeBufferPointer<UInt8>, from start: Int, lookAheadBytes: Int = .max
    ) -> Row {
        var place = Place.fieldStart
        var firstLineFeed: Int?
        var isMalformed = false
        var (index, end) = (start, bytes.count)
        while index < end {
            let byte = bytes[index]
            if byte == lineFeed {
                if firstLineFeed == nil {
                    firstLineFeed = index
                    if bytes.count - index > lookAheadBytes { end = index + 1 + lookAheadBytes }
                }
                // Outside of quotes it is the row's end; of a row that is wrong no later line belongs to it.
                if place != .quoted {
                    return isMalformed ? .malformed(end: firstLineFeed ?? index, seen: index) : .whole(end: index)
                }
            }
            switch place {
            case .fieldStart: place = byte == quote ? .quoted : byte == comma ? .fieldStart : .plain
            case .plain:
                if byte == comma { place = .fieldStart } else if byte == quote { isMalformed = true }
            case .quoted: if byte == quote { place = .quoteInQuotes }
            case .quoteInQuotes:
                switch byte {
                case quote: place = .quoted
                case comma: place = .fieldStart
                case carriageReturn: break
                default: (place, isMalformed) = (.plain, true)
                }
            }
            index += 1
        }
        if let firstLineFeed, end < bytes.count { return .malformed(end: firstLineFeed, seen: end) }
        return .unfinished(hasOpenQuote: place == .quoted)
    }

    /// Hands over the fields of one row without its line feed, in order.
    ///
    /// - Throws: ``FileFault`` where a quote stands where none may, or is not closed.
    static func fields(
        _ row: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) throws(FileFault) -> Void
    ) throws(FileFault) {
        var index = 0
        var unescaped: [UInt8] = []
        while true {
            if index < row.count, row[index] == quote {
                index = try quoted(row, from: index + 1, into: &unescaped)
                try lend(unescaped, body)
            } else {
                let start = index
                while index < row.count, row[index] != comma {
                    guard row[index] != quote else {
                        throw FileFault(.quote, "has a quote inside of a field that does not begin with one")
                    }
                    index += 1
                }
                try body(UnsafeBufferPointer(rebasing: row[start..<index]))
            }
            guard index < row.count else { return }
            index += 1
        }
    }

    /// - Returns: the place behind the closing quote.
    private static func quoted(
        _ row: UnsafeBufferPointer<UInt8>, from start: Int, into field: inout [UInt8]
    ) throws(FileFault) -> Int {
        field.removeAll(keepingCapacity: true)
        var index = start
        while index < row.count {
            if row[index] != quote {
                field.append(row[index])
                index += 1
            } else if index + 1 < row.count, row[index + 1] == quote {
                field.append(quote)
                index += 2
            } else {
                index += 1
                guard index == row.count || row[index] == comma else {
                    throw FileFault(.quote, "has something behind a closing quote")
                }
                return index
            }
        }
        throw FileFault(.quote, "has a quote that is not closed")
    }

    private static func lend(
        _ field: [UInt8], _ body: (UnsafeBufferPointer<UInt8>) throws(FileFault) -> Void
    ) throws(FileFault) {
        var fault: FileFault?
        field.withUnsafeBufferPointer { field in
            do throws(FileFault) { try body(field) } catch { fault = error }
        }
        if let fault { throw fault }
    }
}
