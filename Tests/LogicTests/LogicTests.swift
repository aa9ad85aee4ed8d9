import Bytes
import Testing

@testable import Logic

@Suite struct TextTemplateTests {
    private func render(_ template: String, _ values: [TextTemplate.Field: String]) throws -> String {
        var output: [UInt8] = []
        try TextTemplate(template).render(to: &output) { field, bytes in
            bytes.append(contentsOf: (values[field] ?? "").utf8)
        }
        return String(decoding: output, as: UTF8.self)
    }

    @Test func optionalPartsVanishWithAnEmptyField() throws {
        #expect(try render("{title}[: {comment}].", [.title: "A"]) == "A.")
        #expect(try render("{title}[: {comment}].", [.title: "A", .comment: "b"]) == "A: b.")
        #expect(try render("\\[{title}\\] \\{", [.title: "A"]) == "[A] {")
    }

    @Test(arguments: ["{nope}", "{title", "[{title}", "]", "}", "[[{title}]]"])
    func faultsAreRefused(template: String) {
        #expect(throws: TextTemplate.Fault.self) { try TextTemplate(template) }
    }

    @Test(arguments: [
        ("/* History */ typo", "History: typo"), ("/* History */", "History"),
        ("[[Rhine|the river]] flows", "the river flows"),
        ("[[Rhine]]", "Rhine"), ("a\tb\n\nc", "a b c"), ("x /* y", "x y"), ("", ""), ("[[a|b|c]]", "b|c"),
        ("50 | 60", "50 | 60"),
    ])
    func commentsReadPlain(comment: String, plain: String) {
        var output: [UInt8] = []
        var comment = comment
        comment.withUTF8 { PlainText.append(comment: $0, to: &output) }
        #expect(String(decoding: output, as: UTF8.self) == plain)
    }
}

@Suite struct DuplicateWindowTests {
    private func isDuplicate(
        _ window: inout DuplicateWindow, _ id: String, _ offset: Int64, _ time: Int64, origin: Int64? = nil,
        mayRepeat: Bool = false, limits: DuplicateWindow.Limits = .init(), followsRedrives: Bool = true,
        followsMarks: Bool = true
    ) -> Bool {
        var id = id
        return id.withUTF8 { id in
            let sighting = window.note(
                eventID: id, offset: offset, brokerMilliseconds: time, origin: origin, mayRepeat: mayRepeat)
            return window.isDuplicate(
                sighting, limits: limits, followsRedrives: followsRedrives, followsMarks: followsMarks)
        }
    }

    @Test func bothBoundsCount() {
        let limits = DuplicateWindow.Limits(offsets: 10, milliseconds: 100)
        var window = DuplicateWindow(offsetsMax: 10)
        #expect(!isDuplicate(&window, "a", 0, 0, limits: limits))
        #expect(isDuplicate(&window, "a", 5, 100, limits: limits))
        #expect(!isDuplicate(&window, "a", 6, 201, limits: limits))
        #expect(!isDuplicate(&window, "a", 17, 201, limits: limits))
    }

    @Test func aRedrivenRecordIsNoDuplicateOfTheOneItStandsFor() {
        var window = DuplicateWindow()
        #expect(!isDuplicate(&window, "a", 0, 0))
        // A copy that was left out for the sake of the first does not keep the redriven one out.
        #expect(isDuplicate(&window, "a", 1, 0))
        #expect(!isDuplicate(&window, "a", 2, 0, origin: 0))
        // Redriven once more it is: the one before came through.
        #expect(isDuplicate(&window, "a", 3, 0, origin: 0))
        // Of a chain none counts.
        #expect(!isDuplicate(&window, "a", 4, 0, origin: 2))
        #expect(isDuplicate(&window, "a", 5, 0))
        // Older logic knows no redriven records.
        #expect(isDuplicate(&window, "a", 6, 0, origin: 5, followsRedrives: false))
        // A copy that came through for itself, since the first was too far back for it.
        let limits = DuplicateWindow.Limits(offsets: 10, milliseconds: 1_000)
        #expect(!isDuplicate(&window, "b", 10, 0, limits: limits))
        #expect(!isDuplicate(&window, "b", 21, 0, limits: limits))
        #expect(isDuplicate(&window, "b", 25, 0, origin: 10, limits: limits))
    }

