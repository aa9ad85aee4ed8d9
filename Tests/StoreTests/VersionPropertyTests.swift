import Bytes
import IndexTesting
import PlatformTesting
import Postgres
import Records
import Store
import Testing

/// Whatever is told in whatever order, as often as you like: a generation shows of each document the highest version that was not
/// deleted. `TEST_SEED` replays another run.
@Suite(.timeLimit(.minutes(60))) struct VersionPropertyTests {
    private static let documents = LongTests.areWanted ? 1_000 : 200
    private static let seeds = LongTests.seeds(1...(LongTests.areWanted ? 20 : 2))
    private static let smallSeeds = LongTests.seeds(1...(LongTests.areWanted ? 300 : 8))

    /// In order; shuffled, with repeats and retries; and a third generation that a replay makes meanwhile.
    @Test func theEndDoesNotDependOnTheOrder() throws {
        let index = try RunIndex()
        for seed in Self.seeds { try expectTheSameEnd(index, seed: seed, documents: Self.documents, shuffles: 2) }
    }

    /// Few documents with many steps each, so that steps of one document meet in a batch.
    @Test func theEndDoesNotDependOnTheOrderOfFew() throws {
        let index = try RunIndex()
        for seed in Self.smallSeeds { try expectTheSameEnd(index, seed: seed &* 1_000, documents: 12, shuffles: 2) }
    }

    private func expectTheSameEnd(_ index: RunIndex, seed: UInt64, documents: Int, shuffles: Int) throws {
        let scene = StepScene(seed: seed, documents: documents)
        let wanted = IndexModel(scene.steps).visible
        // Of few documents all may be shown.
        #expect(!wanted.isEmpty && (wanted.count < documents || documents < 50), "a history that shows something")
        for shuffle in 0...shuffles {
            var generator = SeededGenerator(seed: seed &* 31 &+ UInt64(shuffle))
            let scope = ReplayScope(of: scene, &generator)
            var run = try IndexRun(index, scope: scope, generator: generator)
            try run.play(scene.steps, isShuffled: shuffle > 0)
            for generation in run.generations {
                try run.expect(wanted, in: generation, "seed \(seed), order \(shuffle)")
            }
            #expect(try run.rows.faults() == [:], "seed \(seed), order \(shuffle)")
        }
    }

    /// The child's logic makes nothing of some records, and other texts of others: it shows what its own logic makes of the range
    /// and of all from the handover on, and else what the parent showed.
    @Test func aChildShowsWhatItsLogicMakes() throws {
        let index = try RunIndex()
        for seed in Self.smallSeeds { try expectWhatItsLogicMakes(index, seed: seed) }
    }

    private func expectWhatItsLogicMakes(_ index: RunIndex, seed: UInt64) throws {
        let documents = seed.isMultiple(of: 4) ? 60 : 8
        let scene = StepScene(seed: seed, documents: documents, byPosition: ())
        var generator = SeededGenerator(seed: seed &* 77)
        let scope = ReplayScope(of: scene, &generator)
        var logic = SeededGenerator(seed: seed &* 101)
        var made: [IndexStep: IndexStep?] = [:]
        for step in scene.steps {
            var other: IndexStep? = step
            switch (Int.random(in: 0..<5, using: &logic), step.operation) {
            case (0, _), (1, _): other = nil
            case (2, .put): other?.operation = .put(StepScene.text(step.document, &logic))
            default: break
            }
            made[step] = other
        }
        var run = try IndexRun(index, scope: scope, generator: generator)
        run.childLogic = { made[$0] ?? nil }
        run.floorsStandAlone = true
        try run.play(scene.steps, isShuffled: false)
        let wanted = IndexModel(scene.steps).visible
        let child = IndexModel(
            scene.steps.compactMap { scope.isReplayed($0) || scope.isFed($0) ? made[$0] ?? nil : $0 }
        ).visible
        try run.expect(wanted, in: 1, "seed \(seed)")
        try run.expect(wanted, in: 2, "seed \(seed)")
        try run.expect(child, in: 3, "seed \(seed), child")
        #expect(try run.rows.faults() == [:], "seed \(seed)")
    }
}

