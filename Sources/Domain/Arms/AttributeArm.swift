import Bytes
import Records
import Retrieval

/// The attributes of passages in memory: for each value of each attribute, the passages whose documents have it.
///
/// Lists of slots and not bitmaps: most values (users, titles) are rare, and the set that a search needs of the others is
/// made of a list in a nanosecond a passage.
///
/// Not thread-safe: who holds it lets one write or many read.
final class AttributeArm {
    struct Column {
        var names = WordTable()
        /// By number of the value.
        var values: [AttributeValue] = []
        var slots: [[UInt32]] = []
    }

    private(set) var columns: [AttributeName: Column] = [:]
    private var slotCount = 0

    /// Bytes that it takes in memory.
    var memoryBytes: Int {
        columns.values.reduce(0) { $0 + $1.names.memoryBytes + 88 * $1.values.count } + 6 * slotCount
    }

    /// Gives passages, whose slots are behind all others, an attribute.
    func add(_ name: AttributeName, _ value: AttributeValue, to slots: some Collection<Int>) {
        let number = columns[name, default: Column()].names.add(Self.key(value))
        if number == columns[name]?.values.count {
            columns[name]?.values.append(value)
            columns[name]?.slots.append([])
        }
        columns[name]?.slots[number].append(contentsOf: slots.map { UInt32($0) })
        slotCount += slots.count
    }

    /// Leaves those passages of a set that pass a test, or those that do not.
    ///
    /// The time of events is not among the attributes here.
    func keep(_ set: inout SlotSet, passing test: AttributeTest, _ isPassing: Bool = true) {
        var passing = SlotSet(count: set.words.count * 64)
        if let column = columns[test.attribute] {
            switch test.condition {
            case .absent: column.slots.forEach { Self.insert($0, into: &passing) }
            case .oneOf(let values):
                for value in values {
                    for key in Self.keys(value) {
                        if let number = column.names.number(of: key) {
                            Self.insert(column.slots[number], into: &passing)
                        }
                    }
                }
            case .between:
                for (number, value) in column.values.enumerated() where test.holds(value) {
                    Self.insert(column.slots[number], into: &passing)
                }
            }
        }
        var isKept = isPassing
        if case .absent = test.condition { isKept.toggle() }
        if isKept { set.formIntersection(passing) } else { set.subtract(passing) }
    }

    private static func insert(_ slots: [UInt32], into set: inout SlotSet) {
        for slot in slots { set.insert(Int(slot)) }
    }

    /// Equal for values that filters take for equal, and for no others.
    private static func key(_ value: AttributeValue) -> String {
        switch value {
        case .string(let text): "s" + text
        case .integer(let number): "n" + CanonicalNumber.text(Double(number))
        case .number(let number): "n" + CanonicalNumber.text(number)
        case .bool(let flag): flag ? "true" : "false"
        case .time(let milliseconds): "t\(milliseconds)"
        }
    }

    /// Texts in the form of times are the times that they name.
    private static func keys(_ value: AttributeValue) -> [String] {
        guard case .time(let milliseconds) = value else { return [key(value)] }
        return [key(value), key(.string(CivilTime.rfc3339(milliseconds)))]
    }
}
