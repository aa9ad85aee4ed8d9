import Bytes
import HTTPServer
import Health
import Retrieval

extension SearchAPI {
    /// Documents that `GET /events/recent` gives at most.
    static let recentMax = 200
    static let recentDefault = 50

    /// `GET /events/recent`: events that became Gold and are searchable, newest first.
    func recent(_ input: EventsInput, deadline: Deadline) async throws -> HTTPResponse {
        let skip = input.cursor?.skip ?? 0
        let (status, found) = try await stores.run(deadline: deadline) { store, timeout in
            // The status first: a document that comes between the two reads is newer than the version we name, and
            // a client that goes on from there gets it (again) instead of missing it.
            let status = try store.status(timeoutMilliseconds: timeout)
            let found = try store.recent(
                limit: input.limit + skip + 1, filters: input.filters, afterIndexVersion: input.after.map(Int64.init),
                upToIndexVersion: input.cursor?.indexVersion, timeoutMilliseconds: timeout)
            return (status, found)
        }
        let documents = found.dropFirst(skip).prefix(input.limit)
        var next: RecentCursor?
        if found.count > skip + input.limit, let last = documents.last {
            let same = documents.count { $0.indexVersion == last.indexVersion }
            let before = last.indexVersion == input.cursor?.indexVersion ? skip : 0
            next = RecentCursor(indexVersion: last.indexVersion, skip: min(before + same, RecentCursor.skipMax))
        }
        var writer = JSONWriter(capacity: 700 * (documents.count + 1))
        writer.beginObject()
        writer.key("events")
        writer.beginArray()
        for document in documents { writer.event(document) }
        writer.endArray()
        writer.key("generation")
        writer.integer(status.generation)
        writer.key("index_version")
        writer.integer(status.indexVersion)
        // The transaction that these rows were read after may be newer than the last look.
        var freshness = dependencies.freshness()
        freshness.indexedAtMilliseconds = status.indexedAtMilliseconds
        writer.freshness(freshness)
        writer.key("next_cursor")
        writer.optional(next?.text)
        writer.key("now")
        writer.time(SystemClock.epochMilliseconds())
        writer.key("pipeline")
        writer.pipeline(dependencies.pipeline(), freshness)
        writer.endObject()
        return .fresh(writer.bytes)
    }
}

extension JSONWriter {
    fileprivate mutating func event(_ recent: RecentDocument) {
        beginObject()
        identity(of: recent.document)
        key("text")
        string(recent.document.text)
        key("event_time")
        time(recent.document.eventTimeMilliseconds)
        key("indexed_at")
        time(recent.indexedAtMilliseconds)
        key("index_version")
        integer(recent.indexVersion)
        filterColumns(of: recent.document)
        key("lineage")
        raw(recent.document.lineageJSON)
        endObject()
    }

    /// Where events come from, and how far behind the index is; null where this process does not know.
    mutating func pipeline(_ status: PipelineStatus?, _ freshness: Freshness) {
        guard let status else {
            null()
            return
        }
        beginObject()
        key("source")
        string(status.kind.rawValue)
        key("name")
        string(status.name)
        key("received_at")
        time(status.receivedAtMilliseconds)
        key("events_behind")
        optional(freshness.eventsBehind)
        endObject()
    }
}
