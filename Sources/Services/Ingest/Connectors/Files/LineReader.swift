import Files
import Glibc
import Gzip
import Zstd

/// Reads a file piece by piece, unpacked, in constant memory. Offsets count unpacked bytes. Confined to one lane.
final class LineReader {
    /// Where a piece ends.
    enum Cut {
        case lines
        /// Rows of CSV, in which line feeds may stand in quotes.
        case rows
        /// All of the file is one piece, which only ``rest()`` returns.
        case whole
    }

    /// What comes next in a file.
    enum Piece {
        /// A whole line or row without its line feed.
        case line([UInt8])
        /// A line that is longer than allowed, passed by. Of a file that is one piece no more is read.
        case oversized
        /// The first line of a row whose quotes are wrong, passed by.
        case malformed
        /// Nothing yet: a long line or a long unpacked part is being skipped, or nothing has come in; the next call continues.
        case more
        /// The file's present end.
        case end
    }

    /// The row that ``nextRow(bytesMax:)`` finds.
    enum NextRow {
        case row([UInt8])
        /// It is longer than allowed, or is not at its end at the file's.
        case endless
        /// Its quotes are wrong.
        case malformed
        /// It has not come in yet.
        case later
    }

    private static let chunkBytes = 1 << 18
    /// Bytes that may be looked through in vain for the ends of quotes before the search is cut short, and the least that it is
    /// cut to. Without these a file of lines that each open a quote is looked through as often as it has lines.
    private static let vainBytesMax = 32 << 20
    private static let lookAheadBytesMin = 1 << 10
    /// So much may be looked through in vain for each byte that is read.
    private static let vainRatio = 4
    /// Bytes that one call passes by at most.
    private static let passedBytesMax = 1 << 23
    /// Beyond this many unpacked bytes a packed file may not be more than so many times as large as packed.
    private static let bombBytesMin: Int64 = 64 << 20
    private static let bombRatio: Int64 = 1_000

    let file: File
    private let packing: FilePacking
    private let cut: Cut
    /// Whether the file is a pipe or a terminal, which is read in its order and may have nothing yet.
    let isStream: Bool
    private(set) var rawOffset = 0
    private var unpackedBytes: Int64 = 0
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
    /// Of ``vainBytesMax``, what is left.
    private var vainBytesLeft = LineReader.vainBytesMax

    /// Where the line begins that comes next.
    private(set) var lineStart: Int64 = 0
    /// How far the file was read; the line's start but for a line that is being passed by.
    private(set) var offset: Int64 = 0
    /// Of everything before ``offset``.
    private(set) var sum = ContentSum()
    /// Of the last whole line with its line feed; only of files that are not packed.
    private(set) var lastLineSum = ContentSum()
    private var lineSum = ContentSum()
    /// Line feeds before ``lineStart``; nil where they were not counted.
    private(set) var lineFeeds: Int64? = 0
    private var passedLineFeeds: Int64 = 0

    /// - Throws: `FileError`, `ZstdError`; ``FilesConnectorError`` where memory is out.
    convenience init(path: String, packing: FilePacking, cut: Cut = .lines) throws {
        try self.init(File(path, .read), packing: packing, cut: cut, isStream: false)
    }

