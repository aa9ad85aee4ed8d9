import Bytes
import PlatformTesting
import Testing

@testable import Logic

@Suite struct TextFingerprintTests {
    private static func distance(_ left: String, _ right: String) throws -> Int {
        var fingerprint = TextFingerprint()
        let (a, b) = (fingerprint.simHash(Array(left.utf8)), fingerprint.simHash(Array(right.utf8)))
        return (try #require(a) ^ #require(b)).nonzeroBitCount
    }

    @Test func caseWhiteSpaceAndPunctuationDoNotCount() throws {
        var made = TextFingerprint()
        let texts = ["Ein Kessel, 3 Liter: ÖL!", "  ein kessel 3\nliter \u{2013} öl", "EINKESSEL3LITERÖL"]
        #expect(Set(texts.map { made.hash(Array($0.utf8)) }).count == 1)
        #expect(Set(texts.map { made.simHash(Array($0.utf8)) }).count == 1)
        #expect(made.hash(Array("Ein Kessel, 4 Liter: ÖL".utf8)) != made.hash(Array(texts[0].utf8)), "digits count")
        for nothing in ["", " ", "…!?", "\u{1F600}"] {
            #expect(made.hash(Array(nothing.utf8)) == nil && made.simHash(Array(nothing.utf8)) == nil, "\(nothing)")
        }
        #expect(made.hash(Array("a".utf8)) != nil && made.simHash(Array("東京".utf8)) != nil)
    }

    @Test func textsThatSayTheSameAreNear() throws {
        let words = (0..<400).map { "word\($0 * $0 % 977)" }
        let whole = words.joined(separator: " ")
        var changed = words
        changed[200] = "other"
        #expect(try Self.distance(whole, changed.joined(separator: ", ")) <= NearDuplicateWindow.Limits.distanceMax)
        #expect(
            try Self.distance("Order 17 was shipped", "Order 18 was shipped") > NearDuplicateWindow.Limits.distanceMax)
        #expect(try Self.distance(whole, (0..<400).map { "text\($0 * 31 % 997)" }.joined(separator: " ")) > 10)
        #expect(try Self.distance(whole, whole + ".") == 0)
    }
}

@Suite struct NearDuplicateWindowTests {
    private static func take(
        _ window: inout NearDuplicateWindow, _ id: String, _ text: String, _ offset: Int64, version: Int64? = nil,
        milliseconds: Int64 = 0
    ) -> Bool {
        window.isDuplicate(
            id: Array(id.utf8), version: version ?? offset + 1, text: Array(text.utf8), offset: offset,
            brokerMilliseconds: milliseconds)
    }

    @Test func anotherDocumentOfTheTextIsLeftOutAndAnUpdateIsNot() {
        var window = NearDuplicateWindow(.init(offsets: 100, distance: 0))
        #expect(!Self.take(&window, "a", "A kettle", 0))
        #expect(Self.take(&window, "b", "a KETTLE.", 1))
        #expect(!Self.take(&window, "a", "A kettle", 2), "an update is held against others alone")
        #expect(Self.take(&window, "b", "A kettle", 3), "the one that was left out does not count")
        #expect(!Self.take(&window, "a", "A lamp", 4))
        #expect(!Self.take(&window, "b", "A kettle", 5), "nobody has the text any more")
        #expect(Self.take(&window, "c", "A kettle", 6))
        window.remove(id: Array("b".utf8), version: 8, offset: 7)
        #expect(!Self.take(&window, "c", "A kettle", 8))
        #expect(window.count == 2)
    }

    @Test func olderVersionsChangeNothing() {
        var window = NearDuplicateWindow(.init(offsets: 100, distance: 0))
        #expect(!Self.take(&window, "a", "new", 0, version: 9))
        #expect(!Self.take(&window, "a", "old", 1, version: 3))
        #expect(!Self.take(&window, "b", "old", 2, version: 1), "a never had that text in the end")
        #expect(Self.take(&window, "c", "new", 3, version: 4))
        #expect(Self.take(&window, "c", "new", 4, version: 4), "the same version is judged again")
        window.remove(id: Array("a".utf8), version: 8, offset: 5)
        #expect(Self.take(&window, "d", "new", 6, version: 1))
        window.removeAll(below: 10, offset: 7)
        #expect(!Self.take(&window, "e", "new", 8, version: 10))
        #expect(!Self.take(&window, "f", "new", 9, version: 2), "what is gone already is no duplicate")
    }

