import Bytes
import Files

/// Rows that Postgres reads with `COPY … FROM '…' (FORMAT binary)`: a signature, for each row the number of its fields and each with its
/// length, big-endian ("COPY", Binary Format, in PostgreSQL's documentation).
struct CopyFile: ~Copyable {
    private static let flushedBytes = 1 << 20
    /// Of `int4` as an array's element.
    private static let int4: UInt32 = 23

    private let file: File
    private var bytes: [UInt8] = []

    /// - Parameter path: of a file that does not exist yet. Anyone with access to its folder can read it: the server has to.
    init(_ path: String) throws {
        file = try File(path, .create, permissions: 0o644)
        bytes = Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0x00] + [UInt8](repeating: 0, count: 8)
    }

    /// Begins a row.
    mutating func row(fields: Int) throws {
        if bytes.count >= Self.flushedBytes { try flush() }
        put(UInt16(truncatingIfNeeded: fields))
    }

    /// Ends the rows.
    mutating func end() throws {
        put(UInt16.max)
        try flush()
    }

    mutating func add(_ value: Int64) {
        put(UInt32(8))
        put(UInt64(bitPattern: value))
    }

    mutating func add(_ value: Int32) {
        put(UInt32(4))
        put(UInt32(bitPattern: value))
    }

    /// Postgres' texts cannot hold U+0000.
    mutating func add(_ text: String) {
        let text = text.replacing("\0", with: "")
        put(UInt32(truncatingIfNeeded: text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    /// For `int[]`, of one dimension.
    mutating func add<Values: Collection<Int32>>(_ values: Values) {
        put(UInt32(truncatingIfNeeded: 20 + 8 * values.count))
        for number in [1, 0, Self.int4, UInt32(truncatingIfNeeded: values.count), 1] { put(number) }
        for value in values { add(value) }
    }

    /// For pgvector's `halfvec`: the number of numbers, two bytes that are not used, and the numbers.
    mutating func add(halves: [UInt16]) {
        put(UInt32(truncatingIfNeeded: 4 + 2 * halves.count))
        put(UInt16(truncatingIfNeeded: halves.count))
        put(UInt16(0))
        for half in halves { put(half) }
    }

    private mutating func put<Number: FixedWidthInteger>(_ number: Number) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    private mutating func flush() throws {
        let offset = try file.size()
        try bytes.withUnsafeBytes { try file.write($0, at: offset) }
        bytes.removeAll(keepingCapacity: true)
    }
}
