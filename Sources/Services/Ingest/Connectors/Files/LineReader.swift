import Files
import Glibc
import Gzip
import Zstd

/// What was read of a file so far in 16 bytes, whose making can be interrupted and gone on with later.
///
/// Two FNV-1a sums with different primes (http://www.isthe.com/chongo/tech/comp/fnv/). It tells whether a file still begins as it did; it
/// is no protection against somebody who writes files to meet it.
struct ContentSum: Equatable, Sendable {
    var high: UInt64 = 0xCBF2_9CE4_8422_2325
    var low: UInt64 = 0x9E37_79B9_7F4A_7C15

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var (high, low) = (high, low)
        for byte in bytes {
            high = (high ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
            low = (low ^ UInt64(byte)) &* 0x9E37_79B9_7F4A_7C55
            low ^= low >> 29
        }
        (self.high, self.low) = (high, low)
    }
}

/// How a file's lines are packed, by its name.
enum FilePacking: CaseIterable {
    case none, gzip, zstd

    /// Nil for a file that is none of ours.
    init?(path: String) {
        let name = path.split(separator: "/").last ?? ""
        // Names with a dot at their beginning are what editors and copying tools write before a file is whole.
        guard !name.hasPrefix("."), let packing = Self.allCases.first(where: { path.hasSuffix($0.suffix) }) else {
            return nil
        }
        self = packing
    }

    private var suffix: String {
        switch self {
        case .none: ".jsonl"
        case .gzip: ".jsonl.gz"
        case .zstd: ".jsonl.zst"
        }
    }
}

/// Reads a file line by line, unpacked, in constant memory. Offsets count unpacked bytes. Confined to one lane.
final class LineReader {
    /// What comes next in a file.
    enum Piece {
        /// A whole line without its line feed.
        case line([UInt8])
        /// A line that is longer than allowed, passed by.
        case oversized
        /// Nothing yet: a long line or a long unpacked part is being skipped; the next call continues.
        case more
        /// The file's present end.
        case end
    }

    private static let chunkBytes = 1 << 18
    /// Bytes that one call passes by at most.
    private static let passedBytesMax = 1 << 23

    let file: File
    private let packing: FilePacking
    private var rawOffset = 0
    /// Packed bytes that were read and not unpacked yet.
    private var raw: [UInt8] = []
    private var rawStart = 0
    private var inflate: InflateStream?
    private var zstd: StreamDecompressor?
    /// Whether a gzip member has begun and not ended.
    private var hasMember = false
    /// Whether the unpacker may hold more, because its last piece was full.
    private var holdsMore = false
    private var buffer: [UInt8] = []
    private var start = 0
    private var searched = 0
    private var isPassing = false

    /// Where the line begins that comes next.
    private(set) var lineStart: Int64 = 0
    /// How far the file was read; the line's start but for a line that is being passed by.
    private(set) var offset: Int64 = 0
    /// Of everything before ``offset``.
    private(set) var sum = ContentSum()
    /// Of the last whole line with its line feed; only of files that are not packed.
    private(set) var lastLineSum = ContentSum()
    private var lineSum = ContentSum()

    /// - Throws: `FileError`, `ZstdError`; ``FilesConnectorError`` where memory is out.
    init(path: String, packing: FilePacking) throws {
        file = try File(path, .read)
        self.packing = packing
        switch packing {
        case .none: break
        case .gzip:
            inflate = InflateStream(.gzip)
            if inflate == nil { throw FilesConnectorError("no memory to unpack \(path)") }
        // 128 MiB is what `zstd --ultra -22 --long` asks for; more is refused.
        case .zstd: zstd = try StreamDecompressor(windowBytesLog: 27)
        }
    }

    /// Continues an unpacked file behind the bytes that were read before.
    func resume(at offset: Int64, sum: ContentSum) {
        rawOffset = Int(offset)
        (self.offset, lineStart) = (offset, offset)
        self.sum = sum
    }

    /// Reads on to `target` without looking for lines.
    ///
    /// - Returns: nil where the next call continues; false where the file ends before.
    func pass(to target: Int64) throws -> Bool? {
        var passed = 0
        while offset < target {
            if start == buffer.count, try !fill() { return false }
            let count = min(Int64(buffer.count - start), target - offset)
            consume(Int(count))
            passed += Int(count)
            if passed >= Self.passedBytesMax, offset < target { return nil }
        }
        endLine()
        searched = start
        return true
    }

