import Bytes
import Console
import Evaluation
import Files
import Telemetry

/// `medallion eval`: how well a running platform finds what people judged to be relevant.
struct EvalCommand: Command {
    static let name = "eval"
    static let summary = "Judges retrieval by queries whose relevant documents are known."
    static let table = ArgumentTable(
        options: [
            .init(name: "--set", value: "FILE", help: "The queries: TREC topics, or JSON lines."),
            .init(name: "--qrels", value: "FILE", help: "Judgements of TREC; JSON lines may bring their own."),
            .init(name: "--answers", value: "FILE", help: "Labelled questions instead, for POST /answer: JSON lines."),
            .init(
                name: "--pairs", value: "FILE", help: "Pairs of questions instead: which ask the same (tab-separated)."),
            .init(
                name: "--split", value: "NAME",
                help: "With --answers, --pairs: only of this split. add: the question's."),
            .init(name: "--to", value: "FILE", help: "add: the file that gets the question; else it is printed."),
            .init(name: "--documents", value: "IDS", help: "add: what answers it, with commas; `none` for nothing."),
            .init(name: "--url", value: "URL", help: "The API's address, in place of API_LISTEN."),
            .init(name: "--against", value: "URL", help: "A second API, which is compared with the first."),
            .init(name: "--compare", value: "FILE", help: "A saved run; RUN is compared with it, and nobody is asked."),
            .init(name: "--save", value: "FILE", help: "Keeps the run (the second one's, with --against) as JSON."),
            .init(name: "--plot", value: "FILE", help: "Writes the measures as a picture (SVG)."),
            .init(name: "--arms", value: "ARMS", help: "Some of vector,lexical,hybrid; all unless given."),
            .init(name: "--top-k", value: "N", help: "Hits to look at, 10 to 100 (100); recall is over them."),
            .init(name: "--collection", value: "NAME", help: "Only this collection."),
            .init(name: "--no-interpret", value: nil, help: "Words that name a time, a wiki and the like stay words."),
            APIClient.tenantOption,
            .init(name: "--seed", value: "N", help: "Of the intervals and the test of differences (1)."),
            .init(name: "--at-once", value: "N", help: "Requests at once, 1 to 16 (2)."),
            .init(name: "--seconds", value: "N", help: "What asking may take in all (900)."),
            .init(name: "--json", value: nil, help: "Everything as one JSON object, query by query."),
        ],
        positionals: [
            .init(name: "RUN", isRequired: false, help: "With --compare: the second saved run. Or the word add."),
            .init(name: "ANSWER", isRequired: false, help: "add: the id of an answer that was given."),
        ])
    static let details = """
        Asks every query of every arm, and says how good the rankings are: nDCG@10, recall and MRR, each with the 95 % interval
        of a bootstrap over the queries. Two platforms, or two saved runs, are compared query by query: p says how often chance
        alone would make a difference as large (a paired randomisation test). docs/search.md says more.

        JSON lines are {"id": "1", "query": "…", "relevant": {"DOC_ID": 1}}, with "filters" as POST /search takes them where a
        query has some. A grade above 0 is relevant.

        With --answers each line is {"id": "1", "question": "…", "documents": ["DOC_ID"]}, with all documents that answer it, or
        none where it is to be refused, and "kind", "split", "collection" where wanted. It prints the share of citations that are
        labelled, of the answerable that were answered from a labelled document, and of the others that were refused. `add` makes
        such a line of an answer that was given: by default what it cites answers the question, and nothing does where it refused.

        With --pairs each line has a split, a kind, 1 or 0 and two questions, with tabs between: it prints how many of those that ask
        the same (1) would be given one answer by the cache of answers, and how many of the others wrongly. Nobody is asked.

          medallion eval --set topics.txt --qrels qrels.txt --save before.json
          medallion eval --set questions.jsonl --url http://127.0.0.1:8080 --against http://127.0.0.1:8081
          medallion eval --answers questions.jsonl --split report
          medallion eval --pairs tools/questions/pairs.tsv --split report
          medallion eval add ans_4f2a6b… --to questions.jsonl
          medallion eval --compare before.json after.json --plot difference.svg
        """

    private enum Work {
        case ask(JudgedSetFiles, EvaluationAsking.Options, against: String?)
        case answers(String, split: String?, atOnce: Int, secondsMax: Int)
        case add(AnswerLabelling)
        case compare(String, String)
        case pairs(PairJudging)
    }

