import Bytes
import CZstd

/// The size of a frame's content, as its header tells it; nil where it does not.
///
/// - Parameter header: the frame's first 18 bytes, or all of a shorter one.
package func zstdContentSize(ofFrame header: UnsafeRawBufferPointer) -> Int? {
    let size = ZSTD_getFrameContentSize(header.baseAddress, header.count)
    // The two largest values stand for "unknown" and "error".
    return size < UInt64.max - 1 ? Int(exactly: size) : nil
}

/// Decompresses whole zstd frames, reusing one context. Not thread-safe, hence not copyable.
package struct Decompressor: ~Copyable {
    private let context: OpaquePointer

    /// - Throws: ``ZstdError`` when out of memory.
    package init() throws(ZstdError) {
        guard let context = ZSTD_createDCtx() else {
            throw ZstdError("create a decompressor", reason: "out of memory")
        }
        self.context = context
    }

    deinit { ZSTD_freeDCtx(context) }

    /// Decompresses the frames in `source`, one after the other.
    ///
    /// - Parameters:
    ///   - source: whole frames.
    ///   - bytesMax: the most that may come out; more is an error, so a hostile file cannot fill the memory.
    package mutating func decompress(
        _ source: UnsafeRawBufferPointer, bytesMax: Int = 1 << 30
    ) throws(ZstdError) -> [UInt8] {
        var output: [UInt8] = []
        var rest = source
        while !rest.isEmpty {
            let frameBytes = ZSTD_findFrameCompressedSize(rest.baseAddress, rest.count)
            guard ZSTD_isError(frameBytes) == 0 else { throw ZstdError("find the end of a frame", code: frameBytes) }
            let contentBytes = ZSTD_getFrameContentSize(rest.baseAddress, rest.count)
            // The two largest values stand for "unknown" and "error".
            guard contentBytes < UInt64.max - 1 else {
                try appendStreamed(
                    UnsafeRawBufferPointer(rebasing: rest[..<frameBytes]), to: &output, bytesMax: bytesMax)
                rest = UnsafeRawBufferPointer(rebasing: rest[frameBytes...])
                continue
            }
            guard contentBytes <= UInt64(bytesMax - output.count) else {
                throw ZstdError("decompress", reason: "more than \(bytesMax) bytes come out")
            }
            var code = 0
            output.appendRaw(upTo: Int(contentBytes)) { start in
                code = ZSTD_decompressDCtx(context, start, Int(contentBytes), rest.baseAddress, frameBytes)
                return ZSTD_isError(code) == 0 ? code : 0
            }
            guard ZSTD_isError(code) == 0 else { throw ZstdError("decompress a frame", code: code) }
            rest = UnsafeRawBufferPointer(rebasing: rest[frameBytes...])
        }
        return output
    }

    /// One frame with a dictionary of raw content, which costs no time to take in.
    ///
    /// - Returns: zstd's code: bytes that came out, or an error.
    mutating func decompress(
        into output: UnsafeMutablePointer<UInt8>, _ count: Int, _ frame: UnsafeRawBufferPointer,
        _ dictionary: UnsafeRawBufferPointer
    ) -> Int {
        ZSTD_decompress_usingDict(
            context, output, count, frame.baseAddress, frame.count, dictionary.baseAddress, dictionary.count)
    }

    /// A frame that does not tell its size, as `zstd` writes when fed by a pipe.
    private mutating func appendStreamed(
        _ frame: UnsafeRawBufferPointer, to output: inout [UInt8], bytesMax: Int
    ) throws(ZstdError) {
        var stream = try StreamDecompressor()
        let limit = bytesMax - output.count
        var produced = 0
        var failure: ZstdError?
        do {
            try stream.feed(frame) { piece in
                produced += piece.count
                guard produced <= limit else { return }
                output.append(contentsOf: piece)
            }
        } catch {
            failure = error
        }
        if let failure { throw failure }
        guard produced <= limit else { throw ZstdError("decompress", reason: "more than \(bytesMax) bytes come out") }
    }
}

/// Decompresses a stream of frames piece by piece, in constant memory; for recordings and sealed files.
package struct StreamDecompressor: ~Copyable {
    private let context: OpaquePointer
    private var buffer: [UInt8]
    /// True between frames: what was fed ended with a whole frame.
    package private(set) var isAtFrameEnd = true

    /// - Throws: ``ZstdError`` when out of memory.
    package init() throws(ZstdError) {
        guard let context = ZSTD_createDCtx() else {
            throw ZstdError("create a stream decompressor", reason: "out of memory")
        }
        self.context = context
        buffer = [UInt8](repeating: 0, count: ZSTD_DStreamOutSize())
    }

    /// - Parameter windowBytesLog: the logarithm (base 2) of the largest window that a frame may ask for, and so of the memory
    ///   that a stranger's frame can take; a frame that asks for more is an error.
    package init(windowBytesLog: Int32) throws(ZstdError) {
        try self.init()
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, windowBytesLog)
    }

    deinit { ZSTD_freeDCtx(context) }

    /// Takes bytes of `source` from `position` on until a piece of at most 128 KiB came out or they are used up.
    ///
    /// - Returns: how many bytes came out, for ``withPiece(_:_:)``. Where they are as many as fit there may be more.
    package mutating func step(_ source: UnsafeRawBufferPointer, from position: inout Int) throws(ZstdError) -> Int {
        var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: position)
        var code = 0
        var produced = 0
        buffer.withUnsafeMutableBytes { room in
            var output = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
            code = ZSTD_decompressStream(context, &output, &input)
            produced = output.pos
        }
        guard ZSTD_isError(code) == 0 else { throw ZstdError("decompress a stream", code: code) }
        // Without input the library says how much it wants of the next frame, which is no sign of a frame begun.
        if input.pos > position || produced > 0 { isAtFrameEnd = code == 0 }
        position = input.pos
        return produced
    }

    /// Lends the first `count` bytes of the last piece.
    package func withPiece(_ count: Int, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        try buffer.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }

    /// The size of a full piece, bytes.
    package var pieceBytes: Int { buffer.count }

    /// Takes the next compressed bytes and lends what comes out, in pieces of at most 128 KiB.
    package mutating func feed(
        _ source: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(ZstdError) {
        var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: 0)
        var outputIsFull = false
        while input.pos < input.size || outputIsFull {
            var code = 0
            var produced = 0
            buffer.withUnsafeMutableBytes { room in
                var output = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
                code = ZSTD_decompressStream(context, &output, &input)
                produced = output.pos
                if ZSTD_isError(code) == 0, produced > 0 { body(UnsafeRawBufferPointer(rebasing: room[..<produced])) }
            }
            guard ZSTD_isError(code) == 0 else { throw ZstdError("decompress a stream", code: code) }
            isAtFrameEnd = code == 0
            outputIsFull = produced == buffer.count
        }
    }
}
