import Files
import Lake
import Records
import Store
import Synchronization

@testable import Replay

/// What becomes of one step of a process: it may be killed at any change that it makes, or one change may fail.
final class Fate: FileWitness {
    enum Plan: Sendable, Equatable {
        case none
        /// Killed before the change of this number, or right behind it where the database made it: from then on nothing
        /// that the process tries has an effect.
        case dies(at: Int)
        /// The change of this number fails, and the process goes on.
        case fails(at: Int)
    }

    private let plan: Plan
    private let state = Mutex(State())

    private struct State {
        var count = 0
        var isDead = false
    }

    init(_ plan: Plan) { self.plan = plan }

    var isDead: Bool { state.withLock { $0.isDead } }
    /// Changes so far.
    var count: Int { state.withLock { $0.count } }

    private enum Turn { case goesOn, fails, isDead }

    private func turn() -> Turn {
        state.withLock { state in
            defer { state.count += 1 }
            if state.isDead { return .isDead }
            switch plan {
            case .none: return .goesOn
            case .dies(let place):
                state.isDead = state.count == place
                return state.isDead ? .isDead : .goesOn
            case .fails(let place): return state.count == place ? .fails : .goesOn
            }
        }
    }

    func willMake(_ change: FileChange) throws(FileError) {
        switch turn() {
        case .goesOn: return
        case .fails: throw FileError("injected fault in", "\(change)", code: 5)
        case .isDead: throw FileError("killed", "\(change)", code: 5)
        }
    }

    /// A call of the database that changes something.
    func call<Result>(_ body: () throws(IndexError) -> Result) throws(IndexError) -> Result {
        try pass()
        let result = try body()
        // The change was made, but the process may not live to know.
        try pass()
        return result
    }

    private func pass() throws(IndexError) {
        switch turn() {
        case .goesOn: return
        case .fails: throw IndexError(.database, "injected fault")
        case .isDead: throw IndexError(.database, "killed")
        }
    }
}

/// The real database, as a process with a fate sees it.
struct FatedDatabase: GenerationDatabase {
    let store: GenerationStore
    let fate: Fate

    func create(
        parent: Int64, logicVersion: String, note: String, atLeast: Int64, vectors: VectorKind?,
        timeoutMilliseconds: Int
    ) throws(IndexError) -> Int64 {
        try fate.call { () throws(IndexError) in
            try store.create(
                parent: parent, logicVersion: logicVersion, note: note, atLeast: atLeast, vectors: vectors,
                timeoutMilliseconds: timeoutMilliseconds)
        }
    }

    func finish(generation: Int64, handover: [TopicPartition: Int64], timeoutMilliseconds: Int) throws(IndexError) {
        try fate.call { () throws(IndexError) in
            try store.finish(generation: generation, handover: handover, timeoutMilliseconds: timeoutMilliseconds)
        }
    }

    func setState(
        _ state: GenerationState, of generation: Int64, expecting expected: [GenerationState], timeoutMilliseconds: Int
    ) throws(IndexError) {
        try fate.call { () throws(IndexError) in
            try store.setState(
                state, of: generation, expecting: expected, timeoutMilliseconds: timeoutMilliseconds)
        }
    }

    @discardableResult
    func promote(_ generation: Int64, timeoutMilliseconds: Int) throws(IndexError) -> Int64 {
        try fate.call { () throws(IndexError) in
            try store.promote(generation, timeoutMilliseconds: timeoutMilliseconds)
        }
    }

    func states(timeoutMilliseconds: Int) throws(IndexError) -> [Int64: GenerationState] {
        try fate.call { () throws(IndexError) in try store.states(timeoutMilliseconds: timeoutMilliseconds) }
    }

    func logicVersions(timeoutMilliseconds: Int) throws(IndexError) -> [Int64: String] {
        try store.logicVersions(timeoutMilliseconds: timeoutMilliseconds)
    }
}
