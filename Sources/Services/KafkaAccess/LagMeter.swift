import Bytes
import Concurrency
package import Kafka
package import Records
package import ServiceLifecycle
import Synchronization

/// How many records wait behind a reader, asked of the broker once a second on a thread of its own.
///
/// So the figure moves while the reader stands still: what a reader learns by its own fetches stops exactly when it
/// matters. A topic partition that the reader gives up, or whose log nobody tells about any more, has no figure.
package final class LagMeter: Sendable {
    /// How long an answer counts.
    package static let unknownMilliseconds: Int64 = 10_000
    private static let intervalMilliseconds = 1_000
    private static let requestMilliseconds = 2_000
    /// One round of questions: a broker that does not answer must not hold up a stop.
    private static let roundMilliseconds: Int64 = 3_000

    private struct Followed {
        /// The offset that is wanted next; nil where reading begins at the log's start.
        var position: Int64?
        var lag: Int64?
        /// When the lag was known last, or following began; monotonic milliseconds.
        var at: Int64
    }

    private let kafka: KafkaConfiguration
    private let topic: String
    /// Called under the lock, so that nothing is shown of what was left.
    private let show: @Sendable (TopicPartition, Int64?) -> Void
    private let followed = Mutex<[Int32: Followed]>([:])
    /// Where the next round begins.
    private let turn = Mutex<Int32>(.min)

    /// - Parameter show: shows a topic partition's lag; nil: takes the figure away.
    package init(
        _ kafka: KafkaConfiguration, topic: String, show: @escaping @Sendable (TopicPartition, Int64?) -> Void
    ) {
        self.kafka = kafka
        self.topic = topic
        self.show = show
    }

    /// Begins with a topic partition, or again; what is shown of it stays until the next answer.
    ///
    /// - Parameter position: the offset that is wanted next; nil where reading begins at the log's start.
    package func follow(_ partition: Int32, from position: Int64?) {
        let now = Self.now()
        followed.withLock { $0[partition] = Followed(position: position, lag: $0[partition]?.lag, at: now) }
    }

    /// Notes how far the work is: what lies below waits no more.
    package func reach(_ partition: Int32, _ position: Int64) {
        followed.withLock { followed in
            guard followed[partition]?.position ?? -1 < position else { return }
            followed[partition]?.position = position
        }
    }

    /// Takes a topic partition's figure away.
    package func leave(_ partition: Int32) {
        followed.withLock { followed in
            guard followed.removeValue(forKey: partition) != nil else { return }
            show(TopicPartition(topic: topic, partition: partition), nil)
        }
    }

    /// The topic partitions that it follows.
    package var partitions: [Int32] { followed.withLock { Array($0.keys) } }

    /// The records that wait, all topic partitions together; nil while one of them is not known.
    package var total: Int64? {
        followed.withLock { followed in
            var total: Int64 = 0
            for one in followed.values {
                guard let lag = one.lag else { return nil }
                total += lag
            }
            return total
        }
    }

    /// Asks until stopped. Drained means: no question is open.
    package func run(stop: StopSignal) async {
        let lane = Lane(name: "lag")
        let asker = Asker(kafka, requestMilliseconds: Self.requestMilliseconds)
        repeat {
            // A failure is the broker's, which others report; here it only means that nothing is known.
            _ = try? await lane.run { [self] in ask(asker, stop) }
        } while !(await stop.pause(milliseconds: Self.intervalMilliseconds))
    }

    /// Asks for every topic partition, as far as time allows; the next round begins where this one ended.
    private func ask(_ asker: Asker, _ stop: StopSignal) {
        let all = followed.withLock { $0.keys.sorted() }
        let first = turn.withLock { $0 }
        let end = Self.now() + Self.roundMilliseconds
        for partition in all.filter({ $0 >= first }) + all.filter({ $0 < first }) {
            guard !stop.isRequested, Self.now() < end else {
                turn.withLock { $0 = partition }
                break
            }
            // One without a leader says nothing of the others.
            guard let marks = asker.watermarks(topic, partition) else { continue }
            let now = Self.now()
            followed.withLock { followed in
                guard var one = followed[partition] else { return }
                // What has expired waits no more.
                let lag = max(0, marks.high - max(one.position ?? marks.low, marks.low))
                one.lag = lag
                one.at = now
                followed[partition] = one
                show(TopicPartition(topic: topic, partition: partition), lag)
            }
        }
        let now = Self.now()
        followed.withLock { followed in
            for (partition, one) in followed where now - one.at > Self.unknownMilliseconds && one.lag != nil {
                followed[partition]?.lag = nil
                show(TopicPartition(topic: topic, partition: partition), nil)
            }
        }
    }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }
}

/// Asks for the ends of logs, with a client that is made when first needed; it finds lost brokers again by itself.
private final class Asker: Sendable {
    private let kafka: KafkaConfiguration
    private let requestMilliseconds: Int
    private let admin = Mutex<KafkaAdmin?>(nil)

    init(_ kafka: KafkaConfiguration, requestMilliseconds: Int) {
        self.kafka = kafka
        self.requestMilliseconds = requestMilliseconds
    }

    /// Nil where no answer comes.
    func watermarks(_ topic: String, _ partition: Int32) -> Watermarks? {
        admin.withLock { admin in
            do throws(KafkaError) {
                if admin == nil { admin = try KafkaAdmin(kafka, requestMilliseconds: requestMilliseconds) }
                return try admin?.watermarks(topic: topic, partition: partition, timeoutMilliseconds: 1_000)
            } catch {
                return nil
            }
        }
    }
}
