import Records

/// The topics that generations know. A source that is declared later is made known to all that are fed.
extension GenerationLog {
    /// Makes the first generation of a new lake, or a topic known to the fed generations of one that is there.
    ///
    /// What a generation stores of a topic stays: another logic is a replay's to bring.
    ///
    /// - Returns: the active generation, which stores a logic of the topic.
    /// - Throws: ``LakeError/generation(_:)`` where no generation is active, or where the lake holds the topic's records as
    ///   something of another kind.
    package func adopt(_ topic: String, _ logic: TopicLogic) throws(LakeError) -> LakeGeneration {
        let active = try createFirst(.byTopic([topic: logic]))
        // At most starts the topic is known already, and no lock is needed.
        let fed = try read().filter(\.isFed)
        let heldNow = fed.contains { $0.logic.isFormer } ? try heldTopics() : []
        if let known = active.logic.known(topic, held: heldNow), known.kind == logic.kind,
            fed.allSatisfy({ $0.logic.known(topic, held: heldNow) != nil })
        {
            return active
        }
        return try edit { records throws(LakeError) in
            let generations = try generations(records)
            guard var active = generations.last(where: { $0.state == .active }) else {
                throw .generation("no generation of the lake \(layout.root) is active any more; start again")
            }
            let held = try heldTopics()
            var entries: [[UInt8]] = []
            for var generation in generations where generation.isFed {
                let known = generation.logic.known(topic, held: held)
                if let known, known.kind == logic.kind { continue }
                if let known, held.contains(topic) {
                    throw .generation(
                        "the lake holds \(topic) as records of the logic \(known.kind), and the source's declaration says "
                            + "\(logic.kind): another kind of logic needs a topic of its own (docs/troubleshooting.md)")
                }
                generation.logic = generation.logic.replacing([topic: logic], held: held)
                entries.append(generation.json)
                if generation.number == active.number { active = generation }
            }
            return (active, entries)
        }
    }

    /// The fingerprints that a generation ever had in the list: with a topic more it is another one, which the database
    /// may not have heard of.
    package func logicVersions(of number: Int64) throws(LakeError) -> Set<String> {
        var versions: Set<String> = []
        for record in try records() where !TopicSize.isOne(record) {
            guard let generation = LakeGeneration(record), generation.number == number else { continue }
            versions.insert(generation.logicVersion)
        }
        return versions
    }

    /// The topics that the lake has records of.
    package func heldTopics() throws(LakeError) -> Set<String> {
        let reader = LakeReader(layout: layout)
        var topics: Set<String> = []
        for topicPartition in try reader.sources() where !topics.contains(topicPartition.topic) {
            // A log may tell of a handover alone.
            if try reader.committedRange(topicPartition)?.isEmpty == false { topics.insert(topicPartition.topic) }
        }
        return topics
    }
}
