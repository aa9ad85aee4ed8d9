import Bytes
import Glibc
package import Records

/// One question about one attribute of a document, which is answered with yes or no.
package struct AttributeTest: Sendable {
    /// What is asked.
    package enum Condition: Sendable {
        /// Whether it has one of these values.
        case oneOf([AttributeValue])
        /// Whether it is at or above `from` and below `to`: numbers, or times. Either may be left out.
        case between(from: AttributeValue?, to: AttributeValue?)
        /// Whether the document does not have it.
        case absent
    }

    /// Of which attribute.
    package let attribute: AttributeName
    /// What is asked of it.
    package let condition: Condition

    package init(_ attribute: AttributeName, _ condition: Condition) {
        self.attribute = attribute
        self.condition = condition
    }

    /// Whether the attribute has this value.
    package static func equals(_ attribute: AttributeName, _ value: AttributeValue) -> AttributeTest {
        AttributeTest(attribute, .oneOf([value]))
    }

    /// Whether the attribute is one of these texts.
    package static func texts(_ attribute: AttributeName, _ texts: [String]) -> AttributeTest {
        AttributeTest(attribute, .oneOf(texts.map(AttributeValue.string)))
    }

    /// The answer for a value; nil is an attribute that the document does not have. Allocates nothing.
    package func holds(_ value: AttributeValue?) -> Bool {
        switch condition {
        case .absent: return value == nil
        case .oneOf(let values):
            guard let value else { return false }
            return value.isAmong(sorted: values)
        case .between(let from, let to):
            guard let value else { return false }
            if let from {
                guard let order = value.compared(with: from), order >= 0 else { return false }
            }
            if let to {
                guard let order = value.compared(with: to), order < 0 else { return false }
            }
            return true
        }
    }
}

/// Why something is no filter.
package struct FilterFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// A word for programs.
    package var type: String
    /// What is wrong, and what to do; fits behind the name of the place.
    package var message: String

    package var description: String { message }

    package init(_ type: String, _ message: String) {
        self.type = type
        self.message = message
    }
}

// MARK: Rules and normal form

extension AttributeTest {
    /// The test in the form that all tests of its meaning share: values sorted, each once.
    ///
    /// - Throws: where it has too many values, or some that cannot be compared.
    package func normal() throws(FilterFault) -> AttributeTest {
        switch condition {
        case .absent: return self
        case .oneOf(let values):
            guard values.count <= FilterLimits.valuesMax else {
                throw FilterFault(
                    "too_long", "must have at most \(FilterLimits.valuesMax) values, has \(values.count)")
            }
            var normal: [AttributeValue] = []
            for value in values { normal.append(try value.normal()) }
            return AttributeTest(attribute, .oneOf(AttributeValue.sortedOnce(normal)))
        case .between(let from, let to):
            let (from, to) = (try from?.normal(), try to?.normal())
            for end in [from, to] {
                guard let end, !end.isOrdered else { continue }
                throw FilterFault(
                    "between_type", "must go from a number or a time to another, not to a text or a truth")
            }
            if let from, let to {
                guard from.isComparable(with: to) else {
                    throw FilterFault("between_type", "must go from a number to a number, or from a time to a time")
                }
            }
            guard from != nil || to != nil else {
                throw FilterFault("between_open", "must have from, to, or both")
            }
            return AttributeTest(attribute, .between(from: from, to: to))
        }
    }

    /// Two tests of one attribute that must both hold, as one; nil where they stay two. Both in normal form.
    func and(_ other: AttributeTest) -> AttributeTest? {
        guard attribute == other.attribute else { return nil }
        switch (condition, other.condition) {
        case (.absent, .absent): return self
        case (.oneOf(let left), .oneOf(let right)):
            return AttributeTest(attribute, .oneOf(left.filter { $0.isAmong(sorted: right) }))
        case (.between(let from, let to), .between(let otherFrom, let otherTo)):
            let ends = [from, to, otherFrom, otherTo].compactMap(\.self)
            guard let some = ends.first, ends.allSatisfy({ $0.isComparable(with: some) }) else { return nil }
            let first = [from, otherFrom].compactMap(\.self).max { $0.order(against: $1) < 0 }
            let last = [to, otherTo].compactMap(\.self).min { $0.order(against: $1) < 0 }
            return AttributeTest(attribute, .between(from: first, to: last))
        default: return nil
        }
    }

    /// Two tests of one attribute of which either may hold, as one; nil where they stay two. Both in normal form.
    func or(_ other: AttributeTest) -> AttributeTest? {
        guard attribute == other.attribute else { return nil }
        switch (condition, other.condition) {
        case (.absent, .absent): return self
        case (.oneOf(let left), .oneOf(let right)):
            return AttributeTest(attribute, .oneOf(AttributeValue.sortedOnce(left + right)))
        default: return nil
        }
    }

    /// Whether no value passes.
    package var isNever: Bool {
        switch condition {
        case .oneOf(let values): return values.isEmpty
        case .between(let from?, let to?): return from.order(against: to) >= 0
        case .between, .absent: return false
        }
    }

