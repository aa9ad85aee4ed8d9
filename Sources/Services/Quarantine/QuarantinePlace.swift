package import Records

/// Where a list of quarantined records, newest first, goes on: for each topic partition that may hold more, the offset before which
/// it does. What comes into quarantine meanwhile is not in the list.
package struct QuarantinePlace: Sendable, Equatable {
    /// Whose quarantine is listed.
    package var generation: Int64
    /// Exclusive, and above 0.
    package var before: [TopicPartition: Int64]

    package init(generation: Int64, before: [TopicPartition: Int64]) {
        self.generation = generation
        self.before = before
    }
}

extension QuarantinePlace {
    /// `1~topic~0.1200_3.88~other~0.17`: the generation, then each topic with its partitions. No topic's name holds `~`.
    package var text: String {
        var text = "\(generation)"
        var topic: String?
        for (source, offset) in before.sorted(by: { $0.key < $1.key }) {
            text += source.topic == topic ? "_" : "~\(source.topic)~"
            topic = source.topic
            text += "\(source.partition).\(offset)"
        }
        return text
    }

    /// - Returns: nil for anything else than ``text`` gives.
    package init?(text: String) {
        let parts = text.split(separator: "~", omittingEmptySubsequences: false)
        guard parts.count >= 3, parts.count % 2 == 1, let generation = Self.number(parts[0]), generation > 0 else {
            return nil
        }
        var before: [TopicPartition: Int64] = [:]
        for index in stride(from: 1, to: parts.count, by: 2) {
            guard !parts[index].isEmpty else { return nil }
            for place in parts[index + 1].split(separator: "_", omittingEmptySubsequences: false) {
                let numbers = place.split(separator: ".", omittingEmptySubsequences: false)
                guard numbers.count == 2, let partition = Self.number(numbers[0]).flatMap({ Int32(exactly: $0) }),
                    let offset = Self.number(numbers[1]), offset > 0
                else { return nil }
                before[TopicPartition(topic: String(parts[index]), partition: partition)] = offset
            }
        }
        self.init(generation: generation, before: before)
    }

    /// Digits alone, without a sign.
    private static func number(_ text: Substring) -> Int64? {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int64(text) : nil
    }
}
