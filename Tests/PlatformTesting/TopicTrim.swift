import CRDKafka

/// Lets a topic's oldest records go, as retention does, with any broker.
package enum TopicTrim {
    /// Asks the broker to delete all records of a topic partition before `offset`.
    ///
    /// - Returns: what librdkafka has against it; nil after a success.
    package static func delete(brokers: String, topic: String, partition: Int32, before offset: Int64) -> String? {
        let conf = rd_kafka_conf_new()
        rd_kafka_conf_set_log_cb(conf, nil)
        var reason = [CChar](repeating: 0, count: 256)
        rd_kafka_conf_set(conf, "bootstrap.servers", brokers, &reason, reason.count)
        guard let handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, &reason, reason.count) else {
            rd_kafka_conf_destroy(conf)
            return "no client"
        }
        defer { rd_kafka_destroy(handle) }
        let list = rd_kafka_topic_partition_list_new(1)
        rd_kafka_topic_partition_list_add(list, topic, partition).pointee.offset = offset
        var request: OpaquePointer? = rd_kafka_DeleteRecords_new(list)
        rd_kafka_topic_partition_list_destroy(list)
        defer { rd_kafka_DeleteRecords_destroy(request) }
        let queue = rd_kafka_queue_new(handle)
        defer { rd_kafka_queue_destroy(queue) }
        rd_kafka_DeleteRecords(handle, &request, 1, nil, queue)
        guard let event = rd_kafka_queue_poll(queue, 15_000) else { return "no answer" }
        defer { rd_kafka_event_destroy(event) }
        guard rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR,
            let result = rd_kafka_event_DeleteRecords_result(event),
            let offsets = rd_kafka_DeleteRecords_result_offsets(result)
        else { return rd_kafka_event_error_string(event).map { String(cString: $0) } ?? "no result" }
        let code = offsets.pointee.elems[0].err
        return code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : String(cString: rd_kafka_err2str(code))
    }
}
