@testable import Broker

/// Request bodies as a client writes them, written down from the Kafka protocol guide and not from the decoders.
enum RequestBodies {
    static func body(_ api: APIKey, _ version: Int16) -> [UInt8] {
        var writer = WireWriter(isFlexible: version >= api.firstFlexibleVersion)
        switch api {
        case .produce: produce(&writer, version, acks: -1, topic: "t", partition: 1, records: [1, 2, 3])
        case .fetch: fetch(&writer, version, topic: "t", partition: 1, offset: 5, minBytes: 1, waitMilliseconds: 0)
        case .listOffsets: listOffsets(&writer, version, timestamp: -1)
        case .metadata: metadata(&writer, version)
        case .offsetCommit: offsetCommit(&writer, version)
        case .offsetFetch: offsetFetch(&writer, version)
        case .findCoordinator: findCoordinator(&writer, version)
        case .createTopics: createTopics(&writer, version)
        case .initProducerID: initProducerID(&writer, version)
        case .joinGroup, .syncGroup, .heartbeat, .leaveGroup, .describeGroups, .listGroups, .deleteGroups:
            groups(&writer, api, version)
        case .deleteTopics, .deleteRecords, .offsetForLeaderEpoch, .describeConfigs, .createPartitions,
            .incrementalAlterConfigs, .describeCluster:
            administration(&writer, api, version)
        case .describeLogDirs, .describeProducers, .offsetDelete, .electLeaders, .alterPartitionReassignments,
            .listPartitionReassignments, .alterConfigs:
            tools(&writer, api, version)
        case .saslHandshake, .describeACLs, .createACLs, .deleteACLs, .describeClientQuotas, .alterClientQuotas,
            .describeUserScramCredentials, .alterUserScramCredentials, .describeTransactions, .listTransactions,
            .consumerGroupHeartbeat, .shareGroupHeartbeat:
            refused(&writer, api, version)
        case .apiVersions: break
        }
        return writer.take()
    }

    /// A whole request as it goes over the wire.
    static func frame(_ api: APIKey, _ version: Int16, correlation: Int32, _ body: [UInt8]) -> [UInt8] {
        var writer = WireWriter(isFlexible: version >= api.firstFlexibleVersion)
        writer.int16(api.rawValue)
        writer.int16(version)
        writer.int32(correlation)
        // The client id has a plain length in every version.
        writer.int16(4)
        for byte in Array("test".utf8) { writer.int8(Int8(byte)) }
        writer.tags()
        let content = writer.take() + body
        return withUnsafeBytes(of: UInt32(content.count).bigEndian) { Array($0) } + content
    }

    static func produce(
        _ writer: inout WireWriter, _ version: Int16, acks: Int16, topic: String, partition: Int32, records: [UInt8]
    ) {
        if version >= 3 { writer.nullableString(nil) }
        writer.int16(acks)
        writer.int32(1_000)
        writer.array([0]) { writer, _ in
            writer.string(topic)
            writer.array([0]) { writer, _ in
                writer.int32(partition)
                writer.bytesLength(records.count)
                for byte in records { writer.int8(Int8(bitPattern: byte)) }
                writer.tags()
            }
            writer.tags()
        }
        writer.tags()
    }

    static func fetch(
        _ writer: inout WireWriter, _ version: Int16, topic: String, partition: Int32, offset: Int64, minBytes: Int32,
        waitMilliseconds: Int32
    ) {
        writer.int32(-1)
        writer.int32(waitMilliseconds)
        writer.int32(minBytes)
        writer.int32(1_000_000)
        writer.int8(0)
        if version >= 7 {
            writer.int32(0)
            writer.int32(-1)
        }
        writer.array([0]) { writer, _ in
            writer.string(topic)
            writer.array([0]) { writer, _ in
                writer.int32(partition)
                if version >= 9 { writer.int32(-1) }
                writer.int64(offset)
                if version >= 12 { writer.int32(-1) }
                if version >= 5 { writer.int64(-1) }
                writer.int32(1_000_000)
                writer.tags()
            }
            writer.tags()
        }
        if version >= 7 {
            writer.array([0]) { writer, _ in
                writer.string("gone")
                writer.int32Array([3])
                writer.tags()
            }
        }
        if version >= 11 { writer.string("") }
        writer.tags()
    }

    private static func listOffsets(_ writer: inout WireWriter, _ version: Int16, timestamp: Int64) {
        writer.int32(-1)
        if version >= 2 { writer.int8(1) }
        writer.array([0]) { writer, _ in
            writer.string("t")
            writer.array([0]) { writer, _ in
                writer.int32(0)
                if version >= 4 { writer.int32(-1) }
                writer.int64(timestamp)
                writer.tags()
            }
            writer.tags()
        }
        writer.tags()
    }

    private static func metadata(_ writer: inout WireWriter, _ version: Int16) {
        writer.array([0]) { writer, _ in
            if version >= 10 { writer.topicID(.zero) }
            writer.string("t")
            writer.tags()
        }
        if version >= 4 { writer.bool(true) }
        if (8...10).contains(version) { writer.bool(false) }
        if version >= 8 { writer.bool(false) }
        writer.tags()
    }

    private static func offsetCommit(_ writer: inout WireWriter, _ version: Int16) {
        writer.string("group")
        writer.int32(-1)
        writer.string("")
        if version >= 7 { writer.nullableString(nil) }
        if version <= 4 { writer.int64(-1) }
        writer.array([0]) { writer, _ in
            writer.string("t")
            writer.array([0]) { writer, _ in
                writer.int32(0)
                writer.int64(17)
                if version >= 6 { writer.int32(0) }
                writer.nullableString("note")
                writer.tags()
            }
            writer.tags()
        }
        writer.tags()
    }

    private static func offsetFetch(_ writer: inout WireWriter, _ version: Int16) {
        writer.string("group")
        writer.array([0]) { writer, _ in
            writer.string("t")
            writer.int32Array([0, 1])
            writer.tags()
        }
        if version >= 7 { writer.bool(true) }
        writer.tags()
    }

    private static func findCoordinator(_ writer: inout WireWriter, _ version: Int16) {
        if version <= 3 { writer.string("group") }
        if version >= 1 { writer.int8(0) }
        if version >= 4 { writer.array(["group"]) { $0.string($1) } }
        writer.tags()
    }

    private static func createTopics(_ writer: inout WireWriter, _ version: Int16) {
        writer.array([0]) { writer, _ in
            writer.string("t")
            writer.int32(3)
            writer.int16(1)
            writer.array([0]) { writer, _ in
                writer.int32(0)
                writer.int32Array([1])
                writer.tags()
            }
            writer.array([0]) { writer, _ in
                writer.string("retention.ms")
                writer.nullableString("1")
                writer.tags()
            }
            writer.tags()
        }
        writer.int32(1_000)
        if version >= 1 { writer.bool(false) }
        writer.tags()
    }

    private static func initProducerID(_ writer: inout WireWriter, _ version: Int16) {
        writer.nullableString(nil)
        writer.int32(60_000)
        if version >= 3 {
            writer.int64(-1)
            writer.int16(-1)
        }
        writer.tags()
    }
}
