import Forms
import HTTPEndpoints
import JSONScan
import Retrieval

/// A place in the list of events, newest first, of the generation that it was begun in: everything newer is before it.
struct RecentCursor: Sendable, Hashable {
    var generation: Int64
    var position: RecentPosition

    var text: String { "\(generation).\(position.indexVersion).\(position.documentID)" }

    init(generation: Int64, position: RecentPosition) {
        self.generation = generation
        self.position = position
    }

    init?(text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, parts.allSatisfy({ $0.first.map { (0x30...0x39).contains($0) } == true }) else {
            return nil
        }
        let numbers = parts.compactMap { Int64(Substring($0)) }
        guard numbers.count == 3 else { return nil }
        self.init(
            generation: numbers[0], position: RecentPosition(indexVersion: numbers[1], documentID: numbers[2]))
    }
}

extension Form where Value == RecentCursor {
    /// A `next_cursor` of `GET /events/recent`.
    static var recentCursor: Form<RecentCursor> {
        let take: @Sendable (String, inout InputReading) -> RecentCursor? = { text, reading in
            if let cursor = RecentCursor(text: text) { return cursor }
            reading.fault("cursor_invalid", "is not a next_cursor of this API", input: .string(text))
            return nil
        }
        return Form(
            schema: .string(pattern: "^[0-9]{1,18}\\.[0-9]{1,18}\\.[0-9]{1,18}$"), json: { .string($0.text) },
            read: { value, reading in take(value.string ?? "", &reading) },
            readTexts: { texts, reading in take(texts.first ?? "", &reading) })
    }
}
