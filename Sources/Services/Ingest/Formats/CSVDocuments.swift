import Bytes

/// Makes a document of each row of a CSV file: an object whose members the first row names. A cell without anything in it is no
/// member.
struct CSVDocuments {
    private static let columnsMax = 1_000
    private static let nameBytesMax = 255

    private struct Column {
        /// The name as JSON, with quotes and colon.
        let key: [UInt8]
        let kind: DocumentShape.Kind
    }

    private let shape: DocumentShape
    private var columns: [Column] = []

    init(_ shape: DocumentShape) { self.shape = shape }

    /// Whether the row of names was seen.
    var hasHeader: Bool { !columns.isEmpty }

    /// Takes the row of names.
    mutating func takeHeader(_ row: [UInt8]) throws(FileFault) {
        var names: [String] = []
        try Self.fields(of: row) { field throws(FileFault) in
            guard let name = String(validating: field, as: UTF8.self) else { throw FileFault.noUTF8 }
            names.append(name)
        }
        guard names.count <= Self.columnsMax else {
            throw FileFault(.header, "names \(names.count) columns; at most \(Self.columnsMax)")
        }
        guard names.allSatisfy({ !$0.isEmpty && $0.utf8.count <= Self.nameBytesMax }) else {
            throw FileFault(
                .header,
                "a column has no name, or one of more than \(Self.nameBytesMax) bytes: the first row names the members")
        }
        guard Set(names).count == names.count else {
            throw FileFault(.header, "two columns have one name: the first row names the members")
        }
        // Of a path with dots the cells have no part.
        guard shape.idPath.contains(".") || names.contains(shape.idPath) else {
            throw FileFault(
                .header,
                "no column is named \(shape.idPath), where the source says that the id stands; the columns are "
                    + names.prefix(20).joined(separator: ", "))
        }
        columns = names.map { name in
            var json = JSONWriter(capacity: name.utf8.count + 4)
            json.key(dynamic: name)
            return Column(key: json.bytes, kind: shape.kind(of: name))
        }
    }

    /// The document of one row without its line feed.
    func document(_ row: [UInt8]) throws(FileFault) -> [UInt8] {
        var json: [UInt8] = []
        json.reserveCapacity(row.count + columns.count * 16)
        json.append(UInt8(ascii: "{"))
        var count = 0
        try Self.fields(of: row) { field throws(FileFault) in
            count += 1
            guard count <= columns.count, !field.isEmpty else { return }
            if json.count > 1 { json.append(UInt8(ascii: ",")) }
            json.append(contentsOf: columns[count - 1].key)
            DocumentShape.append(field, as: columns[count - 1].kind, to: &json)
        }
        guard count == columns.count else {
            throw FileFault(.columns, "has \(count) columns, and the first row names \(columns.count)")
        }
        json.append(UInt8(ascii: "}"))
        return json
    }

    private static func fields(
        of row: [UInt8], _ body: (UnsafeBufferPointer<UInt8>) throws(FileFault) -> Void
    ) throws(FileFault) {
        var fault: FileFault?
        row.withUnsafeBufferPointer { row in
            do throws(FileFault) { try CSVRows.fields(row, body) } catch { fault = error }
        }
        if let fault { throw fault }
    }
}
