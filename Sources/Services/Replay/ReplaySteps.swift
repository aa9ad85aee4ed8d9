import Bytes
import Concurrency
import Derivation
import Files
import Lake
import Logic
import Records
import Store

/// The steps of a replay but for the records themselves.
extension Replay {
    static func active(_ layout: LakeLayout) throws -> LakeGeneration {
        guard let active = try GenerationLog(layout: layout).active() else {
            throw ReplayError("the lake \(layout.root) has no generation yet; run the stream job first")
        }
        return active
    }

    /// The logic of a child in which some topics have another one.
    static func logic(
        of parent: LakeGeneration, _ news: [String: TopicLogic], _ layout: LakeLayout
    ) throws -> GenerationLogic {
        let held = try GenerationLog(layout: layout).heldTopics()
        let news = news.filter { held.contains($0.key) }
        for (topic, logic) in news {
            guard let known = parent.logic.logic(of: topic) else { continue }
            guard known.kind == logic.kind else {
                throw ReplayError(
                    "generation \(parent.number) makes \(topic) by logic of the kind \(known.kind), not \(logic.kind); a topic "
                        + "keeps its kind")
            }
            // What is not replayed would stay under the former key, and nothing could change it there.
            guard known.tenant == logic.tenant, known.collection == logic.collection else {
                throw ReplayError(
                    "the documents of \(topic) are \(known.tenant)/\(known.collection), and the declaration says "
                        + "\(logic.tenant)/\(logic.collection): a topic keeps tenant and collection; declare a source of another name "
                        + "and topic")
            }
        }
        return parent.logic.replacing(news, held: held)
    }

    /// How far before a record its copies may lie.
    static func windows(_ logics: [String: TopicLogic]) throws -> [String: DuplicateWindow.Limits] {
        try logics.mapValues { try $0.read().duplicateReach }
    }

    func steps() -> GenerationSteps {
        GenerationSteps(log: GenerationLog(layout: layout), database: GenerationStore(configuration: database))
    }

    func createChild() throws -> LakeGeneration {
        let child = try steps().create(note: "replay", vectors: vectors) { try Self.logic(of: $0, logics, layout) }
        logger.info(
            "replaying into generation \(child.number)",
            [
                "parent": String(child.parent ?? 0), "logic_version": child.logicVersion,
                "model": vectors?.model ?? "the parent's",
            ])
        return child
    }

    /// What of a scope is replayed; nothing where no topic is, since only vectors change.
    static func ranges(
        of scope: ReplayScope, _ logics: [String: TopicLogic], _ reader: LakeReader
    ) throws -> [TopicPartition: OffsetRange] {
        logics.isEmpty ? [:] : try scope.ranges(in: reader, windows: windows(logics))
    }

    /// - Throws: ``ReplayError`` where the active generation's vectors are what is asked for.
    func checkVectors() async throws {
        guard let vectors else { return }
        try await lane.run { [database, layout] in
            let active = try Self.active(layout)
            let held = try GenerationStore(configuration: database).models(
                timeoutMilliseconds: Self.statementMilliseconds)
            guard held.first(where: { $0.generation == active.number })?.model == vectors.model else { return }
            throw ReplayError("the vectors of generation \(active.number) are of model \(vectors.model) already")
        }
    }

    /// Gives what the child took over vectors of its own model. What is done is in the index, so a resumed one continues there.
    func changeVectors(of child: LakeGeneration) async throws {
        monitor.beginVectors(left: try await index.formerVectors(of: child.number))
        try await keeper.note(monitor, of: child.number)
        var watch = GenerationWatch(log: GenerationLog(layout: layout), number: child.number)
        var key = Int64.min
        while true {
            let step = try await index.changeVectors(
                of: child.number, after: key, most: monitor.stretchRecordsMax)
            guard let last = step.lastKey else { return }
            key = last
            monitor.edit {
                $0.figures.done += Int64(step.documents)
                $0.figures.embedded += Int64(step.embedded)
            }
            try await keeper.note(monitor, of: child.number)
            let known = watch
            watch = try await lane.run { [monitor] in
                var watch = known
                try monitor.hold(records: step.documents) { try watch.check() }
                return watch
            }
        }
    }

