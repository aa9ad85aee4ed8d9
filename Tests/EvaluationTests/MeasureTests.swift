import Bytes
import Evaluation
import Files
import JSONScan
import PlatformTesting
import Testing

@Suite struct MeasureTests {
    /// Figures worked out by hand: log2(2) = 1, log2(3) = 1.584963, log2(4) = 2, log2(5) = 2.321928.
    @Test func measuresAreThoseOfTheDefinitions() {
        let grades = ["a": 3, "b": 2, "c": 0, "d": 1, "e": -1]
        // Found at 2 and 4: 2/1.584963 + 1/2.321928, of an ideal 3 + 2/1.584963 + 1/2.
        let ranking = ["x", "b", "e", "d", "c"]
        #expect(abs(RankingMeasures.ndcg(ranking, grades: grades) - 1.692536 / 4.761860) < 1e-6)
        #expect(abs(RankingMeasures.recall(ranking, grades: grades) - 2.0 / 3) < 1e-12)
        #expect(RankingMeasures.reciprocalRank(ranking, grades: grades) == 0.5)
        #expect(RankingMeasures.ndcg(["a", "b", "d"], grades: grades) == 1)
        #expect(RankingMeasures.ndcg([], grades: grades) == 0 && RankingMeasures.recall([], grades: grades) == 0)
        #expect(RankingMeasures.reciprocalRank(["c", "e"], grades: grades) == 0)
        #expect(RankingMeasures.ndcg(["a"], grades: ["a": 0]) == 0)
    }

    /// The eleventh place counts for nothing, and an ideal ranking has ten places, however much is relevant.
    @Test func onlyTheFirstTenPlacesCount() {
        let grades = Dictionary(uniqueKeysWithValues: (0..<25).map { ("r\($0)", 1) })
        let missed = (0..<10).map { "x\($0)" } + ["r0"]
        #expect(RankingMeasures.ndcg(missed, grades: grades) == 0)
        #expect(RankingMeasures.ndcg((0..<10).map { "r\($0)" }, grades: grades) == 1)
        #expect(abs(RankingMeasures.recall(missed, grades: grades) - 1.0 / 25) < 1e-12)
    }

    private static let hasTools = (try? PythonTool.run(["-c", "import pytrec_eval"])) != nil

    /// Against `trec_eval` on invented rankings, graded and not, with documents that nobody judged.
    @Test(.enabled(if: hasTools, "pytrec_eval is not installed (tools/setup.sh)"))
    func measuresAreThoseOfTrecEval() throws {
        var generator = SeededGenerator(seed: 20)
        var cases: [(grades: [String: Int], ranking: [String])] = []
        for _ in 0..<200 {
            let count = Int.random(in: 1...60, using: &generator)
            var grades: [String: Int] = [:]
            for document in 0..<count where Bool.random(using: &generator) {
                grades["d\(document)"] = Int.random(in: 0...3, using: &generator)
            }
            grades["d0"] = 1
            let pool = (0..<count + 20).map { "d\($0)" }.shuffled(using: &generator)
            cases.append((grades, Array(pool.prefix(Int.random(in: 1...100, using: &generator)))))
        }
        let folder = try TemporaryFolder()
        var json = JSONWriter()
        json.beginArray()
        for one in cases {
            json.beginObject()
            json.key("grades")
            json.beginObject()
            for (document, grade) in one.grades {
                json.key(dynamic: document)
                json.integer(grade)
            }
            json.endObject()
            json.key("ranking")
            json.beginArray()
            for document in one.ranking { json.string(document) }
            json.endArray()
            json.endObject()
        }
        json.endArray()
        try File.replace(folder.file("cases.json"), with: json.bytes)
        let script = PackageRoot.path + "/Tests/EvaluationTests/measures.py"
        let reference = try JSONValue.parse(try PythonTool.run([script, folder.file("cases.json")])).array ?? []
        #expect(reference.count == cases.count)
        for (one, wanted) in zip(cases, reference) {
            let found = RankingMeasures.all(one.ranking, grades: one.grades)
            for (measure, name) in [(Measure.ndcg10, "ndcg"), (.recall, "recall"), (.reciprocalRank, "mrr")] {
                #expect(abs((found[measure] ?? -1) - (wanted[name]?.double ?? -2)) < 1e-6, "\(name) of \(one)")
            }
        }
    }

