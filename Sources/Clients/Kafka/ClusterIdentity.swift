import CRDKafka

extension KafkaAdmin {
    /// The cluster's id, which it got when it was made; nil where it has none or does not answer in time. Blocks up to the
    /// timeout.
    package func clusterID(timeoutMilliseconds: Int) -> String? {
        guard let text = rd_kafka_clusterid(client.handle, Int32(clamping: timeoutMilliseconds)) else { return nil }
        defer { rd_kafka_mem_free(client.handle, text) }
        return String(cString: text)
    }
}
