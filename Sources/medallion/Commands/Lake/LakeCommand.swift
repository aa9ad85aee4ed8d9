import Bytes
import Concurrency
import Console
import Lake
import Records
import StreamJob

/// `medallion lake`: looks into the lake and seals it.
struct LakeCommand: Command {
    static let name = "lake"
    static let summary = "Shows, checks, seals, tiers and trims the lake: ls, stat, cat, verify, seal, tier, retain."
    static let table = ArgumentTable(
        options: [
            .init(name: "--topic", value: "TOPIC", help: "Source topic; KAFKA_TOPIC unless given."),
            .init(name: "--partition", value: "N", help: "Topic partition; all unless given (cat: 0)."),
            .init(name: "--offset", value: "N", help: "cat: the record's offset."),
            .init(name: "--from", value: "N", help: "cat: the first offset of a range."),
            .init(name: "--to", value: "N", help: "cat: the offset behind the range."),
            .init(
                name: "--since", value: "TIME",
                help: "cat: from this broker time on, RFC 3339 such as 2026-11-21T06:00:00Z."),
            .init(name: "--until", value: "TIME", help: "cat: up to the broker time."),
            .init(
                name: "--where", value: "FIELD=VALUE",
                help: "cat: only lines whose field, such as wiki or value.type, has the value."),
            .init(name: "--limit", value: "N", help: "cat: so many lines at most."),
            .init(name: "--files", value: nil, help: "ls: also every data file, where it is, and what is in it."),
            .init(
                name: "--layer", value: "LAYER",
                help: "cat, retain: bronze, silver, gold or quarantine (default bronze); ls --files: only of this."),
            .init(
                name: "--generation", value: "N",
                help: "cat: of Silver, Gold and quarantine; the active one unless given."),
            .init(name: "--raw", value: nil, help: "cat: only the payload of a Bronze line, byte for byte."),
            .init(
                name: "--older-than", value: "DURATION",
                help: "tier, retain: only files whose hour ended so long ago, such as 90m, 12h or 30d (tier: 0)."),
            .init(name: "--dry-run", value: nil, help: "tier: only tells what would be moved."),
            .init(
                name: "--max-bytes", value: "N",
                help: "retain: the oldest files of the layer, until its sealed files have so many bytes."),
            .init(name: "--apply", value: nil, help: "retain: removes; without it tells what would go."),
            .init(name: "--json", value: nil, help: "One JSON object per line."),
        ],
        positionals: [.init(name: "ACTION", isRequired: true, help: "ls, stat, cat, verify, seal, tier or retain.")])

    private enum Action: String {
        case ls, stat, cat, verify, seal, tier, retain
    }

    private let action: Action
    private let topic: String?
    private let partition: Int32?
    private let offset: Int64?
    private let range: LakeRangeOptions
    private let layer: Layer
    private let isLayerGiven: Bool
    private let showsFiles: Bool
    private let generation: Int64?
    private let isRaw: Bool
    private let isJSON: Bool
    private let upkeep: LakeUpkeepOptions

    init(_ arguments: ParsedArguments) throws {
        guard let action = Action(rawValue: arguments.word(0) ?? "") else {
            throw UsageError("ACTION is ls, stat, cat, verify, seal, tier or retain")
        }
        self.action = action
        topic = arguments.value("--topic")
        partition = try arguments.integer("--partition", in: 0...Int(Int32.max)).map(Int32.init)
        let offset = try arguments.integer("--offset", in: 0...Int.max)
        self.offset = offset.map(Int64.init)
        range = try LakeRangeOptions(arguments)
        if action == .cat && (offset == nil) != range.isRange {
            throw UsageError("cat needs --offset, or a range: --from and --to, or --since and --until")
        }
        guard let layer = Layer(rawValue: arguments.value("--layer") ?? "bronze") else {
            throw UsageError("--layer is bronze, silver, gold or quarantine")
        }
        self.layer = layer
        isLayerGiven = arguments.value("--layer") != nil
        showsFiles = arguments.has("--files")
        if showsFiles && action != .ls { throw UsageError("--files goes with ls") }
        generation = try arguments.integer("--generation", in: 1...Int.max).map(Int64.init)
        isRaw = arguments.has("--raw")
        if isRaw && (action != .cat || layer != .bronze) { throw UsageError("--raw goes with cat of Bronze") }
        isJSON = arguments.has("--json")
        upkeep = try LakeUpkeepOptions(arguments, action: action.rawValue)
    }

