import Answering
import Bytes
import Console
import Telemetry
import Text

/// `medallion eval --pairs`: how well questions that ask the same are told from those that nearly do. Nobody is asked.
struct PairJudging: Sendable {
    let path: String
    /// Only of this split; nil: of all, one after the other.
    let split: String?
    let isJSON: Bool

    func run() throws {
        let text = String(decoding: try EvalCommand.contents(path, "the pairs (--pairs)"), as: UTF8.self)
        let read = QuestionPair.read(text)
        guard let pairs = read.pairs else {
            throw Failure("\(LogText.escaped(path)): line \(read.line) is no pair of questions")
        }
        let splits = split.map { [$0] } ?? Set(pairs.map(\.split)).sorted()
        let analyzer = try TextAnalyzer()
        let measures = splits.map { name in (name, ReuseMeasure(pairs.filter { $0.split == name }, analyzer)) }
        if isJSON { return Output.write(Self.json(measures) + [0x0A]) }
        for (name, measure) in measures {
            Output.line("split \(LogText.escaped(name))")
            Output.line(
                "  asks the same   \(measure.hits) of \(measure.same) taken (\(Self.percent(measure.hitShare)))")
            Output.line(
                "  asks another    \(measure.wrong.count) of \(measure.others) taken, at most "
                    + "\(Self.percent(measure.wrongShareMax)) (95 %)")
            for (kind, count) in measure.missed.sorted(by: { $0.key < $1.key }) {
                Output.line("  not taken       \(count) of kind \(LogText.escaped(kind))")
            }
            for pair in measure.wrong {
                Output.line(LogText.escaped("  wrongly taken   \(pair.kind): \(pair.first) | \(pair.second)"))
            }
        }
    }

    private static func percent(_ share: Double) -> String { "\((share * 1_000).rounded() / 10) %" }

    private static func json(_ measures: [(String, ReuseMeasure)]) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        for (name, measure) in measures {
            writer.key(dynamic: name)
            writer.beginObject()
            writer.integer("same", measure.same)
            writer.integer("hits", measure.hits)
            writer.integer("others", measure.others)
            writer.integer("wrong", measure.wrong.count)
            writer.double("hit_share", measure.hitShare)
            writer.double("wrong_share_max", measure.wrongShareMax)
            writer.endObject()
        }
        writer.endObject()
        return writer.bytes
    }
}
