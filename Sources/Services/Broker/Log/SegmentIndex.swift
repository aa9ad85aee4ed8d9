import Files
import Glibc

/// Where one batch of a segment starts; kept for about every 16 KiB of a segment.
struct IndexEntry: Equatable, Sendable {
    /// Offset of the batch, less the segment's base offset.
    var relativeOffset: UInt32
    /// The batch's first byte in the segment.
    var position: UInt32
    /// The largest broker time of the batches before this one in the segment (milliseconds since 1970), or Int64.min.
    var timestampBefore: Int64

    static let byteCount = 16
}

extension IndexEntry {
    /// The entry of a batch; nil where its offset or place is too far from the segment's beginning to be told: it is then
    /// found from the entry before.
    init?(_ header: RecordBatchHeader, in file: SegmentFile, at position: Int, after timestampMax: Int64) {
        guard let relative = UInt32(exactly: header.baseOffset - file.baseOffset), let place = UInt32(exactly: position)
        else { return nil }
        self.init(relativeOffset: relative, position: place, timestampBefore: timestampMax)
    }

    /// What to look for to find `offset` in a segment that begins with `base`.
    static func relative(_ offset: Int64, to base: Int64) -> UInt32 { UInt32(clamping: offset - base) }
}

/// What is written beside a segment when the next one begins, so that a start need not read the segment again: its
/// sparse index, its bounds, and the producers known at its end.
///
/// `<base offset>.seal`: "MEDSEAL1", then little-endian; the CRC-32C of everything before ends the file.
struct SegmentSeal: Equatable, Sendable {
    var baseOffset: Int64
    /// The next segment's base offset.
    var endOffset: Int64
    var byteCount: Int
    /// The largest broker time in the segment, Int64.min if it is empty.
    var timestampMax: Int64
    var entries: [IndexEntry]
    var producers: ProducerStates

    private static let magic: UInt64 = 0x314C_4145_5344_454D  // "MEDSEAL1", little-endian
    static let suffix = ".seal"
    /// Bytes before the first index entry.
    static let headerBytes = 8 + 8 + 8 + 8 + 8 + 4

    func encoded() -> [UInt8] {
        var bytes = LittleEndianBytes()
        bytes.append(Self.magic)
        bytes.append(baseOffset)
        bytes.append(endOffset)
        bytes.append(Int64(byteCount))
        bytes.append(timestampMax)
        bytes.append(UInt32(entries.count))
        for entry in entries {
            bytes.append(entry.relativeOffset)
            bytes.append(entry.position)
            bytes.append(entry.timestampBefore)
        }
        producers.encode(to: &bytes)
        bytes.appendSum()
        return bytes.bytes
    }

    init(
        baseOffset: Int64, endOffset: Int64, byteCount: Int, timestampMax: Int64, entries: [IndexEntry],
        producers: ProducerStates
    ) {
        self.baseOffset = baseOffset
        self.endOffset = endOffset
        self.byteCount = byteCount
        self.timestampMax = timestampMax
        self.entries = entries
        self.producers = producers
    }

    /// Reads a seal; nil when it is cut off, damaged, of another kind, or its index is not in order.
    init?(decoding bytes: [UInt8]) {
        guard LittleEndianReader.hasSoundSum(bytes) else { return nil }
        var reader = LittleEndianReader(bytes, to: bytes.count - 4)
        guard let magic: UInt64 = reader.next(), magic == Self.magic, let base: Int64 = reader.next(),
            let end: Int64 = reader.next(), let byteCount: Int64 = reader.next(), let time: Int64 = reader.next(),
            let count: UInt32 = reader.next(), Int(count) <= reader.remaining / IndexEntry.byteCount
        else { return nil }
        var entries: [IndexEntry] = []
        entries.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let relative: UInt32 = reader.next(), let position: UInt32 = reader.next(),
                let before: Int64 = reader.next()
            else { return nil }
            // A look-up halves the row. Offsets beyond 32 bits once made a row that is not one.
            if let last = entries.last, last.relativeOffset >= relative || last.position >= position { return nil }
            entries.append(IndexEntry(relativeOffset: relative, position: position, timestampBefore: before))
        }
        guard let producers = ProducerStates(decoding: &reader), reader.remaining == 0 else { return nil }
        self.init(
            baseOffset: base, endOffset: end, byteCount: Int(byteCount), timestampMax: time, entries: entries,
            producers: producers)
    }
}

/// A segment that is complete: its bounds in memory, its index left in the seal file, its files opened when needed.
struct SealedSegment: Equatable, Sendable {
    var baseOffset: Int64
    var endOffset: Int64
    var byteCount: Int
    var timestampMax: Int64
    var entryCount: Int
}

/// The index entries of one segment, in memory or in its seal file.
enum SegmentIndex {
    case memory([IndexEntry])
    /// Path of the seal and its number of entries: a look-up costs a dozen reads of 16 bytes from the page cache, so
    /// that old segments need no memory.
    case seal(path: String, count: Int)

    /// The last entry for which `isAtOrBefore` holds, given that it holds for a prefix; nil if for none.
    func last(where isAtOrBefore: (IndexEntry) -> Bool) throws(FileError) -> IndexEntry? {
        switch self {
        case .memory(let entries):
            let after = entries.partitionPoint { !isAtOrBefore($0) }
            return after == 0 ? nil : entries[after - 1]
        case .seal(let path, let count):
            let file = try File(path, .read)
            var (low, high) = (0, count)
            var found: IndexEntry?
            while low < high {
                let middle = (low + high) / 2
                let entry = try Self.entry(middle, in: file)
                if isAtOrBefore(entry) {
                    found = entry
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            return found
        }
    }

    private static func entry(_ index: Int, in file: borrowing File) throws(FileError) -> IndexEntry {
        let position = SegmentSeal.headerBytes + index * IndexEntry.byteCount
        var reader = LittleEndianReader(try file.read(at: position, count: IndexEntry.byteCount))
        guard let relative: UInt32 = reader.next(), let start: UInt32 = reader.next(), let before: Int64 = reader.next()
        else { throw FileError("read", file.path, code: EIO) }
        return IndexEntry(relativeOffset: relative, position: start, timestampBefore: before)
    }
}

extension Array {
    /// The index of the first element for which `belongsAfter` holds, given that it holds for a suffix.
    func partitionPoint(_ belongsAfter: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if belongsAfter(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
