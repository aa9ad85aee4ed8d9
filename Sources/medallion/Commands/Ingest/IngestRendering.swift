import Bytes
import Console
import Ingest
import Records
import Sources
import Telemetry

/// The summary of `medallion ingest`, for people or as JSON. What files say is escaped: it may come from anywhere.
enum IngestRendering {
    /// Characters of a sample's text.
    private static let textMax = 200

    // MARK: What was sent

    static func show(
        _ figures: FileTally.Figures, _ end: IngestJob.End, _ source: SourceDeclaration, asJSON: Bool
    ) {
        guard !asJSON else {
            var json = JSONWriter()
            json.beginObject()
            json.string("source", source.name.text)
            json.string("topic", source.topic)
            json.bool("dry_run", false)
            json.bool("complete", end == .complete)
            json.integer("acknowledged", figures.acknowledged)
            json.integer("left_out_before", figures.refusedBefore)
            json.figures(figures)
            json.endObject()
            return Output.write(json.bytes + [0x0A])
        }
        let read = figures.files - figures.unchangedFiles
        if end == .complete, figures.documents == 0, figures.unchangedFiles > 0, figures.refused == 0, read == 0 {
            Output.line(
                "nothing new: all \(figures.files) files were sent before; --from-beginning sends them again")
        } else {
            Output.line(
                sent(figures, end, files: read, topic: source.topic)
                    + (figures.unchangedFiles > 0 ? "; in \(figures.unchangedFiles) files was nothing new" : ""))
        }
        if figures.refusedBefore > 0 {
            Output.line(
                "\(figures.refusedBefore) lines or rows of the unchanged files were left out when they were read; --from-beginning "
                    + "reads them again, such as after the source's declaration or --format was corrected")
        }
        refusals(figures)
    }

    /// What was read has not arrived where the run ended early.
    static func sent(_ figures: FileTally.Figures, _ end: IngestJob.End, files: Int, topic: String) -> String {
        guard end != .complete else {
            return "\(figures.acknowledged) documents of \(files) files sent to the topic \(topic)"
        }
        return
            "\(figures.documents) documents of \(files) files read; of \(figures.acknowledged) the topic \(topic) is known to have them"
    }

    private static func refusals(_ figures: FileTally.Figures) {
        guard figures.refused > 0 else { return }
        Output.line("left out: " + counts(figures.refusals))
        for refusal in figures.firstRefusals { Output.line("  " + LogText.escaped(refusal)) }
        let more = figures.refused - figures.firstRefusals.count
        if more > 0 { Output.line("  and \(more) more") }
    }

    /// The largest first.
    private static func sorted(_ counts: [String: Int]) -> [(key: String, value: Int)] {
        counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    }

    private static func counts(_ counts: [String: Int]) -> String {
        sorted(counts).map { "\(LogText.escaped($0.key)) \($0.value)" }.joined(separator: ", ")
    }

    // MARK: What would be sent

    static func show(
        _ report: IngestTrial.Report, _ figures: FileTally.Figures, _ source: SourceDeclaration, asJSON: Bool
    ) {
        guard !asJSON else {
            var json = JSONWriter()
            json.beginObject()
            json.string("source", source.name.text)
            json.string("topic", source.topic)
            json.bool("dry_run", true)
            json.integer("indexed", report.indexed)
            json.integer("deleted", report.deleted)
            json.counts("kept_out", report.leftOut)
            json.counts("quarantined", report.quarantined)
            json.counts("languages", report.languages)
            json.key("samples")
            json.beginArray()
            for sample in report.samples { json.sample(sample) }
            json.endArray()
            json.figures(figures)
            json.endObject()
            return Output.write(json.bytes + [0x0A])
        }
        let quarantined = report.quarantined.values.reduce(0, +)
        let keptOut = report.leftOut.values.reduce(0, +)
        Output.line(
            "\(figures.documents) documents of \(figures.files) files: \(report.indexed) would be indexed, \(quarantined) would go to "
                + "quarantine" + (keptOut > 0 ? ", \(keptOut) would be kept out of the index by the logic" : "")
                + "; a dry run: nothing was sent")
        if quarantined > 0 { Output.line("quarantine: " + counts(report.quarantined)) }
        if keptOut > 0 { Output.line("kept out of the index: " + counts(report.leftOut)) }
        if report.deleted > 0 { Output.line("deleted: \(report.deleted)") }
        if !report.languages.isEmpty { Output.line("languages: " + counts(report.languages)) }
        refusals(figures)
        for sample in report.samples { show(sample) }
    }

    private static func show(_ document: GoldDocument) {
        Output.line(
            "\(LogText.escaped(document.docID))  \(document.lang)  \(CivilTime.rfc3339(document.eventTimeMilliseconds))  "
                + LogText.escaped(document.title))
        let start = String(document.text.prefix(textMax))
        Output.line("  " + LogText.escaped(start) + (start.utf8.count < document.text.utf8.count ? "…" : ""))
    }
}

extension JSONWriter {
    /// Numbers by their names, in the order of these.
    fileprivate mutating func counts(_ key: StaticString, _ counts: [String: Int]) {
        self.key(key)
        beginObject()
        for (name, count) in counts.sorted(by: { $0.key < $1.key }) {
            self.key(dynamic: name)
            integer(count)
        }
        endObject()
    }

    /// A document as it would be indexed, without what the index keeps for itself.
    fileprivate mutating func sample(_ document: GoldDocument) {
        beginObject()
        string("doc_id", document.docID)
        string("title", document.title)
        string("text", document.text)
        string("url", document.url)
        string("lang", document.lang)
        string("event_time", CivilTime.rfc3339(document.eventTimeMilliseconds))
        endObject()
    }

    /// What was read.
    fileprivate mutating func figures(_ figures: FileTally.Figures) {
        integer("files", figures.files)
        integer("unchanged_files", figures.unchangedFiles)
        integer("documents", figures.documents)
        counts("left_out", figures.refusals)
        key("first_left_out")
        beginArray()
        for refusal in figures.firstRefusals { string(refusal) }
        endArray()
    }
}
