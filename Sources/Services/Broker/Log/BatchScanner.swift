import Files
import Glibc

/// Walks the batches of a segment from a position on, by their headers alone or with their sums checked.
struct BatchScanner {
    /// What ended a walk.
    enum End: Equatable {
        case endOfFile
        /// The first byte that does not begin a whole, sound batch.
        case unsound(position: Int)
        case stopped
    }

    let file: SegmentFile
    /// Bytes beyond are not looked at.
    let limit: Int

    /// Calls `body` with each whole, sound batch's header and position, until it answers false.
    ///
    /// - Parameter expecting: the offset that the first batch must have; each next one must follow without a gap.
    func checkedBatches(
        from start: Int, expecting: Int64, _ body: (RecordBatchHeader, Int) -> Bool
    ) throws(FileError) -> End {
        var window = [UInt8](repeating: 0, count: min(max(limit - start, 0), 4 << 20))
        var windowStart = start
        var filled = 0
        var position = start
        var nextOffset = expecting
        while position < limit {
            var batch = try slice(position, RecordBatchHeader.byteCount, &window, &windowStart, &filled)
            guard let batchHeader = batch else { return .unsound(position: position) }
            guard
                let header = window.withUnsafeBytes({ bytes in
                    RecordBatchHeader(UnsafeRawBufferPointer(rebasing: bytes[batchHeader]))
                }), header.isPlausible, header.baseOffset == nextOffset, header.byteCount <= limit - position
            else { return .unsound(position: position) }
            batch = try slice(position, header.byteCount, &window, &windowStart, &filled)
            guard let whole = batch else { return .unsound(position: position) }
            let isSound = window.withUnsafeBytes { bytes in
                RecordBatch.sum(of: UnsafeRawBufferPointer(rebasing: bytes[whole])) == header.sum
            }
            guard isSound else { return .unsound(position: position) }
            if !body(header, position) { return .stopped }
            position += header.byteCount
            nextOffset = header.lastOffset + 1
        }
        return .endOfFile
    }

    /// Where in `window` the bytes `[position, position + count)` are, read in if need be; nil past the end.
    private func slice(
        _ position: Int, _ count: Int, _ window: inout [UInt8], _ windowStart: inout Int, _ filled: inout Int
    ) throws(FileError) -> Range<Int>? {
        if position + count > windowStart + filled {
            guard position + count <= limit else { return nil }
            if count > window.count { window = [UInt8](repeating: 0, count: count) }
            windowStart = position
            filled = try Self.fill(&window, from: file, at: position, count: min(window.count, limit - position))
            if filled < count { return nil }
        }
        return position - windowStart..<position - windowStart + count
    }

    private static func fill(
        _ window: inout [UInt8], from file: SegmentFile, at position: Int, count: Int
    ) throws(FileError) -> Int {
        var failure: FileError?
        let got = window.withUnsafeMutableBytes { buffer -> Int in
            do throws(FileError) {
                return try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), at: position)
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return got
    }

    /// Calls `body` with each header and position by reading headers only; for parts of a log that are known sound.
    ///
    /// - Returns: the position after the last batch seen.
    @discardableResult
    func headers(from start: Int, _ body: (RecordBatchHeader, Int) -> Bool) throws(FileError) -> Int {
        var position = start
        var window = [UInt8](repeating: 0, count: 16 << 10)
        var windowStart = start
        var filled = 0
        while position + RecordBatchHeader.byteCount <= limit {
            if position + RecordBatchHeader.byteCount > windowStart + filled {
                windowStart = position
                filled = try Self.fill(&window, from: file, at: position, count: min(window.count, limit - position))
            }
            let offset = position - windowStart
            guard
                let header = window.withUnsafeBytes({
                    RecordBatchHeader(UnsafeRawBufferPointer(rebasing: $0[offset..<max(offset, filled)]))
                }), header.isPlausible
            else { throw FileError("read batch header", file.path, code: EIO) }
            if !body(header, position) { break }
            position += header.byteCount
        }
        return position
    }
}
