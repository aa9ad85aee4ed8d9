import Bytes
import CRDKafka

/// The headers of one record, built in librdkafka's own form.
package struct KafkaHeaders: ~Copyable {
    private let list: OpaquePointer

    /// - Parameter capacity: headers to make room for; more may be added.
    package init(capacity: Int) {
        // librdkafka ends the process itself when memory is short; it never returns null here.
        list = rd_kafka_headers_new(capacity)
    }

    deinit { rd_kafka_headers_destroy(list) }

    /// Adds a header; both are copied, and names may repeat.
    package mutating func add(_ name: String, _ value: UnsafeRawBufferPointer) {
        var name = name
        name.withUTF8 { utf8 in
            // Only read-only lists are refused, and this one is new; an empty value needs an address.
            _ = rd_kafka_header_add(
                list, UnsafeRawPointer(utf8.baseAddress)?.assumingMemoryBound(to: CChar.self), utf8.count,
                value.baseAddress ?? UnsafeRawPointer(list), value.count)
        }
    }

    /// Adds a text.
    package mutating func add(_ name: String, text: String) {
        var text = text
        text.withUTF8 { add(name, UnsafeRawBufferPointer($0)) }
    }

    /// Hands the list over to librdkafka.
    consuming func release() -> OpaquePointer {
        let list = list
        discard self
        return list
    }
}
