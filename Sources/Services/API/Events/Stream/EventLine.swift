import Bytes
import Records

/// What clients of the stream get of a Gold line: all of it, and attributes in one place for every collection.
///
/// Up to transform version 2 recent changes have theirs as members of the line, later among its `attributes`. Clients find
/// them in both places, whatever wrote the line. Everything else is copied as it stands.
enum EventLine {
    private static let names: [StaticString] = ["wiki", "type", "namespace", "user", "is_bot"]
    private static let fields: [GoldLine.Field] = [.wiki, .type, .namespace, .user, .isBot]

    /// - Parameters:
    ///   - line: the members of `bytes`.
    ///   - bytes: one Gold line.
    static func make(_ line: borrowing GoldLine.Fields, of bytes: UnsafeRawBufferPointer) -> [UInt8] {
        let attributes = line[.attributes]
        guard attributes.kind == .object, let start = bytes.baseAddress, let inner = attributes.bytes.baseAddress else {
            return Array(bytes)
        }
        var inside = [JSONSlice](repeating: .absent, count: names.count)
        var isAnyInside = false
        attributes.forEachMember { key, value in
            isAnyInside = true
            if let place = names.firstIndex(where: { key.equals($0) }) { inside[place] = value }
        }
        // A collection of documents may call an attribute `type`, too; together they are those of a change.
        let isChange = inside[0].kind == .string && inside[1].kind == .string && inside[4].kind == .bool
        var added: [UInt8] = []
        var repeated: [UInt8] = []
        for (place, name) in names.enumerated() {
            let outside = line[fields[place]]
            if inside[place].kind == .absent, outside.kind != .absent, outside.kind != .null {
                append(name, outside, after: isAnyInside || !added.isEmpty, to: &added)
            } else if isChange, outside.kind == .absent, inside[place].kind != .absent {
                append(name, inside[place], after: true, to: &repeated)
            }
        }
        guard !added.isEmpty || !repeated.isEmpty else { return Array(bytes) }
        let end = inner - start + attributes.bytes.count
        var made: [UInt8] = []
        made.reserveCapacity(bytes.count + added.count + repeated.count)
        // Up to the brace that closes the attributes, and from there on.
        made += bytes[..<(end - 1)]
        made += added
        made.append(UInt8(ascii: "}"))
        made += repeated
        made += bytes[end...]
        return made
    }

    private static func append(_ name: StaticString, _ value: JSONSlice, after: Bool, to text: inout [UInt8]) {
        if after { text.append(UInt8(ascii: ",")) }
        text.append(UInt8(ascii: "\""))
        text += UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        text += [UInt8(ascii: "\""), UInt8(ascii: ":")]
        text += value.bytes
    }
}
