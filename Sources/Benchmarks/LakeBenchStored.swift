import Bytes
import Console
import Derivation
import Files
import Hashing
import Lake
import Logic
import Processes
import Records
import Zstd

/// What is measured of a lake that is written: verification, size, single lines; and memory over a long run.
extension LakeBench {
    private var singleLineCount: Int { max(10, min(200, events / 100)) }
    private static let memorySamples = 10

    /// Blocks. Seals the lake.
    func measureStored(_ lake: String) throws -> [BenchFigure] {
        let reader = LakeReader(layout: LakeLayout(root: lake))
        let began = SystemClock.monotonicNanoseconds()
        for source in try reader.sources() {
            var writer = try PartitionWriter.open(layout: reader.layout, source: source)
            try writer.seal()
        }
        let sealed = SystemClock.monotonicNanoseconds()
        var findings: [String] = []
        let report = try LakeVerifier(layout: reader.layout) { findings.append("\($0.place): \($0.problem)") }.run()
        if let first = findings.first { throw Failure("the lake that was just written is damaged: \(first)") }
        let verifySeconds = Double(SystemClock.monotonicNanoseconds() - sealed) / 1e9
        let sealSeconds = Double(sealed - began) / 1e9
        let whole = try wholeBytes(reader)
        let rate = Double(report.rawBytes) / verifySeconds / 1e6
        return [
            BenchFigure("sealing", Double(report.rawBytes) / sealSeconds / 1e6, "MB/s of text"),
            BenchFigure("lake verify", rate, "MB/s of text", target: "wanted: at least 300"),
            BenchFigure("text of all layers", Double(report.rawBytes) / 1e6, "MB"),
            BenchFigure("size after sealing", Double(report.bytes) / 1e6, "MB"),
            BenchFigure("size of zstd -1 of each layer as a whole", Double(whole) / 1e6, "MB"),
            BenchFigure(
                "  ratio of the sizes", Double(report.bytes) / Double(whole), "", target: "wanted: at most 1.05"),
        ] + (try singleLines(reader))
    }

    /// Bytes of one frame per layer and topic partition at the lake's level.
    private func wholeBytes(_ reader: LakeReader) throws -> Int {
        var compressor = try Compressor()
        var bytes = 0
        for source in try reader.sources() {
            guard let range = try reader.committedRange(source) else { continue }
            for layer in [Layer.bronze, .silver, .gold] {
                let text = try Self.text(of: layer, reader, source, range)
                var frame: [UInt8] = []
                bytes += try text.withUnsafeBytes { try compressor.compressFrame($0, appendingTo: &frame) }
            }
        }
        return bytes
    }

    /// `lake cat --offset` as a process of its own, and the reading alone, at random offsets.
    private func singleLines(_ reader: LakeReader) throws -> [BenchFigure] {
        var random = SeededGenerator(seed: 1)
        let sources = try reader.sources()
        let program = try ProcessPath.own()
        let environment =
            Environment.variables().filter { $0.key != "LAKE_DIR" }.map { "\($0.key)=\($0.value)" }
            + ["LAKE_DIR=\(reader.layout.root)"]
        let sink = try File("/dev/null", .readWrite)
        var processes = Sample()
        var readings = Sample()
        for index in 0..<singleLineCount {
            let source = sources[index % sources.count]
            let offset = Int64.random(in: 0..<Int64(events), using: &random)
            let began = SystemClock.monotonicNanoseconds()
            let child = try ChildProcess.spawn(
                [
                    program, "lake", "cat", "--topic", source.topic, "--partition", "\(source.partition)", "--offset",
                    "\(offset)",
                ], environment: environment, output: sink.descriptor)
            guard ChildProcess.reap(child).isSuccess else { throw Failure("lake cat of \(source) \(offset) failed") }
            let ended = SystemClock.monotonicNanoseconds()
            let line = try reader.bronze(source, offset: offset)
            guard BronzeLine.read(line.line[...])?.offset == offset else {
                throw Failure("\(source) \(offset) gave another line")
            }
            processes.add(Double(ended - began) / 1e6)
            readings.add(Double(SystemClock.monotonicNanoseconds() - ended) / 1e6)
        }
        return [
            BenchFigure(
                "one line of \(events * sources.count), lake cat as a process, p50", processes.quantile(0.5), "ms"),
            BenchFigure("  p95", processes.quantile(0.95), "ms", target: "wanted: below 20 in a lake of a million"),
            BenchFigure("one line, reading alone, p95", readings.quantile(0.95), "ms"),
        ]
    }

    /// One topic partition over many more records than any buffer holds.
    func endure(_ folder: String) throws -> [BenchFigure] {
        let layout = LakeLayout(root: folder + "/endurance")
        defer { try? Folder.removeTree(layout.root) }
        let transform = TransformSettings(template: try TextTemplate(TextTemplate.standard))
        var hasher = try LibraryHasher()
        let generation = try GenerationLog(layout: layout).createFirst(
            .former(
                logicVersion: try transform.logicVersion(hasher: &hasher),
                settings: String(decoding: transform.canonicalJSON, as: UTF8.self)))
        let source = TopicPartition(topic: Self.topic, partition: 0)
        var loop = try WriterLoop.open(layout: layout, source: source, generation: generation)
        var payload: [UInt8] = []
        var samples: [Double] = []
        let step = max(1, enduranceEvents / Self.memorySamples)
        for index in 0..<enduranceEvents {
            payload.removeAll(keepingCapacity: true)
            self.source.appendPayload(index, to: &payload)
            try payload.withUnsafeBytes { value in
                try loop.take(
                    SourceRecord(
                        topic: source.topic, partition: 0, offset: Int64(index),
                        timestampMilliseconds: LakeInput.broker(index), key: nil, value: value))
            }
            if (index + 1).isMultiple(of: step) { samples.append(ProcessMemory.residentMegabytes()) }
        }
        _ = try loop.finish()
        return [
            BenchFigure("resident memory after a tenth of \(enduranceEvents) records", samples.first ?? 0, "MB"),
            BenchFigure("  after half", samples.isEmpty ? 0 : samples[samples.count / 2], "MB"),
            BenchFigure("  after all", samples.last ?? 0, "MB", target: "wanted: flat"),
        ]
    }
}
