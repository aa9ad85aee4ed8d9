import Concurrency
import Files
import Glibc
import PlatformTesting
import Records
import Testing

@testable import Lake

// Swift's Glibc module leaves sys/fsuid.h out.
@_silgen_name("setfsuid") private func setFileSystemUser(_ user: uid_t) -> CInt
@_silgen_name("setfsgid") private func setFileSystemGroup(_ group: gid_t) -> CInt

/// Folders that cannot be written or read. A refusal names the path and what to do, changes nothing that counts, and is
/// over as soon as the place is put right.
@Suite struct HardPlaceTests {
    /// Nobody: who the thread is for the file system. Root may do everything, so the tests are somebody else.
    private static let user: uid_t = 65_534

    private let fixture: LakeFixture

    init() throws {
        fixture = try LakeFixture()
        if getuid() == 0 { #expect(chown(fixture.folder.path, Self.user, Self.user) == 0) }
    }

    private func asOrdinaryUser(_ body: @escaping @Sendable (LakeFixture) throws -> Void) async throws {
        let fixture = fixture
        try await Lane(name: "ordinary-user").run {
            // Of this thread alone, which ends with the lane (setfsuid(2)).
            if getuid() == 0 {
                _ = setFileSystemGroup(gid_t(Self.user))
                _ = setFileSystemUser(Self.user)
            }
            try body(fixture)
        }
    }

    private static func setMode(_ mode: mode_t, below path: String) throws {
        for name in try Folder.list(path) where Folder.isFolder(path + "/" + name) {
            try setMode(mode, below: path + "/" + name)
        }
        #expect(chmod(path, mode) == 0)
    }

    /// The description of what `body` throws; it must be about the path.
    private static func refusal(_ path: String, _ body: () throws -> Void) -> String {
        do {
            try body()
            Issue.record("nothing was refused at \(path)")
            return ""
        } catch {
            #expect("\(error)".contains(path), "\(error)")
            return "\(error)"
        }
    }

    private static func verify(_ fixture: LakeFixture) throws -> [String] {
        var findings: [String] = []
        _ = try LakeVerifier(layout: fixture.layout) { findings.append("\($0.place): \($0.problem)") }.run()
        return findings
    }

    @Test func aFolderThatCannotBeWrittenIsNamed() async throws {
        try await asOrdinaryUser { fixture in
            #expect(chmod(fixture.folder.path, 0o555) == 0)
            let words = Self.refusal(fixture.layout.root) { _ = try fixture.open() }
            #expect(words.contains("check the owner and the permissions"), "\(words)")
            #expect(!Folder.exists(fixture.layout.root))
            #expect(chmod(fixture.folder.path, 0o755) == 0)
            _ = try fixture.open()
        }
    }

    /// Somebody else's folder that may be searched but not read holds the lake's; the lake's own must be readable.
    @Test func aParentThatMayNotBeReadIsNoHindrance() async throws {
        try await asOrdinaryUser { fixture in
            try Folder.create(fixture.layout.root)
            #expect(chmod(fixture.folder.path, 0o111) == 0)
            defer { _ = chmod(fixture.folder.path, 0o755) }
            do {
                var writer = try fixture.open()
                _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
                try writer.handOver(to: 1, at: 0)
                try writer.commit(try LakeFixture.batch(0, 20, time: 5, writer: writer))
                try writer.seal()
            }
            #expect(try Self.verify(fixture) == [])
            #expect(chmod(fixture.layout.root, 0o311) == 0)
            defer { _ = chmod(fixture.layout.root, 0o755) }
            _ = Self.refusal(fixture.layout.root) { _ = try fixture.open() }
        }
    }

    @Test func aFileInThePlaceOfAFolderIsNamed() async throws {
        try await asOrdinaryUser { fixture in
            _ = try File(fixture.layout.root, .create)
            let words = Self.refusal(fixture.layout.root) { _ = try fixture.open() }
            #expect(words.contains("is a file"), "\(words)")
        }
    }

    /// The next hour's file cannot be made; the same commit succeeds once it can.
    @Test func aCommitThatMayNotMakeItsFileChangesNothing() async throws {
        try await asOrdinaryUser { fixture in
            var writer = try fixture.open()
            _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
            try writer.handOver(to: 1, at: 0)
            try writer.commit(try LakeFixture.batch(0, 20, time: 5, writer: writer))
            let bronze = fixture.layout.root + "/bronze"
            let before = try fixture.contents()
            try Self.setMode(0o555, below: bronze)
            let later = try LakeFixture.batch(20, 30, time: LakeFixture.hourMilliseconds + 5, writer: writer)
            let words = Self.refusal(bronze) { try writer.commit(later) }
            #expect(words.contains("check the owner and the permissions"), "\(words)")
            #expect(writer.nextOffset == 20)
            #expect(
                try fixture.contents().filter { $0.key.hasPrefix("/bronze") }
                    == before.filter { $0.key.hasPrefix("/bronze") })
            try Self.setMode(0o755, below: bronze)
            try writer.commit(later)
            #expect(try Self.verify(fixture) == [])
            #expect(try fixture.reader.committedRange(LakeFixture.source) == OffsetRange(start: 0, end: 30))
        }
    }

    @Test func whatCannotBeReadIsAFindingAndNoStart() async throws {
        try await asOrdinaryUser { fixture in
            do {
                var writer = try fixture.open()
                _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
                try writer.handOver(to: 1, at: 0)
                try writer.commit(try LakeFixture.batch(0, 20, time: 5, writer: writer))
                try writer.seal()
            }
            #expect(try Self.verify(fixture) == [])
            let log = fixture.layout.commitLog(LakeFixture.source)
            let data = try Self.firstFile(below: fixture.layout.root + "/gold")
            #expect(chmod(data, 0) == 0)
            #expect(try Self.verify(fixture).contains { $0.contains(data) && $0.contains("Permission denied") })
            #expect(chmod(data, 0o640) == 0)
            #expect(chmod(log, 0) == 0)
            _ = Self.refusal(log) { _ = try fixture.open() }
            #expect(try Self.verify(fixture).contains { $0.contains(log) })
            #expect(chmod(log, 0o640) == 0)
            #expect(try Self.verify(fixture) == [])
        }
    }

    private static func firstFile(below path: String) throws -> String {
        guard let name = try Folder.list(path).min() else { throw LakeFixture.FixtureError() }
        let child = path + "/" + name
        return Folder.isFolder(child) ? try firstFile(below: child) : child
    }
}
