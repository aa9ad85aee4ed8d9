import Bytes
import Hashing

/// How urgent an embedding is.
package enum EmbeddingPriority: Sendable, CaseIterable {
    /// A search waits for it: computed before all else, but for long texts, which stand behind short ones.
    case query
    /// Sentences of an answer: somebody waits, but they come by the dozen. Computed beside queries, in slices of one short
    /// micro-batch, so that a long query waits for one slice at most.
    case sentence
    /// Documents of an indexer: they are not found before.
    case batch
    /// Documents of a replay, for which nobody waits: computed where no others do.
    case replay

    /// How far the threads that compute stand back. A search waits for a millisecond of computing, an answer for a hundred, an indexer
    /// for thousands, and nobody for a replay.
    var standing: ThreadPriority {
        switch self {
        case .query: .ordinary
        case .sentence, .batch: .nice(3)
        case .replay: .idle
        }
    }

    /// Whether what is embedded is documents, by the hundred.
    var isOfDocuments: Bool { self == .batch || self == .replay }
}

/// Turns texts into vectors.
package protocol TextEmbedder: Sendable {
    /// Numbers per vector.
    var dimensions: Int { get }
    /// Name that rows are stored under; vectors of different names are not comparable.
    var modelName: String { get }
    /// Texts since the start that are longer than the model reads: what goes beyond was left out.
    var truncatedTexts: Int { get }

    /// Whether it may refuse texts, for which ``embed(_:priority:)`` gives empty vectors.
    var mayRefuseTexts: Bool { get }

    /// What the model sees of texts, as SHA-256 in hex, in the order given: texts of one input have one vector.
    ///
    /// - Throws: where OpenSSL has no memory.
    func inputHashes(of texts: [String]) throws -> [String]

    /// Embeds texts; one L2-normalised vector per text, in the order given. It is empty for a text that a server refuses
    /// though it takes others.
    ///
    /// - Throws: ``EmbeddingError``, or `CancellationError` when the task was cancelled while it waited.
    func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]]
}

extension TextEmbedder {
    /// For an embedder that sees the text itself.
    package func inputHashes(of texts: [String]) throws -> [String] {
        var hasher = try SHA256Hasher()
        return try texts.map { text in
            var text = text
            var hex: [UInt8] = []
            try text.withUTF8 { try hasher.hash(UnsafeRawBufferPointer($0)).appendHex(to: &hex) }
            return String(decoding: hex, as: UTF8.self)
        }
    }

    /// For an embedder that takes whatever it is given.
    package var mayRefuseTexts: Bool { false }

    /// For an embedder without a limit on length.
    package var truncatedTexts: Int { 0 }
}

/// A failure to load a model or to embed.
package struct EmbeddingError: Error, CustomStringConvertible, Sendable, Equatable {
    /// Which part failed.
    package enum Kind: Sendable, Equatable {
        /// The model's files are absent or unusable.
        case model
        /// Too much is waiting already.
        case overloaded
        /// The embedder was stopped.
        case stopped
        /// The computation itself failed, or a server's reply is unusable.
        case inference
        /// A server is away, or fails.
        case unreachable
    }

    /// The part that failed.
    package let kind: Kind
    /// What was tried, and on what.
    package let operation: String
    /// Why, in the words of whatever failed.
    package let reason: String
    /// What an operator can do about it; empty when nothing is known to help.
    package let hint: String

    /// Whether it passes by itself.
    package var isRetriable: Bool { kind == .overloaded || kind == .unreachable }

    package var description: String {
        "cannot \(operation): \(reason)" + (hint.isEmpty ? "" : "; \(hint)")
    }

    init(_ kind: Kind, _ operation: String, reason: String, hint: String = "") {
        self.kind = kind
        self.operation = operation
        self.reason = reason
        self.hint = hint
    }

    static let modelHint = "run `make setup`, or point MODEL_DIR to a folder with model.xml, model.bin and vocab.txt"
}