/// A database for one run after the other; one for each would take most of the time.
private struct RunIndex {
    let fixture: IndexFixture
    let rows: IndexRows

    init() throws {
        fixture = try IndexFixture()
        rows = IndexRows(connection: try fixture.connect())
    }

    /// As it was at first, but for the tables of tenants and models.
    func empty() throws {
        try rows.connection.script(
            """
            TRUNCATE documents, passages, words, passage_terms, postings, word_counts, collection_counts, uncounted_documents,
                visibility, deleted_documents, version_floors, collections,
                index_versions, index_checkpoints, live_progress, gold_positions, refused_documents;
            DELETE FROM generations WHERE generation > 1;
            UPDATE generations SET model_id = NULL;
            DO $$ BEGIN
                IF to_regclass('vectors_1') IS NOT NULL THEN TRUNCATE vectors_1; END IF;
            END $$
            """, timeoutMilliseconds: IndexFixture.limit)
    }
}

/// Plays steps into an index: generations 1 and 2 are fed all of them, and 3 is made by a replay meanwhile.
private struct IndexRun {
    private static let limit = IndexFixture.limit
    let generations: [Int64] = [1, 2, 3]
    let rows: IndexRows
    /// What the child's logic makes of a record.
    var childLogic: (IndexStep) -> IndexStep? = { $0 }
    /// Whether floors have transactions of their own: what a floor's own transaction brings below it is never shown, so that a
    /// child without the floor cannot take it over.
    var floorsStandAlone = false
    private let scope: ReplayScope
    private let writer: IndexWriter
    private let store: GenerationStore
    private var generator: SeededGenerator
    private var batch: [Event] = []
    private var batchMax = 1
    private var written: [[Event]] = []
    private var checkpoints: [TopicPartition: Int64] = [:]

    private enum Event {
        case live(IndexStep)
        case replay(IndexStep)
        case copy

        var isReplay: Bool { if case .replay = self { true } else { false } }

        var isFloor: Bool {
            switch self {
            case .live(let step), .replay(let step): step.operation == .deleteBelow
            case .copy: false
            }
        }
    }

    init(_ index: RunIndex, scope: ReplayScope, generator: SeededGenerator) throws {
        try index.empty()
        let fixture = index.fixture
        self.scope = scope
        self.generator = generator
        rows = index.rows
        writer = fixture.writer
        store = fixture.generations
        for generation in 2...3 as ClosedRange<Int64> {
            let made = try store.create(parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: Self.limit)
            #expect(made == generation)
        }
        try store.finish(generation: 2, handover: [:], timeoutMilliseconds: Self.limit)
    }

    func expect(_ wanted: [String: IndexModel.Shown], in generation: Int64, _ what: String) throws {
        let found = try rows.visible(generation)
        #expect(found.doubled == [], "generation \(generation), \(what)")
        let keys = Set(wanted.keys).union(found.shown.keys).filter { wanted[$0] != found.shown[$0] }.sorted()
        let differences = keys.prefix(5).map { key in
            "\(key): \(String(describing: found.shown[key])), not \(String(describing: wanted[key]))"
        }
        #expect(differences == [], "\(keys.count) documents of generation \(generation), \(what)")
    }

    /// - Parameter isShuffled: whether records come in any order, some twice, and whole batches again.
    mutating func play(_ steps: [IndexStep], isShuffled: Bool) throws {
        for event in events(of: steps, isShuffled: isShuffled) {
            if case .copy = event {
                try flush(repeats: isShuffled)
                try copy()
                continue
            }
            let isCut = floorsStandAlone && (event.isFloor || batch.last?.isFloor == true)
            if let last = batch.last, isCut || last.isReplay != event.isReplay || batch.count >= batchMax {
                try flush(repeats: isShuffled)
            }
            if batch.isEmpty { batchMax = Int.random(in: 1...60, using: &generator) }
            batch.append(event)
        }
        try flush(repeats: isShuffled)
        // A replay that failed is finished by its repeat.
        try copy()
        try store.finish(generation: 3, handover: scope.handover, timeoutMilliseconds: Self.limit)
    }

