import Files
package import Lake
package import Records
package import Store

/// What the database knows of generations, as far as it changes together with the lake's list.
package protocol GenerationDatabase {
    /// Makes a generation, in state `created`, whose vectors are as its parent's where nothing else is said; returns its number.
    func create(
        parent: Int64, logicVersion: String, note: String, atLeast: Int64, vectors: VectorKind?,
        timeoutMilliseconds: Int
    ) throws(IndexError) -> Int64
    /// Makes a created generation a candidate, and begins its checkpoints.
    func finish(generation: Int64, handover: [TopicPartition: Int64], timeoutMilliseconds: Int) throws(IndexError)
    /// Changes a state that is one of those expected.
    func setState(
        _ state: GenerationState, of generation: Int64, expecting expected: [GenerationState], timeoutMilliseconds: Int
    ) throws(IndexError)
    /// Makes a complete generation the active one, and the active one the previous.
    @discardableResult
    func promote(_ generation: Int64, timeoutMilliseconds: Int) throws(IndexError) -> Int64
    /// The states of all generations.
    func states(timeoutMilliseconds: Int) throws(IndexError) -> [Int64: GenerationState]
    /// The fingerprints of the logics that make them; empty where none was noted.
    func logicVersions(timeoutMilliseconds: Int) throws(IndexError) -> [Int64: String]
}

extension GenerationStore: GenerationDatabase {
    /// See ``GenerationDatabase``. Counts what they hold besides, so it is asked only where something differs.
    package func logicVersions(timeoutMilliseconds: Int) throws(IndexError) -> [Int64: String] {
        let summaries = try list(timeoutMilliseconds: timeoutMilliseconds)
        return Dictionary(summaries.map { ($0.generation, $0.logicVersion) }) { _, last in last }
    }
}

