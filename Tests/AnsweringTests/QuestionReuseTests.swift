import Foundation
import PlatformTesting
import Testing
import Text

@testable import Answering

/// An answer is given to another question only where that asks the same. The pairs are made by tools/make_question_pairs.py; the rules
/// were written on those of split `tune`.
@Suite struct QuestionReuseTests {
    private static func fault(_ first: String, _ second: String, _ analyzer: TextAnalyzer) -> ReuseFault? {
        QuestionForm(first, analyzer).fault(against: QuestionForm(second, analyzer))
    }

    @Test(arguments: ["tune", "report"]) func whatAsksTheSameIsToldFromWhatNearlyDoes(split: String) throws {
        let text = try String(contentsOfFile: PackageRoot.path + "/tools/questions/pairs.tsv", encoding: .utf8)
        let pairs = try #require(QuestionPair.read(text).pairs).filter { $0.split == split }
        let analyzer = try TextAnalyzer()
        let measure = ReuseMeasure(pairs, analyzer)
        for pair in measure.wrong { Issue.record("\(pair.kind): “\(pair.first)” is not “\(pair.second)”") }
        if split == "report" { #expect(measure.same >= 300 && measure.others >= 500) }
        #expect(measure.hitShare >= 0.6, "\(measure.hits) of \(measure.same), not \(measure.missed)")
        #expect(measure.wrongShareMax < 0.01)
        // Neither is the question before the other.
        for pair in pairs {
            let (there, back) = (
                Self.fault(pair.first, pair.second, analyzer), Self.fault(pair.second, pair.first, analyzer)
            )
            #expect((there == nil) == (back == nil), "\(pair)")
        }
    }

    @Test(arguments: [
        ("When was Germany invaded?", "When did Germany invade?"), ("Who was invited?", "Who invited?"),
        ("What's found in Norway?", "What found in Norway?"),
        ("Which laws did the court refuse to apply?", "Which laws did the court fail to apply?"),
        ("Who never won the cup?", "Who did not win the cup?"), ("What is the IT budget?", "What is the budget?"),
        ("What is hepatitis A?", "What is hepatitis?"), ("what is hepatitis a", "what is hepatitis"),
        ("What is in the box?", "What is on the box?"),
    ]) func smallWordsTellQuestionsApart(first: String, second: String) throws {
        let analyzer = try TextAnalyzer()
        #expect(Self.fault(first, second, analyzer) != nil && Self.fault(second, first, analyzer) != nil)
    }

    @Test(arguments: [
        ("What's the capital of France?", "What is the capital of France?"),
        ("Who didn't win the cup?", "Who did not win the cup?"),
        ("Who was the Kiel Canal designed by?", "Who designed the Kiel Canal?"),
        ("What happened on 12 March 1953 in Oslo?", "What happened 12 March 1953 in Oslo?"),
    ]) func whatIsSaidShorterIsTheSame(first: String, second: String) throws {
        #expect(Self.fault(first, second, try TextAnalyzer()) == nil)
    }

    @Test func linesThatAreNoPairsAreNamed() {
        #expect(QuestionPair.read("a\tb\t1\tc\td\n\n").pairs?.count == 1)
        #expect(QuestionPair.read("a\tb\t1\tc\td\na\tb\t2\tc\td").line == 2)
        #expect(QuestionPair.read("a\tb\t1\tc").pairs == nil)
    }

    @Test(arguments: [
        "", "???", "Was ist die Hauptstadt von Norwegen?", "東京の人口は？", "quelle est la capitale du Pérou",
        "Golden Gate Bridge",
        "golden gate bridge repainted",
    ]) func whatIsNoQuestionInEnglishIsNotCompared(text: String) throws {
        let analyzer = try TextAnalyzer()
        #expect(Self.fault(text, text, analyzer) == .language)
    }
}
