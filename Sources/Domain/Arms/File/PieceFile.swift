import Files
import Hashing

/// Why a file of arms is of no use.
package struct ArmsFileError: Error, Sendable, CustomStringConvertible {
    /// What is wrong with it.
    package let reason: String
    package var description: String { reason }

    init(_ reason: String) { self.reason = reason }
}

/// What a piece of a file holds. Numbers never change their meaning; a new meaning is a new format.
enum PieceKind: UInt32 {
    case head = 1
    case vectors = 2
    case passages = 3
    case shown = 4
    case words = 5
    case order = 6
    case postings = 7
    case attributes = 8
    case rows = 9
    case dictionary = 10
    case end = 11
    /// Behind the dictionary, and not in every file: where a search looks first. Long numbers, since a piece of these kinds
    /// that is damaged is done without: no other kind becomes one of them by the change of a few bits.
    case centres = 0x4d44_4c43
    case lists = 0x4d44_4c4c

    /// Whether the rest of a file is of use without it.
    var isSpare: Bool { self == .centres || self == .lists }
}

/// A file of pieces: magic number and format, then pieces of a kind, a length, bytes, and the CRC-32C of all three. All
/// numbers are little-endian. The last piece holds how many were before it, and nothing follows.
enum PieceFile {
    static let magic = Array("MDLARMS\n".utf8)
    /// Files of other formats are not read.
    static let format: UInt32 = 2
    static let headBytes = 12
    /// Kind and length before a piece, sum behind it.
    static let frameBytes = 12
    /// A piece that is written ends near here.
    static let pieceBytes = 4 << 20
    /// A piece that is read is no longer.
    static let pieceBytesMax = 256 << 20
    /// What is written is made durable so often, so that none of it takes long.
    static let syncBytes = 64 << 20
}

/// Bytes of one piece while they are gathered.
struct PieceBytes {
    private(set) var bytes: [UInt8]

    init() {
        bytes = []
        bytes.reserveCapacity(PieceFile.pieceBytes + (64 << 10))
    }

    var count: Int { bytes.count }
    var isFull: Bool { bytes.count >= PieceFile.pieceBytes }

    mutating func append(_ number: UInt32) { bytes.append(littleEndian: number) }
    mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

    /// Numbers as they stand in memory, which is little-endian.
    mutating func append<Number>(numbers: UnsafeBufferPointer<Number>) {
        bytes.append(contentsOf: UnsafeRawBufferPointer(numbers))
    }

    mutating func append<Number>(numbers: ArraySlice<Number>) {
        numbers.withUnsafeBufferPointer { append(numbers: $0) }
    }
}

/// Writes a file's pieces.
struct PieceWriter: ~Copyable {
    private var file: File
    private var position = 0
    private var synced = 0
    private var pieces: UInt32 = 0

    /// - Parameter file: open to write, and this one's alone.
    init(_ file: consuming File) { self.file = file }

    /// Begins anew.
    mutating func begin() throws(FileError) {
        try file.truncate(to: 0)
        var head = PieceBytes()
        head.append(PieceFile.magic)
        head.append(PieceFile.format)
        try put(head.bytes)
    }

    private mutating func put(_ bytes: [UInt8]) throws(FileError) {
        var failure: FileError?
        bytes.withUnsafeBytes { buffer in
            do throws(FileError) { try file.write(buffer, at: position) } catch { failure = error }
        }
        if let failure { throw failure }
        position += bytes.count
    }

    mutating func write(_ kind: PieceKind, _ piece: PieceBytes) throws(FileError) {
        var head = PieceBytes()
        head.append(kind.rawValue)
        head.append(UInt32(piece.count))
        let sum = crc32c(head.bytes.withUnsafeBytes { crc32c($0) }, piece.bytes)
        try put(head.bytes)
        try put(piece.bytes)
        var tail = PieceBytes()
        tail.append(sum)
        try put(tail.bytes)
        pieces += 1
        guard position - synced >= PieceFile.syncBytes else { return }
        try file.sync()
        synced = position
    }

    /// Ends the file, makes it durable and gives it its name.
    ///
    /// - Returns: its length in bytes.
    consuming func finish(as path: String) throws(FileError) -> Int {
        var end = PieceBytes()
        end.append(pieces)
        try write(.end, end)
        try file.sync()
        try file.rename(to: path)
        try Folder.sync(Folder.parent(of: path))
        return position
    }

