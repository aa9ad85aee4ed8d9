import Postgres
import Records

/// Adds a replay.
struct BeginReplay: PostgresStatement {
    static let name = "begin_replay"
    static let sql = """
        INSERT INTO replays (generation, topics, since, until, partition, start_offset, end_offset, state, phase, is_paused,
            rate, wanted, done, key_id, started_at, changed_at, model)
        VALUES ($1, $2, $3, $4, $5::int, $6, $7, 'running', 'handover', $8,
            $9::int, 0, 0, $10, clock_timestamp(), clock_timestamp(), $11)
        """
    static let parameterTypes: [PostgresType] = [
        .int8, .text, .timestamptz, .timestamptz, .int8, .int8, .int8, .bool, .int8, .text, .text,
    ]
    let generation: Int64
    let topics: [String]
    let model: String
    let bounds: ReplayBounds
    let wish: ReplayWish
    let keyID: String
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(topics.joined(separator: ","))
        parameters.append(timestampMilliseconds: bounds.sinceMilliseconds)
        parameters.append(timestampMilliseconds: bounds.untilMilliseconds)
        parameters.append(bounds.partition.map(Int64.init))
        parameters.append(bounds.offsets?.start)
        parameters.append(bounds.offsets?.end)
        parameters.append(wish.isPaused)
        parameters.append(Int64(wish.rate))
        parameters.append(IndexText.clean(keyID))
        parameters.append(IndexText.clean(model))
    }
}

/// Notes how far a replay is, and reads what is asked of it.
struct NoteReplay: PostgresStatement {
    static let name = "note_replay"
    static let sql = """
        UPDATE replays SET phase = $2, wanted = $3, done = $4, added = $5, changed = $6, removed = $7, unchanged = $8,
            embedded = $9, inherited = $10, changed_at = clock_timestamp()
        WHERE generation = $1 RETURNING is_paused, rate::bigint
        """
    static let parameterTypes: [PostgresType] = [.int8, .text] + Array(repeating: .int8, count: 8)
    let generation: Int64
    let phase: String
    let figures: ReplayFigures
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(phase)
        for figure in [
            figures.wanted, figures.done, figures.added, figures.changed, figures.removed, figures.unchanged,
            figures.embedded, figures.inherited,
        ] {
            parameters.append(figure)
        }
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ReplayWish {
        ReplayWish(isPaused: try row.bool(0), rate: Int(clamping: try row.int64(1)))
    }
}

/// Notes that a replay is being made, and reads what is asked of it.
struct TouchReplay: PostgresStatement {
    static let name = "touch_replay"
    static let sql = """
        UPDATE replays SET phase = $2, changed_at = clock_timestamp() WHERE generation = $1
        RETURNING is_paused, rate::bigint
        """
    static let parameterTypes: [PostgresType] = [.int8, .text]
    let generation: Int64
    let phase: String
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(phase)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ReplayWish {
        ReplayWish(isPaused: try row.bool(0), rate: Int(clamping: try row.int64(1)))
    }
}

/// Notes what a replay has put into the index.
struct PlaceReplay: PostgresStatement {
    static let name = "place_replay"
    static let sql = """
        INSERT INTO replay_positions (generation, topic, partition, next_offset)
        SELECT generation, $2, $3, $4 FROM replays WHERE generation = $1
        ON CONFLICT (generation, topic, partition) DO UPDATE SET next_offset = excluded.next_offset
        """
    static let parameterTypes: [PostgresType] = [.int8, .text, .int4, .int8]
    let generation: Int64
    let source: TopicPartition
    let nextOffset: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(source.topic)
        parameters.append(source.partition)
        parameters.append(nextOffset)
    }
}

