import Bytes
package import Console
import Embeddings
import Settings
import Simulator

/// `medallion bench`: measures this machine with the product's own parts.
package struct BenchCommand: Command {
    package static let name = "bench"
    package static let summary = "Measures speed and memory; figures stand beside a baseline run in the same call."
    package static let table = ArgumentTable(
        options: [
            .init(name: "--recording", value: "FILE", help: "Events of a recording, repeated; else generated ones."),
            .init(
                name: "--events", value: "N",
                help: "stream: events in the topic; lake: in each of two (default 500000; all: 200000)."),
            .init(
                name: "--endurance", value: "N",
                help: "lake: records over which memory is watched (default 1000000; 0: none)."),
            .init(name: "--partitions", value: "N", help: "stream: topic partitions (default 2)."),
            .init(
                name: "--poison", value: "PERCENT",
                help: "stream: also with so many events spoilt, and what that costs (default 0: no comparison)."),
            .init(
                name: "--passages", value: "N",
                help:
                    "index, recall, search, answer, trace: in it before anything is measured (default 20000; all: 5000)."
            ),
            .init(
                name: "--queries", value: "N",
                help:
                    "recall: of each kind under each filter (default 100; all: 20); search, growth: of each kind; trace: answers asked for."
            ),
            .init(name: "--answers", value: "N", help: "trace: that are kept, copies included (default 20000)."),
            .init(
                name: "--documents", value: "N",
                help: "replay: in lake and index, of which a replay changes nothing (default 20000)."),
            .init(
                name: "--changed", value: "N",
                help: "replay: of which a replay changes each text (default 5000)."),
            .init(
                name: "--sizes", value: "NUMBERS",
                help: "growth: passages, ascending, by commas (default 20000,100000)."),
            .init(
                name: "--embedded", value: "N",
                help:
                    "growth, answer, trace: texts that the model embeds; further vectors are mixtures of two (default 4000; answer, trace: 20000)."
            ),
            .init(
                name: "--postgres", value: nil,
                help: "growth: of the index in Postgres, without the one in memory; needs 6 kB of disk a passage."),
            .init(name: "--plot", value: "FILE", help: "growth: also draws it, as SVG."),
            .init(name: "--texts", value: "N", help: "embed: documents of each kind (default 2000; all: 1000)."),
            .init(
                name: "--rate", value: "N",
                help: "freshness, memory: events a second (default 300); endure: 150; broker: 5000."),
            .init(
                name: "--seconds", value: "N",
                help:
                    "freshness: how long (default 60; all: 20); clients: 20, --hostile 120; http, index, search, growth: of a round, 5."
            ),
            .init(
                name: "--peers", value: "FOLDER",
                help: "search: Python environment of what it is held against (default .deps/peers)."),
            .init(
                name: "--parts", value: "NAMES",
                help:
                    "by commas (default all), search: \(names(SearchBench.Part.self)); answer: \(names(AnswerBench.Part.self)); replay: \(names(ReplayBench.Part.self)); sources: \(names(SourcesBench.Part.self))."
            ),
            .init(
                name: "--rows", value: "N",
                help: "sources: of the table that is read, and documents of the file (default 200000)."),
            .init(name: "--loops", value: "N", help: "http: event loops, and workers of uvicorn (default 1)."),
            .init(name: "--gigabytes", value: "N", help: "broker: log to start again with (default 5; all: 1)."),
            .init(name: "--minutes", value: "N", help: "memory, endure: how long (default 10; all: 1)."),
            .init(
                name: "--seed", value: "N",
                help: "endure: repeats what was done (default: random); clients: what attacks send (default 1)."),
            .init(name: "--no-embedding", value: nil, help: "endure: without the model, and so without vectors."),
            .init(
                name: "--spoil", value: "WHAT",
                help: "endure: damages lake or index, or ends a role (crash), to see that it is noticed."),
            .init(name: "--json", value: nil, help: "One JSON object per benchmark."),
            .init(name: "--benches", value: "NAMES", help: "report: which are run, by commas (default search)."),
            .init(
                name: "--output", value: "FILE",
                help:
                    "report: where the page goes (default docs/benchmarks.md); the README.md above it gets the summary."
            ),
        ] + HostileOptions.options,
        positionals: [
            .init(
                name: "NAME", isRequired: false,
                help:
                    "sse, embed, lake, http, broker, stream, index, recall, clients, freshness, memory, all of these; search, answer, trace, growth, replay, sources, endure or report."
            )
        ])
    package static let details = """
        broker, index, recall, clients, freshness, memory, search, answer, trace, sources and endure start processes of their own, with
        temporary data and free ports; http, search and answer need wrk, and http what `make setup-tests` installs.

        search puts searching and embedding of a whole platform beside a service of FastAPI, sentence-transformers and pgvector
        on the same documents, in turns, and LanceDB beside both (`make setup-peers`; without, ours alone); then how soon edits
        are found at 300 events/s (fewer where the embedder does not keep pace) with 50 searches/s beside, also while a graph is
        built, rebuilt or vacuumed and a generation loaded, and behind a burst of as many documents as --passages says. Figures
        are logged as they come; the whole takes about eight minutes.

        answer measures answers by quoting on a platform of its own: how soon they come while documents are indexed and others
        search, how many a second come in time, with and without kept ones, and what a thousand questions cost.

        trace measures how soon answers and documents are traced to their events, one and two at a time, from growing and from
        sealed files, and how soon what came of an event is found, with --answers kept ones.

        growth fills the index in memory to some sizes, and measures searching, adding, recall, memory and the file at each; with
        --postgres a Postgres of its own, and there loading, searching with four clients, recall, adding and room on disk.

        replay measures replays: the lake's part beside the stream job, over the same events; one that changes nothing, with vectors of
        a stand-in; one that changes every text, beside the embedding of those texts alone; and how soon edits are found while replays
        run beside, and while none does.

        sources measures what comes in: how soon an updated row of a Postgres table is found and a deleted one gone at 500 changes/s,
        and how fast the snapshot of a table, documents over HTTP and a file's documents get to the topic.

        report runs benchmarks and writes their figures into a page, with the machine, the commit and the commands.

        endure is a trial and no measurement: it kills and pauses roles, takes broker and database away, fills disks (as root),
        sends poison, replays, promotes and prunes, all by a seed; then it compares everything with an undisturbed run. Exit
        code 1 where anything was lost, doubled or changed.

        clients --hostile attacks a platform of its own in every way that --attack names, and measures ordinary clients beside
        it, against a calm phase right before. Exit code 1 where they were held up, got errors, memory or freshness went
        beyond their bounds, something was served that must be refused, or an attack did not do what it says.

        \(AttackCatalogue.all.map { "  \($0.name): \($0.summary)" }.joined(separator: "\n"))
        """

    /// In the order of `bench all`, which is also from short to long.
    private enum Benchmark: String, CaseIterable {
        case sse, embed, lake, http, broker, stream, index, recall, clients, freshness, memory
        /// Not one of all: it takes long, and needs other software to say much.
        case search
        /// Not one of all: it takes long.
        case answer
        /// Not one of all: it takes long.
        case trace
        /// Not one of all: it says little at sizes that are quick.
        case growth
        /// Not one of all: it takes long.
        case replay
        /// Not one of all: it takes long.
        case sources
        /// Not one of all: it breaks things.
        case endure

        static let ofAll = allCases.filter {
            ![.search, .answer, .trace, .growth, .replay, .sources, .endure].contains($0)
        }
    }

    private let benchmarks: [Benchmark]
    private let events: Int
    private let partitions: Int
    private let enduranceEvents: Int
    private let passages: Int
    private let queries: Int
    private let growth: GrowthBench.Options
    private let texts: Int
    private let rate: Double
    private let seconds: Int
    private let gigabytes: Double
    private let acknowledgedRate: Double
    private let minutes: Double
    private let clientSeconds: Int
    private let roundSeconds: Int
    private let loops: Int
    private let recording: String?
    private let poison: Double
    private let enduranceRate: Double
    private let seed: UInt64?
    private let isEmbedding: Bool
    private let spoil: EnduranceSpoil?
    private let hostile: HostileOptions
    private let isJSON: Bool
    private let peersFolder: String?
    private let searchParts: [SearchBench.Part]
    private let answerParts: [AnswerBench.Part]
    private let replay: ReplayBench.Options
    private let sources: SourcesBench.Options
    private let embedded: Int
    private let answers: Int
    /// Nil unless a page is written.
    private let page: BenchmarksPage.Place?
    /// What was typed behind the benchmark's name, for the page.
    private let optionWords: [String]

    /// - Throws: `UsageError`.
    package init(_ arguments: ParsedArguments) throws {
        let word = arguments.word(0) ?? "all"
        benchmarks = try Self.chosen(word, arguments.value("--benches"))
        page = word == "report" ? BenchmarksPage.Place(arguments.value("--output") ?? "docs/benchmarks.md") : nil
        if page == nil,
            let option = ["--benches", "--output"].first(where: { arguments.has($0) || arguments.value($0) != nil })
        {
            throw UsageError("\(option) goes with report")
        }
        optionWords = arguments.values.filter { $0.key != "--benches" && $0.key != "--output" && $0.key != "--peers" }
            .sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] }
        peersFolder = arguments.value("--peers")
        let (isAnswer, isReplay) = (benchmarks.contains(.answer), benchmarks.contains(.replay))
        let isSources = benchmarks.contains(.sources)
        searchParts = try Self.parts(isAnswer || isReplay || isSources ? nil : arguments.value("--parts"))
        sources = try Self.sources(arguments, parts: isSources ? arguments.value("--parts") : nil)
        answerParts = try Self.parts(isAnswer ? arguments.value("--parts") : nil)
        replay = try Self.replay(arguments, parts: isReplay ? arguments.value("--parts") : nil)
        embedded = try arguments.integer("--embedded", in: 100...1_000_000) ?? 20_000
        answers = try arguments.integer("--answers", in: 100...10_000_000) ?? 20_000
        let isShort = word == "all"
        events = try arguments.integer("--events", in: 1_000...100_000_000) ?? (isShort ? 200_000 : 500_000)
        partitions = try arguments.integer("--partitions", in: 1...64) ?? 2
        enduranceEvents = try arguments.integer("--endurance", in: 0...1_000_000_000) ?? (isShort ? 0 : 1_000_000)
        passages = try arguments.integer("--passages", in: 1_000...10_000_000) ?? (isShort ? 5_000 : 20_000)
        queries = try arguments.integer("--queries", in: 10...10_000) ?? (isShort ? 20 : 100)
        growth = try GrowthBench.Options(arguments)
        texts = try arguments.integer("--texts", in: 10...1_000_000) ?? (isShort ? 1_000 : 2_000)
        gigabytes = try arguments.number("--gigabytes", in: 0.1...1_000) ?? (isShort ? 1 : 5)
        acknowledgedRate = try arguments.number("--rate", in: 1...100_000) ?? 5_000
        rate = try arguments.number("--rate", in: 1...100_000) ?? 300
        seconds = try arguments.integer("--seconds", in: 1...86_400) ?? (isShort ? 20 : 60)
        clientSeconds = try arguments.integer("--seconds", in: 1...86_400) ?? (isShort ? 10 : 20)
        roundSeconds = try arguments.integer("--seconds", in: 1...86_400) ?? (isShort ? 2 : 5)
        loops = try arguments.integer("--loops", in: 1...64) ?? 1
        minutes = try arguments.number("--minutes", in: 0.1...10_000) ?? (isShort ? 1 : 10)
        recording = arguments.value("--recording")
        poison = try arguments.number("--poison", in: 0...100) ?? 0
        isJSON = arguments.has("--json")
        enduranceRate = try arguments.number("--rate", in: 1...100_000) ?? 150
        seed = try arguments.integer("--seed", in: 0...Int.max).map { UInt64($0) }
        hostile = try HostileOptions(arguments, seed: seed)
        if hostile.isHostile || hostile.attackNames != nil, benchmarks != [.clients] {
            throw UsageError("--hostile and --attack go with clients")
        }
        isEmbedding = !arguments.has("--no-embedding")
        spoil = try arguments.value("--spoil").map { word in
            guard let spoil = EnduranceSpoil(rawValue: word) else {
                throw UsageError("--spoil is lake, index or crash")
            }
            return spoil
        }
    }

    private static func chosen(_ word: String, _ listed: String?) throws -> [Benchmark] {
        func named(_ word: String) throws -> Benchmark {
            guard let benchmark = Benchmark(rawValue: word) else {
                let names = Benchmark.allCases.map(\.rawValue).joined(separator: ", ")
                throw UsageError("NAME is one of \(names), all, report")
            }
            return benchmark
        }
        switch word {
        case "all": return Benchmark.ofAll
        case "report":
            return try (listed ?? Benchmark.search.rawValue).split(separator: ",").map { try named(String($0)) }
        default: return [try named(word)]
        }
    }

    package func run(_ context: Context) async throws {
        if let page { return try await write(page, context) }
        if hostile.isAttackAlone, let port = hostile.port {
            return try await AttackBench(options: hostile, port: port).run()
        }
        for benchmark in benchmarks {
            do {
                let report = try await run(benchmark, context)
                report.print(asJSON: isJSON)
                if !report.findings.isEmpty {
                    throw Failure("\(report.findings.count) things are wrong, listed above")
                }
            } catch let failure as Failure where benchmarks.count > 1 && failure.code == .dependencyUnavailable {
                context.logger.warning("bench \(benchmark.rawValue) is left out", ["reason": failure.description])
            }
        }
    }

    private func write(_ place: BenchmarksPage.Place, _ context: Context) async throws {
        var page = BenchmarksPage(commit: Installation.commit, date: SystemClock.epochMilliseconds())
        for benchmark in benchmarks {
            let report = try await run(benchmark, context)
            report.print(asJSON: isJSON)
            let command = (["medallion", "bench", benchmark.rawValue] + optionWords).joined(separator: " ")
            page.runs.append(.init(name: benchmark.rawValue, command: command, report: report))
        }
        try place.write(page)
        Output.line("written: \(place.page)")
        let findings = page.runs.reduce(0) { $0 + $1.report.findings.count }
        if findings > 0 { throw Failure("\(findings) things are wrong, listed above") }
    }

    private func run(_ benchmark: Benchmark, _ context: Context) async throws -> BenchReport {
        switch benchmark {
        case .search, .answer, .trace: try await runOnPlatform(benchmark, context)
        case .sse: try await EventStreamBench(source: try source(), events: 50_000).run()
        case .embed:
            try await EmbedBench(
                source: try source(), texts: texts,
                modelDirectory: try Installation.modelDirectory(context.settings)
            ).run()
        case .lake:
            try await LakeBench(
                events: events, enduranceEvents: enduranceEvents, source: try source(),
                logger: context.logger.scoped("bench")
            ).run()
        case .http: try await HTTPBench(loops: loops, seconds: roundSeconds, rounds: 3).run()
        case .clients where hostile.isHostile:
            try await HostileBench(options: hostile, logger: context.logger.scoped("bench")).run()
        case .clients:
            try await ClientsBench(seconds: clientSeconds, logger: context.logger.scoped("bench")).run()
        case .broker:
            try await BrokerBench(
                gigabytes: gigabytes, rate: acknowledgedRate, seconds: min(seconds, 20),
                logger: context.logger.scoped("bench")
            ).run()
        case .stream:
            try await StreamBench(
                events: events, poison: poison, source: try source(), partitions: partitions,
                commitIntervalMilliseconds: context.settings.lake.commitIntervalMilliseconds,
                logger: context.logger.scoped("bench")
            ).run()
        case .index:
            try await IndexBench(
                passages: passages, seconds: roundSeconds, source: try source(),
                modelDirectory: try? Installation.modelDirectory(context.settings),
                logger: context.logger.scoped("bench")
            ).run()
        case .recall:
            try await RecallBench(
                passages: passages, queries: queries, source: try source(),
                modelDirectory: try Installation.modelDirectory(context.settings),
                logger: context.logger.scoped("bench")
            ).run()
        case .growth:
            try await GrowthBench(
                options: growth, source: try source(),
                modelDirectory: try Installation.modelDirectory(context.settings),
                logger: context.logger.scoped("bench")
            ).run()
        case .replay: try await replayBench(context).run()
        case .sources:
            try await SourcesBench(options: sources, logger: context.logger.scoped("bench")).run()
        case .freshness:
            try await FreshnessBench(
                seconds: seconds, rate: rate, recording: recording, logger: context.logger.scoped("bench")
            ).run()
        case .endure:
            try await EnduranceBench(
                minutes: minutes, rate: enduranceRate, seed: seed ?? UInt64.random(in: 1...999_999),
                isEmbedding: isEmbedding, spoil: spoil, logger: context.logger.scoped("bench")
            ).run()
        case .memory:
            try await MemoryBench(
                minutes: minutes, rate: rate, recording: recording, logger: context.logger.scoped("bench")
            ).run()
        }
    }

    /// Those that fill a platform of their own by searches' options.
    private func runOnPlatform(_ benchmark: Benchmark, _ context: Context) async throws -> BenchReport {
        let (options, logger) = (try searchOptions(context), context.logger.scoped("bench"))
        return switch benchmark {
        case .answer:
            try await AnswerBench(options: options, parts: answerParts, embedded: embedded, logger: logger).run()
        case .trace:
            try await TraceBench(options: options, embedded: embedded, answers: answers, logger: logger).run()
        default: try await SearchBench(options: options, logger: logger).run()
        }
    }

    private func searchOptions(_ context: Context) throws -> SearchBench.Options {
        let directory = try Installation.modelDirectory(context.settings)
        return SearchBench.Options(
            parts: searchParts, passages: passages, seconds: roundSeconds, queries: queries,
            watchSeconds: max(20, 6 * roundSeconds),
            modelDirectory: directory, precision: context.settings.embedding.precision == .int8 ? .int8 : .float,
            peersFolder: peersFolder)
    }

    private func replayBench(_ context: Context) throws -> ReplayBench {
        var options = replay
        options.commitIntervalMilliseconds = context.settings.lake.commitIntervalMilliseconds
        options.modelDirectory = try? Installation.modelDirectory(context.settings)
        return ReplayBench(options: options, source: try source(), logger: context.logger.scoped("bench"))
    }

    private func source() throws -> any PlayableSource {
        if let recording { return try Recording(path: recording, repeats: true) }
        return GeneratedSource(
            generator: EventGenerator(seed: 1, startMilliseconds: SystemClock.epochMilliseconds(), eventsPerSecond: 300)
        )
    }
}
