import Audit
import Bytes
import Embeddings
import Indexer
import Postgres
import Replay
import Settings
import Store

/// A replay's documents, and what an audit repairs, go into the index by the indexer's own parts, so that all embed alike; none of the
/// services knows another.
extension DocumentIndexer: ReplayIndex, RebuildIndex, AuditIndex, EmbeddingNeeds {}

extension Platform {
    /// What embeds and writes a replay's documents, each generation's by its own model.
    ///
    /// - Throws: where the model cannot be loaded.
    func replayIndex(_ database: PostgresConfiguration) throws -> DocumentIndexer {
        var graph = VectorGraph(settings)
        // At the bound each writer has to link as many vectors as it adds. A replay stops at half of it, so that live writes do not.
        graph.waitingMax /= 2
        return DocumentIndexer(
            configuration: database, embedders: try embedders(), graph: graph, priority: .replay,
            standing: isForReplay ? .idle : Replay.standing, logger: context.logger.scoped("replay"))
    }

    /// What tells how much a replay would have to embed.
    ///
    /// - Parameter vectors: what it would make; nil: as the active generation's.
    /// - Throws: where the model cannot be loaded.
    func trialIndex(_ database: PostgresConfiguration, _ vectors: VectorKind?) throws -> DocumentIndexer {
        let wanted = try vectors.flatMap { try embedders().embedder(named: $0.model) } ?? embedder()
        return DocumentIndexer(configuration: database, embedder: wanted, graph: VectorGraph(settings))
    }
}
