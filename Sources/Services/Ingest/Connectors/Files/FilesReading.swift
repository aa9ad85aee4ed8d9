import Files
import Sources
import Zstd

/// How a connector reads one file.
extension FilesConnector {
    /// What opening a file brought.
    enum Opening {
        case reading(FileReading)
        /// There is nothing new in it, or it cannot be read.
        case nothing
        /// A stream of which nothing has come in yet.
        case later
    }

    /// Bytes at a file's beginning that say whether it is text, and of a stream whether it is one that was read before.
    private static let headBytes = 4_096
    /// Of each opening of a file, so many lines or rows that are left out have a line in the log; then their number has one.
    private static let loggedPerFileMax = 20

    // MARK: Opening

    func open(_ path: String, _ batch: inout SourceBatch) -> Opening {
        do {
            guard path != GivenFile.standardInput else { return try openStandardInput() }
            let reading = try opening(path)
            complaints[path] = nil
            if let reading { return .reading(reading) }
            options.given?.tally.finished(
                bytes: given[path]?.bytes ?? 0, isUnchanged: true, refusedBefore: ledger.read[path]?.refusedCount ?? 0)
            return .nothing
        } catch let error as FileError where error.isNotFound && options.given == nil {
            // It went meanwhile.
            return .nothing
        } catch {
            complain(path, Self.words(of: error), Self.rule(of: error), &batch)
            options.given?.tally.finished(bytes: given[path]?.bytes ?? 0, isUnchanged: false)
            return .nothing
        }
    }

    /// - Returns: nil where there is nothing to read in it.
    private func opening(_ path: String) throws -> FileReading? {
        guard let kind = given[path]?.kind ?? FileKind(path: path) else { return nil }
        let reader = try LineReader(path: options.folder + "/" + path, packing: kind.packing, cut: kind.cut)
        // A link in its place, or in that of a folder above, leads elsewhere than where the walk saw it.
        guard reader.file.bearsItsName, FileReading.hasNoLinks(path, below: options.folder) else { return nil }
        let facts = try reader.file.facts()
        waiting[path] = nil
        try refuseNoText(reader, kind, path, facts)
        guard let known = ledger.read[path], !startsOver(path) else { return begin(path, kind, reader, facts) }
        if given[path] != nil, known.isComplete, known.facts == facts { return nil }
        let isPlain = kind.packing == .none
        let isShorter = isPlain && Int64(facts.size) < known.offset
        let grewLong =
            isPlain && !kind.format.isWhole && known.facts.device == facts.device && known.facts.node == facts.node
            && Int64(facts.size) > known.offset && known.offset > options.wholeCheckBytesMax
            && known.offset - known.lastLine <= Self.lastLineBytesMax
        let isReplaced = try grewLong && !FileReading.hasLastLine(known, reader.file)
        guard !isShorter, !isReplaced else { return begin(path, kind, reader, facts) }
        var documents = documents(path, kind, facts)
        // A file has what it has.
        if known.offset > 0 { _ = try takeHeader(reader, &documents) }
        let isTrusted = isPlain && !kind.format.isWhole && (known.facts == facts || grewLong)
        if isTrusted { reader.resume(at: known.offset, sum: known.sum, lineFeeds: known.lineFeeds) }
        return FileReading(
            path: path, kind: kind, reader: reader, documents: documents, progress: ledger.resume(path, known, facts),
            facts: facts, opening: ledger.opening, isChecking: !isTrusted && known.offset > 0)
    }

    /// Refuses what is no text by its first bytes. Lines of a folder's JSONL are judged one by one, by the logic.
    private func refuseNoText(_ reader: LineReader, _ kind: FileKind, _ path: String, _ facts: FileFacts) throws {
        guard kind.format != .jsonLines || given[path] != nil else { return }
        guard let head = try reader.head(Self.headBytes), let fault = FileDocuments.fault(inHead: head) else { return }
        waiting[path] = (facts, true)
        throw fault
    }

    private func startsOver(_ path: String) -> Bool {
        options.given?.startsOver == true && !begun.contains(path)
    }

    /// Begins a content that was never read.
    private func begin(
        _ path: String, _ kind: FileKind, _ reader: LineReader, _ facts: FileFacts
    ) -> FileReading {
        if options.given != nil { begun.insert(path) }
        return FileReading(
            path: path, kind: kind, reader: reader, documents: documents(path, kind, facts),
            progress: ledger.begin(path, facts), facts: facts, opening: ledger.opening)
    }

