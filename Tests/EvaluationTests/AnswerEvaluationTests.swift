import Evaluation
import JSONScan
import Testing

@Suite struct AnswerEvaluationTests {
    private func question(_ id: String, _ kind: String, _ documents: Set<String> = []) -> LabelledQuestion {
        LabelledQuestion(id: id, text: "what is \(id)?", kind: kind, documents: documents)
    }

    @Test func measuresCountWhatTheLabelsSay() {
        typealias Outcome = AnswerEvaluation.Outcome
        let evaluation = AnswerEvaluation([
            // A right one, one that cites something else as well, one that cites only something else, one that is refused.
            Outcome(question: question("a", "there", ["d1"]), isRefused: false, cited: ["d1"], text: ""),
            Outcome(question: question("b", "there", ["d2", "d3"]), isRefused: false, cited: ["d3", "x"], text: ""),
            Outcome(question: question("c", "there", ["d4"]), isRefused: false, cited: ["x"], text: ""),
            Outcome(question: question("d", "there", ["d5"]), isRefused: true, cited: [], text: ""),
            // A refusal that is right, and an answer that is not.
            Outcome(question: question("e", "not there"), isRefused: true, cited: [], text: ""),
            Outcome(question: question("f", "not there"), isRefused: false, cited: ["d1"], text: ""),
        ])
        #expect(evaluation.citationPrecision == Proportion(2, of: 5))
        #expect(evaluation.answered == Proportion(2, of: 4))
        #expect(evaluation.refused == Proportion(1, of: 2))
        #expect(evaluation.kinds.map(\.name) == ["there", "not there"])
        #expect(evaluation.kinds.map(\.right) == [Proportion(2, of: 4), Proportion(1, of: 2)])
        let rows = evaluation.table.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        #expect(rows.contains { $0.starts(with: ["citation", "precision", "0.400", "2/5"]) }, "\(evaluation.table)")
    }

    @Test func jsonHasEveryQuestion() throws {
        let outcome = AnswerEvaluation.Outcome(
            question: question("a", "k", ["d1"]), isRefused: false, cited: ["d1"], text: "It says “yes”.")
        let json = try JSONValue.parse(AnswerEvaluation([outcome]).json)
        #expect(json["answered"]?["share"]?.double == 1 && json["refused"]?["of"]?.integer == 0)
        #expect(json["questions"]?.array?.first?["answer"]?.string == "It says “yes”.")
        #expect(json["questions"]?.array?.first?["right"]?.bool == true)
    }

    /// Worked out by the formula in Python.
    @Test(arguments: [(0, 10, 0.0, 0.277_533), (5, 10, 0.236_593, 0.763_407), (92, 100, 0.850_019, 0.958_907)])
    func intervalsAreThoseOfWilson(count: Int, total: Int, low: Double, high: Double) {
        let interval = Proportion(count, of: total).interval
        #expect(abs(interval.low - low) < 1e-4 && abs(interval.high - high) < 1e-4, "\(interval)")
    }

    @Test func nothingSaysNothing() {
        #expect(Proportion(0, of: 0).value == 0)
        #expect(Proportion(0, of: 0).interval == (0, 1))
    }

    // MARK: Reading

    private func read(_ text: String, split: String? = nil) throws -> [LabelledQuestion] {
        try LabelledQuestion.read(Array(text.utf8), split: split)
    }

    @Test func linesAreRead() throws {
        let text = """
            {"id": 7, "question": "Who?", "documents": ["d1", "d2"], "kind": "who", "split": "tune"}

            {"id": "8", "question": "When?", "documents": [], "collection": "c", "split": "report", "answerable": false}
            """
        let all = try read(text)
        #expect(all.map(\.id) == ["7", "8"] && all.map(\.isAnswerable) == [true, false])
        #expect(all.map(\.kind) == ["who", "question"] && all.map(\.collection) == [nil, "c"])
        #expect(try read(text, split: "report").map(\.id) == ["8"])
    }

    @Test(arguments: [
        ("", "there is no question"), ("{", "line 1 of the questions is no JSON"), ("[1]", "is no JSON object"),
        (#"{"question": "a?", "documents": []}"#, "has no id"), (#"{"id": "1", "documents": []}"#, "has no question"),
        (#"{"id": "1", "question": "a?"}"#, "has no documents"),
        (#"{"id": "1", "question": "a?", "documents": [1]}"#, "is no list of doc_ids"),
        (#"{"id": "1", "question": "a?", "documents": [], "answerable": true}"#, "say different things"),
        (#"{"id": "1", "question": "a?", "documents": [], "grade": 1}"#, "“grade”, which nobody reads"),
        (
            #"{"id": "1", "question": "a?", "documents": []}"# + "\n"
                + #"{"id": "1", "question": "b?", "documents": []}"#, "two questions have the id 1"
        ),
    ]) func wrongLinesAreNamed(text: String, says: String) {
        let error = #expect(throws: JudgedSetError.self) { try read(text) }
        #expect(error?.description.contains(says) == true, "\(error?.description ?? "")")
    }

    @Test func anUnknownSplitNamesThoseThereAre() {
        let error = #expect(throws: JudgedSetError.self) {
            try read(#"{"id": "1", "question": "a?", "documents": [], "split": "tune"}"#, split: "report")
        }
        #expect(error?.description == "there is no question of split report; there are tune")
    }
}
