import Bytes
import Console
import Lake
import Records

/// `lake verify` and `lake stat`: actions that read all of the lake's logs.
struct LakeInspection {
    let reader: LakeReader
    let topic: String?
    let partition: Int32?
    let isJSON: Bool

    // MARK: verify

    /// - Throws: ``Failure`` after the report where anything was found, so that the exit code tells.
    func verify() throws {
        let began = SystemClock.monotonicNanoseconds()
        let isJSON = isJSON
        let verifier = try LakeVerifier(layout: reader.layout) { finding in
            if isJSON {
                var json = JSONWriter()
                json.beginObject()
                json.string("place", finding.place)
                json.string("problem", finding.problem)
                json.endObject()
                Output.write(json.bytes + [0x0A])
            } else {
                Output.line("\(finding.place): \(finding.problem)")
            }
        }
        let report = try verifier.run(topic: topic, partition: partition)
        let seconds = Double(SystemClock.monotonicNanoseconds() - began) / 1e9
        show(report, seconds: seconds)
        if report.findings > 0 { throw Failure("the lake is damaged: \(report.findings) findings, listed above") }
    }

    private func show(_ report: VerifyReport, seconds: Double) {
        if isJSON {
            var json = JSONWriter()
            json.beginObject()
            json.integer("files", report.files)
            json.integer("files_tiered", report.filesTiered)
            json.integer("files_expired", report.filesExpired)
            json.integer("lines", report.lines)
            json.integer("bytes", report.bytes)
            json.integer("raw_bytes", report.rawBytes)
            json.integer("log_entries", report.logEntries)
            json.integer("lines_erased", report.linesErased)
            json.key("erasures")
            json.beginArray()
            for id in report.erasures { json.string(id) }
            json.endArray()
            json.key("erasures_unfinished")
            json.beginArray()
            for id in report.erasuresUnfinished { json.string(id) }
            json.endArray()
            json.integer("findings", report.findings)
            json.double("seconds", seconds)
            json.endObject()
            Output.write(json.bytes + [0x0A])
        } else {
            Output.line(
                "\(report.files) files, \(report.lines) lines, \(Rendering.bytes(report.rawBytes)) of text in "
                    + "\(Rendering.bytes(report.bytes)), \(report.logEntries) log entries: "
                    + (report.findings == 0 ? "all well" : "\(report.findings) findings"))
            if !report.erasures.isEmpty {
                Output.line(
                    "\(report.linesErased) records erased by \(report.erasures.joined(separator: ", "))"
                        + (report.erasuresUnfinished.isEmpty
                            ? "" : "; not finished: \(report.erasuresUnfinished.joined(separator: ", "))"))
            }
        }
    }

    // MARK: stat

    /// What one layer of one hour comes to, over topic partitions.
    private struct Row {
        var files = 0
        var lines = 0
        var bytes = 0
        var rawBytes = 0
        var isOpen = false
    }

    private struct Key: Hashable, Comparable {
        let hour: LakeHour
        let layer: String
        let generation: Int64

        static func < (a: Key, b: Key) -> Bool {
            (a.hour, a.layer, a.generation) < (b.hour, b.layer, b.generation)
        }
    }

    /// Events, bytes and ratio by hour and layer, then rejected records by rule.
    func stat() throws {
        var rows: [Key: Row] = [:]
        var rejects: [Key: Int] = [:]
        var duplicates = 0
        var canaries = 0
        for source in try sources() {
            let replays = try reader.replays().filter { $0.source == source }.map { Optional($0.generation) }
            for replay in [nil] + replays {
                try reader.forEachHour(source, replay: replay) { hour throws(LakeError) in
                    // Beside a writer it may be sealed already.
                    let opened = reader.open(hour)
                    for file in opened.hour.files {
                        let key = Key(
                            hour: hour.hour, layer: file.name.layer.rawValue, generation: file.name.generation ?? 0)
                        // What retention gave up is not held any more.
                        guard let rawBytes = try opened.contentSize(of: file) else { continue }
                        rows[key, default: Row()].files += 1
                        rows[key, default: Row()].lines += file.lines
                        rows[key, default: Row()].bytes += file.bytes
                        rows[key, default: Row()].rawBytes += rawBytes
                        if !file.isSealed { rows[key, default: Row()].isOpen = true }
                    }
                    for commit in hour.commits {
                        duplicates += commit.duplicates
                        canaries += commit.canaries
                        for part in commit.parts {
                            for (rule, count) in part.rejects {
                                rejects[Key(hour: hour.hour, layer: rule, generation: part.generation), default: 0] +=
                                    count
                            }
                        }
                    }
                }
            }
        }
        for (key, row) in rows.sorted(by: { $0.key < $1.key }) { show(key, row) }
        for (key, count) in rejects.sorted(by: { $0.key < $1.key }) { show(key, rejects: count) }
        if !isJSON { Output.line("left out: \(duplicates) duplicates, \(canaries) canary events") }
    }

    private func sources() throws -> [TopicPartition] {
        try reader.sources().filter { source in
            (topic == nil || source.topic == topic) && (partition == nil || source.partition == partition)
        }
    }

    private func show(_ key: Key, _ row: Row) {
        let ratio = row.bytes > 0 ? Double(row.rawBytes) / Double(row.bytes) : 0
        if isJSON {
            var json = head(key)
            json.string("layer", key.layer)
            json.integer("files", row.files)
            json.integer("lines", row.lines)
            json.integer("bytes", row.bytes)
            json.integer("raw_bytes", row.rawBytes)
            json.double("ratio", (ratio * 100).rounded() / 100)
            json.bool("is_open", row.isOpen)
            json.endObject()
            Output.write(json.bytes + [0x0A])
        } else {
            let name = key.layer + (key.generation > 0 ? " generation \(key.generation)" : "")
            let ratioText = "\(Double(Int(ratio * 10)) / 10)"
            Output.line(
                "\(key.hour)  \(name)  \(row.lines) lines  \(Rendering.bytes(row.bytes)) of "
                    + "\(Rendering.bytes(row.rawBytes))  ratio \(ratioText)  \(row.files) files"
                    + (row.isOpen ? "  open" : ""))
        }
    }

    private func show(_ key: Key, rejects: Int) {
        if isJSON {
            var json = head(key)
            json.string("rule", key.layer)
            json.integer("rejected", rejects)
            json.endObject()
            Output.write(json.bytes + [0x0A])
        } else {
            Output.line("\(key.hour)  rejected by \(key.layer) in generation \(key.generation): \(rejects)")
        }
    }

    private func head(_ key: Key) -> JSONWriter {
        var json = JSONWriter()
        json.beginObject()
        json.string("hour", CivilTime.rfc3339(key.hour.number * 3_600_000))
        json.key("generation")
        if key.generation > 0 { json.integer(key.generation) } else { json.null() }
        return json
    }
}