    private func documents(_ path: String, _ kind: FileKind, _ facts: FileFacts) -> FileDocuments {
        let isTimed = facts.modifiedNanoseconds > 0
        return FileDocuments(
            kind, options.shape, id: given[path]?.id ?? path,
            modifiedMilliseconds: isTimed ? facts.modifiedNanoseconds / 1_000_000 : nil)
    }

    /// Reads the names of columns of a file that is not read from its beginning.
    ///
    /// - Returns: false where they have not come in yet.
    private func takeHeader(_ reader: LineReader, _ documents: inout FileDocuments) throws -> Bool {
        guard documents.wantsHeader else { return true }
        switch try reader.nextRow(bytesMax: options.lineBytesMax) {
        case .row(let row):
            _ = try documents.take(Self.plain(row, isFirst: true))
            return true
        case .later: return false
        case .malformed: throw Self.wrongQuote.ofHeader
        case .endless: throw endlessHeader
        }
    }

    private var endlessHeader: FileFault {
        FileFault(
            .header,
            "its first row, which names the members, has no end, or is longer than \(options.lineBytesMax) bytes")
    }

    /// Standard input: known again by its first bytes.
    private func openStandardInput() throws -> Opening {
        guard var file = given[GivenFile.standardInput] else { return .nothing }
        let reader: LineReader
        if let standardInput {
            reader = standardInput
        } else {
            reader = try LineReader(
                File(copyOf: 0, name: file.name), packing: file.kind.packing, cut: file.kind.cut, isStream: true)
            standardInput = reader
        }
        guard let head = try reader.head(Self.headBytes) else { return .later }
        if let fault = FileDocuments.fault(inHead: head) { throw fault }
        var sum = ContentSum()
        head.withUnsafeBytes { sum.add($0) }
        file.path = "\(GivenFile.standardInput)\(String(sum.high, radix: 16))-\(String(sum.low, radix: 16))"
        given[file.path] = file
        let facts = FileFacts(size: 0, device: 0, node: 0, modifiedNanoseconds: 0)
        guard let known = ledger.read[file.path], !startsOver(file.path) else {
            return .reading(begin(file.path, file.kind, reader, facts))
        }
        var documents = documents(file.path, file.kind, facts)
        guard try known.offset == 0 || takeHeader(reader, &documents) else { return .later }
        return .reading(
            FileReading(
                path: file.path, kind: file.kind, reader: reader, documents: documents,
                progress: ledger.resume(file.path, known, facts), facts: facts, opening: ledger.opening,
                isChecking: known.offset > 0))
    }

    // MARK: Pieces

    /// Reads one piece.
    ///
    /// - Returns: false where the batch should end, so that a stop is noticed in between.
    func advance(_ reading: FileReading, _ batch: inout SourceBatch, _ bytes: inout Int) -> Bool {
        do {
            if reading.isChecking { return try check(reading) }
            if reading.progress.openRow != nil, try readsRowAgain(reading) { return true }
            let bytesMax = reading.kind.format.isWhole ? WholeDocument.bytesMax : options.lineBytesMax
            switch try reading.reader.next(lineBytesMax: bytesMax) {
            case .more: return false
            case .oversized where reading.kind.format.isWhole:
                throw FileFault(.tooLarge, "has more than \(WholeDocument.bytesMax) bytes; cut it")
            case .oversized: try refuseLine(reading, &batch)
            case .malformed: try refuseQuote(reading, &batch)
            case .line(let line):
                bytes += line.count + 1
                try take(line, reading, &batch)
            case .end:
                // While the file grows, the quote's end may still come.
                if isSettled(reading.facts, now: clock()), reading.reader.passOpenQuote() {
                    try refuseQuote(reading, &batch)
                    return true
                }
                try finish(reading, &batch)
                close(reading, &batch)
            }
        } catch {
            close(reading, &batch, hasFailed: true)
            // Of a file that is written while it is read nothing is to be said: the next look finds that it changed.
            guard reading.isUnchanged || options.given != nil else { return true }
            let isRetriable = (error as? FileError)?.isRetriable == true
            if !isRetriable { waiting[reading.path] = (reading.facts, true) }
            let advice =
                options.given != nil
                ? "; the next run reads on"
                : isRetriable ? "; it is tried again" : "; it is read on when it has changed"
            complain(reading.path, Self.words(of: error) + advice, Self.rule(of: error), &batch)
        }
        return true
    }

