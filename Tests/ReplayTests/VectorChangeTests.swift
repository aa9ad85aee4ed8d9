import Bytes
import Embeddings
import Files
import IndexTesting
import Indexer
import Lake
import PlatformTesting
import Postgres
import Records
import Retrieval
import Store
import Synchronization
import Telemetry
import Testing

@testable import Replay

/// A generation of other vectors: what it shows is its parent's, only the vectors are new.
@Suite struct VectorChangeTests {
    private static let products = TopicPartition(topic: "products", partition: 0)
    private static let count = 300
    private static let former = VectorModel(base: "m", dimensions: 384, maker: .local(.float))
    private static let new = VectorModel(base: "m", dimensions: 256, maker: .local(.int8))

    /// An index that is cut at a call, before or behind what it does.
    private final class Cut: ReplayIndex {
        private let inner: DocumentIndexer
        private let left: Mutex<Int>
        private let isBehind: Bool

        init(_ inner: DocumentIndexer, at call: Int = 0, isBehind: Bool = false) {
            self.inner = inner
            left = Mutex(call)
            self.isBehind = isBehind
        }

        func index(
            lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
        ) async throws -> Int {
            try await inner.index(lines: lines, generation: generation, source: source)
        }

        func share(
            lines: [(offset: Int64, line: [UInt8])], generation: Int64, parent: Int64, source: TopicPartition
        ) async throws -> Set<Int64> {
            try await inner.share(lines: lines, generation: generation, parent: parent, source: source)
        }

        func changeVectors(of generation: Int64, after key: Int64, most: Int) async throws -> VectorStep {
            let isCut = left.withLock { left in
                left -= 1
                return left == 0
            }
            if isCut, !isBehind { throw CancellationError() }
            let step = try await inner.changeVectors(of: generation, after: key, most: most)
            if isCut { throw CancellationError() }
            return step
        }

        func formerVectors(of generation: Int64) async throws -> Int64 {
            try await inner.formerVectors(of: generation)
        }
    }

    private struct Scene {
        let place: Place
        let database: PostgresConfiguration
        let old = ModelEmbedder(former)
        private(set) var fresh = ModelEmbedder(new)
        let logger = Logger("replay", level: .error)
        var documents: DocumentIndexer {
            DocumentIndexer(configuration: database, embedders: ModelEmbedders([old, fresh]))
        }
        var kind: VectorKind { VectorKind(model: new.name, dimensions: new.dimensions) }

        /// - Parameter isRefusing: whether the new model refuses the text of `d3`.
        init(isRefusing: Bool = false) async throws {
            database = try Place.database()
            place = try Place(database)
            let values = (0..<count).map { number in
                Array(
                    #"{"id":"d\#(number % 250)","name":"Name \#(number % 90)","text":"granite harbour \#(number % 40)"}"#
                        .utf8)
            }
            try SourceReplayTests.fill(
                place.layout, products, try SourceReplayTests.documentLogic(title: "name"), values)
            let range = OffsetRange(start: 0, end: Int64(count)) ?? .empty(at: 0)
            var lines: [(offset: Int64, line: [UInt8])] = []
            try place.reader.forEachLine(.gold, generation: 1, source: products, range: range) { offset, line in
                lines.append((offset, Array(line)))
                return true
            }
            _ = try await documents.index(lines: lines, generation: 1, source: products)
            try place.connection.script(
                """
                INSERT INTO index_checkpoints (generation, topic, partition, next_offset, updated_at)
                VALUES (1, 'products', 0, \(count), now())
                """, timeoutMilliseconds: Place.limit)
            if isRefusing {
                let texts = try shown(1).filter { $0[0] == "d3" }.compactMap { $0[6] }
                fresh = ModelEmbedder(new, refused: Set(texts))
            }
        }

        /// The texts that a generation shows, each once.
        func texts(_ generation: Int64) throws -> Set<String> { Set(try shown(generation).compactMap { $0[6] }) }

        func replay(_ index: Cut, _ monitor: ReplayMonitor = ReplayMonitor(chunkRecordsMax: 23)) -> Replay {
            Replay(
                layout: place.layout, logics: [:], database: database, index: index, vectors: kind, monitor: monitor,
                logger: logger)
        }

