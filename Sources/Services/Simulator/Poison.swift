/// Ways in which a source's events go wrong, made from a good event: what quarantine is tested and measured with.
package enum Poison: String, CaseIterable, Sendable {
    case brokenUTF8, notJSON, array, missingMeta, wrongType, absurdTime, oversized, null, tooDeep, unknownSchema
    case longText, nullInID

    /// The name of the rule that catches it.
    package var rule: String {
        switch self {
        case .brokenUTF8: "invalid_utf8"
        case .notJSON: "invalid_json"
        case .array: "not_an_object"
        case .missingMeta: "missing_meta"
        case .wrongType: "wrong_type"
        case .absurdTime: "absurd_time"
        case .oversized: "too_large"
        case .null: "null_payload"
        case .tooDeep: "too_deep"
        case .unknownSchema: "unknown_schema"
        case .longText: "text_too_long"
        case .nullInID: "null_character"
        }
    }

    private static let oversizedBytes = 2 << 20
    private static let depth = 200
    /// A title may have 1 KiB.
    private static let titleBytes = 2 << 10

    /// The spoilt payload; nil is a tombstone.
    ///
    /// - Parameter event: a recent change as compact JSON, with `meta.id`, `meta.dt`, `$schema`, `title` and `bot`.
    package func payload(of event: [UInt8]) -> [UInt8]? {
        switch self {
        case .brokenUTF8: Self.insert([0xFF, 0xFE], behind: #""title":""#, in: event)
        case .notJSON: Array("<html>502 Bad Gateway</html>".utf8)
        case .array: Array("[".utf8) + event + Array("]".utf8)
        case .missingMeta: Self.insert(Array("mislaid_".utf8), behind: "\"", before: "meta\":{", in: event)
        case .wrongType: Self.insert(Array(#""no","was_bot":"#.utf8), behind: #""bot":"#, in: event)
        case .absurdTime: Self.insert(Array(#"0001-01-01T00:00:00Z","was_dt":""#.utf8), behind: #""dt":""#, in: event)
        case .oversized:
            Self.insert(
                Array(#""padding":""#.utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: Self.oversizedBytes)
                    + Array("\",".utf8), behind: "{", in: event)
        case .null: nil
        case .tooDeep:
            Self.insert(
                Array(#""deep":"#.utf8) + [UInt8](repeating: UInt8(ascii: "["), count: Self.depth)
                    + [UInt8](repeating: UInt8(ascii: "]"), count: Self.depth) + Array(",".utf8), behind: "{", in: event
            )
        case .unknownSchema: Self.insert(Array("other/".utf8), behind: #""$schema":"/mediawiki/"#, in: event)
        case .longText:
            Self.insert(
                [UInt8](repeating: UInt8(ascii: "t"), count: Self.titleBytes), behind: #""title":""#, in: event)
        case .nullInID: Self.insert(Array(#"\u0000"#.utf8), behind: #""id":""#, in: event)
        }
    }

    /// Inserts behind the first place where `mark`, and after it `next`, is found; an event without it stays as it is.
    private static func insert(
        _ bytes: [UInt8], behind mark: String, before next: String = "", in event: [UInt8]
    ) -> [UInt8] {
        let pattern = Array((mark + next).utf8)
        var index = 0
        while index + pattern.count <= event.count {
            if event[index..<index + pattern.count].elementsEqual(pattern) {
                let place = index + mark.utf8.count
                return Array(event[..<place]) + bytes + Array(event[place...])
            }
            index += 1
        }
        return event
    }
}
