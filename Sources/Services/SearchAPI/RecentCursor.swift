import HTTPEndpoints
import JSONScan

/// A place in the list of events, newest first: everything of index versions above is behind it, and so many of the
/// version itself.
struct RecentCursor: Sendable, Hashable {
    var indexVersion: Int64
    /// Events of `indexVersion` already given.
    var skip: Int

    /// Events of one index transaction that can be skipped; an indexer writes far fewer.
    static let skipMax = 300

    var text: String { "\(indexVersion).\(skip)" }

    init(indexVersion: Int64, skip: Int) {
        self.indexVersion = indexVersion
        self.skip = skip
    }

    init?(text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 2, let version = Int64(Substring(parts[0])), version >= 0,
            let skip = Int(Substring(parts[1])), (0...Self.skipMax).contains(skip)
        else { return nil }
        self.init(indexVersion: version, skip: skip)
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
            schema: .string(pattern: "^[0-9]{1,18}\\.[0-9]{1,3}$"), json: { .string($0.text) },
            read: { value, reading in take(value.string ?? "", &reading) },
            readTexts: { texts, reading in take(texts.first ?? "", &reading) })
    }
}