/// The changes of generations, each of which is two steps: the database's, then that of the lake's list.
///
/// The database leads: it compares and sets in a transaction, and decides what is served. The list follows by a
/// compare-and-set of its own. A lock lets one process be between the two. One that is killed there leaves the list a step
/// behind, and whoever takes the lock next brings it after the database before it does anything else; so does every start
/// of a role that has both (``heal()``):
///
/// | the list says | the database says | then |
/// | --- | --- | --- |
/// | `created` | `candidate` or later | the replay was done: the list says `candidate` |
/// | `candidate`, `previous` | `active` | the promotion was done: the list says `active`, and of the other one `previous` |
/// | not `pruned` | `pruned` | it was given up: the list says so |
/// | `pruned` | `created`, `candidate`, `previous` | the same in the database: what is given up stays so |
/// | nothing | `created` | the replay never began: the next one gives it up in the database |
/// | `candidate` | `previous`, or the reverse | a database of before, which could not tell: the list's word holds |
///
/// Anything else, such as an index that was made anew, is reported and left to an operator. So is everything where list and
/// database do not look like one another's (``estrangement(_:_:)``): somebody may have started a lake of another place
/// beside this database. Blocking, and confined to one thread as the database's connection is.
package struct GenerationSteps {
    private let log: GenerationLog
    private let database: any GenerationDatabase
    /// Limit of one statement of the database.
    private static let statementMilliseconds = 60_000

    package init(log: GenerationLog, database: any GenerationDatabase) {
        self.log = log
        self.database = database
    }

    // MARK: - A replay's life

    /// Makes a child of the active generation.
    ///
    /// - Parameters:
    ///   - vectors: what the child's vectors are to be; nil: as the active generation's.
    ///   - logic: the child's, of the active generation.
    package func create(
        note: String, vectors: VectorKind? = nil, logic: (LakeGeneration) throws -> GenerationLogic
    ) throws -> LakeGeneration {
        try healedSteps(isMaking: true) {
            guard let active = try log.active() else { throw ReplayError.noGeneration(log.path) }
            let logic = try logic(active)
            let number = try database.create(
                parent: active.number, logicVersion: logic.logicVersion, note: note, atLeast: try log.nextNumber(),
                vectors: vectors, timeoutMilliseconds: Self.statementMilliseconds)
            do {
                return try log.createChild(of: active.number, number: number, logic: logic)
            } catch {
                // Whether this succeeds or not: what the list does not know is given up by the next step of anybody.
                try? database.setState(
                    .pruned, of: number, expecting: [.created], timeoutMilliseconds: Self.statementMilliseconds)
                throw error
            }
        }
    }

    /// Records what a replay writes, and from where on the stream job does.
    package func record(
        _ number: Int64, replayed: [TopicPartition: OffsetRange], handovers: [TopicPartition: Int64]
    ) throws {
        try log.update(number, expecting: [.created]) { generation in
            generation.replayed = replayed
            generation.handovers = handovers
        }
    }

    /// Declares a replay done: the generation is complete, and may be promoted.
    ///
    /// - Throws: where it was pruned meanwhile; then it stays so.
    package func finish(_ number: Int64) throws {
        try healedSteps {
            let known = try generation(number)
            guard known.state == .created else { throw ReplayError.notBeingMade(number, known.state) }
            try database.finish(
                generation: number, handover: known.handovers, timeoutMilliseconds: Self.statementMilliseconds)
            do {
                try log.update(number, expecting: [.created]) { $0.state = .candidate }
            } catch {
                // It failed, so it has not happened: the caller gives it up.
                try? database.setState(
                    .pruned, of: number, expecting: [.candidate], timeoutMilliseconds: Self.statementMilliseconds)
                throw error
            }
        }
    }

    /// Gives up what a replay could not finish. One that is complete by now, or pruned, stays as it is.
    ///
    /// The list's step is made also where the database does not answer, as may be why the replay failed.
    package func giveUp(_ number: Int64) throws {
        try log.withSteps {
            var failure: (any Error)?
            do {
                try database.setState(
                    .pruned, of: number, expecting: [.created, .pruned],
                    timeoutMilliseconds: Self.statementMilliseconds)
            } catch {
                failure = error
            }
            try log.update(number, expecting: [.created, .pruned]) { $0.state = .pruned }
            if let failure { throw failure }
        }
    }

    // MARK: - An operator's steps

    /// Makes a complete generation the active one.
    package func promote(_ number: Int64) throws {
        try healedSteps {
            let known = try generation(number)
            guard known.state.isComplete else { throw ReplayError.notComplete(number, known.state) }
            try database.promote(number, timeoutMilliseconds: Self.statementMilliseconds)
            do {
                try log.promote(number)
            } catch {
                throw ReplayError(
                    "the index serves generation \(number) now, but the lake's list does not say so yet (\(error)); "
                        + "`medallion promote \(number)` or the next start of a role makes it")
            }
        }
    }

    /// Gives up what a replay makes, or was cut short at. One that is given up already stays so.
    ///
    /// - Throws: ``ReplayError`` where it is complete: then it is a generation as any other.
    package func endReplay(_ number: Int64) throws {
        try healedSteps {
            let known = try generation(number)
            guard known.state != .pruned else { return }
            guard known.state == .created else { throw ReplayError.notBeingMade(number, known.state) }
            try database.setState(
                .pruned, of: number, expecting: [.created], timeoutMilliseconds: Self.statementMilliseconds)
            try log.update(number, expecting: [.created]) { $0.state = .pruned }
        }
    }

    /// Gives a generation up that is not active. A replay that makes it notices at its next step, and ends.
    package func prune(_ number: Int64) throws {
        try healedSteps {
            let known = try generation(number)
            let inIndex = try database.states(timeoutMilliseconds: Self.statementMilliseconds)[number]
            guard known.state != .active, inIndex != .active else {
                throw ReplayError("generation \(number) is active; promote another one first")
            }
            // An index that was made anew does not know it.
            if let inIndex, inIndex != .pruned {
                try database.setState(
                    .pruned, of: number, expecting: [.created, .candidate, .previous],
                    timeoutMilliseconds: Self.statementMilliseconds)
            }
            do {
                try log.prune(number)
            } catch {
                throw ReplayError(
                    "generation \(number) is given up in the index, but the lake's list does not say so yet (\(error)); "
                        + "the same command makes it")
            }
        }
    }

    // MARK: - After a kill

    /// Brings list and database together where a process was killed between its two steps.
    ///
    /// - Returns: a sentence about each difference that remains.
    @discardableResult
    package func heal() throws -> [String] {
        // Most starts find nothing, and need no lock. A lake that is not here, or has no generation yet, says nothing
        // about the database.
        guard try !differences().isEmpty else { return [] }
        return try log.withSteps { try bringTogether(isMaking: false) }
    }

    /// As ``heal()``, and gives up what the list does not know, as a replay's first step does.
    func healBeforeMaking() throws -> [String] {
        try log.withSteps { try bringTogether(isMaking: true) }
    }

    private func healedSteps<Result>(isMaking: Bool = false, _ body: () throws -> Result) throws -> Result {
        try log.withSteps {
            if try !log.read().isEmpty { try bringTogether(isMaking: isMaking) }
            return try body()
        }
    }

    /// - Parameter isMaking: whether a replay is about to begin in this lake. Only then is something given up that the list
    ///   does not know: at a start it may be the replay of another lake, which runs.
    @discardableResult
    private func bringTogether(isMaking: Bool) throws -> [String] {
        let states = try database.states(timeoutMilliseconds: Self.statementMilliseconds)
        let before = try log.read()
        let found = Self.differences(before, states)
        guard !found.isEmpty else { return [] }
        if let reason = try estrangement(before, states) { return found + [reason] }
        for known in before {
            guard let state = states[known.number], state != known.state else { continue }
            if known.state == .pruned, [.created, .candidate, .previous].contains(state) {
                try setInIndex(.pruned, known.number, from: state)
            } else if state == .pruned, known.state != .active {
                try log.prune(known.number)
            } else if known.state == .created, state.isComplete {
                try log.update(known.number, expecting: [.created]) { $0.state = .candidate }
            }
        }
        try followPromotion(states)
        let lake = try log.read()
        for known in lake where [.candidate, .previous].contains(known.state) {
            guard let state = states[known.number], state != known.state, [.candidate, .previous].contains(state) else {
                continue
            }
            try setInIndex(known.state, known.number, from: state)
        }
        for (number, state) in states
        where isMaking && state == .created && !lake.contains(where: { $0.number == number }) {
            try setInIndex(.pruned, number, from: state)
        }
        return try differences()
    }

    /// Why list and database do not look like one another's, with what to do; nil where they do.
    ///
    /// They do where what both know was made by the same logic, neither lacks what the other holds, and the active
    /// generation is the same or a promotion was cut in two. A number that only the list gives up, or only the database is
    /// making, says nothing.
    private func estrangement(
        _ lake: [LakeGeneration], _ states: [Int64: GenerationState]
    ) throws -> String? {
        guard let reason = try difference(of: lake, from: states) else { return nil }
        return "the lake \(Folder.parent(of: log.path)) and the index do not look like one another's (\(reason)), so "
            + "neither was changed: check LAKE_DIR and POSTGRES_DSN; where both are right, `medallion promote` says "
            + "which generation is to be active"
    }

    private func difference(of lake: [LakeGeneration], from states: [Int64: GenerationState]) throws -> String? {
        let list = Dictionary(lake.map { ($0.number, $0.state) }) { _, last in last }
        for (number, state) in list.sorted(by: { $0.key < $1.key }) where state != .pruned && states[number] == nil {
            return "the index has no generation \(number)"
        }
        for (number, state) in states.sorted(by: { $0.key < $1.key }) where state.isComplete && list[number] == nil {
            return "the lake has no generation \(number)"
        }
        guard let served = states.first(where: { $0.value == .active })?.key else {
            return "no generation of the index is active"
        }
        if let active = list.first(where: { $0.value == .active })?.key, active != served {
            let isCutPromotion = list[served] != .pruned && states[active]?.isComplete == true
            if !isCutPromotion { return "\(active) is active in the lake, \(served) in the index" }
        } else if list[served] == .pruned {
            return "\(served) is pruned in the lake and active in the index"
        }
        let versions = try database.logicVersions(timeoutMilliseconds: Self.statementMilliseconds)
        for known in lake {
            // The first generation's row is made before anybody knows its logic, and none is changed when a topic is added.
            let logic = known.logicVersion
            guard let version = versions[known.number], !version.isEmpty, version != logic,
                try !log.logicVersions(of: known.number).contains(version)
            else { continue }
            return "generation \(known.number) is of logic \(logic) in the lake and of \(version) in the index"
        }
        return nil
    }

    /// The list says of the generation that is served that it is, if that is a promotion that was cut short. Where the index
    /// does not know the one that the list says is active, it was made anew: then an operator decides.
    private func followPromotion(_ states: [Int64: GenerationState]) throws {
        let lake = try log.read()
        guard let served = states.first(where: { $0.value == .active })?.key,
            let known = lake.first(where: { $0.number == served }), [.candidate, .previous].contains(known.state)
        else { return }
        let active = lake.first { $0.state == .active }
        guard active.map({ states[$0.number] != nil }) ?? true else { return }
        try log.promote(served)
    }

    private func setInIndex(_ state: GenerationState, _ number: Int64, from before: GenerationState) throws {
        try database.setState(
            state, of: number, expecting: [before], timeoutMilliseconds: Self.statementMilliseconds)
    }

    /// What list and database say differently, one sentence each.
    package func differences() throws -> [String] {
        let states = try database.states(timeoutMilliseconds: Self.statementMilliseconds)
        return Self.differences(try log.read(), states)
    }

    private static func differences(_ lake: [LakeGeneration], _ states: [Int64: GenerationState]) -> [String] {
        guard !lake.isEmpty else { return [] }
        var sentences: [String] = []
        for known in lake where states[known.number] != known.state {
            guard let state = states[known.number] else {
                if known.state != .pruned {
                    sentences.append(
                        "generation \(known.number) is \(known.state.rawValue) in the lake and not in the index")
                }
                continue
            }
            sentences.append(
                "generation \(known.number) is \(known.state.rawValue) in the lake and \(state.rawValue) in the index")
        }
        for (number, state) in states.sorted(by: { $0.key < $1.key })
        where state != .pruned && !lake.contains(where: { $0.number == number }) {
            sentences.append("generation \(number) is \(state.rawValue) in the index and not in the lake")
        }
        return sentences
    }

    private func generation(_ number: Int64) throws -> LakeGeneration {
        guard let known = try log.read().first(where: { $0.number == number }) else {
            throw ReplayError("the lake has no generation \(number); `medallion generations` lists them")
        }
        return known
    }
}

/// Notices that a generation is not being made any more, while a replay makes it.
struct GenerationWatch {
    private let log: GenerationLog
    private let number: Int64
    private var stamp: FileStamp?

    init(log: GenerationLog, number: Int64) {
        self.log = log
        self.number = number
    }

    /// Cheap while the list does not change.
    ///
    /// - Throws: ``ReplayError`` where the generation was pruned or finished by somebody else.
    mutating func check() throws {
        let now = log.stamp()
        guard now == nil || now != stamp else { return }
        let state = try log.read().first { $0.number == number }?.state
        guard state == .created else { throw ReplayError.notBeingMade(number, state) }
        stamp = now
    }
}
