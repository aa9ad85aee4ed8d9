import Concurrency
import Files
import Glibc
import JSONScan
import PlatformTesting
import Postgres
import Simulator
import Synchronization
import Testing

extension PipelineTests {
    /// `medallion audit` on a running platform whose index somebody damaged by hand.
    @Suite(.serialized) struct AuditCommandTests {
        private static let events = 320
        /// In percent, of the documents that are shown.
        private static let damagedShare = 3

        @Test(.timeLimit(.minutes(5))) func damageIsFoundToldAndRepaired() async throws {
            try await Deployment.run { deployment in
                let recording = deployment.file("events.jsonl")
                try File.replace(recording, with: Self.recording())
                let up = try PlaybackTests.play(recording, deployment)
                let clean = try Self.reports(try deployment.command(["audit", "--all", "--json"]))
                #expect(clean.findings.isEmpty && clean.reports.map { $0["drift"]?.integer } == [0])
                let documents = Int(clean.reports.first?["documents"]?.integer ?? 0)
                try Self.waitForAlert(false, drift: 0, deployment)

                let connection = try PostgresConnection(
                    PostgresConfiguration(dsn: deployment.dsn() ?? ""), timeoutMilliseconds: 5_000)
                defer { connection.close() }
                let damage = try Self.damage(connection, count: (documents * Self.damagedShare + 99) / 100)
                #expect(damage.count >= Self.ways.count, "of \(documents)")

                // Exit code 1, each fault once, and the whole; what a fault left that nothing refers to counts, too.
                let quiet = ["LOG_LEVEL": "error"]
                let found = try Self.reports(try deployment.refusal(["audit", "--all", "--json"], environment: quiet))
                #expect(found.findings.sorted() == damage.sorted())
                let whole = try #require(found.reports.last)
                let drift = Int(whole["drift"]?.integer ?? 0)
                #expect(drift >= damage.count)
                for fault in Set(damage.map { $0.prefix { $0 != " " } }) {
                    let count = damage.count { $0.hasPrefix(fault + " ") }
                    #expect(whole["faults"]?[String(fault)]?.integer == Int64(count), "\(fault)")
                }
                try Self.waitForAlert(true, drift: drift, deployment)
                let text = try deployment.refusal(["audit", "--all"], environment: quiet)
                #expect(
                    text.contains("the index is not as the lake has it: \(drift) documents or rows differ"), "\(text)")

                let searches = try Searches(deployment.api)
                defer { searches.stop() }
                let repair = try Self.reports(try deployment.command(["audit", "--all", "--repair", "--json"]))
                searches.stop()
                #expect(repair.findings.sorted() == damage.sorted())
                #expect(repair.reports.map { $0["drift"]?.integer } == [Int64(drift), 0])
                #expect(repair.reports.first?["repaired"]?.integer == Int64(damage.count))
                #expect(searches.failures == [] && searches.count > 0)
                try Self.waitForAlert(false, drift: 0, deployment)
                #expect(try deployment.command(["audit"]).contains(": all well"))
                #expect(try up.stop() == .exited(0))
            }
        }

        private static func recording() -> [UInt8] {
            let generator = EventGenerator(seed: 18, startMilliseconds: 1_773_480_360_000, eventsPerSecond: 100)
            return (0..<events).reduce(into: []) { bytes, index in
                generator.append(index, to: &bytes)
                bytes.append(0x0A)
            }
        }

        // MARK: Damage

        /// What is done to a document `$1` of which nothing else has the text, and what is to be said of it.
        private static let ways: [(fault: String, sql: String)] = [
            ("missing", "UPDATE visibility g SET to_version = from_version WHERE g.document_id = $1"),
            ("changed", "UPDATE passages p SET text = text || ' else' WHERE p.document_id = $1"),
            (
                "words",
                "DELETE FROM passage_terms x USING passages p WHERE x.passage_id = p.id AND p.document_id = $1"
            ),
            (
                "vector_norm",
                """
                UPDATE vectors_1 v SET embedding = (SELECT array_agg(e * 2 ORDER BY i)
                    FROM unnest(v.embedding::real[]) WITH ORDINALITY AS u(e, i))::real[]::halfvec
                WHERE v.id = (SELECT p.vector_id FROM passages p WHERE p.document_id = $1)
                """
            ),
            (
                "vector_swapped",
                """
                UPDATE vectors_1 v SET embedding = (
                    SELECT o.embedding FROM vectors_1 o WHERE o.id <> v.id ORDER BY o.embedding <=> v.embedding DESC LIMIT 1)
                WHERE v.id = (SELECT p.vector_id FROM passages p WHERE p.document_id = $1)
                """
            ),
        ]

