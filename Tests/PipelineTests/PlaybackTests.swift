import Bytes
import Files
import JSONScan
import PlatformTesting
import Processes
import Testing

extension PipelineTests {
    /// Recordings through the whole pipeline: from the stream's bytes to a traced answer.
    @Suite(.serialized) struct PlaybackTests {
        static let handWritten = PackageRoot.path + "/Tests/PipelineTests/hand-written.jsonl"

        @Test(.timeLimit(.minutes(5))) func handWrittenEvents() async throws {
            try await Deployment.run { deployment in
                let up = try Self.play(Self.handWritten, deployment)
                try Self.checkLake(Self.handWritten, deployment)
                try Self.checkAnswers(deployment)
                try Self.checkStop(up, Self.handWritten, deployment)
            }
        }

        @Test(.enabled(if: Recordings.folder != nil, Comment(rawValue: Recordings.absence)), .timeLimit(.minutes(10)))
        func recordings() async throws {
            try await Deployment.run { deployment in
                // Of the first, a tenth will do; the long trial plays all of it.
                let original = try Recordings.bytes("recentchange-original.jsonl.zst").split(separator: 0x0A)
                let sample =
                    LongTests.areWanted ? original : original.enumerated().filter { $0.offset % 10 == 3 }.map(\.element)
                var bytes = Array(sample.joined(separator: [0x0A])) + [0x0A]
                for name in ["edge-cases.jsonl", "invalid-utf8.jsonl"] { bytes += try Recordings.bytes(name) }
                let recording = deployment.file("recordings.jsonl")
                try File.replace(recording, with: bytes)
                let up = try Self.play(recording, deployment)
                try Self.checkLake(recording, deployment)
                try Self.checkStop(up, recording, deployment)
            }
        }

        @Test(
            .enabled(if: Recordings.folder != nil, Comment(rawValue: Recordings.absence)),
            .enabled(if: LongTests.areWanted, Comment(rawValue: LongTests.reason)), .timeLimit(.minutes(30)))
        func allRecordings() async throws {
            try await Deployment.run { deployment in
                let recording = deployment.file("recordings.jsonl")
                try File.replace(recording, with: try Recordings.bytes("recentchange-reshaped.jsonl.zst"))
                let up = try Self.play(recording, deployment, seconds: 1_500)
                try Self.checkLake(recording, deployment)
                try Self.checkStop(up, recording, deployment)
            }
        }

        /// Runs `up` over a recording until everything is indexed, and compares what it counted.
        static func play(_ recording: String, _ deployment: Deployment, seconds: Int = 180) throws -> RunningProcess {
            let expected = try ExpectedCounts.of(path: recording)
            try deployment.startSimulator(recording)
            let up = try deployment.start("up", ["--url", deployment.streamURL])
            try deployment.wait(for: "the index to reach \(expected.records) records", seconds: seconds) {
                try deployment.api.metrics().sum("medallion_index_checkpoint_offset") == expected.records
            }
            let metrics = try deployment.api.metrics()
            #expect(metrics["medallion_stream_records_total"] == expected.records)
            #expect(metrics["medallion_stream_silver_lines_total"] == expected.accepted)
            #expect(metrics["medallion_stream_gold_lines_total"] == expected.gold)
            #expect(metrics["medallion_stream_duplicates_total"] == expected.duplicates)
            #expect(metrics["medallion_stream_canaries_total"] == expected.canaries)
            for (rule, count) in expected.rules {
                #expect(metrics["medallion_stream_rejected_total{rule=\"\(rule)\"}"] == count, "\(rule)")
            }
            #expect(metrics.sum("medallion_stream_rejected_total") == expected.rules.values.reduce(0, +))
            #expect(metrics["medallion_index_documents_total"] == expected.gold)
            #expect(metrics["medallion_index_unreadable_total"] == 0)
            return up
        }

