import Bytes
import Files
import ObjectStorage
import PlatformTesting
import Records
import Synchronization
import Testing

@testable import Lake

/// Records are taken out of every layer and generation; all else stays as it was.
@Suite(.serialized) struct EraserTests {
    private let scene: ErasureScene

    init() throws { scene = ErasureScene(try LakeFixture.inMemory()) }

    @Test(arguments: [true, false]) func onlyPlaceAndTimeAreLeft(prepares: Bool) throws {
        try scene.fill()
        try scene.checkReadable(without: [])
        try scene.erase(prepares: prepares)
        try scene.check()
        let state = try #require(try ErasureLog(layout: scene.layout).read().first)
        #expect(state.isDone && state.isFound && state.parts[ErasureScene.source]?.lines == ErasureScene.erased.count)
        #expect(try ErasureLog(layout: scene.layout).erased().map(\.records.count) == [5])
        // Once more changes nothing.
        let before = try scene.fixture.contents()
        try scene.erase()
        #expect(try scene.fixture.contents() == before)
        #expect(!before.keys.contains { $0.hasPrefix("/_erasures/") })
    }

    @Test func theWriterGoesOnAndSealsAndCompacts() throws {
        try scene.fill()
        try scene.erase()
        do {
            var writer = try scene.open()
            #expect(writer.nextOffset == 30 && writer.lastSHA256 == "sha29")
            for start in stride(from: Int64(30), to: 60, by: 5) {
                try writer.commit(
                    try LakeFixture.batch(
                        start, start + 5, time: (start / 10 + 1) * LakeFixture.hourMilliseconds, writer: writer,
                        generations: [1, 2, 3]))
            }
        }
        try scene.check()
        #expect(try scene.lines(.bronze, nil, end: 60).count == 60)
        // Another one, also out of files that were rewritten.
        try scene.erase([2, 20, 55], id: "e-fedcba9876543210")
        try scene.checkFiles(ErasureScene.erased + [2, 20, 55])
        var findings: [String] = []
        let report = try LakeVerifier(layout: scene.layout) { findings.append("\($0.place): \($0.problem)") }.run()
        #expect(findings == [] && report.linesErased == 9 && report.erasures.count == 2)
        let tombstone = try LakeReader(layout: scene.layout).bronze(ErasureScene.source, offset: 2).line
        #expect(BronzeLine.read(tombstone[...])?.erasure == "e-fedcba9876543210")
    }

    /// Nobody who reads beside it finds a file that the log does not know, or misses a line.
    @Test func readersGoOnBesideIt() async throws {
        try scene.fill()
        let isOver = Mutex(false)
        let layout = scene.layout
        let gone = Array(Int64(0)..<12)
        async let reading: Int = Task.detached {
            var rounds = 0
            while !isOver.withLock({ $0 }) {
                try ErasureScene.checkReadable(layout, without: gone)
                rounds += 1
            }
            return rounds
        }.value
        for offset in gone {
            try scene.erase([offset], id: "e-00000000000000" + (offset < 10 ? "0\(offset)" : "\(offset)"))
        }
        isOver.withLock { $0 = true }
        #expect(try await reading > 0)
        try scene.checkFiles(gone)
        _ = try LakeVerifier(layout: layout) { Issue.record("\($0.place): \($0.problem)") }.run()
    }

    /// A whole file may lose all of its lines.
    @Test func aFileOfNothingIsLeft() throws {
        try scene.fill(isSealed: true)
        let gone = Array(Int64(0)..<30)
        try scene.erase(gone)
        try scene.check(gone)
        let sizes = try scene.fixture.contents().filter { $0.key.hasPrefix("/gold/") }.map(\.value.count)
        #expect(!sizes.isEmpty && sizes.allSatisfy { $0 > 0 && $0 < 32 })
    }

    @Test func nothingIsFoundAndNothingChanges() throws {
        try scene.fill(isSealed: true)
        let before = try LakeRun.dataFiles(scene.fixture)
        try scene.erase([777])
        #expect(try LakeRun.dataFiles(scene.fixture) == before)
        #expect(try ErasureLog(layout: scene.layout).read().map(\.isDone) == [true])
        try scene.check([])
    }

