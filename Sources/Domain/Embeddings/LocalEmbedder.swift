import Bytes
import Dispatch
import Files
import Glibc
package import Inference
import JSONScan
import Synchronization

/// What a local embedder may use. Every bound has a default that suits one machine.
package struct LocalEmbedderOptions: Sendable {
    /// Threads that compute; 0 means one per core.
    package var threads = 0
    package var precision = InferencePrecision.automatic
    /// Query texts that may wait before ``EmbeddingError/Kind/overloaded``.
    package var queuedQueriesMax = 256
    /// Batch texts that may wait before ``EmbeddingError/Kind/overloaded``.
    package var queuedTextsMax = 4096

    package init() {}
}

/// Counters since the start; all grow only, but for `queuedTexts`.
package struct EmbedderStatistics: Sendable, Equatable {
    package var texts = 0
    package var queries = 0
    /// Tokens without padding.
    package var tokens = 0
    package var microBatches = 0
    /// Time spent computing.
    package var busyNanoseconds: UInt64 = 0
    /// Texts that wait now.
    package var queuedTexts = 0
}

/// Embeds on this machine, through OpenVINO, on a thread of its own.
///
/// Texts are tokenized by the caller, computed by the one thread in micro-batches of like length; waiting queries are
/// computed before the next micro-batch. All calls may come from any task; they suspend and never block a thread.
package final class LocalEmbedder: TextEmbedder {
    package let dimensions: Int
    package let modelName: String
    /// Tokens that the model was trained for, `[CLS]` and `[SEP]` included; longer texts are cut off.
    package let maxTokens: Int
    package let tokenizer: WordPieceTokenizer

    private let queue: EmbeddingQueue
    private let worker: EmbeddingWorker

    /// Loads the model and starts the thread; blocks for about 200 ms.
    ///
    /// - Parameter modelDirectory: holds model.xml, model.bin, vocab.txt, and model.json with `name`, `dimensions`,
    ///   `max_tokens` (see tools/convert_model.py).
    /// - Throws: ``EmbeddingError`` of kind `model`.
    package init(modelDirectory: String, options: LocalEmbedderOptions = LocalEmbedderOptions()) throws {
        let facts = try ModelFacts(directory: modelDirectory)
        tokenizer = try WordPieceTokenizer(vocabularyPath: modelDirectory + "/vocab.txt")
        let model: EmbeddingModel
        do {
            model = try EmbeddingModel(
                path: modelDirectory + "/model.xml", threads: options.threads, precision: options.precision)
        } catch {
            throw EmbeddingError(.model, error.operation, reason: error.reason, hint: EmbeddingError.modelHint)
        }
        guard model.dimensions == facts.dimensions else {
            throw EmbeddingError(
                .model, "use the model \(modelDirectory)",
                reason: "it gives \(model.dimensions) dimensions where model.json says \(facts.dimensions)",
                hint: EmbeddingError.modelHint)
        }
        modelName = facts.name
        dimensions = facts.dimensions
        maxTokens = facts.maxTokens
        queue = EmbeddingQueue(queryTextsMax: options.queuedQueriesMax, batchTextsMax: options.queuedTextsMax)
        worker = EmbeddingWorker(model: model, queue: queue)
        try worker.start()
    }

    deinit { queue.stop() }

    /// What was done since the start.
    package var statistics: EmbedderStatistics {
        var statistics = worker.statistics
        statistics.queuedTexts = queue.queuedTexts
        return statistics
    }

    /// Tokenizes at once, then suspends until the worker has computed all vectors.
    ///
    /// - Throws: ``EmbeddingError``, or `CancellationError` when the task was cancelled while the texts waited.
    package func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] {
        guard !texts.isEmpty else { return [] }
        let sequences = texts.map { tokenizer.encode($0, maxTokens: maxTokens) }
        let id = queue.makeID()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                queue.add(
                    EmbeddingJob(id: id, sequences: sequences, continuation: continuation), priority: priority)
                // The handler may have run before the job was in the queue.
                if Task.isCancelled { queue.cancel(id) }
            }
        } onCancel: {
            queue.cancel(id)
        }
    }

    /// Cuts at whitespace, so that no part has more than `maxTokens`.
    package func passages(of text: String) -> [String] {
        Passages.split(text, tokenizer: tokenizer, maxTokens: maxTokens)
    }

    /// Fails what waits with an error of kind `stopped` and ends the thread; blocks for one micro-batch at most.
    package func stop() {
        queue.stop()
        worker.join(timeoutSeconds: 10)
    }
}

/// What model.json says.
private struct ModelFacts {
    let name: String, dimensions: Int, maxTokens: Int

    init(directory: String) throws(EmbeddingError) {
        let path = directory + "/model.json"
        func unusable(_ reason: String) -> EmbeddingError {
            EmbeddingError(.model, "read \(path)", reason: reason, hint: EmbeddingError.modelHint)
        }
        let json: JSONValue
        do {
            json = try JSONValue.parse(File.contents(of: path, bytesMax: 1 << 20))
        } catch {
            throw unusable("\(error)")
        }
        guard let name = json["name"]?.string, !name.isEmpty else { throw unusable("it has no \"name\"") }
        guard let dimensions = json["dimensions"]?.integer, dimensions > 0, dimensions <= 1 << 16 else {
            throw unusable("it has no \"dimensions\" from 1 to 65536")
        }
        let maxTokens = json["max_tokens"]?.integer ?? 256
        guard maxTokens >= 3, maxTokens <= 8192 else { throw unusable("\"max_tokens\" is not from 3 to 8192") }
        self.name = name
        self.dimensions = Int(dimensions)
        self.maxTokens = Int(maxTokens)
    }
}
