import Files
import Hashing
import Zstd

/// Reads frames of data files.
enum FrameReader {
    private static let windowBytes = 1 << 20
    /// No line is longer: a value is at most some MiB, and base64 adds a third.
    private static let lineBytesMax = 256 << 20

    /// The text of the frames between two positions of a file.
    ///
    /// - Parameter checksum: CRC-32C of the bytes, where it is known.
    static func text(
        of file: DataFileBytes, start: Int, end: Int, checksum: UInt32? = nil
    ) throws(LakeError) -> [UInt8] {
        let bytes = try file.read(at: start, count: end - start)
        guard bytes.count == end - start else {
            throw .damaged(path: file.place, reason: "it ends at byte \(start + bytes.count), before byte \(end)")
        }
        if let checksum, bytes.withUnsafeBytes({ crc32c($0) }) != checksum {
            throw .damaged(
                path: file.place, reason: "bytes \(start) to \(end) do not match the CRC-32C of the commit log")
        }
        return try LakeError.placed(file.place) {
            var decompressor = try Decompressor()
            return try bytes.withUnsafeBytes { buffer in try decompressor.decompress(buffer) }
        }
    }

    /// Calls `body` with every line up to the byte `end` of a file, in constant memory.
    static func forEachLine(
        path: String, end: Int, _ body: (ArraySlice<UInt8>) throws(LakeError) -> Void
    ) throws(LakeError) {
        var rest: [UInt8] = []
        var failure: LakeError?
        do {
            let file = try File(path, .read)
            var stream = try StreamDecompressor()
            var position = 0
            while position < end {
                let window = try file.read(at: position, count: min(windowBytes, end - position))
                guard !window.isEmpty else {
                    throw LakeError.damaged(path: path, reason: "it ends at byte \(position), before byte \(end)")
                }
                position += window.count
                try window.withUnsafeBytes { bytes in try stream.feed(bytes) { rest.append(contentsOf: $0) } }
                let consumed = try lines(of: rest, body)
                rest.removeFirst(consumed)
                guard rest.count <= lineBytesMax else {
                    throw LakeError.damaged(path: path, reason: "a line is longer than \(lineBytesMax) bytes")
                }
            }
            guard stream.isAtFrameEnd, rest.isEmpty else {
                throw LakeError.damaged(path: path, reason: "byte \(end) is not the end of a frame and a line")
            }
        } catch {
            failure = LakeError(error, path: path)
        }
        if let failure { throw failure }
    }

    /// The line of an offset, in a file of which nobody knows where its frames begin: reads it from its start, a frame at a
    /// time, up to that offset.
    ///
    /// - Returns: nil where the file has no line of it.
    static func find(
        _ offset: Int64, _ layer: Layer, in file: DataFileBytes
    ) throws(LakeError) -> (line: [UInt8], start: Int, end: Int)? {
        try LakeError.placed(file.place) {
            let size = try file.size()
            var stream = try StreamDecompressor()
            var (text, start, position) = ([UInt8](), 0, 0)
            while position < size {
                let window = try file.read(at: position, count: min(windowBytes, size - position))
                guard !window.isEmpty else {
                    throw LakeError.damaged(
                        path: file.place, reason: "it ends at byte \(position), before byte \(size)")
                }
                var (place, isMoreThere) = (0, false)
                while place < window.count || isMoreThere {
                    let count = try window.withUnsafeBytes { try stream.step($0, from: &place) }
                    stream.withPiece(count) { text.append(contentsOf: $0) }
                    isMoreThere = count == stream.pieceBytes && !stream.isAtFrameEnd
                    guard text.count <= lineBytesMax else {
                        throw LakeError.damaged(path: file.place, reason: "a frame has more than \(lineBytesMax) bytes")
                    }
                    guard stream.isAtFrameEnd else { continue }
                    var (found, isBehind) = ([UInt8]?.none, false)
                    LineScan.forEachLine(text) { line in
                        let own = LineScan.offset(of: line, layer: layer) ?? -1
                        if own == offset { found = Array(line) }
                        isBehind = own >= offset
                        return !isBehind
                    }
                    if let found { return (found, start, position + place) }
                    if isBehind { return nil }
                    (text, start) = ([], position + place)
                }
                position += window.count
            }
            return nil
        }
    }

    /// - Returns: bytes of whole lines.
    private static func lines(
        of text: [UInt8], _ body: (ArraySlice<UInt8>) throws(LakeError) -> Void
    ) throws(LakeError) -> Int {
        var start = 0
        while let end = text[start...].firstIndex(of: 0x0A) {
            try body(text[start..<end])
            start = end + 1
        }
        return start
    }
}
