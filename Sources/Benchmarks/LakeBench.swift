import Bytes
import Concurrency
import Console
import Derivation
import Files
import Glibc
import Hashing
import Lake
import Logic
import Records
import Simulator
import Telemetry
import Zstd

/// The lake alone, without broker and clients: writer, verification, size, single lines, memory.
///
/// The writer's baseline is a C++ loop that makes the same bytes of the same records and commits them in the same way;
/// that the bytes are the same is checked. Writer and baseline run in turn, so that a drift of the machine meets both;
/// processor time means something on a busy machine, too.
struct LakeBench {
    /// Records in each topic partition.
    let events: Int
    /// Records of the run that watches memory; 0 for none.
    let enduranceEvents: Int
    let source: any PlayableSource
    let logger: Logger

    /// Fewer where only the check of the bytes can be meant.
    private var rounds: Int { max(1, min(5, events / 20_000)) }

    static let topic = "wikimedia.recentchange"
    /// Some 40 ms at the rate that is wanted of the whole pipeline.
    static let batch = 5_000

    func run() async throws -> BenchReport {
        let folder = try ScratchFolder()
        defer { folder.remove() }
        let lane = Lane(name: "bench")
        let (inputs, baseline) = try await lane.run {
            let inputs = try (0..<2).map { partition in
                try LakeInput(
                    folder: folder.path, name: "\(partition)", source: source, first: partition * events, count: events)
            }
            return (inputs, try LakeBaseline(folder: folder.path))
        }
        let bytes = Double(inputs[0].valueBytes) / Double(events)
        var report = BenchReport(
            title: "lake: \(events) records in each of two topic partitions, \(Int(bytes)) bytes a value, commits of "
                + "\(Self.batch), medians of \(rounds) runs in turn with the C++ loop",
            figures: [])
        var lake = ""
        for partitions in [1, 2] {
            let measured = try await compare(Array(inputs.prefix(partitions)), baseline, folder.path)
            report.figures += measured.figures
            lake = measured.lake
        }
        report.figures += try await lane.run { [lake] in try measureStored(lake) }
        try Folder.removeTree(lake)
        if enduranceEvents > 0 { report.figures += try await lane.run { try endure(folder.path) } }
        return report
    }

    // MARK: The writer beside the C++ loop

    /// What one topic partition took.
    struct Written: Sendable {
        var records = 0
        var processorSeconds = 0.0
        var linesSeconds = 0.0
        var commitSeconds = 0.0
    }

    private func compare(
        _ inputs: [LakeInput], _ baseline: LakeBaseline, _ folder: String
    ) async throws -> (figures: [BenchFigure], lake: String) {
        // The C++ loop writes the lines of this version.
        let transform = TransformSettings(codeVersion: .second, template: try TextTemplate(TextTemplate.standard))
        var hasher = try LibraryHasher()
        let logicVersion = try transform.logicVersion(hasher: &hasher)
        let lane = Lane(name: "bench")
        let records = Double(inputs.count * events)
        // Once for all rounds: memory that is taken and given back between two runs is slow to touch in the next.
        let contents = try inputs.map { try File.contents(of: $0.path, bytesMax: 64 << 30) }
        var ours = Samples()
        var theirs = Samples()
        var lake = ""
        for round in 0..<rounds {
            let out = "\(folder)/baseline"
            let results = try await lane.run {
                try baseline.run(
                    inputs, topic: Self.topic, logicVersion: logicVersion, batch: Self.batch, out: out)
            }
            theirs.rate.add(records / (results.map(\.seconds).max() ?? 1))
            theirs.processor.add(results.reduce(0) { $0 + $1.processorSeconds } / records * 1e6)
            theirs.lines.add(results.reduce(0) { $0 + $1.linesSeconds } / records * 1e6)
            theirs.commits.add(results.reduce(0) { $0 + $1.zstdSeconds + $1.writeSeconds } / records * 1e6)
            if !lake.isEmpty { try Folder.removeTree(lake) }
            lake = "\(folder)/lake-\(inputs.count)-\(round)"
            let (written, seconds) = try await write(contents, transform, logicVersion, lake: lake)
            ours.rate.add(records / seconds)
            ours.processor.add(written.reduce(0) { $0 + $1.processorSeconds } / records * 1e6)
            ours.lines.add(written.reduce(0) { $0 + $1.linesSeconds } / records * 1e6)
            ours.commits.add(written.reduce(0) { $0 + $1.commitSeconds } / records * 1e6)
            if round == 0 {
                try await lane.run { [lake] in try checkSameBytes(lake, out, partitions: inputs.count) }
            }
            try Folder.removeTree(out)
        }
        return (figures(partitions: inputs.count, ours, theirs), lake)
    }

    private struct Samples {
        var rate = Sample()
        /// Microseconds per record.
        var processor = Sample()
        var lines = Sample()
        var commits = Sample()
    }

    private func figures(partitions: Int, _ ours: Samples, _ theirs: Samples) -> [BenchFigure] {
        let head = partitions == 1 ? "one topic partition" : "two topic partitions on two threads"
        func median(_ sample: Sample) -> Double { sample.quantile(0.5) }
        return [
            BenchFigure("\(head), C++ loop", median(theirs.rate), "events/s"),
            BenchFigure(
                "\(head), writer", median(ours.rate), "events/s",
                target: partitions == 1 ? nil : "wanted: at least 350,000"),
            BenchFigure(
                "  ratio of the rates", median(ours.rate) / median(theirs.rate), "",
                target: partitions == 1 ? "wanted: at least 0.9" : nil),
            BenchFigure("  processor time, C++ loop", median(theirs.processor), "µs/event"),
            BenchFigure("  processor time, writer", median(ours.processor), "µs/event"),
            BenchFigure("  making lines (parse, hash, rules), C++ loop", median(theirs.lines), "µs/event"),
            BenchFigure("  making lines (parse, hash, rules), writer", median(ours.lines), "µs/event"),
            BenchFigure("  commits (zstd, write, sync), C++ loop", median(theirs.commits), "µs/event"),
            BenchFigure("  commits (zstd, write, sync), writer", median(ours.commits), "µs/event"),
        ]
    }