    /// Restarts and a replay from any place decide as a window that saw all, redriven records included, and the window
    /// never holds more than its bound.
    @Test(arguments: [UInt64(5), 23, 1_009])
    func aWindowReadBeforeAnyPlaceDecidesAsOneThatSawAll(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let limits = DuplicateWindow.Limits(offsets: 40, milliseconds: 300)
        var records: [(id: String, offset: Int64, time: Int64, origin: Int64?, mayRepeat: Bool)] = []
        var (offset, time): (Int64, Int64) = (0, 0)
        for _ in 0..<800 {
            offset += Int64.random(in: 1...3, using: &generator)
            time += Int64.random(in: -5...20, using: &generator)
            let named = records.suffix(30).randomElement(using: &generator)
            let isRedriven = Int.random(in: 0..<4, using: &generator) == 0
            let id = isRedriven ? named?.id : nil
            records.append(
                (
                    id ?? "id\(Int.random(in: 0..<25, using: &generator))", offset, time,
                    isRedriven ? named?.offset : nil, Int.random(in: 0..<5, using: &generator) == 0
                ))
        }
        func decide(_ window: inout DuplicateWindow, _ index: Int) -> Bool {
            let record = records[index]
            return isDuplicate(
                &window, record.id, record.offset, record.time, origin: record.origin, mayRepeat: record.mayRepeat,
                limits: limits)
        }
        var whole = DuplicateWindow(offsetsMax: limits.offsets)
        let decisions = records.indices.map { index in
            defer { #expect(whole.size <= 41) }
            return decide(&whole, index)
        }
        #expect(decisions.contains(true))
        for start in stride(from: 0, to: records.count, by: 7) {
            // A wider window of another generation beside it changes nothing.
            var window = DuplicateWindow(offsetsMax: limits.offsets + Int64(start % 2) * 100)
            let before = records[start].offset - window.offsetsMax
            for index in records.indices where records[index].offset >= before && index < min(start + 60, records.count)
            {
                let decision = decide(&window, index)
                if index >= start {
                    #expect(decision == decisions[index], "seed \(seed), start \(start), index \(index)")
                }
            }
        }
    }

    @Test func theBoundInTimeIsNotForWhatMayBeARepeat() {
        let limits = DuplicateWindow.Limits(offsets: 10, milliseconds: 100)
        var window = DuplicateWindow(offsetsMax: 1_000)
        #expect(!isDuplicate(&window, "a", 0, 0, limits: limits))
        // A day later, and at the bound in offsets.
        #expect(isDuplicate(&window, "a", 10, 86_400_000, mayRepeat: true, limits: limits))
        // One without the mark is measured against the latest copy, whatever became of that one.
        #expect(isDuplicate(&window, "a", 11, 86_400_100, limits: limits))
        #expect(!isDuplicate(&window, "a", 12, 86_400_201, limits: limits))
        // The bound in offsets holds for all, and a mark without an earlier copy says nothing.
        #expect(!isDuplicate(&window, "a", 23, 86_400_201, mayRepeat: true, limits: limits))
        #expect(!isDuplicate(&window, "b", 24, 86_400_201, mayRepeat: true, limits: limits))
        // Older logic does not know the mark.
        #expect(!isDuplicate(&window, "b", 25, 99_000_000, mayRepeat: true, limits: limits, followsMarks: false))
        // A broker's clock that stepped back, and times at both ends.
        #expect(isDuplicate(&window, "b", 26, 0, limits: limits))
        #expect(isDuplicate(&window, "b", 27, 253_402_300_799_999, mayRepeat: true, limits: limits))
        // A redriven copy meets what came through, however long ago; not the record that it stands for.
        #expect(!isDuplicate(&window, "c", 30, 0, limits: limits))
        #expect(!isDuplicate(&window, "c", 31, 86_400_000, limits: limits))
        #expect(isDuplicate(&window, "c", 32, 172_800_000, origin: 31, mayRepeat: true, limits: limits))
        #expect(!isDuplicate(&window, "d", 33, 0, limits: limits))
        #expect(!isDuplicate(&window, "d", 34, 172_800_000, origin: 33, mayRepeat: true, limits: limits))
    }

    /// Holds the window against a plain list of all records, over random ids, times and gaps.
    @Test(arguments: [UInt64(1), 17, 4_711])
    func itAgreesWithAPlainList(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let limits = DuplicateWindow.Limits(offsets: 50, milliseconds: 300)
        var window = DuplicateWindow(offsetsMax: limits.offsets)
        var last: [String: (offset: Int64, time: Int64)] = [:]
        var offset: Int64 = 0
        var time: Int64 = 0
        for _ in 0..<5_000 {
            offset += Int64.random(in: 1...3, using: &generator)
            time += Int64.random(in: -5...20, using: &generator)
            let id = "id\(Int.random(in: 0..<40, using: &generator))"
            let mayRepeat = Int.random(in: 0..<4, using: &generator) == 0
            let expected = last[id].map { offset - $0.offset <= 50 && (mayRepeat || time - $0.time <= 300) } ?? false
            #expect(
                isDuplicate(&window, id, offset, time, mayRepeat: mayRepeat, limits: limits) == expected,
                "seed \(seed), offset \(offset)")
            last[id] = (offset, time)
            #expect(window.size <= 51)
        }
    }

