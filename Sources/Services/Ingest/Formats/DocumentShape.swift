import Bytes
package import Logic
import Records

/// What a source's logic wants of the members that files without types have: the cells of CSV, the head of a Markdown file.
///
/// What is not wanted as a number or as true or false is a text. A text that should be a number and is none stays one, and
/// the logic says so by name.
package struct DocumentShape: Sendable {
    /// How a member is written.
    enum Kind {
        case text, number, bool
    }

    private var kinds: [String: Kind] = [:]
    /// Where a document's id stands.
    package let idPath: String

    /// - Parameter idPath: where a document's id stands.
    package init(idPath: String) { self.idPath = idPath }

    package init(_ logic: LogicSettings) {
        switch logic {
        case .recentChange: self.init(idPath: "meta.id")
        case .document(let settings):
            self.init(idPath: settings.mapping.id.text)
            if let version = settings.mapping.version { kinds[version.text] = .number }
            kinds[settings.mapping.deleted.text] = .bool
            if let truncated = settings.mapping.truncated { kinds[truncated.text] = .bool }
            for attribute in settings.attributes {
                switch attribute.type {
                case .integer, .number: kinds[attribute.path.text] = .number
                case .bool: kinds[attribute.path.text] = .bool
                case .string, .time: break
                }
            }
        }
    }

    /// How the member of this name is to be written. Names with dots are not reached by a mapping, so they are texts.
    func kind(of name: String) -> Kind { kinds[name] ?? .text }

    /// Whether some bytes are a number as JSON writes it.
    static func isNumber(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var index = 0
        func digits() -> Int {
            let start = index
            while index < bytes.count, bytes[index] >= UInt8(ascii: "0"), bytes[index] <= UInt8(ascii: "9") {
                index += 1
            }
            return index - start
        }
        guard bytes.count <= 64 else { return false }
        if index < bytes.count, bytes[index] == UInt8(ascii: "-") { index += 1 }
        let first = index
        let whole = digits()
        guard whole > 0, whole == 1 || bytes[first] != UInt8(ascii: "0") else { return false }
        if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
            index += 1
            guard digits() > 0 else { return false }
        }
        if index < bytes.count, bytes[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if index < bytes.count, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") {
                index += 1
            }
            guard digits() > 0 else { return false }
        }
        return index == bytes.count
    }

    /// Appends a value as the kind wants it.
    static func append(_ value: UnsafeBufferPointer<UInt8>, as kind: Kind, to json: inout [UInt8]) {
        switch kind {
        case .number where isNumber(value): json.append(contentsOf: value)
        case .bool where isWord(value, "true"): json.append(contentsOf: "true".utf8)
        case .bool where isWord(value, "false"): json.append(contentsOf: "false".utf8)
        default: JSONText.appendQuoted(value, to: &json)
        }
    }

    private static func isWord(_ value: UnsafeBufferPointer<UInt8>, _ word: StaticString) -> Bool {
        value.count == word.utf8CodeUnitCount
            && value.indices.allSatisfy { value[$0] | 0x20 == word.utf8Start[$0] }
    }
}