    @Test func blocksAndTimesBoundTheWindow() {
        var window = NearDuplicateWindow(.init(offsets: 10, milliseconds: 50, distance: 3))
        #expect(!Self.take(&window, "a", "A kettle", 7, milliseconds: 100))
        #expect(Self.take(&window, "b", "A kettle", 8, milliseconds: 150))
        #expect(!Self.take(&window, "c", "A kettle", 9, milliseconds: 151))
        #expect(!Self.take(&window, "d", "A kettle", 10, milliseconds: 151), "a new block begins empty")
        #expect(Self.take(&window, "e", "A kettle", 19, milliseconds: 0), "broker times may step back")
        window.removeAll()
        #expect(!Self.take(&window, "f", "A kettle", 19))
    }

    /// One text, and very many near it: each look is bounded.
    @Test func manyTextsInOneSlotEndALook() {
        var window = NearDuplicateWindow(.init(offsets: 2_000, milliseconds: 0, distance: 3))
        for number in 0..<2_000 {
            // Each a millisecond later, so that no earlier one is within the bound.
            let isLeftOut = Self.take(&window, "d\(number)", "A kettle", Int64(number), milliseconds: Int64(number))
            #expect(!isLeftOut)
        }
        #expect(window.count == 2_000)
    }

    /// What is left out takes away lower versions alone, as its line in Gold says.
    @Test func aVersionThatWasLeftOutComesBackWhenTheOtherIsGone() {
        var window = NearDuplicateWindow(.init(offsets: 100, distance: 0))
        #expect(!Self.take(&window, "a", "A kettle", 0, version: 1))
        #expect(Self.take(&window, "b", "A kettle", 1, version: 5))
        window.remove(id: Array("a".utf8), version: 2, offset: 2)
        #expect(!Self.take(&window, "b", "A kettle", 3, version: 4), "older than what was left out")
        #expect(window.count == 0)
        #expect(!Self.take(&window, "b", "A kettle", 4, version: 5))
        #expect(window.count == 1)
        window.remove(id: Array("b".utf8), version: 5, offset: 5)
        #expect(!Self.take(&window, "b", "A kettle", 6, version: 5), "a deletion holds for its version")
        #expect(window.count == 0)
    }

    @Test func ofEqualVersionsTheLaterRecordCounts() {
        var window = NearDuplicateWindow(.init(offsets: 100, distance: 0))
        #expect(!Self.take(&window, "a", "A kettle", 0, version: 5))
        #expect(!Self.take(&window, "a", "A lamp", 1, version: 5))
        #expect(!Self.take(&window, "b", "A kettle", 2, version: 1), "nobody has the text any more")
        #expect(Self.take(&window, "c", "A lamp", 3, version: 1))
        // Left out at its own version, by a stage or by the window, a document keeps what is shown of that version.
        #expect(Self.take(&window, "a", "A kettle", 4, version: 5))
        window.leaveOut(id: Array("a".utf8), version: 5, offset: 5)
        #expect(Self.take(&window, "c", "A lamp", 6, version: 2))
        window.leaveOut(id: Array("a".utf8), version: 6, offset: 7)
        #expect(!Self.take(&window, "c", "A lamp", 8, version: 2))
    }

    private struct Step {
        var id: String
        var version: Int64
        /// Nil where it is deleted, empty where it is left out for another reason.
        var text: String?
        var offset: Int64
        var milliseconds: Int64
    }

