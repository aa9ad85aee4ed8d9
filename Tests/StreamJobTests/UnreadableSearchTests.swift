import Kafka
import KafkaAccess
import PlatformTesting
import Records
import Testing

/// How the stretch of a log is found that cannot be read.
@Suite struct UnreadableSearchTests {
    private func log(_ end: Int64) -> OffsetRange { OffsetRange(start: 0, end: end) ?? .empty(at: 0) }

    private func unreadable(_ start: Int64, _ end: Int64) -> LogProbe.Finding {
        .unreadable(OffsetRange(start: start, end: end) ?? .empty(at: start), reason: "sum")
    }

    @Test("of a long run as much is passed as the looks prove, and the rest from there")
    func aLongRun() throws {
        func examine(from start: Int64, looksMax: Int) throws -> LogProbe.Finding? {
            var search = UnreadableSearch(
                log: log(1_000), looksMax: looksMax,
                look: { $0 < 700 ? .unreadable(base: $0 / 100 * 100, reason: "sum") : .readable($0) })
            return try search.run(from: start)
        }
        #expect(try examine(from: 0, looksMax: 1_000) == unreadable(0, 700))
        for looksMax in [1, 2, 5, 30] {
            var position: Int64 = 0
            var rounds = 0
            while rounds < 1_000, case .unreadable(let range, _)? = try examine(from: position, looksMax: looksMax) {
                #expect(range.start == position && range.end > position && range.end <= 700)
                position = range.end
                rounds += 1
            }
            #expect(position == 700)
            #expect(rounds > 1)
        }
        #expect(try examine(from: 700, looksMax: 1) == .readable)
        #expect(try examine(from: 0, looksMax: 0) == nil)
    }

    @Test("the records between batches that nothing tells the begin of are kept")
    func batchesWithoutABase() throws {
        func examine(from start: Int64, looksMax: Int = 1_000) throws -> LogProbe.Finding? {
            var search = UnreadableSearch(
                log: log(301), looksMax: looksMax,
                look: { (100...102).contains($0) ? .readable($0) : .unreadable(base: nil, reason: "sum") })
            return try search.run(from: start)
        }
        #expect(try examine(from: 0) == unreadable(0, 100))
        #expect(try examine(from: 100) == .readable)
        #expect(try examine(from: 103) == unreadable(103, 301))
        #expect(try examine(from: 0, looksMax: 10) == unreadable(0, 10))
    }

    @Test("silence ends the search with what was proven before")
    func silence() throws {
        func examine(from start: Int64, base: Int64?, silentFrom: Int64) throws -> LogProbe.Finding? {
            var search = UnreadableSearch(
                log: log(100), looksMax: 1_000,
                look: { $0 < silentFrom ? .unreadable(base: base, reason: "sum") : .silent })
            return try search.run(from: start)
        }
        #expect(try examine(from: 0, base: nil, silentFrom: 7) == unreadable(0, 7))
        #expect(try examine(from: 0, base: 0, silentFrom: 6) == unreadable(0, 4))
        #expect(try examine(from: 7, base: nil, silentFrom: 7) == .silent)
        #expect(try examine(from: 100, base: nil, silentFrom: 7) == .end(next: 100, logEnd: 100))
    }

    @Test("a probe with few looks gets through a real log all the same")
    func aProbeWithFewLooks() throws {
        let fixture = try SpoiledFixture()
        try fixture.produce(0..<2, 2..<6, 6..<10, 10..<12)
        for offset in Int64(2)..<10 { fixture.proxy.spoil(SpoiledFixture.topic, at: offset, .codec) }
        let probe = LogProbe(fixture.kafka, fixture.source, looksMax: 3) { false }
        var position: Int64 = 2
        var rounds = 0
        while rounds < 20, case .unreadable(let range, _) = try probe.examine(from: position) {
            #expect(range.start == position && range.end > position)
            position = range.end
            rounds += 1
        }
        #expect(position == 10)
        #expect(rounds > 1)
    }

    @Test("a place that is told time and again, and that looks find nothing wrong with, is an error with a name")
    func contradictions() {
        var contradictions = Contradictions()
        func note(_ partition: Int32, _ position: Int64) -> KafkaError? {
            do throws(KafkaError) {
                try contradictions.note(TopicPartition(topic: "t", partition: partition), at: position)
                return nil
            } catch {
                return error
            }
        }
        for position in Int64(0)..<10 { #expect(note(0, position) == nil) }
        #expect(note(0, 9) == nil)
        #expect(note(1, 9) == nil)
        let error = note(0, 9)
        #expect(error?.isRetriable == true)
        #expect(error?.description.contains("offset 9") == true)
        #expect(note(0, 9) == nil)
    }
}
