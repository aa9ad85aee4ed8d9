import Bytes
import Files
import Hashing
import Kafka
import Simulator
import Telemetry

/// The events of a run: a file for the simulator, and what has to be found of it at the end.
struct EnduranceEvents {
    let path: String
    /// Of each payload. Some come twice, as a source's retries do, and count once.
    private(set) var digests: Set<Digest256> = []
    let count: Int

    init(path: String, count: Int, rate: Double, seed: UInt64) throws {
        self.path = path
        self.count = count
        // From 2026-03-14, so that the same seed gives the same bytes.
        let generator = EventGenerator(seed: seed, startMilliseconds: 1_773_480_360_000, eventsPerSecond: rate)
        var hasher = try SHA256Hasher()
        let file = try File(path, .readWrite)
        var chunk: [UInt8] = []
        var payload: [UInt8] = []
        for index in 0..<count {
            payload.removeAll(keepingCapacity: true)
            generator.append(index, to: &payload)
            digests.insert(try payload.withUnsafeBytes { try hasher.hash($0) })
            chunk += payload
            chunk.append(0x0A)
            if chunk.count > 1 << 20 || index == count - 1 {
                try file.append(chunk)
                chunk.removeAll(keepingCapacity: true)
            }
        }
    }
}

/// Poison of every kind, sent straight into the topic beside the producer, and what the broker said about it.
///
/// Used by the scene's thread only.
final class EndurancePoison {
    /// Where a record has to be found.
    struct Place: Hashable {
        let partition: Int32
        let offset: Int64
    }

    /// What the broker acknowledged; nil stands for a tombstone.
    private(set) var acknowledged: [Place: Digest256?] = [:]
    /// How often which kind was sent.
    private(set) var counts: [Poison: Int] = [:]
    /// Given up without an acknowledgement, or acknowledged without an offset: those may be in the topic or not.
    private(set) var uncertain = 0
    private let topic: String
    private let configuration: KafkaConfiguration
    private let generator: EventGenerator
    private var producer: KafkaProducer
    private var hasher: SHA256Hasher
    private var underWay: [Int64: Digest256?] = [:]
    private var number = 0
    private var due: Int64 = 0

    private static let gapMilliseconds: Int64 = 200
    /// The one of 2 MB comes so seldom that the others are not lost in its bytes.
    private static let oversizedEvery = 60

    init(brokers: String, topic: String, seed: UInt64) throws {
        self.topic = topic
        configuration = KafkaConfiguration(brokers: brokers, clientID: "endure")
        generator = EventGenerator(seed: seed &+ 1, startMilliseconds: 1_773_480_360_000, eventsPerSecond: 5)
        producer = try KafkaProducer(configuration)
        hasher = try SHA256Hasher()
    }

    func tick() throws {
        take(producer.poll(timeoutMilliseconds: 0))
        let now = EnduranceScene.now()
        guard now >= due else { return }
        due = now + Self.gapMilliseconds
        do {
            try send()
        } catch let error as KafkaError where error.kind == .fatal {
            // What this one has under way is reported as failed.
            producer.purge()
            take(producer.flush(timeoutMilliseconds: 1_000))
            producer = try KafkaProducer(configuration)
        } catch let error as KafkaError where error.isRetriable {
            return
        }
    }

    /// Waits until the broker has said something about each.
    func finish(seconds: Int) { take(producer.flush(timeoutMilliseconds: seconds * 1_000)) }

    /// What nobody has said anything about.
    var pendingCount: Int { underWay.count }

    private func send() throws {
        let kinds = Poison.allCases.filter { $0 != .oversized }
        let kind = number % Self.oversizedEvery == 7 ? Poison.oversized : kinds[number % kinds.count]
        var event: [UInt8] = []
        generator.append(number, to: &event)
        let payload = kind.payload(of: event)
        let digest = payload.flatMap { bytes in try? bytes.withUnsafeBytes { try hasher.hash($0) } }
        let key = Array("poison-\(number)".utf8)
        let token = Int64(number)
        // Before it is sent: a report may come at once.
        underWay[token] = .some(digest)
        do {
            try Self.send(producer, topic, key, payload, token)
        } catch {
            underWay.removeValue(forKey: token)
            throw error
        }
        counts[kind, default: 0] += 1
        number += 1
    }

    private static func send(
        _ producer: KafkaProducer, _ topic: String, _ key: [UInt8], _ payload: [UInt8]?, _ token: Int64
    ) throws {
        try key.withUnsafeBytes { key in
            guard let payload else {
                try producer.send(
                    topic: topic, key: key, value: nil, headerCount: 0, token: token, addHeaders: { _ in })
                return
            }
            try payload.withUnsafeBytes { value in
                try producer.send(
                    topic: topic, key: key, value: value, headerCount: 0, token: token, addHeaders: { _ in })
            }
        }
    }

    private func take(_ reports: [DeliveryReport]) {
        for report in reports {
            guard let digest = underWay.removeValue(forKey: report.token) else { continue }
            if report.error == nil && report.offset >= 0 {
                acknowledged[Place(partition: report.partition, offset: report.offset)] = .some(digest)
            } else {
                uncertain += 1
            }
        }
    }
}
