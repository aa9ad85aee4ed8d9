import Foundation
import PlatformTesting

/// What `check_lake.py`, which shares no code with the product, found in a lake.
struct LakeReport: Decodable, Sendable {
    struct Sample: Decodable, Sendable {
        let docID: String
        let title: String
        let text: String
        let isASCII: Bool
        /// Of the payload as Python hashes it.
        let sha256: String
        let valueBase64: String

        private enum CodingKeys: String, CodingKey {
            case title, text, sha256
            case docID = "doc_id"
            case isASCII = "is_ascii"
            case valueBase64 = "value_base64"
        }
    }

    let records: Int
    let accepted: Int
    let gold: Int
    let duplicates: Int
    let canaries: Int
    let rules: [String: Int]
    /// First and next offset in Bronze, by topic partition number.
    let topicPartitions: [String: [Int64]]
    /// Different texts in Gold.
    let texts: Int
    /// Sentences; empty where all is well.
    let faults: [String]
    /// Documents whose text and title no other document has, in ASCII alone and not.
    let samples: [Sample]

    private enum CodingKeys: String, CodingKey {
        case records, accepted, gold, duplicates, canaries, rules, texts, faults, samples
        case topicPartitions = "topic_partitions"
    }

    /// - Parameter recording: the `.jsonl` whose events went in.
    init(lake: String, recording: String, samples: Int = 0) throws {
        let output = try PythonTool.run([
            PackageRoot.path + "/Tests/PipelineTests/check_lake.py", lake, recording, String(samples),
        ])
        self = try JSONDecoder().decode(LakeReport.self, from: Data(output))
    }
}
