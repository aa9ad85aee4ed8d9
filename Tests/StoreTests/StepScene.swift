import Bytes
import Records

/// A seeded history of documents: their steps in the order of their offsets.
struct StepScene {
    /// Two topic partitions of one topic and one of another.
    static let sources = [
        TopicPartition(topic: "alpha", partition: 0), TopicPartition(topic: "alpha", partition: 1),
        TopicPartition(topic: "beta", partition: 0),
    ]

    private(set) var steps: [IndexStep] = []
    private(set) var next: [TopicPartition: Int64] = [:]

    /// Versions at random, as of sources that name them: later records with older versions, records that come again at a later
    /// offset or in the other topic partition, texts that come back, other contents of an equal version.
    init(seed: UInt64, documents: Int) {
        var generator = SeededGenerator(seed: seed)
        var records: [DocumentVersion: [IndexStep]] = [:]
        // A dictionary's order changes from run to run.
        var order: [DocumentVersion] = []
        for _ in 0..<documents * 4 {
            let document = Int.random(in: 0..<documents, using: &generator)
            let version = Int64.random(in: 1...40, using: &generator)
            let key = DocumentVersion(document: document, version: version)
            let known = records[key, default: []]
            let chance = Int.random(in: 0..<100, using: &generator)
            var step = IndexStep(
                document: document, operation: .put(Self.text(document, &generator)), version: version,
                source: Self.sources[document % 3], offset: 0, isContentShared: document.isMultiple(of: 2))
            if chance < 20 {
                step.operation = .delete
            } else if let first = known.first {
                // A third record of an equal version would make the order of arrival count.
                guard known.count == 1 else { continue }
                let isOther = first.operation != step.operation
                if chance < 60 || !isOther { step.operation = first.operation }
                if step.operation == first.operation, chance.isMultiple(of: 3), step.source.topic == "alpha" {
                    step.source.partition = 1 - step.source.partition
                }
                records[key]?.append(step)
            } else {
                records[key] = [step]
                order.append(key)
            }
            add(step)
            // Records that come again, unchanged.
            if chance < 30, let old = order.randomElement(using: &generator), records[old]?.count == 1 {
                if let first = records[old]?.first { add(first) }
            }
            if Int.random(in: 0..<documents, using: &generator) == 0 {
                let floor = Int64.random(in: 1...12, using: &generator)
                add(IndexStep(operation: .deleteBelow, version: floor, source: step.source, offset: 0))
            }
        }
    }

    /// The position is the version, as of sources that name none.
    init(seed: UInt64, documents: Int, byPosition: Void) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<documents * 4 {
            let document = Int.random(in: 0..<documents, using: &generator)
            let isDeletion = Int.random(in: 0..<4, using: &generator) == 0
            add(
                IndexStep(
                    document: document, operation: isDeletion ? .delete : .put(Self.text(document, &generator)),
                    version: 0, source: Self.sources[document % 3], offset: 0, isContentShared: false), byPosition: true
            )
            // Positions order the records of one topic partition only, so a topic of several has no floors.
            if document % 3 == 2, Int.random(in: 0..<documents, using: &generator) == 0 {
                add(
                    IndexStep(operation: .deleteBelow, version: 0, source: Self.sources[2], offset: 0),
                    byPosition: true)
            }
        }
    }

    private struct DocumentVersion: Hashable {
        let document: Int
        let version: Int64
    }

    private mutating func add(_ step: IndexStep, byPosition: Bool = false) {
        var step = step
        step.offset = next[step.source, default: 0]
        if byPosition { step.version = step.offset + 1 }
        next[step.source] = step.offset + 1
        steps.append(step)
    }

    /// One of four texts of a document, of one to three passages; some passages are those of other documents.
    static func text(_ document: Int, _ generator: inout SeededGenerator) -> String {
        let form = Int.random(in: 0..<4, using: &generator)
        let lines = ["moss \(document) form \(form)", "shared \(document % 10) \(form)", "common \(form)"]
        return lines.prefix(1 + (document + form) % 3).joined(separator: "\n")
    }
}

/// What a replay writes anew, and from where on the stream feeds its child.
struct ReplayScope {
    let handover: [TopicPartition: Int64]
    let ranges: [(source: TopicPartition, offsets: OffsetRange)]

    init(of scene: StepScene, _ generator: inout SeededGenerator) {
        var handover: [TopicPartition: Int64] = [:]
        var ranges: [(source: TopicPartition, offsets: OffsetRange)] = []
        for source in StepScene.sources {
            let end = scene.next[source] ?? 0
            let next = Int64.random(in: end / 3...max(end / 3, end * 9 / 10), using: &generator)
            handover[source] = next
            let bounds = [Int64.random(in: 0...next, using: &generator), Int64.random(in: 0...next, using: &generator)]
            if let range = OffsetRange(start: bounds.min() ?? 0, end: bounds.max() ?? 0) {
                ranges.append((source, range))
            }
        }
        self.handover = handover
        self.ranges = ranges
    }

    /// Whether the stream job feeds it to the child.
    func isFed(_ step: IndexStep) -> Bool { step.offset >= handover[step.source] ?? 0 }

    func isReplayed(_ step: IndexStep) -> Bool {
        ranges.contains { $0.source == step.source && $0.offsets.contains(step.offset) }
    }
}
