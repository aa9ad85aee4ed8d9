import Bytes
import Files
import ObjectStorage
package import Records

/// Removes sealed files by age or size, oldest first, and never what is still needed.
///
/// What goes is recorded in the retention log, durably, before the first file goes; commit logs stay whole. A removal
/// that a crash interrupted is finished by the next one.
package struct Retention {
    /// Which files may go.
    package enum Rule: Sendable, Equatable {
        /// Those whose hour ended at or before this moment, milliseconds since 1970.
        case endedBy(Int64)
        /// The oldest, until the layer's sealed files have no more compressed bytes than this.
        case bytesMax(Int)
    }

    /// What becomes of a file that the rule is about.
    package enum Verdict: Sendable, Equatable {
        case goes
        /// Of Bronze, all later files of the topic partition stay with it.
        case stays(reason: String)
    }

    private let layout: LakeLayout
    private let reader: LakeReader
    private let windowOffsets: Int64
    private let windowMilliseconds: Int64

    /// - Parameters:
    ///   - windowOffsets: of the widest duplicate window of a generation in use.
    ///   - windowMilliseconds: the same in broker time.
    package init(layout: LakeLayout, windowOffsets: Int64, windowMilliseconds: Int64) {
        self.layout = layout
        reader = LakeReader(layout: layout)
        self.windowOffsets = windowOffsets
        self.windowMilliseconds = windowMilliseconds
    }

    /// What the rule would do with the sealed files of a layer; files that it has nothing against are left out.
    package func plan(
        _ layer: Layer, _ sources: [TopicPartition], _ rule: Rule
    ) throws(LakeError) -> [(listed: ListedFile, verdict: Verdict)] {
        let generations = try GenerationLog(layout: layout).read()
        var files: [ListedFile] = []
        for source in sources { files += try held(layer, source) }
        // Oldest first over all topic partitions; within one, offsets follow hours.
        files.sort {
            ($0.ageHour, $0.name.source, $0.name.generation ?? 0, $0.range.start)
                < ($1.ageHour, $1.name.source, $1.name.generation ?? 0, $1.range.start)
        }
        var bytes = files.reduce(0) { $0 + $1.file.bytes }
        var blocked: Set<TopicPartition> = []
        var plan: [(listed: ListedFile, verdict: Verdict)] = []
        for listed in files {
            let isConcerned =
                switch rule {
                case .endedBy(let moment): listed.endMilliseconds <= moment
                case .bytesMax(let bytesMax): bytes > bytesMax
                }
            guard isConcerned, !blocked.contains(listed.name.source) else { continue }
            if let reason = try need(of: listed, generations) {
                // Bronze has no holes: it is what replays read.
                if layer == .bronze { blocked.insert(listed.name.source) }
                plan.append((listed, .stays(reason: reason)))
            } else {
                bytes -= listed.file.bytes
                plan.append((listed, .goes))
            }
        }
        return plan
    }

    /// Does what ``plan(_:_:_:)`` says, having finished what an earlier run left half done.
    ///
    /// - Parameters:
    ///   - reason: the rule in words, for the log.
    ///   - now: the machine's clock, in milliseconds since 1970.
    /// - Returns: the plan that was carried out.
    package func apply(
        _ layer: Layer, _ sources: [TopicPartition], _ rule: Rule, reason: String, now: Int64
    ) throws(LakeError) -> [(listed: ListedFile, verdict: Verdict)] {
        for source in sources {
            let lock = try UpkeepLock(source, in: layout)
            try finish(source, now: now)
            withExtendedLifetime(lock) {}
        }
        let generationLog = GenerationLog(layout: layout)
        let known = generationLog.stamp()
        let plan = try plan(layer, sources, rule)
        for source in sources {
            let going = plan.filter { $0.verdict == .goes && $0.listed.name.source == source }.map(\.listed)
            let runs = Self.runs(of: going, layer, reason: reason, now: now)
            guard !runs.isEmpty else { continue }
            let lock = try UpkeepLock(source, in: layout)
            let log = RetentionLog(layout: layout, source: source)
            // No generation begins to need what is given up: a replay that makes one after this sees the log.
            try generationLog.unchanged(since: known) { () throws(LakeError) in
                for run in runs { try log.append(run) }
            }
            try finish(source, now: now)
            if let objects = layout.objects { try LakeCopies(objects: objects, layout: layout).put(of: source) }
            withExtendedLifetime(lock) {}
        }
        return plan
    }

    /// Joins files, given in order, where one begins at the end of another.
    private static func runs(of files: [ListedFile], _ layer: Layer, reason: String, now: Int64) -> [Expiry] {
        var ranges: [Int64?: [OffsetRange]] = [:]
        for listed in files {
            let generation = listed.name.generation
            guard let range = OffsetRange(start: listed.name.firstOffset, end: listed.range.end) else { continue }
            if let last = ranges[generation]?.last, last.end == range.start,
                let joined = OffsetRange(start: last.start, end: range.end)
            {
                ranges[generation]?.removeLast()
                ranges[generation]?.append(joined)
            } else {
                ranges[generation, default: []].append(range)
            }
        }
        return ranges.sorted { $0.key ?? 0 < $1.key ?? 0 }.flatMap { generation, ranges in
            ranges.map { range in
                Expiry(
                    layer: layer, generation: generation, range: range, reason: reason, atMilliseconds: now,
                    isRemoved: false)
            }
        }
    }

    /// Removals that a crash interrupted.
    package func unfinished(_ source: TopicPartition) throws(LakeError) -> [Expiry] {
        var open: [Expiry] = []
        for expiry in try RetentionLog(layout: layout, source: source).read() {
            if expiry.isRemoved {
                open.removeAll {
                    $0.layer == expiry.layer && $0.generation == expiry.generation && $0.range == expiry.range
                }
            } else {
                open.append(expiry)
            }
        }
        return open
    }

    // MARK: - What is needed

    private func held(_ layer: Layer, _ source: TopicPartition) throws(LakeError) -> [ListedFile] {
        let expiries = try RetentionLog(layout: layout, source: source).read()
        var files: [ListedFile] = []
        try reader.forEachSealedFile(source) { listed throws(LakeError) in
            if listed.name.layer == layer, !expiries.contains(where: { $0.covers(listed.name) }) {
                files.append(listed)
            }
            return true
        }
        return files
    }

    /// Why a file must stay; nil where nothing needs it.
    private func need(of listed: ListedFile, _ generations: [LakeGeneration]) throws(LakeError) -> String? {
        if Folder.exists(layout.sealingFile(listed.name)) {
            return "its seal is not finished; the next start of its stream job, or `medallion lake seal`, does that"
        }
        let replaying = generations.first { $0.state == .created }
        switch listed.name.layer {
        case .bronze:
            if let replaying {
                return "a replay makes generation \(replaying.number) from it; if that one was killed, prune it"
            }
            return try isInDuplicateWindow(listed) ? "the duplicate window needs it after a restart" : nil
        case .quarantine:
            let making = generations.first { $0.state == .created && $0.number == listed.name.generation }
            return making.map { "a replay makes generation \($0.number)" }
        case .silver, .gold:
            for user in generations where user.isFed {
                if try isNeeded(listed, by: user.number, generations) {
                    return "generation \(user.number) is \(user.state.rawValue) and refers to it"
                }
                // A replay that is not done yet refers to nothing, but will to its parent's files.
                if user.state == .created, let parent = user.parent,
                    try isNeeded(listed, by: parent, generations)
                {
                    return "generation \(user.number) is being made and will refer to it"
                }
            }
            return nil
        }
    }

    private func isNeeded(
        _ listed: ListedFile, by number: Int64, _ generations: [LakeGeneration]
    ) throws(LakeError) -> Bool {
        try reader.segments(of: number, in: listed.range, source: listed.name.source, generations: generations)
            .contains { $0.generation == listed.name.generation && $0.log == listed.log }
    }

    private func isInDuplicateWindow(_ listed: ListedFile) throws(LakeError) -> Bool {
        guard let last = try CommitLog(reading: layout.commitLog(listed.name.source)).last() else { return true }
        // The largest broker time may lie ahead of the present: a broker's clock may have been wrong for a while.
        let present = min(last.brokerTimeMax, SystemClock.epochMilliseconds())
        return listed.range.end > last.range.end - windowOffsets
            && listed.endMilliseconds > present - windowMilliseconds
    }

    // MARK: - Removal

    /// Removes what the log gives up and does not say to be removed.
    private func finish(_ source: TopicPartition, now: Int64) throws(LakeError) {
        let log = RetentionLog(layout: layout, source: source)
        let unfinished = try unfinished(source)
        if !unfinished.isEmpty { try log.makeDurable() }
        for expiry in unfinished {
            try reader.forEachSealedFile(source) { listed throws(LakeError) in
                if expiry.covers(listed.name) { try remove(listed.name) }
                return true
            }
            try log.append(
                Expiry(
                    layer: expiry.layer, generation: expiry.generation, range: expiry.range, reason: expiry.reason,
                    atMilliseconds: now, isRemoved: true))
        }
    }

    /// Removes a file here and in the object storage; either may be gone.
    private func remove(_ name: DataFileName) throws(LakeError) {
        if let entry = try TierLog(layout: layout, source: name.source).entry(of: name) {
            guard let objects = layout.objects, objects.storage.configuration.bucket == entry.bucket else {
                throw .notFound(
                    "\(entry.url) is to be removed; set LAKE_S3_BUCKET and the other LAKE_S3_ settings to it")
            }
            try LakeError.placed(entry.url) { try objects.storage.delete(entry.key) }
        } else if let objects = layout.objects {
            // A copy that a crash kept from being recorded.
            let key = objects.key(of: name, in: layout)
            try LakeError.placed(key) { try objects.storage.delete(key) }
        }
        let path = layout.dataFile(name)
        let folder = layout.folder(of: name)
        guard Folder.exists(folder) else { return }
        try LakeError.placed(path) {
            try Folder.removeIfPresent(path)
            // Also where it is gone: whoever removed it may have been killed before that was durable.
            try Folder.sync(folder)
        }
    }
}
