import Bytes
import CPostgres

/// One row of a result, lent to a decoder; its columns are in Postgres's binary format.
///
/// Columns count from 0. A wrong column number or type is an error, never a trap.
package struct PostgresRow: ~Copyable {
    let result: OpaquePointer
    let index: Int32
    let statement: String
    let server: String

    /// How many columns the row has.
    package var count: Int { Int(PQnfields(result)) }

    /// Also true for a column that is not there.
    package func isNull(_ column: Int) -> Bool {
        guard let number = checked(column) else { return true }
        return PQgetisnull(result, index, number) == 1
    }

    /// `text`, `varchar`, `name`; also `json`, and `jsonb` without its version byte.
    package func text(_ column: Int) throws(PostgresError) -> String {
        let buffer = try textBytes(column)
        return String(decoding: buffer, as: UTF8.self)
    }

    /// Nil for NULL; see ``text(_:)``.
    package func textOrNil(_ column: Int) throws(PostgresError) -> String? {
        if isNull(column) { return nil }
        return try text(column)
    }

    /// The bytes of a `json` or `jsonb` value's text, or of any text.
    package func json(_ column: Int) throws(PostgresError) -> [UInt8] {
        Array(try textBytes(column))
    }

    /// `int2`, `int4`, `int8`, `oid`.
    package func int64(_ column: Int) throws(PostgresError) -> Int64 {
        let buffer = try value(column)
        switch (PQftype(result, Int32(column)), buffer.count) {
        case (21, 2): return Int64(Int16(bitPattern: buffer.loadBigEndian(UInt16.self)))
        case (23, 4): return Int64(Int32(bitPattern: buffer.loadBigEndian(UInt32.self)))
        case (26, 4): return Int64(buffer.loadBigEndian(UInt32.self))
        case (20, 8): return Int64(bitPattern: buffer.loadBigEndian(UInt64.self))
        default: throw mismatch(column, expected: "an integer")
        }
    }

    /// Nil for NULL; see ``int64(_:)``.
    package func int64OrNil(_ column: Int) throws(PostgresError) -> Int64? {
        if isNull(column) { return nil }
        return try int64(column)
    }

    /// An integer that fits 32 bits.
    package func int32(_ column: Int) throws(PostgresError) -> Int32 {
        guard let narrow = Int32(exactly: try int64(column)) else {
            throw mismatch(column, expected: "a 32-bit integer")
        }
        return narrow
    }

    /// `bool`.
    package func bool(_ column: Int) throws(PostgresError) -> Bool {
        let buffer = try value(column)
        guard PQftype(result, Int32(column)) == 16, buffer.count == 1 else {
            throw mismatch(column, expected: "a bool")
        }
        return buffer[0] != 0
    }

    /// `float4`, `float8`.
    package func double(_ column: Int) throws(PostgresError) -> Double {
        let buffer = try value(column)
        switch (PQftype(result, Int32(column)), buffer.count) {
        case (700, 4): return Double(Float(bitPattern: buffer.loadBigEndian(UInt32.self)))
        case (701, 8): return Double(bitPattern: buffer.loadBigEndian(UInt64.self))
        default: throw mismatch(column, expected: "a float")
        }
    }

    /// Nil for NULL; see ``double(_:)``.
    package func doubleOrNil(_ column: Int) throws(PostgresError) -> Double? {
        if isNull(column) { return nil }
        return try double(column)
    }

    /// `timestamptz` as milliseconds since 1970, rounded down; the infinities become the ends of `Int64`.
    package func timestampMilliseconds(_ column: Int) throws(PostgresError) -> Int64 {
        let buffer = try value(column)
        guard PQftype(result, Int32(column)) == 1184, buffer.count == 8 else {
            throw mismatch(column, expected: "a timestamptz")
        }
        let microseconds = Int64(bitPattern: buffer.loadBigEndian(UInt64.self))
        if microseconds == .max || microseconds == .min { return microseconds }
        let (quotient, remainder) = microseconds.quotientAndRemainder(dividingBy: 1_000)
        return (remainder < 0 ? quotient - 1 : quotient) + PostgresEpoch.milliseconds
    }

    /// Nil for NULL; see ``timestampMilliseconds(_:)``.
    package func timestampMillisecondsOrNil(_ column: Int) throws(PostgresError) -> Int64? {
        if isNull(column) { return nil }
        return try timestampMilliseconds(column)
    }

    /// `int4[]` of one dimension without NULLs (`array_send`: dimensions, has-null flag, element type, length and lower bound, then
    /// each element with its length).
    package func int32s(_ column: Int) throws(PostgresError) -> [Int32] {
        let buffer = try value(column)
        guard PQftype(result, Int32(column)) == 1007, buffer.count >= 12 else {
            throw mismatch(column, expected: "an array of integers")
        }
        if buffer.loadBigEndian(UInt32.self) == 0 { return [] }
        guard buffer.loadBigEndian(UInt32.self) == 1, buffer.loadBigEndian(UInt32.self, at: 4) == 0, buffer.count >= 20,
            buffer.count == 20 + 8 * Int(buffer.loadBigEndian(UInt32.self, at: 12))
        else { throw mismatch(column, expected: "a flat array without NULLs") }
        return stride(from: 24, to: buffer.count, by: 8).map {
            Int32(bitPattern: buffer.loadBigEndian(UInt32.self, at: $0))
        }
    }

    /// The same of `int8[]`.
    package func int64s(_ column: Int) throws(PostgresError) -> [Int64] {
        let buffer = try value(column)
        guard PQftype(result, Int32(column)) == 1016, buffer.count >= 12 else {
            throw mismatch(column, expected: "an array of large integers")
        }
        if buffer.loadBigEndian(UInt32.self) == 0 { return [] }
        guard buffer.loadBigEndian(UInt32.self) == 1, buffer.loadBigEndian(UInt32.self, at: 4) == 0, buffer.count >= 20,
            buffer.count == 20 + 12 * Int(buffer.loadBigEndian(UInt32.self, at: 12))
        else { throw mismatch(column, expected: "a flat array without NULLs") }
        return stride(from: 24, to: buffer.count, by: 12).map {
            Int64(bitPattern: buffer.loadBigEndian(UInt64.self, at: $0))
        }
    }

    /// pgvector's `halfvec`.
    package func halfVector(_ column: Int) throws(PostgresError) -> [Float] {
        let buffer = try value(column)
        guard buffer.count >= 4 else { throw mismatch(column, expected: "a halfvec") }
        let dimensions = Int(buffer.loadBigEndian(UInt16.self))
        guard buffer.count == 4 + 2 * dimensions else { throw mismatch(column, expected: "a halfvec") }
        return (0..<dimensions).map { position in
            HalfFloat.value(buffer.loadBigEndian(UInt16.self, at: 4 + 2 * position))
        }
    }

    /// The column's bytes as the server sent them, lent for the time of the call; nil for NULL.
    package func withBytes<R>(_ column: Int, _ body: (UnsafeRawBufferPointer?) throws -> R) rethrows -> R {
        guard let number = checked(column), PQgetisnull(result, index, number) == 0 else { return try body(nil) }
        return try body(raw(number))
    }

    private func textBytes(_ column: Int) throws(PostgresError) -> UnsafeRawBufferPointer {
        let buffer = try value(column)
        switch PQftype(result, Int32(column)) {
        case 25, 1043, 19, 114, 18, 705, 1042: return buffer
        case 3802:
            guard buffer.first == 1 else { throw mismatch(column, expected: "jsonb of version 1") }
            return UnsafeRawBufferPointer(rebasing: buffer.dropFirst())
        default: throw mismatch(column, expected: "text")
        }
    }

    private func value(_ column: Int) throws(PostgresError) -> UnsafeRawBufferPointer {
        guard let number = checked(column) else { throw mismatch(column, expected: "a column") }
        guard PQgetisnull(result, index, number) == 0 else { throw mismatch(column, expected: "a value, not NULL") }
        return raw(number)
    }

    private func raw(_ column: Int32) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: PQgetvalue(result, index, column), count: Int(PQgetlength(result, index, column)))
    }

    private func checked(_ column: Int) -> Int32? {
        column >= 0 && column < Int(PQnfields(result)) ? Int32(column) : nil
    }

    private func mismatch(_ column: Int, expected: String) -> PostgresError {
        PostgresError(
            kind: .decode, operation: statement, server: server,
            message: "column \(column) of row \(index) is not \(expected)",
            hint: "the schema differs from what this program expects; run `medallion migrate`")
    }
}

extension UnsafeRawBufferPointer {
    /// The caller has checked that the bytes are there.
    func loadBigEndian<T: FixedWidthInteger>(_ type: T.Type, at offset: Int = 0) -> T {
        T(bigEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }
}
