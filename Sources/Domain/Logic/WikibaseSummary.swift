/// The automatic summaries of Wikibase and its client, which stand in a comment as a message's name and its arguments:
/// `/* wbsetlabel-add:1|de */ Rhein` is "Added de label: Rhein".
///
/// Wikis show the message in the reader's language; here it is always English, after Wikibase's own texts
/// (https://github.com/wikimedia/mediawiki-extensions-Wikibase, repo/i18n/en.json).
enum WikibaseSummary {
    private static let nameBytesMax = 64
    /// Arguments are titles of pages, two at most.
    private static let bytesMax = 1_024
    private static let argumentsMax = 5

    /// Writes the words of the summary at the comment's start.
    ///
    /// - Returns: the place behind its mark, or nil where there is no summary that is known.
    static func write(_ comment: CommentBytes, to line: inout CleanLine) -> Int? {
        var place = 0
        while comment.byte(place) == 0x20 { place += 1 }
        guard comment.byte(place) == UInt8(ascii: "/"), comment.byte(place + 1) == UInt8(ascii: "*") else { return nil }
        place += 2
        while comment.byte(place) == 0x20 { place += 1 }
        let start = place
        var hash = Self.hashStart
        while place - start < nameBytesMax, isNameByte(comment.byte(place)) {
            hash = Self.hash(hash, comment.byte(place))
            place += 1
        }
        let name = UnsafeBufferPointer(start: comment.source + start, count: place - start)
        guard name.count > 2, comment.byte(place) == UInt8(ascii: ":"), isDigit(comment.byte(place + 1)) else {
            return nil
        }
        let row = table.row(hash, name)
        guard row != nil || name.starts(with: [UInt8(ascii: "w"), UInt8(ascii: "b")]) else { return nil }
        var ends = InlineArray<5, Int>(repeating: 0)
        guard let end = arguments(from: place + 1, in: comment, ends: &ends) else { return nil }
        if let row {
            write(row.words, arguments: place + 1, ends, comment, to: &line)
        } else {
            // A message of later versions: its name says something, too.
            for byte in name { if byte == UInt8(ascii: "-") { line.space() } else { line.append(byte) } }
        }
        return end
    }

    /// - Parameter ends: gets the end of each argument; those that are absent are empty.
    /// - Returns: the place behind `*/`.
    private static func arguments(
        from begin: Int, in comment: CommentBytes, ends: inout InlineArray<5, Int>
    ) -> Int? {
        var number = 0
        for place in begin..<max(begin, min(comment.count, begin + bytesMax)) {
            let isEnd = comment.byte(place) == UInt8(ascii: "*") && comment.byte(place + 1) == UInt8(ascii: "/")
            guard isEnd || comment.byte(place) == UInt8(ascii: "|") else { continue }
            if number < argumentsMax { ends[number] = place }
            number += 1
            guard isEnd else { continue }
            // An absent one begins where the one before it ends, as if there were a bar.
            for absent in min(number, argumentsMax)..<argumentsMax { ends[absent] = ends[absent - 1] + 1 }
            return place + 2
        }
        return nil
    }

    /// Writes `words`, in which `$1` to `$5` stand for arguments.
    private static func write(
        _ words: StaticString, arguments begin: Int, _ ends: InlineArray<5, Int>, _ comment: CommentBytes,
        to line: inout CleanLine
    ) {
        var index = 0
        while index < words.utf8CodeUnitCount {
            let byte = words.utf8Start[index]
            index += 1
            if byte == UInt8(ascii: "$"), index < words.utf8CodeUnitCount {
                let number = Int(words.utf8Start[index] &- UInt8(ascii: "1"))
                index += 1
                guard number < argumentsMax else { continue }
                let start = number == 0 ? begin : ends[number - 1] + 1
                if ends[number] > start { line.appendFolded(comment.source + start, ends[number] - start) }
            } else if byte == 0x20 {
                line.space()
            } else {
                line.append(byte)
            }
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || isDigit(byte) || byte == UInt8(ascii: "-")
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    // FNV-1a.
    fileprivate static let hashStart: UInt32 = 0x811C_9DC5
    fileprivate static func hash(_ hash: UInt32, _ byte: UInt8) -> UInt32 { (hash ^ UInt32(byte)) &* 0x0100_0193 }

    private static let table = Table()

    /// The rows by the hash of their names, so that looking one up allocates nothing.
    private struct Table {
        private static let size = 512
        private var places = [UInt8](repeating: .max, count: size)

        init() {
            for (number, row) in WikibaseSummary.rows.enumerated() {
                var hash = WikibaseSummary.hashStart
                for offset in 0..<row.name.utf8CodeUnitCount {
                    hash = WikibaseSummary.hash(hash, row.name.utf8Start[offset])
                }
                var place = Int(hash) & (Self.size - 1)
                while places[place] != .max { place = (place + 1) & (Self.size - 1) }
                places[place] = UInt8(truncatingIfNeeded: number)
            }
        }

        func row(_ hash: UInt32, _ name: UnsafeBufferPointer<UInt8>) -> Row? {
            var place = Int(hash) & (Self.size - 1)
            while places[place] != .max {
                let row = WikibaseSummary.rows[Int(places[place])]
                let rowName = UnsafeBufferPointer(start: row.name.utf8Start, count: row.name.utf8CodeUnitCount)
                if rowName.elementsEqual(name) { return row }
                place = (place + 1) & (Self.size - 1)
            }
            return nil
        }
    }
}
