import Derivation
import Lake
package import Logic
package import Records
package import Store

/// Puts a replay's documents into the index. The executable hands the indexer's parts over, so that both embed alike.
package protocol ReplayIndex: Sendable {
    /// Makes documents visible in a generation, embedding only texts that have no vector yet.
    ///
    /// - Parameter lines: Gold lines with their source offsets.
    /// - Returns: how many texts were embedded.
    func index(
        lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
    ) async throws -> Int
    /// Makes documents visible in a generation as its parent shows them, where it shows the same contents of the same records.
    ///
    /// - Parameter lines: Gold lines of the generation that differ from the parent's in their lineage at most, each of another
    ///   record.
    /// - Returns: the offsets of those that are dealt with; the others are to be indexed.
    func share(
        lines: [(offset: Int64, line: [UInt8])], generation: Int64, parent: Int64, source: TopicPartition
    ) async throws -> Set<Int64>

    /// Gives the next documents of a generation vectors of its model where they have another's, embedding only texts that have no such
    /// vector yet.
    ///
    /// - Parameters:
    ///   - key: of the last document that was looked at; the smallest number to begin with.
    ///   - most: documents.
    func changeVectors(of generation: Int64, after key: Int64, most: Int) async throws -> VectorStep

    /// How many documents of a generation have another model's vectors.
    func formerVectors(of generation: Int64) async throws -> Int64
}

/// Tells what of a replay's documents would have to be embedded. The executable hands the indexer's parts over.
package protocol EmbeddingNeeds: Sendable {
    /// The inputs of lines that have no vector in the index, each once.
    ///
    /// - Parameter lines: Gold lines with their source offsets.
    func inputsToEmbed(
        lines: [(offset: Int64, line: [UInt8])], source: TopicPartition
    ) async throws -> Set<VectorInput>

    /// The inputs of the next documents that a generation shows of records outside of some ranges, as far as they have no vector.
    ///
    /// - Parameter key: of the last document that was looked at; the smallest number to begin with.
    func inputsToEmbed(
        shownBy generation: Int64, after key: Int64, outside ranges: [(source: TopicPartition, offsets: OffsetRange)]
    ) async throws -> (step: VectorStep, inputs: Set<VectorInput>)
}

/// What a replay did, or would do.
package struct ReplayReport: Sendable {
    /// nil of a dry run.
    package var generation: Int64?
    package var parent: Int64
    /// Whose vectors it makes; nil: of the parent's model.
    package var model: String?
    package var logicVersion: String
    /// The logic versions by which topics were replayed.
    package var logics: [String: String]
    package var ranges: [TopicPartition: OffsetRange]
    package var difference = ReplayDifference()
    /// Some of what differs, of the part that the process that ended it ran.
    package var samples = ReplaySamples()
    /// Of each topic, what differs between the parent's logic and this one.
    package var changes: [String: [LogicChange]] = [:]
    /// Of a dry run: texts without a vector, each once; nil where that was not counted.
    package var embeddingsNeeded: Int?
    /// Whether there were too many to tell them apart: there are at least so many.
    package var isEmbeddingsNeededLeast = false
    /// Texts that had to be embedded.
    package var embedded = 0
    /// Documents that the child took over from its parent.
    package var inherited = 0
}

extension ReplayReport {
    init(
        generation number: Int64?, _ generation: LakeGeneration, _ ranges: [TopicPartition: OffsetRange]
    ) {
        var logics: [String: String] = [:]
        for source in ranges.keys { logics[source.topic] = generation.logic.logic(of: source.topic)?.logicVersion }
        self.init(
            generation: number, parent: generation.parent ?? 0, logicVersion: generation.logicVersion, logics: logics,
            ranges: ranges)
    }
}

extension ReplayReport {
    /// What differs between the parent's logic of the replayed topics and another one.
    static func changes(
        from parent: LakeGeneration, to child: LakeGeneration, topics: Set<String>
    ) throws -> [String: [LogicChange]] {
        var changes: [String: [LogicChange]] = [:]
        for topic in topics {
            guard let before = parent.logic.logic(of: topic), let after = child.logic.logic(of: topic) else { continue }
            changes[topic] = try before.read().changes(to: after.read())
        }
        return changes
    }
}
