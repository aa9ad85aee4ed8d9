import Bytes
import JSONScan

/// How the values of a type become JSON. Types that are not here are texts, as the database writes them.
indirect enum ColumnKind: Equatable, Sendable {
    case text
    case boolean
    case integer
    /// A floating-point number.
    case real
    /// A number where a double gives back its digits; else its text.
    case number
    /// RFC 3339, in UTC.
    case time
    /// RFC 3339: the time of a day that names no zone, taken as one in UTC.
    case localTime
    /// As it is.
    case json
    /// Base64.
    case bytes
    case array(ColumnKind)

    /// Of the types that every database has (`pg_type.dat`).
    init(type: UInt32) {
        switch type {
        case 16: self = .boolean
        case 20, 21, 23, 26: self = .integer
        case 700, 701: self = .real
        case 1700: self = .number
        case 1184: self = .time
        case 1114: self = .localTime
        case 114, 3802: self = .json
        case 17: self = .bytes
        case 1000: self = .array(.boolean)
        case 1005, 1007, 1016, 1028: self = .array(.integer)
        case 1021, 1022: self = .array(.real)
        case 1231: self = .array(.number)
        case 1185: self = .array(.time)
        case 1115: self = .array(.localTime)
        case 199, 3807: self = .array(.json)
        case 1001: self = .array(.bytes)
        // text, varchar, char, bpchar, name, uuid, date, time, timetz, interval, inet
        case 1009, 1015, 1002, 1014, 1003, 2951, 1182, 1183, 1270, 1187, 1041: self = .array(.text)
        default: self = .text
        }
    }

    /// Writes a value, given as the database writes it.
    func write(_ text: [UInt8], to json: inout JSONWriter) {
        switch self {
        case .text: Self.write(string: text, to: &json)
        case .boolean:
            switch text {
            case [UInt8(ascii: "t")]: json.bool(true)
            case [UInt8(ascii: "f")]: json.bool(false)
            default: Self.write(string: text, to: &json)
            }
        case .integer, .real, .number:
            let isNumber = Self.isPlainNumber(text, digitsMax: self == .real ? Self.realDigitsMax : Self.digitsMax)
            if isNumber { json.raw(text) } else { Self.write(string: text, to: &json) }
        case .time: Self.write(string: Self.moment(text, zone: Array("+00".utf8)) ?? text, to: &json)
        case .localTime: Self.write(string: Self.moment(text, zone: []) ?? text, to: &json)
        case .json:
            // The database takes some that readers do not, such as a number beyond all doubles; and one that is no object or list
            // is no whole text for a parser.
            let isRead = (try? JSONValue.parse([UInt8(ascii: "[")] + text + [UInt8(ascii: "]")])) != nil
            if isRead { json.raw(text) } else { Self.write(string: text, to: &json) }
        case .bytes:
            let isHex = text.starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "x")])
            guard isHex, let bytes = Hex.bytes(text.dropFirst(2)) else { return Self.write(string: text, to: &json) }
            json.string(Base64.string(bytes))
        case .array(let element):
            if let list = ArrayText.json(text, of: element) {
                json.raw(list)
            } else {
                Self.write(string: text, to: &json)
            }
        }
    }

    private static func write(string text: [UInt8], to json: inout JSONWriter) {
        // A database whose encoding is SQL_ASCII holds whatever was put there.
        guard text.withUnsafeBytes({ UTF8Text.isValid($0) }) else {
            return json.string(String(decoding: text, as: UTF8.self))
        }
        text.withUnsafeBufferPointer { json.string(utf8: $0) }
    }

    /// A double gives back any so many decimal digits, and needs so many to be told from the others; a whole number of 64 bits is
    /// read as one.
    private static let digitsMax = 15
    private static let realDigitsMax = 17
    private static let integerDigitsMax = 18

    /// Whether the text is a number of JSON that every reader understands alike.
    private static func isPlainNumber(_ text: [UInt8], digitsMax: Int) -> Bool {
        var rest = text[...]
        if rest.first == UInt8(ascii: "-") { rest.removeFirst() }
        let whole = rest.prefix(while: isDigit)
        guard !whole.isEmpty, whole.count == 1 || whole.first != UInt8(ascii: "0") else { return false }
        rest = rest.dropFirst(whole.count)
        if rest.isEmpty {
            if whole.count <= integerDigitsMax { return true }
            // Nineteen digits may fit, and may not.
            return Int64(String(decoding: text, as: UTF8.self)) != nil
        }
        var digits = Array(whole)
        if rest.first == UInt8(ascii: ".") {
            let fraction = rest.dropFirst().prefix(while: isDigit)
            guard !fraction.isEmpty else { return false }
            digits += fraction
            rest = rest.dropFirst(1 + fraction.count)
        }
        // Zeros at the ends are no digits that a reader could lose.
        if let last = digits.lastIndex(where: { $0 != UInt8(ascii: "0") }), last >= whole.count {
            digits.removeSubrange((last + 1)...)
        } else {
            digits = Array(whole)
        }
        guard digits.drop(while: { $0 == UInt8(ascii: "0") }).count <= digitsMax else { return false }
        if rest.isEmpty { return text.count <= 300 }
        // As floating-point numbers are written, and no others.
        guard rest.first == UInt8(ascii: "e") else { return false }
        rest.removeFirst()
        if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") { rest.removeFirst() }
        return (1...3).contains(rest.count) && rest.allSatisfy(isDigit)
            && Double(String(decoding: text, as: UTF8.self))?.isFinite == true
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// `2026-01-02 03:04:05.678+00` as RFC 3339; nil for what that cannot say: infinity, years before the first and after 9999.
    private static func moment(_ text: [UInt8], zone: [UInt8]) -> [UInt8]? {
        guard text.count >= 19 + zone.count, text[4] == UInt8(ascii: "-"), text[10] == UInt8(ascii: " "),
            text.suffix(zone.count).elementsEqual(zone)
        else { return nil }
        let moment = text.dropLast(zone.count)
        guard text.prefix(4).allSatisfy(isDigit), let last = moment.last, isDigit(last),
            moment.dropFirst(11).allSatisfy({ isDigit($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") })
        else { return nil }
        var result = Array(moment)
        result[10] = UInt8(ascii: "T")
        result.append(UInt8(ascii: "Z"))
        return result
    }
}

/// The text of an array's value: `{1,NULL,"a,b"}` (PostgreSQL manual, 8.15.6).
enum ArrayText {
    /// Postgres's own.
    private static let depthMax = 6

    /// The array as JSON; nil where the text is none.
    static func json(_ text: [UInt8], of element: ColumnKind) -> [UInt8]? {
        var rest = text[...]
        // Where it does not begin at 1, its bounds come first: [0:1]={a,b}.
        if rest.first == UInt8(ascii: "[") {
            guard let equals = rest.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            rest = rest[(equals + 1)...]
        }
        var json = JSONWriter()
        guard list(&rest, element, depth: 1, to: &json), rest.isEmpty else { return nil }
        return json.bytes
    }

    private static func list(
        _ rest: inout ArraySlice<UInt8>, _ element: ColumnKind, depth: Int, to json: inout JSONWriter
    ) -> Bool {
        guard depth <= depthMax, rest.popFirst() == UInt8(ascii: "{") else { return false }
        json.beginArray()
        if rest.first == UInt8(ascii: "}") {
            rest.removeFirst()
            json.endArray()
            return true
        }
        while true {
            if rest.first == UInt8(ascii: "{") {
                guard list(&rest, element, depth: depth + 1, to: &json) else { return false }
            } else if rest.first == UInt8(ascii: "\"") {
                guard let text = quoted(&rest) else { return false }
                element.write(text, to: &json)
            } else {
                let text = Array(rest.prefix { $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "}") })
                rest = rest.dropFirst(text.count)
                guard !text.isEmpty else { return false }
                if text.elementsEqual("NULL".utf8) { json.null() } else { element.write(text, to: &json) }
            }
            switch rest.popFirst() {
            case UInt8(ascii: ","): continue
            case UInt8(ascii: "}"):
                json.endArray()
                return true
            default: return false
            }
        }
    }

    private static func quoted(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
        rest.removeFirst()
        var text: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""): return text
            case UInt8(ascii: "\\"):
                guard let next = rest.popFirst() else { return nil }
                text.append(next)
            default: text.append(byte)
            }
        }
        return nil
    }
}
