import Bytes
import Foundation
import Inference
import JSONScan
import PlatformTesting
import Testing

@testable import Embeddings

@Suite struct LocalEmbedderTests {
    private static let texts = [
        "Rosa Parks", "", "Fixed a typo in the lead section", "Правка описания файла", "東京都の人口統計を更新",
        "/* External links */ removed dead link, added archive — see talk page",
        String(repeating: "A sentence that is long enough to fill the whole model. ", count: 40),
    ]

    private static func cosine(_ a: some Collection<Float>, _ b: some Collection<Float>) -> Float {
        zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    }

    /// What plain numpy in float32 makes of token sequences.
    private static func referenceVectors(_ sequences: [[Int32]], dimensions: Int) throws -> [[Float]] {
        let numbers = sequences.flatMap { [Int32($0.count)] + $0 }
        let output = try Model.run("reference_embeddings.py", [], input: numbers.withUnsafeBytes { Array($0) })
        let values = output.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        return stride(from: 0, to: values.count, by: dimensions).map { Array(values[$0..<$0 + dimensions]) }
    }

    @Test func vectorsEqualAnIndependentComputation() async throws {
        let embedder = try LocalEmbedder(modelDirectory: Model.directory)
        defer { embedder.stop() }
        #expect(embedder.dimensions == 384)
        #expect(embedder.modelName == "all-MiniLM-L6-v2/384/float")
        let vectors = try await embedder.embed(Self.texts, priority: .batch)
        let reference = try Self.referenceVectors(
            Self.texts.map { embedder.tokenizer.encode($0) }, dimensions: embedder.dimensions)
        #expect(reference.count == Self.texts.count)
        for (vector, expected) in zip(vectors, reference) {
            #expect(Self.cosine(vector, expected) >= 0.9999)
            #expect(abs(Self.cosine(vector, vector) - 1) < 1e-4)
        }
    }

