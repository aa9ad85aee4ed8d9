import Bytes
import CZstd

/// Makes small zstd frames out of texts that resemble each other: each refers back to a dictionary, which may be any bytes that
/// are like them. ``Decompressor/decompress(_:dictionary:bytesMax:)`` reads them with the same dictionary.
///
/// Frames have no checksum and no dictionary's number. Not thread-safe, hence not copyable.
package struct DictionaryCompressor: ~Copyable {
    private let context: OpaquePointer
    private let dictionary: OpaquePointer

    /// - Parameter content: the dictionary; one that begins with zstd's magic number would be taken for a trained one.
    package init(_ content: [UInt8], level: Int32 = 1) throws(ZstdError) {
        guard let context = ZSTD_createCCtx() else {
            throw ZstdError("create a compressor", reason: "out of memory")
        }
        let made = content.withUnsafeBytes { ZSTD_createCDict($0.baseAddress, $0.count, level) }
        guard let dictionary = made else {
            ZSTD_freeCCtx(context)
            throw ZstdError("make a dictionary", reason: "out of memory")
        }
        self.context = context
        self.dictionary = dictionary
    }

    deinit {
        ZSTD_freeCDict(dictionary)
        ZSTD_freeCCtx(context)
    }

    /// Bytes that it takes in memory.
    package var memoryBytes: Int { ZSTD_sizeof_CCtx(context) + ZSTD_sizeof_CDict(dictionary) }

    /// Appends one frame holding `source` to `output`.
    package mutating func compressFrame(
        _ source: UnsafeRawBufferPointer, appendingTo output: inout [UInt8]
    ) throws(ZstdError) {
        let bound = ZSTD_compressBound(source.count)
        var written = 0
        output.appendRaw(upTo: bound) { start in
            written = ZSTD_compress_usingCDict(context, start, bound, source.baseAddress, source.count, dictionary)
            return ZSTD_isError(written) == 0 ? written : 0
        }
        guard ZSTD_isError(written) == 0 else {
            throw ZstdError("compress \(source.count) bytes", code: written)
        }
    }
}

extension Decompressor {
    /// Decompresses one frame of a ``DictionaryCompressor``.
    ///
    /// - Parameters:
    ///   - dictionary: that of the compressor.
    ///   - bytesMax: the most that may come out; more is an error.
    package mutating func decompress(
        _ frame: UnsafeRawBufferPointer, dictionary: UnsafeRawBufferPointer, bytesMax: Int
    ) throws(ZstdError) -> [UInt8] {
        guard let count = zstdContentSize(ofFrame: frame), count <= bytesMax else {
            throw ZstdError("decompress", reason: "a frame does not tell its size, or more than \(bytesMax) bytes")
        }
        var output: [UInt8] = []
        var code = 0
        output.appendRaw(upTo: count) { start in
            code = decompress(into: start, count, frame, dictionary)
            return ZSTD_isError(code) == 0 ? code : 0
        }
        guard ZSTD_isError(code) == 0, code == count else { throw ZstdError("decompress a frame", code: code) }
        return output
    }
}