    private static let wrongQuote = FileFault(
        .quote, "has a quote that is not closed, or stands where none may (RFC 4180)")

    private func close(_ reading: FileReading, _ batch: inout SourceBatch, hasFailed: Bool = false) {
        self.reading = nil
        let unlogged = reading.refusalCount - Self.loggedPerFileMax
        if unlogged > 0 {
            batch.remarks.append("\(shown(reading.path)): \(unlogged) more of its lines or rows were left out")
        }
        guard let tally = options.given?.tally else { return }
        let isUnchanged = !hasFailed && reading.documentCount == 0 && !begun.contains(reading.path)
        tally.finished(
            bytes: reading.reader.rawOffset, isUnchanged: isUnchanged,
            refusedBefore: isUnchanged ? reading.progress.refusedCount - reading.refusalCount : 0)
    }

    /// Compares the part of a file that was read with its present content.
    private func check(_ reading: FileReading) throws -> Bool {
        guard let isWhole = try reading.reader.pass(to: reading.progress.offset) else { return false }
        reading.isChecking = false
        let isSame = isWhole && reading.reader.sum == reading.progress.sum
        // Of a file that is one document a part is nothing.
        if isSame, try !reading.kind.format.isWhole || reading.reader.isAtEnd() { return true }
        guard !reading.reader.isStream else {
            throw FileFault(
                .incomplete,
                "begins as something that was read up to byte \(reading.progress.offset) and then differs from it; with "
                    + "--from-beginning it is read as something new")
        }
        let reader = try LineReader(
            path: options.folder + "/" + reading.path, packing: reading.kind.packing, cut: reading.kind.cut)
        self.reading = begin(reading.path, reading.kind, reader, try reader.file.facts())
        return true
    }

    /// Whether the last row was caught in the midst of being written: then it is read again from its beginning.
    private func readsRowAgain(_ reading: FileReading) throws -> Bool {
        // A stream cannot go back.
        guard let row = reading.progress.openRow, !reading.reader.isStream,
            let next = try reading.reader.head(1)?.first, next != 0x0A, next != 0x0D
        else { return false }
        let reader = try LineReader(
            path: options.folder + "/" + reading.path, packing: reading.kind.packing, cut: reading.kind.cut)
        guard reading.progress.lastLine > 0 else {
            // It is the row of names.
            self.reading = begin(reading.path, reading.kind, reader, try reader.file.facts())
            return true
        }
        var progress = reading.progress
        progress.goBack(before: row)
        let again = FileReading(
            path: reading.path, kind: reading.kind, reader: reader, documents: reading.documents, progress: progress,
            facts: reading.facts, opening: reading.opening, isChecking: true)
        if reading.kind.packing == .none {
            reader.resume(at: progress.offset, sum: progress.sum, lineFeeds: progress.lineFeeds)
            again.isChecking = false
        }
        ledger.pass(reading.path, progress)
        self.reading = again
        return true
    }

    private func refuseQuote(_ reading: FileReading, _ batch: inout SourceBatch) throws {
        // Else the next row would be taken for the names of the columns.
        guard !reading.documents.wantsHeader else { throw Self.wrongQuote.ofHeader }
        refuse(reading, Self.wrongQuote, &batch)
    }

    private func refuseLine(_ reading: FileReading, _ batch: inout SourceBatch) throws {
        guard !reading.documents.wantsHeader else { throw endlessHeader }
        let advice = options.given == nil ? "cut the document, or raise line_bytes_max" : "cut the document"
        refuse(
            reading,
            FileFault(.tooLarge, "a line of more than \(options.lineBytesMax) bytes is left out; \(advice)"), &batch)
    }

    /// Leaves out the piece that was read.
    private func refuse(_ reading: FileReading, _ fault: FileFault, _ batch: inout SourceBatch) {
        reading.refusalCount += 1
        reading.progress.refusedCount += 1
        batch.refusals.append(
            SourceRefusal(
                place: reading.place(shown(reading.path)), reason: fault.description, rule: fault.rule,
                isLogged: reading.refusalCount <= Self.loggedPerFileMax))
        reading.passLine()
        remember(reading, isSent: false)
    }

