import Bytes
package import Files
import JSONScan
package import Records

/// The lake's list of generations: a log whose last word on each generation holds.
///
/// Changes are compare-and-set under a lock, so that the stream job, replays and promotions may all make them, and none
/// overwrites what another has just said. A new list is durable before it is seen, and takes the old one's place as a
/// whole: a change that fails has not happened. Entries of another kind say how many topic partitions a source topic has
/// (``TopicSize``).
package struct GenerationLog: Sendable {
    package let path: String
    let layout: LakeLayout
    private static let bytesMax = 64 << 20
    private static let lockSecondsMax: Int64 = 10

    package init(layout: LakeLayout) {
        path = layout.generationLog
        self.layout = layout
    }

    private var log: RecordLog { RecordLog(path: path, bytesMax: Self.bytesMax) }

    /// Changes with the list; nil where there is none. A cheap way to notice news.
    package func stamp() -> FileStamp? { FileStamp(path) }

    /// All generations by number.
    package func read() throws(LakeError) -> [LakeGeneration] {
        try generations(records())
    }

    /// All entries, in order.
    func records() throws(LakeError) -> [JSONValue] { try log.read() }

    /// The active generation, or nil in a new lake.
    package func active() throws(LakeError) -> LakeGeneration? {
        try read().last { $0.state == .active }
    }

    /// Makes the first generation, which is active at once, in a lake that never had one.
    ///
    /// - Returns: the active generation, which may have been there.
    /// - Throws: ``LakeError/generation(_:)`` where the list has generations of which none is active, or has none
    ///   although the lake holds something.
    package func createFirst(_ logic: GenerationLogic) throws(LakeError) -> LakeGeneration {
        try change { generations throws(LakeError) in
            if let active = generations.last(where: { $0.state == .active }) { return (active, nil) }
            guard generations.isEmpty else {
                let list = generations.map { "\($0.number) \($0.state.rawValue)" }.joined(separator: ", ")
                throw .generation(
                    "no generation of the lake \(layout.root) is active (\(list)); `medallion promote N` makes one so "
                        + "that is complete")
            }
            if let trace = try layout.traceOfGenerations() {
                throw .generation(
                    "\(path) lists no generation, but there is \(trace): restore the list from a copy, or take another "
                        + "LAKE_DIR and consume the topic again")
            }
            let first = LakeGeneration(number: 1, parent: nil, logic: logic, state: .active)
            return (first, first)
        }
    }

    /// The number that the next generation may have: one of which neither the list nor any folder knows.
    package func nextNumber() throws(LakeError) -> Int64 {
        let listed = try read().map(\.number)
        let numbers = listed + (try layout.generationFolders())
        return (numbers.max() ?? 0) + 1
    }

    /// Makes a child of `parent`; the stream job hands each topic partition over to it at its next commit.
    ///
    /// - Parameters:
    ///   - number: a free one; nil for the next.
    ///   - logic: of all topics that the parent knows.
    /// - Throws: ``LakeError/generation(_:)`` where the parent is not complete, or got to know another topic meanwhile, or
    ///   the number is not free.
    package func createChild(
        of parent: Int64, number: Int64? = nil, logic: GenerationLogic
    ) throws(LakeError) -> LakeGeneration {
        try change { generations throws(LakeError) in
            guard let known = generations.first(where: { $0.number == parent }), known.state.isComplete else {
                throw .generation(
                    "the lake has no generation \(parent) that is complete, of which a child could be made")
            }
            if let topic = known.logic.firstTopic(missingIn: logic) {
                throw .generation(
                    "generation \(parent) got the topic \(topic) in the meantime, which its child would lack; try again"
                )
            }
            let next = try nextNumber()
            if let number, number < next {
                throw .generation("the lake already has a generation \(number), or files of it")
            }
            let child = LakeGeneration(number: number ?? next, parent: parent, logic: logic, state: .created)
            return (child, child)
        }
    }

    /// Changes what the list says of a generation, if it is in one of the states that the caller believes it to be in.
    ///
    /// - Parameter edit: may leave it as it is. It cannot make it active (see ``promote(_:)``), nor change a handover that
    ///   is recorded: what was taken in between belongs to nobody.
    /// - Returns: the generation as it is now.
    /// - Throws: ``LakeError/generation(_:)`` where it is in another state; what `edit` throws.
    @discardableResult
    package func update(
        _ number: Int64, expecting states: [GenerationState],
        _ edit: (inout LakeGeneration) throws(LakeError) -> Void
    ) throws(LakeError) -> LakeGeneration {
        try change { generations throws(LakeError) in
            let before = try Self.generation(number, in: generations)
            guard states.contains(before.state) else {
                let wanted = states.map(\.rawValue).joined(separator: " or ")
                throw .generation("generation \(number) is \(before.state.rawValue) in the lake, not \(wanted)")
            }
            var after = before
            try edit(&after)
            guard before.state.mayBecome(after.state), after.state != .active || before.state == .active else {
                throw .generation(
                    "generation \(number) is \(before.state.rawValue) and does not become \(after.state.rawValue)")
            }
            guard before.handovers.isEmpty || before.handovers == after.handovers else {
                throw .generation("generation \(number) was handed over before; there is one handover")
            }
            return (after, after == before ? nil : after)
        }
    }

    /// Makes `number`, which is complete, the active generation and the active one the previous; an older previous one
    /// stays fed until pruned.
    ///
    /// One entry says both, so that a crash never leaves the lake without an active generation.
    package func promote(_ number: Int64) throws(LakeError) {
        try change { generations throws(LakeError) in
            var promoted = try Self.generation(number, in: generations)
            guard promoted.state != .active else { return ((), nil) }
            guard promoted.state.isComplete else {
                throw .generation(
                    "generation \(number) is \(promoted.state.rawValue): only a complete one can be active")
            }
            promoted.state = .active
            return ((), promoted)
        }
    }

    /// Gives a generation up for good; the active one is refused. Nothing where it was given up before.
    package func prune(_ number: Int64) throws(LakeError) {
        try change { generations throws(LakeError) in
            var pruned = try Self.generation(number, in: generations)
            guard pruned.state != .active else {
                throw .generation("generation \(number) is active; promote another one first")
            }
            guard pruned.state != .pruned else { return ((), nil) }
            pruned.state = .pruned
            return ((), pruned)
        }
    }

    /// Runs `body` while nobody can change the list, if it is still as it was at the stamp.
    ///
    /// - Throws: ``LakeError/generation(_:)`` where it changed.
    func unchanged(since stamp: FileStamp?, _ body: () throws(LakeError) -> Void) throws(LakeError) {
        let lock = try heldLock()
        guard self.stamp() == stamp else {
            throw .generation("the list of generations has just changed; look at what would go once more")
        }
        try body()
        withExtendedLifetime(lock) {}
    }

    /// Runs `body` while no other process is between the steps of a change of both this list and the database; waits some
    /// time for the one that is. The list itself can be read and changed meanwhile.
    package func withSteps<Result>(_ body: () throws -> Result) throws -> Result {
        let lockPath = layout.root + "/_generations.steps.lock"
        let lock = try HeldLock(
            lockPath, secondsMax: Self.stepsSecondsMax,
            refusal: .generation(
                "\(lockPath) has been held for \(Self.stepsSecondsMax) seconds by another `medallion`; is it stuck?"))
        defer { withExtendedLifetime(lock) {} }
        return try body()
    }

    /// Longer than a statement of the database may take within.
    private static let stepsSecondsMax: Int64 = 150

    private func heldLock() throws(LakeError) -> HeldLock {
        try HeldLock(
            path + ".lock", secondsMax: Self.lockSecondsMax,
            refusal: .generation(
                "\(path).lock has been held for \(Self.lockSecondsMax) seconds; is another process stuck?"))
    }

    private func change<Result>(
        _ body: ([LakeGeneration]) throws(LakeError) -> (Result, LakeGeneration?)
    ) throws(LakeError) -> Result {
        try edit { records throws(LakeError) in
            let (result, change) = try body(try generations(records))
            return (result, change.map { [$0.json] } ?? [])
        }
    }

    /// Lets `body` see the whole log and add entries, all or none, while nobody else does.
    func edit<Result>(
        _ body: ([JSONValue]) throws(LakeError) -> (Result, [[UInt8]])
    ) throws(LakeError) -> Result {
        let lock = try heldLock()
        defer { withExtendedLifetime(lock) {} }
        var before: [UInt8]?
        if Folder.exists(path) {
            before = try LakeError.placed(path) { try File.contents(of: path, bytesMax: Self.bytesMax) }
        }
        let lines = try RecordLines(before ?? [], path: path)
        let (result, entries) = try body(lines.records)
        if !entries.isEmpty {
            try replace(before, with: Array((before ?? []).prefix(lines.end)) + entries.flatMap { LogLine.encode($0) })
        } else if before != nil {
            // What is there may be the work of a process that was killed before its name was durable.
            try LakeError.placed(path) { try syncNames() }
        }
        return result
    }

    /// Puts a new list in the old one's place, or leaves the old one.
    private func replace(_ before: [UInt8]?, with after: [UInt8]) throws(LakeError) {
        try LakeError.placed(path) {
            _ = try RecordLog.replace(path, with: after)
            do {
                try syncNames()
            } catch {
                // Whether the new list will be there after a crash is unknown, so the old one takes its place again.
                do {
                    if let before {
                        _ = try RecordLog.replace(path, with: before)
                    } else {
                        try Folder.remove(path)
                    }
                    try syncNames()
                } catch let second {
                    throw LakeError.generation(
                        "\(error); whether the change of \(path) is on the disk is unknown, since taking it back failed, "
                            + "too (\(second)): look at `medallion generations` when the disk is well again")
                }
                throw error
            }
        }
    }

    private func syncNames() throws(FileError) {
        let folder = Folder.parent(of: path)
        try Folder.syncNames(from: folder, upTo: Folder.parent(of: folder))
    }

    private static func generation(
        _ number: Int64, in generations: [LakeGeneration]
    ) throws(LakeError) -> LakeGeneration {
        guard let known = generations.first(where: { $0.number == number }) else {
            throw .generation("the lake has no generation \(number); `medallion generations` lists them")
        }
        return known
    }

    func generations(_ records: [JSONValue]) throws(LakeError) -> [LakeGeneration] {
        var generations: [Int64: LakeGeneration] = [:]
        for record in records where !TopicSize.isOne(record) {
            guard let generation = LakeGeneration(record) else {
                throw .damaged(
                    path: path, reason: "an entry lacks a field, or has a value that this version does not know")
            }
            // There is one active generation: the last that became it.
            if generation.state == .active {
                for number in generations.keys where generations[number]?.state == .active {
                    generations[number]?.state = .previous
                }
            }
            generations[generation.number] = generation
        }
        return generations.values.sorted { $0.number < $1.number }
    }
}

extension LakeLayout {
    private static let generationPrefix = "generation="

    /// The numbers of generations that have a folder anywhere.
    func generationFolders() throws(LakeError) -> [Int64] {
        var numbers: Set<Int64> = []
        for folder in ["_commits"] + Layer.derived.map(\.rawValue) {
            let path = root + "/" + folder
            guard Folder.exists(path) else { continue }
            do throws(FileError) {
                for name in try Folder.list(path) where name.hasPrefix(Self.generationPrefix) {
                    if let number = Int64(name.dropFirst(Self.generationPrefix.count)) { numbers.insert(number) }
                }
            } catch {
                throw .file(error)
            }
        }
        return numbers.sorted()
    }

    /// Something that a generation must have made, in words; nil in a new lake.
    func traceOfGenerations() throws(LakeError) -> String? {
        for source in try LakeReader(layout: self).sources() {
            // One that a start made before it found no generation has no entries.
            let size = try LakeError.placed(commitLog(source)) { try File(commitLog(source), .read).size() }
            if size > 0 { return "a commit log of \(source)" }
        }
        return try generationFolders().first.map { "a folder of generation \($0)" }
    }
}
