import Bytes
import Postgres
import PostgresTesting
import Testing

private struct EchoTypes: PostgresStatement {
    struct Row: Equatable {
        var text: String?
        var integer: Int64?
        var flag: Bool
        var time: Int64
        var real: Double
        var texts: String
        var empty: String
        var json: String
    }
    static let name = "echo_types"
    static let sql = """
        SELECT $1::text, $2::bigint, $3::boolean, $4::timestamptz, $5::double precision,
            array_to_string($6::text[], '|'), $7::text, $8::jsonb
        """
    static let parameterTypes: [PostgresType] = [.text, .int8, .bool, .timestamptz, .float8, .textArray, .text, .jsonb]
    var text: String?
    var integer: Int64?

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(text)
        parameters.append(integer)
        parameters.append(true)
        parameters.append(timestampMilliseconds: -1)
        parameters.append(0.1)
        parameters.append(["a", "", "ü'\"\\"])
        parameters.append("")
        parameters.append(jsonb: Array(#"{"a":[1]}"#.utf8))
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            text: row.isNull(0) ? nil : try row.text(0), integer: try row.int64OrNil(1), flag: try row.bool(2),
            time: try row.timestampMilliseconds(3), real: try row.double(4), texts: try row.text(5),
            empty: try row.text(6), json: String(decoding: try row.json(7), as: UTF8.self))
    }
}

private struct EchoIntegers: PostgresStatement {
    static let name = "echo_integers"
    static let sql = """
        SELECT CASE WHEN $2 > 0 THEN array_fill($1[1], ARRAY[$2, $2]) WHEN $2 < 0 THEN $1 || NULL::int ELSE $1 END
        """
    static let parameterTypes: [PostgresType] = [.int4Array, .int4]
    var integers: [Int32]
    /// Above 0 for more dimensions than one, below for a NULL.
    var shape: Int32 = 0
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(integers)
        parameters.append(shape)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> [Int32] { try row.int32s(0) }
}

private struct Divide: PostgresStatement {
    static let name = "divide"
    static let sql = "SELECT $1 / $2"
    static let parameterTypes: [PostgresType] = [.int8, .int8]
    var dividend: Int64
    var divisor: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(dividend)
        parameters.append(divisor)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

private struct Insert: PostgresStatement {
    static let name = "insert_number"
    static let sql = "INSERT INTO numbers VALUES ($1)"
    static let parameterTypes: [PostgresType] = [.int8]
    var number: Int64
    func bind(into parameters: inout PostgresParameters) { parameters.append(number) }
}

private struct Count: PostgresStatement {
    static let name = "count_numbers"
    static let sql = "SELECT count(*) FROM numbers"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

private struct Sleep: PostgresStatement {
    static let name = "sleep"
    static let sql = "SELECT pg_sleep(60)"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
}

private struct WrongType: PostgresStatement {
    static let name = "wrong_type"
    static let sql = "SELECT 'text'"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

private struct TooFewValues: PostgresStatement {
    static let name = "too_few_values"
    static let sql = "SELECT $1::bigint + $2::bigint"
    static let parameterTypes: [PostgresType] = [.int8, .int8]
    func bind(into parameters: inout PostgresParameters) { parameters.append(Int64(1)) }
}

@Suite struct PostgresConnectionTests {
    private let limit = 10_000

    @Test func valuesOfEachTypeComeBackAsTheyWere() throws {
        let connection = try SharedPostgres.connect()
        let rows = try connection.run(EchoTypes(text: "Übung 🧪", integer: .min), timeoutMilliseconds: limit)
        let expected = EchoTypes.Row(
            text: "Übung 🧪", integer: .min, flag: true, time: -1, real: 0.1, texts: "a||ü'\"\\", empty: "",
            json: #"{"a": [1]}"#)
        #expect(rows == [expected])
        let nulls = try connection.run(EchoTypes(text: nil, integer: nil), timeoutMilliseconds: limit)
        #expect(nulls.first?.text == nil)
        #expect(nulls.first?.integer == nil)
    }

    @Test func aBatchIsAllOrNothingAndTheConnectionStaysUsable() throws {
        let connection = try SharedPostgres.connect()
        try connection.script("CREATE TABLE numbers (n bigint PRIMARY KEY)", timeoutMilliseconds: limit)
        var batch = PostgresBatch()
        for number in 0..<500 { batch.add(Insert(number: Int64(number))) }
        let count = batch.add(Count())
        #expect(try connection.run(batch, timeoutMilliseconds: limit).rows(count) == [500])

        var failing = PostgresBatch()
        failing.add(Insert(number: 1_000))
        failing.add(Insert(number: 7))
        failing.add(Divide(dividend: 1, divisor: 1))
        let error = #expect(throws: PostgresError.self) { try connection.run(failing, timeoutMilliseconds: limit) }
        #expect(error?.sqlState == "23505")
        #expect(error?.operation == "insert_number")
        #expect(error?.isRetriable == false)
        #expect(connection.isUsable)
        // The statement after the failure was never prepared, and is now.
        #expect(try connection.run(Divide(dividend: 8, divisor: 2), timeoutMilliseconds: limit) == [4])
        #expect(try connection.run(Count(), timeoutMilliseconds: limit) == [500])
    }

    @Test func aTransactionRollsBackWhenItsBodyThrows() throws {
        let connection = try SharedPostgres.connect()
        try connection.script("CREATE TABLE numbers (n bigint)", timeoutMilliseconds: limit)
        #expect(throws: PostgresError.self) {
            try connection.transaction(timeoutMilliseconds: limit) {
                try connection.run(Insert(number: 1), timeoutMilliseconds: limit)
                try connection.run(Divide(dividend: 1, divisor: 0), timeoutMilliseconds: limit)
            }
        }
        #expect(try connection.run(Count(), timeoutMilliseconds: limit) == [0])
        try connection.transaction(timeoutMilliseconds: limit) {
            try connection.run(Insert(number: 1), timeoutMilliseconds: limit)
        }
        #expect(try connection.run(Count(), timeoutMilliseconds: limit) == [1])
    }

