import CIsal
import CLZFrame
import CSnappy
import CZstd

/// Unpacks what Kafka's clients pack into a record batch, with the least that every reader of them agrees on: one
/// gzip member, one LZ4 frame of independent blocks, one zstd frame, raw snappy or the framing of Java's snappy, and no
/// byte behind. Sums that the formats carry are checked.
///
/// The memory for the output and the libraries' contexts are kept from call to call, so that a steady stream of batches
/// allocates nothing. Not thread-safe, hence not copyable.
package struct PayloadDecompressor: ~Copyable {
    /// The numbers are those of a batch's attributes.
    package enum Codec: Int16, Sendable, CaseIterable {
        case gzip = 1
        case snappy, lz4, zstd
    }

    /// Why nothing came out.
    package enum Failure: Error, Sendable {
        /// No payload of this codec, or one that not every reader would read.
        case malformed
        /// More would come out than is allowed.
        case tooLarge
        case outOfMemory
    }

    private var output = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var inflate: UnsafeMutableRawPointer?
    private var lz4: OpaquePointer?
    private var zstd: OpaquePointer?
    /// Memory beyond is given back after the call.
    private static let keptBytesMax = 8 << 20
    /// Most outputs fit into this at once.
    private static let firstBytes = 1 << 16

    package init() {}

    deinit {
        output.deallocate()
        medallion_gunzip_free(inflate)
        LZ4F_freeDecompressionContext(lz4)
        ZSTD_freeDCtx(zstd)
    }

    /// Unpacks `source` and lends what came out to `body`.
    ///
    /// - Parameter bytesMax: the most that may come out; a payload that would give more is refused after that much work.
    package mutating func decompress<Result>(
        _ source: UnsafeRawBufferPointer, _ codec: Codec, bytesMax: Int, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(Failure) -> Result {
        defer { giveBack() }
        let count =
            switch codec {
            case .gzip: try gunzip(source, bytesMax)
            case .snappy: try unsnap(source, bytesMax)
            case .lz4: try unpackLZ4(source, bytesMax)
            case .zstd: try unpackZstd(source, bytesMax)
            }
        return body(UnsafeRawBufferPointer(rebasing: output[..<count]))
    }

    // MARK: Memory

    /// Makes room for `count` bytes, of which the first `kept` are kept.
    private mutating func makeRoom(for count: Int, keeping kept: Int = 0) {
        guard output.count < count else { return }
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(count, Self.firstBytes), alignment: MemoryLayout<UInt64>.alignment)
        if kept > 0 { larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: output[..<kept])) }
        output.deallocate()
        output = larger
    }

    private mutating func giveBack() {
        guard output.count > Self.keptBytesMax else { return }
        output.deallocate()
        output = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    // MARK: Codecs

    private mutating func gunzip(_ source: UnsafeRawBufferPointer, _ bytesMax: Int) throws(Failure) -> Int {
        // A header of 10 bytes, a trailer of 8, whose last four tell the size of what is packed.
        guard source.count > 18, source[0] == 0x1f, source[1] == 0x8b else { throw .malformed }
        let size = Int(source.littleEndian(at: source.count - 4))
        // The format packs 258 bytes into two bits at best.
        guard size <= source.count * 1_040 else { throw .malformed }
        guard size <= bytesMax else { throw .tooLarge }
        if inflate == nil { inflate = medallion_gunzip_state() }
        guard let inflate else { throw .outOfMemory }
        makeRoom(for: size + 1)
        let bytes = source.assumingMemoryBound(to: UInt8.self)
        let room = output.assumingMemoryBound(to: UInt8.self)
        guard let from = bytes.baseAddress, let to = room.baseAddress else { throw .outOfMemory }
        let count = medallion_gunzip(inflate, from, bytes.count, to, size + 1)
        guard count == size else { throw .malformed }
        return size
    }

    /// What precedes each payload of snappy-java: a magic word, a version, the oldest compatible version. Then come
    /// blocks, each with its length (big-endian) in front.
    private static let javaMagic: [UInt8] = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]
    private static let javaHeaderBytes = 16

    private mutating func unsnap(_ source: UnsafeRawBufferPointer, _ bytesMax: Int) throws(Failure) -> Int {
        guard source.count >= Self.javaHeaderBytes, source.prefix(8).elementsEqual(Self.javaMagic) else {
            return try unsnapBlock(source, at: 0, bytesMax)
        }
        var position = Self.javaHeaderBytes
        var count = 0
        while position < source.count {
            guard source.count - position >= 4 else { throw .malformed }
            let length = Int(source.littleEndian(at: position).byteSwapped)
            position += 4
            guard length <= source.count - position else { throw .malformed }
            let block = UnsafeRawBufferPointer(rebasing: source[position..<position + length])
            count = try unsnapBlock(block, at: count, bytesMax)
            position += length
        }
        return count
    }

    /// - Returns: where the output ends then.
    private mutating func unsnapBlock(
        _ block: UnsafeRawBufferPointer, at start: Int, _ bytesMax: Int
    ) throws(Failure) -> Int {
        let bytes = block.assumingMemoryBound(to: CChar.self)
        var size = 0
        guard let from = bytes.baseAddress, snappy_uncompressed_length(from, bytes.count, &size) == SNAPPY_OK else {
            throw .malformed
        }
        // The format packs 64 bytes into three at best.
        guard size <= bytes.count * 64 else { throw .malformed }
        guard size <= bytesMax - start else { throw .tooLarge }
        makeRoom(for: max(start + size, min(bytesMax, 2 * start)), keeping: start)
        guard let to = output.baseAddress else { throw .outOfMemory }
        let room = (to + start).assumingMemoryBound(to: CChar.self)
        guard snappy_uncompress(from, bytes.count, room, &size) == SNAPPY_OK else { throw .malformed }
        return start + size
    }

    private mutating func unpackLZ4(_ source: UnsafeRawBufferPointer, _ bytesMax: Int) throws(Failure) -> Int {
        // The magic word, then flags: version 1, independent blocks (Java's client reads no others), no dictionary.
        guard source.count >= 7, source.littleEndian(at: 0) == 0x184d_2204, source[4] & 0b1110_0001 == 0b0110_0000
        else { throw .malformed }
        if lz4 == nil { LZ4F_createDecompressionContext(&lz4, UInt32(LZ4F_VERSION)) }
        guard let lz4, let from = source.baseAddress else { throw .outOfMemory }
        LZ4F_resetDecompressionContext(lz4)
        makeRoom(for: min(bytesMax, max(Self.firstBytes, source.count * 4)))
        var position = 0
        var count = 0
        while true {
            guard let to = output.baseAddress else { throw .outOfMemory }
            var taken = source.count - position
            // Never more than allowed, however large the memory from earlier calls.
            let room = min(output.count, bytesMax) - count
            var given = room
            let hint = LZ4F_decompress(lz4, to + count, &given, from + position, &taken, nil)
            guard LZ4F_isError(hint) == 0 else { throw .malformed }
            position += taken
            count += given
            if hint == 0 { break }
            if given == room {
                guard count < bytesMax else { throw .tooLarge }
                makeRoom(for: min(bytesMax, 2 * count), keeping: count)
            } else if position == source.count {
                throw .malformed
            }
        }
        guard position == source.count else { throw .malformed }
        return count
    }

    private mutating func unpackZstd(_ source: UnsafeRawBufferPointer, _ bytesMax: Int) throws(Failure) -> Int {
        guard source.count >= 9, source.littleEndian(at: 0) == 0xfd2f_b528 else { throw .malformed }
        // Readers that work on streams refuse windows above 128 MiB. Without the flag for one segment the sixth byte
        // tells the window: an exponent and a mantissa.
        if source[4] & 0x20 == 0, source[5] > 17 << 3 { throw .malformed }
        guard ZSTD_findFrameCompressedSize(source.baseAddress, source.count) == source.count else { throw .malformed }
        if zstd == nil { zstd = ZSTD_createDCtx() }
        guard let zstd else { throw .outOfMemory }
        let told = ZSTD_getFrameContentSize(source.baseAddress, source.count)
        // The two largest values stand for "unknown" and "error".
        let isTold = told < UInt64.max - 1
        guard !isTold || told <= UInt64(bytesMax) else { throw .tooLarge }
        makeRoom(for: isTold ? Int(told) : min(bytesMax, max(Self.firstBytes, source.count * 4)))
        while true {
            let room = min(output.count, bytesMax)
            let code = ZSTD_decompressDCtx(zstd, output.baseAddress, room, source.baseAddress, source.count)
            if ZSTD_isError(code) == 0 { return code }
            guard ZSTD_getErrorCode(code) == ZSTD_error_dstSize_tooSmall, !isTold else { throw .malformed }
            guard room < bytesMax else { throw .tooLarge }
            makeRoom(for: min(bytesMax, 4 * room))
        }
    }
}

extension UnsafeRawBufferPointer {
    /// The 32-bit number at `position`, which the caller has checked to be inside.
    fileprivate func littleEndian(at position: Int) -> UInt32 {
        UInt32(littleEndian: loadUnaligned(fromByteOffset: position, as: UInt32.self))
    }
}
