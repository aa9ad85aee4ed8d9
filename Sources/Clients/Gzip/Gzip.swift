import CIsal

/// gzip (RFC 1952) by ISA-L's igzip, level 1: about as small as zlib's level 1 at several times its speed.
package enum Gzip {
    /// One member; nil where it would not be smaller than `bytes`, or memory is out. Some 3 µs for 1 kB.
    package static func compress(_ bytes: [UInt8]) -> [UInt8]? {
        let capacity = bytes.count
        guard capacity > 32 else { return nil }
        let result = [UInt8](unsafeUninitializedCapacity: capacity) { space, count in
            count = medallion_gzip(bytes, bytes.count, space.baseAddress, capacity)
        }
        return result.isEmpty ? nil : result
    }
}