    /// - Returns: also the seconds until the last topic partition was done.
    private func write(
        _ contents: [[UInt8]], _ transform: TransformSettings, _ logicVersion: String, lake: String
    ) async throws -> ([Written], Double) {
        let layout = LakeLayout(root: lake)
        let generation = try GenerationLog(layout: layout).createFirst(
            .former(logicVersion: logicVersion, settings: String(decoding: transform.canonicalJSON, as: UTF8.self)))
        let began = SystemClock.monotonicNanoseconds()
        let written = try await withThrowingTaskGroup(of: Written.self) { group in
            for (partition, bytes) in contents.enumerated() {
                group.addTask {
                    try await Lane(name: "bench-\(partition)").run {
                        let source = TopicPartition(topic: Self.topic, partition: Int32(partition))
                        var loop = try WriterLoop.open(layout: layout, source: source, generation: generation)
                        try bytes.withUnsafeBytes { bytes in
                            try LakeInput.forEach(bytes, source: source) { try loop.take($0) }
                        }
                        return try loop.finish()
                    }
                }
            }
            var written: [Written] = []
            for try await one in group { written.append(one) }
            return written
        }
        return (written, Double(SystemClock.monotonicNanoseconds() - began) / 1e9)
    }

    /// The stream job's work on one topic partition without broker and Gold topic.
    struct WriterLoop: ~Copyable {
        private var writer: PartitionWriter
        private var processor: RecordProcessor
        private var written = Written()
        private var start: Int64 = 0
        private var next: Int64 = 0
        private var timeMax: Int64 = 0
        private let processorBefore = LakeBench.threadSeconds()
        private var linesBegan = SystemClock.monotonicNanoseconds()

        static func open(
            layout: LakeLayout, source: TopicPartition, generation: LakeGeneration
        ) throws -> WriterLoop {
            var writer = try PartitionWriter.open(layout: layout, source: source)
            try writer.handOver(to: generation.number, at: 0)
            var processor = try RecordProcessor(source: source, writesBronze: true)
            try processor.add(generation)
            return WriterLoop(writer: writer, processor: processor)
        }

        private init(writer: consuming PartitionWriter, processor: consuming RecordProcessor) {
            self.writer = writer
            self.processor = processor
        }

        mutating func take(_ record: borrowing SourceRecord) throws {
            try processor.process(record)
            next = record.offset + 1
            timeMax = max(timeMax, record.timestampMilliseconds)
            if next - start >= Int64(LakeBench.batch) { try commit() }
        }

        private mutating func commit() throws {
            guard let range = OffsetRange(start: start, end: next), !range.isEmpty else { return }
            let began = SystemClock.monotonicNanoseconds()
            _ = try writer.commit(processor.batch(range, hour: writer.hour(for: timeMax), brokerTimeMax: timeMax))
            processor.removeLines()
            let ended = SystemClock.monotonicNanoseconds()
            written.linesSeconds += Double(began - linesBegan) / 1e9
            written.commitSeconds += Double(ended - began) / 1e9
            written.records = Int(next)
            linesBegan = ended
            start = next
        }

        mutating func finish() throws -> Written {
            try commit()
            written.processorSeconds = LakeBench.threadSeconds() - processorBefore
            return written
        }
    }

    static func threadSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// The comparison means nothing unless both wrote the same lines.
    private func checkSameBytes(_ lake: String, _ out: String, partitions: Int) throws {
        let reader = LakeReader(layout: LakeLayout(root: lake))
        for partition in 0..<partitions {
            let source = TopicPartition(topic: Self.topic, partition: Int32(partition))
            guard let range = try reader.committedRange(source) else { throw Failure("\(source) was not written") }
            for layer in [Layer.bronze, .silver, .gold] {
                let ours = try LakeBench.text(of: layer, reader, source, range)
                var theirs: [UInt8] = []
                var decompressor = try StreamDecompressor()
                let path = "\(out)/partition=\(partition).\(layer.rawValue).jsonl.zst"
                try File.contents(of: path, bytesMax: 64 << 30).withUnsafeBytes { bytes in
                    try decompressor.feed(bytes) { theirs.append(contentsOf: $0) }
                }
                guard ours != theirs else { continue }
                let place =
                    zip(ours, theirs).enumerated().first { $1.0 != $1.1 }?.offset ?? min(ours.count, theirs.count)
                throw Failure(
                    "\(layer.rawValue) of \(source) is not what the C++ loop wrote, from byte \(place) on:\n"
                        + String(decoding: ours[max(0, place - 200)..<min(ours.count, place + 50)], as: UTF8.self)
                        + "\n"
                        + String(decoding: theirs[max(0, place - 200)..<min(theirs.count, place + 50)], as: UTF8.self))
            }
        }
    }

    /// All lines of a layer, one behind the other.
    static func text(
        of layer: Layer, _ reader: LakeReader, _ source: TopicPartition, _ range: OffsetRange
    ) throws -> [UInt8] {
        var text: [UInt8] = []
        try reader.forEachLine(layer, generation: layer == .bronze ? nil : 1, source: source, range: range) { _, line in
            text.append(contentsOf: line)
            text.append(0x0A)
            return true
        }
        return text
    }
}
