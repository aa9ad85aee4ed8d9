import Bytes
import Derivation
import Lake
import Logic
import PlatformTesting
import Records
import Testing

/// What becomes of a document can hang on the texts of earlier ones; a start and a replay find out the same.
@Suite struct StageProcessorTests {
    private static func settings(
        _ stages: DocumentStages, window: DuplicateWindow.Limits, hasVersions: Bool = false
    ) throws -> LogicSettings {
        var settings = try DocumentSource.settings(window: window)
        if hasVersions { settings.mapping.version = FieldPath("rev") }
        settings.stages = stages
        return .document(settings)
    }

    private struct Event {
        var eventID: String
        var json: String?
    }

    /// Documents of few ids and texts, some sent twice, deleted, without text or broken.
    private static func events(_ seed: UInt64) -> [Event] {
        var random = SeededGenerator(seed: seed)
        var events: [Event] = []
        for number in 0..<160 {
            let id = "d\(Int.random(in: 0..<12, using: &random))"
            let text = "A kettle of \(Int.random(in: 0..<6, using: &random)) litres"
            let json: String? =
                switch Int.random(in: 0..<14, using: &random) {
                case 0: #"{"id":"\#(id)","deleted":true}"#
                case 1: #"{"id":"\#(id)","name":"n","text":"x"}"#
                case 2: #"{"id":"\#(id)","name":"n","text":"\#(text)","price":{"amount":"dear"}}"#
                case 3: "no JSON"
                case 4: nil
                default: DocumentSource.document(id, text: text)
                }
            let version = 1 + number / 4 + Int.random(in: 0..<6, using: &random)
            let event = Event(
                eventID: "e\(number)", json: json?.replacing(#"{"id":"#, with: #"{"rev":\#(version),"id":"#))
            events.append(event)
            if Int.random(in: 0..<6, using: &random) == 0, let again = events.randomElement(using: &random) {
                events.append(again)
            }
        }
        return events
    }

    /// The lines of each event, one after another.
    private static func feed(_ driver: inout ProcessorDriver, _ event: Event) throws -> [[UInt8]] {
        driver.headers = RecordHeaderText()
        driver.addHeader(EventIDHeader.header, event.eventID)
        driver.time += 1_000
        _ = try driver.feed(event.json.map { Array($0.utf8) })
        defer { driver.processor.removeLines() }
        let lines = driver.processor.generations[0].lines
        return [lines.silver, lines.gold, lines.quarantine, driver.processor.bronze]
    }

    @Test(arguments: LongTests.seeds(1...12))
    func aStartInTheMidstMakesTheSameLines(seed: UInt64) throws {
        let logic = try Self.settings(
            DocumentStages(
                textCharactersMin: 3,
                nearDuplicates: .init(offsets: 37, milliseconds: 25_000, distance: Int(seed % 4))),
            window: DuplicateWindow.Limits(offsets: seed % 2 == 0 ? 10 : 60), hasVersions: seed % 3 == 0)
        let events = Self.events(seed)
        var whole = try ProcessorDriver([logic])
        let expected = try events.map { try Self.feed(&whole, $0) }
        let flagged = expected.count { String(decoding: $0[0], as: UTF8.self).contains("near_duplicate") }
        #expect(flagged > 0, "TEST_SEED=\(seed)")
        let records = try expected.map { try #require(BronzeLine.read($0[3].dropLast())) }
        var random = SeededGenerator(seed: seed)
        for _ in 0..<4 {
            let cut = Int.random(in: 0..<events.count, using: &random)
            var driver = try ProcessorDriver([logic])
            let start = max(0, cut - Int(driver.processor.windowOffsets))
            for record in records[start..<cut] { driver.processor.warm(record) }
            driver.offset = Int64(cut)
            driver.time += 1_000 * Int64(cut)
            for index in cut..<events.count {
                let found = try Self.feed(&driver, events[index])
                #expect(found == expected[index], "offset \(index) after a start at \(cut), TEST_SEED=\(seed)")
            }
        }
    }

    /// A generation that looks at texts is fed from its beginning on as a replay would: the windows are read again.
    @Test func aNewGenerationSaysWhetherWindowsMustBeRead() throws {
        let plain = try Self.settings(DocumentStages(), window: DuplicateWindow.Limits(offsets: 100))
        let looking = try Self.settings(
            DocumentStages(nearDuplicates: .init(offsets: 250)), window: DuplicateWindow.Limits(offsets: 50))
        var processor = try RecordProcessor(source: ProcessorDriver.source, writesBronze: false)
        func generation(_ number: Int64, _ logic: LogicSettings) throws -> LakeGeneration {
            let topic = ProcessorDriver.source.topic
            return LakeGeneration(
                number: number, parent: nil,
                logic: .byTopic([topic: try TopicLogic(logic, tenant: .standard, collection: topic)]), state: .active)
        }
        let first = try processor.add(generation(1, plain))
        #expect(first && processor.windowOffsets == 100)
        let again = try processor.add(generation(2, plain))
        #expect(!again)
        let third = try processor.add(generation(3, looking))
        #expect(third && processor.windowOffsets == 250)
        processor.remove(3)
        #expect(processor.windowOffsets == 100)
    }

    /// What was erased hides nothing, in a running job as little as after a start.
    @Test func textsAreForgottenAndReadAgain() throws {
        let logic = try Self.settings(
            DocumentStages(nearDuplicates: .init(offsets: 1_000, distance: 0)), window: DuplicateWindow.Limits())
        var driver = try ProcessorDriver([logic])
        let events = [("1", "a", "A kettle"), ("2", "b", "A lamp"), ("3", "c", "A kettle"), ("4", "d", "A lamp")].map {
            Event(eventID: $0, json: DocumentSource.document($1, text: $2))
        }
        let lines = try events[..<2].map { try Self.feed(&driver, $0) }
        let bronze = try lines.map { try #require(BronzeLine.read($0[3].dropLast())) }
        let hasTexts = driver.processor.hasTexts
        #expect(hasTexts)
        driver.processor.forgetTexts()
        driver.processor.warmTexts(
            BronzeRecord(
                offset: 0, timestampMilliseconds: bronze[0].timestampMilliseconds, value: nil, erasure: "e-0"))
        driver.processor.warmTexts(bronze[1])
        let found = try events[2...].map { String(decoding: try Self.feed(&driver, $0)[1], as: UTF8.self) }
        #expect(found[0].contains(#""operation":"put""#) && found[1].contains("near_duplicate"))
        // The event ids are known as before.
        let again = try Self.feed(&driver, events[0])
        #expect(again[0].isEmpty && again[1].isEmpty)
    }

    @Test func aTextThatIsTooLargeIsInNoWindow() throws {
        let logic = try Self.settings(
            DocumentStages(nearDuplicates: .init(offsets: 1_000, distance: 0)), window: DuplicateWindow.Limits())
        let long = String(repeating: "x", count: RecordProcessor.valueBytesMax)
        var driver = try ProcessorDriver([logic])
        _ = try Self.feed(&driver, Event(eventID: "1", json: DocumentSource.document("a", text: long)))
        let lines = try Self.feed(
            &driver, Event(eventID: "2", json: DocumentSource.document("b", text: String(long.dropLast(200)))))
        #expect(String(decoding: lines[1], as: UTF8.self).contains(#""operation":"put""#))
    }
}
