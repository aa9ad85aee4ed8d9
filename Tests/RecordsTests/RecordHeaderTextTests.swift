import Records
import Testing

/// What a record's headers say.
@Suite struct RecordHeaderTextTests {
    /// A redriven record keeps its headers, and with them the time of the first time.
    @Test func aRedrivenRecordDoesNotSayWhenItCame() {
        var headers = RecordHeaderText()
        func add(_ name: String, _ value: String) {
            Array(name.utf8).withUnsafeBufferPointer { name in
                Array(value.utf8).withUnsafeBytes { headers.add(name, $0) }
            }
        }
        add(IngestTimeHeader.header, "1790000000000")
        #expect(headers.receivedMilliseconds == 1_790_000_000_000)
        add(RedriveOrigin.header, "t/3/4")
        #expect(headers.receivedMilliseconds == nil)
        headers.removeAll()
        add(IngestTimeHeader.header, "1790000000001")
        #expect(headers.receivedMilliseconds == 1_790_000_000_001)
    }
}
