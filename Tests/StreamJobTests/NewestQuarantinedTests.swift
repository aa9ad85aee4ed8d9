import Lake
import PlatformTesting
import Quarantine
import Records
import Simulator
import Synchronization
import Testing

/// The list of quarantined records that people look at.
@Suite(.serialized) struct NewestQuarantinedTests {
    private struct Seen: Hashable {
        let source: TopicPartition
        let offset: Int64
        let time: Int64
        let rule: String
    }

    private static func payload(_ index: Int) -> [UInt8]? {
        switch index % 5 {
        case 0: Array("nonsense \(index)".utf8)
        case 1: Poison.unknownSchema.payload(of: Array(change(id: "poisoned-\(index)").utf8))
        default: Array(change(id: "good-\(index)").utf8)
        }
    }

    /// All pages of a list, each asked for where the one before ended.
    private func pages(
        _ quarantine: QuarantineReader, _ query: QuarantineQuery, window: Int64, pagesMax: Int = 1_000
    ) throws -> [[Seen]] {
        var pages: [[Seen]] = []
        var place: QuarantinePlace?
        repeat {
            let page = try quarantine.newest(query, from: place, window: window) {
                Seen(source: $0.source, offset: $0.offset, time: $0.timestampMilliseconds, rule: $0.rule)
            }
            pages.append(page.items)
            place = page.next
            // As it goes through a URL.
            if let text = place?.text { #expect(QuarantinePlace(text: text) == place) }
        } while place != nil && pages.count < pagesMax
        #expect(place == nil, "a list that does not end")
        return pages
    }

    @Test func pagesHoldAllFromTheNewestOn() async throws {
        let fixture = try StreamFixture()
        let job = try fixture.job(lake: "lake")
        for (part, partition) in [(0..<60, Int32(0)), (60..<100, 1), (100..<160, 0)] {
            try fixture.produce(part.map { Self.payload($0) }, to: partition)
        }
        try await fixture.run(job, lake: "lake", until: 120, of: 0)
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 40, of: 1)
        let quarantine = try QuarantineReader(layout: fixture.layout("lake"))
        var all: [Seen] = []
        try quarantine.forEach(QuarantineQuery()) {
            all.append(Seen(source: $0.source, offset: $0.offset, time: $0.timestampMilliseconds, rule: $0.rule))
            return true
        }
        #expect(all.count == 64)
        for rule in [nil, "invalid_json", "no such rule"] {
            let wanted = all.filter { rule == nil || $0.rule == rule }
            for (limit, window) in [(1, Int64(1)), (3, 4), (7, 16), (500, 2_048)] {
                var query = QuarantineQuery()
                (query.rule, query.limit) = (rule, limit)
                let pages = try pages(quarantine, query, window: window)
                let found = pages.flatMap { $0 }
                #expect(found.count == wanted.count && Set(found) == Set(wanted), "\(limit) of \(window)")
                #expect(pages.dropLast().allSatisfy { $0.count == limit })
                // The broker gives the times, so they rise with the offsets.
                #expect(found.map(\.time) == found.map(\.time).sorted(by: >), "\(limit) of \(window)")
                for partition in 0..<2 {
                    let offsets = found.filter { $0.source == fixture.source(partition) }.map(\.offset)
                    #expect(offsets == offsets.sorted(by: >))
                }
            }
        }
        try cutShort(fixture, all)
        try refused(quarantine)
    }

    /// Reading that has to stop again and again leaves nothing out, and shows nothing twice or out of order.
    private func cutShort(_ fixture: StreamFixture, _ all: [Seen]) throws {
        let lines = Mutex(0)
        let cut = try QuarantineReader(
            layout: fixture.layout("lake"),
            shouldStop: {
                lines.withLock { lines in
                    lines += 1
                    return lines % 20 == 0
                }
            })
        var query = QuarantineQuery()
        query.limit = 500
        let found = try pages(cut, query, window: 8).flatMap { $0 }
        #expect(found.count == all.count && Set(found) == Set(all))
        // Where nothing at all can be read, the place stays, and the page says so.
        let never = try QuarantineReader(layout: fixture.layout("lake"), shouldStop: { true })
        let page = try never.newest(query, window: 2_048) { $0.offset }
        #expect(page.items.isEmpty && page.next != nil && !page.hasMoved)
    }

    private func refused(_ quarantine: QuarantineReader) throws {
        let place = QuarantinePlace(generation: 9, before: [:])
        #expect(throws: QuarantineError.self) { try quarantine.newest(QuarantineQuery(), from: place) { $0.offset } }
        for text in [
            "", "1", "1~t", "1~t~", "1~~0.3", "0~t~0.3", "1~t~0.0", "1~t~0.-3", "1~t~+0.3", "1~t~0.3~", "1~t~0.3_",
            "1~t~0",
            "1~t~99999999999.3", "1~t~0.99999999999999999999",
        ] { #expect(QuarantinePlace(text: text) == nil, "\(text)") }
        // Offsets that there never were end where the lake does.
        let source = quarantine.generation
        let far = QuarantinePlace(
            generation: source, before: [TopicPartition(topic: "wikimedia.recentchange", partition: 0): .max])
        #expect(throws: Never.self) { try quarantine.newest(QuarantineQuery(), from: far) { $0.offset } }
    }
}
