/// The quality rules, declared in one place: name, reason, and what follows from breaking one.
package enum Rule: String, CaseIterable, Sendable {
    case nullPayload = "null_payload"
    case tooLarge = "too_large"
    case invalidUTF8 = "invalid_utf8"
    case truncatedJSON = "truncated_json"
    case invalidJSON = "invalid_json"
    case tooDeep = "too_deep"
    case notAnObject = "not_an_object"
    case missingMeta = "missing_meta"
    case missingField = "missing_field"
    case wrongType = "wrong_type"
    case unknownSchema = "unknown_schema"
    case invalidTime = "invalid_time"
    case absurdTime = "absurd_time"
    case textTooLong = "text_too_long"
    case nullCharacter = "null_character"
    case namespaceMissing = "namespace_missing"
    case unknownType = "unknown_type"
    case emptyTitle = "empty_title"
    case invalidID = "invalid_id"
    case invalidVersion = "invalid_version"
    case invalidEventTime = "invalid_event_time"
    case invalidAttribute = "invalid_attribute"
    case emptyText = "empty_text"
    case valueUnavailable = "value_unavailable"
    case eventTimeMissing = "event_time_missing"
    case textCut = "text_cut"
    case textTooShort = "text_too_short"
    case nearDuplicate = "near_duplicate"
    case languageDetected = "language_detected"

    /// What happens to a record that breaks the rule.
    package enum Severity: String, Sendable {
        /// It goes to quarantine.
        case reject
        /// It is kept, with the rule's name in `quality_flags`.
        case flag
        /// Silver has it and the index does not. Of documents Silver has the rule's name in `quality_flags`, and Gold says that the
        /// document is deleted, so that no earlier version stays; of recent changes Gold has nothing.
        case leaveOut = "leave_out"
    }

    /// What a rule says, all in one row of ``declaration``.
    package struct Declaration: Sendable {
        package let severity: Severity
        /// Why the rule exists, for people.
        package let reason: String
    }

    /// Reject or flag.
    package var severity: Severity { declaration.severity }

    /// Why the rule exists, for people.
    package var reason: String { declaration.reason }

    /// The table of rules: a new one is a case above and a row here, in the order in which records meet them. What
    /// changes the fate of records that are there already needs a new ``TransformSettings/CodeVersion``, too.
    package var declaration: Declaration {
        switch self {
        case .nullPayload: .reject("the record has no value (a tombstone)")
        case .tooLarge: .reject("the value is larger than 1 MiB")
        case .invalidUTF8: .reject("the value is not valid UTF-8")
        case .truncatedJSON: .reject("the value begins as a JSON object and breaks off")
        case .invalidJSON: .reject("the value is not valid JSON (RFC 8259)")
        case .tooDeep: .reject("the value nests deeper than 64 levels")
        case .notAnObject: .reject("the value is JSON, but not an object")
        case .missingMeta: .reject("there is no `meta` object")
        case .missingField: .reject("a required field is absent")
        case .wrongType: .reject("a field has another type than its schema says")
        case .unknownSchema: .reject("`$schema` is not /mediawiki/recentchange/1.x.y")
        case .invalidTime: .reject("`meta.dt` is not an RFC 3339 time")
        case .absurdTime:
            .reject("`meta.dt` lies before 2001-01-15 or more than a day after the broker received it")
        case .textTooLong: .reject("a text is longer than its field may be")
        case .nullCharacter: .reject("`meta.id` holds U+0000, which the index cannot hold")
        case .namespaceMissing: .flag("the event does not tell its namespace")
        case .unknownType: .flag("`type` is none of edit, new, log, categorize, external")
        case .emptyTitle: .flag("the title is empty")
        // Of documents.
        case .invalidID: .reject("the document's id is empty or holds U+0000")
        case .invalidVersion:
            .reject("the document's version is no whole number from 1 on and no RFC 3339 time after 1970")
        case .invalidEventTime:
            .reject("the document's time is no RFC 3339 time, or lies outside of the years 1 to 9999")
        case .invalidAttribute: .reject("an attribute is not of the type that the collection declares")
        case .emptyText: .reject("the document has no text")
        case .valueUnavailable:
            .reject(
                "a large value did not change and was not sent: set REPLICA IDENTITY FULL for the table")
        case .eventTimeMissing: .flag("the document tells no time; the broker's is taken")
        case .textCut: .flag("the text was longer than the logic allows and was cut")
        // Of the stages that a source declares.
        case .textTooShort: .leaveOut("the text is shorter than text_characters_min")
        case .nearDuplicate: .leaveOut("another document of the window has this text, or nearly this text")
        case .languageDetected: .flag("the source tells no language; it was found by the text")
        }
    }
}

