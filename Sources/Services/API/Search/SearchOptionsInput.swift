import Bytes
import Forms
import HTTPEndpoints
import JSONScan
import Records
import Retrieval

/// What a search asks of its ranking, as a request gives it.
struct SearchOptionsInput: Sendable {
    var weights: ArmWeights?
    var recency: RecencyPrior?
    var sourceWeights: [String: Double]?
    /// Whether what sources declare of themselves counts.
    var countsReputation = true
    var scoreMin: Double?
    var order = RankingOptions.Order.relevance
    var grouping: String?

    /// Of an arm, a collection, or of being new; far more than anybody needs.
    static let weightMax = 100.0
    /// Less is nothing, and would be too little for a database to compute with.
    static let weightMin = 0.000_001
    static let weight = Form<Double>.number(0...weightMax).checked { weight, reading in
        guard weight > 0, weight < weightMin else { return }
        reading.fault("greater_than_equal", "must be 0, or at least 0.000001", input: .double(weight))
    }
    /// Of any score that weights within their bounds can make.
    static let scoreMax = 1_000_000.0
    /// Collections that one request weighs.
    static let collectionsMax = 32

    /// What was asked; nil with faults noted where it cannot be asked.
    ///
    /// - Parameters:
    ///   - declared: what the attribute of `group_by` is.
    ///   - scope: the collections that are asked; nil for all.
    func options(
        _ declared: DeclaredAttributes, in scope: [String]?, _ reading: inout InputReading
    ) -> RankingOptions? {
        var options = RankingOptions()
        options.recency = recency
        if countsReputation {
            options.sourceWeights = declared.reputations.filter { scope?.contains($0.key) ?? true }
        }
        // A weight of 1 stays: it takes the place of a reputation.
        options.sourceWeights.merge(sourceWeights ?? [:]) { $1 }
        options.scoreMin = scoreMin
        options.order = order
        guard let grouping else { return options }
        if grouping == Grouping.title.text {
            options.grouping = .title
            return options
        }
        let place: [InputStep] = [.name("group_by")]
        guard let name = AttributeName(grouping) else {
            reading.fault(
                "attribute_name", "must be title or \(AttributeName.grammar)", at: place, input: .string(grouping))
            return nil
        }
        let declarations = declared.declarations(of: name, in: scope)
        guard !declarations.isEmpty else {
            reading.fault(
                "attribute_unknown", "is neither title nor an attribute that a collection asked for declares",
                at: place,
                input: .string(grouping))
            return nil
        }
        guard declarations.contains(where: \.isFilterable) else {
            reading.fault(
                "attribute_not_filterable", "cannot be asked for, as its collection declares", at: place,
                input: .string(grouping))
            return nil
        }
        options.grouping = .attribute(name)
        return options
    }

    /// An arm that counts nothing is left out; one must be left.
    ///
    /// - Parameter mode: which arms are asked.
    func checkWeights(_ mode: SearchMode, _ reading: inout InputReading) {
        let asked = [(SearchMode.vector, weights?.vector), (.lexical, weights?.lexical)]
        guard asked.allSatisfy({ arm, weight in weight == 0 || (mode != .hybrid && mode != arm) }) else { return }
        reading.fault(
            "weights_empty", "must leave an arm that is asked a weight above 0", at: [.name("weights")])
    }
}

extension ArmWeights {
    /// As a request gives them.
    static let form = Form<ArmWeights>.object(
        ArmWeights(),
        [
            Field("vector", \.vector, SearchOptionsInput.weight.optional, "Of the vector arm; 0 leaves it out."),
            Field("lexical", \.lexical, SearchOptionsInput.weight.optional, "Of the word arm; 0 leaves it out."),
        ]
    ).named("ArmWeights")
}

extension RecencyPrior {
    /// As a request gives it.
    static let form = Form<RecencyPrior>.object(
        RecencyPrior(weight: 1, halfLifeMilliseconds: 0),
        [
            Field(
                "weight", \.weight, SearchOptionsInput.weight,
                "A document of this moment gets as much as the first place of an arm with this weight."),
            Field(
                "half_life", \.halfLifeMilliseconds, Form<Int64>.duration,
                "After so long it is half as much: a number with `s`, `m`, `h` or `d`.", example: .string("6h"),
                isRequired: true),
        ]
    ).named("Recency")
}

extension Form where Value == Int64 {
    private static var durationUnits: [Character: Int64] { ["s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000] }
    /// Ten years.
    private static var durationMillisecondsMax: Int64 { 3_650 * 86_400_000 }

    /// A length of time such as `6h`, as milliseconds.
    static var duration: Form<Int64> {
        let pattern = TextPattern(
            "^[1-9][0-9]{0,8}[smhd]$", "must be a number with s, m, h or d, such as 6h"
        ) { text in
            let digits = text.utf8.dropLast()
            return (1...9).contains(digits.count) && digits.first != UInt8(ascii: "0")
                && digits.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
                && text.last.map { durationUnits[$0] != nil } == true
        }
        return Form<String>.string(2...10, pattern: pattern).converted(json: { _ in .null }) { text, reading in
            guard let unit = text.last.flatMap({ durationUnits[$0] }), let number = Int64(text.dropLast()) else {
                return nil
            }
            guard number * unit <= durationMillisecondsMax else {
                reading.fault("less_than_equal", "must be at most 3650d", input: .string(text))
                return nil
            }
            return number * unit
        }
    }
}

extension Form where Value == [String: Double] {
    /// Collections with what their documents' scores are multiplied by.
    static var sourceWeights: Form<[String: Double]> {
        let (name, weight) = (FilterInput.word, SearchOptionsInput.weight)
        var schema = Schema.map(of: weight.schema)
        schema["maxProperties"] = .integer(Int64(SearchOptionsInput.collectionsMax))
        schema["propertyNames"] = name.schema.json
        return Form(
            schema: schema, json: { _ in .object([]) },
            read: { value, reading in
                guard case .object(let members) = value else {
                    reading.fault("object_type", "must be an object of collections and weights", input: value)
                    return nil
                }
                guard members.count <= SearchOptionsInput.collectionsMax else {
                    reading.fault(
                        "too_long",
                        "must name at most \(SearchOptionsInput.collectionsMax) collections, names \(members.count)")
                    return nil
                }
                var weights: [String: Double] = [:]
                for (key, member) in members {
                    reading.at(.cut(key)) { reading in
                        guard let collection = name.read(.string(key), &reading) else { return }
                        guard weights[collection] == nil else {
                            return reading.fault("duplicate", "is given twice", input: member)
                        }
                        weights[collection] = weight.read(member, &reading)
                    }
                }
                return weights
            })
    }
}
