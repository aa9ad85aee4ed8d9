import Bytes

/// How good answers are: of each labelled question what came of it.
package struct AnswerEvaluation: Sendable {
    /// What came of one question.
    package struct Outcome: Sendable, Equatable {
        package var question: LabelledQuestion
        package var isRefused: Bool
        /// Ids of the documents that the answer cites, once for each sentence that does.
        package var cited: [String]
        /// What it said, for people.
        package var text: String

        package init(question: LabelledQuestion, isRefused: Bool, cited: [String], text: String) {
            self.question = question
            self.isRefused = isRefused
            self.cited = cited
            self.text = text
        }

        /// Whether it is as the labels want it: a labelled document is cited, or it is refused where nothing answers it.
        package var isRight: Bool {
            question.isAnswerable ? !isRefused && cited.contains(where: question.documents.contains) : isRefused
        }

        fileprivate var rightCitations: Int { cited.count(where: question.documents.contains) }
    }

    /// In the order of the questions.
    package let outcomes: [Outcome]

    package init(_ outcomes: [Outcome]) { self.outcomes = outcomes }

    /// Of all citations, those of documents that answer their question. Whatever an answer cites where nothing answers the
    /// question counts as wrong.
    package var citationPrecision: Proportion {
        Proportion(
            outcomes.reduce(0) { $0 + $1.rightCitations }, of: outcomes.reduce(0) { $0 + $1.cited.count })
    }

    /// Of the questions that can be answered, those answered by a labelled document.
    package var answered: Proportion { right { $0.question.isAnswerable } }
    /// Of the questions that nothing answers, those that are refused.
    package var refused: Proportion { right { !$0.question.isAnswerable } }

    /// The kinds in the order of the questions, with what was right of each.
    package var kinds: [(name: String, right: Proportion)] {
        var names: [String] = []
        for outcome in outcomes where !names.contains(outcome.question.kind) { names.append(outcome.question.kind) }
        return names.map { name in (name, right { $0.question.kind == name }) }
    }

    private func right(_ isCounted: (Outcome) -> Bool) -> Proportion {
        let counted = outcomes.filter(isCounted)
        return Proportion(counted.count(where: \.isRight), of: counted.count)
    }

    // MARK: For people and programs

    /// A table of the measures and of the kinds.
    package var table: String {
        let measures = [
            ("citation precision", citationPrecision), ("answered, of the answerable", answered),
            ("refused, of the unanswerable", refused),
        ]
        let rows = measures.map { Self.row($0.0, $0.1) } + kinds.map { Self.row("  \($0.name)", $0.right) }
        return EvaluationTable.aligned([["measure", "share", "of", "95 %"]] + rows)
    }

    private static func row(_ name: String, _ share: Proportion) -> [String] {
        let bounds = share.interval
        return [
            name, Figures.fixed(share.value, 3), "\(share.count)/\(share.total)",
            "[\(Figures.fixed(bounds.low, 3)), \(Figures.fixed(bounds.high, 3))]",
        ]
    }

    /// Everything, question by question.
    package var json: [UInt8] {
        var writer = JSONWriter(capacity: 65_536)
        writer.beginObject()
        for (name, share) in [("citation_precision", citationPrecision), ("answered", answered), ("refused", refused)] {
            writer.key(dynamic: name)
            writer.proportion(share)
        }
        writer.key("kinds")
        writer.beginObject()
        for (name, share) in kinds {
            writer.key(dynamic: name)
            writer.proportion(share)
        }
        writer.endObject()
        writer.key("questions")
        writer.beginArray()
        for outcome in outcomes {
            writer.beginObject()
            writer.string("id", outcome.question.id)
            writer.string("kind", outcome.question.kind)
            writer.string("question", outcome.question.text)
            writer.bool("right", outcome.isRight)
            writer.bool("refused", outcome.isRefused)
            writer.key("cited")
            writer.beginArray()
            for document in outcome.cited { writer.string(document) }
            writer.endArray()
            writer.string("answer", outcome.text)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }
}

/// So many of so many.
package struct Proportion: Sendable, Equatable {
    package let count: Int
    package let total: Int

    package init(_ count: Int, of total: Int) {
        self.count = count
        self.total = total
    }

    /// 0 of nothing.
    package var value: Double { total == 0 ? 0 : Double(count) / Double(total) }

    /// The 95 % interval of Wilson ("Probable inference, the law of succession, and statistical inference", 1927), which holds for
    /// shares near 0 and 1, too; everything where nothing was counted.
    package var interval: (low: Double, high: Double) {
        guard total > 0 else { return (0, 1) }
        let z = 1.959_964
        let (n, share) = (Double(total), value)
        let centre = (share + z * z / (2 * n)) / (1 + z * z / n)
        let half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)).squareRoot()
        return (max(0, centre - half), min(1, centre + half))
    }
}

extension JSONWriter {
    fileprivate mutating func proportion(_ share: Proportion) {
        beginObject()
        double("share", share.value)
        integer("count", share.count)
        integer("of", share.total)
        double("low", share.interval.low)
        double("high", share.interval.high)
        endObject()
    }
}