extension Rule.Declaration {
    fileprivate static func reject(_ reason: String) -> Self { Self(severity: .reject, reason: reason) }
    fileprivate static func flag(_ reason: String) -> Self { Self(severity: .flag, reason: reason) }
    fileprivate static func leaveOut(_ reason: String) -> Self { Self(severity: .leaveOut, reason: reason) }
}

/// The flags of one record: rules that it broke and that do not put it into quarantine. A set of bits, because most records of
/// some sources have one, and an array each would be an allocation each.
struct QualityFlags: OptionSet, Sendable {
    let rawValue: UInt8

    static let namespaceMissing = QualityFlags(rawValue: 1)
    static let unknownType = QualityFlags(rawValue: 2)
    static let emptyTitle = QualityFlags(rawValue: 4)
    static let eventTimeMissing = QualityFlags(rawValue: 8)
    static let textCut = QualityFlags(rawValue: 16)
    static let textTooShort = QualityFlags(rawValue: 32)
    static let nearDuplicate = QualityFlags(rawValue: 64)
    static let languageDetected = QualityFlags(rawValue: 128)
    /// Those of which the index gets no document.
    static let leavesOut: QualityFlags = [.textTooShort, .nearDuplicate]
    /// How many sets of flags there are.
    static var combinations: Int { 256 }

    /// The rules' names in the order of the table.
    var names: [String] { Self.namesByValue[Int(rawValue)] }

    private static let namesByValue = (0..<combinations).map { value in
        var names: [String] = []
        QualityFlags(rawValue: UInt8(value)).forEach { names.append($0.rawValue) }
        return names
    }

    /// Calls `body` with the rules in the order of the table.
    func forEach(_ body: (Rule) -> Void) {
        if contains(.namespaceMissing) { body(.namespaceMissing) }
        if contains(.unknownType) { body(.unknownType) }
        if contains(.emptyTitle) { body(.emptyTitle) }
        if contains(.eventTimeMissing) { body(.eventTimeMissing) }
        if contains(.textCut) { body(.textCut) }
        if contains(.textTooShort) { body(.textTooShort) }
        if contains(.nearDuplicate) { body(.nearDuplicate) }
        if contains(.languageDetected) { body(.languageDetected) }
    }
}

/// How often a rule was broken, and by which record last: a sample to look at.
package struct RuleCount: Sendable, Equatable {
    package var count = 0
    /// Offset of the last record that broke it.
    package var sampleOffset: Int64 = -1

    package init() {}

    /// Counts one record; offsets come in ascending order.
    package mutating func add(offset: Int64) {
        count += 1
        sampleOffset = offset
    }

    /// Counts the records of another count.
    mutating func add(_ other: RuleCount) {
        count += other.count
        sampleOffset = max(sampleOffset, other.sampleOffset)
    }
}

/// A broken rule with the field it is about.
package struct Rejection: Error, Equatable, Sendable {
    package let rule: Rule
    /// The field or other detail, such as `meta.dt`; empty where the rule says it all.
    package let detail: String

    package init(_ rule: Rule, _ detail: String = "") {
        self.rule = rule
        self.detail = detail
    }
}