    @Test func aLookChangesNothing() throws {
        try scene.fill()
        let before = try scene.fixture.contents()
        var matches: [String: [Int64]] = [:]
        var mentions: [Int64] = []
        try Eraser(layout: scene.layout, source: ErasureScene.source).look(
            ErasureScene.match([1, 25]), mention: { String(decoding: $0, as: UTF8.self).contains(#""n":7}"#) }
        ) { layer, generation, offset, isMention in
            if isMention {
                mentions.append(offset)
            } else {
                matches["\(layer) \(generation ?? 0)", default: []].append(offset)
            }
        }
        #expect(matches["bronze 0"] == [1, 25] && matches["gold 1"] == [1, 25] && matches["silver 3"] == [25])
        #expect(mentions == [7])
        #expect(try scene.fixture.contents() == before)
    }

    /// A replay may be reading what is about to go.
    @Test func aReplayIsWaitedFor() throws {
        try scene.fill()
        let log = GenerationLog(layout: scene.layout)
        _ = try log.createChild(of: 2, logic: .former(logicVersion: "v1-4", settings: "{}"))
        #expect(throws: LakeError.self) { try scene.erase() }
        #expect(try ErasureLog(layout: scene.layout).read().map(\.isFound) == [false])
        try scene.checkReadable(without: [])
        try log.update(4, expecting: [.created]) { $0.state = .pruned }
        try scene.erase()
        try scene.check()
    }

    /// One that began after the files were prepared may have read the old ones.
    @Test func aReplayThatBeginsMeanwhileIsNoticed() throws {
        try scene.fill(isSealed: true)
        let (layout, log) = (scene.layout, GenerationLog(layout: scene.layout))
        let (eraser, erasure) = (Eraser(layout: layout, source: ErasureScene.source), try ErasureScene.erasure())
        try eraser.log.append(.erase(erasure, parts: [ErasureScene.source]))
        let stamp = log.stamp()
        try eraser.begin(erasure, ErasureScene.match([1]), try eraser.hold())
        _ = try log.createChild(of: 2, logic: .former(logicVersion: "v1-4", settings: "{}"))
        try log.update(4, expecting: [.created]) { $0.state = .pruned }
        do {
            var live = try CommitLog.writing(layout.commitLog(ErasureScene.source), in: layout)
            #expect(throws: LakeError.self) { try eraser.install(erasure.id, live: &live, since: stamp) }
        }
        #expect(try eraser.state(erasure.id)?.isRewritten == false)
        try scene.erase([1])
        try scene.check([1])
    }

    /// A file that was prepared before more records were found is prepared again, and nothing of the first stays.
    @Test func moreIsFoundAfterPreparing() throws {
        try scene.fill(isSealed: true)
        let (eraser, erasure) = (Eraser(layout: scene.layout, source: ErasureScene.source), try ErasureScene.erasure())
        try eraser.log.append(.erase(erasure, parts: [ErasureScene.source]))
        let hold = try eraser.hold()
        try eraser.begin(erasure, ErasureScene.match([1]), hold)
        let first = try scene.fixture.contents().keys.filter { $0.hasSuffix(".erasing") }
        #expect(!first.isEmpty)
        let more = try #require(OffsetRange(start: 2, end: 3))
        try eraser.log.append(.found(id: erasure.id, ErasureScene.source, [more], nextOffset: 30))
        try eraser.begin(erasure, ErasureScene.match([1]), hold)
        let second = try scene.fixture.contents().keys.filter { $0.hasSuffix(".erasing") }
        #expect(second.allSatisfy { !first.contains($0) || !$0.hasPrefix("/bronze/") })
        withExtendedLifetime(hold) {}
    }

    /// What retention gave up after it was prepared stays away.
    @Test func whatExpiredMeanwhileStaysAway() throws {
        try scene.fill(isSealed: true)
        let (layout, source) = (scene.layout, ErasureScene.source)
        let (eraser, erasure) = (Eraser(layout: layout, source: source), try ErasureScene.erasure())
        try eraser.log.append(.erase(erasure, parts: [source]))
        try eraser.begin(erasure, ErasureScene.match([1]), try eraser.hold())
        let entry = try #require(
            try ErasurePlan(layout: layout, source: source).entries(of: erasure.id).first { $0.name.layer == .gold })
        try RetentionLog(layout: layout, source: source).append(
            Expiry(
                layer: .gold, generation: entry.name.generation,
                range: try #require(
                    OffsetRange(start: entry.name.firstOffset, end: entry.record.range.end)),
                reason: "a test", atMilliseconds: 1, isRemoved: false))
        try Folder.remove(layout.dataFile(entry.name))
        try scene.erase([1])
        #expect(!Folder.exists(layout.dataFile(entry.name)))
        #expect(try scene.fixture.contents().keys.allSatisfy { !$0.hasSuffix(".erasing") })
    }

    /// What somebody holds who moves or removes files.
    @Test func itKeepsOutOfOthersWay() throws {
        try scene.fill()
        let hold = try Eraser(layout: scene.layout, source: ErasureScene.source).hold()
        #expect(throws: LakeError.self) { try scene.erase(prepares: false) }
        withExtendedLifetime(hold) {}
    }

