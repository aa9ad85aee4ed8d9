import Bytes
import Console
import Derivation
import Lake
import Logic
import Records

/// `medallion lake retain`: removes sealed files by age or size; shows what would go unless told to do it.
struct LakeRetain {
    let options: LakeUpkeepOptions
    let layer: Layer
    let isJSON: Bool

    func run(_ reader: LakeReader, _ sources: [TopicPartition]) throws {
        let now = SystemClock.epochMilliseconds()
        let rule: Retention.Rule
        let reason: String
        switch (options.olderThan, options.bytesMax) {
        case (let age?, nil):
            rule = .endedBy(now - age)
            reason = "older than \(options.olderThanText)"
        case (nil, let bytes?):
            rule = .bytesMax(bytes)
            reason = "more than \(bytes) bytes"
        default: throw UsageError("retain needs either --older-than or --max-bytes")
        }
        let window = try duplicateWindow(reader, topics: Set(sources.map(\.topic)))
        let retention = Retention(
            layout: reader.layout, windowOffsets: window.offsets, windowMilliseconds: window.milliseconds)
        let plan: [(listed: ListedFile, verdict: Retention.Verdict)]
        if options.applies {
            plan = try retention.apply(layer, sources, rule, reason: reason, now: now)
        } else {
            plan = try retention.plan(layer, sources, rule)
        }
        for (listed, verdict) in plan { tell(listed, verdict, reader.layout) }
        try summarize(plan, unfinished: try sources.flatMap { try retention.unfinished($0) })
    }

    /// The widest of the generations in use.
    private func duplicateWindow(_ reader: LakeReader, topics: Set<String>) throws -> DuplicateWindow.Limits {
        var (offsets, milliseconds): (Int64, Int64) = (0, 0)
        for generation in try GenerationLog(layout: reader.layout).read() where generation.isFed {
            for limits in try topics.compactMap({ try generation.logic.logic(of: $0)?.read().duplicateReach }) {
                offsets = max(offsets, limits.offsets)
                milliseconds = max(milliseconds, limits.milliseconds)
            }
        }
        return DuplicateWindow.Limits(offsets: offsets, milliseconds: milliseconds)
    }

    private func summarize(
        _ plan: [(listed: ListedFile, verdict: Retention.Verdict)], unfinished: [Expiry]
    ) throws {
        let going = plan.filter { $0.verdict == .goes }
        let bytes = going.reduce(0) { $0 + $1.listed.file.bytes }
        if isJSON {
            var json = JSONWriter()
            json.beginObject()
            json.string("layer", layer.rawValue)
            json.integer("files", going.count)
            json.integer("bytes", bytes)
            json.integer("kept", plan.count - going.count)
            json.bool("applied", options.applies)
            json.integer("unfinished", unfinished.count)
            json.endObject()
            Output.write(json.bytes + [0x0A])
            return
        }
        let verb = options.applies ? "removed" : "would be removed; --apply does it"
        Output.line("\(going.count) files, \(bytes) bytes of \(layer.rawValue) \(verb)")
        for expiry in unfinished {
            Output.line("an earlier removal was interrupted and is finished by --apply: \(expiry)")
        }
    }

    private func tell(_ listed: ListedFile, _ verdict: Retention.Verdict, _ layout: LakeLayout) {
        let path = layout.dataFile(listed.name)
        guard isJSON else {
            switch verdict {
            case .goes: Output.line("\(path)  offsets \(listed.range)  \(listed.file.bytes) bytes")
            case .stays(let reason):
                let rest = listed.name.layer == .bronze ? ", and what follows it" : ""
                Output.line("stays: \(path)\(rest): \(reason)")
            }
            return
        }
        var json = JSONWriter()
        json.beginObject()
        json.string("file", path)
        json.integer("start_offset", listed.range.start)
        json.integer("next_offset", listed.range.end)
        json.integer("bytes", listed.file.bytes)
        if case .stays(let reason) = verdict {
            json.string("kept", reason)
        }
        json.endObject()
        Output.write(json.bytes + [0x0A])
    }
}
