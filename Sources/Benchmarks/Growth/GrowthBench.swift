import Arms
import Bytes
import Concurrency
import Console
import Embeddings
import Files
import Records
import Retrieval
import Simulator
import Telemetry

/// What a search, a change and a passage cost while the index grows: the same measures at some sizes, each beside the first.
struct GrowthBench: Sendable {
    struct Options: Sendable {
        /// Passages, in ascending order.
        var sizes: [Int]
        /// Texts that are embedded; further passages are mixtures of theirs.
        var embedded: Int
        /// Of each round of searches.
        var seconds: Int
        /// Of each kind.
        var queries: Int
        /// Where a picture of it goes; nil: nowhere.
        var plot: String?
        /// Whether it is the index in Postgres that grows.
        var isInPostgres = false
    }

    private static let insertBatch = 64
    private static let inserts = 4_096
    /// What the picture shows.
    private static let plotted = [
        "codes that a search compares", "the vector arm, one client: processor time of a search",
        "the word arm, one client: processor time of a search", "both arms, one client: processor time of a search",
        "processor time of an insert",
    ]
    /// Under each filter one query in so many is tried.
    private static let filterStep = 5

    let options: Options
    let source: any PlayableSource
    let modelDirectory: String
    let logger: Logger

    func run() async throws -> BenchReport {
        let lane = Lane(name: "bench")
        let (source, embedded) = (source, options.embedded)
        let further = options.isInPostgres ? GrowthPostgres.further(options.sizes) : 0
        let texts = try await lane.run { try IndexBenchInput(source, passages: embedded, more: further) }
        guard texts.passages >= embedded else {
            throw Failure("the source has \(texts.passages) passages of different texts; \(embedded) are wanted")
        }
        let embedder = try LocalEmbedder(modelDirectory: modelDirectory)
        defer { embedder.stop() }
        logger.info("embedding", ["texts": "\(embedded)"])
        let input = try await GrowthInput(texts, embedder)
        if options.isInPostgres {
            return try await GrowthPostgres(
                options: options, texts: texts, input: input, embedder: embedder, logger: logger
            ).run()
        }
        let searches = try await GrowthSearches(input, embedder, each: options.queries)
        var table = GrowthTable(sizes: options.sizes)
        let arms = GrowthArms(input)
        let filters = try Array(RecallFilters(texts).all.dropFirst())
        for size in options.sizes {
            logger.info("filling", ["passages": "\(size)"])
            try await measure(size, arms, searches, lane, filters, into: &table)
        }
        var report = BenchReport(
            title: "growth: \(options.sizes.map(\.description).joined(separator: ", ")) passages in memory, "
                + "\(input.baseCount) embedded texts and mixtures of two, \(options.queries) queries of each kind")
        report.figures = table.figures()
        if let plot = options.plot {
            try File.replace(
                plot, with: Array(GrowthPlot.svg(sizes: options.sizes, lines: table.lines(Self.plotted)).utf8))
        }
        report.figures.append(
            BenchFigure("load average", ProcessorTime.loadAverage(), "", target: "other work on this machine"))
        return report
    }

    private func measure(
        _ size: Int, _ arms: GrowthArms, _ searches: GrowthSearches, _ lane: Lane, _ filters: [RecallFilters.Named],
        into table: inout GrowthTable
    ) async throws {
        let index = arms.index
        let learning = try await lane.run {
            arms.add(size - arms.count, batch: 4_096, version: 0)
            let began = SystemClock.monotonicNanoseconds()
            index.learn()
            return Double(SystemClock.monotonicNanoseconds() - began) / 1e9
        }
        table.add("lists learnt", size, learning, "s")
        table.add("lists", size, Double(index.lists?.count ?? 0), "")
        table.add("codes that a search compares", size, Double(index.lists?.codes ?? index.extent.vectors), "")
        let bytes = index.size
        table.add("memory of a passage", size, Double(bytes.bytes) / Double(size), "bytes")
        table.add("memory of its vector", size, Double(bytes.vectorBytes) / Double(size), "bytes")
        for kind in RecallQueries.Kind.allCases {
            let found = try await lane.run { searches.recall(of: index, [kind]) }
            table.add("recall@10, \(kind.rawValue)", size, found.recall, "")
        }
        for filter in filters {
            let found = try await lane.run {
                searches.recall(of: index, RecallQueries.Kind.allCases, filter: filter.filter, step: Self.filterStep)
            }
            table.add("recall@10, \(filter.name)", size, found.recall, "")
            table.add("\(filter.name), the vector arm: p50", size, found.milliseconds.quantile(0.5), "ms")
        }
        for part in GrowthSearches.Part.allCases {
            for clients in part == .both ? [1, 4] : [1] {
                let rate = try await searches.rate(part, clients: clients, seconds: Double(options.seconds)) {
                    _ = index.search($0)
                }
                let name = "\(part.rawValue), \(clients == 1 ? "one client" : "\(clients) clients")"
                table.add("\(name): searches", size, rate.perSecond, "1/s")
                table.add("\(name): processor time of a search", size, rate.microseconds, "µs")
                table.add("\(name): p50", size, rate.milliseconds.quantile(0.5), "ms")
                table.add("\(name): p95", size, rate.milliseconds.quantile(0.95), "ms")
            }
        }
        let file = try await lane.run { try GrowthFile.measure(index) }
        table.add("file written", size, file.written, "s")
        table.add("file read", size, file.read, "s")
        table.add("file of a passage", size, Double(file.bytes) / Double(size), "bytes")
        let seconds = try await lane.run { arms.add(Self.inserts, batch: Self.insertBatch, version: 1) }
        table.add("processor time of an insert", size, seconds / Double(Self.inserts) * 1e6, "µs")
    }
}

