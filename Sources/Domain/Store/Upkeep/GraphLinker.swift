import Bytes
package import Postgres

/// Vectors that are not in their graph yet.
package struct WaitingVectors: Sendable, Equatable {
    package var count: Int64 = 0
    /// Since when the oldest of them has been shown, in milliseconds since 1970; nil where none waits, or nothing shows it.
    package var oldestShownAtMilliseconds: Int64?
}

/// Links vectors into their graphs behind the write, the oldest first, in transactions of a bounded time.
///
/// A write puts a new vector into a partition beside that of the graph, which takes a twentieth of the time; searches compare all that
/// are there with the query. A step moves some on, in a transaction that holds no lock which a write or a search waits for; several
/// processes may do so at once, each passes over what another one has in hand. Confined to one thread, and blocking.
package final class GraphLinker {
    private let connection: LazyConnection
    /// Where some waited at the last count, the oldest first, and the greatest number that was linked of each: rows in front of it are
    /// dead, and would be walked over again and again.
    private var places: [Place] = []
    private var cursors: [Place: Int64] = [:]
    private var rows: Int32 = rowsMin
    /// How many wait, by what was counted and what was announced since; nil where that is not known.
    private var expected: Int64?
    private var countedAt: Int64 = 0
    /// How many were announced since the last count, and how many may be: what others bring meanwhile is not known.
    private var announced: Int64 = 0
    private var announcedMax: Int64 = 0
    private var vacuumsFrom: Int64 = 0

    struct Place: Hashable {
        let model: Int32
        let tenant: Int32
    }

    /// What linking a vector takes, by the last step; nil before the first one.
    package private(set) var nanosecondsEach: Int64?

    /// How long a step is to take. What it holds up is a removal of one of its vectors, and a stop.
    static let stepNanoseconds: Int64 = 50_000_000
    static let rowsMin: Int32 = 8
    static let rowsMax: Int32 = 500
    /// Beyond so many nobody counts.
    static let countMax: Int64 = 1_000_000
    /// Of the room that was left at the last count, one writer takes this share until it counts again: as many writers fill it.
    private static let roomShare: Int64 = 8
    private static let countedNanosecondsMax: Int64 = 1_000_000_000
    /// Rows that have left until the room of their partition is given back.
    static let deadMin = 5_000
    /// How many times as long as giving room back took, it is left alone: who reads an old snapshot keeps all rows.
    private static let vacuumRestTimes: Int64 = 20

    /// - Parameter configuration: of a migrated database.
    package init(configuration: PostgresConfiguration) {
        connection = LazyConnection(configuration)
    }

    init(_ connection: LazyConnection) { self.connection = connection }

    /// Counts those that wait, which takes some milliseconds where they are many.
    package func count(timeoutMilliseconds: Int) throws(IndexError) -> WaitingVectors {
        let rows = try connection.run(CountWaitingVectors(), timeoutMilliseconds: timeoutMilliseconds)
        places = rows.sorted { $0.first < $1.first }.map(\.place)
        let found = WaitingVectors(
            count: rows.reduce(0) { $0 + $1.vectors }, oldestShownAtMilliseconds: rows.compactMap(\.oldest).min())
        expected = found.count
        countedAt = SystemClock.monotonicNanoseconds()
        announced = 0
        return found
    }

    /// One step, for those that waited at the last count; the next one is of another tenant, where others have some.
    ///
    /// - Parameter most: vectors at most.
    /// - Returns: how many were linked; 0 where none waits, or others have all of them in hand.
    package func step(most: Int64 = .max, timeoutMilliseconds: Int) throws(IndexError) -> Int64 {
        while let place = places.first {
            let started = SystemClock.monotonicNanoseconds()
            let cursor = cursors[place] ?? 0
            let statement = LinkVectors(place: place, after: cursor, rows: Int32(clamping: min(Int64(rows), most)))
            let row = try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds).first
            if let row, row.linked > 0 {
                cursors[place] = row.last
                places.append(places.removeFirst())
                learn(row.linked, in: SystemClock.monotonicNanoseconds() - started)
                return row.linked
            }
            // What a transaction that ended late brought has a smaller number.
            cursors[place] = nil
            if cursor == 0 { places.removeFirst() }
        }
        return 0
    }

    private func learn(_ linked: Int64, in nanoseconds: Int64) {
        let each = max(1, nanoseconds / linked)
        nanosecondsEach = each
        // A step that was quick by chance must not make the next one long.
        let wanted = Int32(clamping: Self.stepNanoseconds / each)
        rows = max(Self.rowsMin, min(Self.rowsMax, wanted, 2 * rows))
        if let known = expected { expected = max(0, known - linked) }
    }

    /// Links what is too much, before more comes: about as many as come, so that the bound holds however quickly is written.
    ///
    /// Others may write, too. So it counts again after a share of the room that was left, which eight writers fill, and after a second;
    /// where there is hardly any room, before each write. Beyond the bound there may then be a write of each who writes at that moment.
    ///
    /// - Parameters:
    ///   - coming: vectors of the write that follows; where these alone are more than the bound, it is theirs.
    ///   - waitingMax: how many may wait behind it. Where far more do, as after the bound was lowered, there will be fewer with each write.
    /// - Returns: how many were linked.
    @discardableResult
    package func makeRoom(for coming: Int, within waitingMax: Int, timeoutMilliseconds: Int) throws(IndexError) -> Int64
    {
        guard coming > 0 else { return 0 }
        let most = Int64(max(0, waitingMax - coming))
        var linked: Int64 = 0
        if expected ?? .max > most || announced + Int64(coming) > announcedMax
            || SystemClock.monotonicNanoseconds() - countedAt > Self.countedNanosecondsMax
        {
            let found = try count(timeoutMilliseconds: timeoutMilliseconds).count
            announcedMax = max(0, Int64(waitingMax) - found) / Self.roomShare
            let wanted = min(found - most, 2 * Int64(coming) + Int64(Self.rowsMax))
            while linked < wanted {
                let more = try step(most: wanted - linked, timeoutMilliseconds: timeoutMilliseconds)
                if more == 0 { break }
                linked += more
            }
        }
        announced += Int64(coming)
        expected = (expected ?? 0) + Int64(coming)
        return linked
    }

    /// Gives the room back of what has left, whoever linked it, where it is much: a search would walk over it.
    ///
    /// - Returns: whether it was.
    @discardableResult
    package func vacuum(timeoutMilliseconds: Int) throws(IndexError) -> Bool {
        let started = SystemClock.monotonicNanoseconds()
        guard started >= vacuumsFrom else { return false }
        let tables = try connection.run(ListSpentTables(), timeoutMilliseconds: timeoutMilliseconds)
        for table in tables {
            let connection = try connection.get(timeoutMilliseconds: timeoutMilliseconds)
            do throws(PostgresError) {
                // Another process may be at it.
                try connection.script(
                    "VACUUM (SKIP_LOCKED) \(table)", operation: "vacuum", timeoutMilliseconds: timeoutMilliseconds)
            } catch {
                throw IndexError(error)
            }
        }
        let ended = SystemClock.monotonicNanoseconds()
        vacuumsFrom = ended + Self.vacuumRestTimes * (ended - started)
        return !tables.isEmpty
    }
}

