import Retrieval
import Zstd

/// What hits show of documents, in memory: a packed row for each, by the slot of its first passage.
///
/// Rows stand behind one another in blocks. Once there are some, those that follow are compressed with a dictionary made of them:
/// most of a row (names, lineage, parts of addresses) is as in others. A removed row leaves a hole; a block that is mostly holes
/// is emptied into the last one and given back.
///
/// Not thread-safe: who holds it lets one write or many read.
final class RowTable {
    private static let blockBytes = 1 << 18
    /// Of each row in a block: the slot (4 bytes), how many bytes follow (4 bytes).
    private static let headBytes = 8
    /// Rows are compressed once there are so many bytes of them: below it a compressor would take more than it saves.
    private static let plainBytesMax = 512 << 10
    private static let dictionaryBytesMax = 64 << 10
    /// Of a row that is unpacked.
    static let rowBytesMax = 256 << 20
    private enum Form {
        static let plain: UInt8 = 0
        static let compressed: UInt8 = 1
    }

    private var blocks: [[UInt8]] = []
    /// Bytes of rows that are there, by block.
    private var live: [Int] = []
    /// Blocks that were given back.
    private var free: [Int] = []
    private var last = -1
    /// By slot: the number of the block, plus 1, in the upper half, and where the row begins there; 0 for none.
    private var places: [UInt64] = []
    private(set) var dictionary: [UInt8] = []
    private var compressor: DictionaryCompressor?
    private var isCompressible = true
    private(set) var count = 0
    private var blockBytes = 0

    /// Bytes that it takes in memory.
    var memoryBytes: Int { blockBytes + 8 * places.capacity + dictionary.count + (compressor?.memoryBytes ?? 0) }

    func holds(_ slot: Int) -> Bool { slot < places.count && places[slot] != 0 }

    /// Adds a document's row, in place of what it has.
    ///
    /// - Parameter passages: of the document, in their order.
    func add(_ passages: [Candidate], at slot: Int) {
        remove(slot)
        let plain = PackedRow.packed(passages)
        var row = [Form.compressed]
        if isCompressing {
            do {
                try compress(plain, to: &row)
            } catch {
                row = []
            }
        }
        if row.count < 2 || row.count > plain.count { row = [Form.plain] + plain }
        append(row, of: slot)
        count += 1
    }

    /// A document's row as it stands here; nil where it has none.
    func packed(at slot: Int) -> ArraySlice<UInt8>? {
        guard holds(slot) else { return nil }
        let (block, start) = Self.parts(places[slot])
        let first = start + Self.headBytes
        return blocks[block][first..<(first + Int(blocks[block].littleEndian(at: start + 4)))]
    }

    /// Adds a row that stood in another table, whose dictionary comes with it.
    func add(packed row: [UInt8], at slot: Int) {
        guard !row.isEmpty, !holds(slot) else { return }
        append(row, of: slot)
        count += 1
    }

    /// Takes the dictionary of the rows that were added packed.
    func take(dictionary: [UInt8]) { if self.dictionary.isEmpty { self.dictionary = dictionary } }

    private func append(_ row: [UInt8], of slot: Int) {
        let size = Self.headBytes + row.count
        if last < 0 || blocks[last].count + size > Self.blockBytes { begin(size) }
        if slot >= places.count { places.append(contentsOf: repeatElement(0, count: slot + 1 - places.count)) }
        places[slot] = UInt64(last + 1) << 32 | UInt64(blocks[last].count)
        blocks[last].append(littleEndian: UInt32(slot))
        blocks[last].append(littleEndian: UInt32(row.count))
        blocks[last].append(contentsOf: row)
        live[last] += size
    }

    private func begin(_ size: Int) {
        var block: [UInt8] = []
        block.reserveCapacity(max(size, Self.blockBytes))
        blockBytes += block.capacity
        if let number = free.popLast() {
            (blocks[number], live[number], last) = (block, 0, number)
        } else {
            blocks.append(block)
            live.append(0)
            last = blocks.count - 1
        }
    }

    /// Takes a document's row away; nothing where there is none.
    func remove(_ slot: Int) {
        guard slot < places.count, places[slot] != 0 else { return }
        let (block, start) = Self.parts(places[slot])
        places[slot] = 0
        count -= 1
        live[block] -= Self.headBytes + Int(blocks[block].littleEndian(at: start + 4))
        if block != last, live[block] * 2 < blocks[block].count { empty(block) }
    }

    private func empty(_ number: Int) {
        let block = blocks[number]
        blockBytes -= block.capacity
        blocks[number] = []
        live[number] = 0
        free.append(number)
        var start = 0
        while start < block.count {
            let slot = Int(block.littleEndian(at: start))
            let row = start + Self.headBytes
            let end = row + Int(block.littleEndian(at: start + 4))
            if places[slot] == UInt64(number + 1) << 32 | UInt64(start) { append(Array(block[row..<end]), of: slot) }
            start = end
        }
    }

    private static func parts(_ place: UInt64) -> (block: Int, start: Int) {
        (Int(place >> 32) - 1, Int(place & 0xffff_ffff))
    }

    /// A document's row as ``PackedRow`` reads it.
    ///
    /// - Parameters:
    ///   - slot: of the document's first passage.
    ///   - bytesMax: the most that may come out.
    /// - Returns: nil where there is no row, or it cannot be read, or is larger.
    func unpacked(at slot: Int, _ decompressor: inout Decompressor, bytesMax: Int = rowBytesMax) -> [UInt8]? {
        guard let row = packed(at: slot), let form = row.first else { return nil }
        guard form == Form.compressed else { return row.count - 1 <= bytesMax ? Array(row.dropFirst()) : nil }
        return row.dropFirst().withUnsafeBytes { row in
            dictionary.withUnsafeBytes { dictionary in
                try? decompressor.decompress(row, dictionary: dictionary, bytesMax: bytesMax)
            }
        }
    }

    // MARK: Compression

    private var isCompressing: Bool {
        if compressor != nil { return true }
        guard blockBytes >= Self.plainBytesMax || !dictionary.isEmpty, isCompressible else { return false }
        if dictionary.isEmpty { dictionary = sample() }
        do throws(ZstdError) {
            compressor = try DictionaryCompressor(dictionary)
        } catch {
            isCompressible = false
            return false
        }
        return true
    }

    private func compress(_ plain: [UInt8], to row: inout [UInt8]) throws {
        var output = row
        try plain.withUnsafeBytes { try compressor?.compressFrame($0, appendingTo: &output) }
        row = output
    }

    /// Some rows, spread over all. The first byte is none that zstd's own dictionaries begin with.
    private func sample() -> [UInt8] {
        var sample: [UInt8] = [0]
        let share = max(1, live.reduce(0, +) / Self.dictionaryBytesMax)
        for block in blocks {
            var (start, number) = (0, 0)
            while start < block.count {
                let first = start + Self.headBytes
                let end = first + Int(block.littleEndian(at: start + 4))
                if number % share == 0, sample.count + end - first <= Self.dictionaryBytesMax {
                    sample.append(contentsOf: block[(first + 1)..<end])
                }
                (start, number) = (end, number + 1)
            }
        }
        return sample
    }
}

extension [UInt8] {
    mutating func append(littleEndian value: UInt32) {
        for shift in stride(from: UInt32(0), to: 32, by: 8) { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    /// Four bytes as a number.
    func littleEndian(at index: Int) -> UInt32 {
        UInt32(self[index]) | UInt32(self[index + 1]) << 8 | UInt32(self[index + 2]) << 16
            | UInt32(self[index + 3]) << 24
    }
}
