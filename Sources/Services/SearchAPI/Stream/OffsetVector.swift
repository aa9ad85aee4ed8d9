import HTTPEndpoints
import JSONScan
import Retrieval

/// For each topic partition of the source the next offset: everything below was shown. The id of a streamed event.
package struct OffsetVector: Sendable, Equatable {
    /// Next source offsets by topic partition; what is absent is 0.
    package private(set) var offsets: [Int32: Int64]

    package init(_ offsets: [Int32: Int64] = [:]) {
        self.offsets = offsets
    }

    /// Topic partitions that a text may name.
    private static let partitionsMax = 1_024

    /// Reads ``text``; nil where it is none.
    package init?(text: String) {
        offsets = [:]
        for part in text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            let pair = part.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
            guard pair.count == 2, let partition = Int32(Substring(pair[0])), partition >= 0,
                let offset = Int64(Substring(pair[1])), offset >= 0, offsets.count < Self.partitionsMax,
                offsets.updateValue(offset, forKey: partition) == nil
            else { return nil }
        }
    }

    /// `0:1200,1:455`
    package var text: String {
        offsets.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }.joined(separator: ",")
    }

    /// The next offset of a topic partition; 0 where nothing is known.
    package subscript(_ partition: Int32) -> Int64 {
        get { offsets[partition] ?? 0 }
        set { offsets[partition] = newValue }
    }

    /// Whether everything below `other` is below this too.
    package func covers(_ other: OffsetVector) -> Bool { other.offsets.allSatisfy { self[$0.key] >= $0.value } }

    /// Without topic partitions whose numbers lie far beyond those of `other`: a client may name what is not there, and
    /// each of its events would carry it. A topic that has just grown has room.
    package func limited(by other: OffsetVector) -> OffsetVector {
        let last = Int(other.offsets.keys.max() ?? 0) + Self.partitionsAhead
        return OffsetVector(offsets.filter { Int($0.key) <= last })
    }

    private static let partitionsAhead = 64

    /// Moves every offset up to that of `other`.
    package mutating func raise(to other: OffsetVector) {
        for (partition, offset) in other.offsets where offset > self[partition] { offsets[partition] = offset }
    }
}

/// What `GET /stream` reads.
struct StreamInput: Sendable {
    var events = EventsInput()
    var text: String?
    var lastEventID: OffsetVector?

    static let form = InputForm(
        StreamInput(),
        [
            Parameter(.query, "wiki", \.events.filters.wikis, words, "Database names such as `enwiki`, with commas."),
            Parameter(.query, "type", \.events.filters.types, words, "Event types, with commas."),
            Parameter(.query, "bot", \.events.filters.isBot, Form<Bool>.bool.optional, "Only bots, or only people."),
            Parameter(
                .query, "text", \.text, Form<String>.string(1...200).optional,
                "Only events whose text holds this, whatever the case."),
            Parameter(
                .header, "Last-Event-ID", \.lastEventID, vector.optional,
                "The id of the last event that was seen; the stream goes on behind it."),
        ])

    private static let words = Form<[String]>.list(of: SearchFilters.word, countMax: SearchLimits.filterValuesMax)

    private static let vector = Form<OffsetVector>(
        schema: .string(pattern: "^[0-9]{1,9}:[0-9]{1,18}(,[0-9]{1,9}:[0-9]{1,18}){0,1023}$"),
        json: { .string($0.text) },
        read: { value, reading in
            reading.fault("cursor_invalid", "is not an id of this stream", input: value)
            return nil
        },
        readTexts: { texts, reading in
            if let text = texts.first, let vector = OffsetVector(text: text) { return vector }
            reading.fault("cursor_invalid", "is not an id of this stream", input: texts.first.map(JSONValue.string))
            return nil
        })
}
