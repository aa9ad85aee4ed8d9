import Bytes
import Files
import JSONScan
import PlatformTesting
import Records
import Testing

/// What stands on a Gold topic.
@Suite struct GoldTopicFormatTests {
    private func read(_ json: String) throws -> CommitMarker {
        try Array(json.utf8).withUnsafeBytes { try CommitMarker($0) }
    }

    @Test func aMarkerIsReadBack() throws {
        for handovers: [Int64: Int64] in [[:], [1: 0, 12: 7]] {
            let range = try #require(OffsetRange(start: 5, end: 9))
            let marker = CommitMarker(
                generations: [1, 12], topicPartition: TopicPartition(topic: "t", partition: 3), range: range,
                handovers: handovers)
            #expect(try read(String(decoding: marker.json, as: UTF8.self)) == marker)
            #expect(try JSONValue.parse(marker.json).object?.map(\.key) == CommitMarker.fields)
        }
        let whole = #"{"generations":[1],"topic":"t","partition":3,"start_offset":5,"next_offset":9,"handover":{}}"#
        #expect(try read(whole).nextOffset == 9)
        for (old, new) in [
            ("[1]", "1"), ("\"t\"", "\"no topic\""), ("3", "2147483648"), ("5", "10"), ("5", "-1"),
            ("9", "9223372036854775807"), ("next", "nxt"), ("{}}", "{\"x\":1}}"), ("{}}", "{\"1\":-1}}"), ("{}}", "{}"),
        ] {
            #expect(throws: RecordFormatError.self, "\(new)") { try read(whole.replacing(old, with: new)) }
        }
        #expect(throws: RecordFormatError("Gold record", field: "marker", reason: "is empty")) {
            try CommitMarker(nil)
        }
    }

    @Test func aNoticeIsReadBack() throws {
        let id = String(repeating: "é", count: 300)
        var notice = Array(id.utf8).withUnsafeBytes { RefusalNotice(id: $0, bytes: 12, reason: "too \"large\"") }
        #expect(notice.docID == String(repeating: "é", count: 255))
        #expect(notice.json.withUnsafeBytes { RefusalNotice($0) } == notice)
        #expect(try JSONValue.parse(notice.json).object?.map(\.key) == RefusalNotice.fields)
        notice = Array("{".utf8).withUnsafeBytes { RefusalNotice($0) }
        #expect(notice.docID.isEmpty && notice.bytes == 0 && notice.reason.isEmpty)
    }

    /// Reads a place from headers given as text.
    private func place(_ headers: [String: String]) throws -> GoldTopic.Place {
        let bytes = headers.mapValues { Array($0.utf8) }
        // The look-up lends what the dictionary keeps.
        let buffers = bytes.mapValues { text in
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, text.count), alignment: 1)
            buffer.copyBytes(from: text)
            return (whole: buffer, text: UnsafeRawBufferPointer(rebasing: buffer[0..<text.count]))
        }
        defer { for buffer in buffers.values { buffer.whole.deallocate() } }
        return try GoldTopic.Place { buffers[$0]?.text }
    }

    @Test func aPlaceIsReadBack() throws {
        for timestamp in [nil, 1_700_000_000_000] as [Int64?] {
            let written = GoldTopic.Place(
                generation: 2, topicPartition: TopicPartition(topic: "a.b", partition: 7), offset: 11,
                timestampMilliseconds: timestamp, receivedMilliseconds: timestamp.map { $0 - 5 })
            var headers: [String: String] = [:]
            written.write(.document, text: { headers[$0] = $1 }, number: { headers[$0] = "\($1)" })
            #expect(headers.count == GoldTopic.Place.headersMax - (timestamp == nil ? 2 : 0))
            #expect(headers.removeValue(forKey: GoldTopic.kindHeader) == "document")
            #expect(try place(headers) == written)
            for (name, value) in [
                (GoldTopic.generationHeader, "-1"), (GoldTopic.generationHeader, ""),
                (GoldTopic.sourceTopicHeader, "no topic"),
                (GoldTopic.sourcePartitionHeader, "2147483648"), (GoldTopic.sourceOffsetHeader, "9223372036854775807"),
                (GoldTopic.sourceOffsetHeader, "1x"),
            ] {
                let error = #expect(throws: RecordFormatError.self) {
                    try place(headers.merging([name: value]) { $1 })
                }
                #expect(error?.field == name)
                #expect(throws: RecordFormatError.self) { try place(headers.filter { $0.key != name }) }
            }
        }
    }
}
