import Bytes
import IndexTesting
import PlatformTesting
import Postgres
import Records
import Retrieval
import Store
import Testing

/// What an index version showed is what reading as of it shows for good, as long as the history reaches back to it. `TEST_SEED`
/// replays another run.
@Suite(.timeLimit(.minutes(60))) struct HistoryPropertyTests {
    private static let limit = IndexFixture.limit
    private static let seeds = LongTests.seeds(1...(LongTests.areWanted ? 40 : 3))

    @Test(arguments: seeds) func everyIndexVersionShowsWhatItShowedThen(seed: UInt64) throws {
        var scene = try HistoryScene(seed: seed)
        let transactions = LongTests.areWanted ? 300 : 60
        for _ in 0..<transactions / 3 { try scene.write(generations: [1]) }
        try scene.makeChild()
        for _ in 0..<transactions / 3 { try scene.write(generations: [1, 2]) }
        try scene.promoteChild()
        for _ in 0..<transactions / 3 { try scene.write(generations: [1, 2]) }
        try scene.expectAll("seed \(seed)")

        // Nothing is read that may have gone, and what is left is whole.
        let versions = scene.versions
        for place in [versions.count / 3, versions.count - 1] {
            try scene.forget(before: versions[place])
            for version in versions[..<place].suffix(5) { try scene.expectGone(version) }
            try scene.expectAll("seed \(seed), history from \(versions[place])", from: versions[place])
        }
    }

    /// The cases by name, each in one transaction and in one for each step.
    @Test(arguments: [true, false]) func whatComesBackIsSeenWhereItWas(isOneTransaction: Bool) throws {
        func put(_ version: Int64, _ text: String) -> IndexStep {
            IndexStep(
                document: 1, operation: .put(text), version: version, source: StepScene.sources[0], offset: version)
        }
        func delete(_ version: Int64) -> IndexStep {
            IndexStep(document: 1, operation: .delete, version: version, source: StepScene.sources[0], offset: version)
        }
        func below(_ version: Int64) -> IndexStep {
            IndexStep(operation: .deleteBelow, version: version, source: StepScene.sources[0], offset: version)
        }
        let histories: [[IndexStep]] = [
            [put(1, "moss A"), put(2, "moss B"), put(3, "moss A")],
            [put(1, "moss A"), put(2, "moss B"), put(3, "moss A"), put(4, "moss B"), put(5, "moss A")],
            [put(1, "moss A"), delete(2), put(3, "moss A")],
            [put(1, "moss A"), delete(2), put(3, "moss B"), delete(4)],
            [put(1, "moss A"), below(2), put(3, "moss A"), below(4)], [put(2, "moss A"), put(1, "moss B"), delete(1)],
            [delete(2), put(2, "moss A"), put(3, "moss A"), put(3, "moss A")],
        ]
        var scene = try HistoryScene(seed: 1)
        for (number, history) in histories.enumerated() {
            let steps = history.map { step in
                var step = step
                step.document = 100 + number * 5 + 1
                step.source.topic = "topic-\(number)"
                return step
            }
            // A first transaction, so that what the second hides was seen before.
            try scene.write([steps[0]], generations: [1])
            for part in isOneTransaction ? [Array(steps.dropFirst())] : steps.dropFirst().map({ [$0] }) {
                try scene.write(part, generations: [1])
            }
            try scene.write(steps, generations: [1])
        }
        try scene.expectAll("\(isOneTransaction)")
    }
}

/// An index with what it showed at each of its versions.
struct HistoryScene {
    private static let documents = 40
    private static let limit = IndexFixture.limit
    private let rows: IndexRows
    private let upkeep: IndexUpkeep
    private let writer: IndexWriter
    private let store: SearchStore
    private let generations: GenerationStore
    private var generator: SeededGenerator
    private var models: [Int64: IndexModel] = [1: IndexModel()]
    private var offsets: [TopicPartition: Int64] = [:]
    /// What each generation showed, by the index version.
    private var seen: [Int64: [Int64: [String: IndexModel.Shown]]] = [:]

    init(seed: UInt64) throws {
        let fixture = try IndexFixture()
        rows = IndexRows(connection: try fixture.connect())
        upkeep = IndexUpkeep(configuration: fixture.configuration)
        writer = fixture.writer
        store = SearchStore(configuration: fixture.configuration, model: IndexStep.model)
        generations = fixture.generations
        generator = SeededGenerator(seed: seed)
    }

    /// All index versions that are remembered, oldest first.
    var versions: [Int64] { seen.keys.sorted() }

    /// Some random steps in one transaction, often several of one document.
    mutating func write(generations: [Int64]) throws {
        var steps: [IndexStep] = []
        let crowd = Int.random(in: 1...Self.documents, using: &generator)
        for _ in 0..<Int.random(in: 1...8, using: &generator) {
            let document = Int.random(in: 0..<crowd, using: &generator)
            let source = StepScene.sources[document % 3]
            let offset = offsets[source, default: 0]
            offsets[source] = offset + 1
            var step = IndexStep(
                document: document, operation: .put(StepScene.text(document, &generator)),
                // Mostly newer than what was before; never two contents of one version.
                version: offset * 4 - Int64.random(in: 0...3, using: &generator) * 13, source: source, offset: offset,
                isContentShared: !document.isMultiple(of: 7))
            switch Int.random(in: 0..<12, using: &generator) {
            case 0...2: step.operation = .delete
            case 3 where document == 0:
                step.operation = .deleteBelow
                step.version -= 40
            default: break
            }
            steps.append(step)
        }
        try write(steps, generations: generations)
    }

