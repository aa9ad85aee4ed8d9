import Bytes

/// A place in a ranking that was not shown yet: what was found, and where the arms put it.
package struct RankedPassage: Sendable, Hashable {
    /// The passage's number in the index.
    package var passageID: Int64
    package var vector: ArmPlace?
    package var lexical: ArmPlace?
    /// Other documents of its group, 255 at most.
    package var others = 0

    package init(passageID: Int64, vector: ArmPlace?, lexical: ArmPlace?, others: Int = 0) {
        self.others = others
        self.passageID = passageID
        self.vector = vector
        self.lexical = lexical
    }
}

extension Candidate {
    /// Where it stands in its ranking.
    package var place: RankedPassage {
        RankedPassage(passageID: passageID, vector: vector, lexical: lexical, others: others ?? 0)
    }
}

extension Hit {
    /// Where it stands in its ranking.
    package var place: RankedPassage {
        var place = candidate.place
        place.others = others ?? 0
        return place
    }
}

/// What is to be said of a ranking, on each of its pages.
package struct RankingNotes: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The vector arm was asked for but could not run.
    package static let vectorMissing = RankingNotes(rawValue: 1)
    /// The vector arm had no time to look at everything.
    package static let vectorIncomplete = RankingNotes(rawValue: 2)
    /// The word arm does not know all passages yet.
    package static let lexicalIncomplete = RankingNotes(rawValue: 4)
    /// The word arm met a bound.
    package static let lexicalBounded = RankingNotes(rawValue: 8)

    /// The first hits are in the order of a service.
    package static let reranked = RankingNotes(rawValue: 16)

    /// The vector arm met a bound.
    package static let vectorBounded = RankingNotes(rawValue: 32)

    static let all: RankingNotes = [
        .vectorMissing, .vectorIncomplete, .lexicalIncomplete, .lexicalBounded, .reranked, .vectorBounded,
    ]
}

