/// IEEE 754 binary16, which pgvector's `halfvec` stores.
package enum HalfFloat {
    /// The nearest half (ties to even). Values past ±65,504 become infinities, as the conversion rule says; the
    /// server refuses those (SQLSTATE 22003).
    package static func bits(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        let sign = UInt16(truncatingIfNeeded: bits >> 16) & 0x8000
        let magnitude = bits & 0x7FFF_FFFF
        if magnitude >= 0x4780_0000 {  // 65,536 and more, infinities, NaN
            return sign | (magnitude > 0x7F80_0000 ? 0x7E00 : 0x7C00)
        }
        if magnitude < 0x3880_0000 {  // below 2^-14: subnormal half; one addition rounds it in the float unit
            let shifted = Float(bitPattern: magnitude) + 0.5
            return sign | UInt16(truncatingIfNeeded: shifted.bitPattern &- 0x3F00_0000)
        }
        let rounded = magnitude &+ 0x0FFF &+ ((magnitude >> 13) & 1)
        return sign | UInt16(truncatingIfNeeded: (rounded &- 0x3800_0000) >> 13)
    }

    /// The value of a half, exactly.
    package static func value(_ bits: UInt16) -> Float {
        let sign = UInt32(bits & 0x8000) << 16
        let magnitude = UInt32(bits & 0x7FFF)
        if magnitude >= 0x7C00 { return Float(bitPattern: sign | 0x7F80_0000 | (magnitude & 0x3FF) << 13) }
        // The exponents' zero is moved by multiplying, which is exact, also for numbers without a leading one.
        let value = Float(bitPattern: magnitude << 13) * Float(bitPattern: 0x7780_0000)
        return Float(bitPattern: value.bitPattern | sign)
    }
}
