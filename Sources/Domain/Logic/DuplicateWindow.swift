/// Remembers the event ids of one topic partition within a window of offsets and of broker time: some 50 bytes for each
/// offset of the window.
///
/// A record is a duplicate if the latest earlier record with its event id lies within both bounds, whatever became of
/// that one. For a record that may be a repeat (``RepeatMark``) only the bound in offsets counts: its producer may have
/// been away for longer than any bound in time. The answer depends on the records alone, so a replay that first reads the window before its start gives the
/// same. Each generation asks with bounds of its own; the window holds as many offsets as the widest of them.
///
/// A redriven record is measured against the copies that came through: neither the record that it stands for, nor what
/// that one stood for, nor copies that were left out themselves make it a duplicate. Else a copy that was left out for
/// the sake of a record in quarantine would keep the corrected one out, too.
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
    }

    private struct Entry {
        let identity: Identity
        let record: Seen
    }

    /// A look at the ring would be a miss in the processor's caches: with half of the hash here, few looks are needed.
    private struct Place {
        var hash: UInt32 = 0
        /// Index in the ring plus one; 0 is empty.
        var number: UInt32 = 0
    }

    /// A record as the window remembers it.
    fileprivate struct Seen {
        let offset: Int64
        /// The broker time in milliseconds, doubled, and one more where the record may be a repeat: a member of its own
        /// would make each entry a quarter larger.
        private let stamp: Int64

        init(offset: Int64, milliseconds: Int64, mayRepeat: Bool) {
            self.offset = offset
            stamp = milliseconds << 1 | (mayRepeat ? 1 : 0)
        }

        var milliseconds: Int64 { stamp >> 1 }
        var mayRepeat: Bool { stamp & 1 != 0 }
    }

    /// A record that was noted, and what it met.
    package struct Sighting {
        let identity: Identity
        fileprivate let record: Seen
        fileprivate let earlier: Seen?

        /// Whether its event id is among the ids that the window remembers; if not, it is a duplicate under no bounds.
        package var isRepeated: Bool { earlier != nil }
    }

    /// Copies of one id that are looked at for a redriven record, the latest ones.
    private static let copiesMax = 256

    /// How many offsets back it remembers.
    package let offsetsMax: Int64
    // The records of the window, oldest first from `head` on. No dictionary: with one it took three times the memory.
    private var ring: [Entry] = []
    private var head = 0
    private var count = 0
    // Where in the ring the latest record of each id stands. Open addressing with linear probing; at most half full.
    private var places: [Place] = []
    // Ids come from outside: nobody can choose some that meet in one place.
    private let seed = Identity(high: .random(in: 1 ... .max), low: .random(in: 1 ... .max))
    // Of the redriven records in the window: the offset in the same topic partition that each stands for.
    private var origins: [Int64: Int64] = [:]

    /// - Parameter offsetsMax: the widest bound that will be asked with.
    package init(offsetsMax: Int64 = Limits().offsets) {
        self.offsetsMax = offsetsMax
    }

    /// Ids remembered at present; at most ``offsetsMax`` and one.
    package private(set) var size = 0

    /// Takes a record in; offsets come in ascending order.
    ///
    /// - Parameters:
    ///   - eventID: UTF-8 of the event's id.
    ///   - brokerMilliseconds: the record's broker time.
    ///   - origin: the offset in the same topic partition that the record was redriven from.
    ///   - mayRepeat: whether it may be a copy from before an interruption.
    package mutating func note(
        eventID: UnsafeBufferPointer<UInt8>, offset: Int64, brokerMilliseconds: Int64, origin: Int64? = nil,
        mayRepeat: Bool = false
    ) -> Sighting {
        evict(before: offset)
        if ring.isEmpty { allocate() }
        let identity = Self.identity(of: eventID)
        let index = ringIndex(count)
        let record = Seen(offset: offset, milliseconds: brokerMilliseconds, mayRepeat: mayRepeat)
        ring[index] = Entry(identity: identity, record: record)
        count += 1
        let hash = hash(of: identity)
        let place = place(of: identity, hash)
        var earlier: Seen?
        if places[place].number == 0 {
            size += 1
        } else {
            earlier = ring[Int(places[place].number) - 1].record
        }
        places[place] = Place(hash: hash, number: UInt32(index + 1))
        if let origin, origin < offset { origins[offset] = origin }
        return Sighting(identity: identity, record: record, earlier: earlier)
    }

    /// Whether the record noted last is a duplicate under these bounds.
    ///
    /// - Parameters:
    ///   - followsRedrives: false for logic that knows no redriven records.
    ///   - followsMarks: false for logic that holds every record to both bounds.
    package func isDuplicate(
        _ sighting: Sighting, limits: Limits, followsRedrives: Bool, followsMarks: Bool
    ) -> Bool {
        guard let earlier = sighting.earlier else { return false }
        let bounds = Bounds(limits: limits, followsMarks: followsMarks)
        guard followsRedrives, origins[sighting.record.offset] != nil else {
            return bounds.reach(from: sighting.record, to: earlier)
        }
        return isDuplicateOfWhatCameThrough(sighting, bounds)
    }

    /// How far one logic looks back.
    private struct Bounds {
        let limits: Limits
        let followsMarks: Bool

        func reach(from record: Seen, to earlier: Seen) -> Bool {
            guard record.offset - earlier.offset <= limits.offsets else { return false }
            return followsMarks && record.mayRepeat
                || record.milliseconds - earlier.milliseconds <= limits.milliseconds
        }
    }

    /// Only what lies within the bounds before the record counts, so that a replay from there on sees no less.
    private func isDuplicateOfWhatCameThrough(_ sighting: Sighting, _ bounds: Bounds) -> Bool {
        let record = sighting.record
        let start = record.offset - bounds.limits.offsets
        var copies: [Seen] = []
        for index in 0..<count {
            let entry = ring[ringIndex(index)]
            guard entry.identity == sighting.identity, entry.record.offset >= start,
                entry.record.offset < record.offset
            else { continue }
            copies.append(entry.record)
        }
        copies = copies.suffix(Self.copiesMax)
        var cameThrough: [Seen] = []
        var previous: Seen?
        for copy in copies {
            let isDuplicate =
                if origins[copy.offset] != nil {
                    meets(cameThrough, copy, bounds, from: start)
                } else {
                    previous.map { bounds.reach(from: copy, to: $0) } ?? false
                }
            if !isDuplicate { cameThrough.append(copy) }
            previous = copy
        }
        return meets(cameThrough, record, bounds, from: start)
    }

    /// Whether one of `others` within the bounds is not among what the redriven `record` stands for.
    private func meets(_ others: [Seen], _ record: Seen, _ bounds: Bounds, from start: Int64) -> Bool {
        var named: Set<Int64> = []
        var place = record.offset
        while place >= start, let origin = origins[place] {
            named.insert(origin)
            place = origin
        }
        return others.contains { !named.contains($0.offset) && bounds.reach(from: record, to: $0) }
    }

    /// Forgets what lies too many offsets back. Time alone evicts nothing: broker times may step back.
    private mutating func evict(before offset: Int64) {
        while count > 0, offset - ring[head].record.offset > offsetsMax {
            let oldest = ring[head]
            let place = place(of: oldest.identity, hash(of: oldest.identity))
            if Int(places[place].number) == head + 1 { remove(place) }
            if !origins.isEmpty { origins[oldest.record.offset] = nil }
            head = ringIndex(1)
            count -= 1
        }
    }

    /// Where the entry stands that is the `number`-th, from 0, of those remembered.
    private func ringIndex(_ number: Int) -> Int {
        let index = head + number
        return index < ring.count ? index : index - ring.count
    }

    /// Where the id stands in `places`, or the empty place where it belongs.
    private func place(of identity: Identity, _ hash: UInt32) -> Int {
        let mask = places.count - 1
        var place = Int(hash) & mask
        while places[place].number != 0 {
            if places[place].hash == hash, ring[Int(places[place].number) - 1].identity == identity { break }
            place = (place + 1) & mask
        }
        return place
    }

    private func hash(of identity: Identity) -> UInt32 {
        let product = (identity.high ^ seed.high).multipliedFullWidth(by: identity.low ^ seed.low)
        return UInt32(truncatingIfNeeded: product.high ^ product.low)
    }

    /// Empties a place and moves up what probing would no longer find behind it (Knuth, TAOCP 3, 6.4, algorithm R).
    private mutating func remove(_ place: Int) {
        let mask = places.count - 1
        var empty = place
        var next = place
        while true {
            next = (next + 1) & mask
            guard places[next].number != 0 else { break }
            let home = Int(places[next].hash) & mask
            if (next - home) & mask >= (next - empty) & mask {
                places[empty] = places[next]
                empty = next
            }
        }
        places[empty] = Place()
        size -= 1
    }

    /// All of the window at once, on first use: what it takes is known from the start, not after the busiest hour.
    private mutating func allocate() {
        let capacity = Int(offsetsMax) + 1
        ring = Array(
            repeating: Entry(
                identity: Identity(high: 0, low: 0), record: Seen(offset: 0, milliseconds: 0, mayRepeat: false)),
            count: capacity)
        var placeCount = 16
        while placeCount < 2 * capacity { placeCount *= 2 }
        places = Array(repeating: Place(), count: placeCount)
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
        let bytes = UnsafeRawBufferPointer(text)
        let dash = UInt8(ascii: "-")
        guard bytes[8] == dash, bytes[13] == dash, bytes[18] == dash, bytes[23] == dash else { return nil }
        func word(_ place: Int) -> UInt64 {
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
        }
        func half(_ place: Int) -> UInt64 {
            UInt64(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
        }
        guard let first = value(ofDigits: word(0)), let second = value(ofDigits: half(9) << 32 | half(14)),
            let third = value(ofDigits: half(19) << 32 | half(24)), let fourth = value(ofDigits: word(28))
        else { return nil }
        return Identity(high: first << 32 | second, low: third << 32 | fourth)
    }

    /// The 32 bits that eight hexadecimal digits in lower case stand for, the first digit in the highest byte; nil where
    /// one is none. All eight at once.
    private static func value(ofDigits digits: UInt64) -> UInt64? {
        let ones: UInt64 = 0x0101_0101_0101_0101
        // Digits are 0x30 to 0x39, letters 0x61 to 0x66.
        let letters = digits >> 6 & ones
        let values = (digits & ones &* 0x0F) &+ letters &* 9
        guard values &+ ones &* 0x30 &+ letters &* 0x27 == digits, values & ones &* 0xF0 == 0,
            (values &+ ones &* 6) >> 4 & ones == letters
        else { return nil }
        let bytes = (values | values >> 4) & 0x00FF_00FF_00FF_00FF
        let pairs = (bytes | bytes >> 8) & 0x0000_FFFF_0000_FFFF
        return (pairs | pairs >> 16) & 0xFFFF_FFFF
    }
}
