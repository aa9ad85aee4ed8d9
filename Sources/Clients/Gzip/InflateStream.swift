import CIsal

/// Unpacks deflate (RFC 1951), bare or in the wrapper of gzip or zlib, piece by piece and in constant memory; sums are checked.
/// Not thread-safe, hence not copyable.
package struct InflateStream: ~Copyable {
    /// What surrounds the packed bytes.
    package enum Wrapper: Sendable {
        /// RFC 1952.
        case gzip
        /// RFC 1950.
        case zlib
        /// Nothing: no header and no sum.
        case none

        fileprivate var flag: UInt32 {
            switch self {
            case .gzip: UInt32(ISAL_GZIP)
            case .zlib: UInt32(ISAL_ZLIB)
            case .none: UInt32(ISAL_DEFLATE)
            }
        }
    }

    /// The bytes are no such stream, or its sum is wrong.
    package struct Damaged: Error {}

    private let memory: UnsafeMutableRawPointer
    private var buffer: [UInt8]
    /// The stream is unpacked to its end.
    package private(set) var isDone = false
    /// The size of a full piece, bytes.
    package static let pieceBytes = 65_536

    /// Nil where memory is out.
    package init?(_ wrapper: Wrapper) {
        guard let memory = medallion_gunzip_state() else { return nil }
        medallion_inflate_begin(memory, wrapper.flag)
        self.memory = memory
        buffer = [UInt8](repeating: 0, count: Self.pieceBytes)
    }

    deinit { medallion_gunzip_free(memory) }

    /// Gets ready for another stream.
    package mutating func begin(_ wrapper: Wrapper) {
        medallion_inflate_begin(memory, wrapper.flag)
        isDone = false
    }

    /// Takes bytes of `source` from `position` on until a piece came out, they are used up, or the stream is at its end.
    ///
    /// - Returns: how many bytes came out, for ``withPiece(_:_:)``. Where they are as many as fit there may be more.
    package mutating func step(_ source: UnsafeRawBufferPointer, from position: inout Int) throws(Damaged) -> Int {
        guard !isDone else { return 0 }
        let rest = UnsafeRawBufferPointer(rebasing: source[position...])
        var left = rest.count
        let produced = buffer.withUnsafeMutableBufferPointer { room -> Int in
            guard let out = room.baseAddress else { return -1 }
            // Without input the library looks at no byte; any address will do.
            let from = rest.assumingMemoryBound(to: UInt8.self).baseAddress ?? UnsafePointer(out)
            return medallion_inflate_step(memory, from, &left, out, room.count)
        }
        guard produced >= 0 else { throw Damaged() }
        position = source.count - left
        isDone = medallion_inflate_is_done(memory) != 0
        return produced
    }

    /// Lends the first `count` bytes of the last piece.
    package func withPiece(_ count: Int, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        try buffer.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }

    /// What was read ahead and lies behind the stream's end, once ``isDone``; at most eight bytes. They come before what
    /// ``step(_:from:)`` left.
    package func bytesBehind() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 8) { space, count in
            guard let start = space.baseAddress else { return }
            count = medallion_inflate_ahead(memory, start)
        }
    }
}