    @Test func aStatementThatTakesTooLongIsCancelledAndRetriable() throws {
        let connection = try SharedPostgres.connect()
        let error = #expect(throws: PostgresError.self) { try connection.run(Sleep(), timeoutMilliseconds: 50) }
        #expect(error?.kind == .timeout)
        #expect(error?.isRetriable == true)
        #expect(!connection.isUsable)
        let again = #expect(throws: PostgresError.self) { try connection.run(Sleep(), timeoutMilliseconds: 50) }
        #expect(again?.kind == .closed)
    }

    @Test func aSessionThatTheServerEndsIsARetriableError() throws {
        let dsn = try SharedPostgres.freshDatabase()
        let connection = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: limit)
        let other = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: limit)
        try other.script(
            "SELECT pg_terminate_backend(\(connection.backendProcessID), 5000)", timeoutMilliseconds: limit)
        let error = #expect(throws: PostgresError.self) {
            try connection.run(Divide(dividend: 1, divisor: 1), timeoutMilliseconds: limit)
        }
        #expect(error?.isRetriable == true)
        #expect(!connection.isUsable)
    }

    @Test func mistakesOfTheProgramAreErrorsNotTraps() throws {
        let connection = try SharedPostgres.connect()
        let wrong = #expect(throws: PostgresError.self) {
            try connection.run(WrongType(), timeoutMilliseconds: limit)
        }
        #expect(wrong?.kind == .decode)
        let few = #expect(throws: PostgresError.self) { try connection.run(TooFewValues(), timeoutMilliseconds: limit) }
        #expect(few?.kind == .usage)
    }

    @Test func noticesAreKept() throws {
        let connection = try SharedPostgres.connect()
        try connection.script("DO $$ BEGIN RAISE WARNING 'mind the gap'; END $$", timeoutMilliseconds: limit)
        #expect(connection.takeNotices().map(\.description) == ["WARNING 01000: mind the gap"])
        #expect(connection.takeNotices().isEmpty)
    }

    @Test func notificationsArrive() throws {
        let dsn = try SharedPostgres.freshDatabase()
        let listener = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: limit)
        try listener.listen("medallion_test", timeoutMilliseconds: limit)
        #expect(try listener.notifications(timeoutMilliseconds: 1).isEmpty)
        let other = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: limit)
        try other.script("NOTIFY medallion_test, '42'", timeoutMilliseconds: limit)
        let found = try listener.notifications(timeoutMilliseconds: limit)
        #expect(found.map(\.payload) == ["42"])
        #expect(found.first?.processID == other.backendProcessID)
    }

    @Test func errorsNeverShowThePassword() throws {
        let error = #expect(throws: PostgresError.self) {
            try PostgresConnection(
                PostgresConfiguration(dsn: "postgresql://me:s3cret@127.0.0.1:1/db"), timeoutMilliseconds: 2_000)
        }
        #expect(error?.kind == .connect)
        #expect(error?.description.contains("s3cret") == false)
        #expect(error?.description.contains("127.0.0.1:1/db") == true)
        let unreadable = #expect(throws: PostgresError.self) {
            try PostgresConnection(PostgresConfiguration(dsn: "s3cret without equals"), timeoutMilliseconds: 2_000)
        }
        #expect(unreadable?.kind == .usage)
        #expect(unreadable?.description.contains("s3cret") == false)
    }

    @Test func sessionSettingsHold() throws {
        let configuration = PostgresConfiguration(
            dsn: try SharedPostgres.freshDatabase(), sessionSettings: [("work_mem", "12MB"), ("jit", "off")])
        let connection = try PostgresConnection(configuration, timeoutMilliseconds: limit)
        #expect(try connection.script("SHOW work_mem", timeoutMilliseconds: limit) == [["12MB"]])
    }

    @Test func integersComeBackAsTheyWereSent() throws {
        let connection = try SharedPostgres.connect()
        for integers in [[], [7], [.min, -1, 0, 1, .max]] as [[Int32]] {
            #expect(try connection.run(EchoIntegers(integers: integers), timeoutMilliseconds: limit) == [integers])
        }
        for shape in [2, -1] as [Int32] {
            let error = #expect(throws: PostgresError.self) {
                try connection.run(EchoIntegers(integers: [7], shape: shape), timeoutMilliseconds: limit)
            }
            #expect(error?.kind == .decode)
        }
    }

    /// Every half converts to itself; between two neighbours the nearest is taken, ties to even.
    @Test func halfFloatsRoundToTheNearest() {
        for bits in UInt16.min..<0x7C00 {
            let value = HalfFloat.value(bits)
            #expect(HalfFloat.bits(value) == bits)
            #expect(HalfFloat.bits(-value) == bits | 0x8000)
            guard bits < 0x7BFF else { continue }
            let next = HalfFloat.value(bits + 1)
            let middle = (value + next) / 2
            #expect(HalfFloat.bits(middle) == (bits.isMultiple(of: 2) ? bits : bits + 1))
            #expect(HalfFloat.bits(middle.nextDown) == bits)
            #expect(HalfFloat.bits(middle.nextUp) == bits + 1)
        }
        #expect(HalfFloat.bits(.infinity) == 0x7C00)
        #expect(HalfFloat.bits(70_000) == 0x7C00)
        #expect(HalfFloat.value(HalfFloat.bits(.nan)).isNaN)
    }
}
