import Bytes
import Replay
import Store

/// Replays as JSON, whether this process runs them or not.
enum ReplayViews {
    /// One of this process that the database does not know: a dry run.
    static func json(_ run: ReplayRunner.Run) -> [UInt8] {
        let progress = run.monitor.progress
        let state =
            run.isOver
            ? run.error == nil ? "done" : "failed" : progress.wish.isPaused ? "paused" : "running"
        return json(
            id: run.id, isDryRun: run.isDryRun, generation: progress.generation, state: state,
            phase: progress.phase.rawValue, topics: run.topics, wish: progress.wish, figures: progress.figures,
            progress: progress, model: progress.model, error: run.error ?? "", keyID: run.keyID,
            startedAt: run.startedAtMilliseconds,
            report: run.report)
    }

    /// - Parameter run: the same replay, where this process runs or ran it.
    static func json(_ kept: KeptReplay, _ run: ReplayRunner.Run?) -> [UInt8] {
        let isLive = run?.isOver == false
        let isInterrupted = !isLive && kept.isInterrupted
        let state =
            kept.state != .running
            ? kept.state.rawValue : isInterrupted ? "interrupted" : kept.wish.isPaused ? "paused" : "running"
        let progress = run?.monitor.progress
        return json(
            id: "\(kept.generation)", isDryRun: false, generation: kept.generation, state: state,
            phase: isLive ? progress?.phase.rawValue ?? kept.phase : kept.phase, topics: kept.topics, wish: kept.wish,
            figures: isLive ? progress?.figures ?? kept.figures : kept.figures, progress: isLive ? progress : nil,
            model: kept.model.isEmpty ? nil : kept.model, error: kept.error, keyID: kept.keyID,
            startedAt: kept.startedAtMilliseconds, report: run?.report)
    }

    private static func json(
        id: String, isDryRun: Bool, generation: Int64?, state: String, phase: String, topics: [String],
        wish: ReplayWish, figures: ReplayFigures, progress: ReplayProgress?, model: String?, error: String,
        keyID: String,
        startedAt: Int64, report: ReplayReport?
    ) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.string("id", id)
        json.key("dry_run")
        json.bool(isDryRun)
        json.key("generation")
        if let generation { json.integer(generation) } else { json.null() }
        json.string("state", state)
        json.string("phase", phase)
        json.key("topics")
        json.beginArray()
        for topic in topics { json.string(topic) }
        json.endArray()
        json.key("model")
        if let model { json.string(model) } else { json.null() }
        json.key("paused")
        json.bool(wish.isPaused)
        json.integer("rate", wish.rate)
        json.integer("wanted_offsets", figures.wanted)
        json.integer("done_offsets", figures.done)
        for (name, value) in [
            ("offsets_per_second", progress.map { ($0.offsetsPerSecond * 10).rounded() / 10 }),
            ("seconds_left", progress?.secondsLeft?.rounded(.up)),
        ] {
            json.key(dynamic: name)
            if let value { json.double(value) } else { json.null() }
        }
        for (name, value) in [
            ("added", figures.added), ("changed", figures.changed), ("removed", figures.removed),
            ("unchanged", figures.unchanged), ("embedded", figures.embedded), ("inherited", figures.inherited),
        ] {
            json.key(dynamic: name)
            json.integer(value)
        }
        json.key("embeddings_needed")
        if let count = progress?.embeddingsNeeded { json.integer(count) } else { json.null() }
        json.key("embeddings_needed_is_least")
        json.bool(progress?.isEmbeddingsNeededLeast == true)
        json.string("error", error)
        json.key("key")
        if keyID.isEmpty { json.null() } else { json.string(keyID) }
        json.string("started_at", CivilTime.rfc3339(startedAt))
        json.key("report")
        if let report {
            json.beginObject()
            json.members(of: report)
            json.endObject()
        } else {
            json.null()
        }
        json.endObject()
        return json.bytes
    }
}
