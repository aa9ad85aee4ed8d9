import Bytes
import Files
import Hashing
import Lake
import PlatformTesting
import Records

/// Makes small lakes with lines that look like real ones.
struct LakeFixture {
    static let source = TopicPartition(topic: "t.change", partition: 0)
    static let hourMilliseconds: Int64 = 3_600_000
    let folder: TemporaryFolder
    let layout: LakeLayout

    init(in parent: String = TemporaryFolder.parent) throws {
        folder = try TemporaryFolder(in: parent)
        layout = LakeLayout(root: folder.file("lake"))
    }

    /// For trials that ask nothing of the disk, where there is such a place.
    static func inMemory() throws -> LakeFixture {
        try LakeFixture(in: Folder.exists("/dev/shm") ? "/dev/shm" : "/tmp")
    }

    var reader: LakeReader { LakeReader(layout: layout) }

    func open() throws -> PartitionWriter { try PartitionWriter.open(layout: layout, source: Self.source) }

    static func bronze(_ offset: Int64) -> String {
        #"{"topic":"t.change","partition":0,"offset":\#(offset),"timestamp_ms":5,"headers":[],"#
            + #""value":\#(value(offset))}"#
    }

    static func value(_ offset: Int64) -> String { #"{"meta":{"offset":99},"n":\#(offset)}"# }

    static func sha256(_ text: String) -> String {
        let digest = try? Array(text.utf8).withUnsafeBytes { bytes in
            var hasher = try SHA256Hasher()
            return try hasher.hash(bytes)
        }
        return digest?.hex ?? ""
    }

    static func derived(_ offset: Int64, generation: Int64) -> String {
        let content = #"{"doc_id":"d\#(offset)","text":"say \"offset\":7 g\#(generation)""#
        return content + #","content_hash":"\#(sha256(content + "}"))","lineage":{"logic_version":"v1","#
            + #""parents":[{"topic":"t.change","partition":0,"offset":\#(offset),"event_id":"e","#
            + #""bronze_sha256":"\#(sha256(value(offset)))"}]}}"#
    }

    /// A batch of offsets; every third has no Gold, every tenth is in quarantine.
    static func batch(
        _ start: Int64, _ end: Int64, time: Int64, writer: borrowing PartitionWriter, generations: [Int64] = [1]
    ) throws -> CommitBatch {
        var bronze = ""
        var lines: [GenerationLines] = []
        for offset in start..<end { bronze += Self.bronze(offset) + "\n" }
        for generation in generations {
            var gold = (text: "", lines: 0)
            var silver = (text: "", lines: 0)
            var quarantine = (text: "", lines: 0)
            for offset in start..<end {
                if offset % 10 == 9 {
                    quarantine.text += #"{"rule":"wrong_type","detail":"x","topic":"t.change","partition":0,"#
                    quarantine.text += #""offset":\#(offset),"bronze_sha256":"\#(sha256(value(offset)))","#
                    quarantine.text += #""value":\#(value(offset))}"# + "\n"
                    quarantine.lines += 1
                    continue
                }
                silver.text += Self.derived(offset, generation: generation) + "\n"
                silver.lines += 1
                if offset % 3 != 0 {
                    gold.text += Self.derived(offset, generation: generation) + "\n"
                    gold.lines += 1
                }
            }
            lines.append(
                GenerationLines(
                    generation: generation, logicVersion: "v1-\(generation)",
                    silver: (Array(silver.text.utf8), silver.lines),
                    gold: (Array(gold.text.utf8), gold.lines),
                    quarantine: (Array(quarantine.text.utf8), quarantine.lines),
                    rejects: quarantine.lines > 0 ? ["wrong_type": quarantine.lines] : [:]))
        }
        guard let range = OffsetRange(start: start, end: end) else { throw FixtureError() }
        return CommitBatch(
            range: range, hour: writer.hour(for: time), brokerTimeMax: time, lastSHA256: "sha\(end - 1)", duplicates: 0,
            canaries: 0, bronze: (Array(bronze.utf8), Int(end - start)), generations: lines)
    }

    /// All files below the lake's root but locks, with their content.
    func contents(_ path: String? = nil) throws -> [String: [UInt8]] {
        let path = path ?? layout.root
        var result: [String: [UInt8]] = [:]
        for name in try Folder.list(path) {
            let child = path + "/" + name
            if (try? Folder.list(child)) != nil {
                result.merge(try contents(child)) { $1 }
            } else if !name.hasSuffix(".lock") {
                result[String(child.dropFirst(layout.root.count))] = try File.contents(of: child)
            }
        }
        return result
    }

    struct FixtureError: Error {}
}
