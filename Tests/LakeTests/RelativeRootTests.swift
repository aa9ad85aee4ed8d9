import Files
import Glibc
import PlatformTesting
import Testing

@testable import Lake

/// A root that is named from the working folder, as every example in the documentation does.
@Suite(.serialized) struct RelativeRootTests {
    /// All that was not synced is lost, and the finished lake is still there, name by name.
    @Test(arguments: ["", "./ /"]) func aPowerLossLeavesALakeBelowARelativeRoot(form: String) throws {
        let name = "medallion-relative-lake-\(getpid())"
        defer { try? Folder.removeTree(name) }
        let parts = form.split(separator: " ", omittingEmptySubsequences: false)
        let before = form == "/" ? "" : String(parts[0])
        let behind = form == "/" ? "/" : parts.count > 1 ? String(parts[1]) : ""
        let layout = LakeLayout(root: before + name + behind)
        let witness = RecordingWitness()
        try FileWatch.$witness.withValue(witness) { try LakeRun(layout: layout, step: 4, logBytesMin: 0).run() }
        var model = DiskModel()
        for change in witness.changes { model.apply(change) }
        let kept = model.crashed(.everything).files
        var files: [String] = []
        try Self.collect(layout.root, into: &files)
        #expect(files.count > 15)
        for file in files where !file.hasSuffix(".lock") {
            #expect(try kept[file] == File.contents(of: file), "\(file)")
        }
    }

    private static func collect(_ folder: String, into files: inout [String]) throws {
        for name in try Folder.list(folder) {
            let path = folder + "/" + name
            if Folder.isFolder(path) { try collect(path, into: &files) } else { files.append(path) }
        }
    }

    @Test func namesAreMadeDurableUpToTheRootThatIsGiven() throws {
        func synced(_ path: String, upTo root: String) throws -> [String] {
            let witness = RecordingWitness()
            try FileWatch.$witness.withValue(witness) { try Folder.syncNames(from: path, upTo: root) }
            return witness.changes.compactMap { change in
                if case .syncFolder(let path, _) = change { return path }
                return nil
            }
        }
        #expect(try synced("Sources/Domain", upTo: ".") == ["Sources/Domain", "Sources", "."])
        #expect(try synced("./Sources/Domain", upTo: "./Sources") == ["./Sources/Domain", "./Sources"])
        #expect(try synced("/usr/lib", upTo: "/usr") == ["/usr/lib", "/usr"])
        // A root that is none of the folders above ends at the top.
        #expect(try synced("/usr/lib", upTo: "elsewhere") == ["/usr/lib", "/usr", "/"])
    }
}
