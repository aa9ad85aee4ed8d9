package import Bytes

extension JSONWriter {
    /// Writes a whole tree.
    package mutating func value(_ value: JSONValue) {
        switch value {
        case .null: null()
        case .bool(let flag): bool(flag)
        case .integer(let number): integer(number)
        case .double(let number): double(number)
        case .string(let text): string(text)
        case .array(let list):
            beginArray()
            for element in list { self.value(element) }
            endArray()
        case .object(let members):
            beginObject()
            for (name, member) in members {
                key(dynamic: name)
                self.value(member)
            }
            endObject()
        }
    }
}

extension JSONValue {
    /// Text with two spaces per level, for files that people compare.
    package func indented(_ level: Int = 0) -> String {
        let inner = String(repeating: " ", count: (level + 1) * 2)
        let outer = String(repeating: " ", count: level * 2)
        switch self {
        case .array(let list) where !list.isEmpty:
            return "[\n" + list.map { inner + $0.indented(level + 1) }.joined(separator: ",\n") + "\n\(outer)]"
        case .object(let members) where !members.isEmpty:
            let lines = members.map { inner + JSONValue.string($0.key).text + ": " + $0.value.indented(level + 1) }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(outer)}"
        default: return text
        }
    }
}

extension JSONValue {
    /// One line.
    package var text: String {
        var writer = JSONWriter()
        writer.value(self)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}
