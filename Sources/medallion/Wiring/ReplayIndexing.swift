import Indexer
import Postgres
import Replay
import Settings
import Store

/// A replay's documents go into the index by the indexer's own parts, so that both embed alike; neither service knows the
/// other.
extension DocumentIndexer: ReplayIndex, RebuildIndex, EmbeddingNeeds {}

extension Platform {
    /// What embeds and writes a replay's documents.
    ///
    /// - Throws: where the model cannot be loaded.
    func replayIndex(_ database: PostgresConfiguration) throws -> DocumentIndexer {
        DocumentIndexer(
            configuration: database, embedder: try embedder(), graph: VectorGraph(settings),
            logger: context.logger.scoped("replay"))
    }
}