    private func crc32c(_ seed: UInt32, _ bytes: [UInt8]) -> UInt32 {
        bytes.withUnsafeBytes { Hashing.crc32c($0, seed: seed) }
    }
    private func crc32c(_ bytes: UnsafeRawBufferPointer) -> UInt32 { Hashing.crc32c(bytes) }
}

/// Reads a file's pieces, and trusts none of it.
struct PieceReader: ~Copyable {
    private let file: File
    /// Of the file, bytes.
    let size: Int
    private var position: Int
    private var pieces: UInt32 = 0

    private init(_ file: consuming File, size: Int) {
        self.file = file
        self.size = size
        position = PieceFile.headBytes
    }

    static func opened(_ path: String) throws -> PieceReader {
        let file = try File(path, .read)
        let size = try file.size()
        let head = try file.read(at: 0, count: PieceFile.headBytes)
        guard head.count == PieceFile.headBytes, Array(head.prefix(8)) == PieceFile.magic else {
            throw ArmsFileError("it is no file of arms")
        }
        let format = head.littleEndian(at: 8)
        guard format == PieceFile.format else { throw ArmsFileError("it is of format \(format)") }
        return PieceReader(file, size: size)
    }

    /// The next piece; nil behind the last.
    mutating func next() throws -> (kind: PieceKind, piece: PieceContent)? {
        let left = size - position
        guard left >= PieceFile.frameBytes else { throw ArmsFileError("it is cut") }
        let head = try file.read(at: position, count: 8)
        guard head.count == 8 else { throw ArmsFileError("it is cut") }
        let count = Int(head.littleEndian(at: 4))
        guard count <= left - PieceFile.frameBytes, count <= PieceFile.pieceBytesMax else {
            throw ArmsFileError("a piece is longer than the file")
        }
        let bytes = try file.read(at: position + 8, count: count + 4)
        guard bytes.count == count + 4 else { throw ArmsFileError("it is cut") }
        let sum = bytes.withUnsafeBytes { crc32c(UnsafeRawBufferPointer(rebasing: $0[..<count]), seed: headSum(head)) }
        let known = PieceKind(rawValue: head.littleEndian(at: 0))
        let isSound = sum == bytes.littleEndian(at: count)
        guard isSound || known?.isSpare ?? false else { throw ArmsFileError("a checksum does not hold") }
        guard let kind = known else { throw ArmsFileError("a piece is unknown") }
        position += count + PieceFile.frameBytes
        var content = PieceContent(bytes, count: count, isSound: isSound)
        guard kind == .end else {
            pieces += 1
            return (kind, content)
        }
        guard try content.number() == pieces, content.isAtEnd, position == size else {
            throw ArmsFileError("it does not end where it should")
        }
        return nil
    }

    private func headSum(_ head: [UInt8]) -> UInt32 { head.withUnsafeBytes { crc32c($0) } }
}

/// Reads the bytes of a piece.
struct PieceContent {
    private let bytes: [UInt8]
    private let end: Int
    private var position = 0
    /// Whether its checksum holds; only spare ones are read where it does not.
    let isSound: Bool

    init(_ bytes: [UInt8], count: Int, isSound: Bool = true) {
        (self.bytes, end, self.isSound) = (bytes, count, isSound)
    }

    var isAtEnd: Bool { position == end }
    var rest: [UInt8] { Array(bytes[position..<end]) }

    mutating func number() throws(ArmsFileError) -> UInt32 {
        guard end - position >= 4 else { throw ArmsFileError("a piece is too short") }
        defer { position += 4 }
        return bytes.littleEndian(at: position)
    }

    /// Numbers as they stood in memory.
    mutating func numbers<Number: BitwiseCopyable>(
        _ count: Int, of zero: Number
    ) throws(ArmsFileError) -> [Number] {
        let size = MemoryLayout<Number>.stride
        guard count >= 0, count <= (end - position) / size else { throw ArmsFileError("a piece is too short") }
        defer { position += count * size }
        var numbers = [Number](repeating: zero, count: count)
        numbers.withUnsafeMutableBytes { target in
            bytes.withUnsafeBytes { source in
                target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[position..<(position + count * size)]))
            }
        }
        return numbers
    }
}