/// Figures of several sizes, each beside that of the first.
struct GrowthTable: Sendable {
    let sizes: [Int]
    private var rows: [(name: String, unit: String, values: [Int: Double])] = []

    init(sizes: [Int]) { self.sizes = sizes }

    mutating func add(_ name: String, _ size: Int, _ value: Double, _ unit: String) {
        if let known = rows.firstIndex(where: { $0.name == name }) {
            rows[known].values[size] = value
        } else {
            rows.append((name, unit, [size: value]))
        }
    }

    /// Some rows' figures over the first ones; short names.
    func lines(_ names: [String]) -> [(name: String, ratios: [Double])] {
        names.compactMap { name in
            guard let row = rows.first(where: { $0.name == name }), let first = row.values[sizes[0]], first > 0 else {
                return nil
            }
            let short = name.replacing(", one client: processor time of a search", with: ": a search")
            return (short, sizes.map { (row.values[$0] ?? 0) / first })
        }
    }

    func figures() -> [BenchFigure] {
        rows.flatMap { row in
            sizes.compactMap { size in
                row.values[size].map { value in
                    let first = row.values[sizes[0]] ?? 0
                    let ratio =
                        size != sizes[0] && first > 0 ? "\(BenchReport.short(value / first)) times the first" : nil
                    return BenchFigure("\(BenchReport.text(Double(size))): \(row.name)", value, row.unit, target: ratio)
                }
            }
        }
    }
}

/// The arms' file.
enum GrowthFile {
    static func measure(_ index: ArmsIndex) throws -> (written: Double, read: Double, bytes: Int) {
        let folder = try ScratchFolder()
        defer { folder.remove() }
        let identity = ArmsIdentity(
            database: "growth", tenant: "default", generation: 1, model: 1, modelName: "model",
            dimensions: index.extent.dimensions, analyzer: 1)
        let path = folder.path + "/growth.arms"
        // A file is of a version that is known.
        index.change { $0.reach(version: 1, stamp: 1) }
        let began = SystemClock.monotonicNanoseconds()
        guard let written = try index.write(to: path, as: identity, goesOn: { true }) else {
            throw Failure("the file was not written")
        }
        let between = SystemClock.monotonicNanoseconds()
        let read = try ArmsIndex.read(path, as: identity)
        let end = SystemClock.monotonicNanoseconds()
        guard read.index.size.passages == index.size.passages, read.index.lists?.count == index.lists?.count else {
            throw Failure("the file holds other arms")
        }
        return (Double(between - began) / 1e9, Double(end - between) / 1e9, written.bytes)
    }
}

extension GrowthBench.Options {
    private static let sizesDefault = [20_000, 100_000]

    /// - Throws: `UsageError`.
    init(_ arguments: ParsedArguments) throws {
        sizes =
            try arguments.value("--sizes").map { text in
                let sizes = try text.split(separator: ",").map { word in
                    guard let size = Int(word), (1_000...100_000_000).contains(size) else {
                        throw UsageError("--sizes: \(word) is no number from 1000 to 100000000")
                    }
                    return size
                }
                guard !sizes.isEmpty, zip(sizes, sizes.dropFirst()).allSatisfy({ $0 < $1 }) else {
                    throw UsageError("--sizes are ascending numbers")
                }
                return sizes
            } ?? Self.sizesDefault
        embedded = try arguments.integer("--embedded", in: 100...1_000_000) ?? min(4_000, sizes[0])
        queries = try arguments.integer("--queries", in: 10...10_000) ?? 50
        seconds = try arguments.integer("--seconds", in: 1...86_400) ?? 5
        plot = arguments.value("--plot")
        isInPostgres = arguments.has("--postgres")
    }
}
