/// Walks the records of a batch as every reader of them does: each length is followed to its end.
struct RecordWalk {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    /// - Parameter bytes: the records, unpacked, without the batch's header.
    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// The smallest and the largest timestamp delta of exactly `count` records, which fill the bytes and whose offset deltas
    /// are 0, 1, 2…; nil where anything is otherwise. A reader that meets a length which leads elsewhere either fails for
    /// ever or takes the rest for a batch that is not whole yet, and waits for ever.
    static func timestampDeltas(_ bytes: UnsafeRawBufferPointer, count: Int) -> ClosedRange<Int64>? {
        var walk = RecordWalk(bytes)
        var (smallest, largest) = (Int64.max, Int64.min)
        for index in 0..<count {
            guard let delta = walk.next(offsetDelta: index) else { return nil }
            smallest = min(smallest, delta)
            largest = max(largest, delta)
        }
        guard walk.position == bytes.count, count > 0 else { return nil }
        return smallest...largest
    }

    /// Steps over the next record.
    ///
    /// - Returns: its timestamp delta; nil when it is unsound, or its offset delta is another than `offsetDelta`.
    @inline(__always)
    mutating func next(offsetDelta: Int) -> Int64? {
        guard let length = varint(before: bytes.count), length > 0, length <= bytes.count - position else { return nil }
        let end = position + length
        position += 1  // the record's attributes, unused
        guard let time = varlong(before: end), let delta = varint(before: end), delta == offsetDelta,
            skipField(before: end), skipField(before: end), let headers = varint(before: end), headers >= 0
        else { return nil }
        // Each header takes two bytes at least, so that a number that is made up ends at `end`.
        for _ in 0..<headers {
            guard let name = varint(before: end), name >= 0, name <= end - position else { return nil }
            position += name
            guard skipField(before: end) else { return nil }
        }
        return position == end ? time : nil
    }

    /// Steps over a key or a value; -1 stands for none.
    @inline(__always)
    private mutating func skipField(before end: Int) -> Bool {
        guard let length = varint(before: end), length >= -1, length <= end - position else { return false }
        position += max(length, 0)
        return true
    }

    /// A zigzag varint of up to 32 bits.
    @inline(__always)
    private mutating func varint(before end: Int) -> Int? {
        guard position < end else { return nil }
        let first = bytes[position]
        if first < 0x80 {
            position += 1
            return Int(first >> 1) ^ -Int(first & 1)
        }
        guard let wide = varlong(before: end) else { return nil }
        return Int32(exactly: wide).map(Int.init)
    }

    /// A zigzag varint of up to 64 bits.
    @inline(__always)
    private mutating func varlong(before end: Int) -> Int64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < end, shift < 64 {
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 {
                // The tenth byte has room for one bit.
                guard shift < 63 || byte <= 1 else { return nil }
                return Int64(bitPattern: (value >> 1) ^ (0 &- (value & 1)))
            }
            shift += 7
        }
        return nil
    }
}
