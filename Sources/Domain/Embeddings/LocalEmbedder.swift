import Bytes
import Dispatch
import Glibc
import Hashing
package import Inference
import Synchronization

/// What a local embedder may use. Every bound has a default that suits one machine.
package struct LocalEmbedderOptions: Sendable {
    /// Threads that compute batches; 0 means one per core. One more computes queries, and one sentences.
    package var threads = 0
    /// Which of the model's files is used.
    package var precision = EmbeddingPrecision.float
    /// What float numbers are computed in; in int8 it is float32.
    package var arithmetic = InferencePrecision.automatic
    /// Query texts that may wait before ``EmbeddingError/Kind/overloaded``.
    package var queuedQueriesMax = 256
    /// Sentences of answers that may wait before ``EmbeddingError/Kind/overloaded``: those of about ten answers.
    package var queuedSentencesMax = 512
    /// Batch texts that may wait before ``EmbeddingError/Kind/overloaded``.
    package var queuedTextsMax = 4096
    /// Whether the process does nothing but a replay: its threads stand back for those of other processes that embed documents.
    package var isForReplay = false

    package init() {}
}

/// Counters since the start; all grow only, but for `queuedTexts`.
package struct EmbedderStatistics: Sendable, Equatable {
    package var texts = 0
    package var queries = 0
    /// Tokens without padding.
    package var tokens = 0
    package var microBatches = 0
    /// Time spent computing, summed over the workers.
    package var busyNanoseconds: UInt64 = 0
    /// Texts that wait now.
    package var queuedTexts = 0
    /// Texts with more tokens than the model reads: what goes beyond was left out.
    package var truncatedTexts = 0

    static func + (a: Self, b: Self) -> Self {
        EmbedderStatistics(
            texts: a.texts + b.texts, queries: a.queries + b.queries, tokens: a.tokens + b.tokens,
            microBatches: a.microBatches + b.microBatches, busyNanoseconds: a.busyNanoseconds + b.busyNanoseconds,
            queuedTexts: a.queuedTexts + b.queuedTexts, truncatedTexts: a.truncatedTexts + b.truncatedTexts)
    }
}

