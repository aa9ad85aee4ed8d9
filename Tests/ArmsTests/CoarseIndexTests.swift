import Bytes
import Files
import PlatformTesting
import Records
import Retrieval
import Testing

@testable import Arms

/// Lists are learnt beside searches and changes, and kept in the arms' file.
@Suite struct CoarseIndexTests {
    private static let settings = CoarseListsTests.settings
    private static let identity = ArmsIdentity(
        database: "7-5", tenant: "default", generation: 3, model: 2, modelName: "m",
        dimensions: CoarseListsTests.dimensions, analyzer: 9)

    private static func index() -> ArmsIndex {
        ArmsIndex(
            ArmsState(dimensions: CoarseListsTests.dimensions, coarse: settings, effort: CoarseListsTests.effort))
    }

    /// Shows documents of one passage each, with vectors of their own.
    private static func show(
        _ ids: Range<Int64>, in index: ArmsIndex, _ themes: inout CoarseListsTests.Themes, version: Int64
    ) {
        var vectors: [[UInt16]] = []
        for _ in ids { vectors.append(themes.next().map(HalfFloat.bits)) }
        index.change { editor in
            for (id, vector) in zip(ids, vectors) {
                editor.add(vector: id, vector)
                editor.show(
                    ArmsDocument(
                        id: id, collection: "edits", language: id.isMultiple(of: 3) ? "de" : "en",
                        eventTimeMilliseconds: id, attributes: AttributeList([:]), passages: [(id, id)]))
            }
            editor.reach(version: version, stamp: version)
        }
    }

    private static func query(_ vector: [Float], _ filter: Filter = .all, isExact: Bool = false) -> ArmsQuery {
        var query = ArmsQuery(filter: filter)
        (query.vector, query.vectorLimit, query.isExact) = (vector, 10, isExact)
        return query
    }

    /// Of the ten nearest, how many a search through lists finds, without a filter and with one that leaves a third. Where others
    /// change the index meanwhile, both searches are of one version.
    private static func recall(of index: ArmsIndex, _ themes: inout CoarseListsTests.Themes) throws -> Double {
        var (found, wanted) = (0, 0)
        for filter in [Filter.all, try Filter(must: [.equals(.lang, .string("de"))])] {
            for _ in 0..<15 {
                let vector = themes.next()
                var (exact, near) = (
                    index.search(query(vector, filter, isExact: true)), index.search(query(vector, filter))
                )
                while exact.version != near.version {
                    exact = index.search(query(vector, filter, isExact: true))
                    near = index.search(query(vector, filter))
                }
                #expect(index.lists != nil && exact.isVectorExact && !near.isVectorExact)
                #expect(near.places.count == exact.places.count)
                // Of equal ones each is as good as another.
                let least = exact.places.compactMap(\.vector?.score).min() ?? 0
                wanted += exact.places.count
                found += near.places.count { $0.vector?.score ?? -2 >= least }
            }
        }
        return Double(found) / Double(max(1, wanted))
    }

