import KafkaAccess
import Records
import Synchronization

/// What others are shown of the job: what it waits for, and how far it is.
extension StreamJob {
    /// What it waits for or failed with; nil while all is well.
    package var trouble: String? {
        state.withLock { state in
            let all = [state.job].compactMap { $0 } + state.sources.sorted { $0.key < $1.key }.map(\.value)
            return all.isEmpty ? nil : all.prefix(10).joined(separator: "; ")
        }
    }

    /// Shows what is waited for; nil: nothing.
    func note(trouble: String?) {
        state.withLock { $0.job = trouble }
    }

    /// Shows what one topic partition waits for; nil: nothing.
    func note(trouble: String?, of source: TopicPartition) {
        state.withLock { $0.sources[source] = trouble }
    }

    /// Whether it knows what to write; the group may have given it nothing.
    package var hasBegun: Bool { state.withLock { $0.expected != nil } }

    /// Records that wait for their commit, in the topic partitions of this process; nil where unknown.
    package var lagRecords: Int64? {
        guard let expected = state.withLock({ $0.expected }), meter.partitions.count >= expected else { return nil }
        return meter.total
    }

    /// Takes note of how many topic partitions are this process'.
    func expect(_ count: Int) { state.withLock { $0.expected = count } }

    /// Takes the series of topic partitions away that are not this process' any more; what nobody moves would be shown for
    /// ever. Where it only begins anew they stay, and the lag goes on to move.
    func forget(_ partitions: [Int32]) {
        for partition in partitions {
            meter.leave(partition)
            metrics.forget(TopicPartition(topic: options.topic, partition: partition))
        }
    }
}