        /// All that a generation shows but for the vectors.
        func shown(_ generation: Int64) throws -> [[String?]] {
            try place.connection.script(
                """
                SELECT d.doc_id, g.version, g.from_version, g.source_offset, g.lineage, p.number, p.text, p.passage_hash,
                    t.words, t.weights, d.title, d.attributes
                FROM visibility g JOIN documents d ON d.id = g.document_id JOIN passages p ON p.document_id = d.id
                LEFT JOIN passage_terms t ON t.passage_id = p.id
                WHERE g.generation = \(generation) AND g.to_version IS NULL ORDER BY 1, 6
                """, timeoutMilliseconds: Place.limit)
        }

        func search(_ text: String, _ embedder: ModelEmbedder?, words: Bool = false) throws -> CandidateSet {
            var query = IndexFixture.query(
                words ? text : "", vector: embedder?.vector(of: text), vectorLimit: embedder == nil ? 0 : 50,
                lexicalLimit: words ? 50 : 0)
            query.vectorModel = embedder?.modelName
            return try SearchStore(configuration: database).candidates(for: query, timeoutMilliseconds: Place.limit)
        }

        /// Vectors in the tables of a model, and bytes of these.
        func kept(_ model: VectorModel) throws -> (vectors: Int64, bytes: Int64) {
            let number = try place.connection.script(
                "SELECT id FROM models WHERE name = '\(model.name)'", timeoutMilliseconds: Place.limit)
            guard let id = number.first?[0] else { return (0, 0) }
            let rows = try place.connection.script(
                "SELECT count(*), sum(pg_relation_size(tableoid)) FROM vectors_\(id)", timeoutMilliseconds: Place.limit)
            return (Int64(rows[0][0] ?? "") ?? 0, Int64(rows[0][1] ?? "0") ?? 0)
        }
    }

