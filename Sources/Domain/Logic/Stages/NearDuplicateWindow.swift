/// Remembers the texts of one topic partition's documents, so that a document can be left out whose text another one has
/// already, or nearly: some 120 bytes for each offset of the window.
///
/// The window is one of the blocks of N offsets, 0 to N - 1, N to 2N - 1 and so on, and begins empty. That bounds what it holds,
/// and makes its answers a function of the records since the beginning of the block: a start, or a replay, that first reads those
/// gives the same. (A window that slides would not: whether a document came through can hang on ever earlier ones.) Equal texts
/// to both sides of a boundary both come through.
///
/// A document is left out where another one, that came through, has a text within the distance now. An update of a document is
/// held against others alone. One that is deleted or changed counts no longer with the text that it had.
///
/// Within a block the window goes by the index's rules, so that nothing is held against a text that the index does not show: of
/// equal versions the later record counts, an older version than the one that is shown changes nothing, a deletion holds for its
/// version and those below, and what is left out takes away lower versions alone.
package struct NearDuplicateWindow: Sendable {
    /// What makes a document a near duplicate.
    package struct Limits: Sendable, Equatable {
        /// Offsets of a block, at least 1.
        package let offsets: Int64
        /// How far back in broker time the other document's record may lie, in milliseconds.
        package let milliseconds: Int64
        /// How many bits of two fingerprints may differ; 0 asks for texts that are equal but for case, white space and
        /// punctuation.
        package let distance: Int

        package init(
            offsets: Int64, milliseconds: Int64 = Limits.standardMilliseconds, distance: Int = Limits.distanceMax
        ) {
            self.offsets = max(1, offsets)
            self.milliseconds = milliseconds
            self.distance = min(max(0, distance), Self.distanceMax)
        }

        /// The largest block.
        package static let offsetsMax: Int64 = 500_000
        /// As far as a SimHash of 64 bits tells texts apart.
        package static let distanceMax = 3
        /// A day.
        package static let standardMilliseconds: Int64 = 86_400_000
    }

    private struct Entry {
        let version: Int64
        let fingerprint: UInt64
        let milliseconds: Int64
        var isLive = true
    }

    /// What is known of a document in the block.
    private struct Known {
        /// Versions up to this one are gone.
        var goneVersion = Int64.min
        /// The latest that came through; it is shown unless it is gone.
        var version = Int64.min
        /// Index of its entry; ``none`` where it has no text that counts.
        var entry = Known.none

        static let none: Int32 = -1
    }

    /// Entries of one slot that are looked at for one document, the latest ones: texts can be chosen to meet in one slot.
    private static let candidatesMax = 256
    private static let slotsMax = 1 << 16

    private let limits: Limits
    private var text = TextFingerprint()
    /// Which block of offsets is held.
    private var block: Int64 = -1
    private var entries: [Entry] = []
    private var known: [DuplicateWindow.Identity: Known] = [:]
    /// Documents of a lower version are gone.
    private var versionFloor = Int64.min
    // Two fingerprints that differ in at most d bits are equal in at least one of d + 1 bands. For each band: by a hash of its
    // bits the latest entry, and for each entry the one before it, as an index plus one; 0 is none.
    private let bands: Int
    private let slots: Int
    private var heads: [UInt32] = []
    private var previous: [UInt32] = []

    package init(_ limits: Limits) {
        self.limits = limits
        bands = limits.distance + 1
        var slots = 1
        while slots < Self.slotsMax, Int64(slots) < limits.offsets { slots *= 2 }
        self.slots = slots
    }

    /// Documents of the present block that count.
    package var count: Int { entries.count { $0.isLive && $0.version >= versionFloor } }

    /// Forgets everything.
    package mutating func removeAll() {
        block = -1
        clear()
    }

    /// Takes a document in; offsets come in ascending order.
    ///
    /// - Parameters:
    ///   - id: UTF-8 of the document's id.
    ///   - text: all of its text, in UTF-8.
    ///   - brokerMilliseconds: the record's broker time.
    /// - Returns: whether it is to be left out.
    package mutating func isDuplicate(
        id: [UInt8], version: Int64, text: [UInt8], offset: Int64, brokerMilliseconds: Int64
    ) -> Bool {
        enter(offset)
        let identity = id.withUnsafeBufferPointer { DuplicateWindow.identity(of: $0) }
        var document = known[identity] ?? Known()
        // The index passes it by.
        guard version >= versionFloor, version > document.goneVersion, version >= document.version else { return false }
        let fingerprint = limits.distance == 0 ? self.text.hash(text) : self.text.simHash(text)
        if let fingerprint, isNear(fingerprint, brokerMilliseconds, except: document.entry) {
            hide(&document, upTo: version - 1)
            known[identity] = document
            return true
        }
        kill(&document)
        document.version = version
        if let fingerprint {
            document.entry = Int32(truncatingIfNeeded: entries.count)
            append(Entry(version: version, fingerprint: fingerprint, milliseconds: brokerMilliseconds))
        }
        known[identity] = document
        return false
    }

    /// Takes in that a document is gone up to and with a version.
    package mutating func remove(id: [UInt8], version: Int64, offset: Int64) {
        enter(offset)
        let identity = id.withUnsafeBufferPointer { DuplicateWindow.identity(of: $0) }
        var document = known[identity] ?? Known()
        hide(&document, upTo: version)
        known[identity] = document
    }

    /// Takes in that a version of a document is left out for another reason.
    package mutating func leaveOut(id: [UInt8], version: Int64, offset: Int64) {
        remove(id: id, version: version - 1, offset: offset)
    }

    /// Takes in that every document of a lower version is gone.
    package mutating func removeAll(below version: Int64, offset: Int64) {
        enter(offset)
        versionFloor = max(versionFloor, version)
    }

    private mutating func hide(_ document: inout Known, upTo version: Int64) {
        document.goneVersion = max(document.goneVersion, version)
        if document.version <= version { kill(&document) }
    }

    private mutating func kill(_ document: inout Known) {
        if document.entry != Known.none { entries[Int(document.entry)].isLive = false }
        document.entry = Known.none
    }

    private mutating func enter(_ offset: Int64) {
        let block = offset / limits.offsets
        guard block != self.block else { return }
        clear()
        self.block = block
    }

    private mutating func clear() {
        entries.removeAll(keepingCapacity: true)
        known.removeAll(keepingCapacity: true)
        previous.removeAll(keepingCapacity: true)
        versionFloor = .min
        if heads.isEmpty {
            heads = [UInt32](repeating: 0, count: bands * slots)
        } else {
            for slot in heads.indices { heads[slot] = 0 }
        }
    }

    /// - Parameter own: index of the document's own entry.
    private func isNear(_ fingerprint: UInt64, _ milliseconds: Int64, except own: Int32) -> Bool {
        for band in 0..<bands {
            var number = Int(heads[slot(of: fingerprint, band)])
            var looks = 0
            while number > 0, looks < Self.candidatesMax {
                let entry = entries[number - 1]
                if entry.isLive, number - 1 != Int(own), entry.version >= versionFloor,
                    (entry.fingerprint ^ fingerprint).nonzeroBitCount <= limits.distance,
                    milliseconds - entry.milliseconds <= limits.milliseconds
                {
                    return true
                }
                number = Int(previous[(number - 1) * bands + band])
                looks += 1
            }
        }
        return false
    }

    private mutating func append(_ entry: Entry) {
        for band in 0..<bands {
            let slot = slot(of: entry.fingerprint, band)
            previous.append(heads[slot])
            heads[slot] = UInt32(entries.count + 1)
        }
        entries.append(entry)
    }

    private func slot(of fingerprint: UInt64, _ band: Int) -> Int {
        let width = 64 / bands
        let bits = bands == 1 ? fingerprint : fingerprint >> UInt64(band * width)
        // The last band has what is left over of the 64 bits, too.
        let part = band == bands - 1 ? bits : bits & (1 << UInt64(width) - 1)
        let hash = (part &+ 1) &* 0x9E37_79B9_7F4A_7C15
        return band * slots + Int(hash >> 40) & (slots - 1)
    }
}
