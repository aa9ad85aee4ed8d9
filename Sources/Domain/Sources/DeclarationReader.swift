import Files
import JSONScan
import Logic
import Records

/// One thing wrong in a declaration.
package struct DeclarationFault: Sendable, Equatable, CustomStringConvertible {
    /// Such as `sources[1].connector.folder`.
    package let place: String
    /// What is wrong, and what would be right.
    package let reason: String

    package init(place: String, reason: String) {
        self.place = place
        self.reason = reason
    }

    package var description: String { "\(place): \(reason)" }
}

/// All that is wrong in a file of declarations.
package struct DeclarationError: Error, CustomStringConvertible {
    /// The file's path.
    package let file: String
    /// In the order of reading; never empty.
    package let faults: [DeclarationFault]

    package init(file: String, faults: [DeclarationFault]) {
        self.file = file
        self.faults = faults
    }

    package var description: String {
        (["\(file) cannot be used:"] + faults.map { "  \($0)" }
            + ["see docs/sources.md and schemas/sources.schema.json; `medallion sources check` looks at it again"])
            .joined(separator: "\n")
    }
}

/// Collects what is wrong while a declaration is read.
final class DeclarationFaults {
    /// More than anybody mends at once.
    private static let faultsMax = 32
    private(set) var all: [DeclarationFault] = []

    func add(_ place: String, _ reason: String) {
        if all.count < Self.faultsMax { all.append(DeclarationFault(place: place, reason: reason)) }
    }
}

/// A value of a declaration and where it stands. Every function notes a fault and returns nil where the value does not fit.
struct DeclarationReader {
    let value: JSONValue
    /// Empty for the whole file.
    let place: String
    let faults: DeclarationFaults

    func fault(_ reason: String) { faults.add(place.isEmpty ? "the file" : place, reason) }

    /// The members of an object that has no others than these.
    func members(required: [String], optional: [String] = []) -> [String: DeclarationReader]? {
        guard case .object(let members) = value else {
            fault("must be an object")
            return nil
        }
        var result: [String: DeclarationReader] = [:]
        let known = Set(required + optional)
        for (name, member) in members {
            guard known.contains(name) else {
                fault(
                    "has no member \(Self.quoted(name)); known are "
                        + (required + optional).sorted().joined(separator: ", "))
                continue
            }
            guard result[name] == nil else {
                fault("has \(Self.quoted(name)) twice; leave one of them out")
                continue
            }
            result[name] = DeclarationReader(
                value: member, place: place.isEmpty ? name : "\(place).\(name)", faults: faults)
        }
        for name in required where result[name] == nil { fault("lacks the member \(Self.quoted(name))") }
        return result
    }

    /// The members of an object whose names are the file's own.
    func entries(countMax: Int) -> [(name: String, value: DeclarationReader)]? {
        guard case .object(let members) = value else {
            fault("must be an object")
            return nil
        }
        guard members.count <= countMax else {
            fault("has \(members.count) members; at most \(countMax)")
            return nil
        }
        var seen: Set<String> = []
        return members.compactMap { name, member in
            guard seen.insert(name).inserted else {
                fault("has \(Self.quoted(name)) twice; leave one of them out")
                return nil
            }
            return (name, DeclarationReader(value: member, place: "\(place).\(Self.shown(name))", faults: faults))
        }
    }

    func elements(_ count: ClosedRange<Int>) -> [DeclarationReader]? {
        guard case .array(let elements) = value else {
            fault("must be a list")
            return nil
        }
        guard count.contains(elements.count) else {
            fault("has \(elements.count) elements; must have \(count.lowerBound) to \(count.upperBound)")
            return nil
        }
        return elements.enumerated().map { number, element in
            DeclarationReader(value: element, place: "\(place)[\(number)]", faults: faults)
        }
    }

    func text(bytesMax: Int) -> String? {
        guard case .string(let text) = value else {
            fault("must be a text")
            return nil
        }
        guard !text.isEmpty, text.utf8.count <= bytesMax, !text.utf8.contains(0) else {
            fault("must be a text of 1 to \(bytesMax) bytes without U+0000")
            return nil
        }
        return text
    }

