import Bytes
import Console
import Derivation
import Files
import Lake
import Postgres
import Records
import Redis
import Settings
import Store
import Telemetry

/// The steps of an erasure, and what a look before it finds. Blocks: for a lane.
struct ErasureRun: Sendable {
    let platform: Platform
    let layout: LakeLayout
    let database: PostgresConfiguration
    let telling: ErasureTelling
    /// How long the stream job may take that writes a topic partition.
    let waitSeconds: Int
    /// Whether records of topics are deleted, too.
    let deletesRecords: Bool

    private static let statementMilliseconds = 600_000
    private static let pauseMilliseconds = 100
    /// Offsets that a look names as examples.
    private static let examplesMax = 5

    private var log: ErasureLog { ErasureLog(layout: layout) }

    /// The topic partitions whose records go into the target's collection, by any generation.
    private func sources(_ erasure: Erasure) throws -> (sources: [TopicPartition], generations: [LakeGeneration]) {
        let generations = try GenerationLog(layout: layout).read()
        let sources = try LakeReader(layout: layout).sources().filter { source in
            generations.contains { $0.makes(erasure.target.collection, of: erasure.tenant, from: source.topic) }
        }
        guard !sources.isEmpty else {
            let made = generations.flatMap { generation in
                generation.logic.topics.filter { $0.logic.tenant == erasure.tenant.text }.map(\.logic.collection)
            }
            throw Failure(
                "the lake \(layout.root) has no collection \(LogText.escaped(erasure.target.collection)) of the tenant "
                    + "\(erasure.tenant.text); it has \(Set(made).sorted().joined(separator: ", "))")
        }
        return (sources, generations)
    }

    // MARK: A look

    /// Tells what an erasure would take, and where else the name stands.
    func look(_ erasure: Erasure, name: String) throws {
        let (sources, generations) = try sources(erasure)
        let texts = Self.texts(name)
        for source in sources {
            let match = try ErasureMatch(erasure, topic: source.topic, generations: generations)
            var matches: [String: Int64] = [:]
            var mentions: [String: [Int64]] = [:]
            try Eraser(layout: layout, source: source).look(match, mention: { Self.mentions(texts, $0) }) {
                layer, generation, offset, isMention in
                let place = "\(layer.rawValue)\(generation.map { " of generation \($0)" } ?? "") of \(source)"
                if isMention { mentions[place, default: []].append(offset) } else { matches[place, default: 0] += 1 }
            }
            for (place, count) in matches.sorted(by: { $0.key < $1.key }) {
                telling.say("match", place, count: count, "lines")
            }
            for (place, offsets) in mentions.sorted(by: { $0.key < $1.key }) {
                let examples = offsets.prefix(Self.examplesMax).map(String.init).joined(separator: ", ")
                telling.say("mention", place, count: Int64(offsets.count), "lines, such as offset \(examples)")
            }
        }
        let store = ErasureStore(configuration: database)
        for found in try store.mentions(
            of: name, texts: texts, erasure.target, tenant: erasure.tenant,
            timeoutMilliseconds: Self.statementMilliseconds)
        {
            switch found.kind {
            case "matches":
                telling.say("match", "documents of the index", count: found.count, "such as \(found.example)")
            case "answers":
                telling.say("match", "stored answers", count: found.count, "that mention it, such as \(found.example)")
            default: telling.say("mention", found.kind, count: found.count, "such as \(found.example)")
            }
        }
        if let scrub = accessLog, case .lines(let count) = try scrub.count(name), count > 0 {
            telling.say("match", scrub.path, count: Int64(count), "lines of the access log")
        }
    }

    /// Nil where servers of these settings write none into a file.
    private var accessLog: AccessLogScrub? {
        let path = platform.settings.access.accessLog
        return path.isEmpty || path == "-" ? nil : AccessLogScrub(path: path)
    }

