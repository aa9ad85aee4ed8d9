import Bytes
import Embeddings
package import Records
package import Store

/// Vectors of another model for what a generation took over from its parent.
extension DocumentIndexer {
    /// How long passages may take to be cut into words anew, which a change waits for.
    private static let cuttingMillisecondsMax = 900_000

    /// Gives the next documents that a generation shows vectors of its own model, where they have another's; embeds only texts that have no
    /// such vector yet.
    ///
    /// - Parameters:
    ///   - key: of the last document that was looked at; the smallest number to begin with.
    ///   - most: documents.
    /// - Throws: `EmbeddingError`; ``IndexerError`` of kind `embedder` where this process has not the generation's model; `IndexError`.
    package func changeVectors(of generation: Int64, after key: Int64, most: Int) async throws -> VectorStep {
        let contents = try await writeLane.run { [self] in
            try change.withLock {
                try $0.next(
                    of: generation, after: key, most: min(max(1, most), VectorChange.documentsMax),
                    timeoutMilliseconds: Self.timeoutMilliseconds)
            }
        }
        guard let last = contents.last else { return VectorStep() }
        let found = try await makers(of: [generation])[generation]
        let model = models.withLock { $0[generation] } ?? ""
        guard let embedder = found, embedder.modelName == model else {
            throw IndexError(
                .generationBehind,
                "this process cannot make the vectors of generation \(generation), which are of model \(model)",
                hint: "see EMBED_ENABLED, MODEL_DIR and EMBED_URL, and resume")
        }
        let embedded: Int
        do {
            embedded = try await exchange(contents, of: generation, embedder, isTrusting: true)
        } catch let error as IndexError where error.kind == .vectorGone {
            // What was to be shared has been removed meanwhile: embed all of it.
            embedded = try await exchange(contents, of: generation, embedder, isTrusting: false)
        }
        return VectorStep(lastKey: last.key, documents: contents.count, embedded: embedded)
    }

    private func exchange(
        _ contents: [EmbeddedContent], of generation: Int64, _ embedder: any TextEmbedder, isTrusting: Bool
    ) async throws -> Int {
        let hashes = try embedder.inputHashes(of: contents.flatMap { $0.passages.map(\.text) })
        var texts: [VectorInput: String] = [:]
        var place = 0
        for content in contents {
            for passage in content.passages {
                texts[VectorInput(tenant: content.tenant, hash: hashes[place])] = passage.text
                place += 1
            }
        }
        let inputs = Set(texts.keys)
        let wanted = Array(isTrusting ? try await missing(inputs, embedder.modelName) : inputs)
        let vectors = try await embedder.embed(wanted.compactMap { texts[$0] }, priority: priority)
        guard vectors.count == wanted.count else {
            throw IndexerError(.embedder, "\(vectors.count) vectors for \(wanted.count) texts")
        }
        let given = zip(wanted, vectors).filter { !embedder.mayRefuseTexts || !$1.isEmpty }
        for (_, vector) in given { try Self.check(vector, of: embedder) }
        let changed = ChangedVectors(
            contents: contents, inputHashes: hashes, vectors: Dictionary(given.map { ($0, $1) }) { first, _ in first },
            refused: Set(wanted).subtracting(given.map { $0.0 }))
        let deadline = SystemClock.monotonicNanoseconds() + Int64(Self.cuttingMillisecondsMax) * 1_000_000
        while true {
            let replaced = try await writeLane.run { [self] in
                try change.withLock {
                    try $0.replace(changed, of: generation, timeoutMilliseconds: Self.timeoutMilliseconds)
                }
            }
            if replaced != nil { return given.count }
            guard SystemClock.monotonicNanoseconds() < deadline else {
                throw IndexError(
                    .generationBehind,
                    "passages are still being cut into words anew, which generation \(generation) waits for",
                    hint: "see that an indexer runs, and resume")
            }
            try await Task.sleep(nanoseconds: 500_000_000)
        }
    }

    /// How many documents of a generation have another model's vectors.
    package func formerVectors(of generation: Int64) async throws -> Int64 {
        try await writeLane.run { [self] in
            try change.withLock { try $0.left(of: generation, timeoutMilliseconds: Self.timeoutMilliseconds) }
        }
    }

    /// The inputs of the next documents that a generation shows of records outside of some ranges, as far as they have no vector of the
    /// usual embedder; with the step whose key goes on.
    ///
    /// - Throws: `EmbeddingError`; `IndexError`.
    package func inputsToEmbed(
        shownBy generation: Int64, after key: Int64, outside ranges: [(source: TopicPartition, offsets: OffsetRange)]
    ) async throws -> (step: VectorStep, inputs: Set<VectorInput>) {
        let contents = try await writeLane.run { [self] in
            try change.withLock {
                try $0.shown(
                    by: generation, after: key, outside: ranges, timeoutMilliseconds: Self.timeoutMilliseconds)
            }
        }
        guard let last = contents.last, let embedder = try embedders.usual() else { return (VectorStep(), []) }
        let step = VectorStep(lastKey: last.key, documents: contents.count)
        var inputs: Set<VectorInput> = []
        for content in contents {
            for hash in try embedder.inputHashes(of: content.passages.map(\.text)) {
                inputs.insert(VectorInput(tenant: content.tenant, hash: hash))
            }
        }
        return (step, try await missing(inputs, embedder.modelName))
    }
}
