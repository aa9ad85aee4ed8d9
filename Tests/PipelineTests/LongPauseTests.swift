import JSONScan
import Lake
import Records
import Testing

extension PipelineTests {
    /// An interruption that is longer than the duplicate window, with a source whose positions are times: the producer goes
    /// back by half a minute and sends again what it had sent.
    @Suite(.serialized) struct LongPauseTests {
        @Test(.timeLimit(.minutes(4))) func nothingIsDoubledAfterALongPause() async throws {
            let window: Int64 = 2
            try await Deployment.run(environment: ["DUPLICATE_WINDOW_SEC": "\(window)"]) { deployment in
                let scene = try CrashScene(
                    deployment, seed: 6, events: 700, perSecond: 150, roles: [.broker, .producer, .stream],
                    timeIDs: true)
                try scene.start()
                let reader = LakeReader(layout: LakeLayout(root: deployment.lakeFolder))
                try deployment.wait(for: "half of the events") {
                    try reader.sources().reduce(0) { try $0 + (reader.committedRange($1)?.count ?? 0) } > 300
                }
                try scene.takeAway(.producer, seconds: UInt32(window) + 2)
                try scene.awaitTopic()
                try scene.awaitLake()
                try scene.stop()
                var times: [String: [Int64]] = [:]
                try Self.forEachLine(.bronze, nil, reader) { line in
                    guard let record = BronzeLine.read(line), let value = record.value,
                        let id = try? JSONValue.parse(value)["meta"]?["id"]?.string
                    else { return }
                    times[id, default: []].append(record.timestampMilliseconds)
                }
                // Copies lie further apart than the window reaches.
                let apart = times.values.filter { $0.count > 1 && ($0.max() ?? 0) - ($0.min() ?? 0) > window * 1_000 }
                #expect(apart.count > 100)
                for layer in [Layer.silver, .gold] {
                    var counts: [String: Int] = [:]
                    try Self.forEachLine(layer, 1, reader) { line in
                        let value = try JSONValue.parse(Array(line))
                        counts[value[layer == .silver ? "event_id" : "doc_id"]?.string ?? "", default: 0] += 1
                    }
                    #expect(counts.count > 300)
                    #expect(counts.filter { $0.value > 1 }.isEmpty, "\(layer)")
                }
                try deployment.command(["lake", "verify"])
            }
        }

        private static func forEachLine(
            _ layer: Layer, _ generation: Int64?, _ reader: LakeReader, _ body: (ArraySlice<UInt8>) throws -> Void
        ) throws {
            for source in try reader.sources() {
                guard let range = try reader.committedRange(source) else { continue }
                var failure: (any Error)?
                try reader.forEachLine(layer, generation: generation, source: source, range: range) { _, line in
                    do { try body(line) } catch { failure = error }
                    return failure == nil
                }
                if let failure { throw failure }
            }
        }
    }
}
