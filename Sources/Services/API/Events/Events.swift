import Bytes
import Concurrency
import HTTPEndpoints
import HTTPServer
import Health
import Records
import Retrieval

/// `GET /events/recent`: events that became Gold and are searchable.
struct Events: Sendable {
    let scope: TenantScope
    let stores: StoreLanes
    let freshness: @Sendable (TenantID) -> Freshness
    let pipeline: @Sendable (TenantID) -> PipelineStatus?
    let turns: RequestTurns

    /// Documents that `GET /events/recent` gives at most.
    static let recentMax = 200
    static let recentDefault = 50

    /// Documents that one request looks at where a filter narrows what the index gave; the next page goes on behind them.
    private static let recentExaminedMax = 500

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.recent, async: { input, request in try await recent(input, request) })
    }

    /// `GET /events/recent`, newest first.
    func recent(_ input: EventsInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let declared = try scope.declared(for: request)
        return try await turns.run(.feed, request) { deadline in
            try await recent(input, declared, deadline: deadline)
        }
    }

    private func recent(
        _ input: EventsInput, _ declared: DeclaredAttributes, deadline: Deadline
    ) async throws -> HTTPResponse {
        let tenant = declared.tenant
        let (filter, narrowing) = try input.feed.checked(declared).split
        let cursor = try input.cursor?.checked(for: tenant)
        let query = RecentQuery(
            limit: narrowing.takesAll ? input.limit : Self.recentExaminedMax, filter: filter,
            generation: cursor?.generation,
            afterIndexVersion: input.after.map(Int64.init), before: cursor?.position)
        let (status, found) = try await stores.run(deadline: deadline) { store, timeout in
            // The status first: a document that comes between the two reads is newer than the version we name, and
            // a client that goes on from there gets it (again) instead of missing it.
            let status = try store.status(timeoutMilliseconds: timeout)
            return (status, try store.recent(query, timeoutMilliseconds: timeout))
        }
        guard found.isGenerationServed else { throw APIError.notServed(generation: cursor?.generation) }
        let page = narrowing.takesAll ? found : found.narrowed(to: input.limit, by: narrowing)
        let documents = page.documents
        let next = page.next.map { RecentCursor(generation: page.generation, position: $0, of: tenant) }
        var writer = JSONWriter(capacity: 700 * (documents.count + 1))
        writer.beginObject()
        writer.key("events")
        writer.beginArray()
        for document in documents { writer.event(document) }
        writer.endArray()
        writer.key("generation")
        writer.integer(page.generation)
        writer.key("index_version")
        writer.integer(status.indexVersion)
        // The transaction that these rows were read after may be newer than the last look.
        var freshness = self.freshness(tenant)
        freshness.indexedAtMilliseconds = status.indexedAtMilliseconds
        writer.freshness(freshness)
        writer.key("next_cursor")
        writer.optional(next?.text)
        writer.key("complete")
        writer.bool(!page.isCutShort)
        writer.key("now")
        writer.time(SystemClock.epochMilliseconds())
        writer.key("pipeline")
        writer.pipeline(pipeline(tenant), freshness)
        writer.endObject()
        return .fresh(writer.bytes)
    }
}

extension RecentPage {
    /// The first documents that pass a filter which the index does not know; the next page goes on behind the last one
    /// looked at.
    fileprivate func narrowed(to limit: Int, by filter: FeedFilter) -> RecentPage {
        var taken: [RecentDocument] = []
        var examined = 0
        while examined < documents.count, taken.count < limit {
            let document = documents[examined]
            examined += 1
            if filter.takes(document.document) {
                taken.append(document)
            }
        }
        let next = examined < documents.count ? documents[examined - 1].position : self.next
        return RecentPage(
            documents: taken, generation: generation, next: next, isCutShort: next != nil && taken.count < limit)
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