    /// How a name stands in texts, and in JSON.
    private static func texts(_ name: String) -> [String] {
        var json = JSONWriter()
        json.string(name)
        let quoted = String(decoding: json.bytes.dropFirst().dropLast(), as: UTF8.self)
        return quoted == name ? [name] : [name, quoted]
    }

    private static func mentions(_ texts: [String], _ line: ArraySlice<UInt8>) -> Bool {
        line.withUnsafeBytes { bytes in texts.contains { ByteSearch.contains($0, in: bytes) } }
    }

    // MARK: Erasing

    /// Erases, or leaves a log by which others finish it.
    func erase(_ erasure: Erasure, name: String) throws {
        let (sources, generations) = try sources(erasure)
        if let making = generations.first(where: { $0.state == .created }) {
            throw Failure(
                "a replay makes generation \(making.number) of records that are to be erased: wait for its end, or `medallion "
                    + "generations prune \(making.number)`")
        }
        // All of them before anything is noted, so that no stream job begins with what can be prepared beside it.
        var held: [(eraser: Eraser, hold: Eraser.Hold)] = []
        for source in sources {
            let eraser = Eraser(layout: layout, source: source)
            held.append((eraser, try hold(eraser, source)))
        }
        try log.append(.erase(erasure, parts: sources))
        telling.say("done", layout.erasureLog, "the erasure \(erasure.id) is noted")
        for (eraser, hold) in held {
            let match = try ErasureMatch(erasure, topic: eraser.topic, generations: generations)
            try eraser.begin(erasure, match, hold)
        }
        held = []
        try complete(erasure.id, name: name)
    }

    private func hold(_ eraser: Eraser, _ source: TopicPartition) throws -> Eraser.Hold {
        try patiently("\(source) is being tiered, trimmed or erased from") { try eraser.hold() }
    }

    /// Tries again while somebody else holds what is needed.
    private func patiently<T>(_ what: String, _ body: () throws -> T) throws -> T {
        let end = SystemClock.monotonicNanoseconds() + Int64(waitSeconds) * 1_000_000_000
        while true {
            do { return try body() } catch LakeError.locked(_, let path, let holder) {
                guard SystemClock.monotonicNanoseconds() < end else {
                    throw Failure(
                        "\(what) by another process (\(holder)), which has held \(path) for \(waitSeconds) s; `medallion erase "
                            + "resume` finishes what is begun")
                }
            }
            Pause.milliseconds(Self.pauseMilliseconds)
        }
    }

    /// Finishes every erasure that is not done, in the lake or in the index.
    func resume() throws {
        let known = try ErasureStore(configuration: database).known(timeoutMilliseconds: Self.statementMilliseconds)
        let open = try log.read().filter { !$0.isDone || known[$0.erasure.id] != true || deletesRecords }
        if open.isEmpty { telling.say("done", layout.erasureLog, "no erasure waits to be finished") }
        for state in open { try complete(state.erasure.id, name: nil) }
        // One that was killed with the index done may not have come to them.
        if open.isEmpty { try forgetCaches() }
    }

    private func complete(_ id: String, name: String?) throws {
        let reporter = try platform.runSink().map {
            RunReporter(RunEvent.Job(name: "erase", processing: .batch), inputs: [], outputs: [], to: $0)
        }
        reporter?.start()
        do {
            try rewrite(id)
            guard let state = try log.read().first(where: { $0.erasure.id == id }) else {
                throw Failure("\(layout.erasureLog) does not know the erasure \(id)")
            }
            if let reporter { note(state, in: reporter) }
            // Before the index says that it is done, since nobody resumes then; and after it, for what came in between.
            try forgetMentions(state, name: name)
            try forgetCaches()
            try applyToIndex(state)
            try forgetCaches()
            try ErasureRemains(platform: platform, layout: layout, database: database, telling: telling).tell(
                state, deletesRecords: deletesRecords)
        } catch {
            reporter?.end("\(error)")
            throw error
        }
        reporter?.end()
    }

