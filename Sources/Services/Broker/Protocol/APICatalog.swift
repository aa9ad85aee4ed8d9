/// The protocol's other APIs, by key, for the log line about a connection that asked for one all the same. They are not
/// in the list of ApiVersions, from which clients tell at once that they are not to be had; docs/broker.md names them.
enum APICatalog {
    static let unserved: [Int16: String] = brokers.merging(transactions) { name, _ in name }
        .merging(tokens) { name, _ in name }.merging(newGroups) { name, _ in name }
        .merging(others) { name, _ in name }

    /// Between the brokers and controllers of a cluster.
    private static let brokers: [Int16: String] = [
        4: "LeaderAndIsr", 5: "StopReplica", 6: "UpdateMetadata", 7: "ControlledShutdown", 52: "Vote",
        53: "BeginQuorumEpoch", 54: "EndQuorumEpoch", 55: "DescribeQuorum", 56: "AlterPartition", 58: "Envelope",
        59: "FetchSnapshot", 62: "BrokerRegistration", 63: "BrokerHeartbeat", 64: "UnregisterBroker",
        67: "AllocateProducerIds", 70: "ControllerRegistration", 73: "AssignReplicasToDirs", 80: "AddRaftVoter",
        81: "RemoveRaftVoter", 82: "UpdateRaftVoter",
    ]

    /// Never reached: FindCoordinator and InitProducerId say no before.
    private static let transactions: [Int16: String] = [
        24: "AddPartitionsToTxn", 25: "AddOffsetsToTxn", 26: "EndTxn", 27: "WriteTxnMarkers", 28: "TxnOffsetCommit",
    ]

    private static let tokens: [Int16: String] = [
        36: "SaslAuthenticate", 38: "CreateDelegationToken", 39: "RenewDelegationToken",
        40: "ExpireDelegationToken", 41: "DescribeDelegationToken",
    ]

    private static let newGroups: [Int16: String] = [
        69: "ConsumerGroupDescribe", 77: "ShareGroupDescribe", 78: "ShareFetch", 79: "ShareAcknowledge",
        83: "InitializeShareGroupState", 84: "ReadShareGroupState", 85: "WriteShareGroupState",
        86: "DeleteShareGroupState", 87: "ReadShareGroupStateSummary", 88: "StreamsGroupHeartbeat",
        89: "StreamsGroupDescribe", 90: "DescribeShareGroupOffsets", 91: "AlterShareGroupOffsets",
        92: "DeleteShareGroupOffsets",
    ]

    private static let others: [Int16: String] = [
        34: "AlterReplicaLogDirs", 57: "UpdateFeatures", 71: "GetTelemetrySubscriptions", 72: "PushTelemetry",
        74: "ListConfigResources", 75: "DescribeTopicPartitions",
    ]
}
