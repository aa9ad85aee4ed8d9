import Bytes
import Files
import PlatformTesting
import Records
import Testing

@testable import Lake

/// The lake's log of suppressions keeps each entry once, in order, and tells of damage.
@Suite struct SuppressionLogTests {
    private static func entry(_ number: Int) -> SuppressionEntry {
        .suppress(
            Suppression(
                id: "s-\(number)", tenant: .standard, target: .eventID("e-\(number)"), reason: "r", by: "ann",
                atMilliseconds: 1))
    }

    private static func lift(_ number: Int) -> SuppressionEntry {
        .lift(id: "s-\(number)", tenant: .standard, reason: "r", by: "bob", atMilliseconds: 2)
    }

    @Test func entriesAreKeptOnce() throws {
        let folder = try TemporaryFolder()
        let log = SuppressionLog(layout: LakeLayout(root: folder.file("lake")))
        #expect(try log.read().isEmpty)
        let entries = [
            SuppressionLog.Entry(nextOffset: 1, entry: Self.entry(1)),
            SuppressionLog.Entry(nextOffset: 2, entry: Self.lift(1)),
            SuppressionLog.Entry(nextOffset: 4, entry: Self.entry(2)),
        ]
        do {
            let writer = try log.open()
            #expect(writer.nextOffset == nil)
            try writer.append(Array(entries.prefix(2)))
            // Only one may write.
            #expect(throws: LakeError.self) { _ = try log.open() }
            // As after a topic that was made anew, or a read that is done again.
            try writer.append(entries)
            #expect(writer.nextOffset == 4)
        }
        #expect(try log.read() == entries)
        let again = try log.open()
        #expect(again.nextOffset == 4)
        try again.append([SuppressionLog.Entry(nextOffset: 1, entry: Self.entry(1))])
        #expect(try log.read() == entries)
    }

    /// A torn append is left out by readers and taken away by the next writer; a changed byte is damage, which `lake verify` finds.
    @Test func tearsAndDamageAreTold() throws {
        let folder = try TemporaryFolder()
        let layout = LakeLayout(root: folder.file("lake"))
        let log = SuppressionLog(layout: layout)
        do { try log.open().append([SuppressionLog.Entry(nextOffset: 1, entry: Self.entry(1))]) }
        let whole = try File.contents(of: log.path)
        try File.replace(log.path, with: whole + whole.prefix(20))
        #expect(try log.read().count == 1)
        do { try log.open().append([SuppressionLog.Entry(nextOffset: 2, entry: Self.entry(2))]) }
        #expect(try log.read().map(\.nextOffset) == [1, 2])
        var findings: [String] = []
        func verify() throws {
            findings = []
            _ = try LakeVerifier(layout: layout) { findings.append($0.place) }.run()
        }
        var bytes = try File.contents(of: log.path)
        bytes[whole.count / 2] ^= 1
        try File.replace(log.path, with: bytes)
        #expect(throws: LakeError.self) { _ = try log.read() }
        try verify()
        #expect(findings.contains(log.path))
    }
}
