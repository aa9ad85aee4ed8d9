import Bytes
import Embeddings
import Records
package import Store
import Synchronization

/// An input among those of several models.
struct ModelInput: Hashable {
    let model: String
    let input: VectorInput

    init(_ passage: IndexedPassage, of document: IndexedDocument) {
        model = document.model
        input = VectorInput(tenant: document.document.tenant, hash: passage.inputHash)
    }

    init(model: String, input: VectorInput) {
        (self.model, self.input) = (model, input)
    }
}

/// Passages and their vectors, before anything is written.
extension DocumentIndexer {
    /// Documents with their passages and, where new, their vectors.
    package struct Prepared: Sendable {
        /// What it was made from, should it have to be made again.
        var pending: [PendingDocument] = []
        /// In the order given.
        package var documents: [IndexedDocument] = []
        /// Inputs embedded for it.
        package var embedded = 0
        /// Passages that share a vector.
        package var reused = 0
        /// When all its vectors were there, milliseconds since 1970; nil where none was made for it.
        var embeddedAtMilliseconds: Int64?

        package init() {}

        init(pending: [PendingDocument]) { self.pending = pending }

        /// Gives vectors to the passages of their inputs.
        fileprivate mutating func give(_ vectors: [ModelInput: [Float]]) {
            guard !vectors.isEmpty else { return }
            for index in documents.indices {
                for number in documents[index].passages.indices {
                    let input = ModelInput(documents[index].passages[number], of: documents[index])
                    if let vector = vectors[input] { documents[index].passages[number].embedding = vector }
                }
            }
        }

        /// The vectors that it brings.
        var vectors: [ModelInput: [Float]] {
            var vectors: [ModelInput: [Float]] = [:]
            for document in documents {
                for passage in document.passages {
                    if let vector = passage.embedding { vectors[ModelInput(passage, of: document)] = vector }
                }
            }
            return vectors
        }

        /// Leaves documents with an input that the embedder refuses to the word arm.
        fileprivate mutating func leaveToWords(_ refused: Set<ModelInput>) {
            guard !refused.isEmpty else { return }
            for index in documents.indices {
                let document = documents[index]
                guard document.passages.contains(where: { refused.contains(ModelInput($0, of: document)) }) else {
                    continue
                }
                documents[index].model = ""
                for number in documents[index].passages.indices {
                    documents[index].passages[number].embedding = nil
                    documents[index].passages[number].inputHash = ""
                }
            }
        }
    }

    /// What embeds for generations, each by the model of its vectors; none for one that was pruned, or where nothing is embedded.
    ///
    /// A generation without vectors gets those of the usual embedder, and so does one whose model this process has not: the index
    /// then refuses them by name.
    ///
    /// - Throws: `EmbeddingError` where a model cannot be loaded; `IndexError`.
    func makers(of generations: Set<Int64>) async throws -> [Int64: any TextEmbedder] {
        guard !embedders.usualName.isEmpty else { return [:] }
        if models.withLock({ known in generations.contains { $0 > 0 && known[$0] == nil } }) {
            let found = try await look { try $0.models(timeoutMilliseconds: Self.timeoutMilliseconds) }
            models.withLock { $0.merge(found) { $1 } }
        }
        let names = models.withLock { $0 }
        var wanted: [Int64: any TextEmbedder] = [:]
        for generation in generations {
            let name = names[generation]
            guard name != "" else { continue }
            wanted[generation] = try name.flatMap { try embedders.embedder(named: $0) } ?? embedders.usual()
        }
        return wanted
    }

    /// - Parameters:
    ///   - isTrusting: whether what the index has is used; not after it turned out to have gone.
    ///   - vectors: that are there besides.
    func prepare(
        _ documents: [PendingDocument], isTrusting: Bool, beside vectors: [ModelInput: [Float]] = [:]
    ) async throws -> Prepared {
        var prepared = Prepared(pending: documents)
        let found = try await makers(of: Set(documents.map(\.generation)))
        func model(_ document: PendingDocument) -> String { found[document.generation]?.modelName ?? "" }
        let places = Dictionary(grouping: documents.indices) { model(documents[$0]) }
        var known: Set<Int> = []
        for (model, places) in places where isTrusting {
            let gold = places.map { documents[$0].document }
            let held = try await look { lookups in
                try lookups.known(gold, model: model, timeoutMilliseconds: Self.timeoutMilliseconds)
            }
            for place in held { known.insert(places[place]) }
        }
        var passages = DocumentPassages()
        for (place, pending) in documents.enumerated() {
            let isKnown = known.contains(place)
            if isKnown, pending.document.operation == .put {
                prepared.reused += max(1, pending.document.passages.count)
            }
            prepared.documents.append(
                IndexedDocument(
                    generation: pending.generation, document: pending.document, source: pending.source,
                    sourceOffset: pending.sourceOffset, model: model(pending),
                    passages: isKnown ? [] : try passages.of(pending.document), line: pending.line))
        }
        for embedder in Dictionary(found.values.map { ($0.modelName, $0) }, uniquingKeysWith: { $1 }).values {
            try await fill(
                &prepared, places[embedder.modelName] ?? [], embedder, isTrusting: isTrusting, beside: vectors)
        }
        if prepared.embedded > 0 { prepared.embeddedAtMilliseconds = SystemClock.epochMilliseconds() }
        guard prepared.documents.contains(where: { !$0.passages.isEmpty }) else { return prepared }
        // Here, while another batch may be written: the writer has enough to do.
        let documents = prepared.documents
        prepared.documents = try await look { lookups in
            var documents = documents
            try lookups.cut(&documents)
            return documents
        }
        return prepared
    }

