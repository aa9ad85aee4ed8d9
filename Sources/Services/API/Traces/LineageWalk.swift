import Bytes
import Derivation
import Files
import JSONScan
import Lake
import Records

/// The part of a trace that lies in the lake: the lines of Gold and Silver, the logic that made them, and the raw events.
///
/// What cannot be found, or not in time, becomes a problem of the trace.
struct LineageWalk {
    private let reader: LakeReader
    private let reach: TraceReach
    /// What stands in for a lake whose folder is not here.
    private let events: DistantEvents
    private let untilNanoseconds: Int64?
    /// Whether this machine has the lake's folder.
    private let isLakeHere: Bool
    /// The lake's list, read once for all of an answer's citations.
    private var generations: [LakeGeneration]?

    init(layout: LakeLayout, reach: TraceReach, events: DistantEvents, untilNanoseconds: Int64?) {
        reader = LakeReader(layout: layout, untilNanoseconds: untilNanoseconds, readsObjects: reach == .far)
        self.reach = reach
        self.events = events
        self.untilNanoseconds = untilNanoseconds
        // Every lake has the list before it has anything else.
        isLakeHere = Folder.exists(layout.generationLog)
    }

    /// - Parameters:
    ///   - source: where the record lies that the lines were made from.
    ///   - offset: its offset.
    ///   - parents: by the lineage that the index or an answer holds.
    mutating func follow(
        from source: TopicPartition, offset: Int64, _ parents: [ParentReference], _ trace: inout Trace
    ) {
        guard isLakeHere || reach == .far else {
            trace.isShort = true
            return
        }
        let generation = generation(trace.generation, &trace)
        var isGone = false
        for parent in parents {
            do throws(LakeError) {
                trace.bronze.append(try bronze(parent))
            } catch {
                if case .distant = error { trace.isShort = true }
                if case .expired(_, let expiry) = error, trace.expiry == nil { trace.expiry = "\(expiry)" }
                if case .erasure(let reason) = error, trace.expiry == nil { trace.expiry = reason }
                trace.problems.append(
                    "the Bronze line of \(parent.topic)[\(parent.partition)] offset \(parent.offset) cannot be read")
                trace.causes.append("\(error)")
            }
        }
        if !trace.bronze.isEmpty { trace.expiry = nil }
        for bronze in trace.bronze where !bronze.isHashRight {
            trace.problems.append(
                "the bytes of \(bronze.topic)[\(bronze.partition)] offset \(bronze.offset) have another SHA-256 than "
                    + "the document's lineage says")
        }
        trace.gold = derived(.gold, generation, source, offset, &trace, &isGone)
        trace.silver = derived(.silver, generation, source, offset, &trace, &isGone)
        if isGone { deriveAgain(generation, source, offset, &trace) }
        if let gold = trace.gold { check(gold, &trace) }
        explain(generation, source, &trace)
        note(source, offset, &trace)
    }

    private mutating func generation(_ number: Int64, _ trace: inout Trace) -> LakeGeneration? {
        if generations == nil {
            do throws(LakeError) {
                generations =
                    isLakeHere
                    ? try GenerationLog(layout: reader.layout).read()
                    : try events.generations(untilNanoseconds: untilNanoseconds)
            } catch {
                trace.problems.append("the lake's list of generations cannot be read")
                trace.causes.append("\(error)")
            }
        }
        return generations?.first { $0.number == number }
    }

    // MARK: - Gold and Silver

    /// - Parameter isGone: whether the line went with its generation, or by retention, and may be derived anew.
    private func derived(
        _ layer: Layer, _ generation: LakeGeneration?, _ source: TopicPartition, _ offset: Int64,
        _ trace: inout Trace, _ isGone: inout Bool
    ) -> TraceLine? {
        guard isLakeHere else {
            isGone = true
            return nil
        }
        do throws(LakeError) {
            if let found = try reader.derived(layer, generation: trace.generation, source: source, offset: offset) {
                return TraceLine(line: found.line, location: location(found))
            }
            if generation?.state == .pruned {
                isGone = true
                return nil
            }
            trace.problems.append(
                "generation \(trace.generation) has no \(layer.rawValue) line of \(source) offset \(offset)")
        } catch {
            if case .distant = error { trace.isShort = true }
            if case .expired = error {
                isGone = true
                return nil
            }
            if generation?.state == .pruned {
                isGone = true
                return nil
            }
            trace.problems.append(
                "the \(layer.rawValue) line of \(source) offset \(offset) in generation \(trace.generation) cannot be read"
            )
            trace.causes.append("\(error)")
        }
        return nil
    }

