import Concurrency
import Console
import Embeddings
import Glibc
import Metering
import ServiceLifecycle
import Settings
import Store
import Telemetry

extension Platform {
    /// Refuses settings that are not the model's; before anything starts.
    ///
    /// - Throws: ``Failure`` (64) that names the variable.
    func checkModelSettings() throws {
        guard settings.embedding.isEnabled else { return }
        guard settings.embedding.url.isEmpty else { return try checkServerSettings() }
        let wanted = settings.embedding.dimensions
        let held = try LocalEmbedder.dimensions(ofModelIn: try Installation.modelDirectory(settings))
        guard wanted == held else {
            throw Failure(
                "EMBED_DIMS=\(wanted), but the model's vectors have \(held) dimensions: set EMBED_DIMS=\(held), or MODEL_DIR "
                    + "to another model", code: .usage)
        }
    }

    private func checkServerSettings() throws {
        let embedding = settings.embedding
        let bytes = serverConfiguration("").storedName.utf8.count
        guard !embedding.name.isEmpty, !embedding.name.utf8.contains(0), bytes <= 255 else {
            throw Failure(
                "EMBED_MODEL: the vectors' name, of which it is a part, has \(bytes) bytes; EMBED_URL needs one of 1 to some "
                    + "240 bytes, without U+0000", code: .usage)
        }
        guard embedding.precision == .automatic else {
            throw Failure("EMBED_PRECISION is of the model in MODEL_DIR: unset it, or EMBED_URL", code: .usage)
        }
        _ = try serverKey()
    }

    private func serverKey() throws -> String {
        try LanguageModels.key(settings.embedding.key, in: settings.embedding.keyFile, named: "EMBED_API_KEY")
    }

    private func serverConfiguration(_ key: String) -> RemoteEmbedderConfiguration {
        let embedding = settings.embedding
        var configuration = RemoteEmbedderConfiguration(
            url: embedding.url, model: embedding.name, key: key, dimensions: embedding.dimensions)
        (configuration.textsMax, configuration.tokensMax) = (embedding.batchTexts, embedding.batchTokens)
        configuration.requestsPerMinute = embedding.requestsPerMinute
        configuration.millisecondsMax = embedding.timeoutMilliseconds
        return configuration
    }

    /// The server of `EMBED_URL`, one client of it per process.
    private func remoteEmbedder() throws -> MeasuredEmbedder {
        let (configuration, logger) = (serverConfiguration(try serverKey()), context.logger)
        return state.withLock { state in
            if let known = state.embedder { return known }
            let embedder = RemoteEmbedder(configuration) { logger.warning($0, ["detail": "\($1)"]) }
            let measured = MeasuredEmbedder(embedder, registry: context.metrics)
            state.embedder = measured
            return measured
        }
    }

    /// The embedding model, loaded once per process, with its work counted; nil where `EMBED_ENABLED` is false.
    ///
    /// Its precision is that of the index's vectors, so the database must be there; a new index gets that of
    /// `EMBED_PRECISION`.
    ///
    /// - Parameter patienceMilliseconds: how long a database that is away is waited for.
    /// - Throws: ``Failure`` that names the variable; `EmbeddingError`; `IndexError`.
    func embedder(patienceMilliseconds: Int = 30_000) throws -> MeasuredEmbedder? {
        try embedder { directory in
            try self.precision(of: try self.heldModel(patienceMilliseconds), modelIn: directory)
        }
    }

    /// The model of the index's vectors. The database answered a moment ago, and may be starting again.
    private func heldModel(_ patienceMilliseconds: Int) throws -> (generation: Int64, model: String)? {
        let store = GenerationStore(configuration: try database("model"))
        var backoff = Backoff(baseMilliseconds: 100, capMilliseconds: 1_000)
        var waited = 0
        while true {
            do throws(IndexError) {
                return try store.model(timeoutMilliseconds: 10_000)
            } catch {
                guard error.isRetriable, waited < patienceMilliseconds else { throw error }
                context.logger.warning("the database does not answer", ["error": "\(error)"])
                let wait = max(backoff.next(), 50)
                waited += wait
                usleep(UInt32(clamping: wait * 1_000))
            }
        }
    }

    /// The same with no database to look at: in the precision of the settings.
    func embedderOfSettings() throws -> MeasuredEmbedder? {
        try embedder { directory in try self.precision(of: nil, modelIn: directory) }
    }

    private func embedder(
        precision: (_ directory: String) throws -> EmbeddingPrecision
    ) throws -> MeasuredEmbedder? {
        guard settings.embedding.isEnabled else { return nil }
        try checkModelSettings()
        if let known = state.withLock({ $0.embedder }) { return known }
        guard settings.embedding.url.isEmpty else { return try remoteEmbedder() }
        let directory = try Installation.modelDirectory(settings)
        var options = LocalEmbedderOptions()
        options.isForReplay = isForReplay
        // Before the lock, which finding the database takes, too.
        options.precision = try precision(directory)
        return try state.withLock { state in
            if let known = state.embedder { return known }
            let embedder = try LocalEmbedder(modelDirectory: directory, options: options)
            guard embedder.dimensions == settings.embedding.dimensions else {
                throw Failure(
                    "EMBED_DIMS=\(settings.embedding.dimensions), but the model \(embedder.modelName) has "
                        + "\(embedder.dimensions) dimensions", code: .usage)
            }
            // It is part of a key of the index; an empty one means that nothing is embedded.
            let nameBytes = embedder.modelName.utf8.count
            guard (1...255).contains(nameBytes), !embedder.modelName.utf8.contains(0) else {
                throw Failure(
                    "MODEL_DIR: the name in model.json has \(nameBytes) bytes; the index takes 1 to 255, without U+0000",
                    code: .usage)
            }
            let measured = MeasuredEmbedder(embedder, registry: context.metrics)
            state.embedder = measured
            return measured
        }
    }

    /// The precision to embed in.
    ///
    /// - Parameter held: the model whose vectors the index has, and the generation that has them; nil where there are none.
    ///   Those of another model than the folder's are left to the index, which refuses to mix them.
    /// - Throws: ``Failure`` (64) where the settings name another precision than that of the index.
    private func precision(
        of held: (generation: Int64, model: String)?, modelIn directory: String
    ) throws -> EmbeddingPrecision {
        let wanted: EmbeddingPrecision? =
            switch settings.embedding.precision {
            case .automatic: nil
            case .float: .float
            case .int8: .int8
            }
        guard let held, let found = try LocalEmbedder.precision(ofVectors: held.model, modelIn: directory) else {
            return wanted ?? .float
        }
        guard let wanted, wanted != found else { return found }
        throw Failure(
            "EMBED_PRECISION=\(wanted.rawValue), but the vectors of generation \(held.generation) are \(held.model): leave "
                + "EMBED_PRECISION out to go on with them, or fill an empty database in \(wanted.rawValue) by "
                + "`medallion index --rebuild`; see docs/troubleshooting.md", code: .usage)
    }
}