        /// The lake as another program reads it, and the API's word on some of its documents.
        private static func checkLake(_ recording: String, _ deployment: Deployment) throws {
            let lake = try LakeReport(lake: deployment.lakeFolder, recording: recording, samples: 5)
            try expect(lake, ExpectedCounts.of(path: recording))
            try #require(!lake.samples.isEmpty)
            let api = deployment.api
            for sample in lake.samples {
                for mode in sample.isASCII ? ["hybrid", "vector"] : ["hybrid"] {
                    #expect(try api.search(sample.text, mode: mode).first == sample.docID, "\(mode): \(sample.text)")
                }
                let trace = try api.get("/trace/\(sample.docID)")
                #expect(trace["complete"]?.bool == true, "\(trace["problems"] ?? .null)")
                #expect(trace["gold"]?["record"]?["text"]?.string == sample.text)
                #expect(trace["silver"]?["record"]?["event_id"]?.string == sample.docID)
                #expect(trace["passages"]?.array?.first?["text"]?.string == sample.text)
                let bronze = try #require(trace["bronze"]?.array?.first)
                #expect(bronze["hash_ok"]?.bool == true)
                #expect(bronze["sha256"]?.string == sample.sha256)
                #expect(bronze["lineage_sha256"]?.string == sample.sha256)
                #expect(bronze["value_base64"]?.string == sample.valueBase64)
            }
            #expect(try api.get("/events/recent?limit=5")["events"]?.array?.count == 5)
        }

        private static func expect(_ lake: LakeReport, _ expected: ExpectedCounts) throws {
            #expect(lake.faults == [])
            #expect(lake.records == expected.records)
            #expect(lake.accepted == expected.accepted)
            #expect(lake.gold == expected.gold)
            #expect(lake.duplicates == expected.duplicates)
            #expect(lake.canaries == expected.canaries)
            #expect(lake.rules == expected.rules)
        }

        /// Questions whose answer stands in the hand-written events.
        private static func checkAnswers(_ deployment: Deployment) throws {
            let api = deployment.api
            let bridge = "00000000-0000-4000-8000-000000000001"
            let octopus = "00000000-0000-4000-8000-000000000013"
            #expect(try api.search("famous suspension bridge in California", mode: "vector").first == bridge)
            #expect(try api.search("sea animal with several hearts").first == octopus)
            let answer = try api.post(
                "/answer", [("query", .string("In which colour was the Golden Gate Bridge painted?"))])
            #expect(answer["refused"]?.bool == false)
            let cited = try #require(answer["citations"]?.array?.first { $0["doc_id"]?.string == bridge })
            let sentence = try #require(answer["sentences"]?.array?.first)
            #expect(sentence["text"]?.string?.contains("international orange") == true)
            #expect(sentence["citations"]?.array?.contains(cited["n"] ?? .null) == true)
            let refusal = try api.post("/answer", [("query", .string("Who won the chess championship of 1986?"))])
            #expect(refusal["refused"]?.bool == true)
            #expect(
                refusal["sentences"]?.array?.first?["text"]?.string == "I don't have enough information.")
            // Every part is looked at within some seconds of its start.
            try deployment.wait(for: "/health to be ok", seconds: 30) {
                try api.get("/health")["status"]?.string == "ok"
            }
            let health = try api.get("/health")
            for (name, dependency) in health["dependencies"]?.object ?? [] {
                #expect(dependency["state"]?.string == "ok", "\(name): \(dependency)")
            }
        }

        /// A stop in order, then the lake alone, sealed.
        private static func checkStop(_ up: RunningProcess, _ recording: String, _ deployment: Deployment) throws {
            #expect(try up.stop() == .exited(0))
            try deployment.command(["lake", "seal"])
            let files = try Folder.allFiles(deployment.lakeFolder)
            #expect(files.filter { $0.hasSuffix(".sealing") } == [])
            try expect(
                LakeReport(lake: deployment.lakeFolder, recording: recording), ExpectedCounts.of(path: recording))
        }
    }
}
