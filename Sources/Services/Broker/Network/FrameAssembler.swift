/// Cuts a connection's bytes into request frames: a 32-bit length, then that many bytes.
///
/// Memory grows with what has arrived, not with what a length field claims.
struct FrameAssembler {
    enum Step: Equatable {
        /// Everything lent was taken; the frame is not whole yet.
        case needsMore
        case frame([UInt8])
        case refused(String)
    }

    private var frame: [UInt8] = []
    /// Length of the frame being read; nil between frames.
    private(set) var lengthExpected: Int?
    let bytesMax: Int
    /// A frame up to this size gets its memory at once.
    private static let reservedBytesMax = 1 << 20

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    /// Bytes held of a frame that is not whole.
    var byteCount: Int { frame.count }

    /// Takes bytes from the front of `bytes` up to the end of one frame; `consumed` says how many.
    mutating func take(_ bytes: UnsafeRawBufferPointer, consumed: inout Int) -> Step {
        consumed = 0
        if lengthExpected == nil {
            guard bytes.count >= 4 else { return .needsMore }
            let length: Int32 = bytes.bigEndian(at: 0)
            guard length >= 10, length <= bytesMax else {
                return .refused("frame of \(length) bytes; 10 to \(bytesMax) are allowed")
            }
            consumed = 4
            lengthExpected = Int(length)
            frame.reserveCapacity(min(Int(length), Self.reservedBytesMax))
        }
        guard let length = lengthExpected else { return .needsMore }
        let count = min(length - frame.count, bytes.count - consumed)
        if frame.count + count > frame.capacity {
            // Doubled, as an array does it, but never beyond the frame: what counts is what is taken.
            frame.reserveCapacity(min(length, max(2 * frame.capacity, frame.count + count)))
        }
        frame.append(contentsOf: bytes[consumed..<consumed + count])
        consumed += count
        guard frame.count == length else { return .needsMore }
        lengthExpected = nil
        let whole = frame
        frame = []
        return .frame(whole)
    }
}
