import Bytes

/// One SQL statement with typed parameters and rows; prepared once per connection, on first use.
///
/// The SQL never contains a value: what varies is bound. The name must be unique among the statements that one
/// connection sees (it is the server's name of the prepared statement).
package protocol PostgresStatement: Sendable {
    /// What one row becomes; `Void` for statements that return none.
    associatedtype Row

    static var name: String { get }
    static var sql: String { get }
    /// One per `$n`, in order.
    static var parameterTypes: [PostgresType] { get }
    /// What is sent: the type's own, unless it names tables whose names depend on a number.
    var text: StatementText { get }
    /// Appends one value per `$n`, in order.
    func bind(into parameters: inout PostgresParameters)
    /// - Throws: ``PostgresError`` of kind `decode` when a column is not of the expected type.
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row
}

/// What a statement is prepared from.
package struct StatementText: Sendable {
    /// Unique among the statements that one connection sees; other SQL has another name.
    package let name: String
    package let sql: String
    /// One per `$n`, in order.
    package let types: [PostgresType]

    package init(name: String, sql: String, types: [PostgresType]) {
        self.name = name
        self.sql = sql
        self.types = types
    }
}

extension PostgresStatement {
    package var text: StatementText { StatementText(name: Self.name, sql: Self.sql, types: Self.parameterTypes) }
}

extension PostgresStatement where Row == Void {
    /// Statements without rows have nothing to decode.
    package static func decode(_ row: borrowing PostgresRow) throws(PostgresError) {}
}

/// Parameter types by their fixed object ids (PostgreSQL's `pg_type.dat`).
package enum PostgresType: UInt32, Sendable {
    /// Decided by the server from the statement's text, as for `$1::halfvec`; extension types have no fixed id.
    case inferred = 0
    case bool = 16
    case bytea = 17
    case int8 = 20
    case int2 = 21
    case int4 = 23
    case text = 25
    case float4 = 700
    case float8 = 701
    case timestamptz = 1184
    case jsonb = 3802
    case textArray = 1009
    case int4Array = 1007
    case int8Array = 1016
    case timestamptzArray = 1185
}