    /// One JSON object, as requests have it; equal for tests of equal normal form.
    var encoding: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("attribute")
        writer.string(attribute.text)
        switch condition {
        case .absent:
            writer.key("absent")
            writer.bool(true)
        case .oneOf(let values):
            writer.key("one_of")
            writer.beginArray()
            for value in values { writer.value(value) }
            writer.endArray()
        case .between(let from, let to):
            writer.key("between")
            writer.beginObject()
            for (name, end) in [("from", from), ("to", to)] {
                guard let end else { continue }
                writer.key(dynamic: name)
                writer.value(end)
            }
            writer.endObject()
        }
        writer.endObject()
        return writer.bytes
    }
}

extension JSONWriter {
    fileprivate mutating func value(_ value: AttributeValue) {
        switch value {
        case .string(let text): string(text)
        case .integer(let number): integer(number)
        case .number(let number): double(number)
        case .bool(let flag): bool(flag)
        case .time(let milliseconds): string(CivilTime.rfc3339(milliseconds))
        }
    }
}

// MARK: Values

extension AttributeValue {
    /// Whole numbers up to here are the same to every program that reads JSON.
    static let numberMax: Int64 = 1 << 53
    /// Times of the years 0 to 9999, which RFC 3339 can say.
    static let times: ClosedRange<Int64> = -62_167_219_200_000...253_402_300_799_999

    /// The form that all values of its meaning share: 5.0 is 5.
    func normal() throws(FilterFault) -> AttributeValue {
        switch self {
        case .string, .bool: return self
        case .integer(let number):
            guard -Self.numberMax...Self.numberMax ~= number else { throw Self.tooLarge }
            return self
        case .number(let number):
            guard number.magnitude <= Double(Self.numberMax) else { throw Self.tooLarge }
            return Int64(exactly: number).map(AttributeValue.integer) ?? self
        case .time(let milliseconds):
            guard Self.times ~= milliseconds else {
                throw FilterFault("datetime_range", "must be a time of the years 0 to 9999")
            }
            return self
        }
    }

    private static let tooLarge = FilterFault("number_range", "must be a number between -2^53 and 2^53")

    /// Sorted, each once.
    static func sortedOnce(_ values: [AttributeValue]) -> [AttributeValue] {
        var result: [AttributeValue] = []
        for value in values.sorted(by: { $0.order(against: $1) < 0 })
        where result.last.map({ $0.order(against: value) != 0 }) ?? true {
            result.append(value)
        }
        return result
    }

    /// Kinds of values that compare with each other.
    private var kind: Int {
        switch self {
        case .bool: 0
        case .integer, .number: 1
        case .time: 2
        case .string: 3
        }
    }

    var isOrdered: Bool { kind == 1 || kind == 2 }

    func isComparable(with other: AttributeValue) -> Bool { kind == other.kind }

    /// Below 0 where it comes before the other, 0 where it is the same. Texts compare by their bytes, as in the database; to
    /// Swift, two ways of writing `é` would be one text.
    func order(against other: AttributeValue) -> Int {
        switch (self, other) {
        case (.string(let left), .string(let right)): return Self.order(left, right)
        case (.integer(let left), .integer(let right)): return Self.order(left, right)
        case (.number(let left), .number(let right)): return Self.order(left, right)
        case (.integer(let left), .number(let right)): return Self.order(Double(left), right)
        case (.number(let left), .integer(let right)): return Self.order(left, Double(right))
        case (.bool(let left), .bool(let right)): return (left ? 1 : 0) - (right ? 1 : 0)
        case (.time(let left), .time(let right)): return Self.order(left, right)
        default: return kind - other.kind
        }
    }

    private static func order<T: Comparable>(_ left: T, _ right: T) -> Int { left < right ? -1 : left == right ? 0 : 1 }

    private static func order(_ left: String, _ right: String) -> Int {
        let order = left.utf8.withContiguousStorageIfAvailable { left in
            right.utf8.withContiguousStorageIfAvailable { right in
                guard let leftBytes = left.baseAddress, let rightBytes = right.baseAddress else {
                    return left.count - right.count
                }
                let order = memcmp(leftBytes, rightBytes, min(left.count, right.count))
                return order == 0 ? left.count - right.count : Int(order)
            }
        }
        if case .some(.some(let order)) = order { return order }
        return left.utf8.lexicographicallyPrecedes(right.utf8) ? -1 : left.utf8.elementsEqual(right.utf8) ? 0 : 1
    }

    /// As ``order(against:)``; nil where they do not compare. A text in the form of times compares with times.
    func compared(with other: AttributeValue) -> Int? {
        if case .string(let text) = self, case .time(let milliseconds) = other {
            return TimeText.order(text, against: milliseconds)
        }
        return isComparable(with: other) ? order(against: other) : nil
    }

    /// Whether it is one of these, which are sorted. A text in the form of times is the time that it names.
    func isAmong(sorted values: [AttributeValue]) -> Bool {
        if isFound(in: values) { return true }
        guard case .string(let text) = self, let time = TimeText.milliseconds(text) else { return false }
        return AttributeValue.time(time).isFound(in: values)
    }

    private func isFound(in values: [AttributeValue]) -> Bool {
        var (low, high) = (0, values.count)
        while low < high {
            let middle = (low + high) / 2
            let order = order(against: values[middle])
            if order == 0 { return true }
            if order < 0 { high = middle } else { low = middle + 1 }
        }
        return false
    }
}
