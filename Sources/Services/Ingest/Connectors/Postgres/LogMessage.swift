/// A column's value in the log.
enum LogValue: Equatable, Sendable {
    case null
    /// A large value that did not change: it lies apart from the row, and the log does not hold it.
    case unchanged
    /// In the type's own text format.
    case text([UInt8])
}

/// What the log says of a table before the first change of it, and whenever it is another.
struct LogRelation: Equatable, Sendable {
    struct Column: Equatable, Sendable {
        let name: String
        let type: UInt32
        /// Whether it is in the replica identity.
        let isKey: Bool
    }

    let id: UInt32
    let schema: String
    let table: String
    let columns: [Column]
}

/// The row before a change, as far as the replica identity has it.
struct LogOldRow: Equatable, Sendable {
    /// Whether only the columns of the identity are there; the others are null then, whatever they were.
    let isKey: Bool
    let values: [LogValue]
}

/// A message that is not as pgoutput writes them.
struct LogFormatError: Error, CustomStringConvertible, Equatable {
    let description: String
}

/// A message of pgoutput, version 1 of its protocol (PostgreSQL manual, 54.9 "Logical Replication Message Formats").
enum LogMessage: Equatable, Sendable {
    case begin(commit: UInt64, microseconds: Int64, transaction: UInt32)
    case commit(end: UInt64)
    case relation(LogRelation)
    case insert(relation: UInt32, new: [LogValue])
    case update(relation: UInt32, old: LogOldRow?, new: [LogValue])
    case delete(relation: UInt32, old: LogOldRow)
    case truncate(relations: [UInt32])
    /// What is of no use here: origins, types, messages of applications.
    case other

    static func parse(_ bytes: [UInt8]) throws(LogFormatError) -> LogMessage {
        var reader = LogReader(bytes: bytes[...])
        let message: LogMessage
        switch try reader.byte() {
        case UInt8(ascii: "B"):
            message = .begin(
                commit: try reader.number(), microseconds: try reader.number(), transaction: try reader.number())
        case UInt8(ascii: "C"):
            _ = try reader.byte()
            let _: UInt64 = try reader.number()
            message = .commit(end: try reader.number())
            let _: Int64 = try reader.number()
        case UInt8(ascii: "R"): message = .relation(try reader.relation())
        case UInt8(ascii: "I"):
            let relation: UInt32 = try reader.number()
            try reader.expect("N")
            message = .insert(relation: relation, new: try reader.row())
        case UInt8(ascii: "U"):
            let relation: UInt32 = try reader.number()
            var old: LogOldRow?
            if let first = reader.bytes.first, first != UInt8(ascii: "N") { old = try reader.oldRow() }
            try reader.expect("N")
            message = .update(relation: relation, old: old, new: try reader.row())
        case UInt8(ascii: "D"):
            message = .delete(relation: try reader.number(), old: try reader.oldRow())
        case UInt8(ascii: "T"):
            let count: UInt32 = try reader.number()
            _ = try reader.byte()
            guard reader.bytes.count == Int(count) * 4 else { throw LogReader.broken }
            var relations: [UInt32] = []
            for _ in 0..<count { relations.append(try reader.number()) }
            message = .truncate(relations: relations)
        case UInt8(ascii: "O"), UInt8(ascii: "Y"), UInt8(ascii: "M"): return .other
        default: throw LogFormatError(description: "the log holds a message that pgoutput does not write")
        }
        guard reader.bytes.isEmpty else { throw LogReader.broken }
        return message
    }
}

/// Takes a message apart; whatever is not there is an error.
private struct LogReader {
    var bytes: ArraySlice<UInt8>

    static let broken = LogFormatError(description: "a message of the log is cut short, or longer than it says")
    /// Postgres's own limit of a table's columns is lower.
    private static let columnsMax = 2_000

    mutating func byte() throws(LogFormatError) -> UInt8 {
        guard let byte = bytes.popFirst() else { throw Self.broken }
        return byte
    }

    mutating func expect(_ letter: Unicode.Scalar) throws(LogFormatError) {
        guard try byte() == UInt8(ascii: letter) else { throw Self.broken }
    }

    mutating func number<Number: FixedWidthInteger>() throws(LogFormatError) -> Number {
        let count = Number.bitWidth / 8
        guard bytes.count >= count else { throw Self.broken }
        var value: Number = 0
        for byte in bytes.prefix(count) { value = value << 8 | Number(truncatingIfNeeded: byte) }
        bytes.removeFirst(count)
        return value
    }

    mutating func name() throws(LogFormatError) -> String {
        guard let end = bytes.firstIndex(of: 0) else { throw Self.broken }
        defer { bytes = bytes[(end + 1)...] }
        return String(decoding: bytes[..<end], as: UTF8.self)
    }

    private mutating func columnCount() throws(LogFormatError) -> Int {
        let count: UInt16 = try number()
        guard count <= Self.columnsMax else { throw Self.broken }
        return Int(count)
    }

    mutating func relation() throws(LogFormatError) -> LogRelation {
        let id: UInt32 = try number()
        let schema = try name()
        let table = try name()
        _ = try byte()
        var columns: [LogRelation.Column] = []
        for _ in 0..<(try columnCount()) {
            let isKey = try byte() & 1 != 0
            let name = try name()
            let type: UInt32 = try number()
            let _: UInt32 = try number()
            columns.append(LogRelation.Column(name: name, type: type, isKey: isKey))
        }
        // What lies in the system's own schema has an empty name.
        return LogRelation(id: id, schema: schema.isEmpty ? "pg_catalog" : schema, table: table, columns: columns)
    }

    mutating func oldRow() throws(LogFormatError) -> LogOldRow {
        switch try byte() {
        case UInt8(ascii: "K"): LogOldRow(isKey: true, values: try row())
        case UInt8(ascii: "O"): LogOldRow(isKey: false, values: try row())
        default: throw Self.broken
        }
    }

    mutating func row() throws(LogFormatError) -> [LogValue] {
        var values: [LogValue] = []
        for _ in 0..<(try columnCount()) {
            switch try byte() {
            case UInt8(ascii: "n"): values.append(.null)
            case UInt8(ascii: "u"): values.append(.unchanged)
            case UInt8(ascii: "t"):
                let length: UInt32 = try number()
                guard bytes.count >= Int(length) else { throw Self.broken }
                values.append(.text(Array(bytes.prefix(Int(length)))))
                bytes.removeFirst(Int(length))
            // Binary values were not asked for.
            default: throw Self.broken
            }
        }
        return values
    }
}
