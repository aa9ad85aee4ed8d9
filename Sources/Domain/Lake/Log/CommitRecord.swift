package import Records

/// A run of bytes in a data file and the lines it holds.
package struct ByteRange: Equatable, Sendable {
    package var start: Int
    package var end: Int
    package var lines: Int
    /// CRC-32C of the bytes; 0 where there are none, nil in entries of version 1. A frame's own checksum covers its
    /// content only: bits that no decoder looks at would go unnoticed.
    package var checksum: UInt32?

    package init(start: Int, end: Int, lines: Int, checksum: UInt32?) {
        self.start = start
        self.end = end
        self.lines = lines
        self.checksum = checksum
    }

    /// Whether nothing was written.
    package var isEmpty: Bool { start == end }
}

/// What one commit wrote for one generation.
package struct GenerationPart: Equatable, Sendable {
    package var generation: Int64
    package var logicVersion: String
    /// The first Bronze offset of the hour in this generation's files.
    package var firstOffset: Int64
    package var silver: ByteRange
    package var gold: ByteRange
    package var quarantine: ByteRange
    /// Rejected records by rule.
    package var rejects: [String: Int]

    /// The bytes of one derived layer.
    package func range(_ layer: Layer) -> ByteRange {
        switch layer {
        case .silver: silver
        case .gold: gold
        case .bronze, .quarantine: quarantine
        }
    }
}

/// One entry of a commit log, the truth about a topic partition (`schemas/commit.schema.json`).
package struct CommitRecord: Equatable, Sendable {
    /// What the entry is about.
    package enum Kind: String, Sendable {
        /// Offsets were taken in.
        case commit
        /// A generation is fed from `range.end` on.
        case handover
        /// The hour's files were sealed.
        case seal
        /// In which format the files of the hour are written.
        case format
        /// A sealed file was superseded. It stands behind the seal of its hour, before the next hour's entries.
        case rewrite
        /// A kind of a newer version that says of itself that it may be skipped.
        case unknown
    }

    /// The format of the lake that this version writes. An hour without a format entry has format 1 or 2.
    package static let formatVersion: Int64 = 3

    /// What the entry is about.
    package var kind: Kind
    /// The offsets taken in; of a seal, those of the hour; of a handover, empty.
    package var range: OffsetRange
    /// Offsets before `range` that the broker never delivered.
    package var gap: OffsetRange?
    /// Why there is a gap, in words for people; nil where nobody knows.
    package var gapReason: String?
    package var hour: LakeHour
    /// The largest broker time so far in the topic partition, in milliseconds; times too far ahead do not count.
    package var brokerTimeMax: Int64
    /// The offset at which ``brokerTimeMax`` fell back the last time, because it lay beyond what the clock allowed; nil
    /// where it never did. Between two such offsets it never falls.
    package var timeReset: Int64?
    /// The first Bronze offset of the hour, which names the files.
    package var firstOffset: Int64
    package var bronze: ByteRange
    package var duplicates: Int
    package var canaries: Int
    /// Records whose broker time lay too far ahead to move the hour.
    package var timesAhead: Int
    /// When the offsets were taken in; nil in entries of version 3 and before.
    package var committed: CommitTime?
    /// SHA-256 of the last record's value; empty for a tombstone. Compared at start to notice a topic made anew.
    package var lastSHA256: String
    package var parts: [GenerationPart]
    /// Of a handover: the generation.
    package var handover: Int64?
    /// Of a seal: what was sealed.
    package var sealed: [SealedFile]
    /// Of a format entry: the format.
    package var format: Int64?
    /// Of a rewrite: what was rewritten, and why.
    package var rewrite: FileRewrite?

    package init(kind: Kind, range: OffsetRange, hour: LakeHour, brokerTimeMax: Int64, firstOffset: Int64) {
        self.kind = kind
        self.range = range
        self.hour = hour
        self.brokerTimeMax = brokerTimeMax
        self.firstOffset = firstOffset
        bronze = ByteRange(start: 0, end: 0, lines: 0, checksum: 0)
        duplicates = 0
        canaries = 0
        timesAhead = 0
        lastSHA256 = ""
        parts = []
        sealed = []
    }
}

/// Says that a sealed file was replaced by one with fewer lines or other bytes.
package struct FileRewrite: Equatable, Sendable {
    /// Such as `erasure`.
    package var reason: String
    /// The request that led to it, in the words of the one who made it.
    package var request: String
    /// The superseded file's ``SealedFile/contentSHA256``.
    package var oldContentSHA256: String
    /// What takes its place, under the same name.
    package var file: SealedFile

    package init(reason: String, request: String, oldContentSHA256: String, file: SealedFile) {
        self.reason = reason
        self.request = request
        self.oldContentSHA256 = oldContentSHA256
        self.file = file
    }
}

/// A sealed file with its frame index.
package struct SealedFile: Equatable, Sendable {
    package var layer: Layer
    package var generation: Int64?
    package var firstOffset: Int64
    package var bytes: Int
    package var lines: Int
    /// SHA-256 of the lines, not of the compressed bytes: it stays when the libzstd version changes.
    package var contentSHA256: String
    /// CRC-32C of the file's bytes; nil in entries of version 1.
    package var checksum: UInt32?
    /// For each frame the source offset of its first line and where it begins in the file.
    package var frames: [(offset: Int64, start: Int)]
    /// Of a file that was rewritten: the lines that it had when its hour was sealed. Not part of the entry.
    package var linesSealed: Int?

    package static func == (left: SealedFile, right: SealedFile) -> Bool {
        left.layer == right.layer && left.generation == right.generation && left.firstOffset == right.firstOffset
            && left.bytes == right.bytes && left.lines == right.lines && left.contentSHA256 == right.contentSHA256
            && left.checksum == right.checksum && left.frames.elementsEqual(right.frames, by: ==)
    }
}

extension CommitRecord {
    /// The seal as a rewrite leaves it.
    ///
    /// - Returns: nil where this seal names no such file with the superseded hash.
    func superseded(by rewrite: FileRewrite) -> CommitRecord? {
        guard
            let index = sealed.firstIndex(where: {
                $0.layer == rewrite.file.layer && $0.generation == rewrite.file.generation
                    && $0.firstOffset == rewrite.file.firstOffset && $0.contentSHA256 == rewrite.oldContentSHA256
            })
        else { return nil }
        var seal = self
        seal.sealed[index] = rewrite.file
        seal.sealed[index].linesSealed = sealed[index].linesSealed ?? sealed[index].lines
        return seal
    }
}
