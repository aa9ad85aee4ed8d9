import Glibc

/// What was read of a file so far in 16 bytes, whose making can be interrupted and gone on with later.
///
/// Two FNV-1a sums with different primes (http://www.isthe.com/chongo/tech/comp/fnv/). It tells whether a file still begins as it did; it
/// is no protection against somebody who writes files to meet it.
struct ContentSum: Equatable, Sendable {
    var high: UInt64 = 0xCBF2_9CE4_8422_2325
    var low: UInt64 = 0x9E37_79B9_7F4A_7C15

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var (high, low) = (high, low)
        for byte in bytes {
            high = (high ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
            low = (low ^ UInt64(byte)) &* 0x9E37_79B9_7F4A_7C55
            low ^= low >> 29
        }
        (self.high, self.low) = (high, low)
    }
}

extension UnsafeRawBufferPointer {
    /// Line feeds among the bytes.
    var lineFeedCount: Int64 {
        guard let baseAddress else { return 0 }
        var (result, place) = (Int64(0), 0)
        while place < count, let found = memchr(baseAddress + place, 0x0A, count - place) {
            result += 1
            place = UnsafeRawPointer(found) - baseAddress + 1
        }
        return result
    }
}
