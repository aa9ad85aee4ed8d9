import Bytes
import JSONScan
package import Logic
import Records
package import Sources

/// What the connector wants to know of an event.
struct EventFacts {
    /// What becomes the record's key; nil where there is none.
    var key: [UInt8]?
    /// The same whenever the event comes again; empty where it has none of its own.
    var eventID: [UInt8] = []
    /// Milliseconds since 1970.
    var timeMilliseconds: Int64?
}

/// Finds in an event that is a document what its record needs; it judges nothing, which is the stream job's business. An event
/// that is no JSON, or has something else at a place, goes to the topic as it came.
///
/// Not thread-safe.
package final class DocumentEventScan {
    private var parser: JSONFieldParser
    /// Whether it is declared where events' ids stand; then nothing else is one.
    private let isDeclared: Bool
    /// Whether Wikimedia's place may hold an id: not where it is the document's, of which there are several versions.
    private let takesStandardIDs: Bool
    /// Longer texts are no keys; the logic refuses documents of such ids by name.
    private static let keyBytesMax = 255

    // What Wikimedia's streams have in common: https://wikitech.wikimedia.org/wiki/Event_Platform/Schemas/Guidelines
    private static let standardID = "meta.id"
    private static let standardTime = "meta.dt"
    /// Tells their events from others that have something at those places.
    private static let standardStream = "meta.stream"

    /// - Throws: `JSONError` where memory is out.
    package init(_ stream: ServerSentEventsDeclaration, _ logic: DocumentSettings) throws {
        isDeclared = stream.eventID != nil
        takesStandardIDs = logic.mapping.version == nil || logic.mapping.id.text != Self.standardID
        parser = try JSONFieldParser(paths: [
            (stream.key ?? logic.mapping.id).text, stream.eventID?.text ?? Self.standardID,
            (stream.eventTime ?? logic.mapping.time)?.text ?? Self.standardTime,
            Self.standardStream,
        ])
    }

    func scan(_ event: ServerSentEvent) -> EventFacts {
        var facts = EventFacts()
        if parser.parseObject(event.data) == nil {
            facts.key = Self.name(parser.field(0))
            if isDeclared || takesStandardIDs && isText(3) { facts.eventID = Self.name(parser.field(1)) ?? [] }
            let time = parser.field(2)
            if time.kind == .string { facts.timeMilliseconds = CivilTime.epochMilliseconds(rfc3339: time.text) }
        }
        // One that is inherited from an earlier event tells nothing of this one.
        if facts.eventID.isEmpty, !isDeclared, event.hasOwnID, !event.id.isEmpty {
            facts.eventID = Self.streamID(event)
        }
        return facts
    }

    /// The stream's id, and what the event holds: some servers give one id to all events of a transaction, so that only both tell a
    /// copy. Empty where that is too long.
    private static func streamID(_ event: ServerSentEvent) -> [UInt8] {
        var sum = ContentSum()
        sum.add(event.data)
        var text = event.id
        text.append(UInt8(ascii: "/"))
        for part in [sum.high, sum.low] { withUnsafeBytes(of: part.bigEndian) { Hex.append($0, to: &text) } }
        return text.count <= EventIDHeader.bytesMax ? text : []
    }

    private func isText(_ index: Int) -> Bool {
        let field = parser.field(index)
        return field.kind == .string && !field.text.isEmpty
    }

    private static func name(_ field: JSONField) -> [UInt8]? {
        switch field.kind {
        case .string where !field.text.isEmpty && field.text.count <= keyBytesMax: return Array(field.text)
        case .integer:
            var text: [UInt8] = []
            Decimal.append(field.integer, to: &text)
            return text
        default: return nil
        }
    }
}
