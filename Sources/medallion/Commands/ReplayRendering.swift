import Bytes
import Console
import Glibc
import Replay
import Store
import Telemetry

/// Replays for a terminal or as JSON. What documents say is escaped: it may come from anywhere.
enum ReplayRendering {
    static func text(_ report: ReplayReport) {
        for (source, range) in report.ranges.sorted(by: { $0.key < $1.key }) { Output.line("\(source) \(range)") }
        for (topic, changes) in report.changes.sorted(by: { $0.key < $1.key }) {
            if changes.isEmpty { Output.line("\(topic): the logic of generation \(report.parent)") }
            for change in changes { Output.line("\(topic): \(LogText.escaped(change.sentence))") }
        }
        if let model = report.model { Output.line("vectors of model \(LogText.escaped(model))") }
        let difference = report.difference
        Output.line(
            "documents: \(difference.added) added, \(difference.changed) changed, \(difference.removed) removed, "
                + "\(difference.unchanged) unchanged against generation \(report.parent)")
        for (word, samples) in kinds(report.samples) {
            for sample in samples { show(word, sample) }
        }
        guard let generation = report.generation else {
            if let count = report.embeddingsNeeded {
                Output.line("texts to be embedded: \(report.isEmbeddingsNeededLeast ? "at least " : "")\(count)")
            }
            Output.line("\(made(report)); a dry run: nothing was written")
            return
        }
        Output.line("texts embedded: \(report.embedded); documents taken over from the parent: \(report.inherited)")
        Output.line(
            "generation \(generation) (\(made(report))) is complete: medallion promote \(generation)")
    }

    private static func kinds(_ samples: ReplaySamples) -> [(String, [ReplaySample])] {
        [("added", samples.added), ("changed", samples.changed), ("removed", samples.removed)]
    }

    private static func show(_ word: String, _ sample: ReplaySample) {
        Output.line("\(word) \(LogText.escaped(sample.docID))  \(sample.source) \(sample.offset)")
        for (mark, side) in [("-", sample.before), ("+", sample.after)] {
            if let side { Output.line("  \(mark) \(LogText.escaped(side.title)): \(LogText.escaped(side.text))") }
        }
    }

    /// By what a generation is made; only its vectors where no topic is replayed.
    private static func made(_ report: ReplayReport) -> String {
        "logic "
            + (report.logics.isEmpty ? report.logicVersion : Set(report.logics.values).sorted().joined(separator: ", "))
    }

    static func json(_ report: ReplayReport) {
        var json = JSONWriter()
        json.beginObject()
        json.members(of: report)
        json.endObject()
        Output.write(json.bytes + [0x0A])
    }

    /// One line of a list.
    static func line(_ replay: KeptReplay, asJSON: Bool) {
        let isInterrupted = replay.isInterrupted
        let state = isInterrupted ? "interrupted" : replay.state.rawValue
        let figures = replay.figures
        guard !asJSON else {
            var json = JSONWriter()
            json.beginObject()
            json.integer("generation", replay.generation)
            json.string("state", state)
            json.string("phase", replay.phase)
            json.key("is_paused")
            json.bool(replay.wish.isPaused)
            json.integer("rate", replay.wish.rate)
            json.integer("wanted_offsets", figures.wanted)
            json.integer("done_offsets", figures.done)
            json.key("model")
            if replay.model.isEmpty { json.null() } else { json.string(replay.model) }
            json.string("error", replay.error)
            json.endObject()
            return Output.write(json.bytes + [0x0A])
        }
        let advice =
            isInterrupted
            ? "; medallion replay --resume \(replay.generation), or generations --prune \(replay.generation)"
            : replay.error.isEmpty ? "" : ": \(LogText.escaped(replay.error))"
        Output.line(
            "\(replay.generation)  \(state)\(replay.wish.isPaused && !isInterrupted ? ", paused" : "")  "
                + "\((replay.topics + (replay.model.isEmpty ? [] : [LogText.escaped(replay.model)])).joined(separator: ","))  \(figures.done) of \(figures.wanted) offsets  "
                + "since \(CivilTime.rfc3339(replay.startedAtMilliseconds))\(advice)")
    }

    // MARK: Progress

    private static let width = 30

