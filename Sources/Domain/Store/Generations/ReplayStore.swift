package import Postgres
package import Records

/// What part of the topics a replay was asked for; all nil: everything.
package struct ReplayBounds: Sendable, Equatable {
    /// Broker times in milliseconds since 1970, from this one on.
    package var sinceMilliseconds: Int64?
    /// Broker times before this one.
    package var untilMilliseconds: Int64?
    /// The one topic partition that ``offsets`` are of.
    package var partition: Int32?
    /// Of that topic partition.
    package var offsets: OffsetRange?

    package init() {}
}

/// What is asked of a replay while it runs.
package struct ReplayWish: Sendable, Equatable {
    /// Whether it stands still.
    package var isPaused: Bool
    /// Records a second; 0 for any number.
    package var rate: Int

    package init(isPaused: Bool = false, rate: Int = 0) {
        self.isPaused = isPaused
        self.rate = rate
    }
}

/// How far a replay is.
package struct ReplayFigures: Sendable, Equatable {
    /// Source offsets that it is to go through, and those that are in lake and index; besides, documents that get vectors of another
    /// model.
    package var wanted: Int64 = 0
    package var done: Int64 = 0
    /// Documents against the parent, of what is done.
    package var added: Int64 = 0
    package var changed: Int64 = 0
    package var removed: Int64 = 0
    package var unchanged: Int64 = 0
    /// Texts that were embedded.
    package var embedded: Int64 = 0
    /// Documents taken over from the parent.
    package var inherited: Int64 = 0

    package init() {}
}

/// A replay as the database keeps it, whether a process runs it or not.
package struct KeptReplay: Sendable, Equatable {
    /// What has become of a replay.
    package enum State: String, Sendable, CaseIterable {
        /// It runs, or was cut short: see ``KeptReplay/isInterrupted``.
        case running
        case done
        case failed
    }

    /// That it makes.
    package var generation: Int64
    /// That are replayed.
    package var topics: [String]
    package var bounds: ReplayBounds
    package var state: State
    /// What it does, in a word.
    package var phase: String
    package var wish: ReplayWish
    package var figures: ReplayFigures
    /// Why it failed.
    package var error: String
    /// Of the key that began it; empty for a command.
    package var keyID: String
    /// Milliseconds since 1970.
    package var startedAtMilliseconds: Int64
    /// How long ago the process that runs it last said so, by the database's clock, which also noted when.
    package var silenceMilliseconds: Int64
    /// Whose vectors it makes; empty: of its parent's model.
    package var model: String

    /// A process that runs a replay says so each second, and waits ``beatMillisecondsMax`` for the database to hear it. It may
    /// go unheard twice.
    package static let silenceMillisecondsMax: Int64 = 15_000
    /// How long it may take to say so once.
    package static let beatMillisecondsMax = 5_000

    /// Whether the process that ran it has gone.
    package var isInterrupted: Bool { state == .running && silenceMilliseconds > Self.silenceMillisecondsMax }
}

/// Keeps replays beside their generations. Confined to one thread, and blocking, as its connection is.
package final class ReplayStore {
    private let connection: LazyConnection
    /// Replays that are listed at most, the newest ones.
    package static let listedMax: Int64 = 100

    /// - Parameter configuration: of a migrated database.
    package init(configuration: PostgresConfiguration) {
        connection = LazyConnection(configuration)
    }

    /// Notes a replay that begins.
    ///
    /// - Parameter model: whose vectors it makes; empty: of its parent's.
    package func begin(
        generation: Int64, topics: [String], bounds: ReplayBounds, model: String = "", wish: ReplayWish, keyID: String,
        timeoutMilliseconds: Int
    ) throws(IndexError) {
        let statement = BeginReplay(
            generation: generation, topics: topics, model: model, bounds: bounds, wish: wish, keyID: keyID)
        _ = try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Notes how far it is, that a process runs it, and, where given, what is in the index: all or nothing.
    ///
    /// - Returns: what is asked of it; nil where there is no such replay.
    package func note(
        _ figures: ReplayFigures, phase: String, of generation: Int64,
        position: (source: TopicPartition, nextOffset: Int64)? = nil, timeoutMilliseconds: Int
    ) throws(IndexError) -> ReplayWish? {
        var batch = PostgresBatch()
        let slot = batch.add(NoteReplay(generation: generation, phase: phase, figures: figures))
        if let position {
            batch.add(
                PlaceReplay(generation: generation, source: position.source, nextOffset: position.nextOffset))
        }
        return try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) {
            results throws(PostgresError) in try results.rows(slot).first
        }
    }

    /// Notes that a process runs it.
    ///
    /// - Returns: what is asked of it; nil where there is no such replay.
    package func touch(
        _ generation: Int64, phase: String, timeoutMilliseconds: Int
    ) throws(IndexError) -> ReplayWish? {
        try connection.run(
            TouchReplay(generation: generation, phase: phase), timeoutMilliseconds: timeoutMilliseconds
        ).first
    }

    /// Notes that a process has resumed a replay that is not done.
    ///
    /// - Returns: false where it is done, or not known.
    package func resume(
        _ generation: Int64, wish: ReplayWish, timeoutMilliseconds: Int
    ) throws(IndexError) -> Bool {
        try !connection.run(
            ResumeReplay(generation: generation, wish: wish), timeoutMilliseconds: timeoutMilliseconds
        ).isEmpty
    }

    /// Asks a replay that runs, or was interrupted, to pause, to go on, or to go at another rate.
    ///
    /// - Returns: false where none such runs.
    package func wish(
        isPaused: Bool?, rate: Int?, of generation: Int64, timeoutMilliseconds: Int
    ) throws(IndexError) -> Bool {
        try !connection.run(
            WishReplay(generation: generation, isPaused: isPaused, rate: rate),
            timeoutMilliseconds: timeoutMilliseconds
        ).isEmpty
    }

    /// Notes how it ended; one that is over stays as it is.
    package func end(
        _ generation: Int64, _ state: KeptReplay.State, error: String, timeoutMilliseconds: Int
    ) throws(IndexError) {
        _ = try connection.run(
            EndReplay(generation: generation, state: state, error: error), timeoutMilliseconds: timeoutMilliseconds)
    }

    /// The newest replays, the last one first.
    package func list(timeoutMilliseconds: Int) throws(IndexError) -> [KeptReplay] {
        try connection.run(
            ListReplays(generation: nil, limit: Self.listedMax), timeoutMilliseconds: timeoutMilliseconds)
    }

    /// One of them; nil where it is not known.
    package func read(_ generation: Int64, timeoutMilliseconds: Int) throws(IndexError) -> KeptReplay? {
        try connection.run(
            ListReplays(generation: generation, limit: 1), timeoutMilliseconds: timeoutMilliseconds
        ).first
    }

    /// The next source offsets that are to go into the index.
    package func positions(
        of generation: Int64, timeoutMilliseconds: Int
    ) throws(IndexError) -> [TopicPartition: Int64] {
        let rows = try connection.run(
            ReadReplayPositions(generation: generation), timeoutMilliseconds: timeoutMilliseconds)
        return Dictionary(rows.map { ($0.source, $0.nextOffset) }) { _, last in last }
    }
}