    /// A derived line that is left of an erased record is damage.
    @Test func verifyFindsWhatWasForgotten() throws {
        try scene.fill(isSealed: true)
        let layout = scene.layout
        let eraser = Eraser(layout: layout, source: ErasureScene.source)
        let erasure = try ErasureScene.erasure()
        try eraser.log.append(.erase(erasure, parts: [ErasureScene.source]))
        try eraser.begin(erasure, ErasureScene.match([1]), try eraser.hold())
        // All but Bronze is forgotten.
        let plan = ErasurePlan(layout: layout, source: ErasureScene.source)
        let bronze = try #require(try plan.entries(of: erasure.id).first { $0.name.layer == .bronze })
        try plan.remove(erasure.id)
        try plan.append(erasure.id, replay: nil, lines: 1, records: 1, bronze.record)
        do {
            var log = try CommitLog.writing(layout.commitLog(ErasureScene.source), in: layout)
            try eraser.install(erasure.id, live: &log, since: GenerationLog(layout: layout).stamp())
        }
        var findings: [String] = []
        let report = try LakeVerifier(layout: layout) { findings.append("\($0.place): \($0.problem)") }.run()
        #expect(findings.contains { $0.contains("offset 1: its record was erased, and it was not") }, "\(findings)")
        #expect(report.linesErased == 1 && report.erasuresUnfinished == [erasure.id])
    }

    /// The log of a request's records is read as it was written.
    @Test func theLogIsReadBack() throws {
        let log = ErasureLog(layout: scene.layout)
        let erasure = try ErasureScene.erasure()
        let others = TopicPartition(topic: "t.change", partition: 1)
        try log.append(.erase(erasure, parts: [ErasureScene.source, others]))
        let ranges = (0..<5_000).compactMap { OffsetRange(start: Int64($0) * 3, end: Int64($0) * 3 + 1) }
        try log.append(.found(id: erasure.id, ErasureScene.source, ranges, nextOffset: 20_000))
        try log.append(.found(id: "e-unknown", others, ranges, nextOffset: 1))
        try log.append(.rewritten(id: erasure.id, ErasureScene.source, files: 2, lines: 9))
        let state = try #require(try log.read().first)
        #expect(state.erasure == erasure && !state.isFound && !state.isDone)
        let part = try #require(state.parts[ErasureScene.source])
        #expect(part.records == ranges && part.lookedTo == 20_000 && part.isRewritten && part.count == 5_000)
        #expect(part.contains(0) && !part.contains(1) && part.contains(14_997) && !part.contains(14_998))
        #expect(part.meets(try #require(OffsetRange(start: 1, end: 4))))
        #expect(!part.meets(try #require(OffsetRange(start: 1, end: 3))))
        #expect(try log.unfinished(others).map(\.erasure.id) == [erasure.id])
        try log.append(.done(id: erasure.id, ErasureScene.source, remaining: ["x"], atMilliseconds: 7))
        #expect(try log.unfinished(ErasureScene.source).isEmpty)
    }

    /// Copies in the object storage are replaced, and no version of the old ones stays.
    @Test(arguments: [false, true]) func theObjectStorageForgets(isVersioned: Bool) throws {
        let server = try S3Server(isVersioned: isVersioned)
        try scene.fill()
        let storage = ObjectStorage(server.configuration)
        let layout = LakeLayout(
            root: scene.layout.root, objects: LakeObjects(storage: storage, prefix: "some/where"))
        let tiered = ErasureScene(scene.fixture, layout: layout)
        var moved: [String] = []
        try Tiering(layout: layout).run(ErasureScene.source, until: .max, isDryRun: false) { _, outcome in
            if case .moved(let entry) = outcome { moved.append(entry.key) }
        }
        #expect(moved.count > 8)
        let before = try Dictionary(uniqueKeysWithValues: moved.map { ($0, try storage.versions(of: $0)) })
        try tiered.erase()
        try tiered.check()
        var rewritten = 0
        for key in moved {
            let versions = try storage.versions(of: key)
            #expect(versions.count == 1 && versions[0].isLatest, "\(key): \(versions)")
            if isVersioned, versions != before[key] { rewritten += 1 }
        }
        #expect(!isVersioned || rewritten >= 6)
        #expect(try ErasureLog(layout: layout).read().first?.parts[ErasureScene.source]?.remaining == [])
        // No file came back to the disk for it.
        #expect(try tiered.fixture.contents().keys.filter { $0.hasPrefix("/bronze/") }.count <= 1)
    }
}

extension S3Server {
    /// How it is reached, without patience.
    var configuration: ObjectStorageConfiguration {
        var configuration = ObjectStorageConfiguration(
            endpoint: endpoint, bucket: S3Server.bucket, region: S3Server.region, accessKeyID: S3Server.accessKeyID,
            secretAccessKey: S3Server.secretAccessKey)
        configuration.backoffMilliseconds = 1
        configuration.attemptsMax = 3
        return configuration
    }
}
