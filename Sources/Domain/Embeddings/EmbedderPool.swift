import Synchronization

/// Finds the embedder of stored vectors by their name.
package protocol EmbedderSource: Sendable {
    /// Names the vectors of a generation that has none yet; empty where nothing is embedded.
    var usualName: String { get }

    /// The embedder of vectors of a name; nil where this process cannot make them. Blocks while a model is loaded, some 300 ms.
    ///
    /// - Throws: ``EmbeddingError`` of kind `model`, where the model is there and unusable.
    func embedder(named name: String) throws -> (any TextEmbedder)?
}

extension EmbedderSource {
    /// The embedder of a generation that has no vectors yet; nil where nothing is embedded.
    ///
    /// - Throws: as ``embedder(named:)``.
    package func usual() throws -> (any TextEmbedder)? { usualName.isEmpty ? nil : try embedder(named: usualName) }
}

/// One embedder for whatever is asked.
package struct OneEmbedder: EmbedderSource {
    private let embedder: (any TextEmbedder)?

    /// - Parameter embedder: nil embeds nothing.
    package init(_ embedder: (any TextEmbedder)?) { self.embedder = embedder }

    package var usualName: String { embedder?.modelName ?? "" }

    package func embedder(named name: String) -> (any TextEmbedder)? { name == usualName ? embedder : nil }
}

/// The embedders of a process, by the names of their vectors. While one generation of vectors replaces another there are two.
///
/// A model of a folder is loaded once for each precision, however many dimensions are asked of it, and is let go when nobody
/// needs its vectors any more (``keep(only:)``): so two are in memory at most, and one as a rule. Embedders of servers hold none.
package final class EmbedderPool: EmbedderSource {
    /// How a process makes embedders.
    package struct Makers: Sendable {
        /// The model whose first numbers are asked for, or the model itself; nil where this process has it not.
        package var whole: @Sendable (VectorModel) throws -> VectorModel?
        /// Loads that one.
        package var load: @Sendable (VectorModel) throws -> any TextEmbedder
        /// What is handed out, such as with its work counted.
        package var dress: @Sendable (any TextEmbedder) -> any TextEmbedder

        /// - Parameters:
        ///   - whole: see ``whole``.
        ///   - load: see ``load``.
        ///   - dress: see ``dress``.
        package init(
            whole: @escaping @Sendable (VectorModel) throws -> VectorModel?,
            load: @escaping @Sendable (VectorModel) throws -> any TextEmbedder,
            dress: @escaping @Sendable (any TextEmbedder) -> any TextEmbedder = { $0 }
        ) {
            (self.whole, self.load, self.dress) = (whole, load, dress)
        }
    }

    private struct State: Sendable {
        var wholes: [VectorModel: any TextEmbedder] = [:]
        var shown: [String: (whole: VectorModel, embedder: any TextEmbedder)] = [:]
    }

    package let usualName: String
    private let makers: Makers
    private let state = Mutex(State())
    /// One model is loaded at a time, and none twice.
    private let loading = Mutex(())

    /// - Parameter usualName: see ``EmbedderSource``.
    package init(usualName: String, makers: Makers) {
        (self.usualName, self.makers) = (usualName, makers)
    }

    /// See ``EmbedderSource``.
    package func embedder(named name: String) throws -> (any TextEmbedder)? {
        if let known = state.withLock({ $0.shown[name]?.embedder }) { return known }
        return try loading.withLock { _ in
            if let known = state.withLock({ $0.shown[name]?.embedder }) { return known }
            guard let model = VectorModel(name: name), let whole = try makers.whole(model) else { return nil }
            let loaded = try state.withLock({ $0.wholes[whole] }) ?? makers.load(whole)
            let embedder = makers.dress(
                whole.dimensions == model.dimensions ? loaded : PrefixEmbedder(of: loaded, as: model))
            state.withLock { state in
                state.wholes[whole] = loaded
                state.shown[name] = (whole, embedder)
            }
            return embedder
        }
    }

    /// Lets go of models that none of some vectors are of. What still embeds by one ends first.
    package func keep(only names: Set<String>) {
        // Behind one that is being loaded.
        loading.withLock { _ in
            let gone = state.withLock { state in
                let former = state.wholes
                state.shown = state.shown.filter { names.contains($0.key) }
                let needed = Set(state.shown.values.map(\.whole))
                state.wholes = former.filter { needed.contains($0.key) }
                return former
            }
            // The last one ends its threads, which must not happen within the lock.
            withExtendedLifetime(gone) {}
        }
    }

    /// Names of the models in memory.
    package var loaded: Set<String> { state.withLock { Set($0.wholes.keys.map(\.name)) } }
}
