import Bytes
import PlatformTesting
import Records
import Retrieval
import Testing

@testable import Arms

/// A result that still holds is what a search would show, as far as new documents and those that it shows are concerned.
@Suite struct ResultProbeTests {
    private static let dimensions = 16
    private static let shownMax = 5

    /// An index of made-up documents, and what was put into it.
    private struct Scene {
        let index = ArmsIndex(dimensions: ResultProbeTests.dimensions)
        var random: SeededGenerator
        var next: Int64 = 0
        var words: [Int64: [Int32]] = [:]
        var version: Int64 = 0

        init(seed: UInt64, documents: Int) {
            random = SeededGenerator(seed: seed)
            index.change { editor in
                for word in Int32(0)..<40 { editor.add(word: "w\(word)", id: word) }
                editor.reach(version: 0)
            }
            for _ in 0..<documents { show() }
        }

        mutating func vector() -> [Float] {
            (0..<ResultProbeTests.dimensions).map { _ in Float.random(in: -1...1, using: &random) }
        }

        /// Shows a document of one or two passages, whose words are the more frequent the lower their number.
        mutating func show() {
            let id = next
            let count = Int64.random(in: 1...2, using: &random)
            next += count
            version += 1
            var postings: [Int32: [(passage: Int64, weight: Int32)]] = [:]
            var vectors: [[UInt16]] = []
            for passage in id..<id + count {
                vectors.append(vector().map(HalfFloat.bits))
                let length = Int.random(in: 2...12, using: &random)
                var frequencies: [Int32: Int32] = [:]
                for _ in 0..<length {
                    let bound = Int32.random(in: 1...40, using: &random)
                    frequencies[Int32.random(in: 0..<bound, using: &random), default: 0] += 1
                }
                for (word, frequency) in frequencies {
                    postings[word, default: []].append((passage, Int32(length) << 16 | frequency))
                    words[id, default: []].append(word)
                }
            }
            let language = Bool.random(using: &random) ? "de" : "en"
            index.change { editor in
                for (place, vector) in vectors.enumerated() { editor.add(vector: id + Int64(place), vector) }
                editor.show(
                    ArmsDocument(
                        id: id, collection: "edits", language: language, eventTimeMilliseconds: id,
                        attributes: AttributeList([:]), passages: (id..<id + count).map { ($0, $0) }))
                for (word, entries) in postings { editor.add(postings: entries, of: word) }
                editor.reach(version: version)
            }
        }

        mutating func hide() {
            guard let id = words.keys.sorted().randomElement(using: &random) else { return }
            version += 1
            let gone = words.removeValue(forKey: id) ?? []
            index.change { editor in
                editor.hide(document: id, words: gone)
                editor.reach(version: version)
            }
        }

        mutating func query() throws -> ArmsQuery {
            var query = ArmsQuery(
                filter: Bool.random(using: &random) ? .all : try Filter(must: [.equals(.lang, .string("de"))]))
            query.vector = vector()
            (query.vectorLimit, query.lexicalLimit) = (20, 20)
            query.words = (0..<2).map { _ in [("w\(Int32.random(in: 0..<40, using: &random))", 1)] }
            query.rowsMax = ResultProbeTests.shownMax
            if Bool.random(using: &random) { query.vectorLimit = 0 }
            return query
        }
    }

    private static func probe(_ query: ArmsQuery, of index: ArmsIndex) throws -> (ResultProbe, shown: Set<Int64>) {
        let found = index.search(query)
        let places = Array(found.places.prefix(shownMax))
        let shown = Set(places.map(\.passageID))
        let counts = try #require(index.countsAtOnce(of: query))
        #expect(counts.place == found.place)
        let probe = ResultProbe(
            query, found: found.places,
            shown: ResultProbe.Shown(passages: shown, places: places, isShort: places.count < shownMax),
            counts: counts, isPlain: true, isOpen: false)
        return (probe, shown)
    }

    @Test(arguments: LongTests.seeds(1...40)) func whatHoldsHidesNoNewDocument(seed: UInt64) throws {
        var scene = Scene(seed: seed, documents: 30 + Int(seed * 37 % 370))
        var (held, given) = (0, 0)
        for _ in 0..<20 {
            let query = try scene.query()
            var (probe, shown) = try Self.probe(query, of: scene.index)
            let newFrom = scene.next
            var place = scene.index.log.number
            for _ in 0..<15 {
                if Int.random(in: 0..<4, using: &scene.random) == 0 { scene.hide() } else { scene.show() }
                let changes = try #require(scene.index.log.changes(since: place))
                place += changes.count
                guard changes.allSatisfy({ probe.holds(after: $0) }) else {
                    given += 1
                    break
                }
                held += 1
                let now = scene.index.search(query).places.prefix(Self.shownMax).map(\.passageID)
                #expect(now.allSatisfy { $0 < newFrom }, "a new document is hidden; TEST_SEED=\(seed)")
                let all = Set(scene.words.keys)
                #expect(
                    shown.allSatisfy { all.contains($0) || all.contains($0 - 1) }, "one that is gone is shown")
            }
        }
        #expect(held > 20 && given > 0, "\(held) \(given)")
    }

    /// What comes behind it would move up.
    @Test func whatWasFoundBehindThePageHasToStay() throws {
        var scene = Scene(seed: 3, documents: 200)
        var query = try scene.query()
        (query.filter, query.vectorLimit) = (.all, 20)
        let found = scene.index.search(query).places.map(\.passageID)
        var (probe, _) = try Self.probe(query, of: scene.index)
        let behind = try #require(found.dropFirst(Self.shownMax).first)
        let other = try #require((0..<scene.next).first { !found.contains($0) })
        let (stays, goes) = (probe.holds(after: .hidden([other])), probe.holds(after: .hidden([behind])))
        #expect(stays && !goes)
    }

    @Test func whatIsForgottenIsNotTold() throws {
        let log = ChangeLog(bytesMax: 1_000)
        for id in Int64(0)..<100 { log.note([.hidden([id])]) }
        #expect(log.number == 100 && log.bytes <= 1_000)
        #expect(log.changes(since: 0) == nil && log.changes(since: 101) == nil)
        #expect(log.changes(since: 100)?.isEmpty == true)
        let last = try #require(log.changes(since: 99))
        guard case .hidden(let passages)? = last.first else { throw Missing() }
        #expect(last.count == 1 && passages == [99])
    }

    private struct Missing: Error {}

    /// Nothing is noted while an index is loaded, and each change afterwards, at version 0 too.
    @Test func changesAreNotedFromTheFirstVersionOn() throws {
        let index = ArmsIndex(dimensions: 0)
        func show(_ id: Int64, reaching version: Int64?) {
            index.change { editor in
                editor.show(
                    ArmsDocument(
                        id: id, collection: "edits", language: "en", eventTimeMilliseconds: id,
                        attributes: AttributeList([:]), passages: [(id, nil)]))
                if let version { editor.reach(version: version) }
            }
        }
        show(1, reaching: nil)
        #expect(index.log.number == 0)
        index.change { $0.reach(version: 0) }
        show(2, reaching: 1)
        #expect(index.log.number == 1)
        // Shown anew: hidden, and shown.
        show(2, reaching: 2)
        #expect(index.log.number == 3)
        index.change { $0.hide(gone: [7]) }
        #expect(index.log.number == 3)
        index.change { $0.hide(gone: [2]) }
        #expect(index.log.number == 4)
    }
}
