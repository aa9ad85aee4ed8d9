import Kafka
import Testing

/// What the time that a broker gave to a record says of both clocks.
@Suite struct ClockOffsetTests {
    @Test(
        arguments: [
            // Sent at 100 s, read at 130 s: whatever lies between may be right, however long it waited in a queue.
            (time: 100_000, offset: 0), (time: 117_000, offset: 0), (time: 130_000, offset: 0),
            (time: 90_000, offset: -10_000), (time: 137_500, offset: 7_500),
        ] as [(time: Int64, offset: Int64)])
    func aTimeOutsideOfTheRecordsWayIsOff(brokerTime: Int64, offset: Int64) {
        #expect(ClockOffset.milliseconds(brokerTime: brokerTime, sent: 100_000, now: 130_000) == offset)
    }
}
