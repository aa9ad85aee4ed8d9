import Bytes

/// How the vector arm's part of a ranking was found. All pages of a ranking are found alike, whatever the load: two ways of
/// looking give two orders, and pages of both would repeat hits and leave others out.
package enum VectorPart: UInt8, Sendable, CaseIterable {
    /// Not at all: lexical searches, and hybrid ones while there are no vectors.
    case absent = 0
    /// Through the index.
    case index = 1
    /// Over all rows that pass the filters.
    case exact = 2
}

/// A place in one fused ranking: which ranking (generation, index version, request, how it was found) and how far.
///
/// Opaque to clients, but not secret: base64url over a fixed layout with a checksum against typing errors.
package struct SearchCursor: Sendable, Hashable {
    package var generation: Int64
    package var indexVersion: Int64
    /// Hits already given.
    package var offset: Int
    /// Fingerprint of query, mode and filters; a cursor only continues the search it came from.
    package var fingerprint: UInt64
    /// How the pages before found their vector part.
    package var vectorPart: VectorPart

    /// Whether the pages before are in the order that a service gave them.
    package var isReranked: Bool

    /// The moment from which the question's relative times are reckoned, whole minutes; nil where it has none.
    package var referenceMilliseconds: Int64?

    package init(
        generation: Int64, indexVersion: Int64, offset: Int, fingerprint: UInt64, vectorPart: VectorPart,
        isReranked: Bool = false, referenceMilliseconds: Int64? = nil
    ) {
        self.isReranked = isReranked
        self.referenceMilliseconds = referenceMilliseconds
        self.vectorPart = vectorPart
        self.generation = generation
        self.indexVersion = indexVersion
        self.offset = offset
        self.fingerprint = fingerprint
    }

    /// Without a moment, and with one.
    private static let layoutVersions: (plain: UInt8, timed: UInt8) = (2, 3)
    /// version, generation, index version, offset, fingerprint, vector part, (minutes since 1970,) checksum
    private static let byteCounts = (plain: 1 + 8 + 8 + 4 + 8 + 1 + 4, timed: 1 + 8 + 8 + 4 + 8 + 1 + 4 + 4)
    private static let minute: Int64 = 60_000
    /// Beside the vector part, in its byte.
    private static let rerankedFlag: UInt8 = 0x80

    /// The text that a client sends back.
    package var text: String {
        let versions = Self.layoutVersions
        var bytes: [UInt8] = [referenceMilliseconds == nil ? versions.plain : versions.timed]
        Self.append(UInt64(bitPattern: generation), count: 8, to: &bytes)
        Self.append(UInt64(bitPattern: indexVersion), count: 8, to: &bytes)
        Self.append(UInt64(clamping: offset), count: 4, to: &bytes)
        Self.append(fingerprint, count: 8, to: &bytes)
        bytes.append(vectorPart.rawValue | (isReranked ? Self.rerankedFlag : 0))
        if let referenceMilliseconds {
            Self.append(UInt64(clamping: referenceMilliseconds / Self.minute), count: 4, to: &bytes)
        }
        Self.append(StableHash.of(bytes) & 0xFFFF_FFFF, count: 4, to: &bytes)
        return Base64.string(bytes).replacingBase64Alphabet()
    }

    /// Reads a cursor's text; nil where it is none of ours.
    package init?(text: String) {
        guard text.utf8.count <= 64, let bytes = Base64.bytes(Self.standardAlphabet(text)),
            let version = bytes.first,
            (version == Self.layoutVersions.plain && bytes.count == Self.byteCounts.plain)
                || (version == Self.layoutVersions.timed && bytes.count == Self.byteCounts.timed)
        else { return nil }
        let body = Array(bytes.dropLast(4))
        guard Self.read(bytes, at: body.count, count: 4) == StableHash.of(body) & 0xFFFF_FFFF else {
            return nil
        }
        generation = Int64(bitPattern: Self.read(bytes, at: 1, count: 8))
        indexVersion = Int64(bitPattern: Self.read(bytes, at: 9, count: 8))
        offset = Int(Self.read(bytes, at: 17, count: 4))
        fingerprint = Self.read(bytes, at: 21, count: 8)
        isReranked = bytes[29] & Self.rerankedFlag != 0
        guard let part = VectorPart(rawValue: bytes[29] & ~Self.rerankedFlag) else { return nil }
        vectorPart = part
        if bytes.count == Self.byteCounts.timed {
            referenceMilliseconds = Int64(Self.read(bytes, at: 30, count: 4)) * Self.minute
        }
        guard generation >= 0, indexVersion >= 0, text == self.text else { return nil }
    }

    private static func append(_ value: UInt64, count: Int, to bytes: inout [UInt8]) {
        for shift in (0..<count).reversed() { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift * 8))) }
    }

    private static func read(_ bytes: [UInt8], at start: Int, count: Int) -> UInt64 {
        bytes[start..<start + count].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// base64url without padding, back to the padded standard alphabet.
    private static func standardAlphabet(_ text: String) -> [UInt8] {
        var bytes = text.utf8.map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "-"): UInt8(ascii: "+")
            case UInt8(ascii: "_"): UInt8(ascii: "/")
            default: byte
            }
        }
        while !bytes.count.isMultiple(of: 4) { bytes.append(UInt8(ascii: "=")) }
        return bytes
    }
}

extension SearchRequest {
    /// Names the ranking that this request asks for: equal for equal query, mode and filters, whatever the page.
    package var fingerprint: UInt64 {
        var writer = JSONWriter()
        writer.beginArray()
        writer.string(query)
        writer.string(mode.rawValue)
        writer.raw(filter.encoding)
        writer.endArray()
        return StableHash.of(writer.bytes)
    }
}

/// FNV-1a, 64 bits: equal in every process, unlike Swift's `Hasher`. Not against malice.
package enum StableHash {
    package static func of(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return hash
    }
}

extension String {
    /// Padded standard base64 to base64url without padding.
    fileprivate func replacingBase64Alphabet() -> String {
        var bytes: [UInt8] = []
        for byte in utf8 where byte != UInt8(ascii: "=") {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: "-"))
            case UInt8(ascii: "/"): bytes.append(UInt8(ascii: "_"))
            default: bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
