import Glibc
import Hashing
import JSONScan
package import Lake
package import Logic
package import Records

/// What became of one record.
package enum RecordOutcome: Sendable {
    /// Handed to the generations' transforms, each of which may still reject it.
    case accepted
    case rejected(Rule)
    case duplicate
    case canary
}

/// One Gold document of a batch, by its place in the batch's buffers.
package struct GoldEntry: Sendable {
    /// Index into ``RecordProcessor/generations``.
    package let generationIndex: Int
    package let sourceOffset: Int64
    package let sourceTimestampMilliseconds: Int64
    /// Bytes of the document's id in ``RecordProcessor/goldIDs``.
    package let documentID: Range<Int>
    /// Bytes of the line, without line feed, in the generation's Gold text.
    package let line: Range<Int>
}

/// Turns Bronze records into the lines of all fed generations: parse, hash, duplicates, rules, transforms.
///
/// The same for the stream job and for replays, so that both give the same bytes. Not thread-safe.
package struct RecordProcessor: ~Copyable {
    /// One generation with its logic and the lines made since the last ``removeLines()``.
    package struct Generation {
        package let number: Int64
        package var transform: RecentChangeTransform
        package var lines = DerivedLines()
        /// Whether the record at hand is a duplicate by this generation's bounds.
        fileprivate var leavesOut = false

        fileprivate mutating func apply(
            _ record: borrowing SourceRecord, fields: EventFields, bronzeSHA256: [UInt8],
            embedsValue: Bool, hasher: inout LibraryHasher,
            goldLine: (UnsafeBufferPointer<UInt8>, UnsafeRawBufferPointer) -> Void
        ) throws {
            try transform.apply(
                record, fields: fields, bronzeSHA256: bronzeSHA256, embedsValue: embedsValue, hasher: &hasher,
                output: &lines, goldLine: goldLine)
        }

        fileprivate mutating func reject(
            _ record: borrowing SourceRecord, _ rejection: Rejection, eventID: UnsafeBufferPointer<UInt8>?,
            bronzeSHA256: [UInt8]?, embedsValue: Bool
        ) {
            transform.reject(
                record, rejection, eventID: eventID, bronzeSHA256: bronzeSHA256, embedsValue: embedsValue,
                output: &lines)
        }
    }

    /// A larger value is kept in Bronze and quarantined.
    package static let valueBytesMax = 1 << 20

    private let topic: String
    private let partition: Int32
    private var parser: JSONFieldParser
    /// The fields of the record at hand, by the numbers of ``RecentChangeField``.
    private var fields = [FieldValue](repeating: FieldValue(kind: .absent), count: RecentChangeField.allCases.count)
    private var hasher: LibraryHasher
    private var duplicates: DuplicateWindow
    private var digest: [UInt8] = []
    /// The fed generations with the lines made for each.
    package private(set) var generations: [Generation] = []
    /// Bronze lines since the last ``removeLines()``; stays empty in a replay.
    package private(set) var bronze: [UInt8] = []
    package private(set) var bronzeCount = 0
    /// Duplicates by the logic of the first generation.
    package private(set) var duplicateCount = 0
    package private(set) var canaryCount = 0
    package private(set) var gold: [GoldEntry] = []
    /// The ids of the documents in ``gold``, one behind the other.
    package private(set) var goldIDs: [UInt8] = []
    private let writesBronze: Bool

    /// - Parameter writesBronze: false for a replay, whose Bronze is there already.
    package init(source: TopicPartition, writesBronze: Bool) throws {
        let parser = try JSONFieldParser(paths: RecentChangeField.paths, depthMax: 64)
        let hasher = try LibraryHasher()
        topic = source.topic
        partition = source.partition
        self.parser = parser
        self.hasher = hasher
        duplicates = DuplicateWindow(offsetsMax: 0)
        self.writesBronze = writesBronze
    }

    /// SHA-256 of the last record's value in hexadecimal; empty for a tombstone.
    package var lastSHA256: String { String(decoding: digest, as: UTF8.self) }

    /// How many offsets back the duplicate window must have been read; ``add(_:)`` may widen it.
    package var windowOffsets: Int64 { duplicates.offsetsMax }

    /// Writes `generation` from the next record on. If that makes ``windowOffsets`` grow, the window is empty, and what
    /// lies before the next record must be read into it by ``warm(offset:timestampMilliseconds:origin:mayRepeat:value:)``.
    ///
    /// - Throws: ``TransformSettingsError`` where this binary cannot run its logic.
    package mutating func add(_ generation: LakeGeneration) throws {
        let settings = try TransformSettings(stored: generation.settings)
        let transform = try RecentChangeTransform(settings: settings, collection: topic, hasher: &hasher)
        guard transform.logicVersion == generation.logicVersion else {
            throw TransformSettingsError(
                description: "generation \(generation.number) was made by logic \(generation.logicVersion), but its "
                    + "settings give \(transform.logicVersion): use the release that made it")
        }
        generations.append(Generation(number: generation.number, transform: transform))
        if settings.duplicates.offsets > duplicates.offsetsMax {
            duplicates = DuplicateWindow(offsetsMax: settings.duplicates.offsets)
        }
    }

    /// No longer writes a generation.
    package mutating func remove(_ number: Int64) {
        generations.removeAll { $0.number == number }
    }

    /// Forgets the lines made so far and keeps the storage.
    package mutating func removeLines() {
        bronze.removeAll(keepingCapacity: true)
        gold.removeAll(keepingCapacity: true)
        goldIDs.removeAll(keepingCapacity: true)
        (bronzeCount, duplicateCount, canaryCount) = (0, 0, 0)
        for index in generations.indices { generations[index].lines.removeAll() }
    }

    /// Takes a record's event id into the duplicate window, as a replay or a start does with what lies before.
    package mutating func warm(
        offset: Int64, timestampMilliseconds: Int64, origin: RedriveOrigin?, mayRepeat: Bool, value: [UInt8]?
    ) {
        guard let value else { return }
        let error = value.withUnsafeBytes { parser.parseObject($0) }
        guard error == nil, let id = eventID() else { return }
        _ = duplicates.note(
            eventID: id, offset: offset, brokerMilliseconds: SourceRecord.brokerMilliseconds(timestampMilliseconds),
            origin: windowOrigin(origin), mayRepeat: Self.mayRepeat(mayRepeat, origin))
    }

    /// A redriven record stands for one that was sent before, whatever its headers say.
    private static func mayRepeat(_ isMarked: Bool, _ origin: RedriveOrigin?) -> Bool { isMarked || origin != nil }

    /// The window is of one topic partition: a record of another one is not in it.
    private func windowOrigin(_ origin: RedriveOrigin?) -> Int64? {
        guard let origin, origin.partition == partition, origin.topic == topic else { return nil }
        return origin.offset
    }

    /// Makes the lines of one record.
    @discardableResult
    package mutating func process(_ record: borrowing SourceRecord) throws -> RecordOutcome {
        digest.removeAll(keepingCapacity: true)
        guard let value = record.value else {
            keepAll()
            appendBronze(record, embedsValue: false)
            return reject(record, Rejection(.nullPayload), eventID: nil, embedsValue: false)
        }
        try hasher.appendHexDigest(of: value, to: &digest)
        let error = parser.parseObject(value)
        let embedsValue = error == nil && Self.isOnOneLine(value)
        appendBronze(record, embedsValue: embedsValue)
        if let error {
            keepAll()
            return reject(record, Self.rejection(error, value), eventID: nil, embedsValue: false)
        }
        let id = eventID()
        if let id { findDuplicates(id, record) } else { keepAll() }
        if isCanary() {
            canaryCount += 1
            return .canary
        }
        if generations.first?.leavesOut == true { duplicateCount += 1 }
        if !generations.isEmpty, generations.allSatisfy(\.leavesOut) { return .duplicate }
        if value.count > Self.valueBytesMax {
            return reject(record, Rejection(.tooLarge), eventID: id, embedsValue: embedsValue)
        }
        guard parser.field(RecentChangeField.meta.rawValue).kind == .object else {
            return reject(record, Rejection(.missingMeta), eventID: id, embedsValue: embedsValue)
        }
        for index in fields.indices { fields[index] = FieldValue(parser.field(index)) }
        for index in generations.indices where !generations[index].leavesOut {
            try derive(index, record, embedsValue: embedsValue)
        }
        return .accepted
    }

    /// Each generation decides by its own bounds, so that what it is fed equals what a replay makes of the same offsets.
    private mutating func findDuplicates(_ id: UnsafeBufferPointer<UInt8>, _ record: borrowing SourceRecord) {
        let sighting = duplicates.note(
            eventID: id, offset: record.offset, brokerMilliseconds: record.brokerMilliseconds,
            origin: windowOrigin(record.origin), mayRepeat: Self.mayRepeat(record.mayRepeat, record.origin))
        guard sighting.isRepeated else { return keepAll() }
        for index in generations.indices {
            let settings = generations[index].transform.settings
            generations[index].leavesOut = duplicates.isDuplicate(
                sighting, limits: settings.duplicates, followsRedrives: settings.codeVersion.followsRedrives,
                followsMarks: settings.codeVersion.followsRepeatMarks)
        }
    }

    private mutating func keepAll() {
        for index in generations.indices { generations[index].leavesOut = false }
    }

    private mutating func derive(_ index: Int, _ record: borrowing SourceRecord, embedsValue: Bool) throws {
        let start = generations[index].lines.gold.count
        let (offset, timestamp) = (record.offset, record.brokerMilliseconds)
        // Out of self for the time of the call, so that the closure may fill them; the storage is kept.
        var entries: [GoldEntry] = []
        var ids: [UInt8] = []
        swap(&entries, &gold)
        swap(&ids, &goldIDs)
        defer {
            swap(&entries, &gold)
            swap(&ids, &goldIDs)
        }
        try fields.withUnsafeBufferPointer { fields in
            try generations[index].apply(
                record, fields: EventFields(fields), bronzeSHA256: digest, embedsValue: embedsValue, hasher: &hasher
            ) { documentID, line in
                let idStart = ids.count
                ids.append(contentsOf: documentID)
                entries.append(
                    GoldEntry(
                        generationIndex: index, sourceOffset: offset, sourceTimestampMilliseconds: timestamp,
                        documentID: idStart..<ids.count, line: start..<start + line.count))
            }
        }
    }

    private mutating func appendBronze(_ record: borrowing SourceRecord, embedsValue: Bool) {
        guard writesBronze else { return }
        BronzeLine.append(record, embedsValue: embedsValue, to: &bronze)
        bronzeCount += 1
    }

    private mutating func reject(
        _ record: borrowing SourceRecord, _ rejection: Rejection, eventID: UnsafeBufferPointer<UInt8>?,
        embedsValue: Bool
    ) -> RecordOutcome {
        for index in generations.indices where !generations[index].leavesOut {
            generations[index].reject(
                record, rejection, eventID: eventID, bronzeSHA256: record.value == nil ? nil : digest,
                embedsValue: embedsValue)
        }
        return .rejected(rejection.rule)
    }

    private func eventID() -> UnsafeBufferPointer<UInt8>? {
        let field = parser.field(RecentChangeField.id.rawValue)
        return field.kind == .string && !field.text.isEmpty ? field.text : nil
    }

    /// Canaries are sent by the source to watch itself (https://wikitech.wikimedia.org/wiki/Event_Platform).
    private func isCanary() -> Bool {
        let domain = parser.field(RecentChangeField.domain.rawValue)
        guard domain.kind == .string, domain.text.count == Self.canaryDomain.count else { return false }
        return domain.text.elementsEqual(Self.canaryDomain)
    }

    private static let canaryDomain = Array("canary".utf8)

    /// A line feed or carriage return between tokens is JSON, but would break the line format.
    private static func isOnOneLine(_ value: UnsafeRawBufferPointer) -> Bool {
        guard let start = value.baseAddress else { return true }
        return memchr(start, 0x0A, value.count) == nil && memchr(start, 0x0D, value.count) == nil
    }

    /// What was made since the last ``removeLines()``, for one commit. It shares the buffers here, and must be gone
    /// before they are used again, or they are copied.
    ///
    /// - Parameters:
    ///   - range: offsets of the records, all of them.
    ///   - brokerTimeMax: the largest broker time so far, in milliseconds.
    ///   - gapReason: why offsets before `range` are missing, if any are.
    package func batch(
        _ range: OffsetRange, hour: LakeHour, brokerTimeMax: Int64, gapReason: String? = nil
    ) -> CommitBatch {
        var batch = CommitBatch(
            range: range, hour: hour, brokerTimeMax: brokerTimeMax, lastSHA256: lastSHA256,
            duplicates: duplicateCount, canaries: canaryCount, bronze: (bronze, bronzeCount),
            generations: generations.map { generation in
                let lines = generation.lines
                return GenerationLines(
                    generation: generation.number, logicVersion: generation.transform.logicVersion,
                    silver: (lines.silver, lines.silverCount), gold: (lines.gold, lines.goldCount),
                    quarantine: (lines.quarantine, lines.quarantineCount),
                    rejects: Dictionary(uniqueKeysWithValues: lines.rejects.map { ($0.key.rawValue, $0.value) }))
            })
        batch.gapReason = gapReason
        return batch
    }

    private static func rejection(_ error: JSONError, _ value: UnsafeRawBufferPointer) -> Rejection {
        switch error.kind {
        case .invalidUTF8: return Rejection(.invalidUTF8)
        case .tooDeep: return Rejection(.tooDeep)
        case .tooLarge, .outOfMemory: return Rejection(.tooLarge)
        case .notAnObject: return Rejection(.notAnObject)
        case .invalid:
            let first = value.first { $0 > 0x20 }
            let last = value.last { $0 > 0x20 }
            let isTruncated = first == UInt8(ascii: "{") && last != UInt8(ascii: "}")
            return Rejection(isTruncated ? .truncatedJSON : .invalidJSON)
        }
    }
}
