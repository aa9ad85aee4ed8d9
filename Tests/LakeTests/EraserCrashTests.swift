import Bytes
import Files
import Foundation
import Glibc
import PlatformTesting
import Records
import Testing

@testable import Lake

/// Every change that an erasure makes to the file system is the place of a fault, a kill and a power loss; the next run finishes it.
@Suite struct EraserCrashTests {
    private let fixture: LakeFixture
    private let scene: ErasureScene
    private let isLong = ProcessInfo.processInfo.environment["MEDALLION_LONG_TESTS"] != nil
    /// Every 37th change, which over all of them meets each loss; the long trial takes every one.
    private var step: Int { isLong ? 1 : 37 }

    init() throws {
        fixture = try LakeFixture.inMemory()
        scene = ErasureScene(fixture)
    }

    private func clear() throws {
        for name in try Folder.list(fixture.folder.path) { try Folder.removeTree(fixture.folder.file(name)) }
    }

    /// The changes of all of it, and how many of them come before the erasure.
    private func trace() throws -> (changes: [FileChange], before: Int, files: [String: [UInt8]]) {
        let witness = RecordingWitness()
        var before = 0
        try FileWatch.$witness.withValue(witness) {
            try scene.fill()
            before = witness.changes.count
            try scene.erase()
        }
        try scene.check()
        return (witness.changes, before, try LakeRun.dataFiles(fixture))
    }

    private func finish(_ files: [String: [UInt8]]) throws {
        try scene.checkReadable(without: ErasureScene.erased)
        try scene.erase()
        try scene.check()
        guard try LakeRun.dataFiles(fixture) == files else {
            throw ErasureScene.Violation(description: "the files are not those of an undisturbed erasure")
        }
    }

    @Test func aCrashAtAnyChangeIsFinished() throws {
        let (changes, before, files) = try trace()
        #expect(changes.count - before > 60)
        for count in stride(from: before, through: changes.count, by: step) {
            let losses: [DiskModel.Loss] = [.nothing, .everything, .bytes, .names, .some(seed: UInt64(count))]
            for loss in isLong ? losses : [losses[count % losses.count]] {
                var model = DiskModel()
                for change in changes.prefix(count) { model.apply(change) }
                do {
                    try clear()
                    let left = model.crashed(loss)
                    for folder in left.folders where !Folder.exists(folder) { try Folder.create(folder) }
                    for (path, bytes) in left.files {
                        let file = try File(path, .create)
                        try bytes.withUnsafeBytes { try file.write($0, at: 0) }
                    }
                    try finish(files)
                } catch {
                    Issue.record("a crash after \(count - before) changes, \(loss): \(error)")
                }
            }
        }
    }

    @Test func aFaultAtAnyChangeIsSurvived() throws {
        let (changes, before, files) = try trace()
        for place in stride(from: 0, to: changes.count - before, by: step) {
            do {
                try clear()
                try scene.fill()
                try FileWatch.$witness.withValue(
                    RecordingWitness(.fails(at: place, code: place % 2 == 0 ? ENOSPC : EIO))
                ) {
                    do { try scene.erase() } catch { try scene.erase() }
                }
                try finish(files)
            } catch {
                Issue.record("a fault at change \(place), \(changes[before + place]): \(error)")
            }
        }
    }
}