/// Asks something of a replay that is not over.
struct WishReplay: PostgresStatement {
    static let name = "wish_replay"
    static let sql = """
        UPDATE replays SET is_paused = coalesce($2, is_paused), rate = coalesce($3::int, rate)
        WHERE generation = $1 AND state = 'running' RETURNING generation
        """
    static let parameterTypes: [PostgresType] = [.int8, .bool, .int8]
    let generation: Int64
    let isPaused: Bool?
    let rate: Int?
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(isPaused)
        parameters.append(rate.map(Int64.init))
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// Notes that a replay that is not done runs again.
struct ResumeReplay: PostgresStatement {
    static let name = "resume_replay"
    static let sql = """
        UPDATE replays SET state = 'running', error = '', is_paused = $2, rate = $3::int, changed_at = clock_timestamp()
        WHERE generation = $1 AND state <> 'done' RETURNING generation
        """
    static let parameterTypes: [PostgresType] = [.int8, .bool, .int8]
    let generation: Int64
    let wish: ReplayWish
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(wish.isPaused)
        parameters.append(Int64(wish.rate))
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// Notes how a replay ended.
struct EndReplay: PostgresStatement {
    static let name = "end_replay"
    static let sql = """
        UPDATE replays SET state = $2, error = $3, changed_at = clock_timestamp() WHERE generation = $1 AND state = 'running'
        """
    static let parameterTypes: [PostgresType] = [.int8, .text, .text]
    let generation: Int64
    let state: KeptReplay.State
    let error: String
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(state.rawValue)
        parameters.append(IndexText.clean(error))
    }
}

/// Replays, the newest first.
struct ListReplays: PostgresStatement {
    static let name = "list_replays"
    static let sql = """
        SELECT generation, topics, since, until, partition::bigint, start_offset, end_offset, state, phase, is_paused,
            rate::bigint, wanted, done, added, changed, removed, unchanged, embedded, inherited, error, key_id, started_at,
            (extract(epoch FROM clock_timestamp() - changed_at) * 1000)::bigint, model
        FROM replays WHERE $1::bigint IS NULL OR generation = $1 ORDER BY generation DESC LIMIT $2
        """
    static let parameterTypes: [PostgresType] = [.int8, .int8]
    let generation: Int64?
    let limit: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(limit)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> KeptReplay {
        var bounds = ReplayBounds()
        bounds.sinceMilliseconds = try row.timestampMillisecondsOrNil(2)
        bounds.untilMilliseconds = try row.timestampMillisecondsOrNil(3)
        bounds.partition = try row.int64OrNil(4).flatMap { Int32(exactly: $0) }
        if let start = try row.int64OrNil(5), let end = try row.int64OrNil(6) {
            bounds.offsets = OffsetRange(start: start, end: end)
        }
        var figures = ReplayFigures()
        (figures.wanted, figures.done) = (try row.int64(11), try row.int64(12))
        (figures.added, figures.changed) = (try row.int64(13), try row.int64(14))
        (figures.removed, figures.unchanged) = (try row.int64(15), try row.int64(16))
        (figures.embedded, figures.inherited) = (try row.int64(17), try row.int64(18))
        return KeptReplay(
            generation: try row.int64(0), topics: try row.text(1).split(separator: ",").map(String.init),
            bounds: bounds, state: KeptReplay.State(rawValue: try row.text(7)) ?? .failed, phase: try row.text(8),
            wish: ReplayWish(isPaused: try row.bool(9), rate: Int(clamping: try row.int64(10))), figures: figures,
            error: try row.text(19), keyID: try row.text(20), startedAtMilliseconds: try row.timestampMilliseconds(21),
            silenceMilliseconds: try row.int64(22), model: try row.text(23))
    }
}

/// What a replay has put into the index.
struct ReadReplayPositions: PostgresStatement {
    static let name = "read_replay_positions"
    static let sql = "SELECT topic, partition::bigint, next_offset FROM replay_positions WHERE generation = $1"
    static let parameterTypes: [PostgresType] = [.int8]
    let generation: Int64
    func bind(into parameters: inout PostgresParameters) { parameters.append(generation) }
    static func decode(
        _ row: borrowing PostgresRow
    ) throws(PostgresError) -> (source: TopicPartition, nextOffset: Int64) {
        let partition = Int32(clamping: try row.int64(1))
        return (TopicPartition(topic: try row.text(0), partition: partition), try row.int64(2))
    }
}
