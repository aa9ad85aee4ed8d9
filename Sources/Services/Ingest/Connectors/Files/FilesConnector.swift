import Bytes
import Files
import Sources

/// Reads a folder of JSONL files, one document a line, and follows it.
///
/// **Position.** A file's progress is durable once its lines are acknowledged (``FileJournal``). The number of a content (its
/// incarnation) is durable before the first line of it is handed over, and so is every change of a file. So an event id, made of
/// the state's id, the incarnation, the line's offset and its sum, is the same for the same line whenever it is read, and never that
/// of another.
///
/// **New and changed.** Size, time and number of a file say whether to look into it; a sum of what was read says whether it was
/// appended to, only touched, or written anew. Written anew, it is read from its beginning.
///
/// **The last line** waits for its line feed, or for the file to be left alone for a while and the line to be a whole object.
package final class FilesConnector: BatchConnector {
    /// What a folder is read by.
    package struct Options: Sendable {
        package var folder: String
        /// The file of the durable state.
        package var statePath: String
        package var pollMilliseconds = 2_000
        /// How long a file must be unchanged before its last line counts without a line feed.
        package var settleMilliseconds = 5_000
        package var lineBytesMax = 1_000_000
        package var filesMax = 100_000
        /// Events of one batch.
        package var eventsMax = 1_000
        /// Bytes after which a batch ends.
        package var bytesMax = 1 << 20
        /// Files that are opened for one batch.
        package var filesPerBatchMax = 256
        /// Of a longer file that grew, only the last line that was read is compared.
        package var wholeCheckBytesMax: Int64 = 8 << 20

        package init(folder: String, statePath: String) {
            self.folder = folder
            self.statePath = statePath
        }

        init(_ declaration: FilesDeclaration, statePath: String) {
            self.init(folder: declaration.folder, statePath: statePath)
            pollMilliseconds = declaration.pollMilliseconds
            settleMilliseconds = declaration.settleMilliseconds
            lineBytesMax = declaration.lineBytesMax
            filesMax = declaration.filesMax
        }
    }

    private let options: Options
    private let scan: any LineScan
    /// Milliseconds since 1970.
    private let clock: () -> Int64
    /// Held for as long as this lives: two processes that follow one folder would each send all of it.
    private let lock: File
    private let ledger: FileLedger
    private let look: FolderLook
    private var queue: [String] = []
    private var queueStart = 0
    private var reading: FileReading?
    /// Files with a last line that is not whole, as they were when it was seen, and whether they had time to settle.
    private var waiting: [String: (facts: FileFacts, isSettled: Bool)] = [:]
    private var hasReportedRoom = false
    /// What was reported of files that cannot be read, so that it is not said at every look.
    private var complaints: [String: String] = [:]
    /// What was read and could not be handed over, because what must be durable before was not.
    private var held: SourceBatch?

    /// Within the grain of a file's time two contents may look alike: a younger one is looked at again.
    private static let youngMilliseconds: Int64 = 2_000
    /// A longer last line is not read again to see whether it is the same.
    private static let lastLineBytesMax: Int64 = 4 << 20
    private static let complaintsMax = 1_000

    /// - Parameter clock: milliseconds since 1970, in place of the machine's.
    /// - Throws: `FileError`; ``FilesConnectorError`` where the state is damaged or in use.
    package init(
        _ options: Options, scan: any LineScan, clock: (() -> Int64)? = nil
    ) throws {
        self.options = options
        self.scan = scan
        self.clock = clock ?? SystemClock.epochMilliseconds
        try Folder.create(Folder.parent(of: options.statePath))
        var lock = try File(options.statePath + ".lock", .readWrite)
        guard try lock.tryLock() else {
            throw FilesConnectorError(
                "another process follows \(options.folder) with \(options.statePath): stop one of them")
        }
        self.lock = lock
        ledger = try FileLedger(statePath: options.statePath)
        look = FolderLook(root: options.folder)
    }

    /// As a source declares it.
    convenience init(_ declaration: FilesDeclaration, _ context: ConnectorContext) throws {
        try self.init(
            Options(declaration, statePath: context.stateFolder + "/files.jsonl"),
            scan: DocumentScan(idPath: context.idPath))
    }

    // MARK: Reading

    package func next(after position: SourcePosition?) throws -> SourceBatch {
        if position == nil { try restart() }
        if let batch = held {
            try ledger.note()
            held = nil
            return batch
        }
        var batch = SourceBatch()
        guard reading != nil || queueStart < queue.count else {
            try lookForFiles(&batch)
            return batch
        }
        var bytes = 0
        let firstOpening = ledger.opening
        while batch.events.count < options.eventsMax, batch.refusals.count < options.eventsMax,
            bytes < options.bytesMax, ledger.opening - firstOpening < options.filesPerBatchMax
        {
            if reading == nil {
                guard queueStart < queue.count else { break }
                queueStart += 1
                reading = open(queue[queueStart - 1], &batch)
                continue
            }
            guard let reading, advance(reading, &batch, &bytes) else { break }
        }
        // Before an event of these contents leaves.
        do { try ledger.note() } catch {
            held = batch
            throw error
        }
        return batch
    }

    /// Takes up what the journal says, as a new process would.
    private func restart() throws {
        guard !ledger.isSettled || reading != nil || held != nil else { return }
        try ledger.restart()
        (reading, queue, queueStart, held) = (nil, [], 0, nil)
    }

    private func lookForFiles(_ batch: inout SourceBatch) throws {
        if !queue.isEmpty {
            // All that the last walk found was read: the next one may wait.
            (queue, queueStart) = ([], 0)
            batch.pauseMilliseconds = options.pollMilliseconds
            return
        }
        let now = clock()
        let isKnown = { [ledger] (path: String) in ledger.read[path] != nil }
        let room = options.filesMax - ledger.read.count
        guard let found = try look.step(room: room, isKnown: isKnown, isNew: { isNew($0, $1, now: now) }) else {
            return
        }
        (queue, queueStart) = (found, 0)
        if look.unreadable > 0 {
            complain(
                options.folder,
                "\(look.unreadable) folders or names in it are left out: too deep (\(FolderWalk.depthMax) levels at most), not "
                    + "readable, or no UTF-8", &batch)
        }
        try makeRoom(&batch)
        if found.isEmpty { batch.pauseMilliseconds = options.pollMilliseconds }
    }

    /// Files that are gone are remembered as long as there is room, since a folder may only be away for a while.
    private func makeRoom(_ batch: inout SourceBatch) throws {
        guard look.leftOut > 0 else { return hasReportedRoom = false }
        guard ledger.isSettled else { return }
        let gone = ledger.read.keys.filter { !look.present.contains($0) }
        for path in gone {
            waiting[path] = nil
            complaints[path] = nil
        }
        if !gone.isEmpty { return try ledger.forget(Array(gone)) }
        guard !hasReportedRoom else { return }
        hasReportedRoom = true
        batch.refusals.append(
            SourceRefusal(
                place: options.folder,
                reason:
                    "\(look.leftOut) files more than files_max (\(options.filesMax)) are left out; raise it, or take "
                    + "files away that were read"))
    }

    private func isNew(_ path: String, _ facts: FileFacts, now: Int64) -> Bool {
        if let waiting = waiting[path], waiting.facts == facts {
            return !waiting.isSettled && isSettled(facts, now: now)
        }
        guard let read = ledger.read[path] else { return true }
        return read.facts != facts || !read.isComplete
    }

    private func isSettled(_ facts: FileFacts, now: Int64) -> Bool {
        now - facts.modifiedNanoseconds / 1_000_000 >= Int64(options.settleMilliseconds)
    }

    /// - Returns: nil where there is nothing to read in it, or it cannot be read.
    private func open(_ path: String, _ batch: inout SourceBatch) -> FileReading? {
        do {
            let reading = try opening(path)
            complaints[path] = nil
            return reading
        } catch let error as FileError where error.isNotFound {
            // It went meanwhile.
            return nil
        } catch {
            complain(path, "\(error)", &batch)
            return nil
        }
    }

    private func opening(_ path: String) throws -> FileReading? {
        guard let packing = FilePacking(path: path) else { return nil }
        let reader = try LineReader(path: options.folder + "/" + path, packing: packing)
        // A link in its place, or in that of a folder above, leads elsewhere than where the walk saw it.
        guard reader.file.bearsItsName, FileReading.hasNoLinks(path, below: options.folder) else { return nil }
        let facts = try reader.file.facts()
        waiting[path] = nil
        guard let known = ledger.read[path] else { return begin(path, packing, reader, facts) }
        let isShorter = packing == .none && Int64(facts.size) < known.offset
        let grewLong =
            packing == .none && known.facts.device == facts.device && known.facts.node == facts.node
            && Int64(facts.size) > known.offset && known.offset > options.wholeCheckBytesMax
            && known.offset - known.lastLine <= Self.lastLineBytesMax
        let isReplaced = try grewLong && !FileReading.hasLastLine(known, reader.file)
        guard !isShorter, !isReplaced else { return begin(path, packing, reader, facts) }
        let isTrusted = packing == .none && (known.facts == facts || grewLong)
        if isTrusted { reader.resume(at: known.offset, sum: known.sum) }
        return FileReading(
            path: path, packing: packing, reader: reader, progress: ledger.resume(path, known, facts), facts: facts,
            opening: ledger.opening, isChecking: !isTrusted && known.offset > 0)
    }

    /// Begins a content that was never read.
    private func begin(
        _ path: String, _ packing: FilePacking, _ reader: LineReader, _ facts: FileFacts
    ) -> FileReading {
        FileReading(
            path: path, packing: packing, reader: reader, progress: ledger.begin(path, facts), facts: facts,
            opening: ledger.opening)
    }

    /// Reads one piece.
    ///
    /// - Returns: false where the batch should end, so that a stop is noticed in between.
    private func advance(_ reading: FileReading, _ batch: inout SourceBatch, _ bytes: inout Int) -> Bool {
        do {
            if reading.isChecking { return try check(reading) }
            switch try reading.reader.next(lineBytesMax: options.lineBytesMax) {
            case .more: return false
            case .oversized: refuseLine(reading, &batch)
            case .line(let line):
                bytes += line.count + 1
                take(line, reading, &batch)
            case .end:
                finish(reading, &batch)
                self.reading = nil
            }
        } catch {
            self.reading = nil
            // Of a file that is written while it is read nothing is to be said: the next look finds that it changed.
            guard reading.isUnchanged else { return true }
            if (error as? FileError)?.isRetriable != true {
                waiting[reading.path] = (reading.facts, true)
                complain(reading.path, "\(error); it is read on when it has changed", &batch)
            } else {
                complain(reading.path, "\(error)", &batch)
            }
        }
        return true
    }

    /// Compares the part of a file that was read with its present content.
    private func check(_ reading: FileReading) throws -> Bool {
        guard let isWhole = try reading.reader.pass(to: reading.progress.offset) else { return false }
        reading.isChecking = false
        guard isWhole, reading.reader.sum == reading.progress.sum else {
            let reader = try LineReader(path: options.folder + "/" + reading.path, packing: reading.packing)
            self.reading = begin(reading.path, reading.packing, reader, try reader.file.facts())
            return true
        }
        return true
    }

    private func refuseLine(_ reading: FileReading, _ batch: inout SourceBatch) {
        batch.refusals.append(
            SourceRefusal(
                place: "\(reading.path), byte \(reading.progress.offset)",
                reason: "a line of more than \(options.lineBytesMax) bytes is left out; cut the document, or raise "
                    + "line_bytes_max"))
        reading.passLine()
        remember(reading, isSent: false)
    }

    /// Hands over one line, which has no line feed any more.
    private func take(_ line: [UInt8], _ reading: FileReading, _ batch: inout SourceBatch) {
        var line = line[...]
        if line.last == 0x0D { line.removeLast() }
        let begin = reading.progress.offset
        // What some programs put at a file's beginning is no part of its first line.
        if begin == 0, line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
        guard line.count <= options.lineBytesMax else { return refuseLine(reading, &batch) }
        reading.passLine()
        // Blank lines are nothing to wait for; whatever comes next takes the position along.
        guard line.contains(where: { $0 > 0x20 }) else {
            return ledger.pass(reading.path, reading.progress)
        }
        let value = Array(line)
        remember(reading, isSent: true)
        batch.events.append(
            SourceEvent(
                value: value, key: scan.scan(value)?.key,
                eventID: eventID(value, reading.progress.incarnation, begin),
                mayRepeat: ledger.mayRepeat(reading.path),
                position: Self.position(reading.progress)))
    }

    private func eventID(_ line: [UInt8], _ incarnation: Int64, _ offset: Int64) -> [UInt8] {
        var sum = ContentSum()
        line.withUnsafeBytes { sum.add($0) }
        return Array("\(ledger.id)-\(incarnation)-\(offset)-\(String(sum.high, radix: 16))".utf8)
    }

    /// At the file's present end.
    private func finish(_ reading: FileReading, _ batch: inout SourceBatch) {
        let reader = reading.reader
        let now = clock()
        if !reader.isAtWholeEnd {
            let isSettled = isSettled(reading.facts, now: now)
            if isSettled, let rest = reader.rest(), scan.scan(rest) != nil {
                reader.takeRest()
                take(rest, reading, &batch)
            } else {
                if isSettled {
                    complain(reading.path, "its end is not whole; it is read on when the file has changed", &batch)
                }
                waiting[reading.path] = (reading.facts, isSettled)
            }
        }
        reading.progress.facts = reading.facts
        reading.progress.isComplete = reader.isAtWholeEnd
        if reading.progress.isComplete {
            reading.progress.isDoubtful = false
            let age = now - reading.facts.modifiedNanoseconds / 1_000_000
            // No file has this time, so the next look compares what was read.
            if abs(age) < Self.youngMilliseconds { reading.progress.facts.modifiedNanoseconds = 0 }
        }
        ledger.finish(reading.path)
        remember(reading, isSent: false)
    }

    /// Reports what is wrong with a file, once.
    private func complain(_ path: String, _ reason: String, _ batch: inout SourceBatch) {
        guard complaints[path] != reason else { return }
        if complaints.count >= Self.complaintsMax { complaints = [:] }
        complaints[path] = reason
        batch.refusals.append(SourceRefusal(place: path, reason: reason))
    }

    // MARK: Acknowledgement

    package func acknowledged(_ position: SourcePosition) throws {
        guard let (incarnation, offset) = Self.place(position) else { return }
        ledger.acknowledge(incarnation: incarnation, offset: offset)
        try ledger.note()
    }

    private func remember(_ reading: FileReading, isSent: Bool) {
        ledger.add(reading.path, reading.progress, opening: reading.opening, isSent: isSent)
    }

    private static func position(_ progress: FileProgress) -> SourcePosition {
        SourcePosition(token: Array("\(progress.incarnation):\(progress.offset)".utf8))
    }

    private static func place(_ position: SourcePosition) -> (incarnation: Int64, offset: Int64)? {
        let parts = position.token.split(separator: UInt8(ascii: ":")).map {
            Int64(String(decoding: $0, as: UTF8.self))
        }
        guard parts.count == 2, let incarnation = parts[0], let offset = parts[1] else { return nil }
        return (incarnation, offset)
    }
}
