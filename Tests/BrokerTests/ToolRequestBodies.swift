@testable import Broker

/// What consoles and monitors ask, and what is refused; see ``RequestBodies``.
extension RequestBodies {
    static func tools(_ writer: inout WireWriter, _ api: APIKey, _ version: Int16) {
        switch api {
        case .describeLogDirs: topicPartitions(&writer)
        case .describeProducers: topicPartitions(&writer)
        case .offsetDelete:
            writer.string("group")
            topicPartitions(&writer)
        case .electLeaders:
            if version >= 1 { writer.int8(0) }
            topicPartitions(&writer)
            writer.int32(1_000)
        case .alterPartitionReassignments:
            writer.int32(1_000)
            writer.array(["t"]) { writer, name in
                writer.string(name)
                writer.array([Int32(0), 1]) { writer, index in
                    writer.int32(index)
                    if index == 0 { writer.int32Array([1]) } else { writer.nullArray() }
                    writer.tags()
                }
                writer.tags()
            }
        case .listPartitionReassignments:
            writer.int32(1_000)
            topicPartitions(&writer)
        default:
            writer.array(["t"]) { writer, name in
                writer.int8(2)
                writer.string(name)
                writer.array(["retention.ms"]) { writer, config in
                    writer.string(config)
                    writer.nullableString("1000")
                    writer.tags()
                }
                writer.tags()
            }
            writer.bool(false)
        }
        writer.tags()
    }

    private static func topicPartitions(_ writer: inout WireWriter) {
        writer.array(["t"]) { writer, name in
            writer.string(name)
            writer.int32Array([0, 1])
            writer.tags()
        }
    }

    static func refused(_ writer: inout WireWriter, _ api: APIKey, _ version: Int16) {
        switch api {
        case .saslHandshake: writer.string("PLAIN")
        case .describeACLs: aclFilter(&writer, version)
        case .createACLs:
            writer.array(["t"]) { writer, name in
                writer.int8(2)
                writer.string(name)
                if version >= 1 { writer.int8(3) }
                writer.string("User:a")
                writer.string("*")
                writer.int8(2)
                writer.int8(3)
                writer.tags()
            }
        case .deleteACLs:
            writer.array([0]) { writer, _ in
                aclFilter(&writer, version)
                writer.tags()
            }
        case .describeClientQuotas:
            writer.array(["user"]) { writer, type in
                writer.string(type)
                writer.int8(0)
                writer.nullableString("a")
                writer.tags()
            }
            writer.bool(true)
        case .alterClientQuotas:
            writer.array([0]) { writer, _ in
                writer.array(["user"]) { writer, type in
                    writer.string(type)
                    writer.nullableString(nil)
                    writer.tags()
                }
                writer.array(["producer_byte_rate"]) { writer, key in
                    writer.string(key)
                    writer.int64(0x40_59_00_00_00_00_00_00)
                    writer.bool(false)
                    writer.tags()
                }
                writer.tags()
            }
            writer.bool(false)
        case .describeUserScramCredentials:
            writer.array(["a"]) { writer, name in
                writer.string(name)
                writer.tags()
            }
        case .alterUserScramCredentials: credentials(&writer)
        case .describeTransactions: writer.array(["a"]) { $0.string($1) }
        case .listTransactions:
            writer.array(["Ongoing"]) { $0.string($1) }
            writer.array([Int64(7)]) { $0.int64($1) }
            if version >= 1 { writer.int64(-1) }
        default: heartbeat(&writer, api, version)
        }
        writer.tags()
    }

    private static func aclFilter(_ writer: inout WireWriter, _ version: Int16) {
        writer.int8(2)
        writer.nullableString("t")
        if version >= 1 { writer.int8(3) }
        writer.nullableString(nil)
        writer.nullableString(nil)
        writer.int8(1)
        writer.int8(1)
    }

    private static func credentials(_ writer: inout WireWriter) {
        writer.array(["a"]) { writer, name in
            writer.string(name)
            writer.int8(1)
            writer.tags()
        }
        writer.array(["b"]) { writer, name in
            writer.string(name)
            writer.int8(1)
            writer.int32(4_096)
            writer.bytesField([1, 2])
            writer.bytesField([3, 4])
            writer.tags()
        }
    }

    private static func heartbeat(_ writer: inout WireWriter, _ api: APIKey, _ version: Int16) {
        writer.string("group")
        writer.string("member")
        writer.int32(0)
        writer.nullableString(nil)
        if api == .consumerGroupHeartbeat {
            writer.nullableString(nil)
            writer.int32(300_000)
        }
        writer.array(["t"]) { $0.string($1) }
        guard api == .consumerGroupHeartbeat else { return }
        if version >= 1 { writer.nullableString("t.*") }
        writer.nullableString("uniform")
        writer.array([TopicID.zero]) { writer, id in
            writer.topicID(id)
            writer.int32Array([0])
            writer.tags()
        }
    }
}
