import Bytes

/// The name of a typed property of a collection's documents.
///
/// Narrower than ``PlatformName``, because it stands in the parameters of requests and in SQL: a lower-case letter, then
/// letters, digits and `_`.
package struct AttributeName: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let text: String
    /// In bytes; PostgreSQL's longest name.
    package static let bytesMax = 63
    /// What the grammar says, for messages.
    package static let grammar = "a lower-case letter, then lower-case letters, digits and `_`, 63 at most"

    /// - Returns: nil where the text is not of the grammar.
    package init?(_ text: String) {
        guard let first = text.utf8.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first),
            text.utf8.count <= Self.bytesMax,
            text.utf8.allSatisfy({ byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                    true
                default: false
                }
            })
        else { return nil }
        self.text = text
    }

    package var description: String { text }

    package static func < (left: AttributeName, right: AttributeName) -> Bool { left.text < right.text }
}

extension AttributeName {
    // Every document has these:

    /// Which collection a document belongs to.
    package static let collection = known("collection")
    /// When what a document tells of happened.
    package static let eventTime = known("event_time")
    /// A language code such as `en`, `und` where the language is not known.
    package static let lang = known("lang")

    // Those of recent changes:

    /// A database name such as `enwiki`.
    package static let wiki = known("wiki")
    /// The wiki's host name.
    package static let domain = known("domain")
    /// What kind of change it is, such as `edit`, `new`.
    package static let type = known("type")
    /// Number of the namespace.
    package static let namespace = known("namespace")
    /// Who changed it.
    package static let user = known("user")
    /// Whether a bot changed it.
    package static let isBot = known("is_bot")
    /// Whether the editor calls it small.
    package static let isMinor = known("is_minor")
    /// Bytes that the page grew by.
    package static let delta = known("delta")

    private static func known(_ text: StaticString) -> AttributeName {
        guard let name = AttributeName(text.description) else {
            preconditionFailure("\(text) is no name of an attribute")
        }
        return name
    }
}

extension AttributeName {
    /// Names of what every document has: a collection's own attributes cannot be called so.
    package static let common: [AttributeName] = [.collection, .eventTime, .lang]
}

/// What the values of an attribute are; the collection declares it.
package enum AttributeType: String, CaseIterable, Sendable {
    case string
    /// A whole number that 64 bits hold.
    case integer
    /// Any number, as a double.
    case number
    case bool
    /// A time of RFC 3339, kept in milliseconds.
    case time
}

/// The value of one attribute of one document.
package enum AttributeValue: Hashable, Sendable {
    case string(String)
    case integer(Int64)
    /// Never NaN and never infinite.
    case number(Double)
    case bool(Bool)
    /// Milliseconds since 1970.
    case time(Int64)

    /// What it is.
    package var type: AttributeType {
        switch self {
        case .string: .string
        case .integer: .integer
        case .number: .number
        case .bool: .bool
        case .time: .time
        }
    }
}

/// An attribute as a collection declares it.
package struct AttributeDeclaration: Hashable, Sendable {
    package let name: AttributeName
    package let type: AttributeType
    /// Whether filters may test it.
    package let isFilterable: Bool

    package init(_ name: AttributeName, _ type: AttributeType, isFilterable: Bool = true) {
        self.name = name
        self.type = type
        self.isFilterable = isFilterable
    }
}

/// Numbers in lines: one text for one value, whatever spelling the source used.
package enum CanonicalNumber {
    /// Whole numbers of a magnitude below 2^53 have no fraction; others are the shortest text that reads back the same.
    package static func text(_ value: Double) -> String {
        if value == value.rounded(.towardZero), abs(value) < 9_007_199_254_740_992 {
            return String(Int64(value))
        }
        return value.description
    }
}