    /// Brings every topic partition of an erasure to its end in the lake.
    private func rewrite(_ id: String) throws {
        guard let state = try log.read().first(where: { $0.erasure.id == id }) else { return }
        for source in state.parts.keys.sorted() {
            let eraser = Eraser(layout: layout, source: source)
            try patiently("\(source) is being written") {
                // The stream job may do it, or another process that has the topic partition.
                guard try eraser.state(id)?.isRewritten == false else { return }
                let generations = try GenerationLog(layout: layout).read()
                var writer = try PartitionWriter.open(layout: layout, source: source)
                try writer.erase { erasure throws(LakeError) in
                    try ErasureMatch(erasure, topic: source.topic, generations: generations)
                }
            }
            try patiently("\(source) is being tiered or trimmed") {
                try eraser.finish(id, now: SystemClock.epochMilliseconds())
            }
            guard let part = try eraser.state(id) else { continue }
            telling.say("done", "\(source)", count: part.count, "records, in \(part.files) files")
            for text in part.remaining { telling.say("remains", "object storage", text) }
        }
    }

    private func note(_ state: ErasureState, in reporter: RunReporter) {
        let generations = (try? GenerationLog(layout: layout).read()) ?? []
        for (source, part) in state.parts.sorted(by: { $0.key < $1.key }) {
            let offsets = part.records.map {
                RunDataset.Offsets(topic: source.topic, partition: source.partition, start: $0.start, end: $0.end)
            }
            func folder(_ layer: Layer, _ generation: Int64?) -> RunDataset.Place {
                .folder(layout.folder(of: layer, generation: generation, topic: source.topic))
            }
            reporter.note(
                RunDataset(folder(.bronze, nil), offsets: offsets, rows: part.lines), isInput: false)
            for generation in generations where generation.state != .pruned {
                for layer in Layer.derived {
                    reporter.note(RunDataset(folder(layer, generation.number), offsets: offsets), isInput: false)
                }
            }
        }
    }

    /// What mentions a name without being of its records: a log has no name, so only who gives it can.
    private func forgetMentions(_ state: ErasureState, name: String?) throws {
        let store = ErasureStore(configuration: database)
        try store.putInForce(
            state.erasure, state.records, lookedTo: state.lookedTo, timeoutMilliseconds: Self.statementMilliseconds)
        guard let name else {
            return telling.say(
                "remains", "stored answers and the access log",
                "where they mention the name, which is noted nowhere: where the erasure was killed, ask for it once more by name"
            )
        }
        let answers = try store.eraseMentions(
            state.erasure.id, of: name, timeoutMilliseconds: Self.statementMilliseconds)
        telling.say("done", "stored answers", count: answers, "that mentioned it, besides those that were made of it")
        guard let scrub = accessLog else { return }
        switch try scrub.remove(name) {
        case .lines(let count): telling.say("done", scrub.path, count: Int64(count), "lines of the access log")
        case .remains(let why): telling.say("remains", scrub.path, why)
        }
    }

    private func applyToIndex(_ state: ErasureState) throws {
        let store = ErasureStore(configuration: database)
        let removed = try store.apply(
            state.erasure, state.records, lookedTo: state.lookedTo, timeoutMilliseconds: Self.statementMilliseconds)
        telling.say("done", "index", count: removed, "documents")
        try store.removeErased(timeoutMilliseconds: Self.statementMilliseconds)
        try store.vacuum(timeoutMilliseconds: Self.statementMilliseconds)
    }

    /// What servers keep beside the index.
    private func forgetCaches() throws {
        let settings = platform.settings
        if let count = try SharedCaches.forgetAll(by: settings), count > 0 {
            telling.say("done", "Redis", count: Int64(count), "replies that servers share")
        }
        let folder = settings.folders.arms
        if Folder.isFolder(folder) {
            let files = try Folder.list(folder).filter { !Folder.isFolder(folder + "/" + $0) }
            for file in files { try Folder.removeIfPresent(folder + "/" + file) }
            guard !files.isEmpty else { return }
            telling.say(
                "done", folder, "what servers keep of the index between starts; other machines' goes when they load it")
        }
    }
}