    @Test func inFloat32VectorsDifferByRoundingOnly() async throws {
        var options = LocalEmbedderOptions()
        options.arithmetic = .float32
        let embedder = try LocalEmbedder(modelDirectory: Model.directory, options: options)
        defer { embedder.stop() }
        let vectors = try await embedder.embed(Self.texts, priority: .query)
        let reference = try Self.referenceVectors(
            Self.texts.map { embedder.tokenizer.encode($0) }, dimensions: embedder.dimensions)
        for (vector, expected) in zip(vectors, reference) { #expect(Self.cosine(vector, expected) >= 0.99999) }
    }

    @Test(.enabled(if: Recordings.folder != nil, "\(Recordings.absence)"))
    func textsOfTheRecordingsReachTheReferenceCosine() async throws {
        var texts: [String] = []
        let step = LongTests.areWanted ? 13 : 39
        var parser = try JSONFieldParser(paths: ["title", "comment", "user"])
        try Recordings.bytes("recentchange-original.jsonl.zst").withUnsafeBytes { bytes in
            for (number, line) in bytes.split(separator: 0x0A).enumerated() where number % step == 0 {
                guard parser.parseObject(UnsafeRawBufferPointer(rebasing: line)) == nil else { continue }
                texts.append(
                    (0..<3).map { String(decoding: parser.field($0).text, as: UTF8.self) }.joined(separator: "\n"))
            }
        }
        #expect(texts.count >= (LongTests.areWanted ? 200 : 66))
        let embedder = try LocalEmbedder(modelDirectory: Model.directory)
        defer { embedder.stop() }
        let vectors = try await embedder.embed(texts, priority: .batch)
        let reference = try Self.referenceVectors(
            texts.map { embedder.tokenizer.encode($0) }, dimensions: embedder.dimensions)
        for (index, vector) in vectors.enumerated() {
            #expect(Self.cosine(vector, reference[index]) >= 0.9999, "text \(index)")
        }
    }

    @Test func manyCallersGetTheirOwnVectorsInOrder() async throws {
        let embedder = try LocalEmbedder(modelDirectory: Model.directory)
        defer { embedder.stop() }
        let words = (0..<96).map { "document number \($0) " + String(repeating: "about rivers ", count: $0 % 17) }
        var single: [[Float]] = []
        for word in words { single += try await embedder.embed([word], priority: .query) }
        try await withThrowingTaskGroup(of: (Int, [[Float]]).self) { group in
            for start in stride(from: 0, to: 96, by: 12) {
                group.addTask {
                    let priority: EmbeddingPriority = start % 24 == 0 ? .query : .batch
                    return (start, try await embedder.embed(Array(words[start..<start + 12]), priority: priority))
                }
            }
            for try await (start, vectors) in group {
                #expect(vectors.count == 12)
                for (offset, vector) in vectors.enumerated() {
                    #expect(Self.cosine(vector, single[start + offset]) > 0.9995)
                }
            }
        }
        #expect(embedder.statistics.texts == 192)
        #expect(embedder.statistics.queuedTexts == 0)
    }

    /// Those that compute, which are OpenVINO's own threads, and not only those that wait for them.
    @Test func bulkWorkStandsBackBehindQueries() async throws {
        let embedder = try LocalEmbedder(modelDirectory: Model.directory)
        defer { embedder.stop() }
        let before = try Self.ticks()
        let text = String(repeating: "A sentence that fills the whole model. ", count: 40)
        for priority in [EmbeddingPriority.batch, .sentence] {
            _ = try await embedder.embed([String](repeating: text, count: 100), priority: priority)
        }
        let spent = try Self.ticks().merging(before) { $0 - $1 }
        // Both are at 3. A tick is a hundredth of a second; a text takes a hundredth and more.
        #expect(EmbeddingPriority.batch.standing == .nice(3) && EmbeddingPriority.sentence.standing == .nice(3))
        #expect(spent[3] ?? 0 > 40, "\(spent)")
    }

    /// Processor time of this process' threads in ticks, by their niceness: fields 14, 15 and 19 of proc_pid_stat(5).
    private static func ticks() throws -> [Int32: Int] {
        var ticks: [Int32: Int] = [:]
        for thread in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task") {
            // One that has ended meanwhile is passed over.
            guard let stat = try? String(contentsOfFile: "/proc/self/task/\(thread)/stat", encoding: .utf8),
                let end = stat.lastIndex(of: ")")
            else { continue }
            let fields = stat[end...].split(separator: " ")
            guard fields.count > 17, let niceness = Int32(fields[17]) else { continue }
            ticks[niceness, default: 0] += (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0)
        }
        return ticks
    }

    @Test func aModelThatIsNotThereSaysWhatToDo() throws {
        let folder = try TemporaryFolder()
        let error = #expect(throws: EmbeddingError.self) { try LocalEmbedder(modelDirectory: folder.path) }
        #expect(error?.kind == .model)
        #expect(error?.description.contains("model.json") == true)
        #expect(error?.description.contains("MODEL_DIR") == true)
        #expect(throws: InferenceError.self) { try EmbeddingModel(path: folder.file("model.xml")) }
    }

    /// Threads that have run the plugin's code end after its model, and even after the process began to exit.
    @Test func thePluginStaysInTheProcess() throws {
        func isLoaded() throws -> Bool {
            let maps = try FileHandle(forReadingFrom: URL(filePath: "/proc/self/maps")).readToEnd() ?? Data()
            return maps.range(of: Data("libopenvino_intel_cpu_plugin".utf8)) != nil
        }
        do {
            let model = try EmbeddingModel(path: PackageRoot.path + "/.deps/model/model.xml")
            #expect(try isLoaded() && model.dimensions == 384)
        }
        #expect(try isLoaded())
    }

    @Test func afterAStopNothingIsTaken() async throws {
        let embedder = try LocalEmbedder(modelDirectory: Model.directory)
        embedder.stop()
        embedder.stop()
        await #expect(throws: EmbeddingError.stopped) { try await embedder.embed(["x"], priority: .query) }
    }
}
