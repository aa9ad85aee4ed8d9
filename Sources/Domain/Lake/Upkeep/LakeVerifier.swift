import Bytes
import Files
import Records

/// Something in the lake that is not as its logs say.
package struct VerifyFinding: Sendable {
    /// File, and byte or offset in it.
    package let place: String
    package let problem: String

    init(_ place: String, _ problem: String) {
        self.place = place
        self.problem = problem
    }
}

/// What was looked at, and what was found.
package struct VerifyReport: Sendable {
    package internal(set) var files = 0
    /// Those of ``files`` that are in the object storage only.
    package internal(set) var filesTiered = 0
    /// Files that retention gave up; not looked at.
    package internal(set) var filesExpired = 0
    package internal(set) var lines = 0
    /// Bytes in the files.
    package internal(set) var bytes = 0
    /// Bytes of text in them.
    package internal(set) var rawBytes = 0
    package internal(set) var logEntries = 0
    package internal(set) var findings = 0
    /// Bronze lines of which an erasure left place and time.
    package internal(set) var linesErased = 0
    /// Of those that erasures are about: the ids, in their order.
    package internal(set) var erasures: [String] = []
    /// Of these, those that are not done.
    package internal(set) var erasuresUnfinished: [String] = []
}

/// Checks a lake from end to end: logs, checksums of bytes and of content, offsets, lineage, files too few and too many.
///
/// Reads only and takes no lock; may run beside whatever writes, seals, tiers or removes, whose newest work it leaves out.
/// An hour's Bronze digests (40 bytes a record) and log entries are in memory at a time.
package final class LakeVerifier {
    let reader: LakeReader
    private let report: (VerifyFinding) -> Void
    var totals = VerifyReport()
    /// Data files that the logs told of.
    var known: Set<String> = []
    var lines: LineVerifier

    /// - Parameter report: lent every finding as it is made.
    package init(layout: LakeLayout, report: @escaping (VerifyFinding) -> Void) throws {
        reader = LakeReader(layout: layout)
        self.report = report
        lines = try LineVerifier(reader: reader)
    }

    /// - Parameters:
    ///   - topic: nil for all; files that no log knows are looked for only then.
    ///   - partition: nil for all.
    /// - Throws: where the lake cannot be read at all; damage is a finding.
    package func run(topic: String? = nil, partition: Int32? = nil) throws(LakeError) -> VerifyReport {
        let sources = try reader.sources().filter {
            (topic == nil || $0.topic == topic) && (partition == nil || $0.partition == partition)
        }
        var replays: [(source: TopicPartition, generation: Int64)] = []
        do throws(LakeError) { replays = try reader.replays() } catch { find(reader.layout.generationLog, "\(error)") }
        verifyGenerationList()
        verifySuppressions()
        verifyErasures()
        for source in sources {
            verifyLog(reader.layout.commitLog(source))
            verifyHours(source, replay: nil)
            for replay in replays where replay.source == source {
                verifyLog(reader.layout.commitLog(source, replay: replay.generation))
                verifyHours(source, replay: replay.generation)
            }
        }
        if topic == nil && partition == nil { try findOrphans() }
        return totals
    }

    func find(_ place: String, _ problem: String) {
        totals.findings += 1
        report(VerifyFinding(place, problem))
    }

    // MARK: - Logs

    /// How long to wait for a log that a writer may be about to change, in milliseconds; then it counts as it is.
    private static let pausesMilliseconds = [10, 30, 100, 300, 600]

    /// Every entry's checksum, and that entries follow one another.
    ///
    /// Half an entry at the end may be one that is being appended, and a log may be cut or replaced while it is read. Only
    /// what stays is a finding.
    private func verifyLog(_ path: String) {
        var pauses = Self.pausesMilliseconds[...]
        while true {
            let look = LogLook(path)
            if look.findings.isEmpty || pauses.isEmpty || !(look.isTorn || look.hasChanged(path)) {
                totals.logEntries += look.entries
                for finding in look.findings { find(finding.place, finding.problem) }
                return
            }
            Pause.milliseconds(pauses.removeFirst())
        }
    }

    // MARK: - Hours

    private func verifyHours(_ source: TopicPartition, replay: Int64?) {
        do throws(LakeError) {
            try reader.forEachHour(source, replay: replay) { hour throws(LakeError) in verify(hour) }
        } catch {
            find(reader.layout.commitLog(source, replay: replay), "\(error)")
        }
    }

    private func verify(_ found: InventoryHour) {
        // A writer may seal it meanwhile: then it is looked at in its sealed form.
        let opened = reader.open(found)
        let hour = opened.hour
        var bronze = BronzeDigests(range: hour.range)
        if hour.replay == nil {
            bronze.isRewritten = hour.seal?.sealed.contains { $0.layer == .bronze && $0.linesSealed != nil } ?? false
        } else {
            load(&bronze, hour.source)
        }
        for file in hour.files {
            known.insert(file.path(in: reader.layout))
            verify(file, opened, &bronze)
        }
        totals.linesErased += bronze.erased
        // A replay has no Bronze of its own.
        if hour.replay == nil { reportMissing(bronze, hour) }
        verifyGenerations(hour)
    }

    /// The Bronze digests that a replay's lines are compared with.
    private func load(_ bronze: inout BronzeDigests, _ source: TopicPartition) {
        do throws(LakeError) {
            bronze.isRewritten = try reader.hasRewrittenBronze(source, in: bronze.range)
            try reader.forEachLine(.bronze, generation: nil, source: source, range: bronze.range) { offset, line in
                line.withUnsafeBytes { bytes in
                    if let digest = lines.valueDigest(bytes) { bronze.note(digest, at: offset) }
                }
                return true
            }
        } catch {
            if case .expired = error {
                bronze.isExpired = true
                return
            }
            find("\(source) \(bronze.range)", "its Bronze cannot be read: \(error)")
        }
    }

    /// Notes what was erased; a log that cannot be read is a finding.
    private func verifyErasures() {
        let log = ErasureLog(layout: reader.layout)
        do throws(LakeError) {
            let states = try log.read()
            totals.logEntries += states.count
            totals.erasures = states.map(\.erasure.id)
            totals.erasuresUnfinished = states.filter { !$0.isDone }.map(\.erasure.id)
        } catch {
            find(log.path, "\(error)")
        }
    }

    private func reportMissing(_ bronze: BronzeDigests, _ hour: InventoryHour) {
        guard !bronze.isExpired else { return }
        let missing = bronze.missing(committed: hour.commits.map(\.range))
        guard let rewritten = hour.seal?.sealed.first(where: { $0.layer == .bronze && $0.linesSealed != nil }) else {
            for run in missing { find("\(hour.source), offsets \(run)", "no Bronze line") }
            return
        }
        // What was rewritten has lost lines on purpose, as many as the log says.
        let (gone, expected) = (missing.reduce(0) { $0 + $1.count }, (rewritten.linesSealed ?? 0) - rewritten.lines)
        if gone != Int64(expected) {
            find(
                "\(hour.source), offsets \(hour.range)", "\(gone) Bronze lines are gone where rewrites took \(expected)"
            )
        }
    }
}

