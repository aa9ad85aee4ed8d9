/// A text in normal form KC as UTF-16, without characters that are not shown; each unit with the bytes that it came from.
struct NormalizedText {
    /// Of more than this many bytes of a text, no words are made.
    static let bytesMax = 1 << 20
    /// Marks on one character that are normalized together; more of them would take time by their square.
    private static let segmentUnitsMax = 64
    /// More marks on one character are left out: no language has more, and a word of a million would take hours.
    private static let marksMax = 30

    private(set) var units: [UInt16] = []
    /// Whether no character was left out, so that the units are in normal form KC as they stand.
    private(set) var isWhole = true
    /// Marks since the last other character.
    private var marks = 0
    /// Empty where every unit is its byte.
    private var starts: [Int32] = []
    private var stops: [Int32] = []
    private var raw: [UInt16] = []
    private var rawStarts: [Int32] = []
    private var segment: [UInt16] = []

    /// The bytes of the units from `start` to `end`, which are not none.
    func range(_ start: Int, _ end: Int) -> Range<Int> {
        starts.isEmpty ? start..<end : Int(starts[start])..<max(Int(starts[start]), Int(stops[end - 1]))
    }

    /// Takes a text's bytes.
    ///
    /// - Parameter isPlainFast: whether ASCII goes past ICU.
    mutating func read(
        _ bytes: UnsafeBufferPointer<UInt8>, forms: NormalForms, table: CharacterTable, isPlainFast: Bool
    ) {
        units.removeAll(keepingCapacity: true)
        isWhole = true
        marks = 0
        starts.removeAll(keepingCapacity: true)
        stops.removeAll(keepingCapacity: true)
        var count = bytes.count
        if count > Self.bytesMax {
            count = Self.bytesMax
            while bytes[count] & 0xC0 == 0x80 { count -= 1 }
        }
        let bytes = UnsafeBufferPointer(rebasing: bytes[..<count])
        if isPlainFast && bytes.allSatisfy({ $0 < 0x80 }) {
            units.append(contentsOf: bytes.lazy.map { UInt16($0) })
            return
        }
        decode(bytes)
        normalize(forms, table)
    }

    /// Fills `raw` and `rawStarts`, which has one more. The bytes are a String's, hence UTF-8 beyond doubt.
    private mutating func decode(_ bytes: UnsafeBufferPointer<UInt8>) {
        let count = bytes.count
        raw.removeAll(keepingCapacity: true)
        rawStarts.removeAll(keepingCapacity: true)
        raw.reserveCapacity(bytes.count)
        rawStarts.reserveCapacity(bytes.count + 1)
        var place = 0
        while place < count {
            let lead = bytes[place]
            let width = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
            var scalar = width == 1 ? UInt32(lead) : UInt32(lead) & (0x7F >> UInt32(width))
            for next in 1..<width { scalar = scalar << 6 | UInt32(bytes[place + next] & 0x3F) }
            if scalar < 0x10000 {
                raw.append(UInt16(truncatingIfNeeded: scalar))
            } else {
                raw.append(UInt16(truncatingIfNeeded: 0xD7C0 + (scalar >> 10)))
                raw.append(UInt16(truncatingIfNeeded: 0xDC00 | (scalar & 0x3FF)))
                rawStarts.append(Int32(place))
            }
            rawStarts.append(Int32(place))
            place += width
        }
        rawStarts.append(Int32(place))
    }

    private mutating func normalize(_ forms: NormalForms, _ table: CharacterTable) {
        let raw = self.raw
        var place = 0
        while place < raw.count {
            let normal = raw[place...].withUnsafeBufferPointer { forms.normalPrefix($0) }
            copy(raw, from: place, to: place + normal, table)
            place += normal
            guard place < raw.count else { break }
            var end = place + raw.scalar(at: place).width
            while end < raw.count, end - place < Self.segmentUnitsMax {
                let (scalar, width) = raw.scalar(at: end)
                if forms.isBoundary(scalar) { break }
                end += width
            }
            segment.removeAll(keepingCapacity: true)
            raw[place..<end].withUnsafeBufferPointer { forms.append($0, in: forms.compatible, to: &segment) }
            append(segment, from: place, to: end, table)
            place = end
        }
    }

    /// Units that are normal already.
    private mutating func copy(_ raw: [UInt16], from start: Int, to end: Int, _ table: CharacterTable) {
        var place = start
        while place < end {
            let (scalar, width) = raw.scalar(at: place)
            if isKept(table.kind(scalar)) {
                for unit in place..<place + width {
                    units.append(raw[unit])
                    starts.append(rawStarts[place])
                    stops.append(rawStarts[place + width])
                }
            }
            place += width
        }
    }

    /// What became of the units from `start` to `end`.
    private mutating func append(_ normal: [UInt16], from start: Int, to end: Int, _ table: CharacterTable) {
        var place = 0
        while place < normal.count {
            let (scalar, width) = normal.scalar(at: place)
            if isKept(table.kind(scalar)) {
                for unit in place..<place + width {
                    units.append(normal[unit])
                    starts.append(rawStarts[start])
                    stops.append(rawStarts[end])
                }
            }
            place += width
        }
    }

    private mutating func isKept(_ kind: CharacterClass) -> Bool {
        marks = kind == .mark ? marks + 1 : 0
        let isKept = kind != .ignorable && marks <= Self.marksMax
        if !isKept { isWhole = false }
        return isKept
    }
}
