import Bytes
import Console
import Lake
import Records
import Telemetry

/// Options of the actions that move or remove sealed files.
struct LakeUpkeepOptions {
    /// In milliseconds; nil unless given.
    let olderThan: Int64?
    /// As it was written.
    let olderThanText: String
    let bytesMax: Int?
    let isDryRun: Bool
    let applies: Bool

    /// - Parameter action: the word that the options must go with.
    init(_ arguments: ParsedArguments, action: String) throws(UsageError) {
        let table = [
            ("--older-than", ["tier", "retain"]), ("--dry-run", ["tier"]), ("--max-bytes", ["retain"]),
            ("--apply", ["retain"]),
        ]
        for (option, actions) in table {
            let isGiven = arguments.value(option) != nil || arguments.has(option)
            if isGiven && !actions.contains(action) {
                throw UsageError("\(option) goes with \(actions.joined(separator: " and "))")
            }
        }
        if action == "retain" {
            guard arguments.value("--layer") != nil else { throw UsageError("retain needs --layer") }
            guard (arguments.value("--older-than") == nil) != (arguments.value("--max-bytes") == nil) else {
                throw UsageError("retain needs either --older-than or --max-bytes")
            }
        }
        bytesMax = try arguments.integer("--max-bytes", in: 0...Int.max)
        applies = arguments.has("--apply")
        olderThanText = arguments.value("--older-than") ?? ""
        olderThan = try arguments.value("--older-than").map { text throws(UsageError) in
            guard let milliseconds = Self.milliseconds(text) else {
                throw UsageError("--older-than \(text): not a duration such as 90m, 12h or 30d")
            }
            return milliseconds
        }
        isDryRun = arguments.has("--dry-run")
    }

    /// `90s`, `45m`, `12h`, `30d`, or `0`; nil for anything else.
    static func milliseconds(_ text: String) -> Int64? {
        if text == "0" { return 0 }
        let units: [Character: Int64] = ["s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()), count >= 0 else {
            return nil
        }
        let (product, overflow) = count.multipliedReportingOverflow(by: unit)
        return overflow ? nil : product
    }
}

/// `medallion lake tier`: moves sealed files to the object storage.
struct LakeTier {
    let options: LakeUpkeepOptions
    let isJSON: Bool
    /// Where the files go.
    let bucket: String
    /// Who is told what was moved; nil: nobody.
    let runs: (any RunEventSink)?

    func run(_ reader: LakeReader, _ sources: [TopicPartition]) throws {
        let reporter = options.isDryRun ? nil : runs.map(Self.reporter)
        reporter?.start()
        do {
            try move(reader, sources, reporter)
        } catch {
            reporter?.end("\(error)")
            throw error
        }
        reporter?.end()
    }

    private static func reporter(_ sink: any RunEventSink) -> RunReporter {
        RunReporter(RunEvent.Job(name: "lake.tier", processing: .batch), inputs: [], outputs: [], to: sink)
    }

    private func move(_ reader: LakeReader, _ sources: [TopicPartition], _ reporter: RunReporter?) throws {
        let tiering = try Tiering(layout: reader.layout)
        let cutoff = SystemClock.epochMilliseconds() - (options.olderThan ?? 0)
        var (files, bytes, refused) = (0, 0, 0)
        for source in sources {
            try tiering.run(source, until: cutoff, isDryRun: options.isDryRun) { listed, outcome in
                if case .refused = outcome {
                    refused += 1
                } else {
                    files += 1
                    bytes += listed.file.bytes
                }
                if case .moved = outcome, let reporter { note(listed, reader.layout, reporter) }
                tell(listed, outcome, reader.layout)
            }
        }
        if isJSON {
            var json = JSONWriter()
            json.beginObject()
            json.integer("files", files)
            json.integer("bytes", bytes)
            json.integer("refused", refused)
            json.bool("dry_run", options.isDryRun)
            json.endObject()
            Output.write(json.bytes + [0x0A])
        } else {
            Output.line("\(files) files, \(bytes) bytes \(options.isDryRun ? "would be moved" : "moved")")
        }
        guard refused == 0 else {
            throw Failure("\(refused) files are not what their seals say and stay where they are")
        }
    }

    private func note(_ listed: ListedFile, _ layout: LakeLayout, _ reporter: RunReporter) {
        let name = listed.name
        let folder = layout.folder(of: name.layer, generation: name.generation, topic: name.source.topic)
        let offsets = [
            RunDataset.Offsets(
                topic: name.source.topic, partition: name.source.partition, start: listed.range.start,
                end: listed.range.end)
        ]
        reporter.note(RunDataset(.folder(folder), offsets: offsets), isInput: true)
        guard let objects = layout.objects else { return }
        let key = objects.prefix + folder.dropFirst(layout.root.count + 1)
        reporter.note(
            RunDataset(
                .objects(bucket: bucket, prefix: key), offsets: offsets, rows: listed.file.lines,
                bytes: listed.file.bytes), isInput: false)
    }

    private func tell(_ listed: ListedFile, _ outcome: Tiering.Outcome, _ layout: LakeLayout) {
        let path = layout.dataFile(listed.name)
        guard isJSON else {
            switch outcome {
            case .due: Output.line("\(path)  \(listed.file.bytes) bytes")
            case .moved(let entry): Output.line("\(path)  →  \(entry.url)  \(entry.bytes) bytes")
            case .refused(let error): Output.line("stays: \(error)")
            }
            return
        }
        var json = JSONWriter()
        json.beginObject()
        json.string("file", path)
        json.integer("bytes", listed.file.bytes)
        switch outcome {
        case .due: break
        case .moved(let entry):
            json.string("url", entry.url)
            json.string("sha256", entry.sha256)
        case .refused(let error):
            json.string("refused", "\(error)")
        }
        json.endObject()
        Output.write(json.bytes + [0x0A])
    }
}