    @Test(arguments: [
        ([0.43, 0.30, 0.43], 0), ([0.42, 0.30, 0.39], 2), ([0.45, 0.30, 0.44], 1), ([0.42, 0.30, 0.4151], 0),
        ([0.42, 0.2, 0.42], 1),
    ]) func theGateHoldsFloorsAndTheBetterArm(scores: [Double], misses: Int) {
        let gate = QualityGate(floors: ["vector": 0.41, "lexical": 0.25, "hybrid": 0.40], shortfallMax: 0.005)
        let named = Dictionary(uniqueKeysWithValues: zip(["vector", "lexical", "hybrid"], scores))
        #expect(gate.misses(named).count == misses)
        #expect(gate.misses(["hybrid": 0.5]).count == 2, "what was not measured is missed")
    }

    @Test(arguments: [
        (0.0, 3, "0.000"), (0.4295, 3, "0.430"), (-0.0625, 2, "-0.06"), (12.5, 0, "13"), (0.005, 2, "0.01"),
        (0.9996, 3, "1.000"), (-0.0001, 3, "0.000"),
    ]) func figuresAreRounded(value: Double, places: Int, text: String) {
        #expect(Figures.fixed(value, places) == text)
    }
}

@Suite struct StatisticsTests {
    private func sample(_ count: Int, seed: UInt64, shift: Double = 0) -> [Double] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in Double.random(in: 0...1, using: &generator) + shift }
    }

    /// The interval of a mean of uniform values is known: 1.96 standard errors of 0.2887 / √n to each side.
    @Test func intervalsAreThoseOfTheMean() {
        let values = sample(400, seed: 3)
        let estimate = Statistics.estimate(values, seed: 1)
        let half = 1.96 * 0.2887 / 20
        #expect(abs(estimate.mean - estimate.low - half) < 0.15 * half)
        #expect(abs(estimate.high - estimate.mean - half) < 0.15 * half)
        #expect(Statistics.estimate(values, seed: 1) == estimate, "it follows from the seed")
        #expect(Statistics.estimate(values, seed: 2) != estimate)
        #expect(Statistics.estimate([0.25], seed: 1) == Estimate(mean: 0.25, low: 0.25, high: 0.25))
        #expect(Statistics.estimate([], seed: 1).mean == 0)
    }

    /// All 2^n exchanges of ten queries, counted: what the rounds of a test approach.
    @Test(arguments: [0.0, 0.1, 0.3]) func aRandomisationTestApproachesTheExactOne(shift: Double) {
        let (first, second) = (sample(10, seed: 5), sample(10, seed: 6, shift: shift))
        let differences = zip(first, second).map { $1 - $0 }
        let observed = abs(differences.reduce(0, +))
        let asLarge = (0..<1_024).count { signs in
            let sum = differences.enumerated().reduce(0.0) {
                $0 + (signs >> $1.offset & 1 == 0 ? $1.element : -$1.element)
            }
            return abs(sum) >= observed - 1e-9
        }
        let found = Statistics.compare(first, second, seed: 9)
        #expect(abs(found.p - Double(asLarge) / 1_024) < 0.015)
        #expect(abs(found.difference.mean - Statistics.mean(differences)) < 1e-12)
        #expect(found.better + found.worse == 10)
        #expect(Statistics.compare(second, first, seed: 9).p == found.p, "the test has two sides")
    }

    @Test func equalSystemsDoNotDiffer() {
        let values = sample(50, seed: 1)
        let found = Statistics.compare(values, values, seed: 1)
        #expect(found.p == 1 && found.difference.mean == 0 && found.better == 0 && found.worse == 0)
        let better = Statistics.compare(values, values.map { $0 + 0.1 }, seed: 1)
        #expect(better.p == 1 / 10_001.0 && better.better == 50)
    }
}