    /// One transaction, which is remembered.
    mutating func write(_ steps: [IndexStep], generations: [Int64]) throws {
        let result = try writer.write(
            steps.documents { _ in generations }, floors: steps.floors { _ in generations },
            timeoutMilliseconds: Self.limit)
        for generation in generations {
            for step in steps { models[generation, default: IndexModel()].apply(step) }
        }
        remember(result.indexVersion)
    }

    private mutating func remember(_ indexVersion: Int64) {
        seen[indexVersion] = models.mapValues(\.visible)
    }

    /// A second generation with all that the first shows; it is told the same from now on.
    mutating func makeChild() throws {
        let child = try generations.create(parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: Self.limit)
        #expect(child == 2)
        let moves = offsets.sorted { $0.key < $1.key }
            .map { CheckpointMove(generation: 1, source: $0.key, expected: nil, next: $0.value) }
        _ = try writer.write([], moving: moves, timeoutMilliseconds: Self.limit)
        _ = try generations.copyParentRows(
            child: child, parent: 1, outside: [], handover: offsets, timeoutMilliseconds: Self.limit)
        try generations.finish(generation: child, handover: offsets, timeoutMilliseconds: Self.limit)
        models[child] = models[1]
    }

    /// From now on the first is the previous one.
    mutating func promoteChild() throws {
        remember(try generations.promote(2, timeoutMilliseconds: Self.limit))
    }

    /// Makes an index version, and all before it, older than the history, and lets upkeep remove what ended before it, in small steps.
    func forget(before indexVersion: Int64) throws {
        try rows.connection.script(
            """
            UPDATE index_versions SET created_at = clock_timestamp() - interval '2 hours' + version * interval '1 millisecond'
            WHERE version <= \(indexVersion)
            """, timeoutMilliseconds: Self.limit)
        let retention = IndexRetention(historyHours: 1)
        while try upkeep.removeRetired(retention, rows: 7, timeoutMilliseconds: Self.limit) > 0 {}
        #expect(
            try rows.connection.script(
                "SELECT count(*) FROM visibility WHERE to_version <= \(indexVersion)", timeoutMilliseconds: Self.limit)
                == [["0"]])
    }

    /// Compares plain SQL and searches with what is remembered.
    func expectAll(_ what: String, from oldest: Int64 = 0) throws {
        for version in versions where version >= oldest {
            for (generation, wanted) in seen[version] ?? [:] {
                let found = try rows.visible(generation, at: version)
                let place: Comment = "generation \(generation) at \(version), \(what)"
                #expect(found.shown == wanted, place)
                #expect(found.doubled == [], place)
                for tenant in [TenantID.standard, IndexStep.acme] {
                    guard try isServed(generation) else { continue }
                    let hits = try search(generation, version, tenant)
                    let own = wanted.filter { $0.key.hasPrefix("\(tenant)/") }.mapValues(\.firstPassage)
                    #expect(hits == own, place)
                }
            }
        }
        for (generation, model) in models {
            #expect(try rows.visible(generation).shown == model.visible, "generation \(generation) now, \(what)")
        }
        #expect(try rows.faults() == [:], "\(what)")
    }

    func expectGone(_ version: Int64) throws {
        let error = #expect(throws: IndexVersionGone.self) { try search(1, version, .standard) }
        #expect(error?.version == version)
    }

    private func isServed(_ generation: Int64) throws -> Bool {
        let state = try generations.states(timeoutMilliseconds: Self.limit)[generation]
        return state == .active || state == .previous
    }

    /// What a search for the word of all texts finds.
    private func search(
        _ generation: Int64, _ version: Int64, _ tenant: TenantID
    ) throws -> [String: IndexModel.Shown] {
        let filter = try Filter(scope: Filter.Scope(tenant: tenant))
        var query = IndexFixture.query("moss", filter: filter)
        query.generation = generation
        query.indexVersion = version
        let found = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
        #expect(found.isGenerationServed)
        var hits: [String: IndexModel.Shown] = [:]
        for candidate in found.candidates {
            let key = DocumentKey(
                tenant: tenant, collection: IndexFixture.name(candidate.collection), docID: candidate.docID)
            // The first passage alone has the word.
            #expect(candidate.passage == 0)
            let old = hits.updateValue(
                IndexModel.Shown(version: candidate.version, text: candidate.text), forKey: "\(key)")
            #expect(old == nil, "\(key) is found once")
        }
        return hits
    }
}

extension IndexModel.Shown {
    fileprivate var firstPassage: Self {
        IndexModel.Shown(version: version, text: text.split(separator: "\n").first.map(String.init) ?? "")
    }
}
