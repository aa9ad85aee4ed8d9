package import CRDKafka

/// librdkafka's in-process cluster, which keeps everything in memory and injects faults. No CreateTopics request.
///
/// Its functions lock the cluster themselves ("thread-safe" in rdkafka_mock.h), and the pointers never change.
package final class MockCluster: @unchecked Sendable {
    private let handle: OpaquePointer
    private let cluster: OpaquePointer

    /// Nil where librdkafka has no mock cluster to give.
    package init?(brokers: Int = 1) {
        let conf = rd_kafka_conf_new()
        rd_kafka_conf_set_log_cb(conf, nil)
        var reason = [CChar](repeating: 0, count: 256)
        guard let handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, &reason, reason.count) else {
            rd_kafka_conf_destroy(conf)
            return nil
        }
        guard let cluster = rd_kafka_mock_cluster_new(handle, Int32(brokers)) else {
            rd_kafka_destroy(handle)
            return nil
        }
        self.handle = handle
        self.cluster = cluster
    }

    deinit {
        rd_kafka_mock_cluster_destroy(cluster)
        rd_kafka_destroy(handle)
    }

    /// `host:port,…` of its brokers.
    package var brokers: String { String(cString: rd_kafka_mock_cluster_bootstraps(cluster)) }

    package func createTopic(_ name: String, partitions: Int) {
        rd_kafka_mock_topic_create(cluster, name, Int32(partitions), 1)
    }

    /// Makes a broker unreachable, or reachable again. Brokers count from 1.
    package func setBroker(_ id: Int32, isUp: Bool) {
        if isUp {
            rd_kafka_mock_broker_set_up(cluster, id)
        } else {
            rd_kafka_mock_broker_set_down(cluster, id)
        }
    }

    /// Adds a delay to every request of a broker.
    package func setRoundTrip(broker id: Int32, milliseconds: Int) {
        rd_kafka_mock_broker_set_rtt(cluster, id, Int32(milliseconds))
    }

    package func setLeader(topic: String, partition: Int32, broker: Int32) {
        rd_kafka_mock_partition_set_leader(cluster, topic, partition, broker)
    }

    /// Makes a broker the coordinator of a group.
    package func setCoordinator(group: String, broker: Int32) {
        rd_kafka_mock_coordinator_set(cluster, "group", group, broker)
    }

    /// Makes the topic answer with an error, or (nil) work again.
    package func setTopicError(_ topic: String, _ error: rd_kafka_resp_err_t?) {
        rd_kafka_mock_topic_set_error(cluster, topic, error ?? RD_KAFKA_RESP_ERR_NO_ERROR)
    }

    /// The next requests of that kind fail with these codes, one each.
    ///
    /// - Parameter apiKey: Kafka's number: 0 Produce, 1 Fetch, 8 OffsetCommit …
    package func failNext(apiKey: Int16, with errors: [rd_kafka_resp_err_t]) {
        rd_kafka_mock_push_request_errors_array(cluster, apiKey, errors.count, errors)
    }
}