    func integer(_ range: ClosedRange<Int64>) -> Int64? {
        guard case .integer(let number) = value, range.contains(number) else {
            fault("must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    func number(_ range: ClosedRange<Double>) -> Double? {
        guard let number = value.double, range.contains(number) else {
            fault(
                "must be a number from \(CanonicalNumber.text(range.lowerBound)) to "
                    + CanonicalNumber.text(range.upperBound))
            return nil
        }
        return number
    }

    /// Seconds, read as milliseconds.
    func seconds(milliseconds range: ClosedRange<Int64>) -> Int? {
        let (low, high) = (Double(range.lowerBound) / 1_000, Double(range.upperBound) / 1_000)
        guard let seconds = value.double, (low...high).contains(seconds) else {
            fault("must be a number of seconds from \(CanonicalNumber.text(low)) to \(CanonicalNumber.text(high))")
            return nil
        }
        return Int((seconds * 1_000).rounded())
    }

    func bool() -> Bool? {
        guard case .bool(let flag) = value else {
            fault("must be true or false")
            return nil
        }
        return flag
    }

    func name<Name: PlatformName>(_: Name.Type) -> Name? {
        guard case .string(let text) = value, let name = Name(text) else {
            fault("must be a name: \(Name.grammar)")
            return nil
        }
        return name
    }

    /// The name of a topic: the same grammar.
    func topic() -> String? { name(SourceName.self)?.text }

    func path() -> FieldPath? {
        guard case .string(let text) = value, let path = FieldPath(text) else {
            fault("must be a place in the object, such as `price.amount`: \(FieldPath.grammar)")
            return nil
        }
        return path
    }

    func choice<Choice: RawRepresentable & CaseIterable>(_: Choice.Type) -> Choice? where Choice.RawValue == String {
        guard case .string(let text) = value, let choice = Choice(rawValue: text) else {
            fault("must be one of \(Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))")
            return nil
        }
        return choice
    }

    /// A name that a file made up, short enough to be repeated.
    private static func shown(_ name: String) -> String {
        name.utf8.count <= 60 ? name : String(name.prefix(60)) + "…"
    }

    private static func quoted(_ name: String) -> String { "\"\(shown(name))\"" }
}

// MARK: Places

extension DeclarationReader {
    /// An address or a folder.
    private static let placeBytesMax = 4_096

    /// An address of HTTP. It may hold secrets, so no message repeats it.
    func url() -> String? {
        guard let text = text(bytesMax: Self.placeBytesMax) else { return nil }
        let scheme = ["http://", "https://"].first { text.hasPrefix($0) }
        guard let scheme, let first = text.dropFirst(scheme.count).utf8.first, first != UInt8(ascii: "/"),
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else {
            fault("must be an address that begins with http:// or https:// and a host, without blanks")
            return nil
        }
        return text
    }

    /// A folder, made absolute. Whether it is there is asked when it is read: it may be mounted later.
    func folder(below parent: String) -> String? {
        guard let text = text(bytesMax: Self.placeBytesMax) else { return nil }
        let names = text.split(separator: "/")
        guard !names.isEmpty else {
            fault("must be a folder of its own, not the root of the file system")
            return nil
        }
        guard !names.contains("..") else {
            fault("must not contain \"..\"; write where the folder is")
            return nil
        }
        let whole = text.hasPrefix("/") ? text : parent + "/" + text
        return Folder.withoutTrailingSlashes(whole)
    }
}

extension DeclarationReader {
    /// A file's path, made absolute. Whether it is there is asked when it is read.
    func file(below parent: String) -> String? {
        guard let text = text(bytesMax: Self.placeBytesMax) else { return nil }
        guard !text.hasSuffix("/"), !text.split(separator: "/").contains("..") else {
            fault("must be the path of a file, without \"..\"")
            return nil
        }
        return text.hasPrefix("/") ? text : parent + "/" + text
    }
}

extension DeclarationReader? {
    /// What the member says; the standard where there is no such member.
    func given<Value>(_ standard: Value?, _ read: (DeclarationReader) -> Value?) -> Value? {
        guard let self else { return standard }
        return read(self)
    }
}