/// See `medallion_new_vectors` of the migrations.
struct CountWaitingVectors: PostgresStatement {
    struct Row {
        let place: GraphLinker.Place
        let vectors: Int64
        /// The least number.
        let first: Int64
        let oldest: Int64?
    }
    static let name = "count_waiting_vectors"
    static let sql = """
        SELECT model_id, tenant_id, vectors, first_id, oldest_shown_at FROM medallion_new_vectors(\(GraphLinker.countMax))
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            place: GraphLinker.Place(model: try row.int32(0), tenant: try row.int32(1)), vectors: try row.int64(2),
            first: try row.int64(3), oldest: try row.timestampMillisecondsOrNil(4))
    }
}

/// See `medallion_link_vectors` of the migrations.
struct LinkVectors: PostgresStatement {
    static let name = "link_vectors"
    static let sql = "SELECT linked, coalesce(last_id, 0) FROM medallion_link_vectors($1, $2, $3, $4)"
    static let parameterTypes: [PostgresType] = [.int4, .int4, .int8, .int4]
    let place: GraphLinker.Place
    let after: Int64
    let rows: Int32
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(place.model)
        parameters.append(place.tenant)
        parameters.append(after)
        parameters.append(rows)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> (linked: Int64, last: Int64) {
        (try row.int64(0), try row.int64(1))
    }
}

/// The tables where vectors wait that have many dead rows, quoted.
struct ListSpentTables: PostgresStatement {
    static let name = "list_spent_tables"
    static let sql = """
        SELECT quote_ident(c.relname) FROM models m CROSS JOIN tenants t
        JOIN pg_class c ON c.oid = to_regclass(format('vectors_%s_t%s_new', m.id, t.id))
        WHERE pg_stat_get_dead_tuples(c.oid) >= \(GraphLinker.deadMin) ORDER BY 1
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}