    /// While it is learnt, others add, hide and search; nothing of it is lost.
    @Test(.timeLimit(.minutes(2))) func itGrowsWhileItIsSearchedAndLearnt() async throws {
        let index = Self.index()
        var themes = CoarseListsTests.Themes(seed: 1)
        Self.show(0..<2_500, in: index, &themes, version: 0)
        #expect(index.lists == nil, "not while it is loaded")
        index.learn()
        let queries = themes
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for _ in 0..<2 { index.learn() }
            }
            group.addTask {
                var themes = queries
                for step in Int64(0)..<20 {
                    Self.show((2_500 + step * 40)..<(2_540 + step * 40), in: index, &themes, version: step + 1)
                    index.change { editor in for id in (step * 30)..<(step * 30 + 15) { editor.hide(document: id) } }
                }
            }
            group.addTask {
                var themes = queries
                for _ in 0..<1_000 { _ = themes.next() }
                for _ in 0..<3 {
                    let recall = try Self.recall(of: index, &themes)
                    #expect(recall >= 0.97, "while others write")
                }
            }
            try await group.waitForAll()
        }
        for _ in 0..<2_000 { _ = themes.next() }
        #expect(try Self.recall(of: index, &themes) >= 0.97, "lists that were learnt while others wrote")
        index.learn()
        let size = index.size
        #expect(index.lists != nil && size.passages == 2_500 + 20 * 40 - 20 * 15)
        #expect(index.state.vectors.coarse?.held.words == index.state.vectors.used.words)
        #expect(try Self.recall(of: index, &themes) >= 0.97)
        #expect(size.vectorBytes > size.vectors * (2 * CoarseListsTests.dimensions + 2 * 16 + 8))
    }

    /// Nobody needs to ask for it.
    @Test(.timeLimit(.minutes(2))) func itIsLearntWhenItIsDue() async throws {
        let index = Self.index()
        var themes = CoarseListsTests.Themes(seed: 4)
        Self.show(0..<1_900, in: index, &themes, version: 1)
        #expect(index.lists == nil)
        Self.show(1_900..<2_100, in: index, &themes, version: 2)
        while index.lists == nil { try await Task.sleep(for: .milliseconds(10)) }
        #expect(try Self.recall(of: index, &themes) >= 0.97)
    }

    @Test func learningIsGivenUpWhereAsked() {
        let index = Self.index()
        var themes = CoarseListsTests.Themes(seed: 4)
        Self.show(0..<2_500, in: index, &themes, version: 0)
        for steps in [0, 1, 4, 9, 30] {
            var asked = 0
            index.learn {
                asked += 1
                return asked <= steps
            }
            #expect(index.lists == nil && (asked == steps + 1 || asked == steps + 2))
        }
    }

    // MARK: The file

    static func read(_ path: String) throws -> ArmsIndex {
        try ArmsIndex.read(path, as: identity, coarse: settings, effort: CoarseListsTests.effort).index
    }

    /// A file of 2,400 documents of which some are hidden; what it was made of.
    static func written(to path: String) throws -> ArmsIndex {
        let index = index()
        var themes = CoarseListsTests.Themes(seed: 6)
        show(0..<2_500, in: index, &themes, version: 0)
        index.learn()
        index.change { editor in
            for id in Int64(100)..<200 { editor.hide(document: id) }
            editor.reach(version: 1, stamp: 1)
        }
        _ = try #require(try index.write(to: path, as: identity) { true })
        return index
    }

    /// Copies a file's pieces, changed or left out; those of the lists as a damage leaves them where asked.
    static func copy(
        _ path: String, to copy: String, _ change: (PieceKind, [UInt8]) -> [UInt8]?
    ) throws {
        var reader = try PieceReader.opened(path)
        var writer = PieceWriter(try File(copy + ".tmp", .readWrite))
        try writer.begin()
        while let (kind, content) = try reader.next() {
            guard let bytes = change(kind, content.rest) else { continue }
            var piece = PieceBytes()
            piece.append(bytes)
            try writer.write(kind, piece)
        }
        _ = try writer.finish(as: copy)
    }

    @Test func aFileKeepsTheLists() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.arms")
        let index = try Self.written(to: path)
        let read = try Self.read(path)
        let (one, other) = (try #require(index.state.vectors.coarse), try #require(read.state.vectors.coarse))
        #expect(one.centres == other.centres && one.reach == other.reach && one.learnt == other.learnt)
        #expect(one.listOf == other.listOf && one.held.words == other.held.words && other.count == 2_400)
        #expect(other.come.count == 0 && !read.state.vectors.isLearningDue)
        var themes = CoarseListsTests.Themes(seed: 8)
        for _ in 0..<20 {
            let query = Self.query(themes.next())
            let (found, same) = (index.search(query), read.search(query))
            #expect(found.places == same.places && !found.isVectorExact && !same.isVectorExact)
        }
        var others = CoarseListsTests.Themes(seed: 6)
        for _ in 0..<2_500 { _ = others.next() }
        #expect(try Self.recall(of: read, &others) >= 0.97)
        // Both take in what comes.
        for index in [index, read] {
            var themes = CoarseListsTests.Themes(seed: 9)
            Self.show(3_000..<3_100, in: index, &themes, version: 2)
        }
        #expect(index.state.vectors.coarse?.listOf == read.state.vectors.coarse?.listOf)
    }

    /// What is learnt while a file is written is not mixed with what was there before.
    @Test func aFileIsOfOneLearning() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.arms")
        let index = try Self.written(to: path)
        var themes = CoarseListsTests.Themes(seed: 10)
        let before = try #require(index.state.vectors.coarse)
        var step: Int64 = 1
        _ = try index.write(to: path, as: Self.identity) {
            step += 1
            Self.show((3_000 + step * 500)..<(3_500 + step * 500), in: index, &themes, version: step)
            if step < 5 { index.learn() }
            return true
        }
        #expect(index.state.vectors.coarse !== before)
        let read = try Self.read(path)
        #expect(read.state.vectors.coarse?.centres == before.centres && read.state.vectors.coarse?.count == 2_400)
        #expect(try Self.recall(of: read, &themes) >= 0.97)
    }

    /// An older file, and one whose lists are damaged or make no sense, is read; the lists are learnt again.
    @Test func aFileWithoutListsIsOfUse() throws {
        let folder = try TemporaryFolder()
        let (path, other) = (folder.file("a.arms"), folder.file("b.arms"))
        _ = try Self.written(to: path)
        var changes: [(PieceKind, [UInt8]) -> [UInt8]?] = [
            { kind, bytes in kind.isSpare ? nil : bytes },
            { kind, bytes in kind == .centres ? nil : bytes },
            { kind, bytes in kind == .centres ? Array(bytes.dropLast(2)) : bytes },
            { kind, bytes in kind == .lists ? bytes + [1] : bytes },
            { kind, bytes in kind == .lists ? bytes + bytes : bytes },
            // A list that there is not.
            { kind, bytes in kind == .lists ? [0, 0, 1, 0] + bytes.dropFirst(4) : bytes },
        ]
        // The form, the number of groups, a number that is none.
        for place in [0, 40, 15] {
            changes.append { kind, bytes in
                var bytes = bytes
                if kind == .centres { (bytes[place], bytes[place - (place == 15 ? 1 : 0)]) = (0x7f, 0xff) }
                return bytes
            }
        }
        for (number, change) in changes.enumerated() {
            try Self.copy(path, to: other, change)
            let read = try Self.read(other)
            #expect(read.size.passages == 2_400 && read.lists == nil, "change \(number)")
            read.learn()
            #expect(read.lists != nil)
        }
        // Without one list's number its vector is looked for anew.
        try Self.copy(path, to: other) { kind, bytes in kind == .lists ? Array(bytes.dropLast(4)) : bytes }
        #expect(try Self.read(other).state.vectors.coarse?.count == 2_400)
    }

    @Test func damagedListsAreNoticed() throws {
        let folder = try TemporaryFolder()
        let (path, other) = (folder.file("a.arms"), folder.file("b.arms"))
        _ = try Self.written(to: path)
        let bytes = try File.contents(of: path)
        var places: [(kind: PieceKind, start: Int, count: Int)] = []
        var start = PieceFile.headBytes
        var reader = try PieceReader.opened(path)
        while let (kind, content) = try reader.next() {
            places.append((kind, start + 8, content.rest.count))
            start += content.rest.count + PieceFile.frameBytes
        }
        var random = SeededGenerator(seed: 1)
        var spared = 0
        for (kind, first, count) in places {
            for _ in 0..<4 where count > 0 {
                var damaged = bytes
                damaged[first + Int.random(in: 0..<count, using: &random)] ^=
                    1 << UInt8.random(in: 0..<8, using: &random)
                try File.replace(other, with: damaged)
                guard kind.isSpare else {
                    #expect(throws: ArmsFileError.self, "\(kind)") { try Self.read(other) }
                    continue
                }
                let read = try Self.read(other)
                #expect(read.size.passages == 2_400 && read.lists == nil)
                spared += 1
            }
            // Their kind and length are no spare things, whatever they say.
            for byte in [first - 8, first - 7, first - 4, first - 3] {
                var damaged = bytes
                damaged[byte] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                try File.replace(other, with: damaged)
                #expect(throws: ArmsFileError.self, "\(kind), byte \(byte - first)") { try Self.read(other) }
            }
        }
        #expect(spared == 8)
    }
}
