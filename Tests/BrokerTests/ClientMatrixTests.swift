import Foundation
import PlatformTesting
import Testing

/// Clients that nobody here wrote, each with a broker process of its own; see `clients/` and docs/broker.md.
@Suite(.serialized)
struct ClientMatrixTests {
    @Test(
        "Independent clients do what they do with Kafka, through rebalances and kill -9",
        arguments: ["kcat", "confluent", "kafka_python", "aiokafka"])
    func client(_ name: String) throws {
        let script = PackageRoot.path + "/Tests/BrokerTests/clients/\(name)_client.py"
        let output = try PythonTool.run([script, PackageRoot.executable])
        let report = String(decoding: output, as: UTF8.self)
        let features = try #require(Self.features(report))
        for (feature, outcome) in features.sorted(by: { $0.key < $1.key }) {
            #expect(outcome == "ok", "\(name): \(feature)")
        }
        let expected = [
            "produce and consume", "compression", "groups, eager", "seek by time", "idempotence",
            "kill -9 in the middle",
        ]
        #expect(Set(expected).isSubset(of: features.keys))
        try checkDocument(report, features.keys.sorted())
    }

    /// The table in docs/broker.md names the version that was run, and each of its features.
    private func checkDocument(_ report: String, _ features: [String]) throws {
        let json = try #require(Self.object(report))
        let client = try #require(json["client"] as? String)
        let version = try #require(json["version"] as? String)
        let document = try String(contentsOfFile: PackageRoot.path + "/docs/broker.md", encoding: .utf8)
        let rows = document.split(separator: "\n").filter { $0.hasPrefix("|") }
        let head = try #require(rows.first { $0.contains("| kcat ") }, "the matrix in docs/broker.md")
        let cells = { (row: Substring) in
            row.split(separator: "|", omittingEmptySubsequences: false).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
        }
        let column = try #require(cells(head).firstIndex { $0 == "\(client) \(version)" }, "\(client) \(version)")
        for feature in features {
            let row = try #require(rows.first { cells($0).dropFirst().first == feature }, "\(feature)")
            #expect(cells(row)[column] == "yes", "\(client): \(feature)")
        }
    }

    private static func object(_ report: String) -> [String: Any]? {
        (try? JSONSerialization.jsonObject(with: Data(report.utf8))) as? [String: Any]
    }

    private static func features(_ report: String) -> [String: String]? {
        object(report)?["features"] as? [String: String]
    }
}
