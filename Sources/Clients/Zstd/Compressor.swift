import Bytes
import CZstd

/// Makes zstd frames (RFC 8878) with the content size and a checksum in each, reusing one context.
///
/// Not thread-safe, hence not copyable: one owner compresses at a time.
package struct Compressor: ~Copyable {
    private let context: OpaquePointer

    /// - Parameter level: 1 is the lake's: level 3 costs twice the time for 1 % of the size.
    package init(level: Int32 = 1) throws(ZstdError) {
        guard let context = ZSTD_createCCtx() else {
            throw ZstdError("create a compressor", reason: "out of memory")
        }
        let levelCode = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        let checksumCode = ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
        for code in [levelCode, checksumCode] where ZSTD_isError(code) != 0 {
            ZSTD_freeCCtx(context)
            throw ZstdError("set level \(level)", code: code)
        }
        self.context = context
    }

    deinit { ZSTD_freeCCtx(context) }

    /// Appends one frame holding `source` to `output`.
    ///
    /// - Returns: bytes appended.
    @discardableResult
    package mutating func compressFrame(
        _ source: UnsafeRawBufferPointer, appendingTo output: inout [UInt8]
    ) throws(ZstdError) -> Int {
        let bound = ZSTD_compressBound(source.count)
        var written = 0
        output.appendRaw(upTo: bound) { start in
            written = ZSTD_compress2(context, start, bound, source.baseAddress, source.count)
            return ZSTD_isError(written) == 0 ? written : 0
        }
        guard ZSTD_isError(written) == 0 else {
            throw ZstdError("compress \(source.count) bytes", code: written)
        }
        return written
    }
}
