import Audit
import Bytes
import Console
import Indexer
import Lake
import Postgres
import Store

/// `medallion audit`: whether the index shows what the lake has.
struct AuditCommand: Command {
    static let name = "audit"
    static let summary = "Compares the index with the lake, both ways; exit code 1 where they differ."
    static let table = ArgumentTable(options: [
        .init(name: "--generation", value: "N", help: "Of this generation (default: the active one)."),
        .init(
            name: "--sample", value: "N", help: "About so many passages are embedded again and compared (default: 200)."
        ),
        .init(name: "--all", value: nil, help: "All passages are embedded again."),
        .init(
            name: "--repair", value: nil,
            help: "Writes again what is missing or wrong, hides what is too much, and looks once more."),
        .init(name: "--json", value: nil, help: "One JSON object per finding, and one of the whole."),
    ])
    static let details = """
        Reads the lake's Gold as far as the index has come, in ranges of some hundred lines; searches and indexers go on meanwhile. What
        the last audit of a generation came to is kept in the database; `index` and `up` show it as medallion_audit_drift_documents.
        """

    private var options = AuditOptions()
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        options.generation = try arguments.integer("--generation", in: 1...Int.max).map(Int64.init)
        let sample = try arguments.integer("--sample", in: 0...Int.max)
        if arguments.has("--all") {
            guard sample == nil else { throw UsageError("--all is more than any --sample: leave one of them out") }
            options.sample = nil
        } else if let sample {
            options.sample = Int64(sample)
        }
        options.isRepairing = arguments.has("--repair")
        isJSON = arguments.has("--json")
    }

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        let database = try await platform.checkedDatabase("audit", for: options.isRepairing ? .writing : .serving)
        let documents = DocumentIndexer(
            configuration: database, embedder: try platform.embedder(of: options.generation),
            graph: VectorGraph(context.settings),
            logger: context.logger.scoped("audit"))
        var options = options
        // Whoever does not know what has expired would bring it back.
        let sources = try DeclaredSources.read(context.settings).sources
        options.expiries = IndexRetention(context.settings, sources).expiries
        var report = try await audit(context, database, documents, options)
        if options.isRepairing, report.drift > 0 || report.repaired > 0 {
            show(report)
            options.isRepairing = false
            report = try await audit(context, database, documents, options)
        }
        show(report)
        if report.drift > 0 {
            throw Failure("the index is not as the lake has it: \(report.drift) documents or rows differ")
        }
    }

    private func audit(
        _ context: Context, _ database: PostgresConfiguration, _ index: DocumentIndexer, _ options: AuditOptions
    ) async throws -> AuditReport {
        let auditor = Auditor(
            layout: try LakeLayout(context.settings), database: database, index: index, options: options)
        let isJSON = isJSON
        return try await auditor.run { finding in
            if isJSON {
                var json = JSONWriter()
                json.beginObject()
                json.string("fault", finding.fault.rawValue)
                json.string("topic", finding.source.topic)
                json.integer("partition", finding.source.partition)
                json.integer("offset", finding.offset)
                json.string("document", finding.document)
                json.endObject()
                Output.write(json.bytes + [0x0A])
            } else {
                Output.line(
                    "\(finding.fault.rawValue)  \(finding.source) offset \(finding.offset)  \(finding.document)")
            }
        }
    }

    private func show(_ report: AuditReport) {
        if isJSON { return Output.write(report.json + [0x0A]) }
        let faults = AuditFault.allCases.compactMap { fault in
            report.faults[fault].map { "\(fault.rawValue) \($0)" }
        }
        let outside =
            report.outside > 0
            ? ["of these outside of the lake's ranges, which no repair touches \(report.outside)"] : []
        let orphans = report.orphans.sum > 0 ? ["rows that nothing refers to \(report.orphans.sum)"] : []
        Output.line(
            "generation \(report.generation): \(report.lines) lines, \(report.documents) documents, \(report.embedded) texts "
                + "embedded again: "
                + (report.drift == 0 ? "all well" : (faults + outside + orphans).joined(separator: ", "))
                + (report.repaired > 0 ? "; \(report.repaired) repaired" : ""))
    }
}
