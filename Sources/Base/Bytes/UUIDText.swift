/// Random identifiers in the form of RFC 9562, version 4.
package enum UUIDText {
    /// 36 characters, of 122 random bits.
    package static func string<Generator: RandomNumberGenerator>(_ random: inout Generator) -> String {
        let high = random.next() & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
        let low = random.next() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        return String(unsafeUninitializedCapacity: 36) { buffer in
            var position = 0
            for (word, shifts) in [(high, 0), (low, 16)] {
                for nibble in 0..<16 {
                    let place = nibble + shifts
                    if place == 8 || place == 12 || place == 16 || place == 20 {
                        buffer[position] = UInt8(ascii: "-")
                        position += 1
                    }
                    buffer[position] = Hex.digits[Int(word >> UInt64(60 - nibble * 4) & 15)]
                    position += 1
                }
            }
            return position
        }
    }
}
