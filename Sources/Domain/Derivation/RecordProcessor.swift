import Hashing
import JSONScan
package import Lake
package import Logic
package import Records
import Sources

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
    package let receivedMilliseconds: Int64?
    /// Bytes of the document's id in ``RecordProcessor/goldIDs``; none where the line is about no document.
    package let documentID: Range<Int>
    /// Bytes of the line, without line feed, in the generation's Gold text.
    package let line: Range<Int>
}

/// Turns Bronze records into the lines of all fed generations: parse, hash, duplicates, rules, transforms.
///
/// The same for the stream job and for replays, so that both give the same bytes. Not thread-safe.
package struct RecordProcessor: ~Copyable {
    /// A larger value is kept in Bronze and quarantined.
    package static let valueBytesMax = 1 << 20

    private static let depthMax = 64

    private let topic: String
    private let partition: Int32
    /// Reads what any of the generations looks at.
    private var parser: JSONFieldParser
    private var paths: [String] = []
    /// What the kind of logic asks of a record, whichever generation it is for.
    private var frame = RecordFrame(.recentChange)
    /// The fields of the record at hand, in the order in which one generation wants them.
    private var fields: [FieldValue] = []
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
    /// Records that are about nothing by the logic of the first generation: canaries of the source, and what an envelope holds beside
    /// documents.
    package private(set) var canaryCount = 0
    package private(set) var gold: [GoldEntry] = []
    /// The ids of the documents in ``gold``, one behind the other.
    package private(set) var goldIDs: [UInt8] = []
    private let writesBronze: Bool

    /// - Parameter writesBronze: false for a replay, whose Bronze is there already.
    package init(source: TopicPartition, writesBronze: Bool) throws {
        let parser = try JSONFieldParser(paths: paths, depthMax: Self.depthMax)
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

    /// How many offsets back the windows must have been read; ``add(_:)`` may widen them.
    package var windowOffsets: Int64 {
        let texts = generations.map { $0.logic.settings.nearDuplicates?.offsets ?? 0 }
        return max(duplicates.offsetsMax, texts.max() ?? 0)
    }

    /// Writes `generation` from the next record on.
    ///
    /// - Returns: whether that emptied the windows: then the ``windowOffsets`` records before the next one must be read into
    ///   them by ``warm(_:)``.
    /// - Throws: ``LogicError`` where this binary cannot run its logic of the topic.
    @discardableResult
    package mutating func add(_ generation: LakeGeneration) throws -> Bool {
        let logic = try generation.runnable(topic, hasher: &hasher)
        let settings = logic.settings
        if let other = generations.first, other.logic.settings.kind != settings.kind {
            throw LogicError(
                description: "generations \(other.number) and \(generation.number) have different kinds of logic for "
                    + "\(topic); a topic keeps its kind")
        }
        generations.append(Generation(generation.number, logic))
        frame = RecordFrame(settings.kind)
        try placeFields()
        let isCold = settings.duplicates.offsets > duplicates.offsetsMax || logic.hasWindow
        guard isCold else { return false }
        duplicates = DuplicateWindow(offsetsMax: max(settings.duplicates.offsets, duplicates.offsetsMax))
        forgetTexts()
        return true
    }

    /// Lets the parser read what all generations want, each path once. With recent changes that is always the same.
    private mutating func placeFields() throws {
        var wanted: [String] = []
        for index in generations.indices {
            generations[index].places = generations[index].logic.settings.paths.map { path in
                if let known = wanted.firstIndex(of: path) { return known }
                wanted.append(path)
                return wanted.count - 1
            }
        }
        guard wanted != paths else { return }
        parser = try JSONFieldParser(paths: wanted, depthMax: Self.depthMax)
        paths = wanted
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

    /// Takes a record into the windows, as a replay or a start does with what lies before.
    package mutating func warm(_ record: BronzeRecord) {
        warmEventIDs(record)
        warmTexts(record)
    }

    private mutating func warmEventIDs(_ record: BronzeRecord) {
        guard let field = frame.eventID else {
            guard !record.eventID.isEmpty else { return }
            return record.eventID.withUnsafeBufferPointer { warm($0, record) }
        }
        guard let value = record.value, value.withUnsafeBytes({ parser.parseObject($0) }) == nil,
            let id = eventID(at: field)
        else { return }
        warm(id, record)
    }

    private mutating func warm(_ id: UnsafeBufferPointer<UInt8>, _ record: BronzeRecord) {
        _ = duplicates.note(
            eventID: id, offset: record.offset,
            brokerMilliseconds: SourceRecord.brokerMilliseconds(record.timestampMilliseconds),
            origin: windowOrigin(record.origin), mayRepeat: Self.mayRepeat(record.mayRepeat, record.origin))
    }

    /// Whether a generation looks at texts of earlier records.
    package var hasTexts: Bool { generations.contains(where: \.hasWindow) }

    /// Forgets earlier texts, since some are there no more: the ``windowOffsets`` records before go to ``warmTexts(_:)`` then.
    package mutating func forgetTexts() {
        for index in generations.indices { generations[index].logic.forget() }
    }

    /// Takes the text of a record in that was before. Of what was erased nothing is made, so its text is not there to be held
    /// against others.
    package mutating func warmTexts(_ record: BronzeRecord) {
        guard hasTexts, record.erasure == nil, let bytes = record.value else { return }
        bytes.withUnsafeBytes { value in
            guard parser.parseObject(value) == nil, !isCanary() else { return }
            let event = SourceRecord(
                topic: topic, partition: partition, offset: record.offset,
                timestampMilliseconds: record.timestampMilliseconds, key: nil, origin: record.origin,
                mayRepeat: record.mayRepeat, eventID: record.eventID, value: value)
            for index in generations.indices { observe(index, event, valueBytes: value.count) }
        }
    }

    /// Takes a record of which a generation makes no line into its window: what the window holds hangs on the records alone, so
    /// that a start in their midst finds the same.
    private mutating func observe(_ index: Int, _ record: borrowing SourceRecord, valueBytes: Int) {
        guard generations[index].hasWindow, valueBytes <= Self.valueBytesMax else { return }
        fillFields(index)
        fields.withUnsafeBufferPointer { fields in
            generations[index].logic.observe(record, fields: EventFields(fields))
        }
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
        keepAll()
        // What a header says holds whatever the value is.
        if frame.eventID == nil, !record.eventID.isEmpty {
            record.eventID.withUnsafeBufferPointer { findDuplicates($0, record) }
        }
        guard let value = record.value else {
            appendBronze(record, embedsValue: false)
            if isDuplicate() { return .duplicate }
            return passTombstone(record)
        }
        try hasher.appendHexDigest(of: value, to: &digest)
        let error = parser.parseObject(value)
        let embedsValue = error == nil && RecordText.isOnOneLine(value)
        appendBronze(record, embedsValue: embedsValue)
        if let error {
            if isDuplicate() { return .duplicate }
            return reject(record, Rejection(error, value), eventID: nil, embedsValue: false)
        }
        let id = frame.eventID.flatMap { eventID(at: $0) }
        if let id { findDuplicates(id, record) }
        if isCanary() {
            canaryCount += 1
            return .canary
        }
        if isDuplicate() {
            for index in generations.indices { observe(index, record, valueBytes: value.count) }
            return .duplicate
        }
        if value.count > Self.valueBytesMax {
            return reject(record, Rejection(.tooLarge), eventID: id, embedsValue: embedsValue)
        }
        if let object = frame.object, parser.field(object.field).kind != .object {
            return reject(record, Rejection(object.rule), eventID: id, embedsValue: embedsValue)
        }
        let passedOver = passedOverCount
        try deriveAll(record, embedsValue: embedsValue)
        canaryCount += passedOverCount - passedOver
        return .accepted
    }

    /// By the first generation, in place: a copy of it would have its buffers copied when they are written.
    private var passedOverCount: Int { generations.isEmpty ? 0 : generations[0].lines.passedOverCount }

    /// A record without a value: each generation decides whether that is one too many or just nothing.
    private mutating func passTombstone(_ record: borrowing SourceRecord) -> RecordOutcome {
        guard generations.contains(where: \.passesTombstones) else {
            return reject(record, Rejection(.nullPayload), eventID: nil, embedsValue: false)
        }
        if generations[0].passesTombstones && !generations[0].leavesOut { canaryCount += 1 }
        for index in generations.indices where !generations[index].leavesOut && !generations[index].passesTombstones {
            generations[index].reject(
                record, Rejection(.nullPayload), eventID: nil, bronzeSHA256: nil, embedsValue: false)
        }
        return .accepted
    }

    /// Each generation decides by its own bounds, so that what it is fed equals what a replay makes of the same offsets.
    private mutating func findDuplicates(_ id: UnsafeBufferPointer<UInt8>, _ record: borrowing SourceRecord) {
        let sighting = duplicates.note(
            eventID: id, offset: record.offset, brokerMilliseconds: record.brokerMilliseconds,
            origin: windowOrigin(record.origin), mayRepeat: Self.mayRepeat(record.mayRepeat, record.origin))
        guard sighting.isRepeated else { return }
        for index in generations.indices {
            generations[index].leavesOut = duplicates.isDuplicate(
                sighting, limits: generations[index].limits, followsRedrives: generations[index].followsRedrives,
                followsMarks: generations[index].followsMarks)
        }
    }

    /// Whether no generation wants the record; counts it where the first does not.
    private mutating func isDuplicate() -> Bool {
        if generations.first?.leavesOut == true { duplicateCount += 1 }
        return !generations.isEmpty && generations.allSatisfy(\.leavesOut)
    }

    private mutating func keepAll() {
        for index in generations.indices { generations[index].leavesOut = false }
    }

    private mutating func deriveAll(_ record: borrowing SourceRecord, embedsValue: Bool) throws {
        // Generations mostly want the same fields.
        var filled: Int?
        for index in generations.indices {
            if generations[index].leavesOut {
                guard generations[index].hasWindow else { continue }
                observe(index, record, valueBytes: 0)
                filled = index
                continue
            }
            if filled.map({ generations[$0].places != generations[index].places }) ?? true { fillFields(index) }
            filled = index
            try derive(index, record, embedsValue: embedsValue)
        }
    }

    private mutating func fillFields(_ index: Int) {
        fields.removeAll(keepingCapacity: true)
        for place in generations[index].places { fields.append(FieldValue(parser.field(place))) }
    }

    private mutating func derive(_ index: Int, _ record: borrowing SourceRecord, embedsValue: Bool) throws {
        let start = generations[index].lines.gold.count
        let (offset, timestamp, received) = (record.offset, record.brokerMilliseconds, record.receivedMilliseconds)
        // Out of self for the time of the call, so that the closure may fill them; the storage is kept.
        var (entries, ids): ([GoldEntry], [UInt8]) = ([], [])
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
                let id = ids.count
                ids.append(contentsOf: documentID)
                entries.append(
                    GoldEntry(
                        generationIndex: index, sourceOffset: offset, sourceTimestampMilliseconds: timestamp,
                        receivedMilliseconds: received, documentID: id..<ids.count, line: start..<start + line.count))
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
        if frame.eventID == nil, !record.eventID.isEmpty {
            record.eventID.withUnsafeBufferPointer {
                rejectAll(record, rejection, eventID: $0, embedsValue: embedsValue)
            }
        } else {
            rejectAll(record, rejection, eventID: eventID, embedsValue: embedsValue)
        }
        return .rejected(rejection.rule)
    }

    private mutating func rejectAll(
        _ record: borrowing SourceRecord, _ rejection: Rejection, eventID: UnsafeBufferPointer<UInt8>?,
        embedsValue: Bool
    ) {
        for index in generations.indices where !generations[index].leavesOut {
            generations[index].reject(
                record, rejection, eventID: eventID, bronzeSHA256: record.value == nil ? nil : digest,
                embedsValue: embedsValue)
        }
    }

    private func eventID(at index: Int) -> UnsafeBufferPointer<UInt8>? {
        let field = parser.field(index)
        return field.kind == .string && !field.text.isEmpty ? field.text : nil
    }

    private func isCanary() -> Bool {
        guard let canary = frame.canary else { return false }
        let field = parser.field(canary.field)
        return field.kind == .string && field.text.count == canary.text.count && field.text.elementsEqual(canary.text)
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
                    generation: generation.number, logicVersion: generation.logic.logicVersion,
                    silver: (lines.silver, lines.silverCount), gold: (lines.gold, lines.goldCount),
                    quarantine: (lines.quarantine, lines.quarantineCount),
                    rejects: Dictionary(uniqueKeysWithValues: lines.rejects.map { ($0.key.rawValue, $0.value) }))
            })
        batch.gapReason = gapReason
        return batch
    }
}