    /// One line that is written over on a terminal, else a line of the log now and then; until the task is cancelled.
    static func follow(_ monitor: ReplayMonitor, _ context: Context) async {
        let isTerminal = context.isTerminal
        let logger = context.logger.scoped("replay")
        var isShown = false
        while !Task.isCancelled {
            try? await Task.sleep(nanoseconds: isTerminal ? 200_000_000 : 10_000_000_000)
            let progress = monitor.progress
            guard !Task.isCancelled, progress.phase != .handover else { continue }
            guard isTerminal else {
                logger.info(
                    "replaying",
                    [
                        "phase": progress.phase.rawValue, "done": "\(progress.figures.done)",
                        "wanted": "\(progress.figures.wanted)", "rate": "\(Int(progress.offsetsPerSecond))",
                        "seconds_left": progress.secondsLeft.map { "\(Int($0.rounded(.up)))" } ?? "",
                    ])
                continue
            }
            write("\r" + line(progress))
            isShown = true
        }
        if isShown { write("\r" + line(monitor.progress) + "\n") }
    }

    private static func write(_ text: String) {
        // Of a line that cannot be shown nothing more can be said.
        _ = text.withCString { Glibc.write(STDERR_FILENO, $0, strlen($0)) }
    }

    static func line(_ progress: ReplayProgress) -> String {
        let share = progress.share
        let filled = Int((min(1, share) * Double(width)).rounded(.down))
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
        let left = progress.secondsLeft.map { "  \(Int($0.rounded(.up))) s left" } ?? ""
        let state =
            progress.wish.isPaused ? "  paused" : progress.phase == .records ? "" : "  \(progress.phase.rawValue)"
        return "[\(bar)] \(Int(share * 100)) %  \(progress.figures.done) of \(progress.figures.wanted) offsets  "
            + "\(Int(progress.offsetsPerSecond))/s\(left)\(state)  "
    }
}

extension JSONWriter {
    /// What a replay did, or would do.
    mutating func members(of report: ReplayReport) {
        key("generation")
        if let generation = report.generation { integer(generation) } else { null() }
        integer("parent", report.parent)
        key("model")
        if let model = report.model { string(model) } else { null() }
        string("logic_version", report.logicVersion)
        key("logics")
        beginObject()
        for (topic, version) in report.logics.sorted(by: { $0.key < $1.key }) {
            key(dynamic: topic)
            string(version)
        }
        endObject()
        key("logic_changes")
        beginObject()
        for (topic, changes) in report.changes.sorted(by: { $0.key < $1.key }) {
            key(dynamic: topic)
            beginArray()
            for change in changes { self.change(change) }
            endArray()
        }
        endObject()
        key("ranges")
        beginArray()
        for (source, range) in report.ranges.sorted(by: { $0.key < $1.key }) {
            beginObject()
            string("topic", source.topic)
            integer("partition", source.partition)
            integer("start_offset", range.start)
            integer("next_offset", range.end)
            endObject()
        }
        endArray()
        for (name, value) in [
            ("added", report.difference.added), ("changed", report.difference.changed),
            ("removed", report.difference.removed), ("unchanged", report.difference.unchanged),
            ("embedded", report.embedded), ("inherited", report.inherited),
        ] {
            key(dynamic: name)
            integer(value)
        }
        key("embeddings_needed")
        if let count = report.embeddingsNeeded { integer(count) } else { null() }
        key("embeddings_needed_is_least")
        bool(report.isEmbeddingsNeededLeast)
        key("samples")
        beginObject()
        for (name, list) in [
            ("added", report.samples.added), ("changed", report.samples.changed), ("removed", report.samples.removed),
        ] {
            key(dynamic: name)
            beginArray()
            for sample in list { self.sample(sample) }
            endArray()
        }
        endObject()
    }

    private mutating func sample(_ sample: ReplaySample) {
        beginObject()
        string("doc_id", sample.docID)
        string("topic", sample.source.topic)
        integer("partition", sample.source.partition)
        integer("offset", sample.offset)
        for (name, side) in [("before", sample.before), ("after", sample.after)] {
            key(dynamic: name)
            guard let side else {
                null()
                continue
            }
            beginObject()
            string("title", side.title)
            string("text", side.text)
            endObject()
        }
        endObject()
    }
}
