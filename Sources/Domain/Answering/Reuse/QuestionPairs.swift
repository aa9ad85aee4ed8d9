package import Text

/// Two questions, and whether they ask the same.
package struct QuestionPair: Sendable, Equatable {
    package var split: String
    /// By what they differ.
    package var kind: String
    package var isSame: Bool
    package var first: String
    package var second: String

    /// Reads lines of five fields between tabs: split, kind, 1 or 0, and both questions.
    ///
    /// - Returns: nil with the number of the first line that is none.
    package static func read(_ text: String) -> (pairs: [QuestionPair]?, line: Int) {
        var pairs: [QuestionPair] = []
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            guard !line.isEmpty else { continue }
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 5, ["0", "1"].contains(parts[2]) else { return (nil, number + 1) }
            pairs.append(
                QuestionPair(
                    split: parts[0], kind: parts[1], isSame: parts[2] == "1", first: parts[3], second: parts[4]))
        }
        return (pairs, 0)
    }
}

/// How often questions that ask the same are taken for the same, and others wrongly.
package struct ReuseMeasure: Sendable {
    /// Pairs that ask the same, and those of them that are taken for it.
    package private(set) var same = 0
    package private(set) var hits = 0
    /// Other pairs, and those that are taken for the same.
    package private(set) var others = 0
    package private(set) var wrong: [QuestionPair] = []
    /// Of pairs that ask the same, how many are not taken for it, by kind.
    package private(set) var missed: [String: Int] = [:]

    package init(_ pairs: [QuestionPair], _ analyzer: TextAnalyzer) {
        for pair in pairs {
            let fault = QuestionForm(pair.first, analyzer).fault(against: QuestionForm(pair.second, analyzer))
            guard pair.isSame else {
                others += 1
                if fault == nil { wrong.append(pair) }
                continue
            }
            same += 1
            if fault == nil { hits += 1 } else { missed[pair.kind, default: 0] += 1 }
        }
    }

    /// The share of pairs that ask the same and are taken for it.
    package var hitShare: Double { same > 0 ? Double(hits) / Double(same) : 0 }

    /// The upper end of the interval of 95 % of the share that is taken wrongly (Wilson 1927).
    package var wrongShareMax: Double {
        guard others > 0 else { return 1 }
        let (n, z) = (Double(others), 1.96)
        let share = Double(wrong.count) / n
        return (share + z * z / (2 * n) + z * (share * (1 - share) / n + z * z / (4 * n * n)).squareRoot())
            / (1 + z * z / n)
    }
}
