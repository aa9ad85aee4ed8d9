import Bytes
import JSONScan

/// How well one running system answered a judged set: measures of each query, by arm.
package struct EvaluationRun: Sendable, Equatable {
    /// The measures of one query.
    package typealias Scores = [Measure: Double]

    /// What was asked and who answered.
    package struct Origin: Sendable, Equatable {
        /// How tables call it: an address, or what the user named it.
        package var name: String
        /// Of the judged set, ``JudgedSet/fingerprint``.
        package var set: String
        /// Hits that were asked for.
        package var depth: Int
        /// The generation that was searched.
        package var generation: Int64
        /// Its state, as of the last reply.
        package var indexVersion: Int64
        /// When, milliseconds since 1970.
        package var askedAtMilliseconds: Int64

        package init(
            name: String, set: String, depth: Int, generation: Int64, indexVersion: Int64, askedAtMilliseconds: Int64
        ) {
            self.name = name
            self.set = set
            self.depth = depth
            self.generation = generation
            self.indexVersion = indexVersion
            self.askedAtMilliseconds = askedAtMilliseconds
        }
    }

    /// Where it comes from.
    package var origin: Origin
    /// Ids of the queries, in the order of the set.
    package var queries: [String]
    /// A value for each query, by arm.
    package var arms: [String: [Scores]]
    /// What was odd, in sentences.
    package var notes: [String]

    package init(origin: Origin, queries: [String], arms: [String: [Scores]], notes: [String] = []) {
        self.origin = origin
        self.queries = queries
        self.arms = arms
        self.notes = notes
    }

    /// The arms in the order in which tables show them.
    package static let armOrder = ["vector", "lexical", "hybrid"]

    /// The arms that it has, in that order.
    package var armNames: [String] {
        arms.keys.sorted { left, right in
            let places = [left, right].map { Self.armOrder.firstIndex(of: $0) ?? Self.armOrder.count }
            return (places[0], left) < (places[1], right)
        }
    }

    /// The values of one measure, a query each.
    package func values(_ measure: Measure, of arm: String) -> [Double] {
        (arms[arm] ?? []).map { $0[measure] ?? 0 }
    }

    /// A measure over all queries, with its interval.
    package func estimate(_ measure: Measure, of arm: String, seed: UInt64) -> Estimate {
        Statistics.estimate(values(measure, of: arm), seed: seed)
    }

    /// Mean nDCG@10 by arm, as ``QualityGate`` takes it.
    package var ndcg: [String: Double] {
        arms.mapValues { scores in Statistics.mean(scores.map { $0[.ndcg10] ?? 0 }) }
    }
}

/// Two runs over one set.
package struct EvaluationComparison: Sendable, Equatable {
    /// One arm, one measure.
    package struct Row: Sendable, Equatable {
        package let arm: String
        package let measure: Measure
        package let first: Double
        package let second: Double
        package let paired: PairedDifference
    }

    /// The run that the other one is held against.
    package let first: EvaluationRun
    /// The run whose differences are positive where it is better.
    package let second: EvaluationRun
    /// Arms that both runs have, every measure of each.
    package let rows: [Row]

    /// - Throws: ``JudgedSetError`` where they were not judged alike, so that a difference would say nothing.
    package init(_ first: EvaluationRun, _ second: EvaluationRun, seed: UInt64) throws(JudgedSetError) {
        guard first.origin.set == second.origin.set, first.queries == second.queries else {
            throw JudgedSetError(
                "the runs were judged by different sets (\(first.origin.set), \(second.origin.set)): nothing to compare"
            )
        }
        guard first.origin.depth == second.origin.depth else {
            throw JudgedSetError(
                "the runs looked at \(first.origin.depth) and at \(second.origin.depth) hits: their recalls do not compare"
            )
        }
        self.first = first
        self.second = second
        let arms = first.armNames.filter { second.arms[$0] != nil }
        guard !arms.isEmpty else { throw JudgedSetError("the runs have no arm in common") }
        rows = arms.flatMap { arm in
            Measure.allCases.map { measure in
                let (left, right) = (first.values(measure, of: arm), second.values(measure, of: arm))
                return Row(
                    arm: arm, measure: measure, first: Statistics.mean(left), second: Statistics.mean(right),
                    paired: Statistics.compare(left, right, seed: seed))
            }
        }
    }
}

