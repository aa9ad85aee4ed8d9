@testable import Broker

extension RequestBodies {
    static func groups(_ writer: inout WireWriter, _ api: APIKey, _ version: Int16) {
        switch api {
        case .joinGroup: joinGroup(&writer, version)
        case .syncGroup: syncGroup(&writer, version)
        case .heartbeat:
            writer.string("group")
            writer.int32(3)
            writer.string("member")
            if version >= 3 { writer.nullableString("instance") }
            writer.tags()
        case .leaveGroup:
            writer.string("group")
            if version <= 2 {
                writer.string("member")
            } else {
                writer.array([0]) { writer, _ in
                    writer.string("member")
                    writer.nullableString(nil)
                    if version >= 5 { writer.nullableString("the consumer is being closed") }
                    writer.tags()
                }
            }
            writer.tags()
        case .describeGroups:
            writer.array(["group"]) { $0.string($1) }
            if version >= 3 { writer.bool(false) }
            writer.tags()
        case .listGroups:
            if version >= 4 { writer.array(["Stable"]) { $0.string($1) } }
            if version >= 5 { writer.array(["classic"]) { $0.string($1) } }
            writer.tags()
        default:
            writer.array(["group"]) { $0.string($1) }
            writer.tags()
        }
    }

    static func joinGroup(
        _ writer: inout WireWriter, _ version: Int16, group: String = "group", member: String = "",
        instance: String? = nil, metadata: [UInt8] = [1, 2, 3]
    ) {
        writer.string(group)
        writer.int32(10_000)
        if version >= 1 { writer.int32(60_000) }
        writer.string(member)
        if version >= 5 { writer.nullableString(instance) }
        writer.string("consumer")
        writer.array(["range"]) { writer, name in
            writer.string(name)
            writer.bytesField(metadata)
            writer.tags()
        }
        if version >= 8 { writer.nullableString("it was asked to") }
        writer.tags()
    }

    private static func syncGroup(_ writer: inout WireWriter, _ version: Int16) {
        writer.string("group")
        writer.int32(1)
        writer.string("member")
        if version >= 3 { writer.nullableString(nil) }
        if version >= 5 {
            writer.nullableString("consumer")
            writer.nullableString("range")
        }
        writer.array(["member"]) { writer, member in
            writer.string(member)
            writer.bytesField([9, 8, 7])
            writer.tags()
        }
        writer.tags()
    }

    static func administration(_ writer: inout WireWriter, _ api: APIKey, _ version: Int16) {
        switch api {
        case .deleteTopics:
            writer.array(["t"]) { writer, name in
                guard version >= 6 else { return writer.string(name) }
                writer.nullableString(name)
                writer.topicID(.zero)
                writer.tags()
            }
            writer.int32(1_000)
        case .deleteRecords:
            topic(&writer) { writer in
                writer.int32(0)
                writer.int64(5)
            }
            writer.int32(1_000)
        case .offsetForLeaderEpoch:
            if version >= 3 { writer.int32(-1) }
            topic(&writer) { writer in
                writer.int32(0)
                if version >= 2 { writer.int32(0) }
                writer.int32(0)
            }
        case .describeConfigs:
            writer.array(["t"]) { writer, name in
                writer.int8(2)
                writer.string(name)
                writer.nullArray()
                writer.tags()
            }
            if version >= 1 { writer.bool(true) }
            if version >= 3 { writer.bool(true) }
        case .createPartitions:
            writer.array(["t"]) { writer, name in
                writer.string(name)
                writer.int32(4)
                writer.array([0]) { writer, _ in
                    writer.int32Array([1])
                    writer.tags()
                }
                writer.tags()
            }
            writer.int32(1_000)
            writer.bool(false)
        case .incrementalAlterConfigs:
            writer.array(["t"]) { writer, name in
                writer.int8(2)
                writer.string(name)
                writer.array(["retention.ms"]) { writer, config in
                    writer.string(config)
                    writer.int8(0)
                    writer.nullableString("1000")
                    writer.tags()
                }
                writer.tags()
            }
            writer.bool(false)
        default:
            writer.bool(false)
            if version >= 1 { writer.int8(1) }
        }
        writer.tags()
    }

    /// One topic with one partition.
    private static func topic(_ writer: inout WireWriter, _ partition: (inout WireWriter) -> Void) {
        writer.array(["t"]) { writer, name in
            writer.string(name)
            writer.array([0]) { writer, _ in
                partition(&writer)
                writer.tags()
            }
            writer.tags()
        }
    }
}
