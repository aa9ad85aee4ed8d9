package import Bytes
import Dispatch
import HTTPClient
import Synchronization

/// A server that speaks OpenAI's `/embeddings`, and how it is asked.
package struct RemoteEmbedderConfiguration: Sendable {
    /// The base, such as `http://localhost:11434/v1`, or the whole path; a query stays behind it. May hold a secret.
    package var url: SecretURL
    /// What the server calls its model.
    package var model: String
    /// Sent as `Authorization: Bearer`; empty for none. A secret.
    package var key: String
    /// Numbers of a vector.
    package var dimensions: Int
    /// Texts of a request.
    package var textsMax = 256
    /// Tokens of a request, estimated; a text with more goes alone.
    package var tokensMax = 100_000
    /// Requests a minute at most; 0: as many as the server says.
    package var requestsPerMinute = 0
    /// A request for documents may take so long.
    package var millisecondsMax = 60_000
    /// So long a search waits for its query's vector, tries and all.
    package var queryMillisecondsMax = 5_000
    /// Documents' texts may wait so long for a server that gives few turns, or is away.
    package var waitMillisecondsMax = 900_000
    /// Texts of one kind that may wait.
    package var waitingMax = 16_384

    package init(url: SecretURL, model: String, key: String = "", dimensions: Int) {
        (self.url, self.model, self.key, self.dimensions) = (url, model, key, dimensions)
    }

    /// The name that vectors are stored under: those of another server with the same model compare with them.
    package var storedName: String { VectorModel(base: model, dimensions: dimensions, maker: .remote).name }

    var endpoint: String {
        let text = url.revealed
        let base = text.prefix { $0 != "?" && $0 != "#" }
        let query = text[base.endIndex...].prefix { $0 != "#" }
        guard !base.hasSuffix("/embeddings") else { return String(base + query) }
        return base + (base.hasSuffix("/") ? "" : "/") + "embeddings" + query
    }
}

/// Embeds by a server. Calls suspend; the requests are made by threads of its own, which hold to what the server says of its
/// limits (``RateGate``) and leave a server alone that fails (`CircuitBreaker`).
package final class RemoteEmbedder: TextEmbedder {
    /// Threads for queries and sentences, and as many for documents.
    static let threads = RateGate.atOnceMax

    package let dimensions: Int
    package let modelName: String
    package var mayRefuseTexts: Bool { true }
    private let queue: RemoteQueue
    private let requests: RemoteRequests

    /// Starts the threads.
    ///
    /// - Parameter note: told of what an operator should know: refused texts, failures.
    package init(
        _ configuration: RemoteEmbedderConfiguration,
        note: @escaping @Sendable (_ message: String, _ detail: String) -> Void = { _, _ in }
    ) {
        (dimensions, modelName) = (configuration.dimensions, configuration.storedName)
        queue = RemoteQueue(configuration)
        requests = RemoteRequests(configuration, queue, note: note)
        for number in 0..<(2 * Self.threads) {
            let (queue, requests) = (queue, requests)
            let forDocuments = number >= Self.threads
            DispatchQueue(label: "embeddings-\(number)").async {
                while let texts = queue.take(forDocuments: forDocuments) { requests.embed(texts) }
            }
        }
    }

    deinit { stop() }

    /// How long texts of a replay wait.
    private static let replayMilliseconds = 86_400_000

    /// Texts that wait now.
    package var queuedTexts: Int { queue.waiting }
    /// Texts that the server refused since the start.
    package var refusedTexts: Int { requests.refusedTexts }

    /// One vector of length 1 per text; an empty one for a text that the server refuses, whatever it is asked with.
    package func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] {
        guard !texts.isEmpty else { return [] }
        let configuration = queue.configuration
        var wait = priority.isOfDocuments ? configuration.waitMillisecondsMax : configuration.queryMillisecondsMax
        // Live documents have the server's turns before them, for hours where it is slow.
        if priority == .replay { wait = max(wait, Self.replayMilliseconds) }
        let deadline = SystemClock.monotonicNanoseconds() + Int64(wait) * 1_000_000
        let waiting = Mutex<RemoteJob?>(nil)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let job = RemoteJob(
                    id: queue.makeID(), texts: texts, deadlineNanoseconds: deadline, continuation: continuation)
                waiting.withLock { $0 = job }
                queue.add(job, priority: priority)
                // The handler may have run before there was a job.
                if Task.isCancelled { job.fail(CancellationError()) }
            }
        } onCancel: {
            waiting.withLock { $0 }?.fail(CancellationError())
        }
    }

    /// Fails what waits with an error of kind `stopped`; requests under way end soon.
    package func stop() {
        queue.stop()
        requests.wake()
    }
}
