import Files
import Glibc
import PlatformTesting
import Records
import Testing

@testable import Lake

/// What a lake takes, counted in steps.
@Suite struct LakeSizeTests {
    /// Steps until the round is done.
    private func walk(_ walk: inout LakeSizeWalk, entriesMax: Int = 1_000) throws -> (size: LakeSize, steps: Int) {
        for step in 1...100_000 {
            if let size = try walk.step(entriesMax: entriesMax) { return (size, step) }
        }
        throw LakeFixture.FixtureError()
    }

    private func expected(_ fixture: LakeFixture) throws -> [LakeSize.Part: Int] {
        func bytes(_ path: String) throws -> Int {
            guard Folder.isFolder(path) else { return try File(path, .read).size() }
            return try Folder.list(path).reduce(0) { $0 + (try bytes(path + "/" + $1)) }
        }
        var sums: [LakeSize.Part: Int] = [:]
        for name in try Folder.list(fixture.layout.root) {
            sums[LakeSize.Part(entry: name), default: 0] += try bytes(fixture.layout.root + "/" + name)
        }
        return sums.filter { $0.value > 0 }
    }

    @Test func everyFileCountsInItsLayer() throws {
        let fixture = try LakeFixture.inMemory()
        var first = LakeSizeWalk(layout: fixture.layout)
        #expect(try walk(&first).size == LakeSize(), "a lake that is not there yet has no bytes")
        try LakeRun(layout: fixture.layout, step: 4).run()
        let found = try walk(&first).size
        #expect(found.local.filter { $0.value > 0 } == (try expected(fixture)))
        #expect(found.local[.bronze] ?? 0 > 0 && found.local[.gold] ?? 0 > 0 && found.local[.commits] ?? 0 > 0)
        #expect(found.tiered.isEmpty)
        // In steps of one name it is the same, and no step does more.
        var small = LakeSizeWalk(layout: fixture.layout)
        let slow = try walk(&small, entriesMax: 1)
        #expect(slow.size == found)
        #expect(slow.steps > (try fixture.contents().count))
        // The next round sees what has changed.
        try Folder.removeTree(fixture.layout.root + "/gold")
        #expect(try walk(&small, entriesMax: 3).size.local[.gold] ?? 0 == 0)
    }

    @Test func whatGoesMeanwhileIsPassedOver() throws {
        let fixture = try LakeFixture.inMemory()
        try LakeRun(layout: fixture.layout, step: 4).run()
        var walk = LakeSizeWalk(layout: fixture.layout)
        _ = try walk.step(entriesMax: 3)
        try Folder.removeTree(fixture.layout.root)
        #expect(try self.walk(&walk).size.local.values.reduce(0, +) <= 10_000_000)
        #expect(try self.walk(&walk).size == LakeSize())
    }

    @Test func linksAreNotFollowed() throws {
        let fixture = try LakeFixture()
        try Folder.create(fixture.layout.root + "/bronze/a")
        #expect(symlink("..", fixture.layout.root + "/bronze/a/up") == 0)
        var walk = LakeSizeWalk(layout: fixture.layout)
        #expect(try self.walk(&walk).size == LakeSize())
    }
}

extension TieringTests {
    /// What was moved counts in the other place, until retention gives it up.
    @Test func theSizeTellsWhatIsTiered() throws {
        let scene = try Scene()
        func size(_ walk: inout LakeSizeWalk) throws -> LakeSize {
            while true { if let size = try walk.step(entriesMax: 7) { return size } }
        }
        var walk = LakeSizeWalk(layout: scene.layout)
        let before = try size(&walk)
        let moved = try scene.tier().count
        #expect(moved > 0)
        let after = try size(&walk)
        for layer in Layer.allCases {
            let part = LakeSize.Part(layer)
            #expect(after.tiered[part] ?? 0 == before.local[part] ?? 0, "\(layer)")
            #expect(after.local[part] ?? 0 == 0, "\(layer)")
        }
        #expect(try size(&walk) == after, "a second round takes the tier logs from memory")
        let retention = Retention(layout: scene.layout, windowOffsets: 4, windowMilliseconds: 3_600_000)
        let going = try retention.apply(
            .bronze, [LakeFixture.source], .endedBy(.max), reason: "old", now: 1_763_000_000_000
        ).filter { $0.verdict == .goes }.reduce(0) { $0 + $1.listed.file.bytes }
        #expect(going > 0)
        #expect(try size(&walk).tiered[.bronze] == (before.local[.bronze] ?? 0) - going)
    }
}
