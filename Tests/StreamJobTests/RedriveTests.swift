import Bytes
import Files
import JSONScan
import Kafka
import Lake
import Logic
import PlatformTesting
import Quarantine
import Records
import Simulator
import StreamJob
import Synchronization
import Testing

@Suite(.serialized) struct RedriveTests {
    private static func event(_ index: Int) -> [UInt8] { Array(change(id: "poisoned-\(index)").utf8) }

    /// Every kind of poison among good events; each is caught by its rule, redriven with its correction, and becomes
    /// Silver and Gold with two parents. What a replay from the middle and a second stream job make is the same.
    @Test func everyPoisonIsCaughtAndRecovered() async throws {
        let fixture = try StreamFixture()
        let kinds = Poison.allCases.count
        let (caughtEnd, end) = (Int64(10 + kinds), Int64(10 + 2 * kinds))
        for index in 0..<10 { try fixture.produce([Array(change(id: "good-\(index)").utf8)], to: 0) }
        for (index, poison) in Poison.allCases.enumerated() {
            try fixture.produce([poison.payload(of: Self.event(index))], to: 0)
        }
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: caughtEnd, of: 0)
        let quarantine = try QuarantineReader(layout: fixture.layout("lake"))
        let caught = try fixture.records(quarantine)
        #expect(caught.map(\.rule) == Poison.allCases.map(\.rule))
        #expect(caught.map(\.offset) == Array(10..<caughtEnd))
        #expect(caught.allSatisfy { $0.state == .open })
        #expect(caught.map(\.value) == Poison.allCases.enumerated().map { $1.payload(of: Self.event($0)) })

