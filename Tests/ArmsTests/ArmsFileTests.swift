import Bytes
import Files
import Glibc
import PlatformTesting
import Records
import Retrieval
import Synchronization
import Testing

@testable import Arms

/// What is written into a file is read back and searched alike; a file that is not what it should be is noticed.
@Suite struct ArmsFileTests {
    private static let words = [
        "river", "flood", "Zürich", "東京", "harbour", "granite", "comet", "snow", "ferry", "tail",
    ]
    private static let identity = ArmsIdentity(
        database: "7-5", tenant: "default", generation: 3, model: 2, modelName: "m", dimensions: 70, analyzer: 9)

    private static func vector(_ random: inout SeededGenerator) -> [Float] {
        (0..<identity.dimensions).map { _ in Float.random(in: -1...1, using: &random) }
    }

    /// Words of the passages of documents that are shown, as the index tells them when a document ends.
    private typealias Shown = [Int64: [Int32]]

    /// Shows, changes and hides documents.
    private static func change(
        _ index: ArmsIndex, _ shown: inout Shown, version: Int64, _ random: inout SeededGenerator
    ) {
        index.change { editor in
            for word in words.indices { editor.add(word: words[word], id: Int32(word)) }
            for _ in 0..<20 {
                editor.add(
                    vector: Int64.random(in: 0..<60, using: &random), vector(&random).map { HalfFloat.bits($0) })
            }
            for _ in 0..<40 {
                let id = Int64.random(in: 1...150, using: &random)
                editor.hide(document: id, words: shown.removeValue(forKey: id) ?? [])
                if Int.random(in: 0..<4, using: &random) > 0 { shown[id] = show(id, version, to: editor, &random) }
            }
            editor.reach(version: version, stamp: version * 1_000)
        }
    }

    private static func show(
        _ id: Int64, _ version: Int64, to editor: borrowing ArmsIndex.Editor, _ random: inout SeededGenerator
    ) -> [Int32] {
        let passages = (0..<Int.random(in: 1...3, using: &random)).map { place in
            (
                id: version * 10_000 + id * 10 + Int64(place),
                vector: Int.random(in: 0..<4, using: &random) == 0 ? nil : Int64.random(in: 0..<60, using: &random)
            )
        }
        let collection = id.isMultiple(of: 3) ? "edits" : "papers"
        let attributes = AttributeList([.user: .string("user \(id % 7)"), .isBot: .bool(id.isMultiple(of: 2))])
        editor.show(
            ArmsDocument(
                id: id, collection: collection, language: "de", eventTimeMilliseconds: id * 1_000,
                attributes: attributes,
                passages: passages))
        if Int.random(in: 0..<5, using: &random) > 0 {
            editor.keep(
                passages.indices.map { place in
                    Candidate(
                        docID: "doc-\(id)", version: version, passage: Int32(place), collection: collection,
                        title: "Title \(id)", url: "", text: "text \(version) \(place)",
                        eventTimeMilliseconds: id * 1_000,
                        language: "de", attributes: attributes, lineageJSON: Array("{}".utf8), vector: nil, lexical: nil
                    )
                }, of: id)
        }
        var found: [Int32] = []
        for word in words.indices where Int.random(in: 0..<3, using: &random) == 0 {
            found += passages.map { _ in Int32(word) }
            editor.add(
                postings: passages.map { ($0.id, 1 | Int32(Int.random(in: 4...9, using: &random)) << 16) },
                of: Int32(word))
        }
        return found
    }

    private static func filled(seed: UInt64, rounds: Int = 6) -> (index: ArmsIndex, shown: Shown) {
        var random = SeededGenerator(seed: seed)
        let index = ArmsIndex(dimensions: identity.dimensions)
        var shown = Shown()
        for version in 1...rounds { change(index, &shown, version: Int64(version), &random) }
        return (index, shown)
    }