/// The rest of one ranking: the passages of the next pages. Any server can continue it, and new documents do not change it.
///
/// Opaque to clients, but not secret: base64url over a fixed layout with a checksum against typing errors. A forged cursor shows
/// passages of the caller's own tenant in another order, and nothing else.
package struct SearchCursor: Sendable, Hashable {
    package var generation: Int64
    package var indexVersion: Int64
    /// Hits already given.
    package var offset: Int
    /// Fingerprint of what was asked; a cursor only continues the search it came from.
    package var fingerprint: UInt64
    package var notes: RankingNotes
    /// The moment from which relative times and ages are reckoned, milliseconds since 1970; nil where there are none.
    package var referenceMilliseconds: Int64?
    /// What comes next, ``SearchLimits/rankedMax`` at most.
    package var rest: [RankedPassage]

    package init(
        generation: Int64, indexVersion: Int64, offset: Int, fingerprint: UInt64, notes: RankingNotes,
        referenceMilliseconds: Int64? = nil, rest: [RankedPassage]
    ) {
        self.referenceMilliseconds = referenceMilliseconds
        self.notes = notes
        self.generation = generation
        self.indexVersion = indexVersion
        self.offset = offset
        self.fingerprint = fingerprint
        self.rest = Array(rest.prefix(SearchLimits.rankedMax))
    }

    private static let layoutVersion: UInt8 = 5
    /// version, generation, index version, offset, fingerprint, notes, milliseconds since 1970 (0: none), places
    private static let headCount = 1 + 8 + 8 + 4 + 8 + 1 + 6 + 2
    /// passage, rank and score of each arm (rank 0: not found), others of its group
    private static let placeCount = 8 + 2 * (2 + 4) + 1
    private static let checksumCount = 4
    /// Characters of the longest cursor.
    package static let charactersMax =
        (headCount + SearchLimits.rankedMax * placeCount + checksumCount + 2) / 3 * 4

    /// The text that a client sends back.
    package var text: String {
        var bytes: [UInt8] = [Self.layoutVersion]
        bytes.reserveCapacity(Self.headCount + rest.count * Self.placeCount + Self.checksumCount)
        Self.append(UInt64(bitPattern: generation), count: 8, to: &bytes)
        Self.append(UInt64(bitPattern: indexVersion), count: 8, to: &bytes)
        Self.append(UInt64(clamping: offset), count: 4, to: &bytes)
        Self.append(fingerprint, count: 8, to: &bytes)
        bytes.append(notes.rawValue)
        Self.append(UInt64(clamping: referenceMilliseconds ?? 0), count: 6, to: &bytes)
        Self.append(UInt64(rest.count), count: 2, to: &bytes)
        for place in rest {
            Self.append(UInt64(bitPattern: place.passageID), count: 8, to: &bytes)
            for arm in [place.vector, place.lexical] {
                Self.append(UInt64(clamping: arm?.rank ?? 0), count: 2, to: &bytes)
                Self.append(UInt64(Float(arm?.score ?? 0).bitPattern), count: 4, to: &bytes)
            }
            bytes.append(UInt8(clamping: place.others))
        }
        Self.append(StableHash.of(bytes) & 0xFFFF_FFFF, count: Self.checksumCount, to: &bytes)
        return Base64.string(bytes).replacingBase64Alphabet()
    }

    /// Reads a cursor's text; nil where it is none of ours.
    package init?(text: String) {
        guard text.utf8.count <= Self.charactersMax, let bytes = Base64.bytes(Self.standardAlphabet(text)),
            bytes.count >= Self.headCount + Self.checksumCount, bytes[0] == Self.layoutVersion
        else { return nil }
        let count = Int(Self.read(bytes, at: Self.headCount - 2, count: 2))
        let body = bytes.dropLast(Self.checksumCount)
        guard count <= SearchLimits.rankedMax, body.count == Self.headCount + count * Self.placeCount,
            Self.read(bytes, at: body.count, count: Self.checksumCount) == StableHash.of(Array(body)) & 0xFFFF_FFFF
        else { return nil }
        generation = Int64(bitPattern: Self.read(bytes, at: 1, count: 8))
        indexVersion = Int64(bitPattern: Self.read(bytes, at: 9, count: 8))
        offset = Int(Self.read(bytes, at: 17, count: 4))
        fingerprint = Self.read(bytes, at: 21, count: 8)
        notes = RankingNotes(rawValue: bytes[29])
        let reference = Int64(Self.read(bytes, at: 30, count: 6))
        referenceMilliseconds = reference > 0 ? reference : nil
        rest = (0..<count).map { Self.place(bytes, at: Self.headCount + $0 * Self.placeCount) }
        guard generation >= 0, indexVersion >= 0, RankingNotes.all.isSuperset(of: notes), text == self.text else {
            return nil
        }
    }

    private static func place(_ bytes: [UInt8], at start: Int) -> RankedPassage {
        func arm(_ start: Int) -> ArmPlace? {
            let rank = Int(read(bytes, at: start, count: 2))
            guard rank > 0 else { return nil }
            let score = Float(bitPattern: UInt32(read(bytes, at: start + 2, count: 4)))
            return ArmPlace(rank: rank, score: Double(score))
        }
        return RankedPassage(
            passageID: Int64(bitPattern: read(bytes, at: start, count: 8)), vector: arm(start + 8),
            lexical: arm(start + 14), others: Int(bytes[start + 20]))
    }

    private static func append(_ value: UInt64, count: Int, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0.suffix(count)) }
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
    /// Names the ranking that this request asks for: equal for equal query, mode, filters, weights and options, whatever the page,
    /// and whatever else is asked that changes no ranking.
    package var fingerprint: UInt64 {
        var writer = JSONWriter()
        writer.beginArray()
        writer.string(query)
        writer.string(mode.rawValue)
        writer.raw(filter.encoding)
        writer.weights(weights)
        writer.options(options)
        writer.like(like)
        if isExact { writer.string("exact") }
        if let ef { writer.integer(ef) }
        if let past {
            writer.string("as_of")
            writer.integer(past.generation)
            writer.integer(past.indexVersion)
        }
        writer.endArray()
        return StableHash.of(writer.bytes)
    }
}

extension JSONWriter {
    fileprivate mutating func weights(_ weights: ArmWeights?) {
        for weight in [weights?.vector, weights?.lexical] {
            if let weight { double(weight) } else { null() }
        }
    }

    fileprivate mutating func options(_ options: RankingOptions) {
        guard !options.isPlain else { return }
        beginArray()
        double(options.recency?.weight ?? 0)
        integer(options.recency?.halfLifeMilliseconds ?? 0)
        double(options.scoreMin ?? -.infinity)
        string(options.order.rawValue)
        string(options.grouping?.text ?? "")
        for (collection, weight) in options.sourceWeights.sorted(by: { $0.key < $1.key }) {
            string(collection)
            double(weight)
        }
        endArray()
    }

    fileprivate mutating func like(_ like: LikeTarget?) {
        guard let like else { return }
        beginArray()
        string(like.docID)
        string(like.collection ?? "")
        integer(like.passage ?? -1)
        endArray()
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
        var bytes = Array(utf8)
        while bytes.last == UInt8(ascii: "=") { bytes.removeLast() }
        for index in bytes.indices {
            switch bytes[index] {
            case UInt8(ascii: "+"): bytes[index] = UInt8(ascii: "-")
            case UInt8(ascii: "/"): bytes[index] = UInt8(ascii: "_")
            default: break
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
