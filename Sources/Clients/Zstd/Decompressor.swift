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

    deinit { ZSTD_freeDCtx(context) }

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