    /// Makes the lines anew that went with their generation, or lie in a folder that is not here: the lake keeps its logic, and
    /// logic is a function of the event.
    private func deriveAgain(
        _ generation: LakeGeneration?, _ source: TopicPartition, _ offset: Int64, _ trace: inout Trace
    ) {
        guard
            let bronze = trace.bronze.first(where: {
                $0.topic == source.topic && $0.partition == source.partition && $0.offset == offset && $0.isHashRight
            })
        else {
            trace.problems.append(
                "the lines of generation \(trace.generation) are \(whyAgain), and so is what they were made from")
            return
        }
        // A generation takes over the lines of its parents; the logic version tells whose logic made this one.
        let logicVersion = trace.logicVersion
        let maker = ([generation].compactMap { $0 } + (generations ?? [])).first {
            $0.logic.logic(of: source.topic)?.logicVersion == logicVersion
        }
        guard let maker else {
            trace.problems.append(
                "the lines are \(whyAgain), and no logic \(logicVersion) of \(source.topic) is stored or declared")
            return
        }
        do {
            let lines = try DerivedAgain(bronze, by: maker)
            if trace.silver == nil { trace.silver = lines.silver.map { TraceLine(line: $0, location: nil) } }
            if trace.gold == nil { trace.gold = lines.gold.map { TraceLine(line: $0, location: nil) } }
            if trace.silver == nil || trace.gold == nil {
                trace.problems.append("logic \(logicVersion) makes no document of \(source) offset \(offset) any more")
            }
        } catch {
            trace.problems.append("the lines are \(whyAgain) and could not be derived anew by logic \(logicVersion)")
            trace.causes.append("\(error)")
        }
    }

    private var whyAgain: String { isLakeHere ? "gone" : "not to be had without the lake's folder" }

    /// Takes over what the Gold line says, and notices when the index was made from other content.
    private func check(_ gold: TraceLine, _ trace: inout Trace) {
        let read = gold.line.withUnsafeBytes { bytes in
            (try? GoldLine.Fields(bytes)).map { fields in
                (
                    flags: (try? fields.qualityFlags()) ?? [], hash: fields[.contentHash].string,
                    time: fields[.eventTime].string.flatMap { CivilTime.epochMilliseconds($0) }
                )
            }
        }
        guard let read else {
            trace.problems.append("the Gold line in \(gold.location?.file ?? "memory") is no JSON")
            return
        }
        trace.qualityFlags = read.flags
        trace.rules = trace.qualityFlags.map { "\($0)@\(trace.logicVersion)" }
        if trace.times[.event] == nil { trace.times[.event] = read.time }
        if let expected = trace.contentHash, read.hash != expected {
            trace.problems.append("the index holds content \(expected), the Gold line says another content_hash")
        }
        trace.contentHash = trace.contentHash ?? read.hash
    }

    // MARK: - The logic

    /// What the logic is, and what it saw of the event.
    private func explain(_ generation: LakeGeneration?, _ source: TopicPartition, _ trace: inout Trace) {
        let logicVersion = trace.logicVersion
        let maker = ([generation].compactMap { $0 } + (generations ?? [])).lazy
            .compactMap { $0.logic.logic(of: source.topic) }.first { $0.logicVersion == logicVersion }
        guard let maker else { return }
        let event = trace.bronze.first { $0.topic == source.topic }?.value
            .flatMap { try? JSONValue.parse($0, maxDepth: 64) }
        let paths = (try? maker.read().paths) ?? []
        trace.logic = TraceLogic(
            kind: maker.kind, settingsJSON: Array(maker.settings.utf8),
            fields: paths.map { path in (path: path, value: event?.member(at: path)) })
    }

    // MARK: - Bronze

    private func bronze(_ parent: ParentReference) throws(LakeError) -> TraceBronze {
        guard isLakeHere else { return try events.event(parent, untilNanoseconds: untilNanoseconds) }
        let found = try reader.bronze(parent.topicPartition, offset: parent.offset)
        return try TraceBronze(found, of: parent, location: location(found))
    }

    /// The times that the record and the lake know.
    private func note(_ source: TopicPartition, _ offset: Int64, _ trace: inout Trace) {
        guard let own = trace.bronze.first(where: { $0.topic == source.topic && $0.offset == offset }) else { return }
        trace.times[.broker] = own.timestampMilliseconds
        trace.times[.received] = own.headers.last { $0.name == IngestTimeHeader.header }?.value
            .flatMap { Int64(String(decoding: $0, as: UTF8.self)) }
        guard isLakeHere, let commit = try? reader.commitTime(source, offset: offset) else { return }
        trace.times.set(commit)
    }

    private func location(_ found: LocatedLine) -> LakeLocation {
        let root = reader.layout.root + "/"
        return LakeLocation(
            file: found.path.hasPrefix(root) ? String(found.path.dropFirst(root.count)) : found.path,
            frameOffset: Int64(found.frameStart), frameLength: Int64(found.frameEnd - found.frameStart))
    }
}

extension TraceTimes {
    /// Takes over when the lake's commit was. What followed it cannot have come first:
    /// an entry of merged commits says no more than the minute.
    fileprivate mutating func set(_ commit: CommitTime) {
        let following = self[.embedded] ?? self[.indexed] ?? self[.searchable]
        let at = max(commit.from, min(commit.at, following ?? commit.at))
        self[.committed] = at
        committedWithin = at - commit.from
    }
}

extension JSONValue {
    /// What stands at a dotted path; nil where nothing does.
    fileprivate func member(at path: String) -> JSONValue? {
        var value: JSONValue? = self
        for name in path.split(separator: ".", omittingEmptySubsequences: false) { value = value?[String(name)] }
        return value
    }
}
