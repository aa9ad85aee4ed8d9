import Bytes
import Concurrency
import Console
import Ingest
import Kafka
import ServiceLifecycle
import Settings
import Sources
import Telemetry

/// `medallion ingest`: files into the topic of a source.
struct IngestCommand: Command {
    static let name = "ingest"
    static let summary = "Sends the documents in files to the topic of a source."
    static let table = ArgumentTable(
        options: [
            .init(name: "--source", value: "NAME", help: "The declared source; needed if several take documents."),
            .init(
                name: "--format", value: "FORMAT",
                help: "jsonl, csv, markdown, html or text (default: by the ends of names; standard input: jsonl)."),
            .init(name: "--dry-run", value: nil, help: "Send nothing; tell what would become of the documents."),
            .init(
                name: "--from-beginning", value: nil, help: "Send again what was sent before, as something new."),
            .init(name: "--json", value: nil, help: "The summary as one JSON object."),
        ],
        positionals: [
            .init(
                name: "PATH", isRequired: true, help: "A file, a folder, or `-` for standard input.", takesRest: true)
        ])
    static let details = """
        Files end in .jsonl or .ndjson (an object a line), .csv (the first row names the members), .md or .markdown, .html
        or .htm, .txt (a document each), and may be packed: .gz, .zst. How far each was acknowledged is kept in DATA_DIR:
        whatever ends a run, the same command continues it, and what was read before is not sent again.

          medallion ingest notes/ --source notes
          medallion ingest orders.csv.zst --source orders --dry-run
          zstdcat dump.zst | medallion ingest - --source products

        Exit codes: 0 all was read, 1 something was left out or is missing, 69 the broker took nothing for a while.
        """

    private let paths: [String]
    private let source: String?
    private let format: FileFormat?
    private let isDryRun: Bool
    private let startsOver: Bool
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        paths = arguments.words
        source = arguments.value("--source")
        let format = arguments.value("--format")
        self.format = format.flatMap(FileFormat.init(rawValue:))
        if let format, self.format == nil {
            throw UsageError(
                "--format \(format): one of \(FileFormat.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        isDryRun = arguments.has("--dry-run")
        startsOver = arguments.has("--from-beginning")
        isJSON = arguments.has("--json")
        if paths.contains("") { throw UsageError("PATH is empty") }
        if isDryRun && startsOver { throw UsageError("--dry-run reads from the beginning anyway") }
    }

    func run(_ context: Context) async throws {
        let source = try chosen(context)
        let tally = FileTally()
        let files = GivenSearch.files(paths, format: format, tally: tally)
        if files.isEmpty, tally.figures.refused == 0 {
            throw Failure(
                "there is no file to read in \(LogText.escaped(paths.joined(separator: ", "))): names end in "
                    + FileFormat.allCases.flatMap(\.suffixes).joined(separator: ", ")
                    + ", each also with .gz or .zst; --format takes others")
        }
        if let refusal = Self.refusal(of: GivenSearch.sharedIDs(files)) { throw UsageError(refusal) }
        let given = GivenFiles(files, startsOver: startsOver, tally: tally)
        let job = IngestJob(source: source, given: given, context: context)
        if isDryRun {
            let report = try await Lane(name: "ingest").run { try IngestTrial(source, given).run() }
            IngestRendering.show(report, tally.figures, source, asJSON: isJSON)
        } else {
            try await IngestPause(context).check(source.name)
            let end = try await job.run()
            IngestRendering.show(tally.figures, end, source, asJSON: isJSON)
            try Self.check(end)
        }
        let refused = tally.figures.refused
        if refused > 0 { throw Failure("\(refused) files, lines or rows were left out; see above") }
    }

    private static func check(_ end: IngestJob.End) throws {
        switch end {
        case .complete: return
        case .failed(let words): throw Failure(LogText.escaped(words))
        case .stalled(let words): throw Failure(LogText.escaped(words), code: .dependencyUnavailable)
        case .stopped:
            throw Failure("stopped before all was read; the same command continues where this one ended")
        }
    }

    /// Why a source takes no files; nil where it does.
    static func refusal(of source: SourceDeclaration) -> String? {
        guard source.connector.keepsPlaceInTopic else { return nil }
        return
            "--source \(source.name): its connector (\(source.connector.kind.rawValue)) keeps its place in the topic, which records of "
            + "files would hide, so that events would be lost: declare a source of its own for the files (connector none)"
    }

    /// Why files may not be sent together; nil where they may.
    private static func refusal(of shared: [(id: String, names: [String])]) -> String? {
        guard let first = shared.first else { return nil }
        let names = first.names.prefix(3).map(LogText.escaped).joined(separator: ", ")
        return
            "\(names)\(first.names.count > 3 ? " and others" : "") would all be the document \(LogText.escaped(first.id))"
            + (shared.count > 1 ? ", and so with \(shared.count - 1) other ids" : "")
            + ": give the folder above them, or ingest them into sources of their own"
    }

    /// The source whose logic takes objects as files hold them.
    private func chosen(_ context: Context) throws -> SourceDeclaration {
        let all = try DeclaredSources.read(context.settings)
        let named = all.sources.first { $0.name.text == source }
        if let named, let refusal = Self.refusal(of: named) { throw UsageError(refusal) }
        let declared = try all.only(
            source,
            where: { source in
                guard case .document(let settings) = source.logic else { return false }
                return settings.envelope == nil && !source.connector.keepsPlaceInTopic
            }, else: "whose logic is `document`, without an envelope,", isStart: true
        ).sources
        guard let first = declared.first, declared.count == 1 else {
            throw UsageError(
                "several sources take documents (\(declared.map(\.name.text).joined(separator: ", "))): say which with "
                    + "--source")
        }
        return first
    }
}