// MARK: Files

extension EvaluationRun {
    private static let format = 1

    /// The run as a file: what ``init(file:)`` reads. With the means and intervals, for others to read.
    package func file(seed: UInt64) -> [UInt8] {
        var writer = JSONWriter(capacity: 256 * (queries.count + 4))
        writer.beginObject()
        writer.integer("format", Self.format)
        writer.string("name", origin.name)
        writer.string("set", origin.set)
        writer.integer("depth", origin.depth)
        writer.integer("generation", origin.generation)
        writer.integer("index_version", origin.indexVersion)
        writer.string("asked_at", CivilTime.rfc3339(origin.askedAtMilliseconds))
        writer.integer("queries", queries.count)
        writer.integer("seed", seed)
        writer.key("notes")
        writer.beginArray()
        for note in notes { writer.string(note) }
        writer.endArray()
        writer.key("arms")
        writer.beginObject()
        for arm in armNames {
            writer.key(dynamic: arm)
            writer.beginObject()
            for measure in Measure.allCases {
                let estimate = estimate(measure, of: arm, seed: seed)
                writer.key(dynamic: measure.rawValue)
                writer.beginObject()
                writer.double("mean", estimate.mean)
                writer.double("low", estimate.low)
                writer.double("high", estimate.high)
                writer.endObject()
            }
            writer.endObject()
        }
        writer.endObject()
        writer.key("per_query")
        writer.beginArray()
        for (place, id) in queries.enumerated() {
            writer.beginObject()
            writer.string("id", id)
            for arm in armNames {
                writer.key(dynamic: arm)
                writer.beginObject()
                for measure in Measure.allCases {
                    writer.key(dynamic: measure.rawValue)
                    writer.double(arms[arm]?[place][measure] ?? 0)
                }
                writer.endObject()
            }
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    /// Reads a saved run.
    ///
    /// - Throws: ``JudgedSetError`` where it is none.
    package init(file bytes: [UInt8]) throws(JudgedSetError) {
        let root: JSONValue
        do throws(JSONError) {
            root = try JSONValue.parse(bytes)
        } catch {
            throw JudgedSetError("it is no JSON: \(error)")
        }
        guard root["format"]?.integer == Int64(Self.format), let perQuery = root["per_query"]?.array,
            let set = root["set"]?.string, let depth = root["depth"]?.integer.flatMap({ Int(exactly: $0) }),
            let arms = root["arms"]?.object?.map(\.key)
        else { throw JudgedSetError("it is no run that --save wrote (format \(Self.format))") }
        origin = Origin(
            name: root["name"]?.string ?? "", set: set, depth: depth, generation: root["generation"]?.integer ?? 0,
            indexVersion: root["index_version"]?.integer ?? 0,
            askedAtMilliseconds: root["asked_at"]?.string.flatMap { CivilTime.epochMilliseconds($0) } ?? 0)
        notes = (root["notes"]?.array ?? []).compactMap(\.string)
        queries = []
        self.arms = Dictionary(uniqueKeysWithValues: Set(arms).map { ($0, []) })
        for (index, query) in perQuery.enumerated() {
            guard let id = query["id"]?.string else { throw JudgedSetError("query \(index + 1) of the run has no id") }
            queries.append(id)
            for arm in Set(arms) {
                var scores: Scores = [:]
                for measure in Measure.allCases {
                    guard let value = query[arm]?[measure.rawValue]?.double else {
                        throw JudgedSetError("query \(id) of the run has no \(measure.rawValue) of the arm \(arm)")
                    }
                    scores[measure] = value
                }
                self.arms[arm, default: []].append(scores)
            }
        }
    }
}