    /// - Parameter areRowsCompared: not where documents were hidden while the file was written.
    private static func expectTheSame(
        _ one: ArmsIndex, _ other: ArmsIndex, seed: UInt64, areRowsCompared: Bool = true
    ) throws {
        var random = SeededGenerator(seed: seed &+ 1)
        let (a, b) = (one.size, other.size)
        #expect(
            a.version == b.version && a.documents == b.documents && a.passages == b.passages && a.vectors == b.vectors)
        #expect(!areRowsCompared || a.rows == b.rows)
        var found = 0
        for round in 0..<60 {
            let scope = Filter.Scope(tenant: .standard, collections: round.isMultiple(of: 4) ? ["edits"] : nil)
            var query = ArmsQuery(
                filter: try Filter(
                    scope: scope, time: Filter.TimeRange(from: round.isMultiple(of: 5) ? 50_000 : nil, to: nil),
                    must: round.isMultiple(of: 3) ? [.equals(.isBot, .bool(true))] : []))
            query.vector = vector(&random)
            (query.vectorLimit, query.lexicalLimit, query.rowsMax, query.isExact) = (20, 20, 5, true)
            query.words = (0..<2).map { _ in [(words[Int.random(in: 0..<words.count, using: &random)], 1.0)] }
            let (x, y) = (one.search(query), other.search(query))
            #expect(x.places == y.places && x.copies == y.copies && x.vectorCount == y.vectorCount, "seed \(seed)")
            #expect(!areRowsCompared || x.rows == y.rows, "seed \(seed)")
            found += x.places.count
        }
        #expect(found > 300)
        for prefix in ["", "h", "f", "Z"] {
            #expect(
                one.words(beginningWith: prefix, among: 500, limit: 33)
                    == other.words(beginningWith: prefix, among: 500, limit: 33))
        }
    }

    @Test(arguments: LongTests.seeds(1...3)) func whatIsReadIsSearchedAlike(seed: UInt64) throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.arms")
        let (index, shown) = Self.filled(seed: seed)
        let written = try #require(try index.write(to: path, as: Self.identity) { true })
        #expect(written.version == 6)
        let read = try ArmsIndex.read(path, as: Self.identity)
        #expect(read.stamp == 6_000)
        try Self.expectTheSame(index, read.index, seed: seed)
        // Both go on alike.
        for index in [index, read.index] {
            var random = SeededGenerator(seed: seed)
            var shown = shown
            for version in Int64(7)...9 { Self.change(index, &shown, version: version, &random) }
        }
        try Self.expectTheSame(index, read.index, seed: seed)
        #expect(try Folder.list(folder.path) == ["a.arms"])
    }

    /// What changes while the file is written is not in it.
    @Test(arguments: LongTests.seeds(1...3)) func aFileIsOfOneVersion(seed: UInt64) throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.arms")
        let made = Self.filled(seed: seed)
        let index = made.index
        var shown = made.shown
        let twin = Self.filled(seed: seed).index
        var random = SeededGenerator(seed: seed)
        var version: Int64 = 6
        let written = try index.write(to: path, as: Self.identity) {
            version += 1
            Self.change(index, &shown, version: version, &random)
            return true
        }
        #expect(version > 10 && written?.version == 6)
        try Self.expectTheSame(
            twin, try ArmsIndex.read(path, as: Self.identity).index, seed: seed, areRowsCompared: false)
        // What was given up leaves the file that was there.
        #expect(try index.write(to: path, as: Self.identity) { false } == nil)
        index.change { $0.reach(version: 99) }
        #expect(try index.write(to: path, as: Self.identity) { true } == nil, "not known when it came to be")
        #expect(!Folder.exists(path + ".tmp"))
        try Self.expectTheSame(
            twin, try ArmsIndex.read(path, as: Self.identity).index, seed: seed, areRowsCompared: false)
    }

    @Test func whatIsCutOrChangedIsNoticed() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.arms")
        let seed = LongTests.seed(1)
        var random = SeededGenerator(seed: seed)
        _ = try Self.filled(seed: seed).index.write(to: path, as: Self.identity) { true }
        let bytes = try File.contents(of: path)
        let lengths = Array(0..<40) + (0..<80).map { _ in Int.random(in: 0..<bytes.count, using: &random) }
        for length in lengths + [bytes.count - 1, bytes.count - 12] {
            try File.replace(path, with: Array(bytes.prefix(length)))
            #expect(throws: ArmsFileError.self, "\(length) bytes") { try ArmsIndex.read(path, as: Self.identity) }
        }
        try File.replace(path, with: bytes + [0])
        #expect(throws: ArmsFileError.self) { try ArmsIndex.read(path, as: Self.identity) }
        for _ in 0..<200 {
            var changed = bytes
            let place = Int.random(in: 0..<bytes.count, using: &random)
            changed[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            try File.replace(path, with: changed)
            #expect(throws: ArmsFileError.self, "byte \(place), seed \(seed)") {
                try ArmsIndex.read(path, as: Self.identity)
            }
        }
        try File.replace(path, with: bytes)
        _ = try ArmsIndex.read(path, as: Self.identity)
    }

    /// Pieces whose sums hold and that say nonsense harm nothing.
    @Test func hostilePiecesHarmNothing() throws {
        let folder = try TemporaryFolder()
        let (path, forged) = (folder.file("a.arms"), folder.file("b.arms"))
        let seed = LongTests.seed(1)
        var random = SeededGenerator(seed: seed)
        _ = try Self.filled(seed: seed).index.write(to: path, as: Self.identity) { true }
        for _ in 0..<300 {
            var reader = try PieceReader.opened(path)
            var writer = PieceWriter(try File(forged, .readWrite))
            try writer.begin()
            while let (kind, content) = try reader.next() {
                var bytes = content.rest
                for _ in 0..<Int.random(in: 0...2, using: &random) where !bytes.isEmpty && kind != .head {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                if Int.random(in: 0..<30, using: &random) == 0 { bytes.removeLast(min(bytes.count, 8)) }
                var piece = PieceBytes()
                piece.append(bytes)
                try writer.write(kind, piece)
            }
            _ = try writer.finish(as: folder.file("c.arms"))
            // It may be read where only texts or scores were changed; then it is searched.
            guard let read = try? ArmsIndex.read(folder.file("c.arms"), as: Self.identity) else { continue }
            var query = ArmsQuery(filter: .all)
            (query.vector, query.vectorLimit, query.lexicalLimit, query.rowsMax) = (Self.vector(&random), 20, 20, 20)
            query.words = Self.words.map { [($0, 1.0)] }
            _ = read.index.search(query)
            var shown = Shown()
            Self.change(read.index, &shown, version: 7, &random)
            _ = read.index.search(query)
        }
    }

    /// A small file whose sums hold gets no more room than it has bytes, whatever its head and its pieces name.
    @Test func smallFilesGetLittleRoom() throws {
        let folder = try TemporaryFolder()
        func read(slots: Int, vectors: Int, words: Int, _ pieces: [(PieceKind, [UInt32])]) throws {
            var head = PackedWriter()
            Self.identity.write(to: &head)
            ArmsFileHead(slots: slots, vectors: vectors, words: words, version: 1, stamp: 1, collections: ["a"])
                .write(to: &head)
            var piece = PieceBytes()
            piece.append(head.bytes)
            var writer = PieceWriter(try File(folder.file("a.tmp"), .readWrite))
            try writer.begin()
            try writer.write(.head, piece)
            for (kind, numbers) in pieces {
                var piece = PieceBytes()
                for number in numbers { piece.append(number) }
                try writer.write(kind, piece)
            }
            _ = try writer.finish(as: folder.file("a.arms"))
            _ = try ArmsIndex.read(folder.file("a.arms"), as: Self.identity)
        }
        func reason(_ slots: Int, _ vectors: Int, _ words: Int, _ pieces: [(PieceKind, [UInt32])] = []) -> String? {
            #expect(throws: ArmsFileError.self) { try read(slots: slots, vectors: vectors, words: words, pieces) }?
                .reason
        }
        let promises = "it is shorter than it says"
        #expect(reason(0xffff_fffe, 0, 0, [(.rows, [0xffff_fff0, 4, 0])]) == promises)
        #expect(reason(0, 0xffff_fffe, 0) == promises)
        #expect(reason(0, 0, 0xffff_fffe) == promises)
        let senseless = "a piece makes no sense"
        // Before there are passages, and out of their turn.
        #expect(reason(1, 0, 0, [(.rows, [0, 4, 0])]) == senseless)
        #expect(reason(1, 0, 0, [(.attributes, [0, 4, 0])]) == senseless)
        #expect(reason(0, 0, 0, [(.rows, []), (.vectors, [0])]) == senseless)
    }

    @Test func readingIsGivenUpWhereAsked() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.arms")
        let index = Self.filled(seed: 1).index
        _ = try index.write(to: path, as: Self.identity) { true }
        var bytes: [Int] = []
        let read = try ArmsIndex.read(path, as: Self.identity) {
            bytes.append($0)
            return true
        }
        #expect(read.index.version == index.version)
        // What it will take is known at once.
        #expect(bytes.count > 8 && bytes.allSatisfy { $0 >= index.size.bytes })
        for last in bytes.indices {
            var asked = 0
            #expect(throws: ArmsReadingGivenUp.self) {
                try ArmsIndex.read(path, as: Self.identity) { _ in
                    asked += 1
                    return asked <= last
                }
            }
            #expect(asked == last + 1)
        }
    }

    /// No sync has much to do, so none holds up a stop.
    @Test func largeFilesAreMadeDurableInParts() throws {
        let folder = try TemporaryFolder()
        let syncs = Syncs()
        var piece = PieceBytes()
        piece.append(repeatElement(7, count: PieceFile.pieceBytes))
        try FileWatch.$witness.withValue(syncs) {
            var writer = PieceWriter(try File(folder.file("a.tmp"), .readWrite))
            try writer.begin()
            for _ in 0..<17 { try writer.write(.rows, piece) }
            #expect(syncs.count.load(ordering: .relaxed) == 1)
            _ = try writer.finish(as: folder.file("a.arms"))
        }
        #expect(syncs.count.load(ordering: .relaxed) == 2)
    }

    private final class Syncs: FileWitness {
        let count = Atomic(0)

        func willMake(_ change: FileChange) throws(FileError) {
            if case .sync = change { count.add(1, ordering: .relaxed) }
        }
    }

    @Test func filesAreTheirOwnersAlone() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.arms")
        _ = try Self.filled(seed: 1).index.write(to: path, as: Self.identity) { true }
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    }

    @Test func othersFilesAreOfNoUse() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.arms")
        _ = try Self.filled(seed: 1).index.write(to: path, as: Self.identity) { true }
        let changes: [(inout ArmsIdentity) -> Void] = [
            { $0.database = "7-6" }, { $0.tenant = "acme" }, { $0.generation = 4 }, { $0.model = 1 },
            { $0.modelName = "n" }, { $0.dimensions = 71 }, { $0.analyzer = 8 },
        ]
        for change in changes {
            var wanted = Self.identity
            change(&wanted)
            #expect(throws: ArmsFileError.self, "\(wanted)") { try ArmsIndex.read(path, as: wanted) }
        }
        var bytes = try File.contents(of: path)
        bytes[8] += 1
        try File.replace(path, with: bytes)
        let error = #expect(throws: ArmsFileError.self) { try ArmsIndex.read(path, as: Self.identity) }
        #expect(error?.reason == "it is of format 3")
    }

    /// Whatever is the last thing done before a crash, the file is the one from before or the new one.
    @Test func aCrashLeavesTheOldOrTheNewFile() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.arms")
        let (old, new) = (Self.filled(seed: 1, rounds: 3).index, Self.filled(seed: 1, rounds: 6).index)
        var (olds, news) = (0, 0)
        for step in 0..<200 {
            _ = try old.write(to: path, as: Self.identity) { true }
            let crash = Crash(after: step)
            let isWritten = FileWatch.$witness.withValue(crash) {
                (try? new.write(to: path, as: Self.identity) { true }) != nil
            }
            let version = try ArmsIndex.read(path, as: Self.identity).index.version
            if version == 3 { olds += 1 } else { news += 1 }
            #expect(version == 3 || version == 6)
            if isWritten {
                #expect(version == 6)
                break
            }
            #expect(step < 199)
        }
        #expect(olds > 20 && news > 0)
    }

    /// After so many changes to files none is made any more.
    private final class Crash: FileWitness {
        private let left: Atomic<Int>

        init(after count: Int) { left = Atomic(count) }

        func willMake(_ change: FileChange) throws(FileError) {
            if left.wrappingSubtract(1, ordering: .relaxed).oldValue <= 0 { throw FileError("crash", "", code: EIO) }
        }
    }
}