    func run(_ context: Context) async throws {
        let reader = LakeReader(layout: try LakeLayout(context.settings))
        switch action {
        case .ls:
            try LakeListing(
                reader: reader, sources: sources(reader), showsFiles: showsFiles, layer: isLayerGiven ? layer : nil,
                isJSON: isJSON
            ).run()
        case .stat: try inspection(reader).stat()
        case .verify: try inspection(reader).verify()
        case .cat: try cat(reader, topic: topic ?? context.settings.topics.raw)
        case .seal: try seal(reader)
        case .retain: try LakeRetain(options: upkeep, layer: layer, isJSON: isJSON).run(reader, sources(reader))
        case .tier: try await tier(reader, context)
        }
    }

    private func tier(_ reader: LakeReader, _ context: Context) async throws {
        let platform = Platform(context: context)
        let tier = LakeTier(
            options: upkeep, isJSON: isJSON, bucket: context.settings.lake.s3Bucket, runs: try platform.runSink())
        let sources = try sources(reader)
        try await platform.sendingRuns { try await Lane(name: "tier").run { try tier.run(reader, sources) } }
    }

    private func inspection(_ reader: LakeReader) -> LakeInspection {
        LakeInspection(reader: reader, topic: topic, partition: partition, isJSON: isJSON)
    }

    private func sources(_ reader: LakeReader) throws -> [TopicPartition] {
        try reader.sources().filter { source in
            (topic == nil || source.topic == topic) && (partition == nil || source.partition == partition)
        }
    }

    private func cat(_ reader: LakeReader, topic: String) throws {
        let source = TopicPartition(topic: topic, partition: partition ?? 0)
        guard let offset else {
            try range.cat(reader, layer, generation: try derivedGeneration(reader), source, isRaw: isRaw)
            return
        }
        let found: LocatedLine
        if layer == .bronze {
            found = try reader.bronze(source, offset: offset)
        } else {
            let number = try derivedGeneration(reader) ?? 0
            guard let line = try reader.derived(layer, generation: number, source: source, offset: offset) else {
                throw Failure("generation \(number) has no \(layer.rawValue) line of \(source) offset \(offset)")
            }
            found = line
        }
        if isRaw {
            guard let record = BronzeLine.read(found.line[...]) else {
                throw Failure("\(found.path): not a Bronze line")
            }
            if let erasure = record.erasure {
                throw Failure("\(source) offset \(offset) was erased by \(erasure); see medallion erase ls")
            }
            Output.write(record.value ?? [])
        } else {
            Output.write(found.line + [0x0A])
        }
    }

    /// nil for Bronze.
    private func derivedGeneration(_ reader: LakeReader) throws -> Int64? {
        if layer == .bronze { return nil }
        guard let number = try generation ?? GenerationLog(layout: reader.layout).active()?.number else {
            throw Failure("the lake has no generation yet")
        }
        return number
    }

    private func seal(_ reader: LakeReader) throws {
        for source in try sources(reader) {
            var writer = try PartitionWriter.open(layout: reader.layout, source: source)
            try writer.seal()
            if isJSON {
                var json = JSONWriter()
                json.beginObject()
                json.string("topic", source.topic)
                json.integer("partition", source.partition)
                json.integer("sealed_to", writer.nextOffset ?? 0)
                json.endObject()
                Output.write(json.bytes + [0x0A])
            } else {
                Output.line("sealed \(source) up to offset \(writer.nextOffset ?? 0)")
            }
        }
    }
}
