import Audit
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
    /// What embeds and writes a replay's documents.
    ///
    /// - Throws: where the model cannot be loaded.
    func replayIndex(_ database: PostgresConfiguration) throws -> DocumentIndexer {
        DocumentIndexer(
            configuration: database, embedder: try embedder(), graph: VectorGraph(settings), priority: .replay,
            logger: context.logger.scoped("replay"))
    }
}
