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
        let whole = try LocalEmbedder.model(in: try Installation.modelDirectory(settings), .float)
        guard wanted <= whole.dimensions else {
            throw Failure(
                "EMBED_DIMS=\(wanted), but the model's vectors have \(whole.dimensions) dimensions: set EMBED_DIMS="
                    + "\(whole.dimensions) or fewer, or MODEL_DIR to another model", code: .usage)
        }
        // It is part of a key of the index; an empty one means that nothing is embedded.
        let nameBytes = whole.name.utf8.count
        guard nameBytes <= 255, !whole.name.utf8.contains(0) else {
            throw Failure(
                "MODEL_DIR: with the name in model.json vectors would be stored under one of \(nameBytes) bytes; the index takes "
                    + "1 to 255, without U+0000", code: .usage)
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

    // MARK: Which vectors

    /// What the settings say that vectors of a new index are.
    private func settingsModel() throws -> VectorModel {
        let embedding = settings.embedding
        guard embedding.url.isEmpty else {
            return VectorModel(base: embedding.name, dimensions: embedding.dimensions, maker: .remote)
        }
        let precision: EmbeddingPrecision = embedding.precision == .int8 ? .int8 : .float
        var model = try LocalEmbedder.model(in: try Installation.modelDirectory(settings), precision)
        model.dimensions = embedding.dimensions
        return model
    }

    /// The model whose first numbers are vectors of another one, or which they are; nil where this process has none such.
    private func whole(of model: VectorModel) throws -> VectorModel? {
        let embedding = settings.embedding
        switch model.maker {
        case .local(let precision):
            // Beside a server a folder may be missing.
            let folder: String?
            if embedding.url.isEmpty {
                folder = try Installation.modelDirectory(settings)
            } else {
                folder = try? Installation.modelDirectory(settings)
            }
            guard let folder else { return nil }
            let whole = try LocalEmbedder.model(in: folder, precision)
            return whole.base == model.base && model.dimensions <= whole.dimensions ? whole : nil
        case .remote:
            guard !embedding.url.isEmpty else { return nil }
            var whole = model
            // Few servers give fewer numbers than the model has.
            if model.base == embedding.name { whole.dimensions = max(model.dimensions, embedding.dimensions) }
            return whole
        }
    }

    private func load(_ whole: VectorModel) throws -> any TextEmbedder {
        switch whole.maker {
        case .local(let precision):
            var options = LocalEmbedderOptions()
            options.precision = precision
            options.isForReplay = isForReplay
            return try LocalEmbedder(modelDirectory: try Installation.modelDirectory(settings), options: options)
        case .remote:
            var configuration = serverConfiguration(try serverKey())
            (configuration.model, configuration.dimensions) = (whole.base, whole.dimensions)
            let logger = context.logger
            return RemoteEmbedder(configuration) { logger.warning($0, ["detail": "\($1)"]) }
        }
    }

    // MARK: Embedders

    /// The embedders of all generations' vectors, of which each model is loaded once per process and its work counted; of nothing
    /// where `EMBED_ENABLED` is false.
    ///
    /// A generation that has no vectors yet gets those of the model that the index has at the start, so the database must be
    /// there; in a new index those of the settings.
    ///
    /// - Parameter patienceMilliseconds: how long a database that is away is waited for.
    /// - Throws: ``Failure`` that names the variable; `EmbeddingError`; `IndexError`.
    func embedders(patienceMilliseconds: Int = 30_000) throws -> any EmbedderSource {
        guard settings.embedding.isEnabled else { return OneEmbedder(nil) }
        try checkModelSettings()
        if let known = state.withLock({ $0.embedders }) { return known }
        let wanted = try settingsModel()
        guard let held = try heldModel(patienceMilliseconds), let model = VectorModel(name: held.model),
            try whole(of: model) != nil
        else {
            // Those of a model that is not to be had are left to the index, which refuses to mix them.
            return pool(usually: wanted.name)
        }
        tellOfSettings(wanted, beside: held)
        return pool(usually: held.model)
    }

    private func pool(usually name: String) -> EmbedderPool {
        let metrics = context.metrics
        return state.withLock { state in
            if let known = state.embedders { return known }
            let pool = EmbedderPool(
                usualName: name,
                makers: EmbedderPool.Makers(
                    whole: { [self] in try whole(of: $0) }, load: { [self] in try load($0) },
                    dress: { MeasuredEmbedder($0, registry: metrics) }))
            state.embedders = pool
            return pool
        }
    }

    /// Settings choose the model of a new index; another one is brought to this as a generation.
    private func tellOfSettings(_ wanted: VectorModel, beside held: (generation: Int64, model: String)) {
        let embedding = settings.embedding
        let isSaid = embedding.precision != .automatic || !embedding.url.isEmpty
        guard isSaid, wanted.name != held.model else { return }
        context.logger.warning(
            "the vectors of generation \(held.generation) are of model \(held.model), which is used; the settings name "
                + "\(wanted.name): `medallion replay --model` makes a generation of another model; see "
                + "docs/troubleshooting.md")
    }

    /// The embedder of the vectors that the index has now, those of the active generation where it has any, or is to get; nil where
    /// `EMBED_ENABLED` is false.
    ///
    /// - Parameter patienceMilliseconds: how long a database that is away is waited for.
    /// - Throws: as ``embedders(patienceMilliseconds:)``.
    func embedder(patienceMilliseconds: Int = 30_000) throws -> (any TextEmbedder)? {
        let embedders = try self.embedders(patienceMilliseconds: patienceMilliseconds)
        guard !embedders.usualName.isEmpty else { return nil }
        let held = try heldModel(patienceMilliseconds)?.model
        return try held.flatMap { try embedders.embedder(named: $0) } ?? embedders.usual()
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

    /// That of the settings, with no database to look at.
    func embedderOfSettings() throws -> (any TextEmbedder)? {
        guard settings.embedding.isEnabled else { return nil }
        try checkModelSettings()
        return try pool(usually: try settingsModel().name).usual()
    }
}