    /// - Parameter isStream: whether the file can only be read in its order.
    init(_ file: consuming File, packing: FilePacking, cut: Cut, isStream: Bool) throws {
        let path = file.path
        self.file = file
        self.packing = packing
        self.cut = cut
        self.isStream = isStream
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
    func resume(at offset: Int64, sum: ContentSum, lineFeeds: Int64?) {
        rawOffset = Int(offset)
        (self.offset, lineStart) = (offset, offset)
        self.sum = sum
        self.lineFeeds = lineFeeds
        // What was looked at in advance.
        buffer = []
        (start, searched) = (0, 0)
    }

    /// The bytes that come next, without reading them: `count`, or fewer at the file's end.
    ///
    /// - Returns: nil where they have not come in yet.
    func head(_ count: Int) throws -> ArraySlice<UInt8>? {
        while buffer.count - start < count {
            switch try fill() {
            case .bytes: continue
            case .nothingYet: return nil
            case .end: return buffer[start...]
            }
        }
        return buffer[start..<start + count]
    }

    /// The row that comes next without its line feed, without reading it.
    ///
    func nextRow(bytesMax: Int) throws -> NextRow {
        while true {
            switch row() {
            case .whole(let end): return .row(Array(buffer[start..<end]))
            case .malformed: return .malformed
            case .unfinished: break
            }
            guard buffer.count - start <= bytesMax else { return .endless }
            switch try fill() {
            case .bytes: continue
            case .nothingYet: return .later
            case .end:
                // The row of a file that has no other, and no line feed.
                if case .unfinished(hasOpenQuote: false) = row(), start < buffer.count {
                    return .row(Array(buffer[start...]))
                }
                return .endless
            }
        }
    }

    /// Whether nothing comes behind what was read.
    func isAtEnd() throws -> Bool {
        guard start == buffer.count else { return false }
        if case .end = try fill() { return true }
        return false
    }

    /// Reads on to `target` without looking for lines.
    ///
    /// - Returns: nil where the next call continues; false where the file ends before.
    func pass(to target: Int64) throws -> Bool? {
        var passed = 0
        while offset < target {
            if start == buffer.count {
                switch try fill() {
                case .bytes: break
                case .nothingYet: return nil
                case .end: return false
                }
            }
            let count = min(Int64(buffer.count - start), target - offset)
            consume(Int(count))
            passed += Int(count)
            if passed >= Self.passedBytesMax, offset < target { return nil }
        }
        endLine()
        searched = start
        return true
    }

    /// The next piece.
    func next(lineBytesMax: Int) throws -> Piece {
        var passed = 0
        while true {
            if let piece = cutPiece(lineBytesMax) { return piece }
            if isPassing || buffer.count - start > lineBytesMax + 4 {
                if cut == .whole { return .oversized }
                if passOpenQuote() { return .malformed }
                passed += buffer.count - start
                consume(buffer.count - start)
                isPassing = true
                if passed >= Self.passedBytesMax { return .more }
            }
            switch try fill() {
            case .bytes: continue
            case .nothingYet: return .more
            case .end: return .end
            }
        }
    }

    /// The piece at the beginning of the buffer, where it is whole.
    private func cutPiece(_ lineBytesMax: Int) -> Piece? {
        switch cut {
        case .whole: return nil
        case .rows where !isPassing:
            switch row() {
            case .whole(let end): return take(to: end, lineBytesMax)
            case .malformed(let end, let seen):
                vainBytesLeft = max(0, vainBytesLeft - (seen - end))
                _ = take(to: end, lineBytesMax)
                return .malformed
            case .unfinished: return nil
            }
        case .rows, .lines: return lineFeed().map { take(to: $0, lineBytesMax) }
        }
    }

    /// The row that begins in the buffer.
    private func row() -> CSVRows.Row {
        // A mark at the file's beginning may stand before a quote.
        let hasMark = lineStart == 0 && buffer[start...].starts(with: [0xEF, 0xBB, 0xBF])
        let lookAhead = max(Self.lookAheadBytesMin, vainBytesLeft)
        return buffer.withUnsafeBufferPointer {
            CSVRows.row($0, from: start + (hasMark ? 3 : 0), lookAheadBytes: lookAhead)
        }
    }

    /// Passes by the first line of a row whose quote nothing closes, neither in the file nor in as many bytes as a row may
    /// have: the lines behind it are read for themselves.
    ///
    /// - Returns: false where there is no such row.
    func passOpenQuote() -> Bool {
        guard cut == .rows, !isPassing, case .unfinished(hasOpenQuote: true) = row() else { return false }
        searched = start
        guard let end = lineFeed() else { return false }
        vainBytesLeft = max(0, vainBytesLeft - (buffer.count - end))
        _ = take(to: end, .max - 8)
        return true
    }

    private func take(to end: Int, _ lineBytesMax: Int) -> Piece {
        // Four for a carriage return and the mark at a file's beginning, which are not the line's.
        let isOversized = isPassing || end - start > lineBytesMax + 4
        let line = isOversized ? [] : Array(buffer[start..<end])
        consume(end + 1 - start)
        endLine()
        isPassing = false
        return isOversized ? .oversized : .line(line)
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
        lineFeeds? += passedLineFeeds
        passedLineFeeds = 0
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
            passedLineFeeds += taken.lineFeedCount
        }
        start += count
        offset += Int64(count)
        vainBytesLeft = min(Self.vainBytesMax, vainBytesLeft + min(count, Self.vainBytesMax) * Self.vainRatio)
        searched = max(searched, start)
    }

    private enum Filling {
        case bytes
        /// The stream has nothing yet.
        case nothingYet
        case end
    }

    /// Puts the next bytes behind those in the buffer.
    private func fill() throws -> Filling {
        if start > 0 {
            buffer.removeFirst(start)
            searched = max(0, searched - start)
            start = 0
        }
        if packing == .none {
            guard let bytes = try readRaw() else { return .nothingYet }
            buffer.append(contentsOf: bytes)
            return bytes.isEmpty ? .end : .bytes
        }
        while true {
            if rawStart == raw.count, !holdsMore {
                guard let bytes = try readRaw() else { return .nothingYet }
                raw = bytes
                rawStart = 0
                if raw.isEmpty { return .end }
            }
            let before = buffer.count
            if packing == .gzip { try unpackGzip() } else { try unpackZstd() }
            unpackedBytes += Int64(buffer.count - before)
            guard unpackedBytes <= max(Self.bombBytesMin, Int64(rawOffset) * Self.bombRatio) else {
                throw FileFault(
                    .bomb, "unpacks to more than \(Self.bombRatio) times its size; unpack it where that is meant")
            }
            if buffer.count > before { return .bytes }
        }
    }

    /// Nil where a stream has nothing yet.
    private func readRaw() throws -> [UInt8]? {
        let bytes: [UInt8]
        if isStream {
            guard let read = try file.readNext(count: Self.chunkBytes, timeoutMilliseconds: 100) else { return nil }
            bytes = read
        } else {
            bytes = try file.read(at: rawOffset, count: Self.chunkBytes)
        }
        rawOffset += bytes.count
        return bytes
    }

    private func unpackGzip() throws {
        hasMember = true
        let count: Int
        do {
            count = try raw.withUnsafeBytes { bytes in try inflate?.step(bytes, from: &rawStart) ?? 0 }
        } catch {
            throw FileFault(.damaged, "its gzip data is damaged")
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