    /// Waits until the stream job feeds the child everywhere; where no job runs, records the handover itself.
    func handovers(to child: Int64, reader: LakeReader) async throws -> [TopicPartition: Int64] {
        var handovers: [TopicPartition: Int64] = [:]
        var watch = GenerationWatch(log: GenerationLog(layout: layout), number: child)
        var waiting = try await lane.run { try reader.sources() }
        let began = SystemClock.monotonicNanoseconds()
        while true {
            let waited = SystemClock.monotonicNanoseconds() - began
            let mayWrite = waited >= Self.jobPatienceNanoseconds
            let found = try await lane.run { [layout, watch, waiting] in
                var watch = watch
                try watch.check()
                var found: [TopicPartition: Int64] = [:]
                for source in waiting {
                    found[source] = try Self.handover(to: child, source, layout, mayWrite: mayWrite)
                }
                return (watch, found)
            }
            watch = found.0
            handovers.merge(found.1) { $1 }
            waiting.removeAll { handovers[$0] != nil }
            guard let source = waiting.first else {
                // The topic may have grown meanwhile.
                let grown = try await lane.run { try reader.sources() }.filter { handovers[$0] == nil }
                if grown.isEmpty { return handovers }
                waiting = grown
                continue
            }
            guard waited < Int64(Self.handoverSecondsMax) * 1_000_000_000 else {
                throw ReplayError(
                    "the stream job has not handed \(source) over to generation \(child) in "
                        + "\(Self.handoverSecondsMax) s; is it stuck? Its log and /health tell")
            }
            try await Task.sleep(nanoseconds: 50_000_000)
        }
    }

    /// - Parameter mayWrite: whether to do it in place of a stream job. Not before one that runs had time for it: one that
    ///   starts in the moment in which this holds the topic partition has to wait.
    static func handover(
        to child: Int64, _ source: TopicPartition, _ layout: LakeLayout, mayWrite: Bool
    ) throws -> Int64? {
        let path = layout.commitLog(source)
        guard Folder.exists(path) else { return 0 }
        let log = try CommitLog(reading: path)
        if let offset = try log.handover(of: child) {
            // A log without a record says where reading begins; for the index nothing lies below.
            let held = try LakeReader(layout: layout).committedRange(source)
            return held?.isEmpty == true ? 0 : offset
        }
        guard mayWrite else { return nil }
        do {
            return try recordHandover(to: child, source, layout)
        } catch LakeError.locked {
            return nil
        }
    }

    static func recordHandover(to child: Int64, _ source: TopicPartition, _ layout: LakeLayout) throws -> Int64 {
        var writer = try PartitionWriter.open(layout: layout, source: source)
        guard let next = writer.nextOffset else { return 0 }
        try writer.handOver(to: child, at: next)
        // The stream job may have recorded one since the log was read; that one holds.
        let handovers = writer.handovers
        return handovers[child] ?? next
    }

    /// Lets the child see what its parent shows outside of the replayed ranges, once the index has come that far.
    func inherit(
        _ child: LakeGeneration, replayed: [TopicPartition: OffsetRange], handovers: [TopicPartition: Int64]
    ) async throws -> Int {
        let outside = replayed.map { (source: $0.key, offsets: $0.value) }
        let isOfOtherModel = vectors != nil
        let deadline = SystemClock.monotonicNanoseconds() + Int64(Self.catchUpSecondsMax) * 1_000_000_000
        while true {
            do {
                return try await lane.run { [database, layout] in
                    // A topic partition that came since is the child's from its first record on.
                    var handovers = handovers
                    for new in try LakeReader(layout: layout).sources() where handovers[new] == nil {
                        handovers[new] = 0
                    }
                    return try GenerationStore(configuration: database).copyParentRows(
                        child: child.number, parent: child.parent ?? 0, outside: outside, handover: handovers,
                        isOfOtherModel: isOfOtherModel, timeoutMilliseconds: Self.statementMilliseconds)
                }
            } catch let error as IndexError where error.kind == .generationBehind {
                guard SystemClock.monotonicNanoseconds() < deadline else { throw error }
                try await lane.run { [layout] in try Self.checkWaiting(for: child, layout, error) }
                try await Task.sleep(nanoseconds: 200_000_000)
            }
        }
    }

    /// - Throws: where waiting for the parent's index is in vain.
    static func checkWaiting(for child: LakeGeneration, _ layout: LakeLayout, _ error: IndexError) throws {
        let log = GenerationLog(layout: layout)
        var watch = GenerationWatch(log: log, number: child.number)
        try watch.check()
        guard let parent = child.parent, try log.read().first(where: { $0.number == parent })?.isFed == false else {
            return
        }
        throw ReplayError(
            "generation \(parent), of which generation \(child.number) takes over what is not replayed, was pruned before "
                + "its index was complete (\(error)); start the replay again")
    }
}