    /// Without what stands at a line's end, and at a file's beginning.
    private static func plain(_ piece: [UInt8], isFirst: Bool) -> [UInt8] {
        var piece = piece[...]
        if piece.last == 0x0D { piece.removeLast() }
        // What some programs put at a file's beginning is no part of its first line.
        if isFirst, piece.starts(with: [0xEF, 0xBB, 0xBF]) { piece.removeFirst(3) }
        return Array(piece)
    }

    /// Hands over one piece, which has no line feed any more.
    private func take(_ piece: [UInt8], _ reading: FileReading, _ batch: inout SourceBatch) throws {
        let begin = reading.progress.offset
        let piece = Self.plain(piece, isFirst: begin == 0)
        guard piece.count <= options.lineBytesMax || reading.kind.format.isWhole else {
            return try refuseLine(reading, &batch)
        }
        let isHeader = reading.documents.wantsHeader
        // Blank lines are nothing to wait for; whatever comes next takes the position along.
        let isBlank = !piece.contains { $0 > 0x20 }
        guard isHeader || reading.kind.format.isWhole || !isBlank else { return pass(reading) }
        let value: [UInt8]
        do throws(FileFault) {
            guard let made = try reading.documents.take(piece) else { return pass(reading) }
            value = made
        } catch {
            // Without the names of its columns nothing of the file can be read.
            if isHeader { throw error.ofHeader }
            return refuse(reading, error, &batch)
        }
        guard value.count <= options.lineBytesMax else {
            return refuse(
                reading,
                FileFault(
                    .tooLarge, "a document of more than \(options.lineBytesMax) bytes is left out; cut it"), &batch)
        }
        let facts = scan.scan(value)
        // A folder's lines are judged by the logic, which keeps them.
        if facts == nil, reading.kind.format != .jsonLines || options.given != nil {
            return refuse(reading, scan.fault, &batch)
        }
        reading.passLine()
        reading.documentCount += 1
        remember(reading, isSent: true)
        batch.events.append(
            SourceEvent(
                value: value, key: facts?.key, eventID: eventID(value, reading, begin),
                mayRepeat: ledger.mayRepeat(reading.path), position: Self.position(reading.progress)))
    }

    /// Goes behind a piece that is no document.
    private func pass(_ reading: FileReading) {
        reading.passLine()
        ledger.pass(reading.path, reading.progress)
    }

    private func eventID(_ value: [UInt8], _ reading: FileReading, _ offset: Int64) -> [UInt8] {
        // A file that is one document is the same after a touch, although its time stands in the value.
        var sum = reading.reader.sum
        if !reading.kind.format.isWhole {
            sum = ContentSum()
            value.withUnsafeBytes { sum.add($0) }
        }
        return Array("\(ledger.id)-\(reading.progress.incarnation)-\(offset)-\(String(sum.high, radix: 16))".utf8)
    }

    // MARK: The end

    /// At the file's present end.
    private func finish(_ reading: FileReading, _ batch: inout SourceBatch) throws {
        let reader = reading.reader
        let now = clock()
        if !reader.isAtWholeEnd {
            let isSettled = isSettled(reading.facts, now: now)
            if isSettled, let rest = reader.rest(), reading.kind.format != .jsonLines || scan.scan(rest) != nil {
                let row = OpenRow(sum: reading.progress.sum, lineFeeds: reading.progress.lineFeeds)
                reader.takeRest()
                try take(rest, reading, &batch)
                if reading.kind.format == .csv { reading.progress.openRow = row }
            } else {
                if isSettled {
                    complain(
                        reading.path, "its end is not whole; it is read on when the file has changed", .incomplete,
                        &batch)
                }
                waiting[reading.path] = (reading.facts, isSettled)
            }
        } else if reader.offset == 0, options.given != nil || reading.kind.format != .jsonLines {
            complain(reading.path, "is empty", .empty, &batch)
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

    // MARK: Faults

    private static func rule(of error: any Error) -> FileFault.Rule {
        switch error {
        case let fault as FileFault: fault.rule
        case is ZstdError: .damaged
        default: .unreadable
        }
    }

    private static func words(of error: any Error) -> String { "\(error)" }
}
