extension [UInt8] {
    /// Appends what `body` writes from the address it is lent, with one look at the capacity for all of it.
    ///
    /// - Parameters:
    ///   - countMax: how many bytes `body` may write.
    ///   - body: returns how many it wrote.
    @inlinable @inline(__always)
    package mutating func appendRaw(upTo countMax: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Int) {
        append(addingCapacity: countMax) { span in
            span.withUnsafeMutableBufferPointer { buffer, count in
                guard let start = buffer.baseAddress else { return }
                count = body(start)
                precondition(count <= countMax, "more bytes were written than there was room for")
            }
        }
    }
}
