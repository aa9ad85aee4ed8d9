import Files

/// How far files were read, handed over and acknowledged, and what of it is durable.
///
/// What is read is ahead of what is acknowledged, and only that goes to the journal. Before a line of a content or of a changed
/// file leaves, the journal says that the content is there: ``note()`` comes between reading and handing over.
final class FileLedger {
    /// A line that was handed over, or something that needs no acknowledgement but comes in its order.
    private struct Outstanding {
        let path: String
        let progress: FileProgress
        /// By which opening of a file it was read.
        let opening: Int
        let isSent: Bool
    }

    private let openJournal: () throws -> FileJournal
    private var journal: FileJournal
    /// How far files were read.
    private(set) var read: [String: FileProgress]
    private var outstanding: [Outstanding] = []
    private var outstandingStart = 0
    /// Opened and not in the journal yet.
    private var opened: [String: FileProgress] = [:]
    /// Acknowledged and not in the journal yet.
    private var unnoted: [String: FileProgress] = [:]
    /// Files that were opened again while lines of an earlier opening were outstanding: since which opening, and as what.
    private var reopened: [String: (opening: Int, facts: FileFacts)] = [:]
    /// Files whose lines may have been sent before this process began.
    private var resumed: Set<String>
    private var openings = 0

    /// - Throws: `FileError`; ``FilesConnectorError`` where the state is damaged.
    init(_ options: FilesConnector.Options) throws {
        openJournal = {
            try FileJournal(
                path: options.isForgetful ? nil : options.statePath, bytesMax: options.stateBytesMax,
                forgetsOldest: options.given != nil)
        }
        journal = try openJournal()
        read = journal.files
        resumed = Set(journal.files.filter { !$0.value.isComplete }.keys)
    }

    /// The id of the state; see ``FileJournal``.
    var id: String { journal.id }
    /// The number of the opening at hand.
    var opening: Int { openings }
    /// Whether everything that was handed over has arrived.
    var isSettled: Bool { outstandingStart == outstanding.count }
    /// Places that wait for an acknowledgement.
    var outstandingCount: Int { outstanding.count - outstandingStart }

    /// Whether lines of the file may have been sent before this process began.
    func mayRepeat(_ path: String) -> Bool { resumed.contains(path) }

    /// Begins a content that was never read.
    func begin(_ path: String, _ facts: FileFacts) -> FileProgress {
        openings += 1
        let progress = FileProgress(incarnation: journal.newIncarnation(), facts: facts)
        opened[path] = progress
        read[path] = progress
        resumed.remove(path)
        return progress
    }

    /// Opens a file that was read before.
    ///
    /// - Returns: how far it was read, with the incarnation that its further lines belong to.
    func resume(_ path: String, _ known: FileProgress, _ facts: FileFacts) -> FileProgress {
        openings += 1
        var progress = known
        progress.facts = facts
        progress.isComplete = false
        guard known.facts != facts else { return progress }
        if resumed.contains(path) {
            // Lines that were sent before a crash and not acknowledged may have stood where others stand now. After one such
            // change the line's sum tells them apart. After a second one without progress the first content may be back, and its
            // lines would be taken for copies of those before.
            if known.isDoubtful { progress.incarnation = journal.newIncarnation() }
            progress.isDoubtful.toggle()
        }
        // Only what is acknowledged: the rest is read again after a crash.
        var noted = unnoted[path] ?? journal.files[path] ?? progress
        noted.facts = facts
        noted.isComplete = false
        (noted.incarnation, noted.isDoubtful) = (progress.incarnation, progress.isDoubtful)
        opened[path] = noted
        unnoted[path] = nil
        reopened[path] = (openings, facts)
        read[path] = progress
        return progress
    }

    /// Notes how far a file was read without anything to wait for.
    func pass(_ path: String, _ progress: FileProgress) { read[path] = progress }

    /// Notes a line that is handed over, or a place that comes behind those that are.
    func add(_ path: String, _ progress: FileProgress, opening: Int, isSent: Bool) {
        read[path] = progress
        let entry = Outstanding(path: path, progress: progress, opening: opening, isSent: isSent)
        // What is passed by while nothing arrives needs no room: the farthest place says all.
        if !isSent, outstandingStart < outstanding.count, let last = outstanding.last, !last.isSent, last.path == path {
            outstanding[outstanding.count - 1] = entry
        } else {
            outstanding.append(entry)
        }
        if !isSent { passUnsent() }
    }

    /// Notes that the file was read to its present end.
    func finish(_ path: String) { resumed.remove(path) }

    /// Takes everything up to a place as arrived; a place that is not outstanding is passed by.
    ///
    /// - Returns: how many lines that were handed over have arrived with it.
    func acknowledge(incarnation: Int64, offset: Int64) -> Int {
        let index = outstanding[outstandingStart...].firstIndex {
            $0.isSent && $0.progress.incarnation == incarnation && $0.progress.offset == offset
        }
        guard let index else { return 0 }
        var count = 0
        for entry in outstanding[outstandingStart...index] {
            arrive(entry)
            if entry.isSent { count += 1 }
        }
        outstandingStart = index + 1
        passUnsent()
        return count
    }

    /// Makes durable what was opened and what is acknowledged. What fails is done with the next call.
    func note() throws {
        guard !opened.isEmpty || !unnoted.isEmpty else { return }
        // What is acknowledged is farther than when it was opened, but for a content that was opened meanwhile.
        try journal.note(opened.merging(unnoted) { $0.incarnation > $1.incarnation ? $0 : $1 })
        (opened, unnoted) = ([:], [:])
    }

    /// Takes up what the journal says, as a new process would.
    func restart() throws {
        journal = try openJournal()
        read = journal.files
        resumed.formUnion(journal.files.filter { !$0.value.isComplete }.keys)
        (outstanding, outstandingStart, opened, unnoted, reopened) = ([], 0, [:], [:], [:])
    }

    /// Forgets files for good.
    func forget(_ paths: [String]) throws {
        for path in paths {
            read[path] = nil
            opened[path] = nil
            unnoted[path] = nil
            reopened[path] = nil
            resumed.remove(path)
        }
        try journal.forget(paths)
    }

    /// What needs no acknowledgement and has nothing before it that does.
    private func passUnsent() {
        while outstandingStart < outstanding.count, !outstanding[outstandingStart].isSent {
            arrive(outstanding[outstandingStart])
            outstandingStart += 1
        }
        if outstandingStart > 1_024, outstandingStart * 2 > outstanding.count {
            outstanding.removeFirst(outstandingStart)
            outstandingStart = 0
        }
    }

    private func arrive(_ entry: Outstanding) {
        var progress = entry.progress
        // Of a content that was replaced meanwhile nothing is of interest any more.
        let known = [opened[entry.path], unnoted[entry.path], journal.files[entry.path]]
        guard known.allSatisfy({ ($0?.incarnation ?? 0) <= progress.incarnation }) else { return }
        if let reopened = reopened[entry.path] {
            if entry.opening < reopened.opening {
                progress.facts = reopened.facts
                progress.isComplete = false
            } else if progress.isComplete {
                self.reopened[entry.path] = nil
            }
        }
        unnoted[entry.path] = progress
    }
}