        /// Damages so many documents, in all ways in turn.
        ///
        /// - Returns: what is to be found: `fault tenant/collection/doc_id`.
        private static func damage(_ connection: PostgresConnection, count: Int) throws -> [String] {
            let rows = try connection.script(
                """
                SELECT d.id, d.tenant || '/' || c.name || '/' || d.doc_id FROM visibility g
                JOIN documents d ON d.id = g.document_id JOIN collections c ON c.id = d.collection_id
                WHERE g.to_version IS NULL AND 1 = (
                    SELECT count(*) FROM passages p JOIN passages o ON o.vector_id = p.vector_id WHERE p.document_id = d.id)
                ORDER BY d.id
                """, timeoutMilliseconds: 10_000)
            let spacing = max(1, rows.count / max(1, count))
            return try (0..<min(count, rows.count)).map { number in
                let (way, row) = (ways[number % ways.count], rows[number * spacing])
                guard let id = row[0], let name = row[1] else { throw PipelineFailure("a document has no id") }
                try connection.script(way.sql.replacing("$1", with: id), timeoutMilliseconds: 10_000)
                return "\(way.fault) \(name)"
            }
        }

        // MARK: What is said

        private static func reports(_ output: String) throws -> (findings: [String], reports: [JSONValue]) {
            // The last line of a refusal is the failure's.
            let lines = try output.split(separator: "\n").filter { $0.hasPrefix("{") }.map {
                try JSONValue.parse(Array($0.utf8))
            }
            let findings = lines.compactMap { line in
                line["fault"]?.string.map { "\($0) \(line["document"]?.string ?? "")" }
            }
            return (findings, lines.filter { $0["drift"] != nil })
        }

        /// Waits until the metric has a value, and holds the alert's own expression against it.
        private static func waitForAlert(_ fires: Bool, drift: Int, _ deployment: Deployment) throws {
            let alerts = String(
                decoding: try File.contents(of: PackageRoot.path + "/monitoring/rules/resources.yml"), as: UTF8.self)
            let rule = try #require(
                alerts.split(separator: "- alert: ").first { $0.hasPrefix("MedallionIndexDrift\n") })
            let match = try #require(rule.firstMatch(of: /expr: max by \(job\) \((\w+)\) > (\d+)\n/), "\(rule)")
            let bound = try #require(Double(match.2))
            try deployment.wait(for: "the metric of a drift of \(drift)") {
                let series = try deployment.api.metrics().series.filter { $0.key == match.1 }
                return series.values.map { Int($0) } == [drift] && (series.values.max() ?? 0 > bound) == fires
            }
        }

        /// Searches from a thread of its own until it is told to stop.
        private final class Searches: Sendable {
            private let state = Mutex((isStopped: false, isDone: false, failures: [String](), count: 0))

            init(_ api: API) throws {
                let isStarted = Threads.start(name: "searches") { [self] in
                    while !state.withLock({ $0.isStopped }) {
                        let failure: String?
                        do {
                            failure = try api.search("edit").isEmpty ? "nothing was found" : nil
                        } catch {
                            failure = "\(error)"
                        }
                        state.withLock { state in
                            state.count += 1
                            if let failure { state.failures.append(failure) }
                        }
                        usleep(5_000)
                    }
                    state.withLock { $0.isDone = true }
                }
                guard isStarted else { throw PipelineFailure("no thread for searches") }
            }

            var failures: [String] { state.withLock { $0.failures } }
            var count: Int { state.withLock { $0.count } }

            /// Ends the searches; does nothing the second time.
            func stop() {
                state.withLock { $0.isStopped = true }
                while !state.withLock({ $0.isDone }) { usleep(1_000) }
            }
        }
    }
}
