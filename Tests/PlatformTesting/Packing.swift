import CLZFrame
import CSnappy
import Gzip
import Zstd

/// Payloads as Kafka's clients compress them.
package enum Packing {
    /// One gzip member; the bytes must be some that get smaller.
    package static func gzip(_ bytes: [UInt8]) -> [UInt8] { Gzip.compress(bytes) ?? [] }

    /// One zstd frame.
    package static func zstd(_ bytes: [UInt8]) throws -> [UInt8] {
        var compressor = try Compressor(level: 1)
        var out: [UInt8] = []
        try bytes.withUnsafeBytes { _ = try compressor.compressFrame($0, appendingTo: &out) }
        return out
    }

    /// Snappy without any framing.
    package static func snappy(_ bytes: [UInt8]) -> [UInt8] {
        var count = snappy_max_compressed_length(bytes.count)
        var out = [CChar](repeating: 0, count: count)
        bytes.withUnsafeBytes {
            _ = snappy_compress($0.assumingMemoryBound(to: CChar.self).baseAddress, $0.count, &out, &count)
        }
        return out[..<count].map { UInt8(bitPattern: $0) }
    }

    /// Snappy as Java's clients frame it, in blocks of `blockBytes`.
    package static func javaSnappy(_ bytes: [UInt8], blockBytes: Int = 32 << 10) -> [UInt8] {
        var out: [UInt8] = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]
        for start in stride(from: 0, to: bytes.count, by: blockBytes) {
            let block = snappy(Array(bytes[start..<min(bytes.count, start + blockBytes)]))
            out += withUnsafeBytes(of: UInt32(block.count).bigEndian) { Array($0) } + block
        }
        return out
    }

    /// One LZ4 frame.
    ///
    /// - Parameter isLinked: blocks refer to those before, which Java's clients do not read.
    package static func lz4(_ bytes: [UInt8], isLinked: Bool = false) -> [UInt8] {
        var preferences = LZ4F_preferences_t()
        preferences.frameInfo.blockMode = isLinked ? LZ4F_blockLinked : LZ4F_blockIndependent
        preferences.frameInfo.blockSizeID = LZ4F_max64KB
        var out = [UInt8](repeating: 0, count: LZ4F_compressFrameBound(bytes.count, &preferences))
        let count = LZ4F_compressFrame(&out, out.count, bytes, bytes.count, &preferences)
        return Array(out[..<count])
    }
}