/// Embeds on this machine, through OpenVINO, on threads of its own.
///
/// Texts are tokenized by the caller and computed in micro-batches of like length: batches by one thread per core, each
/// with a request of its own, queries by a further thread and the sentences of answers by another, so that a query shares the
/// processor with both and never waits for them to end. Spread over two cores a query would take two thirds of the time and a
/// third more work, and would wait for whichever core is busy. Where processors are scarce, batches and sentences stand back
/// (``EmbeddingPriority/standing``). All calls may come from any task; they suspend and never block a thread.
package final class LocalEmbedder: TextEmbedder {
    package let dimensions: Int
    package let modelName: String
    /// Tokens that the model was trained for, `[CLS]` and `[SEP]` included; longer texts are cut off.
    package let maxTokens: Int
    package let tokenizer: WordPieceTokenizer

    private let queue: EmbeddingQueue
    private let workers: [EmbeddingWorker]
    private let truncated = Atomic(0)

    /// Loads the model and starts the threads; blocks for about 300 ms.
    ///
    /// - Parameter modelDirectory: holds model.xml, model.bin, vocab.txt, and model.json with `name`, `dimensions`,
    ///   `max_tokens`; for int8 also model-int8.xml and model-int8.bin (see tools/convert_model.py).
    /// - Throws: ``EmbeddingError`` of kind `model`.
    package init(modelDirectory: String, options: LocalEmbedderOptions = LocalEmbedderOptions()) throws {
        let facts = try ModelFacts(directory: modelDirectory)
        let path = modelDirectory + "/" + options.precision.modelFile
        // A folder of an earlier set-up, or somebody's own.
        guard options.precision == .float || access(path, R_OK) == 0 else {
            throw EmbeddingError(
                .model, "embed in \(options.precision.rawValue)", reason: "there is no \(path)",
                hint: "run `make setup`, or set EMBED_PRECISION=float")
        }
        tokenizer = try WordPieceTokenizer(vocabularyPath: modelDirectory + "/vocab.txt")
        let threads = options.threads > 0 ? options.threads : max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        queue = EmbeddingQueue(
            queryTextsMax: options.queuedQueriesMax, sentenceTextsMax: options.queuedSentencesMax,
            batchTextsMax: options.queuedTextsMax, batchWorkers: threads)
        do {
            func compiled(
                _ parallelism: InferenceParallelism, for priority: EmbeddingPriority
            ) throws(InferenceError) -> EmbeddingModel {
                try EmbeddingModel(
                    path: path, parallelism: parallelism,
                    // OpenVINO quantises activations of float32 only.
                    precision: options.precision == .int8 ? .float32 : options.arithmetic, standing: priority.standing)
            }
            let forQueries = try compiled(.latency(threads: 1), for: .query)
            // Sentences as well: a model of their own would take 90 MiB.
            let documents = options.isForReplay ? EmbeddingPriority.replay : .batch
            let forBatches = try compiled(.throughput(requests: threads + 1), for: documents)
            dimensions = forQueries.dimensions
            let priorities = [.query, .sentence] + [EmbeddingPriority](repeating: .batch, count: threads)
            var workers: [EmbeddingWorker] = []
            for priority in priorities {
                let request = try (priority == .query ? forQueries : forBatches).makeRequest()
                workers.append(
                    EmbeddingWorker(request: request, priority: priority, queue: queue))
            }
            self.workers = workers
        } catch {
            throw EmbeddingError(.model, error.operation, reason: error.reason, hint: EmbeddingError.modelHint)
        }
        modelName = facts.model(options.precision).name
        maxTokens = facts.maxTokens
        guard dimensions == facts.dimensions else {
            throw EmbeddingError(
                .model, "use the model \(modelDirectory)",
                reason: "it gives \(dimensions) dimensions where model.json says \(facts.dimensions)",
                hint: EmbeddingError.modelHint)
        }
        for worker in workers { try worker.start() }
    }

    deinit { queue.stop() }

    /// The model of a folder in a precision, with all numbers that it gives, by its model.json alone.
    ///
    /// - Throws: ``EmbeddingError`` of kind `model`.
    package static func model(in directory: String, _ precision: EmbeddingPrecision) throws -> VectorModel {
        try ModelFacts(directory: directory).model(precision)
    }

    /// See ``prepareInference()``.
    package static func prepareProcess() { prepareInference() }

    package var truncatedTexts: Int { truncated.load(ordering: .relaxed) }

    /// What was done since the start.
    package var statistics: EmbedderStatistics {
        var statistics = workers.map(\.statistics).reduce(EmbedderStatistics(), +)
        statistics.queuedTexts = queue.queuedTexts
        statistics.truncatedTexts = truncatedTexts
        return statistics
    }

    /// Tokenizes at once, then suspends until the workers have computed all vectors.
    ///
    /// - Throws: ``EmbeddingError``, or `CancellationError` when the task was cancelled before the last text was begun.
    package func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] {
        guard !texts.isEmpty else { return [] }
        let sequences = texts.map { text in
            let (ids, isCut) = sequence(of: text)
            if isCut { truncated.add(1, ordering: .relaxed) }
            return ids
        }
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

    /// Of the ids: the model knows neither capitals nor accents, nor what lies behind its last token.
    package func inputHashes(of texts: [String]) throws -> [String] {
        var hasher = try SHA256Hasher()
        return try texts.map { text in
            var hex: [UInt8] = []
            try sequence(of: text).ids.withUnsafeBytes { try hasher.hash($0).appendHex(to: &hex) }
            return String(decoding: hex, as: UTF8.self)
        }
    }

    /// The ids of a text, cut to what the model reads, and whether something was left out.
    private func sequence(of text: String) -> (ids: [Int32], isCut: Bool) {
        // One more than fits shows that there is more.
        var ids = tokenizer.encode(text, maxTokens: maxTokens + 1)
        guard ids.count > maxTokens else { return (ids, false) }
        ids.remove(at: maxTokens - 1)
        return (ids, true)
    }

    /// Fails what waits with an error of kind `stopped` and ends the threads; blocks for one micro-batch at most.
    package func stop() {
        queue.stop()
        for worker in workers { worker.join(timeoutSeconds: 10) }
    }
}
