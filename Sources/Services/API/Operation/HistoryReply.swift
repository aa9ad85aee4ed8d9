import Bytes
import Forms
import HTTPServer
import Health

extension Operation {
    /// `GET /history`: out of memory, by series, so that a reply of an hour stays small.
    func historyReply(_ request: HTTPRequest) throws -> HTTPResponse {
        try demandAllTenants(request)
        let points = history.points
        var writer = JSONWriter(capacity: 512 + points.count * 160)
        writer.beginObject()
        writer.key("now")
        writer.time(SystemClock.epochMilliseconds())
        writer.key("step_seconds")
        writer.double(Double(history.stepMilliseconds) / 1_000)
        writer.key("at")
        writer.beginArray()
        for point in points { writer.time(point.atMilliseconds) }
        writer.endArray()
        writer.key("freshness")
        writer.beginArray()
        for point in points { writer.string(point.state.rawValue) }
        writer.endArray()
        writer.key("series")
        writer.beginArray()
        for series in MetricsHistory.Series.allCases {
            writer.beginObject()
            writer.key("name")
            writer.string(series.rawValue)
            writer.key("unit")
            writer.string(series.unit)
            writer.key("values")
            writer.beginArray()
            for point in points {
                if let value = point.values[series], value.isFinite {
                    writer.double((value * 1_000).rounded() / 1_000)
                } else {
                    writer.null()
                }
            }
            writer.endArray()
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return .fresh(writer.bytes)
    }
}

extension ReplySchemas {
    static let history = Schema.object([
        .init("now", .time()),
        .init("step_seconds", .number(), "Between two points."),
        .init("at", .array(of: .time()), "The end of each step, oldest first."),
        .init(
            "freshness", .array(of: .choice(Freshness.State.allCases.map(\.rawValue))), "Of the index at these times."),
        .init(
            "series",
            .array(
                of: Schema.object([
                    .init("name", .choice(MetricsHistory.Series.allCases.map(\.rawValue)), names),
                    .init("unit", .choice(["ms", "events", "per_second", "share", "cores", "bytes"])),
                    .init(
                        "values", .array(of: .number().orNull),
                        "One for each of `at`; null where it was not measured, or there was nothing to measure."),
                ]).named("HistorySeries"))),
    ]).named("HistoryReply")

    private static let names =
        "`freshness_p50`, `freshness_p95`: from the broker to being searchable; `oldest_wait`, `events_behind`: what is not searchable "
        + "yet; `received`, `committed`, `searchable`: what passed the stages, wherever they run; `searches`, `search_p50`, "
        + "`search_p95`, `answer_p95`: requests of this process, answers to their last word; `cache_hits`: the share of searches and answers that were kept "
        + "replies, of some steps together where there were few; `recall`: recall@10 of sampled searches; `processor`, `memory`: of this process."
}