        let desk = QuarantineDesk(quarantine, forces: false, isDryRun: false)
        for (index, record) in caught.enumerated() {
            let report = try desk.redrive(
                .one(record.offset), correction: Self.event(index), kafka: fixture.kafka)
            #expect(report.redriven == 1)
        }
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: end, of: 0)
        try expectRecovery(fixture, caught)
        let after = try fixture.records(quarantine)
        #expect(after.map(\.state) == Array(repeating: .redriven, count: kinds))
        #expect(after.map(\.redrivenTo) == (caughtEnd..<end).map { Optional($0) })

        // Once more is refused; forced, the second copy meets the first.
        #expect(try desk.redrive(.one(10), correction: Self.event(0), kafka: fixture.kafka).refused == 1)
        let forced = QuarantineDesk(quarantine, forces: true, isDryRun: false)
        #expect(try forced.redrive(.one(10), correction: Self.event(0), kafka: fixture.kafka).redriven == 1)
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: end + 1, of: 0)
        try expectRecovery(fixture, caught)

        try await fixture.run(try fixture.job(lake: "other"), lake: "other", until: end + 1, of: 0)
        for (layer, generation) in [(Layer.bronze, nil), (.silver, 1), (.gold, 1), (.quarantine, Int64?(1))] {
            #expect(
                try fixture.lines("lake", layer, generation: generation)
                    == fixture.lines("other", layer, generation: generation))
        }
        let generation = try #require(try GenerationLog(layout: fixture.layout("lake")).active())
        for start in [Int64(15), caughtEnd + 5] {
            #expect(
                try fixture.replayed("lake", generation, from: start, to: end + 1)
                    == fixture.held("lake", 1, from: start, to: end + 1))
        }
    }

    private func expectRecovery(_ fixture: StreamFixture, _ caught: [QuarantinedRecord]) throws {
        for layer in [Layer.silver, .gold] {
            let lines = try fixture.lines("lake", layer, generation: 1).map { try JSONValue.parse(Array($0.utf8)) }
            #expect(lines.count == 10 + caught.count)
            for (index, record) in caught.enumerated() {
                let parents = try #require(lines[10 + index]["lineage"]?["parents"]?.array)
                #expect(parents.map { $0["offset"]?.integer } == [Int64(10 + caught.count + index), record.offset])
                #expect(parents.map { $0["event_id"]?.string } == ["poisoned-\(index)", "poisoned-\(index)"])
                #expect(parents.last?["bronze_sha256"]?.string == record.bronzeSHA256)
            }
        }
        #expect(try fixture.lines("lake", .quarantine, generation: 1).count == caught.count)
    }

    /// A redrive of the raw value after the cause was mended elsewhere, in bulk; and what is given up.
    @Test func manyAreRedrivenOrDiscardedByRuleAndOffset() async throws {
        let fixture = try StreamFixture()
        let payloads = (0..<40).map { index -> [UInt8]? in
            index % 4 == 0 ? Array("nonsense \(index)".utf8) : Poison.unknownSchema.payload(of: Self.event(index))
        }
        try fixture.produce(payloads, to: 1)
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 40, of: 1)
        let quarantine = try QuarantineReader(layout: fixture.layout("lake"))
        #expect(try quarantine.summaries(QuarantineQuery()).map(\.rule) == ["invalid_json", "unknown_schema"])
        var query = QuarantineQuery()
        query.rule = "unknown_schema"
        query.offsets = OffsetRange(start: 8, end: 16)
        query.states = [.open]
        let trial = QuarantineDesk(quarantine, forces: false, isDryRun: true)
        #expect(try trial.redrive(query, kafka: fixture.kafka).planned == 6)
        #expect(try fixture.records(quarantine).allSatisfy { $0.state == .open })
        let desk = QuarantineDesk(quarantine, forces: false, isDryRun: false)
        #expect(try desk.redrive(query, kafka: fixture.kafka).redriven == 6)
        #expect(try desk.redrive(query, kafka: fixture.kafka).redriven == 0)
        query = QuarantineQuery()
        query.rule = "invalid_json"
        #expect(try desk.discard(query, reason: "noise").discarded == 10)
        #expect(try desk.discard(query, reason: "noise").refused == 10)
        let counts = try quarantine.summaries(QuarantineQuery()).map(\.counts)
        #expect(counts == [[.discarded: 10], [.open: 24, .redriven: 6]])
        try askAgain(fixture, quarantine, desk)
        // The same values again: they break the same rule, and stay out of Silver.
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 46, of: 1)
        let again = try fixture.records(quarantine).filter { $0.offset >= 40 }
        #expect(again.map(\.rule) == Array(repeating: "unknown_schema", count: 6))
        #expect(again.allSatisfy { $0.state == .open })
        // Key and headers are those of the quarantined record.
        let line = try quarantine.reader.bronze(fixture.source(1), offset: 40).line
        let headers = BronzeLine.headers(of: line[...])
        #expect(headers.map(\.name) == ["sse_id", "redriven_from", "redriven_sha256"])
        let record = try #require(BronzeLine.read(line[...]))
        #expect(record.origin?.offset == 9)
        #expect(record.key == Array("k9".utf8))
    }

    /// The rest of what was caught, in pieces.
    private func askAgain(
        _ fixture: StreamFixture, _ quarantine: QuarantineReader, _ desk: QuarantineDesk
    ) throws {
        // What may have been redriven uses up no limit: the rest can be asked for until nothing is left.
        var pending = QuarantineQuery()
        (pending.rule, pending.states, pending.limit) = ("unknown_schema", [.open], 3)
        var begun: [QuarantinedRecord] = []
        try quarantine.forEach(pending) { record in
            begun.append(record)
            return true
        }
        try QuarantineLog(layout: fixture.layout("lake"), source: fixture.source(1)).update { session in
            try session.append(
                begun.map {
                    QuarantineDecision(
                        kind: .redrive, offset: $0.offset, timeMilliseconds: 1, rule: $0.rule, bronzeSHA256: "")
                })
        }
        var query = QuarantineQuery()
        (query.rule, query.limit) = ("unknown_schema", 2)
        query.leaveOutWhatIsRefused()
        let some = try desk.discard(query, reason: "noise")
        #expect(some.discarded == 2 && some.refused == 0)
        // A look that has to end early ends, also where it means nothing, and what it found is carried out.
        let lines = Mutex(0)
        let cut = try QuarantineReader(
            layout: fixture.layout("lake"),
            shouldStop: {
                lines.withLock { lines in
                    lines += 1
                    return lines > 20
                }
            })
        query.rule = "no such rule"
        try cut.forEach(query) { _ in true }
        #expect(lines.withLock { $0 } == 21)
        lines.withLock { $0 = 0 }
        (query.rule, query.limit) = ("unknown_schema", .max)
        let early = try QuarantineDesk(cut, forces: false, isDryRun: false).discard(query, reason: "noise").discarded
        let late = try desk.discard(query, reason: "noise").discarded
        #expect(early > 0 && late > 0 && early + late == 24 - 3 - 2)
    }

    /// The log's last word holds, a torn line is cut off, and one that was altered is noticed.
    @Test func decisionsAreDurableAndChecked() throws {
        let folder = try TemporaryFolder()
        let log = QuarantineLog(
            layout: LakeLayout(root: folder.path), source: TopicPartition(topic: "t", partition: 0))
        func decision(_ kind: QuarantineDecision.Kind, _ offset: Int64) -> QuarantineDecision {
            QuarantineDecision(kind: kind, offset: offset, timeMilliseconds: 1, rule: "r", bronzeSHA256: "")
        }
        try log.update { try $0.append([decision(.redrive, 1), decision(.discard, 2)]) }
        var content = try File.contents(of: log.path)
        try File.replace(log.path, with: content + Array(#"{"crc32c":"0000"#.utf8))
        #expect(try log.read().mapValues(\.kind) == [1: .redrive, 2: .discard])
        try log.update { try $0.append([decision(.redriven, 1)]) }
        #expect(try log.read().mapValues(\.kind) == [1: .redriven, 2: .discard])
        content = try File.contents(of: log.path)
        content[40] ^= 1
        try File.replace(log.path, with: content)
        #expect(throws: LakeError.self) { try log.read() }
    }

    @Test func olderLogicKnowsNoRedrivenRecords() throws {
        for (version, parents, silver) in [
            (TransformSettings.CodeVersion.first, 1, 1), (.second, 2, 2),
        ] {
            var driver = try ProcessorDriver { $0.codeVersion = version }
            _ = try driver.feed(change(id: "a"))
            let origin = RedriveOrigin(
                topic: ProcessorDriver.source.topic, partition: 0, offset: 0,
                bronzeSHA256: String(repeating: "0", count: 64))
            driver.addHeader(RedriveOrigin.header, origin.text)
            driver.addHeader(RedriveOrigin.hashHeader, origin.bronzeSHA256)
            _ = try driver.feed(change(id: "a"))
            _ = try driver.feed(change(id: "b"))
            #expect(try driver.silver.count == silver + 1)
            #expect(try driver.silver.last?["lineage"]?["parents"]?.array?.count == parents)
        }
    }

    @Test(arguments: [
        "", "t/0", "t/0/1/2", "t/-1/0", "t/0/-1", "t/+0/1", "t/00/1", "/0/1", "t t/0/1", "t/0/1 ",
        "t/0/99999999999999999999",
    ])
    func whatIsNoOriginIsIgnored(text: String) {
        #expect(RedriveOrigin(text: Array(text.utf8), sha256: []) == nil)
        #expect(RedriveOrigin(text: Array("t/0/1".utf8), sha256: Array("ABC".utf8)) == nil)
        #expect(RedriveOrigin(text: Array("t/0/1".utf8), sha256: [])?.offset == 1)
    }
}

extension QuarantineQuery {
    fileprivate static func one(_ offset: Int64) -> QuarantineQuery {
        var query = QuarantineQuery()
        query.topic = "wikimedia.recentchange"
        query.partition = 0
        query.offsets = OffsetRange(start: offset, end: offset + 1)
        return query
    }
}

extension StreamFixture {
    /// Sends payloads to one topic partition.
    /// - Parameter mayRepeat: whether they carry the mark of repeats.
    func produce(_ payloads: [[UInt8]?], to partition: Int32, mayRepeat: Bool = false) throws {
        let producer = try KafkaProducer(kafka)
        for (index, payload) in payloads.enumerated() {
            try producer.send(
                topic: topic, partition: partition, key: Array("k\(index)".utf8), value: payload,
                headers: [("sse_id", Array("[\(index)]".utf8))]
                    + (mayRepeat ? [(RepeatMark.header, RepeatMark.value)] : []))
        }
        #expect(producer.flush(timeoutMilliseconds: 20_000).allSatisfy { $0.error == nil })
    }

    func records(_ quarantine: QuarantineReader) throws -> [QuarantinedRecord] {
        var records: [QuarantinedRecord] = []
        try quarantine.forEach(QuarantineQuery()) { record in
            records.append(record)
            return true
        }
        return records
    }
}