    /// The largest number of a vector's column, whose numbers have 16 bits.
    private static let vectorNumberMax: Float = 65_504

    /// Postgres would refuse the document for a vector that the column cannot hold, though it is the embedder that is wrong.
    ///
    /// - Throws: ``IndexerError`` of kind `embedder`.
    static func check(_ vector: [Float], of embedder: any TextEmbedder) throws(IndexerError) {
        let hint = "look at the model: MODEL_DIR, EMBED_DIMS; nothing is indexed until it is right"
        guard vector.count == embedder.dimensions else {
            throw IndexerError(
                .embedder,
                "the embedder gave a vector of \(vector.count) numbers, its model has \(embedder.dimensions)",
                hint: hint)
        }
        // False for what is no number, too.
        guard vector.allSatisfy({ $0.magnitude <= vectorNumberMax }) else {
            throw IndexerError(
                .embedder, "the embedder gave a vector with a number that is none, or too large", hint: hint)
        }
    }

    /// Gives all passages of each input that has no vector yet its vector: the write may be cut into transactions, each of which must
    /// bring what its own passages share. The array of numbers is one for all of them.
    ///
    /// - Parameter places: of the documents whose vectors are of the embedder.
    private func fill(
        _ prepared: inout Prepared, _ places: [Int], _ embedder: any TextEmbedder, isTrusting: Bool,
        beside others: [ModelInput: [Float]]
    ) async throws {
        var texts: [VectorInput: String] = [:]
        var inputs: [VectorInput] = []
        let passages = places.map { prepared.documents[$0].passages.map(\.text) }
        let hashes = try await lookupLane.run { try passages.map { try embedder.inputHashes(of: $0) } }
        for (index, hashes) in zip(places, hashes) {
            let document = prepared.documents[index]
            for (number, hash) in hashes.enumerated() {
                prepared.documents[index].passages[number].inputHash = hash
                let input = VectorInput(tenant: document.document.tenant, hash: hash)
                if texts[input] != nil {
                    prepared.reused += 1
                } else {
                    texts[input] = document.passages[number].text
                    inputs.append(input)
                }
            }
        }
        guard !inputs.isEmpty else { return }
        let (model, all) = (embedder.modelName, inputs)
        let known =
            isTrusting
            ? try await look { lookups in
                try lookups.embedded(all, model: model, timeoutMilliseconds: Self.timeoutMilliseconds)
            } : []
        prepared.reused += known.count
        // Whichever of the two is written first: the other finds the vector there.
        func key(_ input: VectorInput) -> ModelInput { ModelInput(model: model, input: input) }
        let shared = others.filter {
            $0.key.model == model && texts[$0.key.input] != nil && !known.contains($0.key.input)
        }
        prepared.reused += shared.count
        prepared.give(shared)
        let wanted = inputs.filter { !known.contains($0) && shared[key($0)] == nil }
        guard !wanted.isEmpty else { return }
        let vectors = try await embedder.embed(wanted.compactMap { texts[$0] }, priority: priority)
        guard vectors.count == wanted.count else {
            throw IndexerError(.embedder, "\(vectors.count) vectors for \(wanted.count) texts")
        }
        let given = zip(wanted, vectors).filter { !embedder.mayRefuseTexts || !$1.isEmpty }
        for (_, vector) in given { try Self.check(vector, of: embedder) }
        prepared.give(Dictionary(given.map { (key($0), $1) }) { first, _ in first })
        prepared.leaveToWords(Set(Set(wanted).subtracting(given.map { $0.0 }).map(key)))
        prepared.embedded += given.count
    }
}