    /// The next line.
    func next(lineBytesMax: Int) throws -> Piece {
        var passed = 0
        while true {
            if let end = lineFeed() {
                // Four for a carriage return and the mark at a file's beginning, which are not the line's.
                let isOversized = isPassing || end - start > lineBytesMax + 4
                let line = isOversized ? [] : Array(buffer[start..<end])
                consume(end + 1 - start)
                endLine()
                isPassing = false
                return isOversized ? .oversized : .line(line)
            }
            if isPassing || buffer.count - start > lineBytesMax + 4 {
                passed += buffer.count - start
                consume(buffer.count - start)
                isPassing = true
                if passed >= Self.passedBytesMax { return .more }
            }
            if try !fill() { return .end }
        }
    }

    /// Whether the file's end is a whole line's, whole packed member's, or whole frame's end.
    var isAtWholeEnd: Bool {
        guard start == buffer.count, !isPassing else { return false }
        return isUnpackedWhole
    }

    /// Whether nothing is missing of what is packed.
    private var isUnpackedWhole: Bool {
        switch packing {
        case .none: true
        case .gzip: !hasMember && rawStart == raw.count
        case .zstd: (zstd?.isAtFrameEnd ?? true) && rawStart == raw.count
        }
    }

    /// What stands behind the last line feed, for a file that is at its end; nil where there is nothing, or not all of it.
    func rest() -> [UInt8]? {
        guard !isPassing, start < buffer.count, isUnpackedWhole else { return nil }
        return Array(buffer[start...])
    }

    /// Takes ``rest()`` as a line.
    func takeRest() {
        consume(buffer.count - start)
        endLine()
    }

    private func endLine() {
        lineStart = offset
        lastLineSum = lineSum
        lineSum = ContentSum()
    }

    private func lineFeed() -> Int? {
        let from = max(start, searched)
        let found = buffer.withUnsafeBytes { bytes -> Int? in
            guard from < bytes.count, let base = bytes.baseAddress,
                let place = memchr(base + from, 0x0A, bytes.count - from)
            else { return nil }
            return UnsafeRawPointer(place) - base
        }
        searched = found ?? buffer.count
        return found
    }

    private func consume(_ count: Int) {
        guard count > 0 else { return }
        buffer.withUnsafeBytes { bytes in
            let taken = UnsafeRawBufferPointer(rebasing: bytes[start..<start + count])
            sum.add(taken)
            if packing == .none { lineSum.add(taken) }
        }
        start += count
        offset += Int64(count)
        searched = max(searched, start)
    }

    /// Puts the next bytes behind those in the buffer; false at the file's end.
    private func fill() throws -> Bool {
        if start > 0 {
            buffer.removeFirst(start)
            searched = max(0, searched - start)
            start = 0
        }
        if packing == .none {
            let bytes = try file.read(at: rawOffset, count: Self.chunkBytes)
            rawOffset += bytes.count
            buffer.append(contentsOf: bytes)
            return !bytes.isEmpty
        }
        while true {
            if rawStart == raw.count, !holdsMore {
                raw = try file.read(at: rawOffset, count: Self.chunkBytes)
                rawStart = 0
                rawOffset += raw.count
                if raw.isEmpty { return false }
            }
            let before = buffer.count
            if packing == .gzip { try unpackGzip() } else { try unpackZstd() }
            if buffer.count > before { return true }
        }
    }

    private func unpackGzip() throws {
        hasMember = true
        let count: Int
        do {
            count = try raw.withUnsafeBytes { bytes in try inflate?.step(bytes, from: &rawStart) ?? 0 }
        } catch {
            throw FilesConnectorError("its gzip data is damaged")
        }
        inflate?.withPiece(count) { buffer.append(contentsOf: $0) }
        holdsMore = count == InflateStream.pieceBytes
        guard inflate?.isDone == true else { return }
        holdsMore = false
        // A file of several members reads as one (RFC 1952, 2.2).
        let behind = inflate?.bytesBehind() ?? []
        raw.replaceSubrange(..<rawStart, with: behind)
        rawStart = 0
        hasMember = false
        inflate?.begin(.gzip)
    }

    private func unpackZstd() throws {
        let count = try raw.withUnsafeBytes { bytes in try zstd?.step(bytes, from: &rawStart) ?? 0 }
        zstd?.withPiece(count) { buffer.append(contentsOf: $0) }
        holdsMore = count == zstd?.pieceBytes
    }
}

/// A folder, a file or a state that the connector cannot use: what, and what next.
package struct FilesConnectorError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}
