/// Remembers the event ids of one topic partition within a window of offsets and of broker time.
///
/// A record is a duplicate if an earlier record within both bounds has its event id, whatever became of that one. The
/// answer depends on the records alone, so a replay that first reads the window before its start gives the same.
package struct DuplicateWindow: Sendable {
    /// The window's bounds.
    package struct Limits: Sendable, Equatable {
        /// How many offsets back an earlier record may lie.
        package let offsets: Int64
        /// How far back in broker time an earlier record may lie, in milliseconds.
        package let milliseconds: Int64

        package init(offsets: Int64 = 100_000, milliseconds: Int64 = 3_600_000) {
            self.offsets = offsets
            self.milliseconds = milliseconds
        }
    }

    /// 128 bits of an event id: the value of a UUID, or a hash of anything else.
    struct Identity: Hashable {
        let high: UInt64
        let low: UInt64

        func hash(into hasher: inout Hasher) {
            // The parts are random already.
            hasher.combine(high ^ low)
        }
    }

    private struct Entry {
        let identity: Identity
        let offset: Int64
        let milliseconds: Int64
    }

    private struct Seen {
        var offset: Int64
        var milliseconds: Int64
    }

    /// The bounds it was made with.
    package let limits: Limits
    private var latest: [Identity: Seen] = [:]
    // A ring of what is in `latest`, oldest first.
    private var ring: [Entry?] = []
    private var head = 0
    private var count = 0

    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Ids remembered at present; at most ``Limits/offsets``.
    package var size: Int { latest.count }

    /// Notes the record and tells whether it is a duplicate.
    ///
    /// - Parameters:
    ///   - eventID: UTF-8 of the event's id.
    ///   - brokerMilliseconds: the record's broker time.
    package mutating func isDuplicate(
        eventID: UnsafeBufferPointer<UInt8>, offset: Int64, brokerMilliseconds: Int64
    ) -> Bool {
        evict(before: offset)
        let identity = Self.identity(of: eventID)
        let earlier = latest[identity]
        latest[identity] = Seen(offset: offset, milliseconds: brokerMilliseconds)
        append(Entry(identity: identity, offset: offset, milliseconds: brokerMilliseconds))
        guard let earlier else { return false }
        return offset - earlier.offset <= limits.offsets
            && brokerMilliseconds - earlier.milliseconds <= limits.milliseconds
    }

    /// Forgets what lies too many offsets back. Time alone evicts nothing: broker times may step back.
    private mutating func evict(before offset: Int64) {
        while count > 0, let oldest = ring[head], offset - oldest.offset > limits.offsets {
            if latest[oldest.identity]?.offset == oldest.offset { latest[oldest.identity] = nil }
            ring[head] = nil
            head = (head + 1) % ring.count
            count -= 1
        }
    }

    private mutating func append(_ entry: Entry) {
        if count == ring.count { grow() }
        ring[(head + count) % ring.count] = entry
        count += 1
    }

    private mutating func grow() {
        var larger: [Entry?] = []
        larger.reserveCapacity(max(1_024, ring.count * 2))
        for index in 0..<count { larger.append(ring[(head + index) % ring.count]) }
        while larger.count < max(1_024, ring.count * 2) { larger.append(nil) }
        ring = larger
        head = 0
    }

    static func identity(of text: UnsafeBufferPointer<UInt8>) -> Identity {
        if let uuid = uuid(text) { return uuid }
        // FNV-1a over two different offsets (http://www.isthe.com/chongo/tech/comp/fnv/): ids of other shapes are
        // rare, and 128 bits make an accidental meeting of two within one window negligible.
        var high: UInt64 = 0xCBF2_9CE4_8422_2325
        var low: UInt64 = 0x9E37_79B9_7F4A_7C15
        for byte in text {
            high = (high ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
            low = (low ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
            low ^= low >> 29
        }
        return Identity(high: high, low: low ^ UInt64(text.count))
    }

    /// The value of `8-4-4-4-12` hexadecimal digits in lower case, the only spelling that is its own canonical form.
    private static func uuid(_ text: UnsafeBufferPointer<UInt8>) -> Identity? {
        guard text.count == 36 else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        var digits = 0
        for (index, byte) in text.enumerated() {
            if index == 8 || index == 13 || index == 18 || index == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            let value: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = byte - UInt8(ascii: "a") + 10
            default: return nil
            }
            if digits < 16 { high = high << 4 | UInt64(value) } else { low = low << 4 | UInt64(value) }
            digits += 1
        }
        return Identity(high: high, low: low)
    }
}