    /// What a replay from the middle sees: a window warmed by the limit's offsets decides as one that saw all.
    @Test func aWarmedWindowDecidesAsOneThatSawAll() {
        var generator = SeededGenerator(seed: 23)
        let limits = DuplicateWindow.Limits(offsets: 30, milliseconds: 1_000)
        let records = (0..<500).map { (id: "id\(Int.random(in: 0..<60, using: &generator))", time: Int64($0 * 20)) }
        var whole = DuplicateWindow(offsetsMax: limits.offsets)
        var warmed = DuplicateWindow(offsetsMax: limits.offsets)
        for (offset, record) in records.enumerated() {
            let first = isDuplicate(&whole, record.id, Int64(offset), record.time, limits: limits)
            guard offset >= 200 - 30 else { continue }
            let second = isDuplicate(&warmed, record.id, Int64(offset), record.time, limits: limits)
            if offset >= 200 { #expect(first == second, "offset \(offset)") }
        }
    }

    @Test(arguments: [1, 7, 3_000]) func agreesWithAListOfAllRecords(offsetsMax: Int64) {
        var random = SeededGenerator(seed: UInt64(offsetsMax))
        let limits = DuplicateWindow.Limits(offsets: offsetsMax, milliseconds: .max)
        var window = DuplicateWindow(offsetsMax: offsetsMax)
        var latest: [String: Int64] = [:]
        var offset: Int64 = 0
        for _ in 0..<20_000 {
            // Gaps empty the window in part or whole.
            offset +=
                Int.random(in: 0..<200, using: &random) == 0 ? Int64.random(in: 1...2 * offsetsMax, using: &random) : 1
            let id = "\(Int.random(in: 0..<Int(offsetsMax) * 2, using: &random))"
            let expected = latest[id].map { offset - $0 <= offsetsMax } ?? false
            #expect(isDuplicate(&window, id, offset, 0, limits: limits) == expected, "offset \(offset)")
            latest[id] = offset
        }
        #expect(window.size == latest.values.count { offset - $0 <= offsetsMax })
    }

    @Test func uuidsAndOtherIdsDoNotMeet() {
        var window = DuplicateWindow()
        #expect(!isDuplicate(&window, "6b1f3a52-0000-4000-8000-000000000001", 0, 0))
        #expect(!isDuplicate(&window, "6B1F3A52-0000-4000-8000-000000000001", 1, 0))
        #expect(!isDuplicate(&window, "6b1f3a52-0000-4000-8000-00000000000", 2, 0))
        #expect(isDuplicate(&window, "6b1f3a52-0000-4000-8000-000000000001", 3, 0))
    }
}

@Suite struct WikiLanguageTests {
    @Test(arguments: [
        ("enwiki", "en"), ("dewiktionary", "de"), ("zh_yuewiki", "yue"), ("simplewiki", "en"), ("commonswiki", "und"),
        ("wikidatawiki", "und"), ("", "und"), ("be_x_oldwiki", "be"),
    ])
    func codesComeFromTheTable(wiki: String, code: String) {
        var wiki = wiki
        #expect(String(decoding: wiki.withUTF8 { WikiLanguage.code(wiki: $0) }, as: UTF8.self) == code)
    }
}
