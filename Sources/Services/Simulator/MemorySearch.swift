import Glibc

/// Whether `bytes` hold `byte`; by the C library, which looks at 32 bytes at a time.
func memchr(_ bytes: UnsafeRawBufferPointer, _ byte: UInt8) -> Bool {
    guard let base = bytes.baseAddress else { return false }
    return Glibc.memchr(base, Int32(byte), bytes.count) != nil
}

/// Where `needle` first stands in `bytes`. (Swift's Glibc module has no memmem.)
func firstPosition(of needle: UnsafeRawBufferPointer, in bytes: UnsafeRawBufferPointer) -> Int? {
    guard let base = bytes.baseAddress, let first = needle.first else { return nil }
    var position = 0
    while bytes.count - position >= needle.count {
        guard let found = Glibc.memchr(base + position, Int32(first), bytes.count - position - needle.count + 1) else {
            return nil
        }
        position = UnsafeRawPointer(found) - base
        if needle.elementsEqual(bytes[position..<position + needle.count]) { return position }
        position += 1
    }
    return nil
}
