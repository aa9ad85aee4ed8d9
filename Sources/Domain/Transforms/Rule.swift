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
    case namespaceMissing = "namespace_missing"
    case unknownType = "unknown_type"
    case emptyTitle = "empty_title"

    /// What happens to a record that breaks the rule.
    package enum Severity: String, Sendable {
        /// It goes to quarantine.
        case reject
        /// It is kept, with the rule's name in `quality_flags`.
        case flag
    }

    /// Reject or flag.
    package var severity: Severity {
        switch self {
        case .namespaceMissing, .unknownType, .emptyTitle: .flag
        default: .reject
        }
    }

    /// Why the rule exists, for people.
    package var reason: String {
        switch self {
        case .nullPayload: "the record has no value (a tombstone)"
        case .tooLarge: "the value is larger than 1 MiB"
        case .invalidUTF8: "the value is not valid UTF-8"
        case .truncatedJSON: "the value begins as a JSON object and breaks off"
        case .invalidJSON: "the value is not valid JSON (RFC 8259)"
        case .tooDeep: "the value nests deeper than 64 levels"
        case .notAnObject: "the value is JSON, but not an object"
        case .missingMeta: "there is no `meta` object"
        case .missingField: "a required field is absent"
        case .wrongType: "a field has another type than its schema says"
        case .unknownSchema: "`$schema` is not /mediawiki/recentchange/1.x.y"
        case .invalidTime: "`meta.dt` is not an RFC 3339 time"
        case .absurdTime: "`meta.dt` lies before 2001-01-15 or more than a day after the broker received it"
        case .namespaceMissing: "the event does not tell its namespace"
        case .unknownType: "`type` is none of edit, new, log, categorize, external"
        case .emptyTitle: "the title is empty"
        }
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