    private static func steps(_ seed: UInt64) -> [Step] {
        var random = SeededGenerator(seed: seed)
        var offset: Int64 = 0
        let texts: [String?] = [nil, nil, ""] + (0..<18).map { "text \($0 % 12)" }
        return (0..<400).map { number in
            offset += Int64.random(in: 1...3, using: &random)
            return Step(
                id: "d\(Int.random(in: 0..<25, using: &random))", version: Int64.random(in: 1...60, using: &random),
                text: texts[Int.random(in: 0..<texts.count, using: &random)],
                offset: offset, milliseconds: Int64(number) * 10 + Int64.random(in: -30...30, using: &random))
        }
    }

    private static func run(_ window: inout NearDuplicateWindow, _ step: Step) -> Bool {
        if let text = step.text, text.isEmpty {
            window.leaveOut(id: Array(step.id.utf8), version: step.version, offset: step.offset)
            return false
        }
        if let text = step.text {
            return take(&window, step.id, text, step.offset, version: step.version, milliseconds: step.milliseconds)
        }
        window.remove(id: Array(step.id.utf8), version: step.version, offset: step.offset)
        return false
    }

    /// What the words of ``NearDuplicateWindow`` say, looked up one by one.
    private struct Model {
        struct Shown {
            let version: Int64
            let text: String
            let milliseconds: Int64
        }

        let limits: NearDuplicateWindow.Limits
        var block: Int64 = -1
        var shown: [String: Shown] = [:]
        var gone: [String: Int64] = [:]

        mutating func run(_ step: Step) -> Bool {
            if step.offset / limits.offsets != block {
                block = step.offset / limits.offsets
                (shown, gone) = ([:], [:])
            }
            guard let text = step.text, !text.isEmpty else {
                hide(step.id, upTo: step.text == nil ? step.version : step.version - 1)
                return false
            }
            if let gone = gone[step.id], step.version <= gone { return false }
            if let shown = shown[step.id], step.version < shown.version { return false }
            let isLeftOut = shown.contains { id, other in
                id != step.id && other.text == text && step.milliseconds - other.milliseconds <= limits.milliseconds
            }
            if isLeftOut {
                hide(step.id, upTo: step.version - 1)
            } else {
                shown[step.id] = Shown(version: step.version, text: text, milliseconds: step.milliseconds)
            }
            return isLeftOut
        }

        private mutating func hide(_ id: String, upTo version: Int64) {
            gone[id] = max(gone[id] ?? version, version)
            if let shown = shown[id], shown.version <= version { self.shown[id] = nil }
        }
    }

    @Test(arguments: LongTests.seeds(1...40))
    func theWindowIsWhatItsWordsSay(seed: UInt64) {
        let limits = NearDuplicateWindow.Limits(
            offsets: Int64(40 + seed * 7), milliseconds: Int64(seed * 90), distance: 0)
        var window = NearDuplicateWindow(limits)
        var model = Model(limits: limits)
        for step in Self.steps(seed) {
            #expect(Self.run(&window, step) == model.run(step), "offset \(step.offset), TEST_SEED=\(seed)")
        }
    }

    /// A start or a replay in the midst reads no further back than the window says.
    @Test(arguments: LongTests.seeds(1...40))
    func aStartInTheMidstFindsTheSame(seed: UInt64) {
        let limits = NearDuplicateWindow.Limits(offsets: 60, milliseconds: 700, distance: Int(seed % 4))
        let steps = Self.steps(seed)
        var whole = NearDuplicateWindow(limits)
        let expected = steps.map { Self.run(&whole, $0) }
        #expect(expected.contains(true))
        var random = SeededGenerator(seed: seed)
        for _ in 0..<10 {
            let cut = Int.random(in: 0..<steps.count, using: &random)
            var window = NearDuplicateWindow(limits)
            for step in steps[..<cut] where step.offset >= steps[cut].offset - limits.offsets {
                _ = Self.run(&window, step)
            }
            let found = steps[cut...].map { Self.run(&window, $0) }
            #expect(found == Array(expected[cut...]), "cut before \(steps[cut].offset), TEST_SEED=\(seed)")
        }
    }
}
