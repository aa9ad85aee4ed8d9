/// One record as it came from the broker. All bytes are lent for the time of the call.
package struct SourceRecord {
    package let topic: String
    package let partition: Int32
    package let offset: Int64
    /// The record's time as the broker delivered it, in milliseconds since 1970. On a topic with CreateTime any producer
    /// chooses it: to reckon with, there is ``brokerMilliseconds``.
    package let timestampMilliseconds: Int64
    package let key: UnsafeRawBufferPointer?
    /// The headers as ``RecordHeaderText/json``; nil for none.
    package let headers: UnsafeRawBufferPointer?
    /// The quarantined record that this one stands for; nil for the ordinary record.
    package let origin: RedriveOrigin?
    /// Whether it may be a copy of a record from before an interruption of its producer; see ``RepeatMark``.
    package let mayRepeat: Bool
    /// The id that a connector gave to the event, UTF-8; empty where it gave none. See ``EventIDHeader``.
    package let eventID: [UInt8]
    /// When the platform had the record, in milliseconds since 1970, as ``IngestTimeHeader`` says; nil where nothing does.
    package let receivedMilliseconds: Int64?
    /// nil for a tombstone.
    package let value: UnsafeRawBufferPointer?

    package init(
        topic: String, partition: Int32, offset: Int64, timestampMilliseconds: Int64, key: UnsafeRawBufferPointer?,
        headers: UnsafeRawBufferPointer? = nil, origin: RedriveOrigin? = nil, mayRepeat: Bool = false,
        eventID: [UInt8] = [], receivedMilliseconds: Int64? = nil, value: UnsafeRawBufferPointer?
    ) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestampMilliseconds = timestampMilliseconds
        self.key = key
        self.headers = headers
        self.origin = origin
        self.mayRepeat = mayRepeat
        self.eventID = eventID
        self.receivedMilliseconds = receivedMilliseconds
        self.value = value
    }
}

extension SourceRecord {
    /// The record's time, as hours, rules and windows take it.
    package var brokerMilliseconds: Int64 { Self.brokerMilliseconds(timestampMilliseconds) }

    /// A record's time between 1970 and the end of the year 9999, so that sums and differences of times have room.
    package static func brokerMilliseconds(_ timestampMilliseconds: Int64) -> Int64 {
        min(max(timestampMilliseconds, 0), 253_402_300_799_999)
    }
}
