/// The error codes of the Kafka protocol that this broker answers with (Kafka protocol guide, "Error Codes").
enum ErrorCode: Int16, Sendable, Error {
    case unknownServerError = -1
    case none = 0
    case offsetOutOfRange = 1
    case corruptMessage = 2
    case unknownTopicOrPartition = 3
    case messageTooLarge = 10
    case offsetMetadataTooLarge = 12
    case coordinatorNotAvailable = 15
    case invalidTopic = 17
    case invalidRequiredAcks = 21
    case invalidGroupID = 24
    case unknownMemberID = 25
    case unsupportedVersion = 35
    case topicAlreadyExists = 36
    case invalidPartitions = 37
    case invalidReplicationFactor = 38
    case invalidReplicaAssignment = 39
    case invalidConfig = 40
    case invalidRequest = 42
    case unsupportedForMessageFormat = 43
    case outOfOrderSequenceNumber = 45
    case duplicateSequenceNumber = 46
    case invalidProducerEpoch = 47
    case storageError = 56
    case fetchSessionIDNotFound = 70
    case unknownLeaderEpoch = 76
    case invalidRecord = 87
    case unknownTopicID = 100
}