/// The values of one execution, in Postgres's binary format, back to back in one buffer.
///
/// Formats: the `*send`/`*recv` functions of PostgreSQL's `src/backend/utils/adt`.
package struct PostgresParameters: Sendable {
    /// All values' bytes, after one byte that is never used: a value without bytes still needs an address, because
    /// libpq takes a null pointer for NULL.
    private(set) var bytes: [UInt8] = [0]
    /// Start of each value in `bytes`.
    private(set) var starts: [Int] = []
    /// Byte count of each value; -1 is NULL.
    private(set) var lengths: [Int32] = []

    package init() {}

    /// How many values there are.
    package var count: Int { starts.count }

    /// For `text`, which cannot hold U+0000: the server refuses such a value (SQLSTATE 22021).
    package mutating func append(_ value: String) {
        begin()
        bytes.append(contentsOf: value.utf8)
        end()
    }

    /// For `text`; nil is NULL.
    package mutating func append(_ value: String?) {
        guard let value else { return appendNull() }
        append(value)
    }

    /// For `bigint`.
    package mutating func append(_ value: Int64) {
        begin()
        appendBigEndian(UInt64(bitPattern: value))
        end()
    }

    /// For `bigint`; nil is NULL.
    package mutating func append(_ value: Int64?) {
        guard let value else { return appendNull() }
        append(value)
    }

    /// For `integer`.
    package mutating func append(_ value: Int32) {
        begin()
        appendBigEndian(UInt32(bitPattern: value))
        end()
    }

    /// For `boolean`.
    package mutating func append(_ value: Bool) {
        begin()
        bytes.append(value ? 1 : 0)
        end()
    }

    /// For `boolean`; nil is NULL.
    package mutating func append(_ value: Bool?) {
        guard let value else { return appendNull() }
        append(value)
    }

    /// For `double precision`.
    package mutating func append(_ value: Double) {
        begin()
        appendBigEndian(value.bitPattern)
        end()
    }

    /// For `bytea`.
    package mutating func append(bytea value: some Collection<UInt8>) {
        begin()
        bytes.append(contentsOf: value)
        end()
    }

    /// For `jsonb`: version 1, then the JSON text (`jsonb_recv`).
    package mutating func append(jsonb json: some Collection<UInt8>) {
        begin()
        bytes.append(1)
        bytes.append(contentsOf: json)
        end()
    }

    /// For `timestamptz`, from milliseconds since 1970 (`timestamptz_recv`: microseconds since 2000-01-01 UTC).
    /// What Postgres cannot hold (before 4713 BC, after 294276 AD) becomes the nearest infinity.
    package mutating func append(timestampMilliseconds value: Int64) {
        append(PostgresEpoch.microseconds(value))
    }

    /// For `timestamptz[]`, from milliseconds since 1970.
    package mutating func append(timestampsMilliseconds values: [Int64]) {
        appendArray(element: .timestamptz, count: values.count) { parameters in
            for value in values {
                parameters.appendBigEndian(UInt32(8))
                parameters.appendBigEndian(UInt64(bitPattern: PostgresEpoch.microseconds(value)))
            }
        }
    }

    /// For `timestamptz`; nil is NULL.
    package mutating func append(timestampMilliseconds value: Int64?) {
        guard let value else { return appendNull() }
        append(timestampMilliseconds: value)
    }

    /// For pgvector's `halfvec` (`halfvec_recv`: int16 dimensions, int16 zero, then IEEE half floats, big endian).
    package mutating func append(halfVector values: [Float]) {
        begin()
        appendBigEndian(UInt16(truncatingIfNeeded: values.count))
        appendBigEndian(UInt16(0))
        bytes.reserveCapacity(bytes.count + values.count * 2)
        for value in values { appendBigEndian(HalfFloat.bits(value)) }
        end()
    }

    /// For pgvector's `halfvec`; nil is NULL.
    package mutating func append(halfVector values: [Float]?) {
        guard let values else { return appendNull() }
        append(halfVector: values)
    }

    /// For `text[]`.
    package mutating func append(_ values: [String]) {
        appendArray(element: .text, count: values.count) { parameters in
            for value in values {
                parameters.appendBigEndian(UInt32(truncatingIfNeeded: value.utf8.count))
                parameters.bytes.append(contentsOf: value.utf8)
            }
        }
    }

    /// For `bigint[]`.
    package mutating func append(_ values: [Int64]) {
        appendArray(element: .int8, count: values.count) { parameters in
            for value in values {
                parameters.appendBigEndian(UInt32(8))
                parameters.appendBigEndian(UInt64(bitPattern: value))
            }
        }
    }

    /// For `int[]`.
    package mutating func append(_ values: [Int32]) {
        appendArray(element: .int4, count: values.count) { parameters in
            for value in values {
                parameters.appendBigEndian(UInt32(4))
                parameters.appendBigEndian(UInt32(bitPattern: value))
            }
        }
    }

    /// For any type.
    package mutating func appendNull() {
        starts.append(bytes.count)
        lengths.append(-1)
    }

    /// One-dimensional arrays (`array_recv`): dimensions, has-null flag, element type, then length and lower bound.
    private mutating func appendArray(
        element: PostgresType, count: Int, _ appendElements: (inout PostgresParameters) -> Void
    ) {
        begin()
        appendBigEndian(UInt32(count == 0 ? 0 : 1))
        appendBigEndian(UInt32(0))
        appendBigEndian(element.rawValue)
        if count > 0 {
            appendBigEndian(UInt32(truncatingIfNeeded: count))
            appendBigEndian(UInt32(1))
            appendElements(&self)
        }
        end()
    }

    private mutating func begin() {
        starts.append(bytes.count)
    }

    private mutating func end() {
        lengths.append(Int32(truncatingIfNeeded: bytes.count - (starts.last ?? 0)))
    }

    private mutating func appendBigEndian(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }
}

/// Postgres counts time from 2000-01-01T00:00:00Z.
enum PostgresEpoch {
    /// Milliseconds from 1970 to Postgres's epoch.
    static let milliseconds: Int64 = 946_684_800_000
    /// 4713-01-01 BC and 294276-12-31 AD as milliseconds around Postgres's epoch, rounded inwards.
    static let earliestMilliseconds: Int64 = -211_813_488_000_000
    static let latestMilliseconds: Int64 = 9_223_371_331_200_000

    /// Microseconds since Postgres's epoch of a time in milliseconds since 1970, or the nearest infinity.
    static func microseconds(_ milliseconds: Int64) -> Int64 {
        let (shifted, overflowed) = milliseconds.subtractingReportingOverflow(Self.milliseconds)
        if overflowed || shifted <= earliestMilliseconds { return milliseconds < 0 ? .min : .max }
        return shifted >= latestMilliseconds ? .max : shifted * 1_000
    }
}
