import Bytes
import Hashing
import Lake
import Records

/// Events and logic for a server that does not have the lake's folder: from the broker, as long as it keeps them, else from the
/// files that were moved to the object storage. Confined to one thread; blocks.
final class DistantEvents {
    private let broker: BrokerEvents?
    private let objects: LakeObjects?
    private let declared: @Sendable () -> GenerationLogic?

    /// A broker that is away leaves time for the object storage.
    private static let brokerMillisecondsMax: Int64 = 5_000

    /// - Parameters:
    ///   - broker: nil where none is to be asked.
    ///   - objects: nil where no object storage is set.
    ///   - declared: the logic of the declared sources.
    init(broker: BrokerEvents?, objects: LakeObjects?, declared: @escaping @Sendable () -> GenerationLogic?) {
        self.broker = broker
        self.objects = objects
        self.declared = declared
    }

    /// The generations by the copy of the lake's list, and behind them the declared logic: number 0, of which nothing is stored.
    func generations(untilNanoseconds: Int64?) throws(LakeError) -> [LakeGeneration] {
        let ours = declared().map { [LakeGeneration(number: 0, parent: nil, logic: $0, state: .active)] } ?? []
        guard let objects else { return ours }
        return try StoredLake(objects: objects, untilNanoseconds: untilNanoseconds).generations() + ours
    }

    /// The event, with its hash computed now.
    ///
    /// - Throws: ``LakeError/expired(path:_:)`` where retention gave it up; else one that says who was asked, and what came of
    ///   that.
    func event(_ parent: ParentReference, untilNanoseconds: Int64?) throws(LakeError) -> TraceBronze {
        var words: [String] = []
        // Another topic may have had the name when the document was made: then its bytes are others.
        var other: TraceBronze?
        if let broker {
            do {
                switch try broker.record(
                    parent.topicPartition, offset: parent.offset,
                    timeoutMilliseconds: Int(Self.left(untilNanoseconds, max: Self.brokerMillisecondsMax)))
                {
                case .record(let event):
                    let found = TraceBronze(event, of: parent)
                    if found.isHashRight { return found }
                    other = found
                    words.append("the broker has other bytes there")
                case .deleted(let first): words.append("the broker keeps records from offset \(first) on")
                case .nothing: words.append("the broker has no record there")
                }
            } catch {
                words.append("the broker: \(error)")
            }
        }
        if let found = try stored(parent, untilNanoseconds, &words) { return found }
        if let other { return other }
        throw .notFound(
            "\(parent.topic)[\(parent.partition)] offset \(parent.offset) is not to be had without the lake's folder (LAKE_DIR): "
                + words.joined(separator: "; "))
    }

    private func stored(
        _ parent: ParentReference, _ untilNanoseconds: Int64?, _ words: inout [String]
    ) throws(LakeError) -> TraceBronze? {
        guard let objects else {
            words.append("no object storage is set (LAKE_S3_BUCKET)")
            return nil
        }
        let lake = StoredLake(objects: objects, untilNanoseconds: untilNanoseconds)
        if let expiry = try lake.expiry(parent.topicPartition, offset: parent.offset) {
            throw .expired(path: "\(parent.topic)[\(parent.partition)] offset \(parent.offset)", expiry)
        }
        guard let found = try lake.bronze(parent.topicPartition, offset: parent.offset) else {
            words.append("no file with it was moved to the object storage")
            return nil
        }
        return try TraceBronze(
            found, of: parent,
            location: LakeLocation(
                file: found.path, frameOffset: Int64(found.frameStart),
                frameLength: Int64(found.frameEnd - found.frameStart)))
    }

    /// Milliseconds until then, within bounds.
    private static func left(_ untilNanoseconds: Int64?, max most: Int64) -> Int64 {
        guard let untilNanoseconds else { return most }
        return Swift.max(1, min(most, (untilNanoseconds - SystemClock.monotonicNanoseconds()) / 1_000_000))
    }
}

extension TraceBronze {
    /// From a Bronze line.
    ///
    /// - Throws: ``LakeError/damaged(path:reason:)`` where it is none.
    init(_ found: LocatedLine, of parent: ParentReference, location: LakeLocation) throws(LakeError) {
        let read = found.line.withUnsafeBytes { bytes in
            BronzeLine.Fields(bytes).flatMap { fields in fields.record.map { (record: $0, headers: fields.headers) } }
        }
        guard let (record, headers) = read else {
            throw .damaged(path: found.path, reason: "the Bronze line of offset \(parent.offset) cannot be read")
        }
        if let erasure = record.erasure {
            throw .erasure("\(parent.topicPartition) offset \(parent.offset) was erased by \(erasure)")
        }
        self.init(
            topic: parent.topic, partition: parent.partition, offset: parent.offset,
            timestampMilliseconds: record.timestampMilliseconds, key: record.key, headers: headers,
            value: record.value, sha256: Self.digest(of: record.value), lineageSHA256: parent.bronzeSHA256,
            location: location)
    }

    /// From the broker.
    init(_ event: BrokerEvent, of parent: ParentReference) {
        self.init(
            topic: parent.topic, partition: parent.partition, offset: parent.offset,
            timestampMilliseconds: event.timestampMilliseconds, key: event.key, headers: event.headers,
            value: event.value, sha256: Self.digest(of: event.value), lineageSHA256: parent.bronzeSHA256, location: nil)
    }

    private static func digest(of value: [UInt8]?) -> String {
        guard let value, var hasher = try? SHA256Hasher() else { return "" }
        return (try? value.withUnsafeBytes { try hasher.hash($0).hex }) ?? ""
    }
}