    private let work: Work
    private let url: String?
    private let tenant: String?
    private let savePath: String?
    private let plotPath: String?
    private let seed: UInt64
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        url = arguments.value("--url")
        tenant = try APIClient.tenant(arguments)
        savePath = arguments.value("--save")
        plotPath = arguments.value("--plot")
        seed = UInt64(try arguments.integer("--seed", in: 0...Int.max) ?? 1)
        isJSON = arguments.has("--json")
        if let first = arguments.value("--compare") {
            guard let second = arguments.word(0) else { throw UsageError("--compare needs RUN, a second saved run") }
            for name in [
                "--set", "--answers", "--qrels", "--url", "--against", "--save", "--arms", "--collection", "--tenant",
            ] where arguments.value(name) != nil {
                throw UsageError("\(name) is for asking, and --compare asks nobody")
            }
            work = .compare(first, second)
            return
        }
        if arguments.word(0) == "add" {
            work = .add(try Self.labelling(arguments))
            return
        }
        for name in ["--to", "--documents"] where arguments.value(name) != nil {
            throw UsageError("\(name) goes with add")
        }
        let atOnce = try arguments.integer("--at-once", in: 1...16) ?? 2
        let secondsMax = try arguments.integer("--seconds", in: 1...86_400) ?? 900
        if let file = arguments.value("--answers") {
            for name in ["--set", "--qrels", "--against", "--arms", "--save", "--plot", "--top-k", "--collection"]
            where arguments.value(name) != nil {
                throw UsageError("\(name) is for rankings, and --answers asks for answers")
            }
            work = .answers(file, split: arguments.value("--split"), atOnce: atOnce, secondsMax: secondsMax)
            return
        }
        if let file = arguments.value("--pairs") {
            for name in [
                "--set", "--qrels", "--against", "--arms", "--save", "--plot", "--top-k", "--collection", "--url",
            ]
            where arguments.value(name) != nil {
                throw UsageError("\(name) is for asking, and --pairs asks nobody")
            }
            work = .pairs(PairJudging(path: file, split: arguments.value("--split"), isJSON: isJSON))
            return
        }
        if let word = arguments.word(0) { throw UsageError("unknown word “\(word)”; two runs: --compare FILE RUN") }
        guard let set = arguments.value("--set") else {
            throw UsageError("--set FILE is missing, or --compare FILE RUN")
        }
        let known = EvaluationRun.armOrder
        let arms = arguments.value("--arms").map { $0.split(separator: ",").map(String.init) } ?? known
        guard !arms.isEmpty, Set(arms).isSubset(of: known), Set(arms).count == arms.count else {
            throw UsageError("--arms: not some of \(known.joined(separator: ",")), each once")
        }
        work = .ask(
            JudgedSetFiles(set: set, judgements: arguments.value("--qrels")),
            EvaluationAsking.Options(
                arms: arms, depth: try arguments.integer("--top-k", in: 10...100) ?? 100,
                collection: arguments.value("--collection"), interprets: !arguments.has("--no-interpret"),
                atOnce: atOnce, secondsMax: secondsMax),
            against: arguments.value("--against"))
    }

    func run(_ context: Context) async throws {
        switch work {
        case .compare(let first, let second):
            try show(try Self.compared(Self.saved(first), Self.saved(second), seed: seed))
        case .pairs(let judging): try judging.run()
        case .add(let labelling):
            try await labelling.run(APIClient(settings: context.settings, url: url, tenant: tenant))
        case .answers(let file, let split, let atOnce, let secondsMax):
            let api = APIClient(settings: context.settings, url: url, tenant: tenant)
            let found = try await AnswerAsking(
                api: api, questions: try Self.questions(file, split: split), atOnce: atOnce, secondsMax: secondsMax
            ).run()
            if isJSON { return Output.write(found.json + [0x0A]) }
            Output.print(LogText.lines(found.table))
        case .ask(let files, let options, let other):
            let set = try files.read()
            func ask(_ url: String?) async throws -> EvaluationRun {
                let api = APIClient(settings: context.settings, url: url, tenant: tenant)
                return try await EvaluationAsking(api: api, set: set, options: options).run()
            }
            let first = try await ask(url)
            guard let other else {
                try keep(first)
                return try show(first)
            }
            let second = try await ask(other)
            try keep(second)
            try show(try Self.compared(first, second, seed: seed))
        }
    }

    private static func labelling(_ arguments: ParsedArguments) throws -> AnswerLabelling {
        guard let answer = arguments.word(1) else { throw UsageError("add needs ANSWER, the id of an answer") }
        for name in ["--set", "--answers", "--qrels", "--against", "--arms", "--save", "--plot", "--top-k"]
        where arguments.value(name) != nil {
            throw UsageError("\(name) is for judging, and add judges nothing")
        }
        let documents = arguments.value("--documents").map { text in
            text == "none" ? [] : text.split(separator: ",").map(String.init)
        }
        return AnswerLabelling(
            answerID: answer, documents: documents, split: arguments.value("--split"), path: arguments.value("--to"))
    }

    private static func questions(_ path: String, split: String?) throws -> [LabelledQuestion] {
        let bytes = try contents(path, "the questions (--answers)")
        do throws(JudgedSetError) {
            return try LabelledQuestion.read(bytes, split: split)
        } catch {
            throw Failure("\(LogText.escaped(path)): \(LogText.escaped(error.description))")
        }
    }

    private static func compared(
        _ first: EvaluationRun, _ second: EvaluationRun, seed: UInt64
    ) throws -> EvaluationComparison {
        do throws(JudgedSetError) {
            return try EvaluationComparison(first, second, seed: seed)
        } catch {
            throw Failure(LogText.escaped(error.description))
        }
    }

    private static func saved(_ path: String) throws -> EvaluationRun {
        let bytes = try contents(path, "the saved run")
        do throws(JudgedSetError) {
            return try EvaluationRun(file: bytes)
        } catch {
            throw Failure("\(LogText.escaped(path)) is no saved run: \(LogText.escaped(error.description))")
        }
    }

    /// - Throws: ``Failure`` that says what cannot be read.
    static func contents(_ path: String, _ what: String) throws -> [UInt8] {
        do throws(FileError) {
            return try File.contents(of: path, bytesMax: 256 << 20)
        } catch {
            throw Failure("\(what) cannot be read: \(LogText.escaped(error.description))")
        }
    }

    private func keep(_ run: EvaluationRun) throws {
        guard let savePath else { return }
        try File.replace(savePath, with: run.file(seed: seed) + [0x0A])
    }

    private func show(_ run: EvaluationRun) throws {
        try plot([run])
        if isJSON { return Output.write(run.file(seed: seed) + [0x0A]) }
        Output.print(LogText.lines(EvaluationTable.text(run, seed: seed)))
        for note in run.notes { Output.line("note: \(LogText.escaped(note))") }
    }

    private func show(_ comparison: EvaluationComparison) throws {
        let runs = [comparison.first, comparison.second]
        try plot(runs)
        if isJSON { return Output.write(comparison.json(seed: seed) + [0x0A]) }
        for run in runs { Output.print(LogText.lines(EvaluationTable.text(run, seed: seed)) + "\n") }
        Output.print(LogText.lines(EvaluationTable.text(comparison)))
        for (name, run) in zip(["first", "second"], runs) {
            for note in run.notes { Output.line("note on the \(name): \(LogText.escaped(note))") }
        }
    }

    private func plot(_ runs: [EvaluationRun]) throws {
        guard let plotPath else { return }
        try File.replace(plotPath, with: Array(EvaluationPlot.svg(runs, seed: seed).utf8))
    }
}

/// The files of a judged set.
struct JudgedSetFiles: Sendable {
    let set: String
    let judgements: String?

    /// - Throws: ``Failure`` that names the file.
    func read() throws -> JudgedSet {
        let bytes = try EvalCommand.contents(set, "the set")
        let judged = try judgements.map { try EvalCommand.contents($0, "the judgements (--qrels)") }
        do throws(JudgedSetError) {
            return try JudgedSet(bytes, judgements: judged)
        } catch {
            let names = [set, judgements].compactMap(\.self).joined(separator: " with ")
            throw Failure("\(LogText.escaped(names)): \(LogText.escaped(error.description))")
        }
    }
}

extension LogText {
    /// Lines as they are, and what is in them safe for a terminal.
    fileprivate static func lines(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { escaped(String($0)) }
            .joined(separator: "\n")
    }
}