    @Test func onlyTheVectorsAreNew() async throws {
        let scene = try await Scene()
        let parent = try scene.shown(1)
        let texts = try scene.texts(1)
        let trial = try await Replay.dryRun(
            layout: scene.place.layout, logics: [:], scope: .all,
            needs: DocumentIndexer(configuration: scene.database, embedder: scene.fresh), model: Self.new.name)
        #expect(texts.count > 30 && trial.embeddingsNeeded == texts.count)
        #expect(trial.model == Self.new.name && trial.ranges.isEmpty)
        #expect(scene.fresh.embedded.isEmpty)
        let files = try Folder.list(scene.place.layout.root + "/gold")

        let monitor = ReplayMonitor(chunkRecordsMax: 23)
        let report = try await scene.replay(Cut(scene.documents), monitor).run(.all)
        #expect(report.generation == 2 && report.embedded == texts.count && report.inherited == 250)
        #expect(Set(scene.fresh.embedded) == texts && scene.fresh.embedded.count == texts.count)
        #expect(monitor.progress.figures.done == 250 && monitor.progress.figures.wanted == 250)
        let kept = try ReplayStore(configuration: scene.database).read(2, timeoutMilliseconds: Place.limit)
        #expect(kept?.model == Self.new.name && kept?.state == .done && kept?.topics == [])
        // Neither lines nor what is shown of them, nor from when on.
        #expect(try Folder.list(scene.place.layout.root + "/gold") == files)
        #expect(try scene.shown(2) == parent && parent.count == 250)
        #expect(try scene.shown(1) == parent)
        #expect(try scene.kept(Self.new).vectors == Int64(texts.count))

        // A search by a model that is not the served generation's is refused, and told which one is.
        let generations = GenerationStore(configuration: scene.database)
        for (generation, served, other) in [
            (Int64(1), scene.old, scene.fresh), (2, scene.fresh, scene.old), (1, scene.old, scene.fresh),
        ] {
            if try scene.place.served() != generation {
                try generations.promote(generation, timeoutMilliseconds: Place.limit)
            }
            let text = try #require(texts.sorted().first)
            let found = try scene.search(text, served)
            #expect(found.generation == generation)
            #expect(found.candidates.first?.vector.map { abs($0.score - 1) < 0.001 } == true)
            #expect(found.candidates.first?.text == text)
            let error = #expect(throws: ModelMismatch.self) { try scene.search(text, other) }
            #expect(error?.model == served.modelName && error?.generation == generation)
            #expect(try !scene.search("granite", nil, words: true).candidates.isEmpty)
        }
        #expect(
            try generations.list(timeoutMilliseconds: Place.limit).map(\.model) == [Self.former.name, Self.new.name])
    }

    /// `TEST_SEED` replays another run.
    @Test(arguments: LongTests.seeds(1...1)) func nothingIsEmbeddedTwice(seed: UInt64) async throws {
        let scene = try await Scene()
        let texts = try scene.texts(1)
        var random = SeededGenerator(seed: seed)
        var cuts = 0
        var report: ReplayReport?
        while report == nil {
            let index = Cut(
                scene.documents, at: cuts < 20 ? Int.random(in: 1...3, using: &random) : 0,
                isBehind: Bool.random(using: &random))
            do {
                let monitor = ReplayMonitor(chunkRecordsMax: 11)
                report =
                    cuts == 0
                    ? try await scene.replay(index, monitor).run(.all)
                    : try await Replay.resume(
                        2, layout: scene.place.layout, database: scene.database, index: index, monitor: monitor,
                        logger: scene.logger)
            } catch is CancellationError {
                cuts += 1
                #expect(try scene.place.log.read().last?.state == .created)
            }
        }
        #expect(cuts >= 10, "it was cut \(cuts) times")
        #expect(Set(scene.fresh.embedded) == texts && scene.fresh.embedded.count == texts.count, "no text twice")
        #expect(try scene.shown(2) == scene.shown(1))
        #expect(try scene.place.log.read().last?.state == .candidate)
    }

    /// What comes while both generations are fed gets vectors of both; what is deleted or suppressed meanwhile stays so.
    @Test func whatComesMeanwhileHasVectorsOfBoth() async throws {
        let scene = try await Scene(isRefusing: true)
        let (documents, generations) = (scene.documents, GenerationStore(configuration: scene.database))
        let child = try generations.create(
            parent: 1, logicVersion: "x", note: "", vectors: scene.kind, timeoutMilliseconds: Place.limit)
        _ = try generations.copyParentRows(
            child: child, parent: 1, outside: [], handover: [Self.products: Int64(Self.count)], isOfOtherModel: true,
            timeoutMilliseconds: Place.limit)
        let first = try await documents.changeVectors(of: child, after: .min, most: 100)
        #expect(first.documents == 100)

        func pending(_ id: String, _ offset: Int64, _ generation: Int64, deletes: Bool = false) -> PendingDocument {
            var document = IndexFixture.document(Int(offset), text: "marble quarry", embedding: nil).document
            (document.docID, document.version) = (id, offset)
            document.collection = IndexFixture.name("shop")
            if deletes { document.operation = .delete }
            return PendingDocument(
                generation: generation, source: Self.products, sourceOffset: offset, document: document, line: [])
        }
        // In one batch, as an indexer takes them from the topic. Deleted are one before and one behind the place up to which vectors were
        // changed.
        var live: [PendingDocument] = []
        for (place, gone) in ["d1", "d249"].enumerated() {
            let offset = Int64(Self.count + place)
            for generation in [1, child] {
                live.append(pending("live\(place)", offset, generation))
                live.append(pending(gone, offset + 2, generation, deletes: true))
            }
        }
        let before = (scene.old.embedded.count, scene.fresh.embedded.count)
        let prepared = try await documents.prepare(live)
        #expect(prepared.embedded == 2)
        #expect(scene.old.embedded.count == before.0 + 1 && scene.fresh.embedded.count == before.1 + 1)
        _ = try await documents.write(prepared, moving: [], goldPositions: [], origin: .live)
        let suppression = Suppression(
            id: "s-1", tenant: .standard, target: .document(collection: "shop", docID: "d240"), reason: "a test",
            by: "ann", atMilliseconds: 1_700_000_000_000)
        _ = try SuppressionStore(configuration: scene.database).apply(
            .suppress(suppression), timeoutMilliseconds: Place.limit)

        var key = first.lastKey ?? .min
        while let last = try await documents.changeVectors(of: child, after: key, most: 100).lastKey { key = last }
        // A text that the new embedder refuses is found by its words alone; all else has vectors of the one model.
        let models = try scene.place.connection.script(
            """
            SELECT coalesce(m.name, 'none'), count(*), count(p.vector_id), count(*) FILTER (WHERE p.vector_id IS NULL)
            FROM visibility g JOIN documents d ON d.id = g.document_id JOIN passages p ON p.document_id = d.id
            LEFT JOIN models m ON m.id = d.model_id
            WHERE g.generation = \(child) AND g.to_version IS NULL GROUP BY 1 ORDER BY 1
            """, timeoutMilliseconds: Place.limit)
        #expect(models.map { $0[0] } == [Self.new.name, "none"], "\(models)")
        #expect(models.map { $0[2] == $0[1] } == [true, false] && models.last?[2] == "0", "\(models)")
        let shown = try scene.shown(child).compactMap { $0[0] }
        #expect(shown.count == 250 - 2 + 2 && !shown.contains("d1") && !shown.contains("d249"))
        #expect(shown.contains("live0") && shown.contains("live1"))
        let hidden = try scene.place.connection.script(
            """
            SELECT d.doc_id FROM visibility g JOIN documents d ON d.id = g.document_id
            WHERE g.generation = \(child) AND g.to_version IS NULL AND g.suppression IS NOT NULL
            """, timeoutMilliseconds: Place.limit)
        #expect(hidden.map { $0[0] } == ["d240"])
        // Not again where all is done.
        #expect(try await documents.changeVectors(of: child, after: .min, most: 100).embedded == 0)
    }

    /// Nothing more is written to one that is given up meanwhile.
    @Test func whatIsGivenUpIsLeftAlone() async throws {
        let scene = try await Scene()
        let (documents, generations) = (scene.documents, GenerationStore(configuration: scene.database))
        let other = try generations.create(
            parent: 1, logicVersion: "y", note: "", vectors: scene.kind, timeoutMilliseconds: Place.limit)
        _ = try generations.copyParentRows(
            child: other, parent: 1, outside: [], handover: [Self.products: Int64(Self.count)], isOfOtherModel: true,
            timeoutMilliseconds: Place.limit)
        let begun = try await documents.changeVectors(of: other, after: .min, most: 10)
        try generations.setState(.pruned, of: other, expecting: [.created], timeoutMilliseconds: Place.limit)
        let over = await #expect(throws: IndexError.self) {
            try await documents.changeVectors(of: other, after: begun.lastKey ?? .min, most: 10)
        }
        #expect(over?.kind == .generation)
    }

    /// Pruning either generation gives its vectors' room back, with their graph; the other one's are as before.
    @Test func pruningFreesTheVectors() async throws {
        let scene = try await Scene()
        _ = try await scene.replay(Cut(scene.documents)).run(.all)
        let upkeep = IndexUpkeep(configuration: scene.database)
        let texts = try scene.texts(1)
        let again = await #expect(throws: ReplayError.self) {
            try scene.place.steps().promote(2)
            _ = try await scene.replay(Cut(scene.documents)).run(.all)
        }
        #expect(again?.description.contains("are of model \(Self.new.name) already") == true)
        let parent = try scene.shown(2)
        #expect(try upkeep.emptyVectors(timeoutMilliseconds: Place.limit) == [])
        try scene.place.steps().prune(1)
        // Contents are there yet.
        #expect(try upkeep.emptyVectors(timeoutMilliseconds: Place.limit) == [])
        while try upkeep.removeRetired(IndexRetention(), timeoutMilliseconds: Place.limit) > 0 {}
        #expect(try scene.kept(Self.former).vectors == 0)
        #expect(try upkeep.emptyVectors(timeoutMilliseconds: Place.limit) == [Self.former.name])
        #expect(try upkeep.emptyVectors(timeoutMilliseconds: Place.limit) == [])
        #expect(try scene.kept(Self.former).bytes == 0)
        #expect(try scene.shown(2) == parent && scene.kept(Self.new).vectors == Int64(texts.count))
        #expect(try scene.search("granite", scene.fresh).candidates.count > 0)

        // And back again: a generation of the former model is made as the first one was.
        let back = Replay(
            layout: scene.place.layout, logics: [:], database: scene.database, index: Cut(scene.documents),
            vectors: VectorKind(model: Self.former.name, dimensions: 384), logger: scene.logger)
        #expect(try await back.run(.all).embedded == texts.count)
        #expect(try scene.kept(Self.former).vectors == Int64(texts.count))
        for model in [Int32(1), 2] {
            #expect(try AuditStore(configuration: scene.database).orphans(model: model).sum == 0)
        }
    }
}