/// One look through a commit log.
private struct LogLook {
    private(set) var entries = 0
    private(set) var findings: [VerifyFinding] = []
    /// Whether there is half an entry at the end.
    private(set) var isTorn = false
    private var opened: FileState?

    init(_ path: String) {
        do {
            let log = try CommitLog(reading: path)
            opened = log.openedState
            var next: Int64?
            var last: CommitRecord?
            try log.forEach { record throws(LakeError) in
                entries += 1
                let place = "\(path), entry \(record.range)"
                if record.kind == .commit, let expected = next, (record.gap?.start ?? record.range.start) != expected {
                    findings.append(.init(place, "does not follow the entry before, which ends at \(expected)"))
                }
                // A replay's entries tell no broker time: 0 throughout.
                if let last {
                    let isReset = record.timeReset != last.timeReset && record.timeReset == record.range.start
                    if record.firstOffset < last.firstOffset || record.brokerTimeMax < last.brokerTimeMax && !isReset {
                        findings.append(.init(place, "names an earlier file or broker time than the entry before"))
                    }
                }
                if record.kind != .seal || next == nil { next = record.range.end }
                last = record
                return true
            }
            if let opened, opened.size > log.size {
                isTorn = true
                findings.append(
                    .init("\(path), byte \(log.size)", "\(opened.size - log.size) bytes behind the last whole entry"))
            }
        } catch {
            findings.append(.init(path, "\(error)"))
        }
    }

    /// Whether somebody has changed the log since.
    func hasChanged(_ path: String) -> Bool {
        let now = try? File(path, .read).state()
        return now != opened
    }
}
