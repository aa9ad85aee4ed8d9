import Concurrency
import Console
import Embeddings
import Postgres
import Records
import ServiceLifecycle
import Store

/// Generations whose vectors are of another model, precision or dimension.
extension Platform {
    /// What the vectors of a new generation are to be, as a command or a request says it; nil where it says nothing.
    ///
    /// - Parameters:
    ///   - model: a precision of the model in `MODEL_DIR`, else what the server of `EMBED_URL` calls a model; nil: as the index's.
    ///   - dimensions: the first so many numbers; nil: all that the model gives.
    /// - Throws: ``UsageError`` where this process cannot make them; `EmbeddingError`; `IndexError`.
    func wantedVectors(model: String?, dimensions: Int?) throws -> VectorKind? {
        guard model != nil || dimensions != nil else { return nil }
        let embedders = try self.embedders()
        guard !embedders.usualName.isEmpty else { throw UsageError("nothing is embedded here (EMBED_ENABLED)") }
        var wanted: VectorModel
        if let model {
            wanted = try named(model)
        } else {
            guard let held = VectorModel(name: try embedder()?.modelName ?? "") else {
                throw UsageError("say which model the dimensions are of")
            }
            wanted = held
        }
        if let dimensions { wanted.dimensions = dimensions }
        guard (1...4_000).contains(wanted.dimensions), (1...255).contains(wanted.name.utf8.count) else {
            throw UsageError("vectors of the index have 1 to 4000 dimensions, and a name of 255 bytes at most")
        }
        guard let embedder = try embedders.embedder(named: wanted.name) else {
            throw UsageError(
                "there is no model here that gives \(wanted.name): see MODEL_DIR and EMBED_URL, and how many dimensions it has"
            )
        }
        return VectorKind(model: wanted.name, dimensions: embedder.dimensions, graph: VectorGraph(settings))
    }

    private func named(_ model: String) throws -> VectorModel {
        if let precision = EmbeddingPrecision(rawValue: model) {
            return try LocalEmbedder.model(in: try Installation.modelDirectory(settings), precision)
        }
        guard !settings.embedding.url.isEmpty, !model.isEmpty, !model.utf8.contains(0) else {
            let known = EmbeddingPrecision.allCases.map(\.rawValue).joined(separator: ", ")
            throw UsageError("a model is one of \(known), or with EMBED_URL what its server calls a model")
        }
        return VectorModel(base: model, dimensions: settings.embedding.dimensions, maker: .remote)
    }

    /// The embedder of a generation's vectors.
    ///
    /// - Parameter generation: nil: the active one.
    func embedder(of generation: Int64?) throws -> (any TextEmbedder)? {
        guard let generation, settings.embedding.isEnabled else { return try embedder() }
        let models = try GenerationStore(configuration: try database("model")).models(timeoutMilliseconds: 10_000)
        let name = models.first { $0.generation == generation }?.model
        return try name.flatMap { try embedders().embedder(named: $0) } ?? embedder()
    }

    /// Has the models of all generations in memory that may be served or written, so that neither waits for one when another is promoted,
    /// and lets go of those that no generation has any more. Behind the database's services.
    func modelService() -> any Service {
        ClosureService(name: "models") { [self] stop in
            guard settings.embedding.isEnabled else { return await stop.wait() }
            let lane = Lane(name: "models")
            repeat {
                do {
                    try await lane.run { [self] in try followModels() }
                } catch {
                    context.logger.debug("the generations' models are not known", ["error": "\(error)"])
                }
            } while !(await stop.pause(milliseconds: 1_000))
        }
    }

    private func followModels() throws {
        guard let pool = state.withLock({ $0.embedders }) else { return }
        let models = try GenerationStore(configuration: try database("models")).models(timeoutMilliseconds: 10_000)
        let names = Set(models.lazy.filter { $0.state != .pruned }.map(\.model))
        for model in models where names.contains(model.model) {
            do {
                guard try pool.embedder(named: model.model) == nil else { continue }
                tell(of: model, "it is neither that of MODEL_DIR nor one of EMBED_URL")
            } catch {
                tell(of: model, "\(error)")
            }
        }
        pool.keep(only: names.isEmpty ? [pool.usualName] : names)
    }

    private func tell(of model: (generation: Int64, model: String, state: GenerationState), _ why: String) {
        guard state.withLock({ $0.missingModels.insert(model.model).inserted }) else { return }
        context.logger.error(
            "this process cannot embed for generation \(model.generation): it can be neither written nor searched by vectors here"
                + "; see docs/troubleshooting.md",
            ["model": model.model, "why": why])
    }
}
