import Bytes
import Files
package import Sources

/// Reads files that hold documents: a folder, which it follows, or files that were given, which it reads once.
///
/// **Position.** A file's progress is durable once its lines are acknowledged (``FileJournal``). The number of a content (its
/// incarnation) is durable before the first line of it is handed over, and so is every change of a file. So an event id, made of
/// the state's id, the incarnation, the line's offset and its sum, is the same for the same line whenever it is read, and never that
/// of another.
///
/// **New and changed.** Size, time and number of a file say whether to look into it; a sum of what was read says whether it was
/// appended to, only touched, or written anew. Written anew, it is read from its beginning. A file that is one document is
/// handed over again whenever its content is another.
///
/// **The last line** waits for its line feed, or for the file to be left alone for a while and the line to be a whole object.
/// A file that is one document waits until it is left alone, too.
package final class FilesConnector: BatchConnector {
    /// What a folder is read by.
    package struct Options: Sendable {
        package var folder: String
        /// The file of the durable state.
        package var statePath: String
        /// Whether nothing is durable, and no file is made: for a look at what would be read.
        package var isForgetful = false
        /// Of given files, the oldest are forgotten where it would be larger; of a folder nothing is read then.
        package var stateBytesMax = 1 << 29
        package var pollMilliseconds = 2_000
        /// How long a file must be unchanged before its last line counts without a line feed.
        package var settleMilliseconds = 5_000
        package var lineBytesMax = 1_000_000
        package var filesMax = 100_000
        /// Files of other formats are passed by.
        package var formats = FileFormat.allCases
        /// What the source's logic wants of members without types.
        package var shape = DocumentShape(idPath: "id")
        /// In place of what lies in the folder; nil to follow that.
        package var given: GivenFiles?
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
            formats = declaration.formats
        }
    }

    let options: Options
    let scan: any LineScan
    /// Milliseconds since 1970.
    let clock: () -> Int64
    /// Held for as long as this lives: two processes that follow one folder would each send all of it.
    private let lock: File?
    let ledger: FileLedger
    private let look: FolderLook
    private var queue: [String] = []
    private var queueStart = 0
    var reading: FileReading?
    /// The given files by their paths.
    var given: [String: GivenFile] = [:]
    /// Given files that were begun from their beginning by this process.
    var begun: Set<String> = []
    /// Standard input, as long as its first bytes have not come in.
    var standardInput: LineReader?
    /// Whether all given files were read to their ends.
    package private(set) var isDone = false
    /// Files with a last line that is not whole, as they were when it was seen, and whether they had time to settle.
    var waiting: [String: (facts: FileFacts, isSettled: Bool)] = [:]
    private var hasReportedRoom = false
    /// What was reported of files that cannot be read, so that it is not said at every look.
    var complaints: [String: String] = [:]
    /// What was read and could not be handed over, because what must be durable before was not.
    private var held: SourceBatch?

    /// Within the grain of a file's time two contents may look alike: a younger one is looked at again.
    static let youngMilliseconds: Int64 = 2_000
    /// A longer last line is not read again to see whether it is the same.
    static let lastLineBytesMax: Int64 = 4 << 20
    private static let complaintsMax = 1_000
    /// Between two looks whether a pipe has something.
    private static let streamPauseMilliseconds = 20

    /// - Parameter clock: milliseconds since 1970, in place of the machine's.
    /// - Throws: `FileError`; ``FilesConnectorError`` where the state is damaged or in use.
    package init(
        _ options: Options, scan: any LineScan, clock: (() -> Int64)? = nil
    ) throws {
        self.options = options
        self.scan = scan
        self.clock = clock ?? SystemClock.epochMilliseconds
        lock = try Self.takeLock(options)
        ledger = try FileLedger(options)
        look = FolderLook(root: options.folder)
        for file in options.given?.files ?? [] { given[file.path] = file }
    }

    /// - Returns: nil where nothing is kept.
    private static func takeLock(_ options: Options) throws -> File? {
        guard !options.isForgetful else { return nil }
        try Folder.create(Folder.parent(of: options.statePath))
        var lock = try File(options.statePath + ".lock", .readWrite)
        guard try lock.tryLock() else {
            throw FilesConnectorError(
                "another process reads \(options.given == nil ? options.folder : "files") with \(options.statePath): wait for "
                    + "its end, or stop one of them")
        }
        return lock
    }

    /// As a source declares it.
    convenience init(_ declaration: FilesDeclaration, _ context: ConnectorContext) throws {
        var options = Options(declaration, statePath: context.stateFolder + "/files.jsonl")
        options.shape = DocumentShape(context.source.logic)
        try self.init(options, scan: DocumentScan(idPath: context.idPath))
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
            if let given = options.given { takeGiven(given) } else { try lookForFiles(&batch) }
            return batch
        }
        read(&batch)
        // Before an event of these contents leaves.
        do { try ledger.note() } catch {
            held = batch
            throw error
        }
        return batch
    }

    private func read(_ batch: inout SourceBatch) {
        var (bytes, files) = (0, 0)
        while batch.events.count < options.eventsMax, batch.refusals.count < options.eventsMax,
            bytes < options.bytesMax, files < options.filesPerBatchMax
        {
            if let reading {
                guard advance(reading, &batch, &bytes) else { return }
                continue
            }
            guard queueStart < queue.count else { return }
            switch open(queue[queueStart], &batch) {
            case .reading(let opened): reading = opened
            case .nothing: break
            case .later:
                batch.pauseMilliseconds = Self.streamPauseMilliseconds
                return
            }
            queueStart += 1
            files += 1
        }
    }

    /// Takes up what the journal says, as a new process would.
    private func restart() throws {
        guard !ledger.isSettled || reading != nil || held != nil else { return }
        try ledger.restart()
        (reading, queue, queueStart, held) = (nil, [], 0, nil)
    }

    /// Queues the given files, once.
    private func takeGiven(_ files: GivenFiles) {
        isDone = !queue.isEmpty || files.files.isEmpty
        if !isDone { (queue, queueStart) = (files.files.map(\.path), 0) }
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
        let isOurs = { [options] (path: String) in
            FileKind(path: path).map { options.formats.contains($0.format) } ?? false
        }
        let found = try look.step(
            room: room, isOurs: isOurs, isKnown: isKnown, isNew: { isNew($0, $1, now: now) })
        guard let found else { return }
        (queue, queueStart) = (found, 0)
        if look.unreadable > 0 {
            complain(
                options.folder,
                "\(look.unreadable) folders or names in it are left out: too deep (\(FolderWalk.depthMax) levels at most), not "
                    + "readable, or no UTF-8", .unreadable, &batch)
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

    func isSettled(_ facts: FileFacts, now: Int64) -> Bool {
        options.given != nil || now - facts.modifiedNanoseconds / 1_000_000 >= Int64(options.settleMilliseconds)
    }

    /// Reports what is wrong with a file, once.
    func complain(_ path: String, _ reason: String, _ rule: FileFault.Rule? = nil, _ batch: inout SourceBatch) {
        guard complaints[path] != reason else { return }
        if complaints.count >= Self.complaintsMax { complaints = [:] }
        complaints[path] = reason
        batch.refusals.append(SourceRefusal(place: shown(path), reason: reason, rule: rule))
    }

    /// A file as people know it.
    func shown(_ path: String) -> String { given[path]?.name ?? path }

    /// Counts a batch of given files, and says which of them is being read and how far.
    package func count(_ batch: SourceBatch) {
        guard let tally = options.given?.tally else { return }
        tally.count(batch)
        if let reading { tally.reading(shown(reading.path), bytes: reading.reader.rawOffset) }
    }

    // MARK: Acknowledgement

    /// Makes durable what has arrived.
    package func keepPlace() throws { try ledger.note() }

    /// Whether everything that was handed over has arrived.
    package var isSettled: Bool { ledger.isSettled }

    /// Places in files that wait for an acknowledgement: at most two for each line that was handed over, and one for each file.
    package var outstandingCount: Int { ledger.outstandingCount }

    package func acknowledged(_ position: SourcePosition) throws {
        guard let (incarnation, offset) = Self.place(position) else { return }
        let count = ledger.acknowledge(incarnation: incarnation, offset: offset)
        options.given?.tally.arrived(count)
        try ledger.note()
    }

    func remember(_ reading: FileReading, isSent: Bool) {
        ledger.add(reading.path, reading.progress, opening: reading.opening, isSent: isSent)
    }

    static func position(_ progress: FileProgress) -> SourcePosition {
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