    /// All records, those of the range for the child besides, and the copy at some moment after the parent has all that lies
    /// below the handover.
    private mutating func events(of steps: [IndexStep], isShuffled: Bool) -> [Event] {
        var below = steps.filter { !scope.isFed($0) }
        var above = steps.filter { scope.isFed($0) }
        if isShuffled {
            let early = Set(above.filter { _ in Int.random(in: 0..<3, using: &generator) == 0 })
            below += above.filter { early.contains($0) }
            above.removeAll { early.contains($0) }
            below += below.filter { _ in Int.random(in: 0..<10, using: &generator) == 0 }
            above += (below + above).filter { _ in Int.random(in: 0..<10, using: &generator) == 0 }
            below.shuffle(using: &generator)
            above.shuffle(using: &generator)
        }
        var live = (below + above).map { Event.live($0) }
        live.insert(.copy, at: Int.random(in: below.count...live.count, using: &generator))
        var replayed = steps.filter { scope.isReplayed($0) }
        if isShuffled { replayed.shuffle(using: &generator) }
        return interleaved(live, replayed.map { Event.replay($0) })
    }

    /// Both lists in their order, in turns of random lengths.
    private mutating func interleaved(_ left: [Event], _ right: [Event]) -> [Event] {
        var lists = [left[...], right[...]]
        var all: [Event] = []
        while !lists.allSatisfy(\.isEmpty) {
            for place in lists.indices {
                let turn = lists[place].prefix(Int.random(in: 0...80, using: &generator))
                all += turn
                lists[place].removeFirst(turn.count)
            }
        }
        return all
    }

    private mutating func flush(repeats: Bool) throws {
        guard !batch.isEmpty else { return }
        let events = batch
        batch = []
        try write(events)
        guard repeats else { return }
        // A batch whose reply was lost is written again, also late.
        if Int.random(in: 0..<10, using: &generator) == 0 { try write(events) }
        if Int.random(in: 0..<10, using: &generator) == 0, let old = written.randomElement(using: &generator) {
            try write(old)
        }
        written.append(events)
    }

    private func write(_ events: [Event]) throws {
        var documents: [IndexedDocument] = []
        var floors: [VersionFloor] = []
        let steps = events.compactMap { event -> IndexStep? in
            switch event {
            case .live(let step), .replay(let step): step
            case .copy: nil
            }
        }
        if events.first?.isReplay == true {
            let made = steps.compactMap { childLogic($0) }
            documents = made.documents { _ in [3] }
            floors = made.floors { _ in [3] }
        } else {
            let made = steps.filter { scope.isFed($0) }.compactMap { childLogic($0) }
            // The stream job writes all fed generations in one commit, one behind the other.
            documents = steps.documents { _ in [1, 2] } + made.documents { _ in [3] }
            floors = steps.floors { _ in [1, 2] } + made.floors { _ in [3] }
        }
        _ = try writer.write(
            documents, floors: floors, origin: events.first?.isReplay == true ? .replay : .live,
            timeoutMilliseconds: Self.limit)
    }

    private mutating func copy() throws {
        let moves = scope.handover.sorted { $0.key < $1.key }.filter { checkpoints[$0.key] == nil }
            .map { CheckpointMove(generation: 1, source: $0.key, expected: nil, next: $0.value) }
        if !moves.isEmpty { _ = try writer.write([], moving: moves, timeoutMilliseconds: Self.limit) }
        checkpoints = scope.handover
        _ = try store.copyParentRows(
            child: 3, parent: 1, outside: scope.ranges, handover: scope.handover, timeoutMilliseconds: Self.limit)
    }
}
